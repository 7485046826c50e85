"""Viper: operators of two inputs, item by item: ADD, SUB, MUL and PRELU."""

import micropython
from micropython import const

from ..fixedpoint import ITEMSIZE, limbs
from .viper_ops import FLIPS, Plan, job_of

_SIGNED = const(1 << 20)  # added to job items that may be negative
# items of the job
_N0 = const(0)  # the output's dimensions
_N1 = const(1)
_N2 = const(2)
_N3 = const(3)
_A0 = const(4)  # bytes from one item of each dimension to the next, 0 where the input repeats
_A1 = const(5)
_A2 = const(6)
_A3 = const(7)
_B0 = const(8)
_B1 = const(9)
_B2 = const(10)
_ITEM = const(11)  # bytes
_FLIP = const(12)
_ZERO_A = const(13)  # in place of an item's offset: flip + zero point
_LOWEST = const(14)
_HIGHEST = const(15)
_ZERO_B = const(16)
_ZERO_POINT = const(17)
_FIRST = const(18)  # the first scale to take: of a, of b and of their sum, or the last alone for a product
_MINUS = const(19)
_B3 = const(20)
_SCALES = const(21)  # left, three limbs, right: of a, of b, of the result, of an item that is not multiplied
_RECTIFIED = const(41)  # whether items of a from the zero point on are not multiplied
_TWO_ITEMS = const(42)
_OF_B = const(5)  # where in _SCALES b's scale is, that of the result, and that of items that are not multiplied
_OF_RESULT = const(10)
_OF_ITEM = const(15)
_END = const(20)


def _steps(shape, item):
    """Bytes from one item of each of four dimensions to the next, 0 where there is one."""
    steps, step = [0, 0, 0, 0], item
    for axis in (3, 2, 1, 0):
        if shape[axis] > 1:
            steps[axis] = step
        step *= shape[axis]
    return steps


class Two(Plan):
    def __init__(self, op):
        item, flip = ITEMSIZE[op.dtype], FLIPS[op.dtype]
        a, b = _steps(op.a_shape, item), _steps(op.b_shape, item)
        job = job_of(
            _TWO_ITEMS,
            (
                (_ITEM, item),
                (_FLIP, flip),
                (_ZERO_A, flip + op.a_zero_point + _SIGNED),
                (_ZERO_B, flip + op.b_zero_point + _SIGNED),
                (_ZERO_POINT, op.output_zero_point + _SIGNED),
                (_LOWEST, op.activation_min + _SIGNED),
                (_HIGHEST, op.activation_max + _SIGNED),
                (_FIRST, _OF_RESULT if op.room is None else 0),
                (_RECTIFIED, 1 if op.kind == "prelu" else 0),
                (_MINUS, 1 if op.kind == "sub" else 0),
                (_B3, b[3]),
            ),
        )
        for n in range(4):
            job[_N0 + n] = op.out_shape4[n]
            job[_A0 + n] = a[n]
            if n < 3:
                job[_B0 + n] = b[n]
        at = _SCALES + job[_FIRST]
        for n in range(len(op.scales)):
            multiplier, shift = op.scales[n]
            left = max(shift, 0) if op.room is None or n == 2 else op.room
            for value in (left,) + limbs(multiplier) + (max(-shift, 0),):
                job[at] = value
                at += 1
        self.job = job

    def run(self, sources, out):
        _two(0, 0, sources[0], sources[1], out, self.job)


@micropython.viper
def _two(p: int, q: int, a: ptr8, b: ptr8, out: ptr8, job: ptr32):
    """Sums, products, rectified items: fixedpoint.scale_high and rounding_shift of inputs, then of the result.

    s is the scale in use; total: the scaled item of a.
    """
    item = job[_ITEM]
    flip = job[_FLIP]
    zero_a = job[_ZERO_A] - _SIGNED
    zero_b = job[_ZERO_B] - _SIGNED
    zero_point = job[_ZERO_POINT] - _SIGNED
    lowest = job[_LOWEST] - job[_ZERO_POINT]
    highest = job[_HIGHEST] - job[_ZERO_POINT]
    least = 0  # of the items of a that are not multiplied: past all items where all are
    if job[_RECTIFIED] == 0:
        least = _SIGNED
    target = int(out)
    i = 0
    while i < job[_N0]:
        j = 0
        while j < job[_N1]:
            k = 0
            while k < job[_N2]:
                p = int(a) + i * job[_A0] + j * job[_A1] + k * job[_A2]
                q = int(b) + i * job[_B0] + j * job[_B1] + k * job[_B2]
                n = job[_N3]
                while n:
                    if item == 1:
                        v = (ptr8(p)[0] ^ flip) - zero_a
                        w = (ptr8(q)[0] ^ flip) - zero_b
                    else:
                        v = (ptr16(p)[0] ^ flip) - zero_a
                        w = (ptr16(q)[0] ^ flip) - zero_b
                    s = job[_FIRST]
                    if s == _OF_RESULT:
                        if v >= least:
                            s = _OF_ITEM
                        else:
                            v *= w
                    total = 0
                    while s < _END:
                        v <<= job[_SCALES + s]
                        low = v & 32767
                        v >>= 15
                        t = (low * job[_SCALES + 1 + s]) >> 10
                        t = (t + low * job[_SCALES + 2 + s]) >> 5
                        t = (t + v * job[_SCALES + 1 + s]) >> 5
                        t = (t + low * job[_SCALES + 3 + s]) >> 5
                        t = (t + v * job[_SCALES + 2 + s] + 32) >> 6
                        v = t + ((v * job[_SCALES + 3 + s]) << 4)
                        t = job[_SCALES + 4 + s]
                        if t:
                            v += v >> 31
                            v = (v >> t) + ((v >> (t - 1)) & 1)
                        if s == 0:
                            total = v
                            v = w
                        elif s == _OF_B:
                            if job[_MINUS]:
                                v = total - v
                            else:
                                v += total
                        else:
                            s = _END
                        s += 5
                    if v < lowest:
                        v = lowest
                    elif v > highest:
                        v = highest
                    v += zero_point
                    if item == 1:
                        ptr8(target)[0] = v
                    else:
                        ptr16(target)[0] = v
                    target += item
                    p += job[_A3]
                    q += job[_B3]
                    n -= 1
                k += 1
            j += 1
        i += 1
