"""Loops of a convolution of any shape, around the kernels of armv6m/conv.py, armv7em/conv.py and conv_int64.py.

Called as f(x, out, scratch, table). Scratch holds the input as a column-major im2col in a ring of rows, in items of
16 bits (armv7em) or 32 (armv6m):

    scratch[column][kernel row][channel]

The taps of a window are then consecutive, and a window begins `step` bytes after its neighbour to the left. Packing
the rows resolves borders, pitch, strides and dilation along y. The rows that the next output row needs again
stay where they are: its windows begin `slide` bytes further on, and an output row packs `stride` new rows, over
rows of the next column that no window needs any more.

    for group:
        for output row:
            pack the rows of the input that are new              (rows.py, pack_rows.py)
            for channel block of `tile.channels` outputs:        (the last one overlaps the one before it)
                for tile of `tile.pixels` output columns:        (an odd last one alone)
                    accumulators = start                         (kernel: _pixels)
                    for chunk of taps: accumulators += x * w
                    out = requantize(accumulators)

A dilation along x is a kernel with zeros between its columns.

Stack, in words from sp on: X, OUT, WINDOW (the row's first window), TABLE (of the group), BLOCK (table of the channel
block), BLOCKS (left), ROWS (left), OUT_BLOCK, OUT_AT, OUT_END, WEIGHTS_END (of the block), GROUPS (left), OUT_GROUP;
three that the kernel may use from MORE on; those of rows.py.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import NE, R0, R1, R2, R3, SP
from . import rows
from .table import put

_SLIDE_MOST = 1024  # bytes through which windows slide before all rows are copied again

X, OUT, WINDOW, TABLE, BLOCK, BLOCKS, ROWS, OUT_BLOCK, OUT_AT, OUT_END, WEIGHTS_END, GROUPS, OUT_GROUP = range(0, 52, 4)
MORE = 52  # and 56, 60: for the kernels


def firsts(per_group, channels):
    """The first channel, within a group, of each channel block; the last block overlaps the one before it."""
    found = list(range(0, per_group - channels + 1, channels))
    if per_group % channels:
        found.append(per_group - channels)
    return found


def taps_of(spec):
    """Taps of a window, the zeros that a dilation puts between kernel columns included."""
    _, kh, _, depth = spec.kernel_shape
    return kh * spec.extent[1] * depth


class Shape:
    """Sizes in scratch, in bytes.

    item    bytes of an item; past: how far windows are read past their end; blank: whether a blank row is needed
    """

    first, at_once = 0, 1

    def __init__(self, spec, item, past, blank):
        _, kh, _, depth = spec.kernel_shape
        self.rows = kh
        self.slot = item * depth
        self.column = kh * self.slot
        self.step = spec.stride[1] * self.column
        self.columns = (spec.out_shape[1] - 1) * spec.stride[1] + spec.extent[1]
        slides = spec.dilation[0] == 1 and spec.stride[0] < kh
        self.slide = spec.stride[0] * self.slot if slides else 0
        self.steps = min(spec.out_shape[0], 1 + _SLIDE_MOST // self.slide) if slides else 1
        self.blank = (self.columns * self.column + (self.steps - 1) * self.slide + past + 3) // 4 * 4
        self.scratch_bytes = self.blank + (rows.blank_bytes(spec) if blank else 0)


class Conv:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`; compact chooses the packing.

    A subclass has `out_at`, `table_at`, `spare`, registers after _pixels(); emit_row, for rows.emit_rows(); and
    gives a `tile` with

    pixels, channels  output columns and channels whose accumulators registers hold at a time
    chunks         times that the body of the loop over a window's taps is run
    firsts         the first channel, within a group, of each channel block
    start_words, weight_words   of a channel block; table_words of all
    """

    def __init__(self, spec, asm, shape, tile, compact):
        self.spec, self.asm, self.shape, self.tile, self.compact = spec, asm, shape, tile, compact
        self.scratch_bytes = shape.scratch_bytes
        self.table = self._pack()  # the largest piece first
        self._emit()
        self.code = asm.finish()
        self.asm = None

    # The table: for each channel block what accumulators start from, weights, constants of requantisation

    def _pack(self):
        spec, tile = self.spec, self.tile
        per_group = spec.kernel_shape[0] // spec.groups
        table = bytearray(4 * tile.table_words)
        at = 0
        for group in range(spec.groups):
            for first in tile.firsts:
                channels = range(group * per_group + first, group * per_group + first + tile.channels)
                for word in self._starts(channels):
                    at = put(table, at, word)
                for n, o in enumerate(channels):
                    self._pack_weights(table, at, n, self._taps(o))
                at += 4 * tile.weight_words
                for word in self.requantize.constants(channels):
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
        asm, spec, shape, tile = self.asm, self.spec, self.shape, self.tile
        per_group = spec.kernel_shape[0] // spec.groups
        out_size = ITEMSIZE[spec.out_dtype]
        out_height, out_width, out_channels = spec.out_shape
        pixel_bytes = out_channels * out_size
        asm.enter(rows.END)
        for r, slot in enumerate((X, OUT, WINDOW, TABLE)):
            asm.str(r, SP, slot)
        rows.emit_begin(asm, spec, shape, rows.needs_blank(spec))
        if spec.groups > 1:
            asm.ldr(R1, SP, OUT)
            asm.str(R1, SP, OUT_GROUP)
            asm.constant(R0, spec.groups)
            asm.str(R0, SP, GROUPS)
            group = asm.here()
        asm.constant(R0, out_height)
        asm.str(R0, SP, ROWS)
        rows.emit_restart(asm, spec, shape)
        row = asm.here()
        rows.emit_rows(asm, spec, shape, WINDOW, X, self.emit_row)
        # all channel blocks of a row
        asm.ldr(R0, SP, TABLE)
        asm.ldr(R1, SP, OUT)
        asm.constant(R2, len(tile.firsts))
        asm.str(R0, SP, BLOCK)
        asm.str(R1, SP, OUT_BLOCK)
        asm.str(R2, SP, BLOCKS)
        block = asm.here()
        pairs = out_width // tile.pixels
        if pairs > 1:
            asm.ldr(R1, SP, OUT_BLOCK)
            asm.plus(R2, R1, pairs * tile.pixels * pixel_bytes)
            asm.str(R2, SP, OUT_END)
        if tile.chunks > 1:
            asm.ldr(R1, SP, BLOCK)
            asm.plus(R1, R1, 4 * (tile.start_words + tile.weight_words))
            asm.str(R1, SP, WEIGHTS_END)
        self._begin()
        pixels = asm.here()
        self._pixels(tile.pixels, pixel_bytes)
        if pairs > 1:
            asm.ldr(self.spare, SP, OUT_END)
            asm.cmp(self.out_at, self.spare)
            asm.b(pixels, NE)
        if out_width % tile.pixels:
            self._pixels(1, pixel_bytes)
        self._end()
        asm.str(self.table_at, SP, BLOCK)
        asm.ldr(R1, SP, OUT_BLOCK)
        asm.ldr(R0, SP, BLOCKS)
        asm.plus(R1, R1, tile.channels * out_size)
        left = per_group % tile.channels
        if left and len(tile.firsts) > 1:
            asm.cmpi(R0, 2)
            whole = asm.label()
            asm.b(whole, NE)
            asm.plus(R1, R1, (left - tile.channels) * out_size)
            asm.place(whole)
        asm.str(R1, SP, OUT_BLOCK)
        asm.subs(R0, 1)
        asm.str(R0, SP, BLOCKS)
        asm.b(block, NE)
        # the next row
        asm.advance(OUT, out_width * pixel_bytes)
        rows.emit_next(asm, shape, WINDOW, spec.stride[0], spec.kernel_shape[1] - spec.stride[0])
        asm.dec_branch_stack(ROWS, row)
        if spec.groups > 1:
            asm.ldr(R0, SP, BLOCK)
            asm.str(R0, SP, TABLE)
            asm.advance(OUT_GROUP, per_group * out_size)
            asm.str(R1, SP, OUT)
            asm.advance(X, spec.kernel_shape[3] * ITEMSIZE[spec.dtype])
            asm.ldr(R3, SP, rows.BASE)
            asm.str(R3, SP, WINDOW)
            asm.dec_branch_stack(GROUPS, group)
        asm.leave(rows.END)
