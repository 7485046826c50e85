"""Convolution of any shape: where the input lies, and the loops around the kernels of conv_dsp.py and conv_v6m.py.

Called as f(x, out, scratch, table). The input is copied to scratch, columns first, so that the
taps of a window are consecutive, in items of 16 bits (DSP) or 32 (ARMv6-M):

    scratch[column][kernel row][channel]

and a window begins `step` bytes after its neighbour to the left. Borders, pitch,
strides and dilation along y end there. The rows that the next output row
sees again stay: its windows begin `slide` bytes further on, so that the slots which
come in new held rows of the next column that nobody needs any more, and an
output row copies `stride` rows.

For each group, each output row, each `wide` output channels and each pixel (or two), an inner
kernel goes through the taps. A layer's channels are no multiple of `wide`: the last
ones are computed once more, overlapping, rather than fewer at a time.

A dilation along x is a kernel with zeros between its columns.
"""

from ..fixedpoint import ITEMSIZE
from . import walk
from .table import put
from .thumb_asm import NE, R0, R1, R2, R3, SP

_SLIDE_MOST = 1024  # bytes through which windows slide before all rows are copied again

# where what does not fit in registers stands on the stack; walk.py's slots are behind these
X, OUT, WINDOW, TABLE, QUAD, QUADS, ROWS, OUT_QUAD, OUT_AT, OUT_END, WEIGHTS_END, GROUPS, OUT_GROUP = range(0, 52, 4)
MORE = 52  # and 56, 60: for the inner kernels


def firsts(per_group, wide):
    """The first channel, within a group, of each `wide`."""
    found = list(range(0, per_group - wide + 1, wide))
    if per_group % wide:
        found.append(per_group - wide)
    return found


def taps_of(spec):
    """Taps of a window, the zeros that a dilation puts between kernel columns included."""
    _, kh, _, depth = spec.kernel_shape
    return kh * spec.extent[1] * depth


