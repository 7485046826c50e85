"""Accumulators in registers to outputs on ARMv6-M, whose products have 32 bits.

DESIGN.md's equations (2) and (3) take a product of 62 bits: some 45 instructions, in a
subroutine. Few outputs need them. With s, f and a factor F = multiplier * 2**(shift - 31 + f + s), rounded,

    p = (acc >> s) * F + C

is the real output times 2**f plus a bounded error. So p >> f is the exact output unless p is close enough to a
multiple of 2**f for the error, or for double rounding, to cross it; only then is the subroutine called.
C contains output_zero_point - activation_min, one half, and the bound of the error, so that the doubtful p are
those whose fraction is less than E:

    e  = p - C - R * 2**f, the error, R = acc * multiplier * 2**(shift - 31) the real output
    -(F + 1) - d  <=  e  <=  d,    d = |acc >> s| / 2, for F is off by 1/2 at most
    the exact output is at most R + 1/2 + r, and more than R - 1/2 - r: r = 2**(shift - 1), from (2), or 0 by (8)
    C = (zero_point - activation_min + 1/2) * 2**f + U,    U = F + 1 + d + r * 2**f
    E = U + d + r * 2**f

so that p is never below the exact output times 2**f, and less than E above the next multiple of 2**f.

f is the largest for which p stays in 32 bits, s is chosen so that F and d are about as large. d only matters where
the output is in range: p is monotonic in acc.

A plain filter whose channels have one shift n is exact in three instructions. The accumulator's start contains
c = (output_zero_point - activation_min) * 2**n + 2**(n-1). For halves away from zero a negative acc is lowered by 1:
acc < 0 is acc + c < c, an unsigned comparison whose carry a SBCS subtracts. A negative acc + c is below the
range, lowered or not, so nothing is subtracted from it, nor where c is negative.

Other scales (a shift to the left, shifts of many sizes) call the subroutine for every output.

Registers: r1 result, r2 lost, r3 zero, r10 E, r12 C, or c.
"""

from ...fixedpoint import ITEMSIZE
from ..asm.assembler import (
    ASR,
    CC,
    EQ,
    HI,
    LR,
    LSL,
    LSR,
    PC,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R10,
    R12,
)  # fmt: skip
from ..loops.table import shifts


def refuses(spec):
    """None, or why 32 bits are not enough for a layer's scale."""
    if spec.wide:
        return "an accumulator of 64 bits"
    if spec.kind != "exact":
        reach = _reach(spec)
        if reach << shifts(spec, max(spec.shift))[0] >= 1 << 30:
            return "an accumulator of 31 bits, left shift counted"
        if spec.kind == "shift" and reach + abs(_added(spec, -min(spec.shift))) >= 1 << 31:
            return "a zero point that leaves 32 bits when shifted left by %d" % -min(spec.shift)
    return None


def _reach(spec):
    return max(-spec.bound[0], spec.bound[1])


def _added(spec, n):
    """The number added before a shift to the right by n, so that the result is the output less activation_min."""
    n = max(0, n)
    return (spec.output_zero_point - spec.activation_min << n) + (1 << n >> 1)


