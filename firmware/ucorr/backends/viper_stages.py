"""The three stages of the viper backend, and the job: the array of integers that they read and pass to each other.

viper.py says what the stages do and how scratch and weights are laid out.

Each stage is a function of its own because ARMv6-M's branches reach 2 kB, and one
call per stage and row costs little. Addresses and accumulators never become Python ints:
the stages pass them in the job, an array of 32-bit items. On a 64-bit machine viper
loads these unsigned, so items that may be negative carry an offset, and accumulators
are sign-extended from 32 bits by two shifts of CUT.

Viper keeps a function's first two locals in registers: the two moving pointers
come first for that reason alone. Nothing here allocates.

One long file, because const() folds names within a file only: an index looked up in
another module would cost a dictionary lookup in every stage.
"""

import micropython
from micropython import const

SIGNED = const(1 << 20)  # added to job items that may be negative

# the job: what a layer is...
HEIGHT = const(0)
WIDTH = const(1)
CHANNELS = const(2)
PITCH = const(3)  # bytes
GROUPS = const(4)
DEPTH = const(5)  # input channels per group
PER_GROUP = const(6)  # output channels per group
KERNEL_ROWS = const(7)
TAPS = const(8)
OUT_HEIGHT = const(9)
OUT_WIDTH = const(10)
STRIDE_Y = const(11)
STRIDE_X = const(12)
DILATION_Y = const(13)
DILATION_X = const(14)  # also the number of phases
TOP = const(15)
LEFT = const(16)
BOTTOM = const(17)
EXTENT = const(18)  # columns under the kernel, dilation counted
STRIP = const(19)  # output positions per strip
FILL = const(20)  # the border's constant, offset added
FLIP = const(21)
MODE = const(22)
KIND = const(23)
IN_SIZE = const(24)  # bytes per item
OUT_SIZE = const(25)
ZERO_POINT = const(26)
LOWEST = const(27)
HIGHEST = const(28)
CUT = const(29)  # 32 on a 64-bit machine, else 0
COLUMN_BYTES = const(30)  # of scratch
PHASE_BYTES = const(31)
GROUP_BYTES = const(32)
SUMS = const(33)  # index in scratch, in 4-byte words, of the first accumulator
KEPT_ROWS = const(34)  # kernel rows that the next output row sees again, if it slides
SLIDE = const(35)  # bytes by which the windows slide through scratch per output row; 0: they stay
SLIDE_END = const(36)  # past this they go back to the start, and every row is filled again
PADDED = const(37)  # taps and the zero weights that complete a block
SIZE = const(38)  # bytes per item of scratch
DOUBLE = const(39)  # 1 for double rounding, 0 for single
# ... and the current position of the stages
ROW = const(40)  # input row under the first kernel row
COLUMN = const(41)  # input column under the first kernel column
KEPT = const(42)  # kernel rows that need no filling
BASE = const(43)  # bytes that the windows have slid
POSITIONS = const(44)  # in this strip
AT = const(45)  # the first output item
SUM = const(46)  # index of the strip's first accumulator
JOB_ITEMS = const(47)

NARROW = const(0)  # modes
WIDE8 = const(1)
WIDE16 = const(2)
LONG = const(3)
FUSED = const(4)

EXACT = const(0)  # kinds, with the scale of a channel
SHIFT = const(1)  # left, right; in mode FUSED as NEAR
TFLITE = const(2)  # left, right, three limbs of 10, 10, 11 bits, what (2) adds at weight 2**25
PAIR = const(3)  # multiplier, shift - 1, whether halves go away from zero
NEAR = const(4)  # the three limbs, right - 1


