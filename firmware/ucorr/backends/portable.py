"""Portable: plain loops. This is what every backend means, and the fallback everywhere.

For each output position the taps it sees are gathered into a patch, zero point
taken off; every output channel is then one dot product of that patch with its
weights. Nothing is allocated in a run unless an accumulator leaves +-2**30, the
small ints of a 32-bit board.
"""

from array import array

from ..fixedpoint import clamp, limbs, requantize64, rounding_shift, scale_high
from ..spec import source_index


def refuses(spec):
    """Portable takes every layer."""
    return None


def prepare(spec):
    return Portable(spec)


class Portable:
    """A layer as loops over the canonical weights; the contract is in backends/__init__.py."""

    typed = True

    def __init__(self, spec):
        self.spec = spec
        (top, bottom), (left, right) = spec.padding
        height, width, channels = spec.input_shape
        # where each padded row and column starts in x; negative for the border's constant
        rows = [spec.pitch * source_index(r, height, spec.border) for r in range(-top, height + bottom)]
        columns = [channels * source_index(c, width, spec.border) for c in range(-left, width + right)]
        self.rows, self.columns = array("i", rows), array("i", columns)
        self.weights = spec.weights
        if spec.kernel_zero_point:
            self.weights = array("h", [k - spec.kernel_zero_point for k in spec.weights])
        # a list: MicroPython's array("q") hands out a heap object for every item, small or not
        self.bias = spec.bias or [0] * spec.kernel_shape[0]
        self.limbs = None
        if spec.kind == "tflite":  # a whole multiplier is a heap object on a board, its limbs are not
            self.limbs = array("h", [limb for m in spec.multiplier for limb in limbs(m)])
        self.scratch_bytes = 4 * spec.taps
        self.weight_bytes = spec.weights_bytes if self.weights is spec.weights else 2 * len(self.weights)

    def run(self, x, out, scratch):
        """x, out: typed views; scratch: array('i') of spec.taps items, the patch."""
        spec = self.spec
        out_height, out_width, channels = spec.out_shape
        taps, groups = spec.taps, spec.groups
        per_group = channels // groups
        weights, bias, exact = self.weights, self.bias, spec.kind == "exact"
        at = 0  # where the next output goes
        for i in range(out_height):
            for j in range(out_width):
                k = 0  # walks all weights once per position
                for g in range(groups):
                    self.gather(x, i, j, g, scratch)
                    for o in range(g * per_group, (g + 1) * per_group):
                        acc = bias[o]
                        for t in range(taps):
                            acc += scratch[t] * weights[k]
                            k += 1
                        out[at] = acc if exact else self.scale(acc, o)
                        at += 1

    def gather(self, x, i, j, g, patch):
        """The taps of output (i, j), channel group g: patch[n] = x - input_zero_point."""
        spec = self.spec
        _, kh, kw, depth = spec.kernel_shape
        columns, dilation = self.columns, spec.dilation[1]
        zero = spec.input_zero_point
        outside = spec.border_value - zero
        row, first = i * spec.stride[0], j * spec.stride[1]
        n = 0
        for _ in range(kh):
            line = self.rows[row]
            inside = line >= 0
            line += g * depth
            column = first
            for _ in range(kw):
                c = columns[column]
                if c < 0 or not inside:
                    for _ in range(depth):
                        patch[n] = outside
                        n += 1
                else:
                    source = line + c
                    last = n + depth
                    while n < last:
                        patch[n] = x[source] - zero
                        source += 1
                        n += 1
                column += dilation
            row += spec.dilation[0]

    def scale(self, acc, o):
        """The output of channel o for its accumulator (fixedpoint.py says why)."""
        spec = self.spec
        shift = spec.shift[o]
        zero, lo, hi = spec.output_zero_point, spec.activation_min, spec.activation_max
        if spec.kind == "tflite64":
            return requantize64(acc, spec.multiplier[o], shift, zero, lo, hi)
        if shift > 0:
            acc <<= shift
        if self.limbs:
            acc = scale_high(acc, self.limbs[3 * o], self.limbs[3 * o + 1], self.limbs[3 * o + 2])
        if shift < 0:
            acc = rounding_shift(acc, -shift)
        return clamp(acc, lo - zero, hi - zero) + zero
