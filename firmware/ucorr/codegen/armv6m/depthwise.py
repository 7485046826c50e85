"""Image filters and depthwise layers on ARMv6-M: two output rows in one multiplication.

Called as f(x, out, scratch, table). Scratch holds a column-major plane for each channel, for two output rows:

    plane[channel][column][kernel row] = x of the upper output row | x of the lower one << 16

so that a weight times a word is a product for each, as long as the upper row's stays in 16 bits; so it is with
a sum of a few of them. conv.py says how they are extracted. The taps of a window are consecutive; they are cut in runs
whose sums stay in bounds for the weights of every channel (8-bit data, less 128 where it is unsigned).

    for two output rows:
        pack the rows that are new                          (loops/rows.py, _row)
        for channel, for copy (outputs of one input channel):
            for output column:
                for run of taps: P = x * w, summed; S += P; B += P >> 16
                out of the lower row = requantize(B), of the upper one = requantize(S - B * 2**16)

After two output rows the planes' windows move on by 2 * `stride` words; the words that come in new held those
of the next column that no window needs any more. An odd last row is computed with a row below that lies
outside; the lower output is stored first and the upper one over it.

The table holds, for each output channel,

    S to start from, one weight or two, B to start from, the other weights, factor, multiplier and shift

Registers: r0, r1 data, r2, r3 weights, r4 window, r5 table, r6 output, r7 B, r8 S, r9 a run's sum P,
r10 and r12 requantisation's, r11 where the channel's table begins.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import ASR, LSL, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, SP
from ..asm.thumb1 import Thumb1
from ..loops import rows as row_loop
from ..loops.table import put, start
from .requantize import Requantize
from .requantize import refuses as requantize_refuses

_TAPS_MOST = 121  # all of them are unrolled

# on the stack; those of loops/rows.py come after these, then those of _row()
X, OUT, WINDOW, TABLE, ROW_PAIRS, CHANNELS, TABLE_AT, OUT_END, LOWER, COPIES, PLANE_AT = range(0, 44, 4)
PLANES, FILL_PLANE, ROW_AT = row_loop.END, row_loop.END + 4, row_loop.END + 8
FRAME = row_loop.END + 16


def refuses(spec):
    """None, or why this kernel does not take a layer."""
    _, kh, kw, depth = spec.kernel_shape
    if depth != 1 or ITEMSIZE[spec.dtype] != 1:
        return "not one channel of bytes for each output"
    if spec.kernel_shape[0] >= 4 * spec.groups:
        return "four or more outputs of an input channel"
    if spec.dilation[1] > 1 or kh * kw > _TAPS_MOST:
        return "a dilation along x, or more than %d taps" % _TAPS_MOST
    zero = spec.kernel_zero_point
    if max(zero - min(spec.weights), max(spec.weights) - zero) > 255:
        return "weights of more than 8 bits"
    rows = Rows(spec)
    reason = requantize_refuses(spec) or row_loop.refuses_columns(spec, rows.columns)
    if reason:
        return reason
    return row_loop.refuses_scratch(spec, rows.scratch_bytes)


def packings(spec):
    """The only packing is the fast one."""
    return (False,)


def table_bytes(spec, compact):
    """The bytes of a layer's table."""
    return 4 * spec.kernel_shape[0] * (2 + spec.taps + Requantize(spec).words)


