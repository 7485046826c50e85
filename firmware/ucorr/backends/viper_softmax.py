"""Viper: softmax in 32-bit integers."""

import micropython
from micropython import const

from .viper_ops import Plan, job_of, sign_shift

# items of the job
_ROWS = const(0)
_CLASSES = const(1)
_CUT = const(2)  # 32 on a 64-bit machine, else 0
_LINE = const(3)  # 48/17, with 29 bits after the point; _SLOPE: 32/17; _ONE: 1 with 31
_SLOPE = const(4)
_ONE = const(5)
_V = const(6)  # _high's factors, the second one not negative
_M = const(7)
_PRODUCT = const(8)
_SOFTMAX_ITEMS = const(9)


class Softmax(Plan):
    def __init__(self, op):
        self.table = op.table
        self.job = job_of(
            _SOFTMAX_ITEMS,
            (
                (_ROWS, op.rows),
                (_CLASSES, op.classes),
                (_CUT, sign_shift()),
                (_LINE, op.line),
                (_SLOPE, -op.slope),
                (_ONE, 0x7FFFFFFF),
            ),
        )

    def run(self, sources, out):
        _softmax(0, 0, sources[0], out, self.table, self.job)


@micropython.viper
def _softmax(p: int, q: int, source: ptr8, out: ptr8, table: ptr32, items):
    """portable_ops.Softmax in 32-bit integers."""
    job = ptr32(items)
    cut = job[_CUT]
    first = int(source)
    q = int(out)
    rows = job[_ROWS]
    while rows:
        end = first + job[_CLASSES]
        most = 0
        p = first
        while p < end:
            u = ptr8(p)[0] ^ 128
            if u > most:
                most = u
            p += 1
        total = 0
        p = first
        while p < end:
            total += ((table[most - (ptr8(p)[0] ^ 128)] >> 11) + 1) >> 1
            p += 1
        shift = 34
        while total >> 30 == 0:
            total <<= 1
            shift -= 1
        job[_V] = 0 - job[_SLOPE]
        job[_M] = total
        _high(0, 0, items)
        x = job[_LINE] + (job[_PRODUCT] << cut >> cut)
        n = 3
        while n:
            job[_V] = total
            job[_M] = x
            _high(0, 0, items)
            job[_V] = (1 << 29) - (job[_PRODUCT] << cut >> cut)
            _high(0, 0, items)
            x += (job[_PRODUCT] << cut >> cut) << 2
            n -= 1
        if x >> 30:
            x = job[_ONE]
        else:
            x <<= 1
        m0 = x & 1023
        m1 = (x >> 10) & 1023
        m2 = x >> 20
        p = first
        while p < end:
            v = table[most - (ptr8(p)[0] ^ 128)]
            low = v & 32767
            v >>= 15
            t = (low * m0) >> 10
            t = (t + low * m1) >> 5
            t = (t + v * m0) >> 5
            t = (t + low * m2) >> 5
            t = (t + v * m1 + 32) >> 6
            v = t + ((v * m2) << 4)
            v = ((v >> (shift - 1)) + 1) >> 1
            if v > 255:
                v = 255
            ptr8(q)[0] = v ^ 128
            p += 1
            q += 1
        first = end
        rows -= 1


@micropython.viper
def _high(v: int, m: int, job: ptr32):
    """_PRODUCT = fixedpoint.scale_high(_V, limbs of _M). v and m are named to be registers."""
    v = job[_V] << job[_CUT] >> job[_CUT]
    m = job[_M]
    low = v & 32767
    v >>= 15
    t = (low * (m & 1023)) >> 10
    t = (t + low * ((m >> 10) & 1023)) >> 5
    t = (t + v * (m & 1023)) >> 5
    t = (t + low * (m >> 20)) >> 5
    t = (t + v * ((m >> 10) & 1023) + 32) >> 6
    job[_PRODUCT] = t + ((v * (m >> 20)) << 4)
