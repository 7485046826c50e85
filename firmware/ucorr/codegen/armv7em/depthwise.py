"""Image filters and depthwise layers with the DSP extension: a tile of two rows by two columns of one channel.

Called as f(x, out, scratch, table). Scratch holds row-pair-interleaved channels, column-major, two rows in a word:

    plane[channel][column][row pair] = upper row | lower row << 16

so that two output rows see the same words. With stride 1 the upper output row multiplies pair 0 by (w0, w1), pair 1 by
(w2, .) and so on, the lower one the lower half of pair 0 by w0, pair 1 by (w1, w2): for a 3x3 kernel four multiplies
(SMLAD, or SMLABB and its kin for a single tap) per column and two rows, 24 for 36 products. Every column is loaded once
for two output columns.

    for two output rows:
        pack the row pairs that are new                     (loops/rows.py, pack_row_pairs.py)
        for channel, for copy (outputs of one input channel):
            for tile of two output columns:                 (an odd last one alone)
                accumulators = start
                for input column that the tile sees: load its pairs; accumulators += pairs * weights
                out = requantize(accumulators)

After two output rows the planes' windows move on by `stride` words; the words that come in new held pairs of the next
column that no window needs any more. An odd last row is computed with a row below that lies outside; the lower output
is stored first and the upper one over it.

The table holds, for each output channel,

    accumulator to start from, four times; weights; constants of requantisation

where the weights are there once if registers hold them all, or else as a stream in the order in which two columns of
output use them.

Registers: r0, r1 accumulators of the first column (upper, lower), r2, r3 of the second; lr output.
Weights in r4-r9, pairs in r10 and r11, window r12; or, with a stream, window r8,
table r9, and r4-r7, r10-r12 shared by weights and pairs.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP
from ..asm.thumb2 import Thumb2
from ..loops import rows as row_loop
from ..loops.table import put, start
from . import pack_row_pairs
from .requantize import Requantize, doubles
from .requantize import refuses as requantize_refuses

_RESIDENT_WORDS = 6
_SPARE = 4  # columns after the last plane, at least
_UNROLLED = 2  # blocks of two output columns without a loop, at most
_SHARED = (R4, R5, R6, R7, R10, R11, R12)  # for pairs and streamed weights

# on the stack; the constants of requantisation are first, so that they can be loaded in pairs
CONSTANTS, X = 0, pack_row_pairs.X
OUT, WINDOW, TABLE, ROW_PAIRS, CHANNELS_END, TABLE_AT, OUT_END, LOWER, COPIES, START = range(24, 64, 4)
FRAME = pack_row_pairs.FRAME


def refuses(spec):
    """None, or why this kernel does not take a layer."""
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
    reason = requantize_refuses(spec) or row_loop.refuses_columns(spec, rows.columns)
    if reason:
        return reason
    return row_loop.refuses_scratch(spec, rows.scratch_bytes)


def packings(spec):
    """The only packing is the fast one."""
    return (False,)


def table_bytes(spec, compact):
    """The bytes of a layer's table."""
    rows = Rows(spec)
    copies = rows.kw if rows.resident else 2 * rows.kw
    return 4 * spec.kernel_shape[0] * (4 + copies * len(rows.words) + Requantize(spec, True).words)