class Rows:
    """How words lie in scratch; sizes in bytes.

    at_once   kernel rows that are copied at a time, two where they share a row of the image
    first     the first row that is copied: 0, or -1 where their number is odd; row -1 goes to a slot of the
              next column, which gets its own word later
    """

    def __init__(self, spec):
        _, kh, kw, _ = spec.kernel_shape
        channels = spec.input_shape[2]
        self.rows = kh
        self.column = 4 * kh
        self.at_once = 2 if spec.stride[0] == spec.dilation[0] == 1 and kh > 1 else 1
        self.slot = 4
        self.first = -(kh % self.at_once)
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + kw
        self.steps_all = (spec.out_shape[0] + 1) // 2
        self.kept = kh - 2 * spec.stride[0] if spec.dilation[0] == 1 else 0
        self.slide = 8 * spec.stride[0]
        self.steps = 1
        if self.kept > 0:
            self.steps = min(self.steps_all, 1 + max(1, 2048 // (self.slide * channels)))
        self.plane = self.columns * self.column + (self.steps - 1) * self.slide
        self.plane -= 4 * self.first
        self.blank = channels * self.plane
        self.scratch_bytes = self.blank - 4 * self.first
        if spec.border == "constant":
            self.scratch_bytes += row_loop.blank_bytes(spec)


class Kernel:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, core, compact=False):
        self.spec = spec
        self.rows = rows = Rows(spec)
        self.scratch_bytes = rows.scratch_bytes
        self.offset = 128 if spec.dtype == "B" else 0
        self.grey = spec.dtype == "B" and spec.input_shape[2] == 1  # where rows move on: LDRSB has no offsets
        self.requantize = Requantize(spec)
        self.runs = self._runs()
        self.table = self._pack()
        self.asm = Thumb1(core)
        self._emit()
        self.requantize.emit_exact(self.asm)
        self.code = self.asm.finish()
        self.asm = None

    def _kernel(self, o):
        """The effective weights of a channel in column-major order."""
        spec = self.spec
        _, kh, kw, _ = spec.kernel_shape
        kernel = spec.weights[o * spec.taps : (o + 1) * spec.taps]
        return [kernel[a * kw + b] - spec.kernel_zero_point for b in range(kw) for a in range(kh)]

    def _pack(self):
        spec = self.spec
        table = bytearray(table_bytes(spec, False))
        at = 0
        for o in range(spec.kernel_shape[0]):
            first = start(spec, o, spec.input_zero_point - self.offset) + self.requantize.ahead
            kernel = self._kernel(o)
            loaded = min(2, self.runs[0])
            words = [first + (first << 16)] + kernel[:loaded] + [first] + kernel[loaded:]
            for word in words + self.requantize.constants((o,)):
                at = put(table, at, word)
        return table

    def _runs(self):
        """How many taps each run has, for the fewest instructions of all."""
        kernels = [self._kernel(o) for o in range(self.spec.kernel_shape[0])]
        taps = self.spec.taps
        least = [0] + [1 << 20] * taps  # instructions of the first n taps
        last = [0] * (taps + 1)  # their last run
        for first in range(taps):
            up, down = [0] * len(kernels), [0] * len(kernels)
            for run in range(1, taps - first + 1):
                fits = True  # as one tap always does
                for o, kernel in enumerate(kernels):
                    k = kernel[first + run - 1]
                    up[o] += max(k, 0)
                    down[o] -= min(k, 0)
                    # not -32768 either: P would be below -2**31 with both sums there
                    if 127 * up[o] + 128 * down[o] > 32767 or 128 * up[o] + 127 * down[o] > 32767:
                        fits = False
                        break
                if not fits:
                    break
                taken = least[first] + _instructions(run)
                if taken < least[first + run]:
                    least[first + run], last[first + run] = taken, run
            if last[taps] == taps:  # nothing is shorter than one run
                break
        runs = []
        while taps:
            runs.insert(0, last[taps])
            taps -= last[taps]
        return runs

    # Rows to scratch

    def _row(self, asm, spec, rows):
        """Copy row r0 and the `at_once` that follow to slot r1 of every column of every plane."""
        channels = spec.input_shape[2]
        held = (R0, R1, R6)[: rows.at_once + 1]
        for n in range(1, len(held)):
            asm.str(R0, SP, ROW_AT + 4 * n - 4)
            asm.ldr(R0, SP, row_loop.FILL_Y)
            asm.plus(R0, R0, n * spec.stride[0])
            row_loop.emit_source(asm, spec, rows, X)
        asm.mov(held[-1], R0)
        for n, r in enumerate(held[:-1]):
            asm.ldr(r, SP, ROW_AT + 4 * n)
        asm.ldr(R3, SP, row_loop.FILL_AT)
        if self.offset:
            asm.constant(R2, -0x00800080)
            asm.mov(R9, R2)
        if channels > 1:
            asm.constant(R2, channels)
            planes = asm.here()
            asm.str(R2, SP, PLANES)
            asm.str(R3, SP, FILL_PLANE)
        self._columns(asm, spec, rows, channels)
        if channels > 1:
            for r in held:
                asm.addi(r, r, 1)
            asm.ldr(R3, SP, FILL_PLANE)
            asm.plus(R3, R3, rows.plane)
            asm.ldr(R2, SP, PLANES)
            asm.dec_branch(R2, planes)

    def _columns(self, asm, spec, rows, channels):
        """Words of every column, r3 on, from the first items of rows r0, r1 and r6."""
        left, inner, right = row_loop.sides(spec, rows.columns)
        if spec.border == "constant":
            self._outer(asm, left)
        else:
            asm.plus(R3, R3, left * rows.column)
        unrolled = min(8 if self.grey else 4, 1 + 120 // rows.column)
        asm.movs(R2, 0)
        at = R0 if self.grey else R2
        times = inner // unrolled
        if times > 1:
            asm.constant(R4, times * unrolled * channels)
            asm.add(R4, R4, at)
            asm.mov(R8, R4)
            columns = asm.here()
        if times:
            self._words(asm, unrolled, channels)
        if times > 1:
            asm.cmp(at, R8)
            asm.b(columns, NE)
        self._words(asm, inner % unrolled, channels)
        if spec.border == "constant":
            self._outer(asm, right)
            return
        for column in row_loop.outside(spec, rows.columns):
            at = -(left + inner)  # the column that r3 is at is 0
            asm.plus(R4, R3, (at + row_loop.copied(spec, column)) * rows.column)
            asm.plus(R5, R3, (at + column) * rows.column)
            for n in range(rows.at_once):
                asm.ldr(R7, R4, 4 * n)
                asm.str(R7, R5, 4 * n)

    def _words(self, asm, count, channels):
        """Words of `count` columns from items r2 on, or those of a grey image at r0, r1 and r6; they and r3 move on."""
        load = asm.ldrb_at if self.offset else asm.ldrsb_at
        at_once = self.rows.at_once
        items = (R4, R5, R7)[: at_once + 1]
        held = (R0, R1, R6)[: at_once + 1]
        for n in range(count):
            for item, row in zip(items, held):
                asm.ldrb(item, row, n) if self.grey else load(item, row, R2)
            # the last word first: it is made where its lower half was
            for k in range(at_once, 0, -1):
                word = items[k]
                asm.shift(word, word, LSL, 16)
                asm.add(word, word, items[k - 1])
                if self.offset:
                    asm.add(word, word, R9)
            for k in range(at_once):
                asm.str(items[1 + k], R3, n * self.rows.column + 4 * k)
            if not self.grey:
                asm.plus(R2, R2, channels)
        for row in held if self.grey else ():
            asm.plus(row, row, count)
        asm.plus(R3, R3, count * self.rows.column)

    def _outer(self, asm, count):
        """Columns outside the image where the border is constant."""
        if count:
            asm.constant(R4, (self.spec.border_value - self.offset) * 0x10001)
        for _ in range(count):
            for n in range(self.rows.at_once):
                asm.str(R4, R3, 4 * n)
            asm.plus(R3, R3, self.rows.column)

    # The code

    def _emit(self):
        asm, spec, rows = self.asm, self.spec, self.rows
        out_height, out_width, out_channels = spec.out_shape
        size = ITEMSIZE[spec.out_dtype]
        pixel = out_channels * size
        row = out_width * pixel
        copies = out_channels // spec.groups
        asm.enter(FRAME)
        asm.plus(R2, R2, -4 * rows.first)
        for r, slot in enumerate((X, OUT, WINDOW, TABLE)):
            asm.str(r, SP, slot)
        row_loop.emit_begin(asm, spec, rows, spec.border == "constant")
        row_loop.emit_restart(asm, spec, rows)
        asm.constant(R0, rows.steps_all)
        asm.constant(R1, row)
        asm.str(R0, SP, ROW_PAIRS)
        asm.str(R1, SP, LOWER)
        row_pair = asm.here()
        row_loop.emit_rows(asm, spec, rows, WINDOW, X, self._row)
        self.requantize.emit_constants(asm)
        if out_height % 2:
            asm.ldr(R0, SP, ROW_PAIRS)
            asm.cmpi(R0, 1)
            both = asm.label()
            asm.b(both, NE)
            asm.movs(R0, 0)  # the lower row goes where the upper one will
            asm.str(R0, SP, LOWER)
            asm.place(both)
        asm.ldr(R0, SP, TABLE)
        asm.ldr(R4, SP, WINDOW)
        asm.ldr(R6, SP, OUT)
        asm.mov(R11, R0)
        if spec.groups > 1:
            asm.constant(R0, spec.groups)
            channel = asm.here()
            asm.str(R0, SP, CHANNELS)
        if copies > 1:
            asm.constant(R0, copies)
            copy = asm.here()
            asm.str(R0, SP, COPIES)
        asm.constant(R0, row)
        asm.add(R0, R0, R6)
        end = R0 if self.requantize.fast else R10  # which only a fast scale uses
        asm.str(R0, SP, OUT_END)
        asm.mov(end, R0)
        column = asm.here()
        self._column(pixel)
        if end == R0:
            asm.ldr(end, SP, OUT_END)
        asm.cmp(R6, end)
        asm.b(column, NE)
        self.requantize.emit_after(asm)
        asm.move(R6, size - row)  # the next output channel
        asm.plus(R5, R5, 4 * self.requantize.words)
        asm.mov(R11, R5)
        seen = out_width * spec.stride[1] * rows.column
        if copies > 1:
            asm.move(R4, -seen)
            seen = 0
            asm.ldr(R0, SP, COPIES)
            asm.dec_branch(R0, copy)
        if spec.groups > 1:
            asm.move(R4, rows.plane - seen)
            asm.ldr(R0, SP, CHANNELS)
            asm.dec_branch(R0, channel)
        asm.advance(OUT, 2 * row)
        row_loop.emit_next(asm, rows, WINDOW, 2 * spec.stride[0], rows.kept)
        asm.dec_branch_stack(ROW_PAIRS, row_pair)
        asm.leave(FRAME)

    def _column(self, pixel):
        """An output of each row; afterwards r6 is the next output, r5 the factor."""
        asm, spec, requantize = self.asm, self.spec, self.requantize
        asm.mov(R5, R11)
        for n, run in enumerate(self.runs):
            self._run(run, n == 0)
        asm.move(R4, spec.stride[1] * self.rows.column - 4 * spec.taps)
        if requantize.zero:
            asm.movs(R3, 0)
            self._upper()  # emit() loses r7, and a shift leaves r0 as it is
        (r,) = requantize.emit(asm, (R7,), (self._load, self._pointer))
        asm.ldr(R2, SP, LOWER)
        requantize.store_at(asm, r, R6, R2)
        if not requantize.zero:
            self._upper()
        (r,) = requantize.emit(asm, (R0,), (self._load, self._pointer))
        requantize.store(asm, r, R6, 0)
        asm.move(R6, pixel)

    def _upper(self):
        """The sum of the upper output row to r0."""
        asm = self.asm
        asm.shift(R0, R7, LSL, 16)
        asm.mov(R1, R8)
        asm.sub(R0, R1, R0)

    def _load(self, r):
        self.asm.ldr(r, R5)

    def _pointer(self, r):
        self.asm.addi(r, R5, 4 if self.requantize.fast else 0)

    def _run(self, taps, first):
        """A run of taps onto S and B, which the first one loads."""
        asm = self.asm
        for tap in range(0, taps, 2):
            data, weights = (R0, R1), (R2, R3)
            if tap + 1 == taps:
                data, weights = (R0,), (R1 if tap else R2,)
            if first and not tap:
                asm.ldm(R5, (R0,) + weights + (R7,))
                asm.mov(R8, R0)
            else:
                asm.ldm(R5, weights)
            asm.ldm(R4, data)
            asm.muls(weights[0], R0)
            if tap + 1 == taps:
                if tap:
                    asm.add(R2, R2, R1)
                break
            asm.muls(R3, R1)
            asm.add(R2, R2, R3)
            if tap + 3 < taps:
                asm.mov(R9, R2) if not tap else asm.add(R9, R9, R2)
            elif tap:
                asm.add(R2, R2, R9)
        asm.add(R8, R8, R2)
        asm.shift(R2, R2, ASR, 16)
        asm.adcs(R7, R2)


def _instructions(taps):
    """What _run() emits."""
    pairs = taps // 2
    if pairs < 2:
        return (0, 6, 8, 12)[taps]
    return 6 * pairs + 4 * (taps % 2) + 3
