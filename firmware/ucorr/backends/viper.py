"""Viper: the whole layer in one call of natively compiled code, on any port that has an emitter.

The layer is walked one strip of output positions at a time:

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
   32 bits, and modulo 2**32 is exact there. On a 64-bit machine 32-bit loads come
   without sign, so the sum is cut back to 32 bits by two shifts of `cut`.
   Where the bound fails, a (high, low) pair with 16-bit low half is kept.

3. *Requantise and store*, as fixedpoint.py defines it.

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
_SIGNED = const(65536)  # added to job items that may be negative

# the job: one array('i') of sizes, read once per call
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
_COLUMNS = const(20)  # scratch columns per phase
_FILL = const(21)  # the border's constant, offset added
_FLIP = const(22)
_MODE = const(23)
_KIND = const(24)
_STEP = const(25)  # bytes of parameters per output channel
_IN_SIZE = const(26)  # bytes per item
_OUT_SIZE = const(27)
_ZERO_POINT = const(28)
_LOWEST = const(29)
_HIGHEST = const(30)
_CUT = const(31)  # 32 on a 64-bit machine, else 0
_PHASE_STEP = const(32)  # stride % dilation
_COLUMN_STEP = const(33)  # stride // dilation
_KEPT_ROWS = const(34)  # rows of the ring that the next output row sees again; 0 without a ring
_ROTATION_STEP = const(35)  # slots by which the ring turns per output row
_ROTATION_BYTES = const(36)  # weights per rotation
_JOB_ITEMS = const(37)

_NARROW = const(0)  # modes
_WIDE8 = const(1)
_WIDE16 = const(2)
_LONG = const(3)

_EXACT = const(0)  # kinds, with the parameters of a channel
_SHIFT = const(1)  # start, left, right
_TFLITE = const(2)  # start, left, right, three limbs
_PAIR = const(3)  # start high, start low, multiplier, shift - 1, whether halves go away from zero


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
        self.mode = _LONG if spec.wide else _WIDE16 if size == 2 else self._width(spec)
        ring = self._keeps_rows(spec)
        self.weights = self._pack(spec, kh if ring else 1)
        self.channels = self._parameters(spec, offset)
        self.edges = self._edges(spec)
        out_height, out_width, _ = spec.out_shape
        stride, dilation = spec.stride, spec.dilation
        column = kh * spec.input_shape[2] * size
        most = _SCRATCH_BUDGET // column // dilation[1] * dilation[1]  # columns; as many in each phase
        strip = (most - spec.extent[1]) // stride[1] + 1
        strip = max(1, min(out_width, strip))
        columns = ((strip - 1) * stride[1] + spec.extent[1] + dilation[1] - 1) // dilation[1]
        self.scratch_bytes = columns * dilation[1] * column
        exact = spec.kind == "exact"
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
            (_STRIDE_Y, stride[0]),
            (_STRIDE_X, stride[1]),
            (_DILATION_Y, dilation[0]),
            (_DILATION_X, dilation[1]),
            (_TOP, spec.padding[0][0]),
            (_LEFT, spec.padding[1][0]),
            (_BOTTOM, spec.padding[0][1]),
            (_EXTENT, spec.extent[1]),
            (_STRIP, strip),
            (_COLUMNS, columns),
            (_FILL, spec.border_value + offset),
            (_FLIP, offset),
            (_MODE, self.mode),
            (_KIND, _PAIR if spec.wide else {"exact": _EXACT, "shift": _SHIFT, "tflite": _TFLITE}[spec.kind]),
            (_STEP, 4 * len(self.channels) // out_channels),
            (_IN_SIZE, item),
            (_OUT_SIZE, ITEMSIZE[spec.out_dtype]),
            (_ZERO_POINT, spec.output_zero_point + _SIGNED),
            (_LOWEST, _SIGNED if exact else spec.activation_min + _SIGNED),
            (_HIGHEST, _SIGNED if exact else spec.activation_max + _SIGNED),
            (_CUT, 32 if sys.maxsize > 0x7FFFFFFF else 0),
            (_PHASE_STEP, stride[1] % dilation[1]),
            (_COLUMN_STEP, stride[1] // dilation[1]),
            (_KEPT_ROWS, kh - stride[0] if ring else 0),
            (_ROTATION_STEP, stride[0] if ring else 0),
            (_ROTATION_BYTES, 4 * len(spec.weights) if ring else 0),
        ):
            job[index] = value
        self.job = job
        wide_bytes = 1 if self.mode == _NARROW else 4
        self.weight_bytes = wide_bytes * len(self.weights) + 4 * len(self.channels)

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
    def _parameters(spec, offset):
        """The int32 parameters of every output channel, in the order that its kind names."""
        rows = []
        for o in range(spec.kernel_shape[0]):
            total = sum(spec.weights[o * spec.taps : (o + 1) * spec.taps]) - spec.taps * spec.kernel_zero_point
            start = (spec.bias[o] if spec.bias else 0) - (spec.input_zero_point + offset) * total
            shift = spec.shift[o] if spec.shift else 0
            if spec.kind == "tflite64":
                rows += [start >> 16, start & 0xFFFF, reduced(spec.multiplier[o]), 14 - shift, 0]
            elif spec.wide:  # acc * 2**14 leaves room for a left shift of up to 6
                right = shift < 0
                rows += [start >> 16, start & 0xFFFF, 1 << 14, 13 - shift, 1 if right else 0]
            else:
                rows.append((start + 0x80000000) % 0x100000000 - 0x80000000)
                if spec.kind != "exact":
                    rows += [max(shift, 0), max(-shift, 0)]
                if spec.kind == "tflite":
                    rows += limbs(spec.multiplier[o])
        return array("i", rows)

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
        _correlate(0, 0, x, out, scratch, self.weights, self.channels, self.edges, self.job)


@micropython.viper
def _correlate(
    x: int, w: int, src: ptr8, out: ptr8, scratch: ptr8, weights: ptr8, channels: ptr8, edges: ptr16, job: ptr32
):
    height = job[_HEIGHT]
    width = job[_WIDTH]
    all_channels = job[_CHANNELS]
    groups = job[_GROUPS]
    depth = job[_DEPTH]
    per_group = job[_PER_GROUP]
    taps = job[_TAPS]
    kernel_rows = job[_KERNEL_ROWS]
    out_width = job[_OUT_WIDTH]
    out_channels = groups * per_group
    stride = job[_STRIDE_X]
    phases = job[_DILATION_X]
    top = job[_TOP]
    left = job[_LEFT]
    flip = job[_FLIP]
    mode = job[_MODE]
    kind = job[_KIND]
    in_size = job[_IN_SIZE]
    out_size = job[_OUT_SIZE]
    zero_point = job[_ZERO_POINT] - _SIGNED
    lowest = job[_LOWEST] - job[_ZERO_POINT]
    highest = job[_HIGHEST] - job[_ZERO_POINT]
    cut = job[_CUT]
    size = 1 if mode < _WIDE16 else 2
    column_bytes = kernel_rows * depth * size
    phase_bytes = job[_COLUMNS] * column_bytes
    group_bytes = phases * phase_bytes
    lefts = top + job[_BOTTOM]  # where the left columns start in edges
    rights = lefts + left
    ox = 0
    while ox < out_width:
        strip = out_width - ox
        if strip > job[_STRIP]:
            strip = job[_STRIP]
        columns = (strip - 1) * stride + job[_EXTENT]
        rotation = 0  # the slot of kernel row 0
        oy = 0
        while oy < job[_OUT_HEIGHT]:
            # 1. fill the columns of the strip, one kernel row at a time
            at = (oy * out_width + ox) * out_channels  # the next item written
            a = job[_KEPT_ROWS] if oy else 0
            row = oy * job[_STRIDE_Y] - top + a * job[_DILATION_Y]
            while a < kernel_rows:
                slot = rotation + a
                if slot >= kernel_rows:
                    slot -= kernel_rows
                source_row = row
                if row < 0:
                    source_row = edges[row + top]
                elif row >= height:
                    source_row = edges[row - height + top]
                line = int(src) + source_row * job[_PITCH]
                g = 0
                while g < groups:
                    phase = 0
                    while phase < phases:
                        x = int(scratch) + g * group_bytes + phase * phase_bytes + slot * depth * size
                        p = phase
                        while p < columns:
                            column = ox * stride - left + p
                            m = 1  # columns that one copy takes
                            if column < 0:
                                column = edges[lefts + left + column]
                            elif column >= width:
                                column = edges[rights + column - width]
                            elif phases == 1:
                                m = width - column
                                if m > columns - p:
                                    m = columns - p
                            if source_row == 65535 or column == 65535:
                                m = 1
                                c = 0
                                while c < depth:
                                    if size == 1:
                                        ptr8(x)[c] = job[_FILL]
                                    else:
                                        ptr16(x)[c] = job[_FILL]
                                    c += 1
                                x += column_bytes
                                p += phases
                            else:
                                w = line + (column * all_channels + g * depth) * in_size
                                p += m * phases
                                if size == 2:
                                    while m:
                                        c = 0
                                        while c < depth:
                                            if in_size == 2:
                                                ptr16(x)[c] = ptr16(w)[c] ^ flip
                                            else:
                                                ptr16(x)[c] = ptr8(w)[c] ^ flip
                                            c += 1
                                        x += column_bytes
                                        w += all_channels * in_size
                                        m -= 1
                                elif depth == 1:
                                    while m:
                                        ptr8(x)[0] = ptr8(w)[0] ^ flip
                                        x += column_bytes
                                        w += all_channels
                                        m -= 1
                                else:
                                    while m:
                                        c = depth
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
                                        x += column_bytes - depth
                                        w += all_channels - depth
                                        m -= 1
                        phase += 1
                    g += 1
                row += job[_DILATION_Y]
                a += 1

            # 2. and 3. every window of the strip
            window = int(scratch)
            phase = 0
            p = 0
            while p < strip:
                w = int(weights) + rotation * job[_ROTATION_BYTES]
                parameters = int(channels)
                base = window
                g = 0
                while g < groups:
                    start = 0  # 128 * sum(u), for narrow weights
                    if mode == _NARROW:
                        x = base
                        k = taps
                        while k >= 8:
                            start += (
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
                            start += ptr8(x)[0]
                            x += 1
                            k -= 1
                        start <<= 7
                    o = per_group
                    while o:
                        x = base
                        k = taps
                        if mode == _NARROW:
                            acc = ptr32(parameters)[0] - start
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
                        elif mode == _WIDE8:
                            acc = ptr32(parameters)[0]
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
                        elif mode == _WIDE16:
                            acc = ptr32(parameters)[0]
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
                        else:  # products stay inside 32 bits: 65535 * 32768 < 2**31
                            high = ptr32(parameters)[0]
                            low = ptr32(parameters)[1]
                            while k:
                                acc = (ptr16(x)[0] * ptr32(w)[0]) << cut >> cut
                                high += acc >> 16
                                low += acc & 65535  # 32767 taps keep low under 2**31
                                x += 2
                                w += 4
                                k -= 1
                            high = (high + (low >> 16)) << cut >> cut
                            low &= 65535

                        if kind == _PAIR:
                            # (high, low) * multiplier as limbs of 32, 16 and 16 bits, then >> shift - 1
                            if ptr32(parameters)[4]:
                                if high < 0:
                                    low -= 1
                                    if low < 0:
                                        low = 65535
                                        high -= 1
                            k = ptr32(parameters)[2]
                            low *= k
                            acc = (high & 65535) * k + (low >> 16)
                            high = (high >> 16) * k + (acc >> 16)
                            k = ptr32(parameters)[3]
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
                        else:
                            acc = acc << cut >> cut
                            if kind == _EXACT:
                                ptr32(out)[at] = acc
                            else:
                                acc = acc << ptr32(parameters)[1]
                                if kind == _TFLITE:  # fixedpoint.scale_high
                                    k = acc >> 15
                                    acc &= 32767
                                    low = (acc * ptr32(parameters)[3]) >> 10
                                    low = (low + acc * ptr32(parameters)[4]) >> 5
                                    low = (low + k * ptr32(parameters)[3]) >> 5
                                    low = (low + acc * ptr32(parameters)[5]) >> 5
                                    low = (low + k * ptr32(parameters)[4] + 32) >> 6
                                    acc = low + ((k * ptr32(parameters)[5]) << 4)
                                k = ptr32(parameters)[2]
                                if k:  # fixedpoint.rounding_shift
                                    acc += acc >> 31
                                    acc = (acc >> k) + ((acc >> (k - 1)) & 1)

                        if kind != _EXACT:
                            if acc < lowest:  # less the zero point: adding that first could pass 32 bits
                                acc = lowest
                            elif acc > highest:
                                acc = highest
                            acc += zero_point
                            if out_size == 1:
                                out[at] = acc
                            else:
                                ptr16(out)[at] = acc
                        parameters += job[_STEP]
                        at += 1
                        o -= 1
                    base += group_bytes
                    g += 1
                window += job[_COLUMN_STEP] * column_bytes + job[_PHASE_STEP] * phase_bytes
                phase += job[_PHASE_STEP]
                if phase >= phases:
                    phase -= phases
                    window += column_bytes - group_bytes
                p += 1
            rotation += job[_ROTATION_STEP]
            if rotation >= kernel_rows:
                rotation -= kernel_rows
            oy += 1
        ox += strip
