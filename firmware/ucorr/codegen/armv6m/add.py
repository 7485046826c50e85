"""ADD and SUB on ARMv6-M: two outputs at a time.

loops/add.py has the table. Registers: r4 a, r5 b, r6 out, r7, r8 words of a and b, r9 constants, r11 factor, r0-r3
data, r10, r12 requantisation; the end of out is on the stack.
"""

from ..asm.assembler import NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R11, SP
from ..asm.thumb1 import Thumb1
from ..loops import add
from ..loops.add import WORDS, Total
from .requantize import Requantize
from .requantize import refuses as requantize_refuses


def refuses(op):
    """None, or why there is no code for an ADD or SUB."""
    return add.refuses(op) or requantize_refuses(Total(op))


class Kernel(add.Add):
    """Code and table of an ADD or SUB."""

    def __init__(self, op, core):
        total = Total(op)
        add.Add.__init__(self, op, total, Requantize(total), Thumb1(core))

    def _emit(self):
        asm, requantize = self.asm, self.requantize
        asm.enter(4)
        for to, source in ((R4, R0), (R5, R2), (R6, R1), (R7, R3)):
            asm.mov(to, source)
        asm.constant(R1, 4 * WORDS)
        asm.add(R3, R3, R1)
        asm.mov(R8, R3)
        asm.add(R3, R3, R1)
        if requantize.fast:
            asm.ldm(R3, (R1,))
            asm.mov(R11, R1)
        asm.mov(R9, R3)
        requantize.emit_constants(asm)
        whole = self.length // 2
        if whole > 1:
            asm.constant(R0, 2 * whole)
            asm.add(R0, R0, R6)
            asm.str(R0, SP, 0)
            two = asm.here()
        if whole:
            self._outputs(2)
        if whole > 1:
            asm.ldr(R0, SP, 0)
            asm.cmp(R6, R0)
            asm.b(two, NE)
            requantize.emit_after(asm)
        if self.length % 2:
            self._outputs(1)
        requantize.emit_after(asm)
        asm.leave(4)
        requantize.emit_exact(asm)

    def _outputs(self, count):
        asm, requantize = self.asm, self.requantize
        for n in range(count):
            asm.ldrb(R0, R4, n)
            asm.ldrb(R1, R5, n)
            asm.shift(R0, R0, 0, 2)
            asm.shift(R1, R1, 0, 2)
            asm.ldr_at(R0, R7, R0)
            asm.mov(R2, R8)
            asm.ldr_at(R1, R2, R1)
            asm.add(R0, R0, R1)
            (r,) = requantize.emit(asm, (R0,), (self._factor, self._point))
            asm.strb(r, R6, n)
        for r in (R4, R5, R6):
            asm.addi(r, r, count)

    def _factor(self, r):
        self.asm.mov(r, R11)

    def _point(self, r):
        self.asm.mov(r, R9)
