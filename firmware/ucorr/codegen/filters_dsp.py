"""Image filters and depthwise layers on cores with the DSP extension: two rows by two columns of one channel.

Called as f(x, out, scratch, table). Scratch holds a plane for each channel, columns
first, two input rows in a word:

    plane[channel][column][row pair] = upper row | lower row << 16

so that two output rows see the same words. With stride 1 the upper output
row multiplies pair 0 by (w0, w1), pair 1 by (w2, .) and so on, the lower one
the lower half of pair 0 by w0, pair 1 by (w1, w2): for a 3x3 kernel four multiplies
(SMLAD, or SMLABB and its kin for a single tap) per column and two rows, 24
for 36 products. Every column is loaded once for two output columns.

After two output rows the planes' windows move on by `stride` words; the words
that come in new held pairs of the next column that nobody needs any more (as in
conv.py). An odd last row is computed with a row below that lies outside; the
lower output is stored first and the upper one over it.

The table holds, for each output channel,

    sum to start from, four times; weights; constants of the scale

where the weights stand once if registers hold them all, or else as a stream in the
order in which two columns of output use them.

Registers: r0, r1 sums of the first column (upper, lower), r2, r3 of the second; lr output.
Weights in r4-r9, pairs in r10 and r11, window r12; or, with a stream, window r8,
table r9, and r4-r7, r10-r12 shared by weights and pairs.
"""

from ..fixedpoint import ITEMSIZE
from . import planes_dsp as planes
from . import walk
from .scale_dsp import Scale, doubles
from .scale_dsp import refuses as scale_refuses
from .table import put, start
from .thumb2 import Thumb2
from .thumb_asm import LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP

_RESIDENT_WORDS = 6
_UNROLLED = 2  # blocks of two output columns without a loop, at most
_SHARED = (R4, R5, R6, R7, R10, R11, R12)  # for pairs and streamed weights

# on the stack; the first ones are the table's, so that constants can be loaded in pairs
CONSTANTS, X = 0, planes.X
OUT, WINDOW, TABLE, PASSES, CHANNELS_END, TABLE_AT, OUT_END, LOWER, COPIES, START = range(24, 64, 4)
FRAME = planes.FRAME


def refuses(spec):
    """None, or why this family does not take a layer."""
    _, kh, kw, depth = spec.kernel_shape
    if depth != 1 or ITEMSIZE[spec.dtype] != 1:
        return "not one channel of bytes for each output"
    if spec.kernel_shape[0] >= 4 * spec.groups:
        return "four or more outputs of an input channel"
    if spec.dilation != (1, 1) or spec.stride[0] > 2 or spec.stride[1] > kw or kh < 2:
        return "a dilation, a stride or a single kernel row"
    rows = Rows(spec)
    if rows.pairs > 6:
        return "more than 6 pairs of rows"
    reason = scale_refuses(spec) or walk.refuses_columns(spec, rows.columns)
    if reason:
        return reason
    return walk.refuses_scratch(spec, rows.scratch_bytes)


def packings(spec):
    """The only packing is the fast one."""
    return (False,)


def table_bytes(spec, compact):
    """What the table of a layer takes."""
    rows = Rows(spec)
    kw = spec.kernel_shape[2]
    copies = kw if _holds(spec, rows) else 2 * kw
    return 4 * spec.kernel_shape[0] * (4 + copies * len(rows.words) + Scale(spec, True).words)


def _holds(spec, rows):
    """Whether registers hold all weights of a channel."""
    return rows.pairs == 2 and spec.kernel_shape[2] * len(rows.words) <= _RESIDENT_WORDS


