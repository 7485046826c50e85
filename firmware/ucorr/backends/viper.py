"""Viper: the whole layer in one call of natively compiled code, on any port that has an emitter.

The layer is walked one strip of output positions at a time, in three passes:

1. *Fill.* The input columns that the strip sees are copied to scratch so that the
   taps of a window are consecutive. A column holds its kh rows of `depth`
   channels; columns follow each other, those of one dilation phase together:

       scratch[group][phase][column][kernel row][channel]

   Where the weights are few, the rows of a column are a ring: an output row
   copies only the input rows that the one above it has not seen, and meets them
   with a copy of the weights whose rows are rotated as the ring is.

   Borders, pitch, strides and dilation end here, and so do signs: viper's byte
   and halfword loads are unsigned, so signed data is stored with its top bit
   flipped, u = x + offset with offset 128 or 32768.

2. *Dot.* Each output channel is one run of `taps` products from a moving pointer.
   With effective weights k (kernel_zero_point taken off) and start[o] =
   bias - (input_zero_point + offset) * sum(k):

       wide   weights 4 bytes:  acc = start + sum(u * k)
       narrow weights 1 byte v = k + 128:  acc = start - 128 * sum(u) + sum(u * v)

   Sums may wrap in between: the proven bound puts the accumulator itself inside
   32 bits, and modulo 2**32 is exact there. Where the bound fails, a (high, low)
   pair with a 16-bit low half is kept.

3. *Scale.* Requantise and store, as fixedpoint.py defines it. Exact accumulators
   need no such pass: they are summed into the output itself.

Each pass is a function of its own because ARMv6-M's branches reach 2 kB, and one
call per pass and strip costs little. Addresses and sums never become Python ints:
what the passes tell each other stands in the job, an array of 32-bit items.
On a 64-bit machine its loads come without sign, so items that may be negative
carry an offset, and sums are cut back to 32 bits by two shifts of `cut`.

Viper keeps a function's first two locals in registers: the two moving pointers
come first for that reason alone. Nothing here allocates.
"""

import sys
from array import array

import micropython
from micropython import const

from ..fixedpoint import ITEMSIZE, limbs, reduced
from ..spec import source_index

_SCRATCH_BUDGET = 8192  # bytes; a strip is as long as this allows
_RING_BUDGET = 4096  # bytes of rotated weights up to which rows are kept in a ring
_NARROW_FROM = 4  # output channels per group from which sum(u) is cheaper than 4-byte weights
_SIGNED = const(1 << 20)  # added to job items that may be negative

# the job: what a layer is...
_HEIGHT = const(0)
_WIDTH = const(1)
_CHANNELS = const(2)
_PITCH = const(3)  # bytes
_GROUPS = const(4)
_DEPTH = const(5)  # input channels per group
_PER_GROUP = const(6)  # output channels per group
_KERNEL_ROWS = const(7)
_TAPS = const(8)
_OUT_HEIGHT = const(9)
_OUT_WIDTH = const(10)
_STRIDE_Y = const(11)
_STRIDE_X = const(12)
_DILATION_Y = const(13)
_DILATION_X = const(14)  # also the number of phases
_TOP = const(15)
_LEFT = const(16)
_BOTTOM = const(17)
_EXTENT = const(18)  # columns under the kernel, dilation counted
_STRIP = const(19)  # output positions per strip
_FILL = const(20)  # the border's constant, offset added
_FLIP = const(21)
_MODE = const(22)
_KIND = const(23)
_IN_SIZE = const(24)  # bytes per item
_OUT_SIZE = const(25)
_ZERO_POINT = const(26)
_LOWEST = const(27)
_HIGHEST = const(28)
_CUT = const(29)  # 32 on a 64-bit machine, else 0
_COLUMN_BYTES = const(30)  # of scratch
_PHASE_BYTES = const(31)
_GROUP_BYTES = const(32)
_SUMS = const(33)  # where the sums start in scratch, in 4 bytes
_KEPT_ROWS = const(34)  # rows of the ring that the next output row sees again; 0 without a ring
_ROTATION_STEP = const(35)  # slots by which the ring turns per output row
_ROTATION_BYTES = const(36)  # weights per rotation
# ... and where its passes are
_ROW = const(37)  # input row under the first kernel row
_COLUMN = const(38)  # input column under the first kernel column
_KEPT = const(39)  # kernel rows that need no filling
_ROTATION = const(40)  # the slot of kernel row 0
_POSITIONS = const(41)  # in this strip
_AT = const(42)  # the first output item
_SUM = const(43)  # the first sum
_JOB_ITEMS = const(44)

