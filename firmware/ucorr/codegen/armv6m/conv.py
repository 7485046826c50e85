"""Convolution on ARMv6-M: two output channels in one multiplication.

loops/conv.py has the layout of scratch and the loops; items are words. A word of weights holds those of two channels,
w0 + w1 * 2**16. Times x it is x*w0 + x*w1 * 2**16, two products where the first fits 16 bits; a few
of these can be added. Extracting them takes three instructions, S and B being the accumulators of a pair of channels:

    S += P;  P >>= 16, which leaves bit 15 in the carry;  B += P + carry

for floor(P / 2**16) is one too small if the lower sum is negative, and that is bit 15. S is taken
modulo 2**32. In the end B is the accumulator of the second channel and S - B * 2**16 that of the first. P is extracted
every `run` taps, the most of 8, 4, 2, 1 for which |x| <= 128 and the layer's weights keep it in bounds.

    for run of taps:
        for each two taps:           r0, r1 = x
            for pair of channels:    r2, r3 = weights; P += r2 * r0 + r3 * r1
        S += P; B += P >> 16

The table holds, for each channel block,

    S0 S1 B0 B1 to start from, weights [two taps][pair][2], factors, multipliers and shifts

`compact` weights are bytes, k + 128 [tap][channel], one product at a time; the sum of x, times 128, is taken off in
the end. It is for weights outside the bound, too, and for layers whose words would take too much memory. A
layer of one channel per group has words of one weight.

Registers: r0, r1 data, r2, r3 weights, r4 window, r5 table, r6, r7 B, r8, r9 S, r11 and lr unextracted P.
Compact: r0-r3 data, r6 weight, r7 sum of x, and lr, r8, r9, r11 the accumulators. Afterwards r4 is the output.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import ASR, LR, LSL, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R11, SP
from ..asm.thumb1 import Thumb1
from ..loops.conv import BLOCK, MORE, OUT_AT, OUT_BLOCK, WEIGHTS_END, WINDOW, Conv, Shape, firsts, taps_of
from ..loops.rows import needs_blank, refuses_scratch
from ..loops.table import start
from . import pack_rows
from .requantize import Requantize
from .requantize import refuses as requantize_refuses

_UNROLLED = {False: 32, True: 16}  # taps in a loop's body, at most; compact
WINDOW_AT = MORE


def refuses(spec):
    """None, or why this kernel does not take a layer."""
    reason = requantize_refuses(spec) or pack_rows.refuses(spec)
    if reason:
        return reason
    if not packings(spec):
        return "weights of 16 bits for several channels"
    return refuses_scratch(spec, shape_of(spec, Tile(spec, packings(spec)[-1])).scratch_bytes)


def shape_of(spec, tile):
    return Shape(spec, 4, 4 * (tile.padded - taps_of(spec)), needs_blank(spec))


def packings(spec):
    """The packings, compact or not, that take a layer's weights, the faster first."""
    found = ()
    if spec.kernel_shape[0] == spec.groups or _most(spec) <= 255:
        found = (False,)
    if -128 <= min(spec.weights) and max(spec.weights) <= 127:
        found += (True,)
    return found


def _most(spec):
    """The largest |effective weight|: a sum of 255 / this many products of int8 always stays in 16 bits."""
    return max(spec.kernel_zero_point - min(spec.weights), max(spec.weights) - spec.kernel_zero_point)


def table_bytes(spec, compact):
    """The bytes of a layer's table."""
    return 4 * Tile(spec, compact).table_words


