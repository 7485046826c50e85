"""Viper: lookup tables, and thresholds of accumulators."""

import micropython
from micropython import const

from .viper_ops import FLIPS, Plan, job_of, sign_shift

_SIGNED = const(1 << 20)  # added to job items that may be negative
# items of the job of thresholds
_ROWS = const(0)
_CLASSES = const(1)
_CUT = const(2)  # 32 on a 64-bit machine, else 0
_COUNT = const(3)  # of the thresholds of a set
_STEP = const(4)  # items from a channel's set to the next one's
_LEAST = const(5)
_THRESHOLDS_ITEMS = const(6)


class Lookup(Plan):
    def __init__(self, op):
        self.table, self.length, self.flip = op.table, op.output_length, FLIPS[op.dtype]

    def run(self, sources, out):
        _lookup(0, 0, sources[0], out, self.table, self.length, self.flip)


@micropython.viper
def _lookup(p: int, q: int, source: ptr8, out: ptr8, table: ptr8, length: int, flip: int):
    p = int(source)
    q = int(out)
    end = p + length
    while p < end:
        ptr8(q)[0] = table[ptr8(p)[0] ^ flip]
        p += 1
        q += 1


class Thresholds(Plan):
    def __init__(self, op):
        self.table = op.table
        self.job = job_of(
            _THRESHOLDS_ITEMS,
            (
                (_ROWS, op.rows),
                (_CLASSES, op.channels),
                (_CUT, sign_shift()),
                (_COUNT, op.count),
                (_STEP, op.step),
                (_LEAST, op.least + _SIGNED),
            ),
        )

    def run(self, sources, out):
        _thresholds(0, 0, sources[0], out, self.table, self.job)


@micropython.viper
def _thresholds(p: int, q: int, source: ptr32, out: ptr8, table: ptr32, job: ptr32):
    """portable_ops.Thresholds: p goes through x, q through out."""
    cut = job[_CUT]
    least = job[_LEAST] - _SIGNED
    rows = job[_ROWS]
    while rows:
        first = 0
        c = job[_CLASSES]
        while c:
            value = source[p] << cut >> cut
            low = first
            high = first + job[_COUNT]
            while low < high:
                middle = (low + high) >> 1
                if value < (table[middle] << cut >> cut):
                    high = middle
                else:
                    low = middle + 1
            out[q] = least + low - first
            first += job[_STEP]
            p += 1
            q += 1
            c -= 1
        rows -= 1
