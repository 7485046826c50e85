"""Accumulators in registers to outputs: DESIGN.md's equations (2) to (4), and (8), in a few instructions.

With a = 2 * acc in 32 bits, that is |acc| < 2**30, and h = (a * multiplier + 2**31) >> 32, which is one SMMULR, the
shift to the right by n >= 1 with halves away from zero is

    t = h + (h >> 31)                                 lowers a negative h by one
    out = saturate((t + 2**(n-1) + zero_point * 2**n) >> n)

since zero_point * 2**n is a multiple of what the shift divides by. A plain filter is the same without SMMULR and with
a = acc. Where a channel's n is 0 or its shift goes to the left, every channel gets the longer form (`mixed`):
a << left first, and h >> 31 masked by 0 where n is 0, because nothing is rounded there.

Single rounding has h = (a * multiplier) >> 32, one SMMUL, and t = h: floors nest, so the result is (8). Its n is
never 0 (loops/table.shifts), so it needs no mask.
"""

from ...fixedpoint import ITEMSIZE, LIMITS
from ..asm.assembler import ASR, GT, LT
from ..loops.table import shifts


def refuses(spec):
    """None, or why 32 bits and the instructions here are not enough for a layer's scale."""
    if spec.wide:
        return "an accumulator of 64 bits"
    if spec.kind == "exact":
        return None
    reach = max(-spec.bound[0], spec.bound[1]) << shifts(spec, max(spec.shift))[0]
    if spec.kind == "tflite" and reach >= 1 << 30:
        return "an accumulator of 31 bits, left shift counted"
    for shift in spec.shift:
        if reach + abs(_offset(spec, shift)) >= 1 << 31:
            return "a zero point that leaves 32 bits when shifted left by %d" % -shift
    return None


def _offset(spec, shift):
    """What is added before the shift to the right."""
    n = shifts(spec, shift)[1]
    return (spec.output_zero_point << n) + (1 << n >> 1)


def doubles(spec):
    """Whether twice every effective weight fits 16 bits, so that accumulators may be 2 * acc."""
    zero = spec.kernel_zero_point
    return spec.kind == "tflite" and max(zero - min(spec.weights), max(spec.weights) - zero) < 16384


class Requantize:
    """Requantisation of a layer; `doubled`: the accumulators arrive as 2 * acc.

    words  how many 32-bit constants a channel has in the layer's table
    """

    def __init__(self, spec, doubled):
        self.spec = spec
        self.doubled = doubled
        self.exact = spec.kind == "exact"
        self.tflite = spec.kind == "tflite"
        self.single = spec.rounding == "single"
        self.mixed = not self.exact and max(spec.shift) >= 0
        self.words = 0 if self.exact else 2 + self.tflite + (2 - self.single) * self.mixed

    def constants(self, channels):
        """The words of some output channels, in the order in which emit() reads them."""
        words = []
        for channel in channels if not self.exact else ():
            words += self._constants(channel)
        return words

    def _constants(self, channel):
        shift = self.spec.shift[channel]
        left, n = shifts(self.spec, shift)
        words = [self.spec.multiplier[channel]] if self.tflite else []
        if self.mixed:
            words = [left + (1 if self.tflite and not self.doubled else 0)] + words
            if not self.single:
                words.append(-1 if n else 0)
        return words + [_offset(self.spec, shift), n]

    def emit(self, asm, accs, constants, temps):
        """The registers of the outputs, those of the accumulators.

        accs       accumulators of one channel
        constants  constants(registers) emits what loads the channel's next constants, as many as there are registers
        temps      two or three registers, rising
        """
        if self.exact:
            return accs
        a, b, c = temps[0], temps[-2], temps[-1]
        if self.mixed:
            self._mixed(asm, accs, constants, a, temps[1])
        else:
            if self.tflite:
                constants(temps if len(temps) == 3 else (a,))
                for r in accs:
                    if not self.doubled:
                        asm.add(r, r, r)
                    self._multiply(asm, r, a)
            if not self.tflite or len(temps) == 2:
                constants((b, c))
            for r in accs:
                if not self.single:
                    asm.add(r, r, r, ASR, 31)
                asm.add(r, r, b)
                asm.asr(r, r, c)
        for r in accs:
            limit(asm, self.spec, r, a)
        return accs

    def _mixed(self, asm, accs, constants, a, b):
        constants((a,))
        for r in accs:
            asm.lsl(r, r, a)
        if self.tflite:
            constants((a,))
            for r in accs:
                self._multiply(asm, r, a)
        if not self.single:
            constants((a,))
            for r in accs:
                asm.and_(b, a, r, ASR, 31)
                asm.add(r, r, b)
        constants((a, b))
        for r in accs:
            asm.add(r, r, a)
            asm.asr(r, r, b)

    def _multiply(self, asm, r, a):
        """h of the accumulator in r, rounded where it is rounded again."""
        asm.smmul(r, r, a, not self.single)

    def store(self, asm, r, out, offset):
        """Store an output."""
        (asm.strb, asm.strh, None, asm.str)[ITEMSIZE[self.spec.out_dtype] - 1](r, out, offset)


def limit(asm, spec, r, temp):
    """r within the activation range; temp is lost."""
    dtype = spec.out_dtype
    bits = 8 if dtype in "bB" else 16
    if dtype in "bh":
        asm.ssat(r, bits, r)
    else:
        asm.usat(r, bits, r)
    least, most = LIMITS[dtype]
    for bound, edge, condition in ((spec.activation_min, least, LT), (spec.activation_max, most, GT)):
        if bound != edge:
            asm.constant(temp, bound)
            asm.cmp(r, temp)
            asm.it(condition)
            asm.mov(r, temp)


def from_place(asm, table):
    """What emit() calls to load constants from where a register points to, which stays."""
    words = []

    def load(registers):
        for r in registers:
            asm.ldr(r, table, 4 * len(words))
            words.append(r)

    return load
