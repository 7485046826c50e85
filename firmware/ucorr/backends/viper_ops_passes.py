"""Layers without weights in viper; viper_ops.py fills the jobs that these functions read.

As in viper_passes.py: nothing allocates, addresses and sums never become Python ints, and the items of a
job that may be negative carry an offset, since a 64-bit machine loads them without sign. Data of 8 and 16
bits is loaded unsigned and its top bit flipped where it has a sign: the least item is 0.
"""

import micropython
from micropython import const

SIGNED = const(1 << 20)

# of a pool
HEIGHT = const(0)
WIDTH = const(1)
CHANNELS = const(2)
OUT_HEIGHT = const(3)
OUT_WIDTH = const(4)
SIZE_Y = const(5)
SIZE_X = const(6)
STRIDE_Y = const(7)
STRIDE_X = const(8)
TOP = const(9)
LEFT = const(10)
ITEM = const(11)  # bytes; here and for two inputs
FLIP = const(12)
AVERAGE = const(13)
LOWEST = const(14)
HIGHEST = const(15)
POOL_ITEMS = const(16)


@micropython.viper
def pool(p: int, q: int, source: ptr8, out: ptr8, job: ptr32):
    """Maxima, or sums divided by the count of items that are there. p goes through a window, q through the output."""
    item = job[ITEM]
    flip = job[FLIP]
    average = job[AVERAGE]
    lowest = job[LOWEST] - SIGNED
    highest = job[HIGHEST] - SIGNED
    channels = job[CHANNELS]
    step = channels * item
    row = job[WIDTH] * step
    q = int(out)
    i = 0
    while i < job[OUT_HEIGHT]:
        y = i * job[STRIDE_Y] - job[TOP]
        end = y + job[SIZE_Y]
        if end > job[HEIGHT]:
            end = job[HEIGHT]
        if y < 0:
            y = 0
        j = 0
        while j < job[OUT_WIDTH]:
            z = j * job[STRIDE_X] - job[LEFT]
            last = z + job[SIZE_X]
            if last > job[WIDTH]:
                last = job[WIDTH]
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


# of two inputs, which share ITEM, FLIP, LOWEST and HIGHEST
N0 = const(0)  # the output's dimensions
N1 = const(1)
N2 = const(2)
N3 = const(3)
A0 = const(4)  # bytes from one item of each dimension to the next, 0 where the input repeats
A1 = const(5)
A2 = const(6)
A3 = const(7)
B0 = const(8)
B1 = const(9)
B2 = const(10)
ZERO_A = const(13)  # in place of an item's offset: flip + zero point
ZERO_B = const(16)
ZERO_POINT = const(17)
FIRST = const(18)  # the first scale to take: those of a and b, or the last alone for products
MINUS = const(19)
B3 = const(20)
SCALES = const(21)  # left, three limbs, right: of a, of b, of the result
TWO_ITEMS = const(36)


@micropython.viper
def two(p: int, q: int, a: ptr8, b: ptr8, out: ptr8, job: ptr32):
    """Sums and products: fixedpoint.scale_high and rounding_shift of each input, then of what came of them."""
    item = job[ITEM]
    flip = job[FLIP]
    zero_a = job[ZERO_A] - SIGNED
    zero_b = job[ZERO_B] - SIGNED
    zero_point = job[ZERO_POINT] - SIGNED
    lowest = job[LOWEST] - job[ZERO_POINT]
    highest = job[HIGHEST] - job[ZERO_POINT]
    target = int(out)
    i = 0
    while i < job[N0]:
        j = 0
        while j < job[N1]:
            k = 0
            while k < job[N2]:
                p = int(a) + i * job[A0] + j * job[A1] + k * job[A2]
                q = int(b) + i * job[B0] + j * job[B1] + k * job[B2]
                n = job[N3]
                while n:
                    if item == 1:
                        v = (ptr8(p)[0] ^ flip) - zero_a
                        w = (ptr8(q)[0] ^ flip) - zero_b
                    else:
                        v = (ptr16(p)[0] ^ flip) - zero_a
                        w = (ptr16(q)[0] ^ flip) - zero_b
                    s = job[FIRST]
                    if s == 10:
                        v *= w
                    total = 0
                    while s < 15:
                        v <<= job[SCALES + s]
                        low = v & 32767
                        v >>= 15
                        t = (low * job[SCALES + 1 + s]) >> 10
                        t = (t + low * job[SCALES + 2 + s]) >> 5
                        t = (t + v * job[SCALES + 1 + s]) >> 5
                        t = (t + low * job[SCALES + 3 + s]) >> 5
                        t = (t + v * job[SCALES + 2 + s] + 32) >> 6
                        v = t + ((v * job[SCALES + 3 + s]) << 4)
                        t = job[SCALES + 4 + s]
                        if t:
                            v += v >> 31
                            v = (v >> t) + ((v >> (t - 1)) & 1)
                        if s == 0:
                            total = v
                            v = w
                        elif s == 5:
                            if job[MINUS]:
                                v = total - v
                            else:
                                v += total
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
                    p += job[A3]
                    q += job[B3]
                    n -= 1
                k += 1
            j += 1
        i += 1


