"""Convolution and signals whose accumulators are 64 bits, or are requantised in 64 bits: 16-bit data, DSP extension.

conv.py with two differences. An accumulator that 32 bits don't hold is a pair of registers, low and high, onto
which SMLALD adds two products; then a tile has two channels. And requantisation is DESIGN.md's (6), or (3) for 64 bits.
Both come to

    out = limit(((v >> k) + 1 + 2 * zero_point) >> 1)

where v = acc * m16 and k = 14 - shift, or v = acc - [acc < 0] and k = -shift - 1. Channels of different shifts have the
same k, the multipliers being shifted to the left by the difference. The proven bound of v >> k leaves room for
the zero point in 32 bits.

Registers: as in conv.py, the accumulators of channel c being r(2c), r(2c+1) and r(4+2c), r(5+2c).
"""

from ...fixedpoint import reduced
from ..asm.assembler import ASR, LR, LSL, LSR, R4, R8, R9, R10, R11, R12
from . import conv
from .conv import Tile
from .requantize import limit


def refuses(spec):
    """None, or why this kernel does not take a layer."""
    if spec.kind == "tflite":
        return "an int32 accumulator that 32 bits are not proven to hold"
    requantize = Requantize64(spec)
    return requantize.reason or conv.refuses_shape(spec)


def packings(spec):
    """The only packing is the fast one."""
    return (False,)


def table_bytes(spec, compact):
    """The bytes of a layer's table."""
    return 4 * _tile(spec, Requantize64(spec)).table_words


def _tile(spec, requantize):
    return Tile(spec, False, requantize.words, requantize.each)


class Requantize64:
    """Requantisation of a layer; each is how many registers an accumulator has."""

    def __init__(self, spec):
        self.spec = spec
        self.words = 1 if spec.kind == "tflite64" else 0
        reach = max(-spec.bound[0], spec.bound[1])
        self.each = 1 if reach < 1 << 31 and self.words else 2
        self.reason = None
        low, high = min(spec.shift), max(spec.shift)
        if self.words:
            self.k = 14 - low
            if high - low > 15:
                self.reason = "shifts of channels that differ by more than 15"
            most = max([reduced(m) << shift - low for m, shift in zip(spec.multiplier, spec.shift)])
        else:
            self.k = -low - 1
            if low != high or low >= 0:
                self.reason = "64 bits and a shift that is not to the right, by the same for all channels"
            most = 1
        if reach * most >= 1 << 63 or reach * most >> max(0, self.k) >= (1 << 31) - (1 << 17):
            self.reason = "outputs that leave 32 bits ahead of their limits"

    def constants(self, channels):
        """The words of some output channels."""
        spec = self.spec
        if not self.words:
            return []
        low = min(spec.shift)
        return [reduced(spec.multiplier[o]) << spec.shift[o] - low for o in channels]

    def emit(self, asm, accs, constants, temps):
        """The registers of the outputs, the (lower) ones of the accumulators; see requantize.Requantize."""
        a, b, c = temps
        if self.words:
            constants((a,))
        for r in accs:
            if self.each == 1:
                asm.smull(b, r, r, a)
                low, high = b, r
            elif self.words:
                asm.umull(b, c, r, a)
                asm.mla(c, r + 1, a, c)
                low, high = b, c
            else:
                asm.shift(b, r + 1, ASR, 31)
                asm.adds(r, r, b)
                asm.adc(r + 1, r + 1, b)
                low, high = r, r + 1
            self._shift(asm, r, low, high)
            asm.plus(r, r, 1 + 2 * self.spec.output_zero_point)
            asm.shift(r, r, ASR, 1)
            limit(asm, self.spec, r, b)
        return accs

    def _shift(self, asm, r, low, high):
        """r = high:low >> k"""
        k = self.k
        if k > 32:
            asm.shift(r, high, ASR, k - 32)
        elif k == 32 or k == 0:
            source = high if k else low
            if source != r:
                asm.mov(r, source)
        else:
            asm.shift(low, low, LSR, k)
            asm.orr(r, low, high, LSL, 32 - k)

    def store(self, asm, r, out, offset):
        """Store an output."""
        if self.spec.out_dtype in "bB":
            asm.strb(r, out, offset)
        else:
            asm.strh(r, out, offset)


class Kernel(conv.Kernel):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, core, compact=False):
        self.doubled = False
        self.requantize = Requantize64(spec)
        self.each = self.requantize.each
        self._make(spec, core, _tile(spec, self.requantize), False)

    def _starts(self, channels):
        words = []
        for word in conv.Kernel._starts(self, channels):
            words += [word, word >> 32][: self.each]
        return words

    def _two_taps(self, pixels):
        """A word of 16-bit weights for each channel."""
        if self.each == 1:
            conv.Kernel._two_taps(self, pixels)
            return
        asm = self.asm
        if pixels == 2:
            asm.ldr(R11, R8, self.shape.step)
        asm.ldr_then(R10, R8, 4)
        weights = (R12, LR)[: self.tile.channels]
        if len(weights) == 2:
            asm.ldrd_then(R12, LR, R9, 8)
        else:
            asm.ldr_then(R12, R9, 4)
        for c, w in enumerate(weights):
            asm.smlald(2 * c, 2 * c + 1, R10, w)
            if pixels == 2:
                asm.smlald(R4 + 2 * c, R4 + 2 * c + 1, R11, w)
