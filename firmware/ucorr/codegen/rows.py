"""Sums of whole rows, on every level: what a mean, and the average of a whole image, come down to.

Called as f(x, out, scratch, table); no scratch is used. The layer has one channel and a kernel of n ones in a column,
as high as its stride: each output is the sum of n items at a distance of a row, times a scale. A few columns are
summed at a time, row by row, each in a register; where the width is no multiple of a few, the last ones are summed
once more, overlapping. The table holds the sum to start from and the constants of the scale.

Registers, DSP: r0 x, r1 out, r2 rows left, r3 table, r4-r7 sums, r8 row, r9 constants, r10 data, r11, r12, lr scale.
ARMv6-M: r4, r5 sums, r6 x, r7 table, r8 out, r0-r3 data, r10, r12 scale.
"""

from ..fixedpoint import ITEMSIZE
from .table import put, start
from .thumb_asm import ARMV7EM, LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP

_COLUMNS, _BLOCKS = 0, 4  # what is left of each, on the stack
_FRAME = 8


def refuses(spec):
    """None, or why this family does not take a layer."""
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
    """There is nothing to pack."""
    return (False,)


def table_bytes(spec, compact):
    """What the table of a layer takes, at most: the sum to start from and five constants."""
    return 24


class Rows:
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    scratch_bytes = 0

    def __init__(self, spec, level, compact=False):
        self.spec = spec
        self.rows, self.width = spec.kernel_shape[1], spec.input_shape[1]
        (self._dsp if level >= ARMV7EM else self._v6m)(level)
        words = [start(spec, 0, spec.input_zero_point)] + self.scale.constants((0,))
        self.code, self.table = self.asm.finish(), bytearray(4 * len(words))
        self.asm = None
        at = 0
        for word in words:
            at = put(self.table, at, word)

    def _walk(self, at_once, x, columns, move):
        """Go through blocks of rows and groups of columns; columns(count) emits one group, x and out moving on;
        move(r, value) adds a constant to a register."""
        asm, spec, width = self.asm, self.spec, self.width
        blocks = spec.out_shape[0]
        count = min(at_once, width)
        if blocks > 1:
            asm.constant(R2, blocks)
            asm.label("block")
            asm.str(R2, SP, _BLOCKS)
        groups = width // count
        if groups > 1:
            asm.constant(R2, groups)
            asm.label("columns")
            asm.str(R2, SP, _COLUMNS)
        columns(count)
        if groups > 1:
            asm.ldr(R2, SP, _COLUMNS)
            asm.subs(R2, 1)
            asm.b("columns", NE)
        if width % count:
            self._back(width % count - count)
            columns(count)
        if blocks > 1:
            move(x, (self.rows - 1) * width)
            asm.ldr(R2, SP, _BLOCKS)
            asm.subs(R2, 1)
            asm.b("block", NE)

    # With DSP

    def _dsp(self, level):
        from .scale_dsp import Scale, from_place
        from .thumb2 import Thumb2

        self.scale, self.asm, self.load = Scale(self.spec, False), Thumb2(level), from_place
        asm = self.asm
        asm.enter(_FRAME)
        self._walk(4, R0, self._columns_dsp, lambda r, value: asm.plus(r, r, value))
        asm.leave(_FRAME)

    def _back(self, columns):
        self.asm.plus(R0, R0, columns)
        self.asm.plus(R1, R1, columns * ITEMSIZE[self.spec.out_dtype])

    def _columns_dsp(self, count):
        asm, spec = self.asm, self.spec
        sums = (R4, R5, R6, R7)[:count]
        asm.plus(R9, R3, 4)
        for r in sums:
            asm.ldr(r, R3)
        asm.mov(R8, R0)
        asm.constant(R2, self.rows)
        here = "row %d" % len(asm.code)
        asm.label(here)
        load = asm.ldrsb if spec.dtype == "b" else asm.ldrb
        for n, r in enumerate(sums):
            load(R10, R8, n)
            asm.add(r, r, R10)
        asm.plus(R8, R8, self.width)
        self._count(here)
        asm.plus(R0, R0, count)
        self.scale.emit(asm, sums, self.load(asm, R9), (R11, R12, LR))
        size = ITEMSIZE[spec.out_dtype]
        for n, r in enumerate(sums):
            self.scale.store(asm, r, R1, n * size)
        asm.plus(R1, R1, count * size)

    def _count(self, label):
        """One row less in r2."""
        self.asm.subs(R2, 1)
        self.asm.b(label, NE)

    # ARMv6-M

    def _v6m(self, level):
        from .scale_v6m import Scale
        from .thumb1 import Thumb1

        self.scale, self.asm = Scale(self.spec), Thumb1(level)
        asm = self.asm
        asm.enter(_FRAME)
        asm.mov(R6, R0)
        asm.mov(R7, R3)
        asm.mov(R8, R1)
        self.scale.emit_constants(asm)
        self._back = self._back_v6m
        self._walk(2, R6, self._columns_v6m, asm.move)
        asm.leave(_FRAME)
        self.scale.emit_exact(asm)

    def _back_v6m(self, columns):
        asm = self.asm
        asm.plus(R6, R6, columns)
        self._out_moves(columns * ITEMSIZE[self.spec.out_dtype])

    def _out_moves(self, count):
        asm = self.asm
        asm.mov(R1, R8)
        asm.addi(R1, R1, count)
        asm.mov(R8, R1)

    def _columns_v6m(self, count):
        asm, spec, scale = self.asm, self.spec, self.scale
        sums = (R4, R5)[:count]
        for r in sums:
            asm.ldr(r, R7)
        asm.mov(R0, R6)
        asm.constant(R2, self.rows)
        asm.constant(R3, self.width)
        here = "row %d" % len(asm.code)
        asm.label(here)
        for n, r in enumerate(sums):
            asm.ldrb(R1, R0, n)
            if spec.dtype == "b":
                asm.sxtb(R1, R1)
            asm.add(r, r, R1)
        asm.add(R0, R0, R3)
        self._count(here)
        asm.addi(R6, R6, count)
        size = ITEMSIZE[spec.out_dtype]
        for n, acc in enumerate(sums):
            r = scale.emit(asm, acc, self._factor, self._point)
            asm.mov(R2, R8)
            scale.store(asm, r, R2, n * size)
        self._out_moves(count * size)
        scale.emit_behind(asm)

    def _factor(self, r):
        self.asm.ldr(r, R7, 4)

    def _point(self, r):
        self.asm.mov(r, R7)
        self.asm.addi(r, r, 8 if self.scale.fast else 4)