class Rows:
    """How pairs of rows lie in scratch, and which weights they meet; sizes in bytes.

    pairs     words of a column, of two `rows` each
    words     [(first tap, second tap or None)] that the weights of a kernel column are packed in
    terms     for the upper and for the lower output row [(pair, half or None, word, half)]: a pair times a
              word, or a half of it times a half
    resident  whether registers hold all weights of a channel
    """

    first, slot, at_once = 0, 2, 2

    def __init__(self, spec):
        _, kh, kw, _ = spec.kernel_shape
        stride = spec.stride[0]
        self.kw, self.stride_x = kw, spec.stride[1]
        self.pairs = (kh + stride + 1) // 2
        self.rows = 2 * self.pairs
        self.column = 4 * self.pairs
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + kw
        self.slide = 4 * stride
        self.steps_all = (spec.out_shape[0] + 1) // 2
        channels = spec.input_shape[2]
        self.steps = min(self.steps_all, 1 + max(1, 2048 // (self.slide * channels)))
        if stride >= self.pairs:
            self.steps = 1
        self.plane = self.columns * self.column + (self.steps - 1) * self.slide
        self._set_terms(kh, stride)
        self.resident = self.pairs == 2 and kw * len(self.words) <= _RESIDENT_WORDS
        last = spec.out_shape[1] % 2 or 2  # output columns of a row's last block, which may read further than they do
        seen = (spec.out_shape[1] - last) * self.stride_x + len(self.uses(last))
        self.blank = channels * self.plane + max(_SPARE, seen - self.columns) * self.column
        self.scratch_bytes = self.blank + (row_loop.blank_bytes(spec) if spec.border == "constant" else 0)

    def uses(self, pixels):
        """What a block of output columns does, [(input column, [(output column, kernel column)])]. A stream has the
        weights of two output columns, also where there is but one."""
        outputs = range(pixels if self.resident else 2)
        columns = range(self.kw + outputs[-1] * self.stride_x)
        uses = [[(n, column - n * self.stride_x) for n in outputs] for column in columns]
        return [(column, [use for use in uses[column] if 0 <= use[1] < self.kw]) for column in columns]

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


class Kernel:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, core, compact=False):
        self.spec = spec
        self.rows = rows = Rows(spec)
        self.scratch_bytes = rows.scratch_bytes
        kw = spec.kernel_shape[2]
        words = kw * len(rows.words)
        self.resident = rows.resident
        if self.resident:
            self.weights = tuple(range(R4, R4 + words))
            self.pairs = (R10, R11)
            self.window, self.temps = R12, (R10, R11)
        else:
            self.weights = _SHARED[: min(len(rows.words), 7 - rows.pairs)]
            self.pairs = _SHARED[7 - rows.pairs :]
            self.window, self.temps = R8, (R10, R11, R12)
        self.spare = self.temps[-1]  # between blocks
        self.doubled = doubles(spec)
        self.requantize = Requantize(spec, self.doubled)
        self.table = self._pack()
        self.asm = Thumb2(core)
        self._emit()
        self.code = self.asm.finish()
        self.asm = None

    # The table

    def _pack(self):
        spec = self.spec
        kw = spec.kernel_shape[2]
        stream = list(range(kw))
        if not self.resident:
            stream = [k for _, uses in self.rows.uses(2) for _, k in uses]
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
            for word in self.requantize.constants((o,)):
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
        row_loop.emit_begin(asm, spec, rows, spec.border == "constant")
        row_loop.emit_restart(asm, spec, rows)
        asm.constant(R0, rows.steps_all)
        asm.constant(R1, out_width * pixel)
        asm.str(R0, SP, ROW_PAIRS)
        asm.str(R1, SP, LOWER)
        row_pair = asm.here()
        row_loop.emit_rows(asm, spec, rows, WINDOW, X, pack_row_pairs.emit_row)
        if out_height % 2:
            asm.ldr(R0, SP, ROW_PAIRS)
            asm.cmpi(R0, 1)
            both = asm.label()
            asm.b(both, NE)
            asm.constant(R0, 0)  # the lower row goes where the upper one will
            asm.str(R0, SP, LOWER)
            asm.place(both)
        asm.ldr(R1, SP, TABLE)
        asm.str(R1, SP, TABLE_AT)
        asm.ldr(self.window, SP, WINDOW)
        asm.ldr(LR, SP, OUT)
        asm.plus(R0, LR, pixel, self.spare)
        asm.str(R0, SP, CHANNELS_END)
        channel = asm.here()
        if copies > 1:
            asm.constant(R0, copies)
            asm.str(R0, SP, COPIES)
            copy = asm.here()
        self._channel(out_width, pixel)
        asm.plus(LR, LR, out_size - out_width * pixel, self.spare)
        seen = out_width * spec.stride[1] * rows.column
        if copies > 1:
            asm.plus(self.window, self.window, -seen, self.spare)
            asm.dec_branch_stack(COPIES, copy)
            seen = 0
        if spec.groups > 1:
            asm.plus(self.window, self.window, rows.plane - seen, self.spare)
            asm.ldr(R0, SP, CHANNELS_END)
            asm.cmp(LR, R0)
            asm.b(channel, NE)
        asm.advance(OUT, 2 * out_width * pixel)
        row_loop.emit_next(asm, rows, WINDOW, 2 * spec.stride[0], rows.rows - 2 * spec.stride[0])
        asm.dec_branch_stack(ROW_PAIRS, row_pair)
        asm.leave(FRAME)

    def _channel(self, out_width, pixel):
        """Two rows of one output channel, from the window and lr on, which move on."""
        asm = self.asm
        if self.resident:
            asm.ldr(R10, SP, TABLE_AT)
            asm.str(R10, SP, START)
            asm.addi(R10, R10, 16)
            asm.ldm(R10, self.weights)
            words = self.requantize.words
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
            asm.plus(R0, LR, pairs * 2 * pixel, self.spare)
            asm.str(R0, SP, OUT_END)
            block = asm.here()
        for _ in range(1 if loop else pairs):
            self._block(2, pixel)
        if loop:
            asm.ldr(R10, SP, OUT_END)
            asm.cmp(LR, R10)
            asm.b(block, NE)
        if out_width % 2:
            self._block(1, pixel)
        if not self.resident:
            asm.str(R9, SP, TABLE_AT)

    def _block(self, pixels, pixel):
        """Two rows by `pixels` columns; window and lr move on."""
        asm, spec, rows = self.asm, self.spec, self.rows
        stride = spec.stride[1]
        if self.resident:
            asm.ldr(R10, SP, START)
            asm.ldm(R10, (R0, R1, R2, R3), False)
        else:
            asm.ldr(R9, SP, TABLE_AT)
            asm.ldm(R9, (R0, R1, R2, R3))
        steps = rows.uses(pixels)
        for _, uses in steps:
            asm.ldm(self.window, self.pairs)
            for n, k in uses:
                self._column(n, k)
        asm.plus(self.window, self.window, (pixels * stride - len(steps)) * rows.column)
        sums = ((R1, 0), (R3, 1), (R0, 0), (R2, 1))  # lower ones first
        sums = [(r, n) for r, n in sums if n < pixels]
        self.requantize.emit(asm, [r for r, _ in sums], self._load(), self.temps)
        below = self.temps[0]
        asm.ldr(below, SP, LOWER)
        asm.add(below, LR, below)
        for r, n in sums:
            self.requantize.store(asm, r, *asm.near(below if r in (R1, R3) else LR, n * pixel, self.temps[1]))
        asm.plus(LR, LR, pixels * pixel, self.spare)

    def _load(self):
        """What Requantize.emit calls for its constants: from the stack, or after the weights in the table."""
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
        """The input column in the pairs times kernel column k, onto the accumulators of output column n."""
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
                        asm.smlaxy(r, p, w, r, half, part)
