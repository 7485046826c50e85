"""Viper: cross-correlation of two signals.

A sum of 64 bits is a pair of words, high * 2**15 + low: each product adds to both, and both stay within 32 bits for
65,535 products of 30 bits. Roots and quotients (eq. 11) have up to 47 bits, as H * 2**24 + L.
"""

from array import array

import micropython
from micropython import const

from ..buffers import typed
from ..fixedpoint import ITEMSIZE
from .viper_ops import FLIPS, Plan, job_of, sign_shift

_LAGS = const(1 << 16)  # added to lags in the job, so that no item is negative
# items of the job
_LENGTH = const(0)
_ITEM = const(1)  # bytes
_FLIP = const(2)
_FIRST = const(3)  # lag, and the last one
_LAST = const(4)
_RIGHT = const(5)  # bits that a sum is shifted right
_LIMIT = const(6)
_CUT = const(7)  # bits that a register is wider than a word
_PAST = const(8)  # whether _look_past_limit found an item
_ITEMS = const(9)
_TOP = const((1 << 24) - 1)


class Cross(Plan):
    def __init__(self, op):
        self.op = op
        named = (
            (_LENGTH, op.length),
            (_ITEM, ITEMSIZE[op.dtype]),
            (_FLIP, FLIPS[op.dtype]),
            (_FIRST, op.lags[0] + _LAGS),
            (_LAST, op.lags[1] + _LAGS),
            (_RIGHT, -op.shift),
            (_LIMIT, op.limit),
            (_CUT, sign_shift()),
        )
        self.job = job_of(_ITEMS, named)
        if op.wide or op.normalized:
            self.sums = array("i", bytes(8 * op.output_length))  # pairs
            self.scratch_bytes = len(self.sums) * 4
        if op.normalized:
            self.energy_job = job_of(_ITEMS, named[:3] + ((_FIRST, _LAGS), (_LAST, _LAGS), (_CUT, sign_shift())))
            self.roots = array("i", bytes(16))  # root and e, of a and of b

    def run(self, sources, out):
        op, a, b = self.op, sources[0], sources[1]
        if op.checked:
            self._check(a, "a")
            self._check(b, "b")
        if op.normalized:
            _pairs(0, 0, a, a, self.sums, self.energy_job)
            _root(self.sums, self.roots, 0)
            _pairs(0, 0, b, b, self.sums, self.energy_job)
            _root(self.sums, self.roots, 2)
            _pairs(0, 0, a, b, self.sums, self.job)
            _quotients(self.sums, self.roots, out, self.job)
        elif op.wide:
            _pairs(0, 0, a, b, self.sums, self.job)
            _rounded(self.sums, out, self.job)
        else:
            _words(0, 0, a, b, out, self.job)

    def _check(self, x, name):
        _look_past_limit(x, self.job)
        if self.job[_PAST]:
            self.op.check_limit(name, typed(x, self.op.dtype, self.op.length))


@micropython.viper
def _look_past_limit(x: ptr8, job: ptr32):
    """Whether an item is past the limit, to job[_PAST]."""
    flip = job[_FLIP]
    limit = job[_LIMIT]
    n = 0
    while n < job[_LENGTH]:
        if job[_ITEM] == 1:
            v = (x[n] ^ flip) - flip
        else:
            v = (ptr16(x)[n] ^ flip) - flip
        n += 1
        if v > limit or v < 0 - limit:
            job[_PAST] = 1
            return
    job[_PAST] = 0


@micropython.viper
def _words(p: int, q: int, a: ptr8, b: ptr8, out: ptr32, job: ptr32):
    """Sums of 32 bits, shifted to the right."""
    item = job[_ITEM]
    flip = job[_FLIP]
    first = job[_FIRST] - _LAGS
    right = job[_RIGHT]
    lag = first
    while lag <= job[_LAST] - _LAGS:
        acc = 0
        if int(a) == int(b) and lag > 0 and first <= 0 - lag:
            acc = out[0 - lag - first]
        else:
            p = int(a)
            q = int(b)
            count = job[_LENGTH]
            if lag < 0:
                p -= lag * item
                count += lag
            else:
                q += lag * item
                count -= lag
            if item == 1:
                while count:
                    acc += ((ptr8(p)[0] ^ flip) - flip) * ((ptr8(q)[0] ^ flip) - flip)
                    p += 1
                    q += 1
                    count -= 1
            else:
                while count:
                    acc += ((ptr16(p)[0] ^ flip) - flip) * ((ptr16(q)[0] ^ flip) - flip)
                    p += 2
                    q += 2
                    count -= 1
            if right:  # halves away from zero
                acc += acc >> 31
                acc = (acc >> right) + ((acc >> (right - 1)) & 1)
        out[lag - first] = acc
        lag += 1


