"""Convolution of any shape on cores with the DSP extension: two pixels by four channels in registers.

Called as f(x, out, scratch, table). The input is copied to scratch as 16-bit items,
columns first, so that the taps of a window are consecutive:

    scratch[column][kernel row][channel]

and a window begins `step` bytes after its neighbour to the left. Borders, pitch,
strides and dilation along y end there. The rows that the next output row
sees again stay: its windows begin `slide` bytes further on, so that the slots which
come in new held rows of the next column that nobody needs any more, and an
output row copies `stride` rows.

For each output row, for each four output channels, for each two pixels, two
taps are 12 instructions: the word of each pixel, four words of weights, eight
SMLAD (x.low * w.low + x.high * w.high). The table holds, four channels at a time,

    sums to start from [channel], weights [two taps][channel][2], constants of the scale [channel]

The weights of `fast` packing are 16 bits and doubled where the scale wants 2 * acc; the
zero point of x is in the start. `compact` weights are 8 bits, w0 w2 w1 w3 of four taps in a word, which
SXTB16 takes apart; then two channels (four for a single pixel) are all that registers hold.

Registers: r0-r3 sums of the first pixel, r4-r7 of the second, r8 window, r9 table,
r10-r12 and lr data; with compact weights lr is the output. Windows may begin at an odd
halfword: ARMv7-M allows that to LDR, not to LDRD and LDM, which are kept to what is aligned.
"""

from ..fixedpoint import ITEMSIZE
from . import fill, walk
from .scale import Scale, from_table, put
from .scale import refuses as scale_refuses
from .thumb_asm import ARMV7EM, EQ, LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP, Assembler

_SCRATCH_MOST = 49152  # bytes
_SLIDE_MOST = 1024  # bytes through which windows slide before all rows are copied again
_UNROLLED = 20  # blocks of taps (two, compact: four) in a loop's body, at most

# where what does not fit in registers stands on the stack
X, OUT, WINDOW, TABLE, QUAD, QUADS, ROWS, OUT_QUAD, OUT_AT, OUT_END, WEIGHTS_END, GROUPS, OUT_GROUP = range(0, 52, 4)
FRAME = fill.FRAME


def refuses(spec, level):
    """None, or why this family does not take a layer on a core."""
    if level < ARMV7EM:
        return "a core without the DSP extension"
    if spec.dtype == "H":
        return "unsigned 16-bit data"
    reason = scale_refuses(spec) or fill.refuses(spec)
    if reason:
        return reason
    if spec.dilation[1] > 1:
        return "a dilation along x"
    if Shape(spec).step > 4088:
        return "windows that lie more than 4088 bytes apart"
    if Shape(spec).scratch_bytes > _SCRATCH_MOST:
        return "rows that take more than %d bytes of scratch" % _SCRATCH_MOST
    return None


def is_small(spec):
    """Whether compact packing, 8 bits, takes a layer's weights."""
    zero = spec.kernel_zero_point
    return -128 <= min(spec.weights) - zero and max(spec.weights) - zero <= 127


def table_bytes(spec, compact):
    """What the table of a layer takes."""
    return 4 * Blocks(spec, compact).table_words


class Blocks:
    """How the work on one layer is cut.

    pixels, wide   output columns and channels that registers hold at a time
    block          taps in a block; unrolled blocks in a chunk, the body of a loop; chunks in a window
    padded         taps of a window in whole chunks
    firsts         the first channel, within a group, of each `wide`
    """

    def __init__(self, spec, compact):
        per_group = spec.kernel_shape[0] // spec.groups
        self.pixels = 2 if spec.out_shape[1] > 1 else 1
        self.wide = min(4 if self.pixels == 1 or not compact else 2, per_group)
        self.block = 4 if compact else 2
        blocks = (spec.taps + self.block - 1) // self.block
        self.chunks = (blocks + _UNROLLED - 1) // _UNROLLED
        self.unrolled = (blocks + self.chunks - 1) // self.chunks
        self.padded = self.chunks * self.unrolled * self.block
        self.firsts = list(range(0, per_group - self.wide + 1, self.wide))
        if per_group % self.wide:
            self.firsts.append(per_group - self.wide)  # the last channels once more, rather than fewer at a time
        self.weight_words = self.padded * self.wide // (4 if compact else 2)
        words = self.wide * (1 + Scale(spec, True).words) + self.weight_words
        self.table_words = spec.groups * len(self.firsts) * words


