"""ADD and SUB with the DSP extension: four outputs at a time.

loops/add.py has the table. Registers: r0 a, r1 out, r2 b, r3, r8 words of a and b, r9 constants, r10 end of out,
r4-r7 four accumulators, r11, r12, lr requantisation.
"""

from ..asm.assembler import LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12
from ..asm.thumb2 import Thumb2
from ..loops import add
from ..loops.add import WORDS, Total
from .requantize import Requantize, from_place
from .requantize import refuses as requantize_refuses


def refuses(op):
    """None, or why there is no code for an ADD or SUB."""
    return add.refuses(op) or requantize_refuses(Total(op))


class Kernel(add.Add):
    """Code and table of an ADD or SUB."""

    times = 2

    def __init__(self, op, core):
        total = Total(op)
        add.Add.__init__(self, op, total, Requantize(total, True), Thumb2(core))

    def _emit(self):
        asm = self.asm
        asm.enter(0)
        asm.plus(R8, R3, 4 * WORDS)
        asm.plus(R9, R8, 4 * WORDS)
        whole = self.length // 4
        if whole > 1:
            asm.plus(R10, R1, 4 * whole)
            four = asm.here()
        if whole:
            self._outputs((R4, R5, R6, R7))
        if whole > 1:
            asm.cmp(R1, R10)
            asm.b(four, NE)
        if self.length % 4:
            self._outputs((R4, R5, R6)[: self.length % 4])
        asm.leave(0)

    def _outputs(self, sums):
        asm = self.asm
        for r in sums:
            asm.ldrb_then(r, R0, 1)
            asm.ldrb_then(R11, R2, 1)
            asm.ldr_at(r, R3, r)
            asm.ldr_at(R11, R8, R11)
            asm.add(r, r, R11)
        self.requantize.emit(asm, sums, from_place(asm, R9), (R11, R12, LR))
        for n, r in enumerate(sums):
            asm.strb(r, R1, n)
        asm.addi(R1, R1, len(sums))
