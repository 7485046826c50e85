"""CrossCorrelate: two signals that both change with every call, for a range of lags between them."""

from ..arguments import flag, index_of, integer, one_of, two
from ..fixedpoint import LIMITS
from . import Op

MOST = 65535  # items of a signal: with it a sum of products of 16 bits stays under 2**46
SMALL = 1 << 31  # sums up to less than that are summed in 32 bits


class CrossCorrelate(Op):
    """r[k] = sum over n of a[n] * b[n + k] for each lag k, items outside the signals being 0: the lags of
    scipy.signal.correlate(b, a). A delay of b against a is a peak of r at that lag. Called as op(a, b, out); where a is
    b, mirrored lags are computed once.

    length      items of a and of b, 1..65535
    lags        range of step 1, pair (first, last), or an integer n: -n..n; all less than length in size
    dtype       of a and b: b B h
    limit       the greatest |item| there may be, which a call checks; None: the dtype's. Where length * limit**2 is
                under 2**31, sums have 32 bits, else 64
    shift       -31..0: the sums times 2**shift, rounded to nearest with halves away from zero (eq. 3), limited to 32
                bits; None: the largest that lets no sum reach 2**31. Attribute `shift`
    normalized  True: r[k] / sqrt(sum of a**2 * sum of b**2) in Q15, rounded towards zero (eq. 11)

    out is of dtype i, normalized h; out_shape is (number of lags,).
    """

    kind = "cross_correlate"
    fields = "dtype length lags*2 limit shift normalized"
    first = ("length",)
    runs = "correlation.Cross"

    def __init__(self, length, lags=64, dtype="h", limit=None, shift=None, normalized=False, backend=None):
        self.length = length = integer("length", length, 1, MOST)
        self.lags = first, last = range_of_lags(lags, length - 1)
        self.dtype = one_of("dtype", dtype, ("b", "B", "h"))
        lo, hi = LIMITS[self.dtype]
        self.limit = most = max(hi, -lo)
        if limit is not None:
            self.limit = integer("limit", limit, 1, most)
        self.checked = self.limit < most  # whether a call looks for items past the limit
        bound = length * self.limit * self.limit
        self.wide = bound >= SMALL
        self.normalized = flag("normalized", normalized)
        self.shift = 0
        while not self.normalized and (bound >> -self.shift) + 1 >= SMALL:
            self.shift -= 1
        if shift is not None:
            self.shift = integer("shift", shift, 0 if self.normalized else -31, 0)
        self._bind(self.dtype, (length, length), (last - first + 1,), backend)
        self.out_dtype = "h" if self.normalized else "i"

    def __call__(self, a, b, out):
        with self._busy:
            return self._call(a, b, out)

    def check_limit(self, name, x):
        """Nothing, or the error of the first item past the limit. x is read by its own type."""
        limit = self.limit
        for n in range(self.length):
            if not -limit <= x[n] <= limit:
                raise ValueError("%s: item %d is past the limit, wanted at most %d in size" % (name, n, limit))


def range_of_lags(lags, most):
    """(first, last) of lags as CrossCorrelate takes them, each at most `most` in size."""
    count = index_of(lags)
    if count is not None:
        count = integer("lags", count, 0, most)
        return -count, count
    if isinstance(lags, range):
        if not len(lags) or lags[-1] - lags[0] != len(lags) - 1:
            raise ValueError("lags: %r, wanted a range of step 1 that is not empty" % (lags,))
        lags = lags[0], lags[-1]
    first, last = two("lags", lags, -most, most, "an integer, a pair (first, last), or a range")
    if first > last:
        raise ValueError("lags: (%d, %d), wanted the lesser one first" % (first, last))
    return first, last


def root_of(energy):
    """(floor(sqrt(energy * 4**e)), e), the least e >= 0 with which the root has 23 bits; (0, 0) for 0.  (eq. 11)

    energy  int, 0 <= energy < 2**46
    """
    e = 0
    while energy and energy < 1 << 44:
        energy <<= 2
        e += 1
    root = rest = 0
    for n in range(44, -1, -2):  # two bits of the energy give one of the root
        rest = (rest << 2) | ((energy >> n) & 3)
        trial = (root << 2) | 1
        root <<= 1
        if rest >= trial:
            rest -= trial
            root |= 1
    return root, e


def normalized(acc, a, b):
    """acc over the root of the product of two energies, in Q15, rounded towards zero; 0 where one is 0.  (eq. 11)

    a, b  of root_of()
    """
    below = a[0] * b[0]
    if not below:
        return 0
    value = min((abs(acc) << (15 + a[1] + b[1])) // below, 32767)
    return value if acc >= 0 else -value
