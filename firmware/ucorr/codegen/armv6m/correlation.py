"""Cross-correlation of two signals of 16 bits on ARMv6-M.

loops/correlation.py has the loops. A step takes a sample a[n] to all lags: w[j] = b[n + k + j]. Those from w[1] on are
the next step's w[0], w[1] and so on, so that a step loads one.

    step:  x = a at p;  w[tile - 1] = b at p + d;  p += 2
           acc[0] += x * w[0] (into w[0], which is free then), acc[1] += x * w[1], ... (the last into x)
           w = w[1:] + w[:1]

A sum of 64 bits is high * 2**16 + low: low adds up the lower halves of products, under 2**32 for 65,535 of them.

Registers: r0 p, r1 d, r2 x, r3 a product; sums of 32 bits: four accumulators in r8-r11, w in r4-r7; of 64 bits: three,
low and high, in r8-r12 and lr, w in r5-r7, r4 the lower half of a product.
"""

from ..asm.assembler import ASR, EQ, HI, LR, LSL, LSR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP
from ..asm.thumb1 import Thumb1
from ..loops import correlation
from ..loops.correlation import OWN, PLACE, TABLE, A, B, P, Q

TURN = 12  # steps in a turn of the loop, after which w is again as it was
END, FRAME = OWN, OWN + 4  # the stack
LAGS = 4, 3  # of a tile, of sums of 32 bits and of 64


def refuses(op):
    """None, or why there is no code for a CrossCorrelate."""
    return correlation.refuses(op, LAGS)


