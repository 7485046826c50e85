"""Operators of two inputs, item by item: Add, Sub, Mul and PReLU."""

from ..arguments import dimensions, integer, one_of, size_of
from ..fixedpoint import ITEMSIZE, LIMITS
from . import Op, four

_TWO = "dtype a_shape*4 b_shape*4 a_zero_point b_zero_point output_zero_point activation_min activation_max "


class _Two(Op):
    """Two inputs, item by item; where one has a dimension of 1 it repeats, as in NumPy."""

    first = ("a_shape", "b_shape")
    runs = "elementwise.Two"
    in_place = True
    room = None  # by how many bits the items of a sum are shifted up

    def __init__(
        self,
        a_shape,
        b_shape=None,
        dtype="b",
        a_zero_point=0,
        b_zero_point=0,
        output_zero_point=0,
        activation_min=None,
        activation_max=None,
        backend=None,
        **scale,
    ):
        self.dtype = one_of("dtype", dtype, ("b", "B", "h"))
        a = dimensions("a_shape", a_shape, 1, 4)
        b = a if b_shape is None else dimensions("b_shape", b_shape, 1, 4)
        rank = max(len(a), len(b))
        self.a_shape, self.b_shape = four(a), four(b)
        whole = []
        for m, n in zip(self.a_shape, self.b_shape):
            if m != n and m != 1 and n != 1:
                raise ValueError("b_shape: %r, wanted one that repeats to %r, or the other way round" % (b, a))
            whole.append(max(m, n))
        lo, hi = LIMITS[self.dtype]
        self.a_zero_point = integer("a_zero_point", a_zero_point, lo, hi)
        self.b_zero_point = integer("b_zero_point", b_zero_point, lo, hi)
        self.output_zero_point = integer("output_zero_point", output_zero_point, lo, hi)
        self._range(activation_min, activation_max)
        self.scales = self._scales(scale)
        if scale:
            raise TypeError("%s: no option of this layer" % sorted(scale)[0])
        self.out_shape4 = tuple(whole)
        self._bind(self.dtype, (size_of(a), size_of(b)), tuple(whole)[4 - rank :], backend)

    def __call__(self, a, b, out):
        with self._busy:
            return self._call(a, b, out)


def _scale(options, prefix, left):
    """(multiplier, shift) of the options with a prefix, the shift at most `left`."""
    found = []
    for name, lo, hi in ((prefix + "multiplier", 0, 0x7FFFFFFF), (prefix + "shift", -31, left)):
        if name not in options:
            raise TypeError("%s: not given, wanted an integer %d..%d" % (name, lo, hi))
        found.append(integer(name, options.pop(name), lo, hi))
    return tuple(found)


class Add(_Two):
    """a + b, limited to the dtype or to the activation range; with scales TFLite's ADD. out may be an input of its
    size.

    a_shape, b_shape   up to four dimensions; None: as a_shape
    options  dtype b B h (h: zero points 0); a_multiplier, a_shift, b_multiplier, b_shift: each input's scale over twice
             the larger one; multiplier, shift: twice the larger scale over 2**20 (8 bits) or 2**15 (16 bits) of the
             output's; no shift is to the left; none of the six: all scales are equal; zero points a_, b_, output_;
             activation_min, activation_max
    """

    kind = "add"
    fields = _TWO + "a_multiplier a_shift b_multiplier b_shift multiplier shift"

    def _scales(self, options):
        if self.dtype == "h" and (self.a_zero_point or self.b_zero_point):
            raise ValueError("a_zero_point: with dtype 'h', wanted 0 for both inputs")
        self.room = 20 if ITEMSIZE[self.dtype] == 1 else 15  # items shifted up by it stay under 2**30  (eq. 9)
        if not options:  # halves of both, and of their sum, which is shifted down by what is left: exact in each step
            half = 1 << 30
            return (half, 0), (half, 0), (half, 2 - self.room)
        return _scale(options, "a_", 0), _scale(options, "b_", 0), _scale(options, "", 0)


class Sub(Add):
    """a - b, with scales TFLite's SUB; parameters as Add's."""

    kind = "sub"


class Mul(_Two):
    """a * b, TFLite's MUL; out may be an input of its size.

    options  as Add's, but multiplier and shift alone: of the product of the input scales over the output's
    """

    kind = "mul"
    fields = _TWO + "multiplier shift"

    def _scales(self, options):
        return (self._product_scale(options),)

    def _product_scale(self, options):
        """(multiplier, shift) of a product of items, which stays under 2**31."""
        multiplier, shift = _scale(options, "", 30)
        reach = self._reach(self.a_zero_point) * self._reach(self.b_zero_point)
        if reach << max(shift, 0) >= 1 << 31:
            raise ValueError("shift: %d, wanted one that keeps products up to %d under 2**31" % (shift, reach))
        return multiplier, shift

    def _reach(self, zero):
        """The largest |item - zero point|."""
        lo, hi = LIMITS[self.dtype]
        return max(hi - zero, zero - lo)


class PReLU(Mul):
    """a from its zero point on, a * b below it, TFLite's PRELU, b being its alpha; out may be an input of its size.

    a_shape, b_shape   up to four dimensions, b's repeating to a's; None: as a_shape
    options  dtype b B; a_multiplier, a_shift: of a's scale over the output's; multiplier, shift: of the product of the
             input scales over the output's; zero points a_, b_, output_; activation_min, activation_max
    """

    kind = "prelu"
    fields = _TWO + "a_multiplier a_shift multiplier shift"

    def _scales(self, options):
        one_of("dtype", self.dtype, ("b", "B"))
        for m, n in zip(self.a_shape, self.b_shape):
            if n > m:
                raise ValueError("b_shape: %r, wanted one that repeats to %r" % (self.b_shape, self.a_shape))
        multiplier, shift = _scale(options, "a_", 30)
        reach = self._reach(self.a_zero_point)
        if reach << max(shift, 0) >= 1 << 31:
            raise ValueError("a_shift: %d, wanted one that keeps items up to %d under 2**31" % (shift, reach))
        return self._product_scale(options), (multiplier, shift)