class Shape:
    """Sizes in scratch, in bytes."""

    def __init__(self, spec):
        out_channels, kh, kw, depth = spec.kernel_shape
        self.slot = 2 * depth
        self.column = kh * self.slot
        self.step = spec.stride[1] * self.column
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + kw
        self.slides = spec.dilation[0] == 1 and spec.stride[0] < kh
        self.slide = spec.stride[0] * self.slot if self.slides else 0
        self.passes = min(spec.out_shape[0], 1 + _SLIDE_MOST // self.slide) if self.slides else 1
        beyond = 2 * 4 * _UNROLLED  # windows end in whole blocks of taps
        self.blank = (self.columns * self.column + (self.passes - 1) * self.slide + beyond + 3) // 4 * 4
        self.scratch_bytes = self.blank + (walk.blank_bytes(spec) if fill.needs_blank(spec) else 0)


class Conv:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing."""

    def __init__(self, spec, level, compact=False):
        self.spec = spec
        self.shape = shape = Shape(spec)
        self.scratch_bytes = shape.scratch_bytes
        self.compact = compact
        self.aligned = shape.step % 4 == 0 and shape.slide % 4 == 0  # every window is at a whole word
        self.cut = Blocks(spec, compact)
        self.wide = self.cut.wide
        self.doubled = spec.kind == "tflite" and not compact and _doubles(spec)
        self.scale = Scale(spec, self.doubled)
        self.asm = Assembler(level)
        self._emit()
        self.code = self.asm.finish()
        self.asm = None
        self.table = self._pack()

    # The table

    def _pack(self):
        spec, cut, wide = self.spec, self.cut, self.cut.wide
        per_group = spec.kernel_shape[0] // spec.groups
        table = bytearray(4 * cut.table_words)
        at = 0
        for group in range(spec.groups):
            for first in cut.firsts:
                channels = range(group * per_group + first, group * per_group + first + wide)
                for o in channels:
                    at = put(table, at, self._start(o))
                for n, o in enumerate(channels):
                    self._pack_weights(table, at + 4 * n, o)
                at += 4 * cut.weight_words
                for o in channels:
                    for word in self.scale.constants(o):
                        at = put(table, at, word)
        return table

    def _start(self, o):
        """bias - input_zero_point * (sum of the channel's weights), doubled if the sums are."""
        spec = self.spec
        total = sum(spec.weights[o * spec.taps : (o + 1) * spec.taps]) - spec.taps * spec.kernel_zero_point
        start = (spec.bias[o] if spec.bias else 0) - spec.input_zero_point * total
        return start * (1 + self.doubled)

    def _pack_weights(self, table, at, o):
        """The weights of a channel, as scratch orders them (column, row, channel), to its word of every block."""
        spec = self.spec
        _, kh, kw, depth = spec.kernel_shape
        weights, zero = spec.weights, spec.kernel_zero_point
        factor = 1 + self.doubled
        places = (0, 2, 1, 3) if self.compact else (0, 2)
        step = 4 * self.cut.wide
        block = len(places)
        t = 0
        for b in range(kw):
            for a in range(kh):
                source = ((o * kh + a) * kw + b) * depth
                for c in range(source, source + depth):
                    k = (weights[c] - zero) * factor
                    place = at + places[t]
                    table[place] = k & 255
                    if block == 2:
                        table[place + 1] = k >> 8 & 255
                    t += 1
                    if t == block:
                        t = 0
                        at += step

    # The code

    def _emit(self):
        asm, spec, shape, cut = self.asm, self.spec, self.shape, self.cut
        pixels = cut.pixels
        per_group = spec.kernel_shape[0] // spec.groups
        out_size = ITEMSIZE[spec.out_dtype]
        out_height, out_width, out_channels = spec.out_shape
        pixel_bytes = out_channels * out_size
        asm.push((R4, R5, R6, R7, R8, R9, R10, R11, LR))
        asm.addi(SP, SP, -FRAME)
        asm.strd(R0, R1, SP, X)
        asm.strd(R2, R3, SP, WINDOW)
        walk.emit_begin(asm, spec, shape, fill.needs_blank(spec))
        if spec.groups > 1:
            asm.ldr(R1, SP, OUT)
            asm.str(R1, SP, OUT_GROUP)
            asm.constant(R0, spec.groups)
            asm.str(R0, SP, GROUPS)
            asm.label("group")
        asm.constant(R0, out_height)
        asm.str(R0, SP, ROWS)
        walk.emit_restart(asm, spec, shape)
        asm.label("row")
        fill.emit_rows(asm, spec, shape, WINDOW, X)
        # all channels of a row, `wide` at a time
        asm.ldr(R0, SP, TABLE)
        asm.ldr(R1, SP, OUT)
        asm.constant(R2, len(cut.firsts))
        asm.str(R0, SP, QUAD)
        asm.str(R1, SP, OUT_QUAD)
        asm.str(R2, SP, QUADS)
        asm.label("quad")
        asm.ldr(R8, SP, WINDOW)
        asm.ldr(R1, SP, OUT_QUAD)
        if self.compact:
            asm.mov(LR, R1)
        else:
            asm.str(R1, SP, OUT_AT)
        pairs = out_width // pixels
        if pairs > 1:
            asm.plus(R2, R1, pairs * pixels * pixel_bytes)
            asm.str(R2, SP, OUT_END)
        if cut.chunks > 1:
            asm.ldr(R1, SP, QUAD)
            asm.plus(R1, R1, 4 * (self.wide + cut.weight_words))
            asm.str(R1, SP, WEIGHTS_END)
        asm.label("pixels")
        self._pixels(pixels, pixel_bytes, "chunk")
        if pairs > 1:
            asm.ldr(R10, SP, OUT_END)
            asm.cmp(LR, R10)
            asm.b("pixels", NE)
        if out_width % pixels:
            self._pixels(1, pixel_bytes, "last chunk")
        asm.str(R9, SP, QUAD)
        asm.ldr(R1, SP, OUT_QUAD)
        asm.ldr(R0, SP, QUADS)
        asm.plus(R1, R1, self.wide * out_size)
        asm.subs(R0, 1)
        left = per_group % self.wide
        if left and len(cut.firsts) > 1:
            asm.cmpi(R0, 1)
            asm.it(EQ)
            asm.addi(R1, R1, (left - self.wide) * out_size)
            asm.cmpi(R0, 0)
        asm.str(R1, SP, OUT_QUAD)
        asm.str(R0, SP, QUADS)
        asm.b("quad", NE)
        # the next row
        asm.ldr(R1, SP, OUT)
        asm.plus(R1, R1, out_width * pixel_bytes)
        asm.str(R1, SP, OUT)
        walk.emit_next(asm, shape, WINDOW, spec.stride[0], spec.kernel_shape[1] - spec.stride[0])
        asm.ldr(R0, SP, ROWS)
        asm.subs(R0, 1)
        asm.str(R0, SP, ROWS)
        asm.b("row", NE)
        if spec.groups > 1:
            asm.str(R9, SP, TABLE)
            asm.ldr(R1, SP, OUT_GROUP)
            asm.plus(R1, R1, per_group * out_size)
            asm.str(R1, SP, OUT_GROUP)
            asm.str(R1, SP, OUT)
            asm.ldr(R1, SP, X)
            asm.plus(R1, R1, spec.kernel_shape[3] * ITEMSIZE[spec.dtype])
            asm.str(R1, SP, X)
            asm.ldr(R0, SP, walk.BASE)
            asm.str(R0, SP, WINDOW)
            asm.ldr(R0, SP, GROUPS)
            asm.subs(R0, 1)
            asm.str(R0, SP, GROUPS)
            asm.b("group", NE)
        asm.addi(SP, SP, FRAME)
        asm.pop((R4, R5, R6, R7, R8, R9, R10, R11, LR))
        asm.bx_lr()

    def _pixels(self, pixels, pixel_bytes, label):
        """`pixels` times `wide` outputs; afterwards r8 is the next window, r9 behind the constants, lr the next
        output."""
        asm, wide, step, cut = self.asm, self.wide, self.shape.step, self.cut
        asm.ldr(R9, SP, QUAD)
        if pixels == 2:
            asm.ldm(R9, range(R4, R4 + wide), False)
        asm.ldm(R9, range(wide))
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
            sums = [c, R4 + c][:pixels]
            self.scale.emit(asm, sums, load, (R10, R11, R12))
            for pixel, r in enumerate(sums):
                self.scale.store(asm, r, LR, c * out_size + pixel * pixel_bytes)
        asm.plus(LR, LR, pixels * pixel_bytes)
        if not self.compact:
            asm.str(LR, SP, OUT_AT)

    def _two_taps(self, pixels):
        """A word of 16-bit weights for each channel."""
        asm, wide = self.asm, self.wide
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
        asm, wide, step = self.asm, self.wide, self.shape.step
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
        weights = (R6, R7, R10, R11)[: self.wide]
        asm.ldm(R9, weights)
        for c, w in enumerate(weights):
            asm.sxtb16(R12, w)
            asm.sxtb16(w, w, 8)
            asm.smlad(c, R4, R12, c)
            asm.smlad(c, R5, w, c)


def _doubles(spec):
    """Whether twice an effective weight stays within 16 bits."""
    zero = spec.kernel_zero_point
    return -16384 <= min(spec.weights) - zero and max(spec.weights) - zero <= 16383