@micropython.viper
def lookup(p: int, q: int, source: ptr8, out: ptr8, table: ptr8, length: int, flip: int):
    p = int(source)
    q = int(out)
    end = p + length
    while p < end:
        ptr8(q)[0] = table[ptr8(p)[0] ^ flip]
        p += 1
        q += 1


# of a softmax
ROWS = const(0)
CLASSES = const(1)
CUT = const(2)  # 32 on a 64-bit machine, else 0
LINE = const(3)  # 48/17, with 29 bits behind the point; SLOPE: 32/17; ONE: 1 with 31
SLOPE = const(4)
ONE = const(5)
V = const(6)  # _high's factors, the second one not negative
M = const(7)
PRODUCT = const(8)
SOFTMAX_ITEMS = const(9)


@micropython.viper
def softmax(p: int, q: int, source: ptr8, out: ptr8, table: ptr32, items):
    """portable_ops.Softmax in words of 32 bits."""
    job = ptr32(items)
    cut = job[CUT]
    first = int(source)
    q = int(out)
    rows = job[ROWS]
    while rows:
        end = first + job[CLASSES]
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
        job[V] = 0 - job[SLOPE]
        job[M] = total
        _high(0, 0, items)
        x = job[LINE] + (job[PRODUCT] << cut >> cut)
        n = 3
        while n:
            job[V] = total
            job[M] = x
            _high(0, 0, items)
            job[V] = (1 << 29) - (job[PRODUCT] << cut >> cut)
            _high(0, 0, items)
            x += (job[PRODUCT] << cut >> cut) << 2
            n -= 1
        if x >> 30:
            x = job[ONE]
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
    """PRODUCT = fixedpoint.scale_high(V, limbs of M). v and m are named to be registers."""
    v = job[V] << job[CUT] >> job[CUT]
    m = job[M]
    low = v & 32767
    v >>= 15
    t = (low * (m & 1023)) >> 10
    t = (t + low * ((m >> 10) & 1023)) >> 5
    t = (t + v * (m & 1023)) >> 5
    t = (t + low * (m >> 20)) >> 5
    t = (t + v * ((m >> 10) & 1023) + 32) >> 6
    job[PRODUCT] = t + ((v * (m >> 20)) << 4)


# of a move
COUNT0 = const(0)
COUNT1 = const(1)
COUNT2 = const(2)
FROM0 = const(3)  # bytes from one run to the next, in the input and in the output
FROM1 = const(4)
FROM2 = const(5)
TO0 = const(6)
TO1 = const(7)
TO2 = const(8)
FROM = const(9)  # the first byte
TO = const(10)
RUN = const(11)  # bytes
MOVE_ITEMS = const(12)


@micropython.viper
def move(p: int, q: int, source: ptr8, out: ptr8, job: ptr32):
    """Runs of bytes to other places."""
    run = job[RUN]
    i = 0
    while i < job[COUNT0]:
        j = 0
        while j < job[COUNT1]:
            k = 0
            while k < job[COUNT2]:
                p = int(source) + job[FROM] + i * job[FROM0] + j * job[FROM1] + k * job[FROM2]
                q = int(out) + job[TO] + i * job[TO0] + j * job[TO1] + k * job[TO2]
                end = p + run
                while p < end:
                    ptr8(q)[0] = ptr8(p)[0]
                    p += 1
                    q += 1
                k += 1
            j += 1
        i += 1


@micropython.viper
def fill(p: int, q: int, out: ptr8, length: int, low: int, high: int):
    """Pairs of bytes, low and high, to the output; `length` bytes in all."""
    p = int(out)
    q = p + (length & -2)
    while p < q:
        ptr8(p)[0] = low
        ptr8(p)[1] = high
        p += 2
    if length & 1:
        ptr8(p)[0] = low
