"""Viper: operators that copy runs of items: pads, concatenations, spread images."""

from array import array

import micropython
from micropython import const

from ..fixedpoint import ITEMSIZE
from .viper_ops import Plan

# items of a job
_COUNT0 = const(0)
_COUNT1 = const(1)
_COUNT2 = const(2)
_FROM0 = const(3)  # bytes from one run to the next, in the input and in the output
_FROM1 = const(4)
_FROM2 = const(5)
_TO0 = const(6)
_TO1 = const(7)
_TO2 = const(8)
_FROM = const(9)  # the first byte
_TO = const(10)
_RUN = const(11)  # bytes
_MOVE_ITEMS = const(12)


class Moves(Plan):
    def __init__(self, op):
        item = ITEMSIZE[op.dtype]
        self.bytes = 0 if op.value is None else op.output_length * item
        value = op.value or 0
        self.low, self.high = value & 255, (value >> 8 if item == 2 else value) & 255
        self.moves = []
        for source, first, target, counts, inner, wide, run in op.moves:
            values = tuple(counts) + tuple([n * item for n in tuple(inner) + tuple(wide) + (first, target, run)])
            self.moves.append((source, array("i", values)))

    def run(self, sources, out):
        if self.bytes:
            _fill(0, 0, out, self.bytes, self.low, self.high)
        for move in self.moves:  # a list: taking a pair apart allocates nothing
            _move(0, 0, sources[move[0]], out, move[1])


@micropython.viper
def _move(p: int, q: int, source: ptr8, out: ptr8, job: ptr32):
    """Runs of bytes to other places."""
    run = job[_RUN]
    i = 0
    while i < job[_COUNT0]:
        j = 0
        while j < job[_COUNT1]:
            k = 0
            while k < job[_COUNT2]:
                p = int(source) + job[_FROM] + i * job[_FROM0] + j * job[_FROM1] + k * job[_FROM2]
                q = int(out) + job[_TO] + i * job[_TO0] + j * job[_TO1] + k * job[_TO2]
                end = p + run
                while p < end:
                    ptr8(q)[0] = ptr8(p)[0]
                    p += 1
                    q += 1
                k += 1
            j += 1
        i += 1


@micropython.viper
def _fill(p: int, q: int, out: ptr8, length: int, low: int, high: int):
    """Pairs of bytes, low and high, to the output; `length` bytes in all."""
    p = int(out)
    q = p + (length & -2)
    while p < q:
        ptr8(p)[0] = low
        ptr8(p)[1] = high
        p += 2
    if length & 1:
        ptr8(p)[0] = low
