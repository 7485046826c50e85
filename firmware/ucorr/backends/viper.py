"""Viper: the whole layer in one call of natively compiled code, on any port that has an emitter.

The layer is walked one strip of output positions at a time, row by row, in three stages:

1. *Fill.* The input columns that the strip sees are copied to scratch so that the
   taps of a window are consecutive. A column holds its kh rows of `depth`
   channels; columns follow each other, those of one dilation phase together:

       scratch[group][phase][column][kernel row][channel]

   Rows that the next output row sees again stay: its windows begin `stride` rows
   further on in scratch, so that only new rows are copied. After _SLIDE_BUDGET
   bytes the windows return to the start and all rows are copied again.

   The later stages need no border, pitch, stride or dilation, and no signs: viper's
   byte and halfword loads are unsigned, so signed data is stored with its top bit
   flipped, u = x + offset with offset 128 or 32768.

2. *Dot.* Each output channel is one run of `padded` products from a moving pointer:
   the taps, and zeros that complete a block. With effective weights k
   (kernel_zero_point taken off) and start[o] = bias - (input_zero_point + offset) * sum(k):

       wide   weights 4 bytes:  acc = start + sum(u * k)
       narrow weights 1 byte v = k + 128:  acc = start - 128 * sum(u) + sum(u * v)

   Partial sums may wrap: the proven bound keeps the accumulator itself inside
   32 bits, where arithmetic modulo 2**32 is exact. Where the bound fails, the
   accumulator is a (high, low) pair with a 16-bit low half.

3. *Scale.* Requantise and store, as fixedpoint.py defines it. Exact accumulators
   need no such stage: they are summed into the output itself. Where few bits are
   enough (_is_near), scaling is cheaper, and with few outputs per group each
   accumulator is scaled at once, without a place in scratch (mode FUSED).

The stages are in viper_stages.py.
"""

import sys
from array import array

from ..fixedpoint import ITEMSIZE, half_of, limbs, reduced
from ..spec import source_index
from . import viper_stages as stages

_SCRATCH_BUDGET = 8192  # bytes; a strip is as long as this allows
_SLIDE_BUDGET = 1024  # bytes of scratch through which the windows slide before all rows are copied again
_NARROW_FROM = 4  # output channels per group from which sum(u) is cheaper than 4-byte weights


def refuses(spec, budget=None):
    """None, or why viper can't run the layer. There is one packing only, so the budget is ignored."""
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