class Rows:
    """How pairs of rows lie in scratch, and which weights they meet; sizes in bytes.

    pairs    words of a column, of two `rows` each
    words    [(first tap, second tap or None)] that the weights of a kernel column are packed in
    terms    for the upper and for the lower output row [(pair, half or None, word, half)]: a pair times a
             word, or a half of it times a half
    """

    first, slot, at_once = 0, 2, 2

    def __init__(self, spec):
        _, kh, kw, _ = spec.kernel_shape
        stride = spec.stride[0]
        self.pairs = (kh + stride + 1) // 2
        self.rows = 2 * self.pairs
        self.column = 4 * self.pairs
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + kw
        self.slide = 4 * stride
        self.passes_all = (spec.out_shape[0] + 1) // 2
        channels = spec.input_shape[2]
        self.passes = min(self.passes_all, 1 + max(1, 2048 // (self.slide * channels)))
        if stride >= self.pairs:
            self.passes = 1
        self.plane = self.columns * self.column + (self.passes - 1) * self.slide
        self.blank = channels * self.plane + 4 * self.column  # a second column of outputs may not exist
        self.scratch_bytes = self.blank + (walk.blank_bytes(spec) if spec.border == "constant" else 0)
        self._set_terms(kh, stride)

    def _set_terms(self, kh, stride):
        self.words = []
        singles = []
        self.terms = ([], [])
        for row, terms in enumerate(self.terms):
            shift = row * stride
            tap = 0
            while tap < kh:
                pair, half = (tap + shift) // 2, (tap + shift) % 2
                if half or tap + 1 == kh:
                    singles.append((row, pair, half, tap))
                    tap += 1
                else:
                    if (tap, tap + 1) not in self.words:
                        self.words.append((tap, tap + 1))
                    terms.append((pair, None, self.words.index((tap, tap + 1)), None))
                    tap += 2
        for row, pair, half, tap in singles:
            at = [(n, word.index(tap)) for n, word in enumerate(self.words) if tap in word]
            if not at:
                self.words.append((tap, None))
                at = [(len(self.words) - 1, 0)]
            self.terms[row].append((pair, half) + at[0])


class Planes:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, level, compact=False):
        self.spec = spec
        self.rows = rows = Rows(spec)
        self.scratch_bytes = rows.scratch_bytes
        kw = spec.kernel_shape[2]
        words = kw * len(rows.words)
        self.resident = _holds(spec, rows)
        if self.resident:
            self.weights = tuple(range(R4, R4 + words))
            self.pairs = (R10, R11)
            self.window, self.temps = R12, (R10, R11)
        else:
            self.weights = _SHARED[: min(len(rows.words), 7 - rows.pairs)]
            self.pairs = _SHARED[7 - rows.pairs :]
            self.window, self.temps = R8, (R10, R11, R12)
        self.doubled = doubles(spec)
        self.scale = Scale(spec, self.doubled)
        self.table = self._pack()
        self.asm = Thumb2(level)
        self._emit()
        self.code = self.asm.finish()
        self.asm = None

    # The table

    def _steps(self):
        """What a block of two output columns does: (input column, [(output column, kernel column)])."""
        kw, stride = self.spec.kernel_shape[2], self.spec.stride[1]
        for column in range(kw + stride):
            uses = [(n, column - n * stride) for n in (0, 1) if 0 <= column - n * stride < kw]
            yield column, uses

    def _pack(self):
        spec = self.spec
        kw = spec.kernel_shape[2]
        stream = list(range(kw))
        if not self.resident:
            stream = [k for _, uses in self._steps() for _, k in uses]
        table = bytearray(table_bytes(spec, False))
        factor = 1 + self.doubled
        zero = spec.kernel_zero_point
        at = 0
        for o in range(spec.kernel_shape[0]):
            kernel = [(k - zero) * factor for k in spec.weights[o * spec.taps : (o + 1) * spec.taps]]
            for _ in range(4):
                at = put(table, at, start(spec, o, spec.input_zero_point) * factor)
            for b in stream:
                for first, second in self.rows.words:
                    high = 0 if second is None else kernel[second * kw + b]
                    put(table, at, kernel[first * kw + b])
                    table[at + 2] = high & 255
                    table[at + 3] = high >> 8 & 255
                    at += 4
            for word in self.scale.constants((o,)):
                at = put(table, at, word)
        return table

    # The code

    def _emit(self):
        asm, spec, rows = self.asm, self.spec, self.rows
        out_height, out_width, out_channels = spec.out_shape
        out_size = ITEMSIZE[spec.out_dtype]
        pixel = out_channels * out_size
        copies = out_channels // spec.groups
        asm.enter(FRAME)
        asm.str(R0, SP, X)
        asm.str(R1, SP, OUT)
        asm.str(R2, SP, WINDOW)
        asm.str(R3, SP, TABLE)
        walk.emit_begin(asm, spec, rows, spec.border == "constant")
        walk.emit_restart(asm, spec, rows)
        asm.constant(R0, rows.passes_all)
        asm.constant(R1, out_width * pixel)
        asm.str(R0, SP, PASSES)
        asm.str(R1, SP, LOWER)
        asm.label("pass")
        walk.emit_rows(asm, spec, rows, WINDOW, X, planes.emit_row)
        if out_height % 2:
            asm.ldr(R0, SP, PASSES)
            asm.cmpi(R0, 1)
            asm.b("two rows", NE)
            asm.constant(R0, 0)  # the lower row goes where the upper one will
            asm.str(R0, SP, LOWER)
            asm.label("two rows")
        asm.ldr(R1, SP, TABLE)
        asm.str(R1, SP, TABLE_AT)
        asm.ldr(self.window, SP, WINDOW)
        asm.ldr(LR, SP, OUT)
        asm.plus(R0, LR, pixel)
        asm.str(R0, SP, CHANNELS_END)
        asm.label("channel")
        if copies > 1:
            asm.constant(R0, copies)
            asm.str(R0, SP, COPIES)
            asm.label("copy")
        self._channel(out_width, pixel)
        asm.plus(LR, LR, out_size - out_width * pixel)
        seen = out_width * spec.stride[1] * rows.column
        if copies > 1:
            asm.plus(self.window, self.window, -seen)
            asm.count(COPIES, "copy")
            seen = 0
        if spec.groups > 1:
            asm.plus(self.window, self.window, rows.plane - seen)
            asm.ldr(R0, SP, CHANNELS_END)
            asm.cmp(LR, R0)
            asm.b("channel", NE)
        asm.advance(OUT, 2 * out_width * pixel)
        walk.emit_next(asm, rows, WINDOW, 2 * spec.stride[0], rows.rows - 2 * spec.stride[0])
        asm.count(PASSES, "pass")
        asm.leave(FRAME)

    def _channel(self, out_width, pixel):
        """Two rows of one output channel, from the window and lr on, which move on."""
        asm = self.asm
        if self.resident:
            asm.ldr(R10, SP, TABLE_AT)
            asm.str(R10, SP, START)
            asm.addi(R10, R10, 16)
            asm.ldm(R10, self.weights)
            words = self.scale.words
            for n in range(0, words, 2):
                if n + 1 < words:
                    asm.ldrd_then(R0, R1, R10, 8)
                    asm.strd(R0, R1, SP, CONSTANTS + 4 * n)
                else:
                    asm.ldr_then(R0, R10, 4)
                    asm.str(R0, SP, CONSTANTS + 4 * n)
            asm.str(R10, SP, TABLE_AT)
        pairs = out_width // 2
        loop = pairs > _UNROLLED
        if loop:
            asm.plus(R0, LR, pairs * 2 * pixel)
            asm.str(R0, SP, OUT_END)
            asm.label("block")
        for _ in range(1 if loop else pairs):
            self._block(2, pixel)
        if loop:
            asm.ldr(R10, SP, OUT_END)
            asm.cmp(LR, R10)
            asm.b("block", NE)
        if out_width % 2:
            self._block(1, pixel)
        if not self.resident:
            asm.str(R9, SP, TABLE_AT)

    def _block(self, pixels, pixel):
        """Two rows by `pixels` columns; window and lr move on."""
        asm, spec, rows = self.asm, self.spec, self.rows
        stride = spec.stride[1]
        kw = spec.kernel_shape[2]
        if self.resident:
            asm.ldr(R10, SP, START)
            asm.ldm(R10, (R0, R1, R2, R3), False)
        else:
            asm.ldr(R9, SP, TABLE_AT)
            asm.ldm(R9, (R0, R1, R2, R3))
        columns = 0
        for column, uses in self._steps():
            if self.resident:
                uses = uses[:1] if pixels == 1 and uses[0][0] == 0 else uses if pixels == 2 else []
                if column >= kw and pixels == 1:
                    break
            asm.ldm(self.window, self.pairs)
            columns += 1
            for n, k in uses:
                self._column(n, k)
        asm.plus(self.window, self.window, (pixels * stride - columns) * rows.column)
        sums = ((R1, 0), (R3, 1), (R0, 0), (R2, 1))  # lower ones first
        sums = [(r, n) for r, n in sums if n < pixels]
        self.scale.emit(asm, [r for r, _ in sums], self._load(), self.temps)
        below = self.temps[0]
        asm.ldr(below, SP, LOWER)
        asm.add(below, LR, below)
        for r, n in sums:
            self.scale.store(asm, r, below if r in (R1, R3) else LR, n * pixel)
        asm.plus(LR, LR, pixels * pixel)

    def _load(self):
        """What Scale.emit calls for its constants: from the stack, or behind the weights in the table."""
        asm = self.asm
        at = [CONSTANTS]

        def load(registers):
            if not self.resident:
                asm.ldm(R9, registers)
                return
            if len(registers) == 2:
                asm.ldrd(registers[0], registers[1], SP, at[0])
            else:
                asm.ldr(registers[0], SP, at[0])
            at[0] += 4 * len(registers)

        return load

    def _column(self, n, k):
        """The input column in the pairs times kernel column k, onto the sums of output column n."""
        asm, rows = self.asm, self.rows
        count = len(rows.words)
        batch = count if self.resident else len(self.weights)
        for first in range(0, count, batch):
            held = range(first, min(first + batch, count))
            if self.resident:
                registers = self.weights[k * count : (k + 1) * count]
            else:
                registers = self.weights[: len(held)]
                asm.ldm(R9, registers)
            for row in (0, 1):
                r = R0 + 2 * n + row
                for pair, half, word, part in rows.terms[row]:
                    if word not in held:
                        continue
                    p, w = self.pairs[pair], registers[word - first]
                    if half is None:
                        asm.smlad(r, p, w, r)
                    else:
                        (asm.smlabb, asm.smlabt, asm.smlatb, asm.smlatt)[2 * half + part](r, p, w, r)
