"""Portable: plain Python loops that run on every firmware; the fallback where no other backend takes the layer.

An output is the dot product of the window it sees with its channel's weights. A
window that several channels share, or that touches the border, is gathered into a
patch first; one that lies inside the image and belongs to one channel is read where it is.
The input's zero point is moved into the start of the accumulator:

    sum((x - zero) * k) = sum(x * k) - zero * sum(k)

Nothing is allocated in a run unless, on a 32-bit board, an accumulator leaves +-2**30,
the range of small ints, or is requantised with 64 bits.
"""

from array import array

from ..fixedpoint import clamp, half_of, limbs, requantize64, rounding_shift, scale_high
from ..spec import source_index


def refuses(spec, budget=None):
    """None: portable takes every layer."""
    return None


def prepare(spec, budget=None):
    return Portable(spec)


class Portable:
    """A layer as loops over the canonical weights; the contract is in backends/__init__.py."""

    typed = True

    def __init__(self, spec):
        self.spec = spec
        (top, bottom), (left, right) = spec.padding
        height, width, channels = spec.input_shape
        _, kh, kw, depth = spec.kernel_shape
        # where each padded row and column starts in x; negative for the border's constant
        rows = [spec.pitch * source_index(r, height, spec.border) for r in range(-top, height + bottom)]
        columns = [channels * source_index(c, width, spec.border) for c in range(-left, width + right)]
        self.rows, self.columns = array("i", rows), array("i", columns)
        # the taps of a window inside the image, counted from its first item; where none fits they may be too far apart
        dy, dx = spec.pitch * spec.dilation[0], channels * spec.dilation[1]
        if spec.extent[0] > height or spec.extent[1] > width:
            kh = 0
        taps = [a * dy + b * dx + c for a in range(kh) for b in range(kw) for c in range(depth)]
        self.taps = array("i", taps)
        # a copy: the user's array may change, and other backends have packed theirs
        small = spec.weights_bytes == len(spec.weights)
        self.weights = array("b" if small else "h", spec.weights)
        if spec.kernel_zero_point:
            self.weights = array("h", [k - spec.kernel_zero_point for k in spec.weights])
        # a list: MicroPython's array("q") hands out a heap object for every item, small or not
        self.start = [
            (spec.bias[o] if spec.bias else 0)
            - spec.input_zero_point * sum(self.weights[o * spec.taps : (o + 1) * spec.taps])
            for o in range(spec.kernel_shape[0])
        ]
        # a multiplier of 31 bits is a heap object on a board, its limbs are not; half_of() follows them
        self.limbs = None
        if spec.kind == "tflite":
            parts = [limbs(m) + (half_of(spec.rounding, shift),) for m, shift in zip(spec.multiplier, spec.shift)]
            self.limbs = array("h", [part for four in parts for part in four])
        self.single = spec.rounding == "single"
        self.limited = spec.wide and spec.kind == "tflite"
        self.factors = spec.multiplier if spec.kind == "tflite64" else None
        self.shift = spec.shift
        self.zero = spec.output_zero_point
        if spec.kind != "exact":
            self.lowest = spec.activation_min - self.zero
            self.highest = spec.activation_max - self.zero
        self.scratch_bytes = 4 * spec.taps
        self.weight_bytes = 2 * len(self.weights) if spec.kernel_zero_point else spec.weights_bytes

    def run(self, x, out, scratch):
        """x, out: typed views; scratch: array('i') of spec.taps items, the patch."""
        spec = self.spec
        out_height, out_width, channels = spec.out_shape
        depth = spec.kernel_shape[3]
        groups = spec.groups
        per_group = channels // groups
        top, left = spec.padding[0][0], spec.padding[1][0]
        sy, sx = spec.stride
        pitch, step = spec.pitch, spec.input_shape[2]
        last_row, last_column = spec.input_shape[0] - spec.extent[0], spec.input_shape[1] - spec.extent[1]
        taps, weights, start = self.taps, self.weights, self.start  # three: a tuple of four is made on the heap
        exact = spec.kind == "exact"
        at = 0  # where the next output goes
        for i in range(out_height):
            y = i * sy - top
            for j in range(out_width):
                z = j * sx - left
                inside = 0 <= y <= last_row and 0 <= z <= last_column
                first = y * pitch + z * step
                k = 0  # walks all weights once per position
                o = 0
                for g in range(groups):
                    if not inside:
                        self.gather(x, i * sy, j * sx, g * depth, scratch)
                    elif per_group > 1:
                        n = 0
                        for tap in taps:
                            scratch[n] = x[first + tap]
                            n += 1
                    for _ in range(per_group):
                        acc = start[o]
                        if inside and per_group == 1:
                            for tap in taps:
                                acc += x[first + tap] * weights[k]
                                k += 1
                        else:
                            for value in scratch:
                                acc += value * weights[k]
                                k += 1
                        out[at] = acc if exact else self.scale(acc, o)
                        at += 1
                        o += 1
                    first += depth

    def gather(self, x, row, first, channel, patch):
        """The taps of the window that starts at a padded row and column, from a channel on."""
        spec = self.spec
        _, kh, kw, depth = spec.kernel_shape
        columns, dilation, outside = self.columns, spec.dilation[1], spec.border_value
        n = 0
        for _ in range(kh):
            line = self.rows[row]
            column = first
            for _ in range(kw):
                c = columns[column]
                source = line + c + channel
                if line < 0 or c < 0:
                    for _ in range(depth):
                        patch[n] = outside
                        n += 1
                else:
                    for s in range(source, source + depth):
                        patch[n] = x[s]
                        n += 1
                column += dilation
            row += spec.dilation[0]

    def scale(self, acc, o):
        """The output of channel o for its accumulator (fixedpoint.py says why)."""
        shift = self.shift[o]
        zero = self.zero
        if self.factors:
            return requantize64(acc, self.factors[o], shift, zero, self.lowest + zero, self.highest + zero)
        if self.limited:
            most = 0x7FFFFFFF >> max(shift, 0)
            acc = clamp(acc, -most, most)
        if shift > 0:
            acc <<= shift
        parts = self.limbs
        if parts:
            o *= 4
            acc = scale_high(acc, parts[o], parts[o + 1], parts[o + 2], parts[o + 3])
        if shift < 0:
            acc = rounding_shift(acc, -shift, self.single)
        return clamp(acc, self.lowest, self.highest) + zero