@micropython.viper
def _pairs(p: int, q: int, a: ptr8, b: ptr8, sums: ptr32, job: ptr32):
    """Sums of 64 bits, each a pair (high, low), 0 <= low < 2**15."""
    item = job[_ITEM]
    flip = job[_FLIP]
    first = job[_FIRST] - _LAGS
    lag = first
    at = 0
    while lag <= job[_LAST] - _LAGS:
        high = 0
        low = 0
        if int(a) == int(b) and lag > 0 and first <= 0 - lag:
            high = sums[2 * (0 - lag - first)]
            low = sums[2 * (0 - lag - first) + 1]
        else:
            p = int(a)
            q = int(b)
            count = job[_LENGTH]
            if lag < 0:
                p -= lag * item
                count += lag
            else:
                q += lag * item
                count -= lag
            if item == 1:
                while count:
                    v = ((ptr8(p)[0] ^ flip) - flip) * ((ptr8(q)[0] ^ flip) - flip)
                    high += v >> 15
                    low += v & 32767
                    p += 1
                    q += 1
                    count -= 1
            else:
                while count:
                    v = ((ptr16(p)[0] ^ flip) - flip) * ((ptr16(q)[0] ^ flip) - flip)
                    high += v >> 15
                    low += v & 32767
                    p += 2
                    q += 2
                    count -= 1
            high += low >> 15
            low &= 32767
        sums[at] = high
        sums[at + 1] = low
        at += 2
        lag += 1


@micropython.viper
def _rounded(sums: ptr32, out: ptr32, job: ptr32):
    """Pairs shifted to the right as fixedpoint.rounding_shift does it, limited to 32 bits.

    A pair shifted right by n < 15 leaves 32 bits where high is not within +-2**(16 + n).
    """
    right = job[_RIGHT]
    cut = job[_CUT]
    reach = 0
    if right < 15:
        reach = 1 << (16 + right)
    greatest = (1 << 29) - 1
    greatest = greatest * 4 + 3  # no small int of a board
    n = job[_LAST] - job[_FIRST]
    while n >= 0:
        high = (sums[2 * n] << cut) >> cut
        low = sums[2 * n + 1]
        if reach and high >= reach:
            v = greatest
        elif reach and high < 0 - reach:
            v = 0 - greatest - 1
        else:
            if right and high < 0:
                low -= 1
                if low < 0:
                    low += 32768
                    high -= 1
            if right > 15:
                v = high >> (right - 16)
                v = (v >> 1) + (v & 1)
            else:
                v = (high << (15 - right)) + (low >> right)
                if right and (high < 0 or v < greatest):
                    v += (low >> (right - 1)) & 1
        out[n] = v
        n -= 1


@micropython.viper
def _root(sums: ptr32, roots: ptr32, at: int):
    """root_of() of the first pair, the root and its e."""
    high = sums[0]
    L = ((high & 511) << 15) | sums[1]
    H = high >> 9
    e = 0
    if H | L:
        while H < 1 << 20:
            H = (H << 2) | (L >> 22)
            L = (L << 2) & _TOP
            e += 1
    root = 0
    rest = 0
    n = 44
    while n >= 0:
        if n >= 24:
            bits = H >> (n - 24)
        else:
            bits = L >> n
        rest = (rest << 2) | (bits & 3)
        trial = (root << 2) | 1
        root <<= 1
        if rest >= trial:
            rest -= trial
            root |= 1
        n -= 2
    roots[at] = root
    roots[at + 1] = e


@micropython.viper
def _quotients(sums: ptr32, roots: ptr32, out: ptr16, job: ptr32):
    """normalized() of each pair: 15 steps of a long division, whose divisor, the product of both roots, is
    high_d * 2**24 + low_d."""
    cut = job[_CUT]
    a = roots[0]
    b = roots[2]
    low = (a & 4095) * (b & 4095)
    middle = (a >> 12) * (b & 4095) + (a & 4095) * (b >> 12)
    low_d = low + ((middle & 4095) << 12)
    high_d = (a >> 12) * (b >> 12) + (middle >> 12) + (low_d >> 24)
    low_d &= _TOP
    n = job[_LAST] - job[_FIRST]
    while n >= 0:
        high = (sums[2 * n] << cut) >> cut
        low = sums[2 * n + 1]
        negative = high < 0
        if negative:
            low = 0 - low
            high = 0 - high
            if low < 0:
                low += 32768
                high -= 1
        L = ((high & 511) << 15) | low
        H = high >> 9
        left = roots[1] + roots[3]
        while left:
            H = (H << 1) | (L >> 23)
            L = (L << 1) & _TOP
            left -= 1
        v = 0
        if high_d | low_d:
            if H > high_d or (H == high_d and L >= low_d):
                v = 32767
            else:
                left = 15
                while left:
                    H = (H << 1) | (L >> 23)
                    L = (L << 1) & _TOP
                    v <<= 1
                    if H > high_d or (H == high_d and L >= low_d):
                        v |= 1
                        H -= high_d
                        L -= low_d
                        if L < 0:
                            L += 1 << 24
                            H -= 1
                    left -= 1
        if negative:
            v = 0 - v
        out[n] = v
        n -= 1
