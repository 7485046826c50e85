"""Sums of whole rows on ARMv6-M: two columns at a time.

loops/row_sum.py has the loops. Registers: r4, r5 accumulators, r6 x, r7 table, r8 out, r0-r3 data,
r10, r12 requantisation.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import R0, R1, R2, R3, R4, R5, R6, R7, R8
from ..asm.thumb1 import Thumb1
from ..loops import row_sum
from .requantize import Requantize

refuses, packings, table_bytes = row_sum.refuses, row_sum.packings, row_sum.table_bytes


class Kernel(row_sum.RowSum):
    """Code and table of a layer: `.code`, `.table`, `.scratch_bytes`."""

    def __init__(self, spec, core, compact=False):
        row_sum.RowSum.__init__(self, spec, Requantize(spec), Thumb1(core))

    def _emit(self):
        asm = self.asm
        asm.enter(row_sum.FRAME)
        asm.mov(R6, R0)
        asm.mov(R7, R3)
        asm.mov(R8, R1)
        self.requantize.emit_constants(asm)
        self._loop(2, R6, asm.move)
        asm.leave(row_sum.FRAME)
        self.requantize.emit_exact(asm)

    def _back(self, columns):
        asm = self.asm
        asm.plus(R6, R6, columns)
        self._out_moves(columns * ITEMSIZE[self.spec.out_dtype])

    def _out_moves(self, count):
        asm = self.asm
        asm.mov(R1, R8)
        asm.addi(R1, R1, count)
        asm.mov(R8, R1)

    def _columns(self, count):
        asm, spec, requantize = self.asm, self.spec, self.requantize
        sums = (R4, R5)[:count]
        for r in sums:
            asm.ldr(r, R7)
        asm.mov(R0, R6)
        asm.constant(R2, self.rows)
        asm.constant(R3, self.width)
        row = asm.here()
        for n, r in enumerate(sums):
            asm.ldrb(R1, R0, n)
            if spec.dtype == "b":
                asm.sxtb(R1, R1)
            asm.add(r, r, R1)
        asm.add(R0, R0, R3)
        self._count(row)
        asm.addi(R6, R6, count)
        size = ITEMSIZE[spec.out_dtype]
        for n, acc in enumerate(sums):
            (r,) = requantize.emit(asm, (acc,), (self._factor, self._point))
            asm.mov(R2, R8)
            requantize.store(asm, r, R2, n * size)
        self._out_moves(count * size)
        requantize.emit_after(asm)

    def _factor(self, r):
        self.asm.ldr(r, R7, 4)

    def _point(self, r):
        self.asm.mov(r, R7)
        self.asm.addi(r, r, 8 if self.requantize.fast else 4)
