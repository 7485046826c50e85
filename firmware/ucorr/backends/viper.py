"""Viper: the whole layer in one call of natively compiled code, on any port that has an emitter.

The layer is walked one strip of output positions at a time, row by row, in three passes:

1. *Fill.* The input columns that the strip sees are copied to scratch so that the
   taps of a window are consecutive. A column holds its kh rows of `depth`
   channels; columns follow each other, those of one dilation phase together:

       scratch[group][phase][column][kernel row][channel]

   Rows that the next output row sees again stay: its windows begin `stride` rows
   further on in scratch, so that only new rows are copied. When they have slid
   too far, everything is copied again to the start.

   Borders, pitch, strides and dilation end here, and so do signs: viper's byte
   and halfword loads are unsigned, so signed data is stored with its top bit
   flipped, u = x + offset with offset 128 or 32768.

2. *Dot.* Each output channel is one run of `padded` products from a moving pointer:
   the taps, and zeros that complete a block. With effective weights k
   (kernel_zero_point taken off) and start[o] = bias - (input_zero_point + offset) * sum(k):

       wide   weights 4 bytes:  acc = start + sum(u * k)
       narrow weights 1 byte v = k + 128:  acc = start - 128 * sum(u) + sum(u * v)

   Sums may wrap in between: the proven bound puts the accumulator itself inside
   32 bits, and modulo 2**32 is exact there. Where the bound fails, a (high, low)
   pair with a 16-bit low half is kept.

3. *Scale.* Requantise and store, as fixedpoint.py defines it. Exact accumulators
   need no such pass: they are summed into the output itself. Where few bits do
   (_is_near), the scale is cheaper, and with few outputs per group the sum is
   scaled where it was found (mode SINGLE).

The passes are in viper_passes.py.
"""

import sys
from array import array

from ..fixedpoint import ITEMSIZE, half_of, limbs, reduced
from ..spec import source_index
from . import viper_passes as passes

_SCRATCH_BUDGET = 8192  # bytes; a strip is as long as this allows
_SLIDE_BUDGET = 1024  # bytes of scratch through which the windows slide before all rows are copied again
_NARROW_FROM = 4  # output channels per group from which sum(u) is cheaper than 4-byte weights


def refuses(spec, budget=None):
    """None, or why viper can't run the layer. Its packing has one size: a budget changes nothing."""
    if max(spec.input_shape[0], spec.input_shape[1]) > 65534:
        return "an image side over 65534"
    if spec.wide:
        if spec.taps > 32767:
            return "more than 32767 taps with a 64-bit accumulator"
        if spec.kind == "shift" and max(spec.shift) > 6:
            return "a left shift over 6 with a 64-bit accumulator"
    return None


def prepare(spec, budget=None):
    return Viper(spec)


