"""Viper: pools, the operators that walk windows over an image."""

import micropython
from micropython import const

from ..fixedpoint import ITEMSIZE
from .viper_ops import FLIPS, Plan, job_of

_SIGNED = const(1 << 20)  # added to job items that may be negative
# items of the job
_HEIGHT = const(0)
_WIDTH = const(1)
_CHANNELS = const(2)
_OUT_HEIGHT = const(3)
_OUT_WIDTH = const(4)
_SIZE_Y = const(5)
_SIZE_X = const(6)
_STRIDE_Y = const(7)
_STRIDE_X = const(8)
_TOP = const(9)
_LEFT = const(10)
_ITEM = const(11)  # bytes
_FLIP = const(12)
_AVERAGE = const(13)
_LOWEST = const(14)
_HIGHEST = const(15)
_POOL_ITEMS = const(16)


class Pool(Plan):
    def __init__(self, op):
        self.job = job_of(
            _POOL_ITEMS,
            (
                (_HEIGHT, op.shape[0]),
                (_WIDTH, op.shape[1]),
                (_CHANNELS, op.shape[2]),
                (_OUT_HEIGHT, op.out_shape[0]),
                (_OUT_WIDTH, op.out_shape[1]),
                (_SIZE_Y, op.size[0]),
                (_SIZE_X, op.size[1]),
                (_STRIDE_Y, op.stride[0]),
                (_STRIDE_X, op.stride[1]),
                (_TOP, op.padding[0][0]),
                (_LEFT, op.padding[1][0]),
                (_ITEM, ITEMSIZE[op.dtype]),
                (_FLIP, FLIPS[op.dtype]),
                (_AVERAGE, 1 if op.kind == "average_pool2d" else 0),
                (_LOWEST, op.activation_min + _SIGNED),
                (_HIGHEST, op.activation_max + _SIGNED),
            ),
        )

    def run(self, sources, out):
        _pool(0, 0, sources[0], out, self.job)


@micropython.viper
def _pool(p: int, q: int, source: ptr8, out: ptr8, job: ptr32):
    """Maxima, or sums divided by the count of items that are there. p goes through a window, q through the output."""
    item = job[_ITEM]
    flip = job[_FLIP]
    average = job[_AVERAGE]
    lowest = job[_LOWEST] - _SIGNED
    highest = job[_HIGHEST] - _SIGNED
    channels = job[_CHANNELS]
    step = channels * item
    row = job[_WIDTH] * step
    q = int(out)
    i = 0
    while i < job[_OUT_HEIGHT]:
        y = i * job[_STRIDE_Y] - job[_TOP]
        end = y + job[_SIZE_Y]
        if end > job[_HEIGHT]:
            end = job[_HEIGHT]
        if y < 0:
            y = 0
        j = 0
        while j < job[_OUT_WIDTH]:
            z = j * job[_STRIDE_X] - job[_LEFT]
            last = z + job[_SIZE_X]
            if last > job[_WIDTH]:
                last = job[_WIDTH]
            if z < 0:
                z = 0
            columns = last - z
            count = (end - y) * columns
            first = int(source) + y * row + z * step
            c = channels
            while c:
                value = 0
                line = first
                rows = end - y
                while rows:
                    p = line
                    n = columns
                    while n:
                        if item == 1:
                            u = ptr8(p)[0] ^ flip
                        else:
                            u = ptr16(p)[0] ^ flip
                        if average:
                            value += u
                        elif u > value:
                            value = u
                        p += step
                        n -= 1
                    line += row
                    rows -= 1
                if average:
                    value -= count * flip
                    half = count >> 1
                    if value < 0:
                        value = 0 - (half - value) // count
                    else:
                        value = (value + half) // count
                else:
                    value -= flip
                if value < lowest:
                    value = lowest
                elif value > highest:
                    value = highest
                if item == 1:
                    ptr8(q)[0] = value
                else:
                    ptr16(q)[0] = value
                q += item
                first += item
                c -= 1
            j += 1
        i += 1
