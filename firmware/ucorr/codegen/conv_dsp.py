"""Convolution on cores with the DSP extension: two pixels by four channels in registers.

conv.py has the layout and the loops. Two taps are 12 instructions for 16 products: the word of each pixel, four
words of weights, eight SMLAD (x.low * w.low + x.high * w.high). The table holds, four channels at a time,

    sums to start from [channel], weights [two taps][channel][2], constants of the scale [channel]

The weights of `fast` packing are 16 bits and doubled where the scale wants 2 * acc; the
zero point of x is in the start. `compact` weights are 8 bits, w0 w2 w1 w3 of four taps in a word, which
SXTB16 takes apart; then two channels (four for a single pixel) are all that registers hold.

Registers: r0-r3 sums of the first pixel, r4-r7 of the second, r8 window, r9 table,
r10-r12 and lr data; behind the products, and with compact weights throughout, lr is the output. Windows may begin at
an odd halfword: ARMv7-M allows that to LDR, not to LDRD and LDM, which are kept to what is aligned.
"""

from ..fixedpoint import ITEMSIZE
from . import fill_dsp as fill
from .conv import OUT_AT, OUT_QUAD, QUAD, WEIGHTS_END, WINDOW, Conv, Shape, firsts, taps_of
from .scale_dsp import Scale, doubles, from_table
from .scale_dsp import refuses as scale_refuses
from .table import start
from .thumb2 import Thumb2
from .thumb_asm import LR, NE, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP
from .walk import needs_blank, refuses_scratch

_UNROLLED = 20  # blocks of taps (two, compact: four) in a loop's body, at most


def refuses(spec):
    """None, or why this family does not take a layer."""
    return scale_refuses(spec) or refuses_shape(spec)


def refuses_shape(spec):
    """None, or why a layer's rows or windows are not for cores with DSP."""
    reason = fill.refuses(spec)
    if reason:
        return reason
    shape = shape_of(spec)
    if shape.step > 4088:
        return "windows that lie more than 4088 bytes apart"
    return refuses_scratch(spec, shape.scratch_bytes)


def shape_of(spec):
    beyond = 2 * 4 * _UNROLLED  # windows end in whole blocks of taps
    return Shape(spec, 2, beyond, needs_blank(spec))


def packings(spec):
    """The packings, compact or not, that take a layer's weights, the faster first."""
    zero = spec.kernel_zero_point
    small = -128 <= min(spec.weights) - zero and max(spec.weights) - zero <= 127
    return (False, True) if small else (False,)


def table_bytes(spec, compact):
    """What the table of a layer takes."""
    return 4 * Blocks(spec, compact).table_words


