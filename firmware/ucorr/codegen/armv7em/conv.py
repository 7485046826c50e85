"""Convolution with the DSP extension: a tile of two output columns by four channels in registers.

loops/conv.py has the layout of scratch and the loops; items are 16 bits. Two taps are 12 instructions for 16 products:
a word of each window, four words of weights, eight SMLAD (acc += x.low * w.low + x.high * w.high):

    for each two taps:                       r11 = window 1, r10 = window 0, which moves on
        for each two channels:               r12, lr = their weights
            acc[window][channel] += x * w    r0-r3 of window 0, r4-r7 of window 1

Registers: r8 window, r9 table, r10-r12 and lr data; after the products, and with compact weights throughout, lr is the
output. Windows may begin at an odd halfword: ARMv7-M allows that to LDR, not to LDRD and LDM, which are kept to what
is aligned.

The table holds, for each channel block,

    accumulators to start from [channel], weights [two taps][channel][2], constants of requantisation [channel]

The weights of `fast` packing are 16 bits, doubled where requantisation takes 2 * acc; the input's zero point is in what
accumulators start from. `compact` weights are 8 bits, w0 w2 w1 w3 of four taps in a word, which SXTB16 takes apart;
then a tile has two channels, or one column by four.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import LR, NE, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP
from ..asm.thumb2 import Thumb2
from ..loops.conv import BLOCK, OUT_AT, OUT_BLOCK, WEIGHTS_END, WINDOW, Conv, Shape, firsts, taps_of
from ..loops.rows import needs_blank, refuses_scratch
from ..loops.table import start
from . import pack_rows
from .requantize import Requantize, doubles
from .requantize import refuses as requantize_refuses

_UNROLLED = 20  # blocks of taps (two, compact: four) in a loop's body, at most
_APART = 4088  # bytes to the neighbour of a window whose words are loaded with it, at most


def refuses(spec):
    """None, or why this kernel does not take a layer."""
    return requantize_refuses(spec) or refuses_shape(spec)


def refuses_shape(spec):
    """None, or why a layer's rows or windows are not for cores with DSP."""
    reason = pack_rows.refuses(spec)
    if reason:
        return reason
    return refuses_scratch(spec, shape_of(spec).scratch_bytes)


def shape_of(spec):
    past = 2 * 4 * _UNROLLED  # windows end in whole chunks of taps, of which the last one holds a tap
    return Shape(spec, 2, past, needs_blank(spec))


def packings(spec):
    """The packings, compact or not, that take a layer's weights, the faster first."""
    zero = spec.kernel_zero_point
    small = -128 <= min(spec.weights) - zero and max(spec.weights) - zero <= 127
    return (False, True) if small else (False,)


def table_bytes(spec, compact):
    """The bytes of a layer's table."""
    return 4 * Tile(spec, compact).table_words