_NARROW = const(0)  # modes
_WIDE8 = const(1)
_WIDE16 = const(2)
_LONG = const(3)

_EXACT = const(0)  # kinds, with the scale of a channel
_SHIFT = const(1)  # left, right
_TFLITE = const(2)  # left, right, three limbs
_PAIR = const(3)  # multiplier, shift - 1, whether halves go away from zero


def refuses(spec):
    """None, or why viper can't run the layer."""
    if max(spec.input_shape[0], spec.input_shape[1]) > 65534:
        return "an image side over 65534"
    if spec.wide:
        if spec.taps > 32767:
            return "more than 32767 taps with a 64-bit accumulator"
        if spec.kind == "shift" and max(spec.shift) > 6:
            return "a left shift over 6 with a 64-bit accumulator"
    return None


def prepare(spec):
    return Viper(spec)


class Viper:
    """A layer packed for `_correlate`; the contract is in backends/__init__.py."""

    typed = False

    def __init__(self, spec):
        out_channels, kh, kw, depth = spec.kernel_shape
        item = ITEMSIZE[spec.dtype]
        size = 2 if spec.wide else item
        offset = {"b": 128, "B": 0, "h": 32768, "H": 0}[spec.dtype]
        kind = _PAIR if spec.wide else {"exact": _EXACT, "shift": _SHIFT, "tflite": _TFLITE}[spec.kind]
        self.mode = _LONG if spec.wide else _WIDE16 if size == 2 else self._width(spec)
        ring = self._keeps_rows(spec)
        self.weights = self._pack(spec, kh if ring else 1)
        self.starts = self._starts(spec, offset)
        self.scales = self._scales(spec)
        self.edges = self._edges(spec)
        out_height, out_width, _ = spec.out_shape
        stride, phases = spec.stride[1], spec.dilation[1]
        column = kh * depth * size
        # a strip is as many positions as columns and sums have room for, the phases equally long
        sums = 0 if kind == _EXACT else 8 * out_channels if kind == _PAIR else 4 * out_channels
        per_position = stride * spec.groups * column + sums
        most = _SCRATCH_BUDGET - (spec.extent[1] + phases) * spec.groups * column
        strip = max(1, min(out_width, most // per_position))
        columns = ((strip - 1) * stride + spec.extent[1] + phases - 1) // phases
        group_bytes = phases * columns * column
        first_sum = (spec.groups * group_bytes + 3) // 4
        self.scratch_bytes = 4 * first_sum + strip * sums
        # where the window of each position starts in its group
        starts = [p * stride for p in range(strip)]
        self.windows = array("H", [(c % phases * columns + c // phases) * column for c in starts])
        exact = kind == _EXACT
        job = array("i", bytes(4 * _JOB_ITEMS))
        for index, value in (
            (_HEIGHT, spec.input_shape[0]),
            (_WIDTH, spec.input_shape[1]),
            (_CHANNELS, spec.input_shape[2]),
            (_PITCH, spec.pitch * item),
            (_GROUPS, spec.groups),
            (_DEPTH, depth),
            (_PER_GROUP, out_channels // spec.groups),
            (_KERNEL_ROWS, kh),
            (_TAPS, spec.taps),
            (_OUT_HEIGHT, out_height),
            (_OUT_WIDTH, out_width),
            (_STRIDE_Y, spec.stride[0]),
            (_STRIDE_X, stride),
            (_DILATION_Y, spec.dilation[0]),
            (_DILATION_X, phases),
            (_TOP, spec.padding[0][0]),
            (_LEFT, spec.padding[1][0]),
            (_BOTTOM, spec.padding[0][1]),
            (_EXTENT, spec.extent[1]),
            (_STRIP, strip),
            (_FILL, spec.border_value + offset),
            (_FLIP, offset),
            (_MODE, self.mode),
            (_KIND, kind),
            (_IN_SIZE, item),
            (_OUT_SIZE, ITEMSIZE[spec.out_dtype]),
            (_ZERO_POINT, spec.output_zero_point + _SIGNED),
            (_LOWEST, 0 if exact else spec.activation_min + _SIGNED),
            (_HIGHEST, 0 if exact else spec.activation_max + _SIGNED),
            (_CUT, 32 if sys.maxsize > 0x7FFFFFFF else 0),
            (_COLUMN_BYTES, column),
            (_PHASE_BYTES, columns * column),
            (_GROUP_BYTES, group_bytes),
            (_SUMS, first_sum),
            (_KEPT_ROWS, kh - spec.stride[0] if ring else 0),
            (_ROTATION_STEP, spec.stride[0] if ring else 0),
            (_ROTATION_BYTES, 4 * len(spec.weights) if ring else 0),
        ):
            job[index] = value
        self.job = job
        wide_bytes = 1 if self.mode == _NARROW else 4
        self.weight_bytes = wide_bytes * len(self.weights) + 4 * (len(self.starts) + len(self.scales))

    @staticmethod
    def _width(spec):
        """Narrow or wide weights for 8-bit data."""
        zero = spec.kernel_zero_point
        if spec.kernel_shape[0] // spec.groups < _NARROW_FROM or spec.weights_bytes != len(spec.weights):
            return _WIDE8
        for k in spec.weights:
            if not -128 <= k - zero <= 127:
                return _WIDE8
        return _NARROW

    def _keeps_rows(self, spec):
        """Whether the rows of scratch are a ring."""
        kh = spec.kernel_shape[1]
        few = 4 * kh * len(spec.weights) <= _RING_BUDGET
        return few and self.mode != _NARROW and spec.dilation[0] == 1 and spec.stride[0] < kh

    def _pack(self, spec, rotations):
        """Effective weights in the order of scratch: (rotation, out, kernel column, slot of the row, channel)."""
        out_channels, kh, kw, depth = spec.kernel_shape
        zero = spec.kernel_zero_point
        narrow = self.mode == _NARROW
        count = rotations * len(spec.weights)
        packed = bytearray(count) if narrow else array("i", bytes(4 * count))
        add = 128 - zero if narrow else -zero
        n = 0
        for first in range(rotations):  # the slot of kernel row 0
            for o in range(out_channels):
                for b in range(kw):
                    for slot in range(kh):
                        a = (slot - first) % kh
                        source = ((o * kh + a) * kw + b) * depth
                        for c in range(source, source + depth):
                            packed[n] = spec.weights[c] + add
                            n += 1
        return packed

    @staticmethod
    def _starts(spec, offset):
        """What the sum of every output channel starts from: an int32, or its high and low half for a pair."""
        starts = []
        for o in range(spec.kernel_shape[0]):
            total = sum(spec.weights[o * spec.taps : (o + 1) * spec.taps]) - spec.taps * spec.kernel_zero_point
            start = (spec.bias[o] if spec.bias else 0) - (spec.input_zero_point + offset) * total
            if spec.wide:
                starts += [start >> 16, start & 0xFFFF]
            else:
                starts.append((start + 0x80000000) % 0x100000000 - 0x80000000)
        return array("i", starts)

    @staticmethod
    def _scales(spec):
        """The scale of every output channel, in the order that its kind names."""
        scales = []
        for o in range(spec.kernel_shape[0] if spec.shift else 0):
            shift = spec.shift[o]
            if spec.kind == "tflite64":
                scales += [reduced(spec.multiplier[o]), 14 - shift, 0]
            elif spec.wide:  # acc * 2**14 leaves room for a left shift of up to 6
                scales += [1 << 14, 13 - shift, 1 if shift < 0 else 0]
            else:
                scales += [max(shift, 0), max(-shift, 0)]
                if spec.kind == "tflite":
                    scales += limbs(spec.multiplier[o])
        return array("i", scales)

    @staticmethod
    def _edges(spec):
        """Source rows and columns of the padded ones: top, bottom, left, right; 65535 is the constant."""
        table = []
        for axis in (0, 1):
            size = spec.input_shape[axis]
            before, after = spec.padding[axis]
            for index in list(range(-before, 0)) + list(range(size, size + after)):
                table.append(source_index(index, size, spec.border) & 0xFFFF)
        return array("H", table)

    def run(self, x, out, scratch):
        _correlate(x, out, scratch, self.weights, self.starts, self.scales, self.edges, self.windows, self.job)


@micropython.viper
def _correlate(x, out, scratch, weights, starts, scales, edges, windows, items):
    """The passes of every strip, row by row."""
    job = ptr32(items)
    mode = job[_MODE]
    kind = job[_KIND]
    out_width = job[_OUT_WIDTH]
    out_channels = job[_GROUPS] * job[_PER_GROUP]
    sums = scratch
    if kind == _EXACT:
        sums = out
    ox = 0
    while ox < out_width:
        positions = out_width - ox
        if positions > job[_STRIP]:
            positions = job[_STRIP]
        job[_POSITIONS] = positions
        job[_COLUMN] = ox * job[_STRIDE_X] - job[_LEFT] + _SIGNED
        job[_KEPT] = 0
        rotation = 0
        oy = 0
        while oy < job[_OUT_HEIGHT]:
            job[_ROW] = oy * job[_STRIDE_Y] - job[_TOP] + _SIGNED
            job[_ROTATION] = rotation
            job[_AT] = (oy * out_width + ox) * out_channels
            job[_SUM] = job[_AT]
            if kind != _EXACT:
                job[_SUM] = job[_SUMS]
            _fill(0, 0, x, scratch, edges, items)
            if mode == _NARROW:
                _dot_narrow(0, 0, scratch, weights, starts, windows, sums, items)
            elif mode == _WIDE8:
                _dot_wide8(0, 0, scratch, weights, starts, windows, sums, items)
            elif mode == _WIDE16:
                _dot_wide16(0, 0, scratch, weights, starts, windows, sums, items)
            else:
                _dot_long(0, 0, scratch, weights, starts, windows, sums, items)
            if kind == _PAIR:
                _scale_pair(0, 0, scratch, scales, out, items)
            elif kind != _EXACT:
                _scale(0, 0, scratch, scales, out, items)
            job[_KEPT] = job[_KEPT_ROWS]
            rotation += job[_ROTATION_STEP]
            if rotation >= job[_KERNEL_ROWS]:
                rotation -= job[_KERNEL_ROWS]
            oy += 1
        ox += positions


@micropython.viper
def _fill(x: int, w: int, src: ptr8, scratch: ptr8, edges: ptr16, job: ptr32):
    """Pass 1: copy the columns of a strip, one kernel row at a time. x goes through scratch, w through the input."""
    height = job[_HEIGHT]
    width = job[_WIDTH]
    depth = job[_DEPTH]
    phases = job[_DILATION_X]
    flip = job[_FLIP]
    in_size = job[_IN_SIZE]
    column_bytes = job[_COLUMN_BYTES]
    size = 1 if job[_MODE] < _WIDE16 else 2
    step = job[_CHANNELS] * in_size
    single = size * depth == 1
    lefts = job[_TOP] + job[_BOTTOM]  # where the left columns start in edges
    first = job[_COLUMN] - _SIGNED
    columns = (job[_POSITIONS] - 1) * job[_STRIDE_X] + job[_EXTENT]
    a = job[_KEPT]
    row = job[_ROW] - _SIGNED + a * job[_DILATION_Y]
    while a < job[_KERNEL_ROWS]:
        slot = job[_ROTATION] + a
        if slot >= job[_KERNEL_ROWS]:
            slot -= job[_KERNEL_ROWS]
        source_row = row
        if row < 0:
            source_row = edges[row + job[_TOP]]
        elif row >= height:
            source_row = edges[row - height + job[_TOP]]
        line = int(src) + source_row * job[_PITCH]
        target = int(scratch) + slot * depth * size
        g = job[_GROUPS]
        while g:
            phase = 0
            while phase < phases:
                x = target + phase * job[_PHASE_BYTES]
                p = phase
                while p < columns:
                    column = first + p
                    m = 1  # columns that one copy takes
                    if column < 0:
                        column = edges[lefts + job[_LEFT] + column]
                    elif column >= width:
                        column = edges[lefts + job[_LEFT] + column - width]
                    elif phases == 1:
                        m = width - column
                        if m > columns - p:
                            m = columns - p
                    w = line + column * step
                    if source_row == 65535 or column == 65535:
                        m = 0
                        c = depth
                        while c:
                            if size == 1:
                                ptr8(x)[0] = job[_FILL]
                            else:
                                ptr16(x)[0] = job[_FILL]
                            x += size
                            c -= 1
                        x += column_bytes - depth * size
                        p += phases
                    p += m * phases
                    if single:
                        while m:
                            ptr8(x)[0] = ptr8(w)[0] ^ flip
                            x += column_bytes
                            w += step
                            m -= 1
                    while m:
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
                        x += column_bytes - depth * size
                        w += step - depth * in_size
                        m -= 1
                phase += 1
            line += depth * in_size
            target += job[_GROUP_BYTES]
            g -= 1
        row += job[_DILATION_Y]
        a += 1


@micropython.viper
def _dot_narrow(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Pass 2, 8-bit data and weights of 1 byte: 128 * sum(u) is found once per window and group."""
    per_group = job[_PER_GROUP]
    taps = job[_TAPS]
    at = job[_SUM]
    p = 0
    while p < job[_POSITIONS]:
        base = int(scratch) + windows[p]
        w = int(weights)
        channel = 0
        g = job[_GROUPS]
        while g:
            common = 0
            x = base
            k = taps
            while k >= 8:
                common += (
                    ptr8(x)[0]
                    + ptr8(x)[1]
                    + ptr8(x)[2]
                    + ptr8(x)[3]
                    + ptr8(x)[4]
                    + ptr8(x)[5]
                    + ptr8(x)[6]
                    + ptr8(x)[7]
                )
                x += 8
                k -= 8
            while k:
                common += ptr8(x)[0]
                x += 1
                k -= 1
            common <<= 7
            o = per_group
            while o:
                x = base
                k = taps
                acc = starts[channel] - common
                while k >= 16:
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
                    k -= 16
                while k >= 4:
                    acc += (
                        ptr8(x)[0] * ptr8(w)[0]
                        + ptr8(x)[1] * ptr8(w)[1]
                        + ptr8(x)[2] * ptr8(w)[2]
                        + ptr8(x)[3] * ptr8(w)[3]
                    )
                    x += 4
                    w += 4
                    k -= 4
                while k:
                    acc += ptr8(x)[0] * ptr8(w)[0]
                    x += 1
                    w += 1
                    k -= 1
                sums[at] = acc
                at += 1
                channel += 1
                o -= 1
            base += job[_GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _dot_wide8(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Pass 2, 8-bit data and weights of 4 bytes."""
    per_group = job[_PER_GROUP]
    taps = job[_TAPS]
    at = job[_SUM]
    first = int(weights) + job[_ROTATION] * job[_ROTATION_BYTES]
    p = 0
    while p < job[_POSITIONS]:
        base = int(scratch) + windows[p]
        w = first
        channel = 0
        g = job[_GROUPS]
        while g:
            o = per_group
            while o:
                x = base
                k = taps
                acc = starts[channel]
                while k >= 8:
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
                    k -= 8
                while k:
                    acc += ptr8(x)[0] * ptr32(w)[0]
                    x += 1
                    w += 4
                    k -= 1
                sums[at] = acc
                at += 1
                channel += 1
                o -= 1
            base += job[_GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _dot_wide16(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Pass 2, 16-bit data and weights of 4 bytes."""
    per_group = job[_PER_GROUP]
    taps = job[_TAPS]
    at = job[_SUM]
    first = int(weights) + job[_ROTATION] * job[_ROTATION_BYTES]
    p = 0
    while p < job[_POSITIONS]:
        base = int(scratch) + windows[p]
        w = first
        channel = 0
        g = job[_GROUPS]
        while g:
            o = per_group
            while o:
                x = base
                k = taps
                acc = starts[channel]
                while k >= 8:
                    acc += (
                        ptr16(x)[0] * ptr32(w)[0]
                        + ptr16(x)[1] * ptr32(w)[1]
                        + ptr16(x)[2] * ptr32(w)[2]
                        + ptr16(x)[3] * ptr32(w)[3]
                        + ptr16(x)[4] * ptr32(w)[4]
                        + ptr16(x)[5] * ptr32(w)[5]
                        + ptr16(x)[6] * ptr32(w)[6]
                        + ptr16(x)[7] * ptr32(w)[7]
                    )
                    x += 16
                    w += 32
                    k -= 8
                while k:
                    acc += ptr16(x)[0] * ptr32(w)[0]
                    x += 2
                    w += 4
                    k -= 1
                sums[at] = acc
                at += 1
                channel += 1
                o -= 1
            base += job[_GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _dot_long(x: int, w: int, scratch: ptr8, weights: ptr8, starts: ptr32, windows: ptr16, sums: ptr32, job: ptr32):
    """Pass 2 with a 64-bit accumulator, kept and left as a pair: sum = high * 2**16 + low."""
    per_group = job[_PER_GROUP]
    taps = job[_TAPS]
    cut = job[_CUT]
    at = job[_SUM]
    first = int(weights) + job[_ROTATION] * job[_ROTATION_BYTES]
    p = 0
    while p < job[_POSITIONS]:
        base = int(scratch) + windows[p]
        w = first
        channel = 0
        g = job[_GROUPS]
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
            base += job[_GROUP_BYTES]
            g -= 1
        p += 1


@micropython.viper
def _scale(x: int, w: int, sums: ptr32, scales: ptr8, out: ptr8, job: ptr32):
    """Pass 3, 32 bits: fixedpoint.requantize. x goes through the sums, w through the scales."""
    tflite = job[_KIND] == _TFLITE
    zero_point = job[_ZERO_POINT] - _SIGNED
    lowest = job[_LOWEST] - job[_ZERO_POINT]
    highest = job[_HIGHEST] - job[_ZERO_POINT]
    cut = job[_CUT]
    channels = job[_GROUPS] * job[_PER_GROUP]
    at = job[_AT]
    end = at + job[_POSITIONS] * channels
    x = int(sums) + 4 * job[_SUM]
    o = 0
    while at < end:
        if o == 0:
            w = int(scales)
            o = channels
        acc = (ptr32(x)[0] << cut >> cut) << ptr32(w)[0]
        k = ptr32(w)[1]
        if tflite:  # fixedpoint.scale_high
            low = acc & 32767
            acc >>= 15
            t = (low * ptr32(w)[2]) >> 10
            t = (t + low * ptr32(w)[3]) >> 5
            t = (t + acc * ptr32(w)[2]) >> 5
            t = (t + low * ptr32(w)[4]) >> 5
            t = (t + acc * ptr32(w)[3] + 32) >> 6
            acc = t + ((acc * ptr32(w)[4]) << 4)
            w += 12
        if k:  # fixedpoint.rounding_shift
            acc += acc >> 31
            acc = (acc >> k) + ((acc >> (k - 1)) & 1)
        if acc < lowest:  # less the zero point: adding that first could pass 32 bits
            acc = lowest
        elif acc > highest:
            acc = highest
        if job[_OUT_SIZE] == 1:
            out[at] = acc + zero_point
        else:
            ptr16(out)[at] = acc + zero_point
        x += 4
        w += 8
        at += 1
        o -= 1


@micropython.viper
def _scale_pair(x: int, w: int, sums: ptr32, scales: ptr8, out: ptr8, job: ptr32):
    """Pass 3, 64 bits: (high, low) * multiplier as limbs of 32, 16 and 16 bits, then >> shift - 1 and round."""
    zero_point = job[_ZERO_POINT] - _SIGNED
    lowest = job[_LOWEST] - job[_ZERO_POINT]
    highest = job[_HIGHEST] - job[_ZERO_POINT]
    cut = job[_CUT]
    channels = job[_GROUPS] * job[_PER_GROUP]
    at = job[_AT]
    end = at + job[_POSITIONS] * channels
    x = int(sums) + 4 * job[_SUM]
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
        if job[_OUT_SIZE] == 1:
            out[at] = acc + zero_point
        else:
            ptr16(out)[at] = acc + zero_point
        x += 8
        w += 12
        at += 1
        o -= 1