class Blocks:
    """How the work on one layer is cut; conv.Conv tells more.

    block          taps in a block; unrolled blocks in a chunk, the body of a loop; chunks in a window
    padded         taps of a window in whole chunks
    """

    def __init__(self, spec, compact, words=None, each=1):
        """words: constants of the scale of a channel; each: words of a sum"""
        per_group = spec.kernel_shape[0] // spec.groups
        self.pixels = 2 if spec.out_shape[1] > 1 else 1
        self.wide = min(4 if self.pixels == 1 or not compact else 2, 4 // each, per_group)
        self.start_words = each * self.wide
        if words is None:
            words = Scale(spec, True).words
        self.block = 4 if compact else 2
        blocks = (taps_of(spec) + self.block - 1) // self.block
        self.chunks = (blocks + _UNROLLED - 1) // _UNROLLED
        self.unrolled = (blocks + self.chunks - 1) // self.chunks
        self.padded = self.chunks * self.unrolled * self.block
        self.firsts = firsts(per_group, self.wide)
        self.weight_words = self.padded * self.wide // (4 if compact else 2)
        self.table_words = len(self.firsts) * (self.start_words + self.weight_words + self.wide * words)
        self.table_words *= spec.groups


class Smlad(Conv):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing."""

    emit_row = staticmethod(fill.emit_row)
    out_at, table_at, spare = LR, R9, R10
    each = 1  # registers of a sum

    def __init__(self, spec, level, compact=False):
        self.doubled = not compact and doubles(spec)
        self.scale = Scale(spec, self.doubled)
        self._make(spec, level, Blocks(spec, compact), compact)

    def _make(self, spec, level, cut, compact):
        shape = shape_of(spec)
        self.aligned = shape.step % 4 == 0 and shape.slide % 4 == 0  # every window is at a whole word
        Conv.__init__(self, spec, Thumb2(level), shape, cut, compact)

    def _starts(self, channels):
        zero = self.spec.input_zero_point - fill.middle(self.spec)
        return [start(self.spec, o, zero) * (1 + self.doubled) for o in channels]

    def _pack_weights(self, table, at, n, taps):
        """Weights to word n of every block."""
        factor = 1 + self.doubled
        places = (0, 2, 1, 3) if self.compact else (0, 2)
        step = 4 * self.cut.wide
        block = len(places)
        at += 4 * n
        t = 0
        for k in taps:
            k *= factor
            place = at + places[t]
            table[place] = k & 255
            if block == 2:
                table[place + 1] = k >> 8 & 255
            t += 1
            if t == block:
                t = 0
                at += step

    def _begin(self):
        """Ahead of the first pixel of a row."""
        self.asm.ldr(R8, SP, WINDOW)
        self.asm.ldr(R1, SP, OUT_QUAD)
        if self.compact:
            self.asm.mov(LR, R1)
        else:
            self.asm.str(R1, SP, OUT_AT)

    def _end(self):
        """Behind the last pixel of a row."""

    def _pixels(self, pixels, pixel_bytes, label):
        """`pixels` times `wide` outputs; afterwards r8 is the next window, r9 behind the constants, lr the next
        output."""
        asm, step, cut = self.asm, self.shape.step, self.cut
        wide = cut.wide
        asm.ldr(R9, SP, QUAD)
        if pixels == 2:
            asm.ldm(R9, range(R4, R4 + cut.start_words), False)
        asm.ldm(R9, range(cut.start_words))
        if cut.chunks > 1:
            asm.label(label)
        for _ in range(cut.unrolled):
            if not self.compact:
                self._two_taps(pixels)
            elif pixels == 2 or wide <= 2:
                self._four_taps(pixels)
            else:
                self._four_taps_of_one()
        if cut.chunks > 1:
            asm.ldr(R10, SP, WEIGHTS_END)
            asm.cmp(R9, R10)
            asm.b(label, NE)
        asm.plus(R8, R8, pixels * step - 2 * cut.padded)
        if not self.compact:
            asm.ldr(LR, SP, OUT_AT)
        load = from_table(asm, R9)
        out_size = ITEMSIZE[self.spec.out_dtype]
        for c in range(wide):
            sums = [self.each * c, R4 + self.each * c][:pixels]
            self.scale.emit(asm, sums, load, (R10, R11, R12))
            for pixel, r in enumerate(sums):
                self.scale.store(asm, r, LR, c * out_size + pixel * pixel_bytes)
        asm.plus(LR, LR, pixels * pixel_bytes)
        if not self.compact:
            asm.str(LR, SP, OUT_AT)

    def _two_taps(self, pixels):
        """A word of 16-bit weights for each channel."""
        asm, wide = self.asm, self.cut.wide
        if pixels == 2:
            asm.ldr(R11, R8, self.shape.step)
        asm.ldr_then(R10, R8, 4)
        for c in range(0, wide, 2):
            if c + 1 < wide:
                asm.ldrd_then(R12, LR, R9, 8)
            else:
                asm.ldr_then(R12, R9, 4)
            for n, w in ((c, R12), (c + 1, LR))[: wide - c]:
                asm.smlad(n, R10, w, n)
                if pixels == 2:
                    asm.smlad(R4 + n, R11, w, R4 + n)

    def _four_taps(self, pixels):
        """A word of 8-bit weights for each of one or two channels."""
        asm, wide, step = self.asm, self.cut.wide, self.shape.step
        if pixels == 2:
            if self.aligned and step <= 1020:
                asm.ldrd(R6, R7, R8, step)
            else:
                asm.ldr(R6, R8, step)
                asm.ldr(R7, R8, step + 4)
        self._next_two_words(R2, R3)
        if wide == 2:
            asm.ldrd_then(R10, R11, R9, 8)
        else:
            asm.ldr_then(R10, R9, 4)
        for c in range(wide):
            w = R10 + c
            asm.sxtb16(R12, w)
            asm.sxtb16(w, w, 8)
            for n, x in ((c, R2), (R4 + c, R6))[:pixels]:
                asm.smlad(n, x, R12, n)
                asm.smlad(n, x + 1, w, n)

    def _next_two_words(self, t, u):
        if self.aligned:
            self.asm.ldrd_then(t, u, R8, 8)
        else:
            self.asm.ldr_then(t, R8, 4)
            self.asm.ldr_then(u, R8, 4)

    def _four_taps_of_one(self):
        """A word of 8-bit weights for each of three or four channels of one pixel."""
        asm = self.asm
        self._next_two_words(R4, R5)
        weights = (R6, R7, R10, R11)[: self.cut.wide]
        asm.ldm(R9, weights)
        for c, w in enumerate(weights):
            asm.sxtb16(R12, w)
            asm.sxtb16(w, w, 8)
            asm.smlad(c, R4, R12, c)
            asm.smlad(c, R5, w, c)
