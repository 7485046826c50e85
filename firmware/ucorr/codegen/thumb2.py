"""Thumb-2: the assembler for Cortex-M4, M7 and M33, and what a Cortex-M3 has of it."""

from .thumb_asm import ALWAYS, ARMV7EM, ARMV7M, LR, LSL, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP, Assembler, bits_of

_KEPT = (R4, R5, R6, R7, R8, R9, R10, R11, LR)


class Thumb2(Assembler):
    """Instructions of 16 and 32 bits; level ARMV7M or ARMV7EM."""

    least = ARMV7M

    def _long(self, first, second):
        self._short(first)
        self._short(second)

    def _dsp(self, first, second, name):
        if self.level < ARMV7EM:
            raise self._lacks(name)
        self._long(first, second)

    def enter(self, frame):
        """Keep the registers that a caller expects back, and make room on the stack."""
        self.push(_KEPT)
        self.addi(SP, SP, -frame)

    def leave(self, frame):
        """Undo enter() and return."""
        self.addi(SP, SP, frame)
        self.pop(_KEPT)
        self.bx_lr()

    # Branches

    def b(self, label, condition=ALWAYS):
        """Branch; ±1 MB (±16 MB without a condition)."""
        self._branches.append((len(self.code), label, condition))
        self._long(0, 0)

    def _branch(self, where, name, offset, condition):
        if condition == ALWAYS:
            self._far(where, name, offset, 0x9000)
            return
        self._within("branch to " + name, offset, -(1 << 20), (1 << 20) - 2)
        self._put(where, 0xF000 | (0x400 if offset < 0 else 0) | condition << 6 | offset >> 12 & 0x3F)
        second = 0x8000 | (offset >> 18 & 1) << 13 | (offset >> 19 & 1) << 11
        self._put(where + 2, second | offset >> 1 & 0x7FF)

    def it(self, condition):
        """The next instruction is executed on a condition."""
        self._short(0xBF08 | condition << 4)

    # Moves and constants

    def constant(self, d, value):
        """d = a 32-bit value, signed or not, in as few long instructions as it takes; flags stay."""
        value &= 0xFFFFFFFF
        if value >= 0xFFFFFF00:
            self._long(0xF06F, d << 8 | 0xFFFFFFFF - value)
            return
        low, high = value & 0xFFFF, value >> 16
        self._long(0xF240 | low >> 1 & 0x400 | low >> 12, low << 4 & 0x7000 | d << 8 | low & 255)
        if high:
            self._long(0xF2C0 | high >> 1 & 0x400 | high >> 12, high << 4 & 0x7000 | d << 8 | high & 255)

    # Arithmetic

    def add(self, d, n, m, kind=LSL, amount=0):
        """d = n + (m shifted by a constant amount)."""
        if amount == 0 and d == n and SP not in (d, m):
            self._short(0x4400 | d >> 3 << 7 | m << 3 | d & 7)
        else:
            self._long(0xEB00 | n, _shifted(d, m, kind, amount))

    def sub(self, d, n, m, kind=LSL, amount=0):
        """d = n - (m shifted by a constant amount)."""
        self._long(0xEBA0 | n, _shifted(d, m, kind, amount))

    def and_(self, d, n, m, kind=LSL, amount=0):
        """d = n & (m shifted by a constant amount)."""
        self._long(0xEA00 | n, _shifted(d, m, kind, amount))

    def orr(self, d, n, m, kind=LSL, amount=0):
        """d = n | (m shifted by a constant amount)."""
        self._long(0xEA40 | n, _shifted(d, m, kind, amount))

    def eor(self, d, n, m):
        self._long(0xEA80 | n, _shifted(d, m, LSL, 0))

    def adds(self, d, n, m):
        """d = n + m, and the carry."""
        self._long(0xEB10 | n, _shifted(d, m, LSL, 0))

    def adc(self, d, n, m):
        """d = n + m + carry"""
        self._long(0xEB40 | n, _shifted(d, m, LSL, 0))

    def addi(self, d, n, value):
        """d = n + value, -4095..4095; flags stay."""
        self._within("addi", value, -4095, 4095)
        if d == n == SP and value % 4 == 0 and -508 <= value <= 508:
            self._short(0xB000 | value >> 2 if value >= 0 else 0xB080 | -value >> 2)
            return
        first = 0xF200 if value >= 0 else 0xF2A0
        value = abs(value)
        self._long(first | value >> 1 & 0x400 | n, value << 4 & 0x7000 | d << 8 | value & 255)

    def plus(self, d, n, value):
        """d = n + any constant, in as few instructions as it takes; r12 is lost where that is more than one."""
        if -4095 <= value <= 4095:
            if value or d != n:
                self.addi(d, n, value)
        else:
            self.constant(R12, value)
            self.add(d, n, R12)

    def mla(self, d, n, m, a):
        """d = a + n * m"""
        self._long(0xFB00 | n, a << 12 | d << 8 | m)

    def umull(self, low, high, n, m):
        """high:low = n * m, unsigned"""
        self._long(0xFBA0 | n, low << 12 | high << 8 | m)

    def smull(self, low, high, n, m):
        """high:low = n * m, signed"""
        self._long(0xFB80 | n, low << 12 | high << 8 | m)

    def cmpi(self, n, value):
        """Compare with -255..255."""
        self._within("cmpi", value, -255, 255)
        if n < 8 and value >= 0:
            self._short(0x2800 | n << 8 | value)
        else:
            self._long((0xF1B0 if value >= 0 else 0xF110) | n, 0x0F00 | abs(value))

    def shift(self, d, m, kind, amount):
        """d = m shifted by a constant amount, 1..31."""
        self._within("shift", amount, 1, 31)
        self._long(0xEA4F, _shifted(d, m, kind, amount))

    def lsl(self, d, n, m):
        self._long(0xFA00 | n, 0xF000 | d << 8 | m)

    def asr(self, d, n, m):
        self._long(0xFA40 | n, 0xF000 | d << 8 | m)

    def ssat(self, d, bits, n):
        """d = n within -2**(bits-1) .. 2**(bits-1) - 1"""
        self._long(0xF300 | n, d << 8 | bits - 1)

    def usat(self, d, bits, n):
        """d = n within 0 .. 2**bits - 1"""
        self._long(0xF380 | n, d << 8 | bits)

    # The DSP extension

    def smlad(self, d, n, m, a):
        """d = a + n.low * m.low + n.high * m.high"""
        self._dsp(0xFB20 | n, a << 12 | d << 8 | m, "smlad")

    def smlald(self, low, high, n, m):
        """high:low += n.low * m.low + n.high * m.high"""
        self._dsp(0xFBC0 | n, low << 12 | high << 8 | 0xC0 | m, "smlald")

    def smlabb(self, d, n, m, a):
        self._dsp(0xFB10 | n, a << 12 | d << 8 | m, "smlabb")

    def smlabt(self, d, n, m, a):
        """d = a + n.low * m.high"""
        self._dsp(0xFB10 | n, a << 12 | d << 8 | 0x10 | m, "smlabt")

    def smlatb(self, d, n, m, a):
        """d = a + n.high * m.low"""
        self._dsp(0xFB10 | n, a << 12 | d << 8 | 0x20 | m, "smlatb")

    def smlatt(self, d, n, m, a):
        self._dsp(0xFB10 | n, a << 12 | d << 8 | 0x30 | m, "smlatt")

    def smmul(self, d, n, m):
        """d = (n * m) >> 32"""
        self._dsp(0xFB50 | n, 0xF000 | d << 8 | m, "smmul")

    def smmulr(self, d, n, m):
        """d = (n * m + 2**31) >> 32"""
        self._dsp(0xFB50 | n, 0xF010 | d << 8 | m, "smmulr")

    def sxtb16(self, d, m, turn=0):
        """d = bytes 0 and 2 of m as halfwords, with turn 8 bytes 1 and 3."""
        self._dsp(0xFA2F, 0xF080 | d << 8 | turn << 1 & 0x30 | m, "sxtb16")

    def uxtb16(self, d, m, turn=0):
        self._dsp(0xFA3F, 0xF080 | d << 8 | turn << 1 & 0x30 | m, "uxtb16")

    def pkhbt(self, d, n, m, left=0):
        """d = n.low | (m << left).high"""
        self._dsp(0xEAC0 | n, left << 10 & 0x7000 | d << 8 | left << 6 & 0xC0 | m, "pkhbt")

    def pkhtb(self, d, n, m, right):
        """d = n.high | (m >> right).low; right 1..31"""
        self._dsp(0xEAC0 | n, right << 10 & 0x7000 | d << 8 | right << 6 & 0xC0 | 0x20 | m, "pkhtb")

    # Loads and stores: [n + offset], offset 0..4095

    def _at(self, first, t, n, offset, name):
        self._within(name, offset, 0, 4095)
        self._long(first | n, t << 12 | offset)

    def ldr(self, t, n, offset=0):
        if not self._word(False, t, n, offset):
            self._at(0xF8D0, t, n, offset, "ldr")

    def str(self, t, n, offset=0):
        if not self._word(True, t, n, offset):
            self._at(0xF8C0, t, n, offset, "str")

    def ldrb(self, t, n, offset=0):
        self._at(0xF890, t, n, offset, "ldrb")

    def ldrsb(self, t, n, offset=0):
        self._at(0xF990, t, n, offset, "ldrsb")

    def strb(self, t, n, offset=0):
        self._at(0xF880, t, n, offset, "strb")

    def strh(self, t, n, offset=0):
        self._at(0xF8A0, t, n, offset, "strh")

    def ldr_at(self, t, n, m):
        """t = the word at n + 4 * m"""
        self._long(0xF850 | n, t << 12 | 0x20 | m)

    # Loads and stores at n, which then moves on by step, -255..255

    def _then(self, first, t, n, step, name):
        self._within(name, step, -255, 255)
        self._long(first | n, t << 12 | (0xB00 if step >= 0 else 0x900) | abs(step))

    def ldr_then(self, t, n, step):
        self._then(0xF850, t, n, step, "ldr")

    def str_then(self, t, n, step):
        self._then(0xF840, t, n, step, "str")

    def ldrb_then(self, t, n, step):
        self._then(0xF810, t, n, step, "ldrb")

    def ldrsb_then(self, t, n, step):
        self._then(0xF910, t, n, step, "ldrsb")

    def ldrh_then(self, t, n, step):
        self._then(0xF830, t, n, step, "ldrh")

    def strh_then(self, t, n, step):
        self._then(0xF820, t, n, step, "strh")

    # Pairs and lists: the address is a multiple of 4, also where single words need not be

    def ldrd(self, t, u, n, offset=0):
        self._within("ldrd", offset, 0, 1020, 4)
        self._long(0xE9D0 | n, t << 12 | u << 8 | offset >> 2)

    def strd(self, t, u, n, offset=0):
        self._within("strd", offset, 0, 1020, 4)
        self._long(0xE9C0 | n, t << 12 | u << 8 | offset >> 2)

    def ldrd_then(self, t, u, n, step):
        self._within("ldrd", step, 0, 1020, 4)
        self._long(0xE8F0 | n, t << 12 | u << 8 | step >> 2)

    def ldm(self, n, registers, move=True):
        """Load registers, in rising order, from n, which then stands behind them (unless move is False).
        A single register is an LDR: LDM has no such encoding."""
        if len(registers) == 1:
            if move:
                self.ldr_then(registers[0], n, 4)
            else:
                self.ldr(registers[0], n)
            return
        self._long(0xE890 | (0x20 if move else 0) | n, bits_of(registers))

    def stm(self, n, registers):
        """Store registers, in rising order, at n, which then stands behind them."""
        self._long(0xE8A0 | n, bits_of(registers))

    def push(self, registers):
        self._long(0xE92D, bits_of(registers))

    def pop(self, registers):
        self._long(0xE8BD, bits_of(registers))


def _shifted(d, m, kind, amount):
    return amount << 10 & 0x7000 | d << 8 | amount << 6 & 0xC0 | kind << 4 | m
