"""Cross-correlation of two signals of 16 bits with the DSP extension: SMLAD and SMLALD take two products.

loops/correlation.py has the loops. A step takes a pair of samples a[n], a[n + 1] to all lags: that of lag k + j is the
word at b[n + k + j], which need not lie at a multiple of 4. The words of two lags more are those of the next step for
two lags less, so a step loads two.

    step:  acc[0] += A * w[0];  acc[1] += A * w[1]
           w[1] = word at q + 2;  w[0] = word at q;  q += 4;  the next A = word at p;  p += 4
           acc[2] += A * w[2] ...;  acc[tile - 2] += A * w[0];  acc[tile - 1] += A * w[1]
           w = w[2:] + w[:2]

Registers: r0 p, r1 q, r2, r3 A of even and odd steps; sums of 32 bits: six accumulators in r4-r9, w in r10-r12, lr;
of 64 bits: four, low and high, in r4-r11, w in r12, lr.
"""

from ..asm.assembler import ASR, EQ, HI, LR, LSL, LSR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R10, R11, R12, SP
from ..asm.thumb2 import Thumb2
from ..loops import correlation
from ..loops.correlation import OWN, PLACE, TABLE, A, B, P, Q

MANY = 32  # pairs in a turn of the longer loop
MAIN, SMALL, LEFT, FRAME = range(OWN, OWN + 16, 4)  # the stack
LAGS = 6, 4  # of a tile, of sums of 32 bits and of 64


def refuses(op):
    """None, or why there is no code for a CrossCorrelate."""
    return correlation.refuses(op, LAGS)