class Requantize:
    """Requantisation of a layer.

    words  how many constants a channel has in the layer's table
    ahead  what a channel's accumulator must start with besides its bias
    zero   whether emit() wants r3 to be 0
    """

    def __init__(self, spec, doubled=False):
        assert not doubled
        self.spec = spec
        self.exact = spec.kind == "exact"
        self.tflite = spec.kind == "tflite"
        self.single = spec.rounding == "single"
        self.factors = self.limit = self.added = 0
        self.uniform = spec.kind == "shift" and min(spec.shift) == max(spec.shift)
        self.zero = self.uniform and spec.shift[0] < 0
        self.ahead = 0
        if self.uniform:
            self.added = _added(spec, -spec.shift[0])
        if self.zero:
            self.ahead, self.added = self.added, max(0, self.added)
        self.fast = self.tflite and self._near()
        self.always = not (self.exact or self.uniform or self.fast)
        self.words = 0 if self.exact or self.uniform else 2 + self.fast
        self._out_of_line = []  # (labels, acc, point) of what emit_after() emits
        self._subroutine = None

    def _near(self):
        """Whether the short product pays: sets f, s and the factors; False if too many outputs would be doubtful."""
        spec = self.spec
        n = -max(spec.shift)
        if n < 1:
            return False
        zero = spec.output_zero_point - spec.activation_min
        in_range = max(abs(zero), abs(spec.activation_max - spec.output_zero_point)) + 2
        reach = _reach(spec)
        real = [m << (31 + shift) for m, shift in zip(spec.multiplier, spec.shift)]  # times 2**62
        top, bottom = max(real), min(real)
        f = 31
        fits = False
        while not fits:
            f -= 1
            r = 0 if self.single else (1 << f >> n + 1) + 1
            best = 1 << f
            s = 0
            while 1 << s <= reach and f + s < 62:
                factor = (top << f + s) + (1 << 61) >> 62
                d = reach >> s
                if bottom << f + s >> 62:
                    d = min(d, (in_range << f) // (bottom << f + s >> 62))
                d = (d >> 1) + 2
                u = factor + 1 + d + r
                if u + d + r < best:
                    best = u + d + r
                    added = (zero << f) + (1 << f - 1) + u
                    fits = ((reach >> s) + 1) * factor + abs(added) < 1 << 31
                    self.f, self.s, self.added = f, s, added
                elif factor > d:
                    break
                s += 1
            if f < 8:
                return False
        self.factors = [(m << f + self.s) + (1 << 61) >> 62 for m in real]
        self.limit = best << 32 - f
        return best << 1 < 1 << f

    def constants(self, channels):
        """The words of some output channels: the factors of all, then multiplier and shifts of each."""
        if not self.words:
            return []
        spec = self.spec
        words = [self.factors[o] for o in channels] if self.fast else []
        for o in channels:
            left, right = shifts(spec, spec.shift[o])
            words += [spec.multiplier[o] if self.tflite else 0, left << 8 | right]
        return words

    def emit_constants(self, asm):
        """r10 and r12 for all that follows; r1 is lost."""
        if self.fast:
            asm.constant(R1, self.limit)
            asm.mov(R10, R1)
        if self.fast or self.uniform:
            asm.constant(R1, self.added)
            asm.mov(R12, R1)

    def emit(self, asm, accs, constants, temps=()):
        """The registers of the outputs; r1 and r2 are lost.

        accs       the accumulator, a low register, which is lost; one at a time, since all outputs are in r1
        constants  (load, point): load(r) emits what loads the channel's factor, point(r) what makes r the address of
                   its multiplier and shifts; r0 to r3 may be lost
        """
        if self.exact:
            return accs
        (acc,) = accs
        load, point = constants
        doubt, sure, outside, inside = labels = [asm.label() for _ in range(4)]
        self._out_of_line.append((labels, acc, point))
        if self.fast:
            if self.s:
                asm.shift(R1, acc, ASR, self.s)
            else:
                asm.mov(R1, acc)
            load(R2)
            asm.muls(R1, R2)
            asm.add(R1, R1, R12)
            asm.shift(R2, R1, LSL, 32 - self.f)
            asm.cmp(R2, R10)
            asm.b(doubt, CC)
            asm.shift(R1, R1, ASR, self.f)
            asm.place(sure)
        elif self.always:
            self._call(asm, acc, point)
        else:
            self._shift(asm, acc, -self.spec.shift[0])
        self._limit(asm, outside, inside)
        return (R1,)

    def _shift(self, asm, acc, n):
        """n is the same for all channels."""
        if n > 0:
            asm.cmp(acc, R12)
            asm.sbcs(acc, R3)
            asm.shift(R1, acc, ASR, n)
            return
        if n:
            asm.shift(R1, acc, LSL, -n)
        else:
            asm.mov(R1, acc)
        asm.add(R1, R1, R12)

    def _call(self, asm, acc, point):
        if acc != R0:
            asm.mov(R0, acc)
        point(R1)
        asm.bl(self._exact_label(asm))

    def _exact_label(self, asm):
        """The label of the subroutine, which is made when it is first called."""
        if self._subroutine is None:
            self._subroutine = asm.label()
        return self._subroutine

    def _limit(self, asm, outside, inside):
        """Within the activation range, of which r1 is counted from the lower end."""
        spec = self.spec
        span = spec.activation_max - spec.activation_min
        if span < 256:
            asm.cmpi(R1, span)
        else:
            asm.constant(R2, span)
            asm.cmp(R1, R2)
        asm.b(outside, HI)  # unsigned: what is negative is large
        asm.place(inside)
        if -510 <= spec.activation_min <= 510:
            asm.plus(R1, R1, spec.activation_min)
        else:
            asm.constant(R2, spec.activation_min)
            asm.add(R1, R1, R2)

    def emit_after(self, asm):
        """What the code jumps to from emit(), at most 250 bytes before here: in doubt, or out of range."""
        if not self._out_of_line:
            return
        over = asm.label()
        span = self.spec.activation_max - self.spec.activation_min
        asm.b(over)
        for (doubt, sure, outside, inside), acc, point in self._out_of_line:
            if self.fast:
                asm.place(doubt)
                self._call(asm, acc, point)
                asm.b(sure)
            asm.place(outside)
            asm.shift(R1, R1, ASR, 31)
            asm.mvns(R1, R1)  # 0 below the range, all ones above it
            if span != 255 or ITEMSIZE[self.spec.out_dtype] != 1:  # otherwise only the low byte is stored
                asm.constant(R2, span)
                asm.ands(R1, R2)
            asm.b(inside)
        asm.place(over)
        self._out_of_line = []

    def emit_exact(self, asm):
        """The subroutine: r1 = the output of r0, less activation_min, by the constants at r1; r0, r2, r3 are lost."""
        if not (self.fast or self.always):
            return
        asm.place(self._exact_label(asm))
        asm.push((R4, R5, R6, R7, LR))
        asm.ldm(R1, (R4, R5))
        asm.shift(R6, R5, LSR, 8)
        asm.lsls(R0, R6)
        if self.tflite:
            _product(asm, not self.single)
        asm.shift(R5, R5, LSL, 24)
        asm.shift(R5, R5, LSR, 24)
        if not self.single:
            asm.cmpi(R5, 0)
            unshifted = asm.label()
            asm.b(unshifted, EQ)
        asm.movs(R1, 1)
        asm.lsls(R1, R5)
        asm.shift(R1, R1, LSR, 1)
        if not self.single:
            asm.shift(R2, R0, ASR, 31)
            asm.add(R0, R0, R2)
        asm.add(R0, R0, R1)
        asm.asrs(R0, R5)
        if not self.single:
            asm.place(unshifted)
        asm.constant(R1, self.spec.output_zero_point - self.spec.activation_min)
        asm.add(R1, R1, R0)
        asm.pop((R4, R5, R6, R7, PC))

    def store(self, asm, r, out, offset):
        """Store an output at out + offset."""
        (asm.strb, asm.strh, None, asm.str)[ITEMSIZE[self.spec.out_dtype] - 1](r, out, offset)

    def store_at(self, asm, r, out, register):
        """Store an output at out + another register."""
        (asm.strb_at, asm.strh_at, None, asm.str_at)[ITEMSIZE[self.spec.out_dtype] - 1](r, out, register)


def _product(asm, rounded):
    """r0 = (r0 * r4 + 2**30) >> 31, |r0| < 2**30, 0 <= r4 < 2**31, from halves of 16 bits; r1, r2, r3 are lost.
    Without 2**30 where it is not rounded.

    With r0 = ah * 2**16 + al and r4 = mh * 2**16 + ml the sum of al * mh + (al * ml >> 16) + 2**14 is unsigned and
    that of ah * ml signed, each of 32 bits; the 33 bits of both go through the carry.
    """
    asm.uxth(R1, R0)
    asm.shift(R0, R0, ASR, 16)
    asm.uxth(R2, R4)
    asm.shift(R4, R4, LSR, 16)
    asm.mov(R3, R1)
    asm.muls(R3, R2)
    asm.shift(R3, R3, LSR, 16)
    asm.muls(R1, R4)
    asm.add(R3, R3, R1)
    if rounded:
        asm.constant(R1, 1 << 14)
        asm.add(R3, R3, R1)
    asm.muls(R2, R0)
    asm.muls(R0, R4)
    asm.movs(R1, 0)
    asm.shift(R4, R2, ASR, 31)
    asm.add(R2, R2, R3)
    asm.adcs(R4, R1)
    asm.shift(R4, R4, LSL, 17)
    asm.shift(R2, R2, LSR, 15)
    asm.add(R2, R2, R4)
    asm.shift(R0, R0, LSL, 1)
    asm.add(R0, R0, R2)