class Kernel(correlation.Correlation):
    """Code and table of a CrossCorrelate."""

    def __init__(self, op, core):
        self.wide = op.wide
        self.accs = ((R8, R9), (R10, R11), (R12, LR)) if op.wide else ((R8,), (R9,), (R10,), (R11,))
        self.words = (R5, R6, R7) if op.wide else (R4, R5, R6, R7)
        correlation.Correlation.__init__(self, op, LAGS, FRAME, Thumb1, core)

    def _shared(self, count):
        """Bytes of a that the loop takes."""
        turns = count // TURN
        return [2 * TURN * turns], TURN * turns

    def _emit_check(self):
        """r0 x, r1 flag, r2 item, r3 how many are left, r4 limit, r5 twice the limit in the upper half."""
        asm, op = self.asm, self.op
        past, well = asm.label(), asm.label()
        asm.enter(0)
        asm.constant(R3, op.length)
        asm.constant(R4, op.limit)
        asm.constant(R5, 2 * op.limit << 16)
        loop = asm.here()
        asm.ldrh(R2, R0)
        asm.addi(R0, R0, 2)
        asm.add(R2, R2, R4)
        asm.shift(R2, R2, LSL, 16)
        asm.cmp(R2, R5)
        asm.b(past, HI)
        asm.dec_branch(R3, loop)
        asm.b(well)
        asm.place(past)
        asm.movs(R2, 1)
        asm.str(R2, R1)
        asm.place(well)
        asm.leave(0)

    def _begin(self):
        """The pointers, end and accumulators of a tile; r7 is the end."""
        asm = self.asm
        asm.ldr(R4, SP, TABLE)
        asm.ldm(R4, (R3, R5, R6, R7))
        asm.str(R3, SP, PLACE)
        asm.str(R4, SP, TABLE)
        asm.ldr(R0, SP, A)
        asm.add(R0, R0, R5)
        asm.ldr(R1, SP, B)
        asm.add(R1, R1, R6)
        asm.add(R7, R7, R0)
        asm.str(R7, SP, END)
        asm.movs(R2, 0)
        for acc in self.accs:
            for r in acc:
                asm.mov(r, R2)

    def _loops(self):
        """Samples that all lags of the tile have, TURN at a time."""
        asm, words = self.asm, self.words
        none = asm.label()
        asm.cmp(R0, R7)
        some = asm.label()
        asm.b(some, NE)
        asm.b(none)
        asm.place(some)
        for n, w in enumerate(words[:-1]):
            asm.movs(R2, 2 * n)
            asm.ldrsh_at(w, R1, R2)
        asm.addi(R1, R1, 2 * len(words) - 2)
        asm.sub(R1, R1, R0)
        loop = asm.here()
        for n in range(TURN):
            turn = n % len(words)
            w = words[turn:] + words[:turn]
            asm.ldrh(R2, R0)
            asm.sxth(R2, R2)
            asm.ldrsh_at(w[-1], R0, R1)
            asm.addi(R0, R0, 2)
            for j, acc in enumerate(self.accs):
                if j == 0:
                    self._multiply(acc, w[0], R2)
                elif j < len(words) - 1:
                    asm.mov(R3, R2)
                    self._multiply(acc, R3, w[j])
                else:
                    self._multiply(acc, R2, w[j])
        asm.ldr(R3, SP, END)
        asm.cmp(R0, R3)
        asm.b(loop, NE)
        asm.place(none)

    def _multiply(self, acc, x, y):
        """acc += x * y; x is lost, and where sums have 64 bits r4."""
        asm = self.asm
        asm.muls(x, y)
        if self.wide:
            asm.uxth(R4, x)
            asm.add(acc[0], acc[0], R4)
            asm.shift(x, x, ASR, 16)
        asm.add(acc[-1], acc[-1], x)

    def _rest(self, step):
        """Samples that not all lags have, lag by lag. r5 is how many are left, r6 the table, r7 0."""
        asm = self.asm
        none, some = asm.label(), asm.label()
        asm.ldr(R6, SP, TABLE)
        asm.ldm(R6, (R5,))
        asm.cmpi(R5, 0)
        asm.b(some, NE)
        asm.b(none)
        asm.place(some)
        asm.movs(R7, 0)
        asm.ldm(R6, (R0, R1))
        for base, slot, r in ((A, P, R0), (B, Q, R1)):
            asm.ldr(R2, SP, base)
            asm.add(r, r, R2)
            asm.str(r, SP, slot)
        for j, acc in enumerate(self.accs):
            empty = asm.label()
            asm.ldm(R6, (R5,))
            asm.cmpi(R5, 0)
            asm.b(empty, EQ)
            asm.ldr(R0, SP, P)
            asm.ldr(R1, SP, Q)
            if j:
                asm.addi(R1, R1, 2 * j)
            loop = asm.here()
            asm.ldrsh_at(R2, R0, R7)
            asm.ldrsh_at(R3, R1, R7)
            asm.addi(R0, R0, step)
            asm.addi(R1, R1, step)
            self._multiply(acc, R2, R3)
            asm.dec_branch(R5, loop)
            asm.place(empty)
        asm.place(none)
        asm.str(R6, SP, TABLE)

    def _output(self, acc):
        """Shifted to the right, halves away from zero: a negative one less 1, and the last bit that fell off."""
        asm, right = self.asm, -self.op.shift
        asm.mov(R2, acc[0])
        if self.wide:
            self._shift_pair(acc[1], right)
        elif right:
            asm.shift(R3, R2, ASR, 31)
            asm.add(R2, R2, R3)
            asm.shift(R3, R2, ASR, right)
            asm.shift(R2, R2, LSL, 32 - right)
            asm.shift(R2, R2, LSR, 31)
            asm.add(R2, R2, R3)
        return R2

    def _shift_pair(self, high, right):
        """r2 = the sum of low word r2, shifted: a negative one less 1, shifted, and the last bit that fell off."""
        asm = self.asm
        asm.mov(R3, high)
        asm.shift(R4, R2, LSR, 16)  # what low carries
        asm.add(R3, R3, R4)
        asm.uxth(R2, R2)
        asm.shift(R4, R3, ASR, 31)
        asm.add(R2, R2, R4)
        asm.shift(R4, R2, ASR, 16)  # -1 where a borrow is due
        asm.add(R3, R3, R4)
        asm.uxth(R2, R2)
        if right > 16:  # all of it is in the high word
            asm.shift(R2, R3, ASR, right - 16)
            last = right - 16
        else:
            asm.mov(R5, R3)
            asm.mov(R3, R2)
            asm.shift(R2, R2, LSR, right)
            if right < 16:
                asm.shift(R5, R5, LSL, 16 - right)
            asm.add(R2, R2, R5)
            last = right
        asm.shift(R3, R3, LSL, 32 - last)
        asm.shift(R3, R3, LSR, 31)
        asm.add(R2, R2, R3)