class Tile:
    """The tile of a layer, and how its taps are unrolled; loops/conv.py has the other fields.

    unrolled   taps in a chunk, the body of a loop; chunks in a window
    padded     taps of a window in whole chunks
    """

    pixels = 1

    def __init__(self, spec, compact):
        per_group = spec.kernel_shape[0] // spec.groups
        self.channels = 4 if per_group >= 4 else min(2, per_group)
        step = 4 // self.channels if compact else 2  # whole words of weights, two words at a time
        taps = taps_of(spec)
        self.chunks = (taps + _UNROLLED[compact] - 1) // _UNROLLED[compact]
        self.unrolled = ((taps + self.chunks - 1) // self.chunks + step - 1) // step * step
        self.padded = self.chunks * self.unrolled
        self.firsts = firsts(per_group, self.channels)
        self.start_words = self.channels
        self.weight_words = self.padded * self.channels // 4 if compact else self.padded * ((self.channels + 1) // 2)
        words = self.channels * (1 + Requantize(spec).words) + self.weight_words
        self.table_words = spec.groups * len(self.firsts) * words


class Kernel(Conv):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing."""

    emit_row = staticmethod(pack_rows.emit_row)
    out_at, table_at, spare = R4, R5, R0

    def __init__(self, spec, core, compact=False):
        self.requantize = Requantize(spec)
        self.zero = spec.input_zero_point - pack_rows.offset(spec)
        self.tile = tile = Tile(spec, compact)
        self.spec = spec
        self.run = 1 if compact or tile.channels == 1 else self._run()
        Conv.__init__(self, spec, Thumb1(core), shape_of(spec, tile), tile, compact)

    def _runs(self, run):
        """(first, end) of the runs of taps in a chunk."""
        for first in range(0, self.tile.unrolled, run):
            yield first, min(first + run, self.tile.unrolled)

    def _run(self):
        """The most taps for which every sum of products stays in 16 bits."""
        run = 8
        most = _most(self.spec)
        for o in range(self.spec.kernel_shape[0]):
            taps = self._taps(o)
            while run * most > 255 and run > 1 and not self._stay(taps, run):
                run //= 2
        return run

    def _stay(self, taps, run):
        for chunk in range(0, len(taps), self.tile.unrolled):
            for first, end in self._runs(run):
                up = down = 0
                for k in taps[chunk + first : min(chunk + end, chunk + self.tile.unrolled)]:
                    if k > 0:
                        up += k
                    else:
                        down -= k
                if 127 * up + 128 * down > 32767 or 128 * up + 127 * down > 32767:
                    return False
        return True

    # The table

    def _starts(self, channels):
        starts = [start(self.spec, o, self.zero) + self.requantize.ahead for o in channels]
        if self.compact or len(starts) == 1:
            return starts
        pairs = range(0, len(starts), 2)
        return [starts[n] + (starts[n + 1] << 16) for n in pairs] + [starts[n + 1] for n in pairs]

    def _pack_weights(self, table, at, n, taps):
        """The weights of channel n of a block; of a pair the even channel comes first."""
        channels = self.tile.channels
        if self.compact:
            zero = self.spec.kernel_zero_point + 128
            end = at + self.tile.padded * channels
            at += n
            for k in taps:
                table[at] = k + zero
                at += channels
            while at < end:
                table[at] = zero
                at += channels
            return
        pairs = (channels + 1) // 2
        at += n // 2 * 8
        odd = n & 1
        for t, k in enumerate(taps):
            place = at + (t >> 1) * 8 * pairs + (t & 1) * 4
            if odd:  # the lower weight's sign has made the upper half one less
                k += table[place + 2] | table[place + 3] << 8
                table[place + 2] = k & 255
                table[place + 3] = k >> 8 & 255
            else:
                for b in range(4):
                    table[place + b] = k & 255
                    k >>= 8

    # The code

    def _emit(self):
        Conv._emit(self)
        self.requantize.emit_exact(self.asm)

    def _begin(self):
        """Before the first tile of a row."""
        asm = self.asm
        self.requantize.emit_constants(asm)
        asm.ldr(R0, SP, WINDOW)
        asm.ldr(R1, SP, OUT_BLOCK)
        asm.str(R0, SP, WINDOW_AT)
        asm.str(R1, SP, OUT_AT)

    def _end(self):
        """After the last tile of a row."""
        self.requantize.emit_after(self.asm)
        if self.requantize.words:
            self.asm.plus(self.table_at, self.table_at, 8 * self.tile.channels)

    def _pixels(self, pixels, pixel_bytes):
        """The outputs of a tile; afterwards r4 is the next output, r5 after the factors."""
        asm, tile, step = self.asm, self.tile, self.shape.step
        asm.ldr(R5, SP, BLOCK)
        asm.ldr(R4, SP, WINDOW_AT)
        kernel = _Bytes(self) if self.compact else _Words(self) if tile.channels == 1 else _Pairs(self)
        kernel.emit_start()
        if tile.chunks > 1:
            chunk = asm.here()
        kernel.emit_taps()
        if tile.chunks > 1:
            asm.ldr(R0, SP, WEIGHTS_END)
            asm.cmp(R5, R0)
            asm.b(chunk, NE)
        asm.move(R4, step - 4 * tile.padded)
        asm.str(R4, SP, WINDOW_AT)
        asm.ldr(R4, SP, OUT_AT)
        kernel.emit_after()
        size = ITEMSIZE[self.spec.out_dtype]
        if self.requantize.zero:
            asm.movs(R3, 0)
        for c in range(tile.channels):
            constants = (lambda r: asm.ldm(R5, (r,))), self._pointer(c)
            (r,) = self.requantize.emit(asm, (kernel.emit_sum(c),), constants)
            self.requantize.store(asm, r, R4, c * size)
        asm.move(R4, pixel_bytes)
        asm.str(R4, SP, OUT_AT)

    def _pointer(self, c):
        """What Requantize.emit() calls for the address of the multiplier of channel c of a block."""
        offset = 8 * c + (4 * (self.tile.channels - 1 - c) if self.requantize.fast else 0)

        def point(r):
            self.asm.movs(r, offset)
            self.asm.add(r, r, R5)

        return point


class _Pairs:
    """Two or four channels, two in a word."""

    lower, upper, parts = (R8, R9), (R6, R7), (R11, LR)

    def __init__(self, conv):
        self.asm, self.runs, self.run = conv.asm, conv._runs, conv.run
        self.pairs = range(conv.tile.channels // 2)

    def emit_start(self):
        asm = self.asm
        lower = (R0, R1)[: len(self.pairs)]
        asm.ldm(R5, lower + self.upper[: len(self.pairs)])
        for high, low in zip(self.lower, lower):
            asm.mov(high, low)

    def emit_taps(self):
        for first, end in self.runs(max(2, self.run)):
            for tap in range(first, end, 2):
                self._two(tap == first, tap + 2 == end)

    def _two(self, first, last):
        """Two taps, the first and last ones of a run."""
        asm = self.asm
        asm.ldm(R4, (R0, R1))
        for pair in self.pairs:
            part = self.parts[pair]
            asm.ldm(R5, (R2, R3))
            asm.muls(R2, R0)
            asm.muls(R3, R1)
            if self.run == 1:
                self._extract(pair, R2)
                self._extract(pair, R3)
                continue
            asm.add(R2, R2, R3)
            if not last:
                (asm.mov if first else _onto(asm))(part, R2)
                continue
            if not first:
                asm.add(R2, R2, part)
            self._extract(pair, R2)

    def _extract(self, pair, r):
        asm = self.asm
        asm.add(self.lower[pair], self.lower[pair], r)
        asm.shift(r, r, ASR, 16)
        asm.adcs(self.upper[pair], r)

    def emit_after(self):
        """All is in place."""

    def emit_sum(self, c):
        upper = self.upper[c // 2]
        if c % 2:
            return upper
        self.asm.shift(R0, upper, LSL, 16)
        self.asm.mov(R1, self.lower[c // 2])
        self.asm.sub(R0, R1, R0)
        return R0


def _onto(asm):
    return lambda d, m: asm.add(d, d, m)


class _Words:
    """One channel, a weight in a word; its sum is r7."""

    def __init__(self, conv):
        self.asm, self.taps = conv.asm, conv.tile.unrolled

    def emit_start(self):
        self.asm.ldm(R5, (R7,))

    def emit_taps(self):
        asm = self.asm
        for _ in range(0, self.taps, 2):
            asm.ldm(R4, (R0, R1))
            asm.ldm(R5, (R2, R3))
            asm.muls(R2, R0)
            asm.muls(R3, R1)
            asm.add(R7, R7, R2)
            asm.add(R7, R7, R3)

    def emit_after(self):
        """All is in place."""

    def emit_sum(self, c):
        return R7


class _Bytes:
    """Up to four channels, a weight in a byte."""

    sums = (LR, R8, R9, R11)  # lr first, for a call loses it

    def __init__(self, conv):
        self.asm, self.taps = conv.asm, conv.tile.unrolled
        self.sums = self.sums[: conv.tile.channels]
        self.zero = conv.spec.kernel_zero_point + 128

    def emit_start(self):
        asm = self.asm
        data = (R0, R1, R2, R3)[: len(self.sums)]
        asm.ldm(R5, data)
        for high, low in zip(self.sums, data):
            asm.mov(high, low)
        asm.movs(R7, 0)

    def emit_taps(self):
        asm = self.asm
        at = 0
        for first in range(0, self.taps, 4):
            data = (R0, R1, R2, R3)[: self.taps - first]
            asm.ldm(R4, data)
            for x in data:
                asm.add(R7, R7, x)
                for acc in self.sums:
                    asm.ldrb(R6, R5, at)
                    asm.muls(R6, x)
                    asm.add(acc, acc, R6)
                    at += 1
                if at == 32:
                    asm.addi(R5, R5, at)
                    at = 0
        if at:
            asm.addi(R5, R5, at)

    def emit_after(self):
        self.asm.constant(R0, -self.zero)
        self.asm.muls(R7, R0)

    def emit_sum(self, c):
        self.asm.mov(R0, self.sums[c])
        self.asm.add(R0, R0, R7)
        return R0