class Kernel(correlation.Correlation):
    """Code and table of a CrossCorrelate."""

    def __init__(self, op, core):
        self.wide = op.wide
        each = 2 if op.wide else 1
        self.accs = tuple([R4 + each * j for j in range(LAGS[op.wide])])
        self.words = (R12, LR) if op.wide else (R10, R11, R12, LR)
        correlation.Correlation.__init__(self, op, LAGS, FRAME, Thumb2, core)

    def _shared(self, count):
        """Bytes of a that the loops of MANY and of 2 steps take; steps after them, 1 or 2, or 0 of 0."""
        pairs = count // 2
        main = max(0, pairs - 1) // MANY
        small = max(0, pairs - main * MANY - 1) // 2
        return [4 * main * MANY, 8 * small, pairs - main * MANY - 2 * small], 2 * pairs

    def _emit_check(self):
        """Four items at a time. r0 x, r1 flag, r3 how often, r4 limit, r5 twice the limit in the upper half, items in
        r2, r6-r8."""
        asm, op = self.asm, self.op
        past, well = asm.label(), asm.label()
        asm.enter(0)
        asm.constant(R4, op.limit)
        asm.constant(R5, 2 * op.limit << 16)
        for turns, items in ((op.length // 4, (R2, R6, R7, R8)), (op.length % 4, (R2,))):
            if turns:
                asm.constant(R3, turns)
                loop = asm.here()
                for r in items:
                    asm.ldrh_then(r, R0, 2)
                for r in items:
                    asm.add(r, r, R4)
                    asm.shift(r, r, LSL, 16)
                    asm.cmp(r, R5)
                    asm.b(past, HI)
                asm.dec_branch(R3, loop)
        asm.b(well)
        asm.place(past)
        asm.constant(R2, 1)
        asm.str(R2, R1)
        asm.place(well)
        asm.leave(0)

    def _begin(self):
        """The pointers, limits and accumulators of a tile."""
        asm = self.asm
        asm.ldr(R2, SP, TABLE)
        asm.ldr_then(R3, R2, 4)
        asm.str(R3, SP, PLACE)
        for pointer, slot in ((R0, A), (R1, B)):
            asm.ldr(pointer, SP, slot)
            asm.ldr_then(R3, R2, 4)
            asm.add(pointer, pointer, R3)
        asm.addi(R12, R0, 4)  # p, when the first pair was loaded
        for slot in (MAIN, SMALL):
            asm.ldr_then(R3, R2, 4)
            asm.add(R12, R12, R3)
            asm.str(R12, SP, slot)
        asm.ldr_then(R3, R2, 4)
        asm.str(R3, SP, LEFT)
        asm.str(R2, SP, TABLE)
        for acc in self.accs:
            asm.constant(acc, 0)
            if self.wide:
                asm.constant(acc + 1, 0)

    def _loops(self):
        """Pairs of samples that all lags of the tile have; r3 is free after an even number of steps."""
        asm = self.asm
        none, one, done = asm.label(), asm.label(), asm.label()
        asm.cmpi(R3, 0)
        asm.b(none, EQ)
        for n, w in enumerate(self.words):
            asm.ldr(w, R1, 2 * n)
        asm.addi(R1, R1, 2 * len(self.words))
        asm.ldr_then(R2, R0, 4)
        for slot, steps in ((MAIN, MANY), (SMALL, 2)):
            past = asm.label()
            asm.ldr(R3, SP, slot)
            asm.cmp(R0, R3)
            asm.b(past, EQ)
            loop = asm.here()
            for n in range(steps):
                self._step(n, True)
            asm.ldr(R3, SP, slot)
            asm.cmp(R0, R3)
            asm.b(loop, NE)
            asm.place(past)
        asm.ldr(R3, SP, LEFT)
        asm.cmpi(R3, 1)
        asm.b(one, EQ)
        self._step(0, True)
        self._step(1, False)
        asm.b(done)
        asm.place(one)
        self._step(0, False)
        asm.place(done)
        asm.place(none)

    def _step(self, n, more):
        """A pair for all lags; more: the next pair is loaded."""
        asm, accs = self.asm, self.accs
        turn = 2 * n % len(self.words)
        w = self.words[turn:] + self.words[:turn]
        pair, following = (R2, R3) if n % 2 == 0 else (R3, R2)
        self._multiply(accs[0], pair, w[0])
        self._multiply(accs[1], pair, w[1])
        asm.ldr(w[1], R1, 2)
        asm.ldr_then(w[0], R1, 4)
        if more:
            asm.ldr_then(following, R0, 4)
        for acc, word in zip(accs[2:], w[2:] + w[:2]):
            self._multiply(acc, pair, word)

    def _multiply(self, acc, x, y):
        """acc += both products of halfwords."""
        if self.wide:
            self.asm.smlald(acc, acc + 1, x, y)
        else:
            self.asm.smlad(acc, x, y, acc)

    def _rest(self, step):
        """Samples that not all lags have, lag by lag: a halfword is a pair whose second one is 0."""
        asm = self.asm
        none = asm.label()
        asm.ldr(LR, SP, TABLE)
        asm.ldr_then(R3, LR, 4)
        asm.cmpi(R3, 0)
        asm.b(none, EQ)
        for base, slot in ((A, P), (B, Q)):
            asm.ldr(R0, SP, base)
            asm.ldr_then(R3, LR, 4)
            asm.add(R0, R0, R3)
            asm.str(R0, SP, slot)
        for j, acc in enumerate(self.accs):
            empty = asm.label()
            asm.ldr_then(R3, LR, 4)
            asm.cmpi(R3, 0)
            asm.b(empty, EQ)
            asm.ldr(R0, SP, P)
            asm.ldr(R1, SP, Q)
            asm.addi(R1, R1, 2 * j)
            loop = asm.here()
            asm.ldrh_then(R2, R0, step)
            asm.ldrh_then(R12, R1, step)
            self._multiply(acc, R2, R12)
            asm.dec_branch(R3, loop)
            asm.place(empty)
        asm.place(none)
        asm.str(LR, SP, TABLE)

    def _output(self, acc):
        """Shifted to the right, halves away from zero: a negative one less 1, and the last bit that fell off."""
        asm, right = self.asm, -self.op.shift
        if self.wide:
            asm.shift(R1, acc + 1, ASR, 31)
            asm.adds(acc, acc, R1)
            asm.adc(acc + 1, acc + 1, R1)
            asm.shift(R1, acc, LSR, right)
            asm.orr(R1, R1, acc + 1, LSL, 32 - right)
        elif right:
            asm.add(acc, acc, acc, ASR, 31)
            asm.shift(R1, acc, ASR, right)
        else:
            return acc
        asm.shift(acc, acc, LSL, 32 - right)
        asm.add(acc, R1, acc, LSR, 31)
        return acc
