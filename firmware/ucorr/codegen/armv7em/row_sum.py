"""Sums of whole rows with the DSP extension: four columns at a time.

loops/row_sum.py has the loops. Registers: r0 x, r1 out, r2 rows left, r3 table, r4-r7 accumulators, r8 row,
r9 constants, r10 data, r11, r12, lr requantisation.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import LR, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12
from ..asm.thumb2 import Thumb2
from ..loops import row_sum
from .requantize import Requantize, from_place

refuses, packings, table_bytes = row_sum.refuses, row_sum.packings, row_sum.table_bytes


class Kernel(row_sum.RowSum):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, core, compact=False):
        row_sum.RowSum.__init__(self, spec, Requantize(spec, False), Thumb2(core))

    def _emit(self):
        asm = self.asm
        asm.enter(row_sum.FRAME)
        self._loop(4, R0, lambda r, value: asm.plus(r, r, value))
        asm.leave(row_sum.FRAME)

    def _back(self, columns):
        self.asm.plus(R0, R0, columns)
        self.asm.plus(R1, R1, columns * ITEMSIZE[self.spec.out_dtype])

    def _columns(self, count):
        asm, spec = self.asm, self.spec
        sums = (R4, R5, R6, R7)[:count]
        asm.plus(R9, R3, 4)
        for r in sums:
            asm.ldr(r, R3)
        asm.mov(R8, R0)
        asm.constant(R2, self.rows)
        row = asm.here()
        load = asm.ldrsb if spec.dtype == "b" else asm.ldrb
        for n, r in enumerate(sums):
            load(R10, R8, n)
            asm.add(r, r, R10)
        asm.plus(R8, R8, self.width)
        self._count(row)
        asm.plus(R0, R0, count)
        self.requantize.emit(asm, sums, from_place(asm, R9), (R11, R12, LR))
        size = ITEMSIZE[spec.out_dtype]
        for n, r in enumerate(sums):
            self.requantize.store(asm, r, R1, n * size)
        asm.plus(R1, R1, count * size)