class Shape:
    """Sizes in scratch, in bytes; item is the size of an item, beyond how far windows are read past their end."""

    first, at_once = 0, 1

    def __init__(self, spec, item, beyond, blank):
        _, kh, _, depth = spec.kernel_shape
        self.rows = kh
        self.slot = item * depth
        self.column = kh * self.slot
        self.step = spec.stride[1] * self.column
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + spec.extent[1]
        slides = spec.dilation[0] == 1 and spec.stride[0] < kh
        self.slide = spec.stride[0] * self.slot if slides else 0
        self.passes = min(spec.out_shape[0], 1 + _SLIDE_MOST // self.slide) if slides else 1
        self.blank = (self.columns * self.column + (self.passes - 1) * self.slide + beyond + 3) // 4 * 4
        self.scratch_bytes = self.blank + (walk.blank_bytes(spec) if blank else 0)


class Conv:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing.

    A subclass has `out_at`, `table_at`, `spare`, registers behind _pixels(); emit_row, for walk.emit_rows(); and
    gives a `cut` with

    pixels, wide   output columns and channels that registers hold at a time
    chunks         times that the body of the loop over a window's taps is run
    firsts         the first channel, within a group, of each `wide`
    start_words, weight_words   of `wide` channels; table_words of all
    """

    def __init__(self, spec, asm, shape, cut, compact):
        self.spec, self.asm, self.shape, self.cut, self.compact = spec, asm, shape, cut, compact
        self.scratch_bytes = shape.scratch_bytes
        self.table = self._pack()  # the largest piece first
        self._emit()
        self.code = asm.finish()
        self.asm = None

    # The table: for each `wide` channels sums to start from, weights, constants of the scale

    def _pack(self):
        spec, cut = self.spec, self.cut
        per_group = spec.kernel_shape[0] // spec.groups
        table = bytearray(4 * cut.table_words)
        at = 0
        for group in range(spec.groups):
            for first in cut.firsts:
                channels = range(group * per_group + first, group * per_group + first + cut.wide)
                for word in self._starts(channels):
                    at = put(table, at, word)
                for n, o in enumerate(channels):
                    self._pack_weights(table, at, n, self._taps(o))
                at += 4 * cut.weight_words
                for word in self.scale.constants(channels):
                    at = put(table, at, word)
        return table

    def _taps(self, o):
        """The effective weights of a channel, as scratch orders them (column, row, channel)."""
        spec = self.spec
        _, kh, kw, depth = spec.kernel_shape
        zero = spec.kernel_zero_point
        taps = []
        for b in range(kw):
            if b:
                taps.extend([zero] * ((spec.dilation[1] - 1) * kh * depth))
            for a in range(kh):
                source = ((o * kh + a) * kw + b) * depth
                taps.extend(spec.weights[source : source + depth])
        return [k - zero for k in taps] if zero else taps

    # The code

    def _emit(self):
        asm, spec, shape, cut = self.asm, self.spec, self.shape, self.cut
        per_group = spec.kernel_shape[0] // spec.groups
        out_size = ITEMSIZE[spec.out_dtype]
        out_height, out_width, out_channels = spec.out_shape
        pixel_bytes = out_channels * out_size
        asm.enter(walk.END)
        for r, slot in enumerate((X, OUT, WINDOW, TABLE)):
            asm.str(r, SP, slot)
        walk.emit_begin(asm, spec, shape, walk.needs_blank(spec))
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
        walk.emit_rows(asm, spec, shape, WINDOW, X, self.emit_row)
        # all channels of a row, `wide` at a time
        asm.ldr(R0, SP, TABLE)
        asm.ldr(R1, SP, OUT)
        asm.constant(R2, len(cut.firsts))
        asm.str(R0, SP, QUAD)
        asm.str(R1, SP, OUT_QUAD)
        asm.str(R2, SP, QUADS)
        asm.label("quad")
        pairs = out_width // cut.pixels
        if pairs > 1:
            asm.ldr(R1, SP, OUT_QUAD)
            asm.plus(R2, R1, pairs * cut.pixels * pixel_bytes)
            asm.str(R2, SP, OUT_END)
        if cut.chunks > 1:
            asm.ldr(R1, SP, QUAD)
            asm.plus(R1, R1, 4 * (cut.start_words + cut.weight_words))
            asm.str(R1, SP, WEIGHTS_END)
        self._begin()
        asm.label("pixels")
        self._pixels(cut.pixels, pixel_bytes, "chunk")
        if pairs > 1:
            asm.ldr(self.spare, SP, OUT_END)
            asm.cmp(self.out_at, self.spare)
            asm.b("pixels", NE)
        if out_width % cut.pixels:
            self._pixels(1, pixel_bytes, "last chunk")
        self._end()
        asm.str(self.table_at, SP, QUAD)
        asm.ldr(R1, SP, OUT_QUAD)
        asm.ldr(R0, SP, QUADS)
        asm.plus(R1, R1, cut.wide * out_size)
        left = per_group % cut.wide
        if left and len(cut.firsts) > 1:
            asm.cmpi(R0, 2)
            asm.b("whole", NE)
            asm.plus(R1, R1, (left - cut.wide) * out_size)
            asm.label("whole")
        asm.str(R1, SP, OUT_QUAD)
        asm.subs(R0, 1)
        asm.str(R0, SP, QUADS)
        asm.b("quad", NE)
        # the next row
        asm.advance(OUT, out_width * pixel_bytes)
        walk.emit_next(asm, shape, WINDOW, spec.stride[0], spec.kernel_shape[1] - spec.stride[0])
        asm.count(ROWS, "row")
        if spec.groups > 1:
            asm.ldr(R0, SP, QUAD)
            asm.str(R0, SP, TABLE)
            asm.advance(OUT_GROUP, per_group * out_size)
            asm.str(R1, SP, OUT)
            asm.advance(X, spec.kernel_shape[3] * ITEMSIZE[spec.dtype])
            asm.ldr(R3, SP, walk.BASE)
            asm.str(R3, SP, WINDOW)
            asm.count(GROUPS, "group")
        asm.leave(walk.END)