@micropython.viper
def correlate(x, out, scratch, weights, starts, scales, edges, windows, items):
    """The stages of every strip, row by row."""
    job = ptr32(items)
    mode = job[MODE]
    kind = job[KIND]
    out_width = job[OUT_WIDTH]
    out_channels = job[GROUPS] * job[PER_GROUP]
    sums = scratch
    if kind == EXACT:
        sums = out
    ox = 0
    while ox < out_width:
        positions = out_width - ox
        if positions > job[STRIP]:
            positions = job[STRIP]
        job[POSITIONS] = positions
        job[COLUMN] = ox * job[STRIDE_X] - job[LEFT] + SIGNED
        job[KEPT] = 0
        job[BASE] = 0
        oy = 0
        while oy < job[OUT_HEIGHT]:
            job[ROW] = oy * job[STRIDE_Y] - job[TOP] + SIGNED
            job[AT] = (oy * out_width + ox) * out_channels
            job[SUM] = job[AT]
            if kind != EXACT:
                job[SUM] = job[SUMS]
            _fill(0, 0, x, scratch, edges, items)
            if mode == FUSED:
                _fused(0, 0, scratch, weights, starts, scales, out, items)
            elif mode == NARROW:
                _dot_narrow(0, 0, scratch, weights, starts, windows, sums, items)
            elif mode == LONG:
                _dot_long(0, 0, scratch, weights, starts, windows, sums, items)
                if kind == TFLITE:
                    _limit(0, 0, scratch, scales, items)
            else:
                _dot_wide(0, 0, scratch, weights, starts, windows, sums, items)
            if mode != FUSED:
                if kind == NEAR:
                    _scale_near(0, 0, scratch, scales, out, items)
                elif kind == PAIR:
                    _scale_pair(0, 0, scratch, scales, out, items)
                elif kind != EXACT:
                    _scale(0, 0, scratch, scales, out, items)
            job[KEPT] = job[KEPT_ROWS]
            job[BASE] = job[BASE] + job[SLIDE]
            if job[BASE] > job[SLIDE_END]:
                job[BASE] = 0
                job[KEPT] = 0
            oy += 1
        ox += positions


@micropython.viper
def _fill(x: int, w: int, src: ptr8, scratch: ptr8, edges: ptr16, job: ptr32):
    """Stage 1: copy the columns of a strip to scratch, one kernel row at a time, signs flipped.

        for kernel row a that windows do not hold yet:
            source row: of the image, or by `edges` of the border
            for phase of the dilation, for column p of the strip in it:
                source column: of the image, or by `edges`
                one of three copies, to scratch[group][phase][column p][row a]:
                    the border's constant, depth items of each group
                    items of one byte: m columns of the one group, or one column of all groups
                    items of depth channels, m columns, group by group

    x points into scratch, w into the input. Without phases and groups, one copy takes m columns that are adjacent
    in the image.
    """
    height = job[HEIGHT]
    width = job[WIDTH]
    depth = job[DEPTH]
    groups = job[GROUPS]
    phases = job[DILATION_X]
    flip = job[FLIP]
    in_size = job[IN_SIZE]
    size = job[SIZE]
    column_bytes = job[COLUMN_BYTES]
    group_bytes = job[GROUP_BYTES]
    step = job[CHANNELS] * in_size
    item = depth * size
    spread = 0  # one byte for each of several groups: a column is copied across them
    if item == 1:
        spread = groups - 1
    lefts = job[TOP] + job[BOTTOM]  # where the left columns start in edges
    first = job[COLUMN] - SIGNED
    columns = (job[POSITIONS] - 1) * job[STRIDE_X] + job[EXTENT]
    a = job[KEPT]
    row = job[ROW] - SIGNED + a * job[DILATION_Y]
    while a < job[KERNEL_ROWS]:
        source_row = row
        if row < 0:
            source_row = edges[row + job[TOP]]
        elif row >= height:
            source_row = edges[row - height + job[TOP]]
        line = int(src) + source_row * job[PITCH]
        phase = 0
        while phase < phases:
            target = int(scratch) + job[BASE] + a * item + phase * job[PHASE_BYTES]
            p = phase
            while p < columns:
                column = first + p
                m = 1  # columns that one copy takes
                if column < 0:
                    column = edges[lefts + job[LEFT] + column]
                elif column >= width:
                    column = edges[lefts + job[LEFT] + column - width]
                elif phases + spread == 1 and source_row != 65535:
                    m = width - column
                    if m > columns - p:
                        m = columns - p
                p += m * phases
                source = line + column * step
                if source_row == 65535 or column == 65535:
                    g = groups
                    x = target
                    while g:
                        c = depth
                        while c:
                            if size == 1:
                                ptr8(x)[0] = job[FILL]
                            else:
                                ptr16(x)[0] = job[FILL]
                            x += size
                            c -= 1
                        x += group_bytes - item
                        g -= 1
                elif item == 1:
                    x = target
                    w = source
                    c = m + spread  # the columns of one group, or the groups of one column
                    stride = column_bytes
                    if spread:
                        stride = group_bytes
                    while c >= 4:
                        ptr8(x)[0] = ptr8(w)[0] ^ flip
                        x += stride
                        ptr8(x)[0] = ptr8(w)[1] ^ flip
                        x += stride
                        ptr8(x)[0] = ptr8(w)[2] ^ flip
                        x += stride
                        ptr8(x)[0] = ptr8(w)[3] ^ flip
                        x += stride
                        w += 4
                        c -= 4
                    while c:
                        ptr8(x)[0] = ptr8(w)[0] ^ flip
                        x += stride
                        w += 1
                        c -= 1
                else:
                    g = 0
                    while g < groups:
                        x = target + g * group_bytes
                        w = source + g * depth * in_size
                        n = m
                        while n:
                            c = depth
                            if size == 1:
                                while c >= 4:
                                    ptr8(x)[0] = ptr8(w)[0] ^ flip
                                    ptr8(x)[1] = ptr8(w)[1] ^ flip
                                    ptr8(x)[2] = ptr8(w)[2] ^ flip
                                    ptr8(x)[3] = ptr8(w)[3] ^ flip
                                    x += 4
                                    w += 4
                                    c -= 4
                                while c:
                                    ptr8(x)[0] = ptr8(w)[0] ^ flip
                                    x += 1
                                    w += 1
                                    c -= 1
                            else:
                                while c:
                                    if in_size == 2:
                                        ptr16(x)[0] = ptr16(w)[0] ^ flip
                                    else:
                                        ptr16(x)[0] = ptr8(w)[0] ^ flip
                                    x += 2
                                    w += in_size
                                    c -= 1
                            x += column_bytes - item
                            w += step - depth * in_size
                            n -= 1
                        g += 1
                target += m * column_bytes
            phase += 1
        row += job[DILATION_Y]
        a += 1