class Tile:
    """The tile of a layer, and how its taps are unrolled; loops/conv.py has the other fields.

    block          taps in a block; unrolled blocks in a chunk, the body of a loop; chunks in a window
    padded         taps of a window in whole chunks
    """

    def __init__(self, spec, compact, words=None, each=1):
        """words: constants of requantisation of a channel; each: words of an accumulator"""
        per_group = spec.kernel_shape[0] // spec.groups
        step = 2 * spec.stride[1] * spec.kernel_shape[1] * spec.kernel_shape[3]
        self.pixels = 2 if spec.out_shape[1] > 1 and step <= _APART else 1
        self.channels = min(4 if self.pixels == 1 or not compact else 2, 4 // each, per_group)
        self.start_words = each * self.channels
        if words is None:
            words = Requantize(spec, True).words
        self.block = 4 if compact else 2
        blocks = (taps_of(spec) + self.block - 1) // self.block
        self.chunks = (blocks + _UNROLLED - 1) // _UNROLLED
        self.unrolled = (blocks + self.chunks - 1) // self.chunks
        self.padded = self.chunks * self.unrolled * self.block
        self.firsts = firsts(per_group, self.channels)
        self.weight_words = self.padded * self.channels // (4 if compact else 2)
        self.table_words = len(self.firsts) * (self.start_words + self.weight_words + self.channels * words)
        self.table_words *= spec.groups


class Kernel(Conv):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing."""

    emit_row = staticmethod(pack_rows.emit_row)
    out_at, table_at, spare = LR, R9, R10
    each = 1  # registers of an accumulator

    def __init__(self, spec, core, compact=False):
        self.doubled = not compact and doubles(spec)
        self.requantize = Requantize(spec, self.doubled)
        self._make(spec, core, Tile(spec, compact), compact)

    def _make(self, spec, core, tile, compact):
        shape = shape_of(spec)
        self.aligned = shape.step % 4 == 0 and shape.slide % 4 == 0  # every window is at a whole word
        Conv.__init__(self, spec, Thumb2(core), shape, tile, compact)

    def _starts(self, channels):
        zero = self.spec.input_zero_point - pack_rows.offset(self.spec)
        return [start(self.spec, o, zero) * (1 + self.doubled) for o in channels]

    def _pack_weights(self, table, at, n, taps):
        """Weights to word n of every block."""
        factor = 1 + self.doubled
        places = (0, 2, 1, 3) if self.compact else (0, 2)
        step = 4 * self.tile.channels
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
        """Before the first tile of a row."""
        self.asm.ldr(R8, SP, WINDOW)
        self.asm.ldr(R1, SP, OUT_BLOCK)
        if self.compact:
            self.asm.mov(LR, R1)
        else:
            self.asm.str(R1, SP, OUT_AT)

    def _end(self):
        """After the last tile of a row."""

    def _pixels(self, pixels, pixel_bytes):
        """A tile of `pixels` output columns; afterwards r8 is the next window, r9 after the constants, lr the next
        output."""
        asm, step, tile = self.asm, self.shape.step, self.tile
        channels = tile.channels
        asm.ldr(R9, SP, BLOCK)
        if pixels == 2:
            asm.ldm(R9, range(R4, R4 + tile.start_words), False)
        asm.ldm(R9, range(tile.start_words))
        if tile.chunks > 1:
            chunk = asm.here()
        for _ in range(tile.unrolled):
            if not self.compact:
                self._two_taps(pixels)
            elif pixels == 2 or channels <= 2:
                self._four_taps(pixels)
            else:
                self._four_taps_of_one()
        if tile.chunks > 1:
            asm.ldr(R10, SP, WEIGHTS_END)
            asm.cmp(R9, R10)
            asm.b(chunk, NE)
        asm.plus(R8, R8, pixels * step - 2 * tile.padded)
        if not self.compact:
            asm.ldr(LR, SP, OUT_AT)
        out_size = ITEMSIZE[self.spec.out_dtype]
        for c in range(channels):
            sums = [self.each * c, R4 + self.each * c][:pixels]
            self.requantize.emit(asm, sums, lambda registers: asm.ldm(R9, registers), (R10, R11, R12))
            for pixel, r in enumerate(sums):
                self.requantize.store(asm, r, *asm.near(LR, c * out_size + pixel * pixel_bytes, R12))
        asm.plus(LR, LR, pixels * pixel_bytes)
        if not self.compact:
            asm.str(LR, SP, OUT_AT)

    def _two_taps(self, pixels):
        """A word of 16-bit weights for each channel."""
        asm, channels = self.asm, self.tile.channels
        if pixels == 2:
            asm.ldr(R11, R8, self.shape.step)
        asm.ldr_then(R10, R8, 4)
        for c in range(0, channels, 2):
            if c + 1 < channels:
                asm.ldrd_then(R12, LR, R9, 8)
            else:
                asm.ldr_then(R12, R9, 4)
            for n, w in ((c, R12), (c + 1, LR))[: channels - c]:
                asm.smlad(n, R10, w, n)
                if pixels == 2:
                    asm.smlad(R4 + n, R11, w, R4 + n)

    def _four_taps(self, pixels):
        """A word of 8-bit weights for each of one or two channels."""
        asm, channels, step = self.asm, self.tile.channels, self.shape.step
        if pixels == 2:
            if self.aligned and step <= 1020:
                asm.ldrd(R6, R7, R8, step)
            else:
                asm.ldr(R6, R8, step)
                asm.ldr(R7, R8, step + 4)
        self._next_two_words(R2, R3)
        if channels == 2:
            asm.ldrd_then(R10, R11, R9, 8)
        else:
            asm.ldr_then(R10, R9, 4)
        for c in range(channels):
            w = R10 + c
            asm.xtb16(R12, w, 0)
            asm.xtb16(w, w, 0, 8)
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
        weights = (R6, R7, R10, R11)[: self.tile.channels]
        asm.ldm(R9, weights)
        for c, w in enumerate(weights):
            asm.xtb16(R12, w, 0)
            asm.xtb16(w, w, 0, 8)
            asm.smlad(c, R4, R12, c)
            asm.smlad(c, R5, w, c)