class Layout:
    """The layout of a strip in scratch, in bytes unless a line says otherwise.

        group 0: phase 0: column 0, column 1, ...; phase 1: ...       the input, as windows see it
        group 1: ...
        what windows read past their end, and slide through
        accumulators of the strip, unless they are found in the output or in registers

    column, phase, group  from one to the next
    strip    output positions of a row that are computed at a time: as many as _SCRATCH_BUDGET has room for
    windows  where the window of each position of a strip begins in its group
    slide    by which windows move on for the next output row, 0 where they stay; slide_end: at most so far in all
    kept     kernel rows that stay where windows slide
    accumulators  where they begin, in words
    """

    def __init__(self, spec, size, padded, accumulator_bytes):
        """size: bytes of an item; padded: taps that a window reads; accumulator_bytes: in scratch, for a position."""
        _, kh, kw, depth = spec.kernel_shape
        stride, self.phases = spec.stride[1], spec.dilation[1] if kw > 1 else 1
        self.column = column = kh * depth * size
        slides = spec.dilation[0] == 1 and spec.stride[0] < kh
        self.slide = spec.stride[0] * depth * size if slides else 0
        self.slide_end = min((spec.out_shape[0] - 1) * self.slide, _SLIDE_BUDGET)
        self.kept = kh - spec.stride[0] if slides else 0
        past = self.slide_end + (padded - spec.taps) * size  # the last group's windows
        most = _SCRATCH_BUDGET - (spec.extent[1] + self.phases) * spec.groups * column - past - 3
        per_position = stride * spec.groups * column + accumulator_bytes
        self.strip = max(1, min(spec.out_shape[1], most // per_position))
        # the phases are equally long
        columns = ((self.strip - 1) * stride + spec.extent[1] + self.phases - 1) // self.phases
        self.phase = columns * column
        self.group = self.phases * self.phase
        self.accumulators = (spec.groups * self.group + past + 3) // 4
        self.scratch_bytes = 4 * self.accumulators + self.strip * accumulator_bytes
        starts = [p * stride for p in range(self.strip)]
        self.windows = array("H", [(c % self.phases * columns + c // self.phases) * column for c in starts])


class Viper:
    """A layer packed for viper_stages.py; the contract is in backends/__init__.py."""

    typed = False

    def __init__(self, spec):
        out_channels, kw = spec.kernel_shape[0], spec.kernel_shape[2]
        size = 2 if spec.wide else ITEMSIZE[spec.dtype]
        offset = {"b": 128, "B": 0, "h": 32768, "H": 0}[spec.dtype]
        kind = stages.PAIR
        if not spec.wide or spec.kind == "tflite":
            kind = {"exact": stages.EXACT, "shift": stages.SHIFT, "tflite": stages.TFLITE}[spec.kind]
        self.mode = stages.LONG if spec.wide else stages.WIDE16 if size == 2 else self._width(spec)
        if self._is_near(spec):
            fused = self.mode == stages.WIDE8 and (spec.dilation[1] == 1 or kw == 1)
            self.mode = stages.FUSED if fused else self.mode
            kind = stages.NEAR if kind == stages.TFLITE else kind
        self.near = self.mode == stages.FUSED or kind == stages.NEAR
        self.padded = self._padded(spec.taps)
        self.weights = self._pack(spec)
        self.starts = self._starts(spec, offset)
        self.scales = self._scales(spec)
        self.edges = self._edges(spec)
        stored = 0 if kind == stages.EXACT or self.mode == stages.FUSED else out_channels
        layout = Layout(spec, size, self.padded, (8 if spec.wide else 4) * stored)
        self.windows, self.scratch_bytes = layout.windows, layout.scratch_bytes
        self.job = self._job(spec, layout, kind, size, offset)
        wide_bytes = 1 if self.mode == stages.NARROW else 4
        self.weight_bytes = wide_bytes * len(self.weights) + 4 * (len(self.starts) + len(self.scales))

    def _job(self, spec, layout, kind, size, offset):
        """The job of the stages; viper_stages.py says what each item is."""
        out_channels, kh, _, depth = spec.kernel_shape
        exact = kind == stages.EXACT
        item = ITEMSIZE[spec.dtype]
        job = array("i", bytes(4 * stages.JOB_ITEMS))
        for index, value in (
            (stages.HEIGHT, spec.input_shape[0]),
            (stages.WIDTH, spec.input_shape[1]),
            (stages.CHANNELS, spec.input_shape[2]),
            (stages.PITCH, spec.pitch * item),
            (stages.GROUPS, spec.groups),
            (stages.DEPTH, depth),
            (stages.PER_GROUP, out_channels // spec.groups),
            (stages.KERNEL_ROWS, kh),
            (stages.TAPS, spec.taps),
            (stages.OUT_HEIGHT, spec.out_shape[0]),
            (stages.OUT_WIDTH, spec.out_shape[1]),
            (stages.STRIDE_Y, spec.stride[0]),
            (stages.STRIDE_X, spec.stride[1]),
            (stages.DILATION_Y, spec.dilation[0]),
            (stages.DILATION_X, layout.phases),
            (stages.TOP, spec.padding[0][0]),
            (stages.LEFT, spec.padding[1][0]),
            (stages.BOTTOM, spec.padding[0][1]),
            (stages.EXTENT, spec.extent[1]),
            (stages.STRIP, layout.strip),
            (stages.FILL, spec.border_value + offset),
            (stages.FLIP, offset),
            (stages.MODE, self.mode),
            (stages.KIND, kind),
            (stages.IN_SIZE, item),
            (stages.OUT_SIZE, ITEMSIZE[spec.out_dtype]),
            (stages.ZERO_POINT, spec.output_zero_point + stages.SIGNED),
            (stages.LOWEST, 0 if exact else spec.activation_min + stages.SIGNED),
            (stages.HIGHEST, 0 if exact else spec.activation_max + stages.SIGNED),
            (stages.CUT, 32 if sys.maxsize > 0x7FFFFFFF else 0),
            (stages.COLUMN_BYTES, layout.column),
            (stages.PHASE_BYTES, layout.phase),
            (stages.GROUP_BYTES, layout.group),
            (stages.SUMS, layout.accumulators),
            (stages.KEPT_ROWS, layout.kept),
            (stages.SLIDE, layout.slide),
            (stages.SLIDE_END, layout.slide_end),
            (stages.PADDED, self.padded),
            (stages.SIZE, size),
            (stages.DOUBLE, 1 if spec.rounding == "double" else 0),
        ):
            job[index] = value
        return job

    @staticmethod
    def _width(spec):
        """The mode for 8-bit data: NARROW (weights of 1 byte) or WIDE8 (of 4 bytes)."""
        zero = spec.kernel_zero_point
        if spec.kernel_shape[0] // spec.groups < _NARROW_FROM or spec.weights_bytes != len(spec.weights):
            return stages.WIDE8
        for k in spec.weights:
            if not -128 <= k - zero <= 127:
                return stages.WIDE8
        return stages.NARROW

    @staticmethod
    def _is_near(spec):
        """Whether NEAR scaling is exact: 8-bit output, |acc| < 2**20 (2**30 for a plain filter), only right shifts."""
        if spec.wide or spec.kind == "exact" or ITEMSIZE[spec.out_dtype] != 1 or max(spec.shift) >= 0:
            return False
        if spec.rounding == "single":  # needs a mask for every output, and is mostly used by layers with few
            return False
        bits = 20 if spec.kind == "tflite" else 30
        return max(-spec.bound[0], spec.bound[1]) < 1 << bits

    def _padded(self, taps):
        """The number of taps, rounded up to whole blocks of the mode's dot product."""
        if self.mode == stages.LONG:
            return taps
        if self.mode == stages.FUSED:
            return 9 + (max(taps, 9) - 9 + 7) // 8 * 8
        if self.mode == stages.NARROW and taps % 16 > 8:
            return (taps + 15) // 16 * 16
        return (taps + 3) // 4 * 4

    def _pack(self, spec):
        """Effective weights in the order of scratch: (out, kernel column, kernel row, channel), zeros at the end."""
        out_channels, kh, kw, depth = spec.kernel_shape
        narrow = self.mode == stages.NARROW
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
        """The start of every output channel's accumulator: an int32, or two halves (high, low) for a pair."""
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
            elif spec.wide and spec.kind == "shift":  # acc * 2**14 leaves room for a left shift of up to 6
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
        stages.correlate(x, out, scratch, self.weights, self.starts, self.scales, self.edges, self.windows, self.job)
