"""Sums of whole rows, which a mean and the average of a whole image become: what every instruction set shares.

Called as f(x, out, scratch, table); no scratch is used. The layer has one channel and a kernel of n ones in a column,
as high as its stride: each output is the requantised sum of n items, one row apart. A tile of columns is
summed at a time, row by row, each in a register; where the width is no multiple of the tile, the last tile overlaps
the one before it. The table holds what an accumulator starts from and the constants of requantisation.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import NE, R2, SP
from .table import put, start

_COLUMNS, _BLOCKS = 0, 4  # what is left of each, on the stack
FRAME = 8


def refuses(spec):
    """None, or why this kernel does not take a layer."""
    if ITEMSIZE[spec.dtype] != 1:
        return "sums of rows of 16 bits"
    if (
        spec.kernel_shape[0] * spec.kernel_shape[2] * spec.kernel_shape[3] != 1
        or spec.kernel_shape[1] != spec.stride[0]
    ):
        return "a kernel that is no column as high as its stride"
    if min(spec.weights) != 1 or max(spec.weights) != 1 or spec.kernel_zero_point:
        return "weights other than 1"
    if spec.padding != ((0, 0), (0, 0)) or spec.stride[1] != 1 or not spec.exact_length or spec.dilation[0] != 1:
        return "rows that are padded, strided, dilated or wider than the image"
    reach = max(-spec.bound[0], spec.bound[1]) << max(0, max(spec.shift or (0,)) + 1)
    if spec.kind != "tflite" or reach + (abs(spec.output_zero_point) + 1 << max(0, -min(spec.shift))) >= 1 << 30:
        return "a scale far outside the usual"
    return None


def packings(spec):
    """The only packing is the fast one; there are no weights to pack."""
    return (False,)


def table_bytes(spec, compact):
    """What the table of a layer takes, at most: what an accumulator starts from and five constants."""
    return 24


class RowSum:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`. A subclass has _emit(), _columns(), _back()."""

    scratch_bytes = 0

    def __init__(self, spec, requantize, asm):
        self.spec, self.requantize, self.asm = spec, requantize, asm
        self.rows, self.width = spec.kernel_shape[1], spec.input_shape[1]
        self._emit()
        words = [start(spec, 0, spec.input_zero_point)] + requantize.constants((0,))
        self.code, self.table = asm.finish(), bytearray(4 * len(words))
        self.asm = None
        at = 0
        for word in words:
            at = put(self.table, at, word)

    def _loop(self, at_once, x, move):
        """Go through blocks of rows and groups of columns; _columns(count) emits one group, x and out moving on;
        move(r, value) adds a constant to a register."""
        asm, spec, width = self.asm, self.spec, self.width
        blocks = spec.out_shape[0]
        count = min(at_once, width)
        if blocks > 1:
            asm.constant(R2, blocks)
            block = asm.here()
            asm.str(R2, SP, _BLOCKS)
        groups = width // count
        if groups > 1:
            asm.constant(R2, groups)
            group = asm.here()
            asm.str(R2, SP, _COLUMNS)
        self._columns(count)
        if groups > 1:
            asm.ldr(R2, SP, _COLUMNS)
            asm.subs(R2, 1)
            asm.b(group, NE)
        if width % count:
            self._back(width % count - count)
            self._columns(count)
        if blocks > 1:
            move(x, (self.rows - 1) * width)
            asm.ldr(R2, SP, _BLOCKS)
            asm.subs(R2, 1)
            asm.b(block, NE)

    def _count(self, label):
        """One row less in r2."""
        self.asm.subs(R2, 1)
        self.asm.b(label, NE)