@micropython.viper
def _dot_narrow(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Stage 2, 8-bit data and weights of 1 byte: 128 * sum(u) is found once per window and group."""
    per_group = job[PER_GROUP]
    padded = job[PADDED]
    blocks = padded & -16
    target = int(sums) + 4 * job[SUM]
    p = 0
    while p < job[POSITIONS]:
        base = int(scratch) + job[BASE] + windows[p]
        w = int(weights)
        start = int(starts)
        g = job[GROUPS]
        while g:
            stop = base + blocks
            end = base + padded
            common = 0
            x = base
            while x < end:
                common += ptr8(x)[0] + ptr8(x)[1] + ptr8(x)[2] + ptr8(x)[3]
                x += 4
            common <<= 7
            o = per_group
            while o:
                x = base
                acc = ptr32(start)[0] - common
                while x < stop:
                    acc += (
                        ptr8(x)[0] * ptr8(w)[0]
                        + ptr8(x)[1] * ptr8(w)[1]
                        + ptr8(x)[2] * ptr8(w)[2]
                        + ptr8(x)[3] * ptr8(w)[3]
                        + ptr8(x)[4] * ptr8(w)[4]
                        + ptr8(x)[5] * ptr8(w)[5]
                        + ptr8(x)[6] * ptr8(w)[6]
                        + ptr8(x)[7] * ptr8(w)[7]
                        + ptr8(x)[8] * ptr8(w)[8]
                        + ptr8(x)[9] * ptr8(w)[9]
                        + ptr8(x)[10] * ptr8(w)[10]
                        + ptr8(x)[11] * ptr8(w)[11]
                        + ptr8(x)[12] * ptr8(w)[12]
                        + ptr8(x)[13] * ptr8(w)[13]
                        + ptr8(x)[14] * ptr8(w)[14]
                        + ptr8(x)[15] * ptr8(w)[15]
                    )
                    x += 16
                    w += 16
                while x < end:
                    acc += (
                        ptr8(x)[0] * ptr8(w)[0]
                        + ptr8(x)[1] * ptr8(w)[1]
                        + ptr8(x)[2] * ptr8(w)[2]
                        + ptr8(x)[3] * ptr8(w)[3]
                    )
                    x += 4
                    w += 4
                ptr32(target)[0] = acc
                target += 4
                start += 4
                o -= 1
            base += job[GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _dot_wide(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Stage 2, data of 8 or 16 bits and weights of 4 bytes."""
    wide_data = job[SIZE] == 2
    per_group = job[PER_GROUP]
    length = job[PADDED] * job[SIZE]
    blocks = length & -8
    target = int(sums) + 4 * job[SUM]
    p = 0
    while p < job[POSITIONS]:
        base = int(scratch) + job[BASE] + windows[p]
        w = int(weights)
        start = int(starts)
        g = job[GROUPS]
        while g:
            stop = base + blocks
            end = base + length
            o = per_group
            while o:
                x = base
                acc = ptr32(start)[0]
                if wide_data:
                    while x < end:
                        acc += (
                            ptr16(x)[0] * ptr32(w)[0]
                            + ptr16(x)[1] * ptr32(w)[1]
                            + ptr16(x)[2] * ptr32(w)[2]
                            + ptr16(x)[3] * ptr32(w)[3]
                        )
                        x += 8
                        w += 16
                while x < stop:
                    acc += (
                        ptr8(x)[0] * ptr32(w)[0]
                        + ptr8(x)[1] * ptr32(w)[1]
                        + ptr8(x)[2] * ptr32(w)[2]
                        + ptr8(x)[3] * ptr32(w)[3]
                        + ptr8(x)[4] * ptr32(w)[4]
                        + ptr8(x)[5] * ptr32(w)[5]
                        + ptr8(x)[6] * ptr32(w)[6]
                        + ptr8(x)[7] * ptr32(w)[7]
                    )
                    x += 8
                    w += 32
                while x < end:
                    acc += (
                        ptr8(x)[0] * ptr32(w)[0]
                        + ptr8(x)[1] * ptr32(w)[1]
                        + ptr8(x)[2] * ptr32(w)[2]
                        + ptr8(x)[3] * ptr32(w)[3]
                    )
                    x += 4
                    w += 16
                ptr32(target)[0] = acc
                target += 4
                start += 4
                o -= 1
            base += job[GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _dot_long(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Stage 2 with a 64-bit accumulator, kept and left as a pair: sum = high * 2**16 + low."""
    per_group = job[PER_GROUP]
    taps = job[TAPS]
    cut = job[CUT]
    at = job[SUM]
    p = 0
    while p < job[POSITIONS]:
        base = int(scratch) + job[BASE] + windows[p]
        w = int(weights)
        channel = 0
        g = job[GROUPS]
        while g:
            o = per_group
            while o:
                x = base
                k = taps
                high = starts[channel]
                low = starts[channel + 1]
                while k:
                    acc = (ptr16(x)[0] * ptr32(w)[0]) << cut >> cut  # 65535 * 32768 < 2**31
                    high += acc >> 16
                    low += acc & 65535  # 32767 taps keep low under 2**31
                    x += 2
                    w += 4
                    k -= 1
                sums[at] = high + (low >> 16)
                sums[at + 1] = low & 65535
                at += 2
                channel += 2
                o -= 1
            base += job[GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _limit(x: int, w: int, sums: ptr32, scales: ptr32, job: ptr32):
    """Turn (high, low) pairs into 32-bit accumulators, limited so that the left shift does not overflow. x reads, w
    writes after it."""
    cut = job[CUT]
    channels = job[GROUPS] * job[PER_GROUP]
    n = job[POSITIONS] * channels
    x = int(sums) + 4 * job[SUM]
    w = x
    o = 0
    while n:
        high = ptr32(x)[0] << cut >> cut
        acc = (high << 16) + ptr32(x)[1]
        most = 32767  # 2**31 - 1 at once is no small int
        most = ((most << 16) + 65535) >> scales[o]
        if high > 32767 or (high >= 0 and acc > most):
            acc = most
        elif high < 0 - 32768 or (high < 0 and acc < 0 - most):
            acc = 0 - most
        ptr32(w)[0] = acc
        x += 8
        w += 4
        o += 6
        if o == 6 * channels:
            o = 0
        n -= 1


@micropython.viper
def _fused(x: int, w: int, scratch: ptr8, weights: ptr32, starts: ptr32, scales: ptr32, out: ptr8, job: ptr32):
    """Stages 2 and 3 in one for image filters and depthwise layers: accumulators are scaled at once, not stored.
    9 taps are 3x3, 25 are 5x5."""
    near = job[KIND] == NEAR
    cut = job[CUT]
    lowest = job[LOWEST] - SIGNED
    highest = job[HIGHEST] - SIGNED
    zero_point = 2 * (job[ZERO_POINT] - SIGNED) + 1
    padded = job[PADDED]
    per_group = job[PER_GROUP]
    channels = job[GROUPS] * per_group
    step = job[STRIDE_X] * job[COLUMN_BYTES]
    first = int(scratch) + job[BASE]
    w = int(weights)
    last = 0
    channel = 0
    while channel < channels:
        start = starts[channel]
        m0 = scales[4 * channel]
        m1 = scales[4 * channel + 1]
        m2 = scales[4 * channel + 2]
        right = scales[4 * channel + 3]
        target = int(out) + job[AT] + channel
        end = target + job[POSITIONS] * channels
        x = first
        while target < end:
            acc = start + (
                ptr8(x)[0] * ptr32(w)[0]
                + ptr8(x)[1] * ptr32(w)[1]
                + ptr8(x)[2] * ptr32(w)[2]
                + ptr8(x)[3] * ptr32(w)[3]
                + ptr8(x)[4] * ptr32(w)[4]
                + ptr8(x)[5] * ptr32(w)[5]
                + ptr8(x)[6] * ptr32(w)[6]
                + ptr8(x)[7] * ptr32(w)[7]
                + ptr8(x)[8] * ptr32(w)[8]
            )
            if padded > 9:
                acc += (
                    ptr8(x)[9] * ptr32(w)[9]
                    + ptr8(x)[10] * ptr32(w)[10]
                    + ptr8(x)[11] * ptr32(w)[11]
                    + ptr8(x)[12] * ptr32(w)[12]
                    + ptr8(x)[13] * ptr32(w)[13]
                    + ptr8(x)[14] * ptr32(w)[14]
                    + ptr8(x)[15] * ptr32(w)[15]
                    + ptr8(x)[16] * ptr32(w)[16]
                )
                if padded > 17:
                    acc += (
                        ptr8(x)[17] * ptr32(w)[17]
                        + ptr8(x)[18] * ptr32(w)[18]
                        + ptr8(x)[19] * ptr32(w)[19]
                        + ptr8(x)[20] * ptr32(w)[20]
                        + ptr8(x)[21] * ptr32(w)[21]
                        + ptr8(x)[22] * ptr32(w)[22]
                        + ptr8(x)[23] * ptr32(w)[23]
                        + ptr8(x)[24] * ptr32(w)[24]
                    )
                    n = padded - 25
                    while n:
                        x += 8
                        w += 32
                        acc += (
                            ptr8(x)[17] * ptr32(w)[17]
                            + ptr8(x)[18] * ptr32(w)[18]
                            + ptr8(x)[19] * ptr32(w)[19]
                            + ptr8(x)[20] * ptr32(w)[20]
                            + ptr8(x)[21] * ptr32(w)[21]
                            + ptr8(x)[22] * ptr32(w)[22]
                            + ptr8(x)[23] * ptr32(w)[23]
                            + ptr8(x)[24] * ptr32(w)[24]
                        )
                        n -= 8
                    x -= padded - 25
                    w -= 4 * (padded - 25)
            if cut:
                acc = acc << cut >> cut
            if near:  # fixedpoint.scale_high of 20 bits
                t = (acc * m0) >> 10
                t = (t + acc * m1) >> 10
                acc = (t + acc * m2 + 1024) >> 11
            acc += acc >> 31  # fixedpoint.rounding_shift, the zero point doubled before the last bit goes
            acc = ((acc >> right) + zero_point) >> 1
            if acc < lowest:
                acc = lowest
            elif acc > highest:
                acc = highest
            ptr8(target)[0] = acc
            target += channels
            x += step
        w += 4 * padded
        channel += 1
        last += 1
        if last == per_group:
            last = 0
            first += job[GROUP_BYTES]


@micropython.viper
def _scale_near(x: int, w: int, sums: ptr32, scales: ptr8, out: ptr8, job: ptr32):
    """Stage 3 for |acc| < 2**20 and right shifts only (_is_near). x points to accumulators, w to scales."""
    cut = job[CUT]
    lowest = job[LOWEST] - SIGNED
    highest = job[HIGHEST] - SIGNED
    zero_point = 2 * (job[ZERO_POINT] - SIGNED) + 1
    end = int(scales) + 16 * job[GROUPS] * job[PER_GROUP]
    target = int(out) + job[AT]
    x = int(sums) + 4 * job[SUM]
    n = job[POSITIONS]
    while n:
        w = int(scales)
        while w < end:
            acc = ptr32(x)[0]
            if cut:
                acc = acc << cut >> cut
            t = (acc * ptr32(w)[0]) >> 10  # fixedpoint.scale_high of 20 bits
            t = (t + acc * ptr32(w)[1]) >> 10
            acc = (t + acc * ptr32(w)[2] + 1024) >> 11
            acc += acc >> 31  # fixedpoint.rounding_shift, the zero point doubled before the last bit goes
            acc = ((acc >> ptr32(w)[3]) + zero_point) >> 1
            if acc < lowest:
                acc = lowest
            elif acc > highest:
                acc = highest
            ptr8(target)[0] = acc
            x += 4
            w += 16
            target += 1
        n -= 1


@micropython.viper
def _scale(x: int, w: int, sums: ptr32, scales: ptr8, out: ptr8, job: ptr32):
    """Stage 3, 32 bits: fixedpoint.requantize. x points to accumulators, w to scales."""
    tflite = job[KIND] == TFLITE
    lowered = 0 - job[DOUBLE]
    cut = job[CUT]
    zero_point = job[ZERO_POINT] - SIGNED
    lowest = job[LOWEST] - job[ZERO_POINT]
    highest = job[HIGHEST] - job[ZERO_POINT]
    size = job[OUT_SIZE]
    channels = job[GROUPS] * job[PER_GROUP]
    end = int(scales) + 8 * channels
    if tflite:
        end += 16 * channels
    target = int(out) + job[AT] * size
    x = int(sums) + 4 * job[SUM]
    n = job[POSITIONS]
    while n:
        w = int(scales)
        while w < end:
            acc = ptr32(x)[0]
            if cut:
                acc = acc << cut >> cut
            acc <<= ptr32(w)[0]
            k = ptr32(w)[1]
            if tflite:  # fixedpoint.scale_high
                low = acc & 32767
                acc >>= 15
                t = (low * ptr32(w)[2]) >> 10
                t = (t + low * ptr32(w)[3]) >> 5
                t = (t + acc * ptr32(w)[2]) >> 5
                t = (t + low * ptr32(w)[4]) >> 5
                t = (t + acc * ptr32(w)[3] + ptr32(w)[5]) >> 6
                acc = t + ((acc * ptr32(w)[4]) << 4)
                w += 16
            if k:  # fixedpoint.rounding_shift
                acc += acc >> 31 & lowered
                acc = (acc >> k) + ((acc >> (k - 1)) & 1)
            if acc < lowest:  # less the zero point: adding that first could pass 32 bits
                acc = lowest
            elif acc > highest:
                acc = highest
            if size == 1:
                ptr8(target)[0] = acc + zero_point
            else:
                ptr16(target)[0] = acc + zero_point
            x += 4
            w += 8
            target += size
        n -= 1


@micropython.viper
def _scale_pair(x: int, w: int, sums: ptr32, scales: ptr8, out: ptr8, job: ptr32):
    """Stage 3, 64 bits: (high, low) * multiplier as limbs of 32, 16 and 16 bits, then >> shift - 1 and round."""
    zero_point = job[ZERO_POINT] - SIGNED
    lowest = job[LOWEST] - job[ZERO_POINT]
    highest = job[HIGHEST] - job[ZERO_POINT]
    cut = job[CUT]
    channels = job[GROUPS] * job[PER_GROUP]
    at = job[AT]
    end = at + job[POSITIONS] * channels
    x = int(sums) + 4 * job[SUM]
    o = 0
    while at < end:
        if o == 0:
            w = int(scales)
            o = channels
        high = ptr32(x)[0] << cut >> cut
        low = ptr32(x)[1]
        if ptr32(w)[2]:
            if high < 0:
                low -= 1
                if low < 0:
                    low = 65535
                    high -= 1
        k = ptr32(w)[0]
        low *= k
        acc = (high & 65535) * k + (low >> 16)
        high = (high >> 16) * k + (acc >> 16)
        k = ptr32(w)[1]
        acc &= 65535
        if k >= 32:
            acc = high >> (k - 32)
        elif high >= 1 << (k - 4):  # past every output range
            acc = 1 << 24
        elif high < 0 - (1 << (k - 4)):
            acc = 0 - (1 << 24)
        elif k >= 16:
            acc = (high << (32 - k)) + (acc >> (k - 16))
        else:
            acc = (high << (32 - k)) + (acc << (16 - k)) + ((low & 65535) >> k)
        acc = (acc + 1) >> 1
        if acc < lowest:
            acc = lowest
        elif acc > highest:
            acc = highest
        if job[OUT_SIZE] == 1:
            out[at] = acc + zero_point
        else:
            ptr16(out)[at] = acc + zero_point
        x += 8
        w += 12
        at += 1
        o -= 1