class Viper:
    """A layer packed for viper_passes.py; the contract is in backends/__init__.py."""

    typed = False

    def __init__(self, spec):
        out_channels, kh, kw, depth = spec.kernel_shape
        item = ITEMSIZE[spec.dtype]
        size = 2 if spec.wide else item
        offset = {"b": 128, "B": 0, "h": 32768, "H": 0}[spec.dtype]
        kind = passes.PAIR
        if not spec.wide:
            kind = {"exact": passes.EXACT, "shift": passes.SHIFT, "tflite": passes.TFLITE}[spec.kind]
        self.mode = passes.LONG if spec.wide else passes.WIDE16 if size == 2 else self._width(spec)
        if self._is_near(spec):
            single = self.mode == passes.WIDE8 and spec.dilation[1] == 1
            self.mode = passes.SINGLE if single else self.mode
            kind = passes.NEAR if kind == passes.TFLITE else kind
        self.near = self.mode == passes.SINGLE or kind == passes.NEAR
        self.padded = self._padded(spec.taps)
        self.weights = self._pack(spec)
        self.starts = self._starts(spec, offset)
        self.scales = self._scales(spec)
        self.edges = self._edges(spec)
        out_height, out_width, _ = spec.out_shape
        stride, phases = spec.stride[1], spec.dilation[1]
        column = kh * depth * size
        # a strip is as many positions as columns and sums have room for, the phases equally long
        exact = kind == passes.EXACT
        sums = 8 * out_channels if kind == passes.PAIR else 4 * out_channels
        if exact or self.mode == passes.SINGLE:
            sums = 0
        slides = spec.dilation[0] == 1 and spec.stride[0] < kh
        slide = spec.stride[0] * depth * size if slides else 0
        slide_end = min((out_height - 1) * slide, _SLIDE_BUDGET)
        beyond = slide_end + (self.padded - spec.taps) * size  # the last group's windows
        per_position = stride * spec.groups * column + sums
        most = _SCRATCH_BUDGET - (spec.extent[1] + phases) * spec.groups * column - beyond - 3
        strip = max(1, min(out_width, most // per_position))
        columns = ((strip - 1) * stride + spec.extent[1] + phases - 1) // phases
        group_bytes = phases * columns * column
        first_sum = (spec.groups * group_bytes + beyond + 3) // 4
        self.scratch_bytes = 4 * first_sum + strip * sums
        # where the window of each position starts in its group
        starts = [p * stride for p in range(strip)]
        self.windows = array("H", [(c % phases * columns + c // phases) * column for c in starts])
        job = array("i", bytes(4 * passes.JOB_ITEMS))
        for index, value in (
            (passes.HEIGHT, spec.input_shape[0]),
            (passes.WIDTH, spec.input_shape[1]),
            (passes.CHANNELS, spec.input_shape[2]),
            (passes.PITCH, spec.pitch * item),
            (passes.GROUPS, spec.groups),
            (passes.DEPTH, depth),
            (passes.PER_GROUP, out_channels // spec.groups),
            (passes.KERNEL_ROWS, kh),
            (passes.TAPS, spec.taps),
            (passes.OUT_HEIGHT, out_height),
            (passes.OUT_WIDTH, out_width),
            (passes.STRIDE_Y, spec.stride[0]),
            (passes.STRIDE_X, stride),
            (passes.DILATION_Y, spec.dilation[0]),
            (passes.DILATION_X, phases),
            (passes.TOP, spec.padding[0][0]),
            (passes.LEFT, spec.padding[1][0]),
            (passes.BOTTOM, spec.padding[0][1]),
            (passes.EXTENT, spec.extent[1]),
            (passes.STRIP, strip),
            (passes.FILL, spec.border_value + offset),
            (passes.FLIP, offset),
            (passes.MODE, self.mode),
            (passes.KIND, kind),
            (passes.IN_SIZE, item),
            (passes.OUT_SIZE, ITEMSIZE[spec.out_dtype]),
            (passes.ZERO_POINT, spec.output_zero_point + passes.SIGNED),
            (passes.LOWEST, 0 if exact else spec.activation_min + passes.SIGNED),
            (passes.HIGHEST, 0 if exact else spec.activation_max + passes.SIGNED),
            (passes.CUT, 32 if sys.maxsize > 0x7FFFFFFF else 0),
            (passes.COLUMN_BYTES, column),
            (passes.PHASE_BYTES, columns * column),
            (passes.GROUP_BYTES, group_bytes),
            (passes.SUMS, first_sum),
            (passes.KEPT_ROWS, kh - spec.stride[0] if slides else 0),
            (passes.SLIDE, slide),
            (passes.SLIDE_END, slide_end),
            (passes.PADDED, self.padded),
            (passes.SIZE, size),
            (passes.TWICE, 1 if spec.rounding == "twice" else 0),
        ):
            job[index] = value
        self.job = job
        wide_bytes = 1 if self.mode == passes.NARROW else 4
        self.weight_bytes = wide_bytes * len(self.weights) + 4 * (len(self.starts) + len(self.scales))

    @staticmethod
    def _width(spec):
        """Narrow or wide weights for 8-bit data."""
        zero = spec.kernel_zero_point
        if spec.kernel_shape[0] // spec.groups < _NARROW_FROM or spec.weights_bytes != len(spec.weights):
            return passes.WIDE8
        for k in spec.weights:
            if not -128 <= k - zero <= 127:
                return passes.WIDE8
        return passes.NARROW

    @staticmethod
    def _is_near(spec):
        """Whether an 8-bit output needs but 20 bits of the accumulator (30 for a plain filter), and no left shift."""
        if spec.wide or spec.kind == "exact" or ITEMSIZE[spec.out_dtype] != 1 or max(spec.shift) >= 0:
            return False
        if spec.rounding == "once":  # would cost every such output a mask, and is for layers with few outputs
            return False
        bits = 20 if spec.kind == "tflite" else 30
        return max(-spec.bound[0], spec.bound[1]) < 1 << bits

    def _padded(self, taps):
        """Taps in whole blocks of the mode's dot product."""
        if self.mode == passes.LONG:
            return taps
        if self.mode == passes.SINGLE:
            return 9 + (max(taps, 9) - 9 + 7) // 8 * 8
        if self.mode == passes.NARROW and taps % 16 > 8:
            return (taps + 15) // 16 * 16
        return (taps + 3) // 4 * 4

    def _pack(self, spec):
        """Effective weights in the order of scratch: (out, kernel column, kernel row, channel), zeros at the end."""
        out_channels, kh, kw, depth = spec.kernel_shape
        narrow = self.mode == passes.NARROW
        count = out_channels * self.padded
        packed = bytearray(count) if narrow else array("i", bytes(4 * count))
        zero = 128 if narrow else 0
        add = zero - spec.kernel_zero_point
        weights = spec.weights
        for o in range(out_channels):
            n = o * self.padded
            for b in range(kw):
                for a in range(kh):
                    source = ((o * kh + a) * kw + b) * depth
                    for c in range(source, source + depth):
                        packed[n] = weights[c] + add
                        n += 1
            while n < (o + 1) * self.padded:
                packed[n] = zero
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

    def _scales(self, spec):
        """The scale of every output channel, in the order that its kind names."""
        scales = []
        for o in range(spec.kernel_shape[0] if spec.shift else 0):
            shift = spec.shift[o]
            if spec.kind == "tflite64":
                scales += [reduced(spec.multiplier[o]), 14 - shift, 0]
            elif spec.wide:  # acc * 2**14 leaves room for a left shift of up to 6
                scales += [1 << 14, 13 - shift, 1 if shift < 0 else 0]
            else:
                parts = list(limbs(spec.multiplier[o])) if spec.kind == "tflite" else []
                if self.near:
                    scales += (parts or [0, 0, 0]) + [-shift - 1]
                else:
                    half = [half_of(spec.rounding, shift)] if parts else []
                    scales += [max(shift, 0), max(-shift, 0)] + parts + half
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
        passes.correlate(x, out, scratch, self.weights, self.starts, self.scales, self.edges, self.windows, self.job)
