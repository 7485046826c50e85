"""Thumb-2: the assembler for Cortex-M4, M7 and M33, and what a Cortex-M3 has of it."""

from .assembler import (
    ALWAYS,
    LR,
    LSL,
    PC,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    R11,
    R12,
    SP,
    Assembler,
    bits_of,
)

if __debug__:
    from .assembler import plain

_KEPT = (R4, R5, R6, R7, R8, R9, R10, R11, LR)


class Thumb2(Assembler):
    """Instructions of 16 and 32 bits, of a core that has them."""

    if __debug__:

        def __init__(self, core):
            assert core.isa != "armv6m"
            Assembler.__init__(self, core)

    def _long(self, first, second):
        self._short(first)
        self._short(second)

    def _dsp(self, first, second, name):
        if not self.core.dsp:
            raise self._lacks(name)
        self._long(first, second)

    def enter(self, frame):
        """Save the callee-saved registers and reserve stack space."""
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

    def _branch(self, where, offset, condition):
        if condition == ALWAYS:
            self._far(where, offset, 0x9000)
            return
        self._within("branch", offset, -(1 << 20), (1 << 20) - 2)
        # 11110 S cccc iiiiii, 10 J 0 K iiiiiiiiiii: J = i18, K = i19
        self._put(where, 0xF000 | (0x400 if offset < 0 else 0) | condition << 6 | offset >> 12 & 0x3F)
        second = 0x8000 | (offset >> 18 & 1) << 13 | (offset >> 19 & 1) << 11
        self._put(where + 2, second | offset >> 1 & 0x7FF)

    def it(self, condition):
        """The next instruction is executed on a condition."""
        assert condition < ALWAYS
        # 1011 1111 cccc 1000
        self._short(0xBF08 | condition << 4)

    # Moves and constants

    def constant(self, d, value):
        """d = a 32-bit value, signed or not, in as few long instructions as it takes; flags stay."""
        assert plain(d)
        value &= 0xFFFFFFFF
        if value >= 0xFFFFFF00:
            # 11110 0 00011 0 1111, 0000 dddd iiiiiiii: mvn
            self._long(0xF06F, d << 8 | 0xFFFFFFFF - value)
            return
        low, high = value & 0xFFFF, value >> 16
        # 11110 i 100100 jjjj, 0 iii dddd iiiiiiii: movw
        self._long(0xF240 | low >> 1 & 0x400 | low >> 12, low << 4 & 0x7000 | d << 8 | low & 255)
        if high:
            # 11110 i 101100 jjjj, 0 iii dddd iiiiiiii: movt
            self._long(0xF2C0 | high >> 1 & 0x400 | high >> 12, high << 4 & 0x7000 | d << 8 | high & 255)

    # Arithmetic

    def add(self, d, n, m, kind=LSL, amount=0):
        """d = n + (m shifted by a constant amount)."""
        assert plain(d, m) and n != PC
        if amount == 0 and d == n and SP not in (d, m):
            # 010001 00 D mmmm ddd
            self._short(0x4400 | d >> 3 << 7 | m << 3 | d & 7)
        else:
            # 11101 01 1000 0 nnnn, 0 iii dddd ii kk mmmm; so are all with a shifted operand
            self._long(0xEB00 | n, _shifted(d, m, kind, amount))

    def sub(self, d, n, m, kind=LSL, amount=0):
        """d = n - (m shifted by a constant amount)."""
        assert plain(d, m) and n != PC
        # 11101 01 1101 0 nnnn
        self._long(0xEBA0 | n, _shifted(d, m, kind, amount))

    def and_(self, d, n, m, kind=LSL, amount=0):
        """d = n & (m shifted by a constant amount)."""
        assert plain(d, n, m)
        # 11101 01 0000 0 nnnn
        self._long(0xEA00 | n, _shifted(d, m, kind, amount))

    def orr(self, d, n, m, kind=LSL, amount=0):
        """d = n | (m shifted by a constant amount)."""
        assert plain(d, n, m)
        # 11101 01 0010 0 nnnn
        self._long(0xEA40 | n, _shifted(d, m, kind, amount))

    def eor(self, d, n, m):
        assert plain(d, n, m)
        # 11101 01 0100 0 nnnn
        self._long(0xEA80 | n, _shifted(d, m, LSL, 0))

    def adds(self, d, n, m):
        """d = n + m, and the carry."""
        assert plain(d, n, m)
        # 11101 01 1000 1 nnnn
        self._long(0xEB10 | n, _shifted(d, m, LSL, 0))

    def adc(self, d, n, m):
        """d = n + m + carry"""
        assert plain(d, n, m)
        # 11101 01 1010 0 nnnn
        self._long(0xEB40 | n, _shifted(d, m, LSL, 0))

    def addi(self, d, n, value):
        """d = n + value, -4095..4095; flags stay."""
        assert PC not in (d, n) and (d != SP or n == SP)
        self._within("addi", value, -4095, 4095)
        if d == n == SP and value % 4 == 0 and -508 <= value <= 508:
            # 1011 0000 S iiiiiii, words
            self._short(0xB000 | value >> 2 if value >= 0 else 0xB080 | -value >> 2)
            return
        first = 0xF200 if value >= 0 else 0xF2A0
        value = abs(value)
        # 11110 i 10 S0S0 nnnn, 0 iii dddd iiiiiiii: addw, subw
        self._long(first | value >> 1 & 0x400 | n, value << 4 & 0x7000 | d << 8 | value & 255)

    def plus(self, d, n, value, spare=R12):
        """d = n + any constant, in as few instructions as it takes; spare, never n, is lost where that is more than
        one."""
        if -4095 <= value <= 4095:
            if value or d != n:
                self.addi(d, n, value)
        else:
            self.constant(spare, value)
            self.add(d, n, spare)

    def near(self, n, offset, spare):
        """(register, offset) with which a load or store addresses n + offset, offset >= 0; spare is lost where offset
        is too large."""
        if offset <= 4095:
            return n, offset
        self.plus(spare, n, offset, spare)
        return spare, 0

    def mla(self, d, n, m, a):
        """d = a + n * m"""
        assert plain(d, n, m, a)
        # 11111 0110 000 nnnn, aaaa dddd 0000 mmmm
        self._long(0xFB00 | n, a << 12 | d << 8 | m)

    def umull(self, low, high, n, m):
        """high:low = n * m, unsigned"""
        assert plain(low, high, n, m) and low != high
        # 11111 0111 010 nnnn, llll hhhh 0000 mmmm
        self._long(0xFBA0 | n, low << 12 | high << 8 | m)

    def smull(self, low, high, n, m):
        """high:low = n * m, signed"""
        assert plain(low, high, n, m) and low != high
        # 11111 0111 000 nnnn, llll hhhh 0000 mmmm
        self._long(0xFB80 | n, low << 12 | high << 8 | m)

    def cmpi(self, n, value):
        """Compare with -255..255."""
        assert plain(n)
        self._within("cmpi", value, -255, 255)
        if n < 8 and value >= 0:
            # 001 01 nnn iiiiiiii
            self._short(0x2800 | n << 8 | value)
        else:
            # 11110 0 011011 nnnn (cmp) or 11110 0 010001 nnnn (cmn), 0000 1111 iiiiiiii
            self._long((0xF1B0 if value >= 0 else 0xF110) | n, 0x0F00 | abs(value))

    def shift(self, d, m, kind, amount):
        """d = m shifted by a constant amount, 1..31."""
        assert plain(d, m)
        self._within("shift", amount, 1, 31)
        # 11101 01 0010 0 1111, 0 iii dddd ii kk mmmm
        self._long(0xEA4F, _shifted(d, m, kind, amount))

    def lsl(self, d, n, m):
        assert plain(d, n, m)
        # 11111 010 0000 nnnn, 1111 dddd 0000 mmmm
        self._long(0xFA00 | n, 0xF000 | d << 8 | m)

    def asr(self, d, n, m):
        assert plain(d, n, m)
        # 11111 010 0100 nnnn, 1111 dddd 0000 mmmm
        self._long(0xFA40 | n, 0xF000 | d << 8 | m)

    def ssat(self, d, bits, n):
        """d = n within -2**(bits-1) .. 2**(bits-1) - 1"""
        assert plain(d, n) and 1 <= bits <= 32
        # 11110 0 110000 nnnn, 0000 dddd 000 bbbbb, bits - 1
        self._long(0xF300 | n, d << 8 | bits - 1)

    def usat(self, d, bits, n):
        """d = n within 0 .. 2**bits - 1"""
        assert plain(d, n) and 0 <= bits <= 31
        # 11110 0 111000 nnnn, 0000 dddd 000 bbbbb
        self._long(0xF380 | n, d << 8 | bits)

    # The DSP extension

    def smlad(self, d, n, m, a):
        """d = a + n.low * m.low + n.high * m.high"""
        assert plain(d, n, m, a)
        # 11111 0110 010 nnnn, aaaa dddd 0000 mmmm
        self._dsp(0xFB20 | n, a << 12 | d << 8 | m, "smlad")

    def smlald(self, low, high, n, m):
        """high:low += n.low * m.low + n.high * m.high"""
        assert plain(low, high, n, m) and low != high
        # 11111 0111 100 nnnn, llll hhhh 1100 mmmm
        self._dsp(0xFBC0 | n, low << 12 | high << 8 | 0xC0 | m, "smlald")

    def smlaxy(self, d, n, m, a, x, y):
        """d = a + a half of n * a half of m, the high one where x, or y, is 1: SMLABB, SMLABT, SMLATB and SMLATT."""
        assert plain(d, n, m, a) and x in (0, 1) and y in (0, 1)
        # 11111 0110 001 nnnn, aaaa dddd 00xy mmmm
        self._dsp(0xFB10 | n, a << 12 | d << 8 | x << 5 | y << 4 | m, "smlaxy")

    def smmul(self, d, n, m, rounded):
        """d = (n * m) >> 32; rounded, SMMULR, (n * m + 2**31) >> 32."""
        assert plain(d, n, m) and rounded in (0, 1)
        # 11111 0110 101 nnnn, 1111 dddd 000R mmmm: R rounds
        self._dsp(0xFB50 | n, 0xF000 | d << 8 | rounded << 4 | m, "smmul")

    def xtb16(self, d, m, unsigned, turn=0):
        """d = bytes 0 and 2 of m as halfwords, with turn 8 bytes 1 and 3: SXTB16, or UXTB16."""
        assert plain(d, m) and unsigned in (0, 1) and turn in (0, 8, 16, 24)
        # 11111 010 001U 1111, 1111 dddd 10rr mmmm
        self._dsp(0xFA2F | unsigned << 4, 0xF080 | d << 8 | turn << 1 & 0x30 | m, "xtb16")

    def pkhbt(self, d, n, m, left=0):
        """d = n.low | (m << left).high"""
        assert plain(d, n, m) and 0 <= left <= 31
        # 11101 01 0110 0 nnnn, 0 iii dddd ii 0 0 mmmm
        self._dsp(0xEAC0 | n, left << 10 & 0x7000 | d << 8 | left << 6 & 0xC0 | m, "pkhbt")

    def pkhtb(self, d, n, m, right):
        """d = n.high | (m >> right).low; right 1..31"""
        assert plain(d, n, m) and 1 <= right <= 31
        # 11101 01 0110 0 nnnn, 0 iii dddd ii 1 0 mmmm
        self._dsp(0xEAC0 | n, right << 10 & 0x7000 | d << 8 | right << 6 & 0xC0 | 0x20 | m, "pkhtb")

    # Loads and stores: [n + offset], offset 0..4095

    def _at(self, first, t, n, offset, name):
        assert plain(t) and n != PC
        self._within(name, offset, 0, 4095)
        # 11111 00 S 1 ss L nnnn, tttt iiiiiiiiiiii: S sign, ss size, L load
        self._long(first | n, t << 12 | offset)

    def ldr(self, t, n, offset=0):
        assert plain(t) and n != PC
        if not self._word(False, t, n, offset):
            self._at(0xF8D0, t, n, offset, "ldr")

    def str(self, t, n, offset=0):
        assert plain(t) and n != PC
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
        assert plain(t, m) and n != PC
        # 11111 00 0 0101 nnnn, tttt 000000 10 mmmm
        self._long(0xF850 | n, t << 12 | 0x20 | m)

    # Loads and stores at n, which then moves on by step, -255..255

    def _then(self, first, t, n, step, name):
        assert plain(t) and n not in (t, PC)
        self._within(name, step, -255, 255)
        # 11111 00 S 0 ss L nnnn, tttt 10 U 1 iiiiiiii: U forwards
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

    def _pair(self, first, t, u, n, offset, name):
        assert plain(t, u) and n != PC and t != u
        self._within(name, offset, 0, 1020, 4)
        # 11101 00 P U 1 W L nnnn, tttt uuuu iiiiiiii, words: P pre-indexed, U upwards, W moves n, L load
        self._long(first | n, t << 12 | u << 8 | offset >> 2)

    def ldrd(self, t, u, n, offset=0):
        self._pair(0xE9D0, t, u, n, offset, "ldrd")

    def strd(self, t, u, n, offset=0):
        self._pair(0xE9C0, t, u, n, offset, "strd")

    def ldrd_then(self, t, u, n, step):
        assert n not in (t, u)
        self._pair(0xE8F0, t, u, n, step, "ldrd")

    def ldm(self, n, registers, move=True):
        """Load registers, in rising order, from n, which then points past them (unless move is False).
        A single register is an LDR: LDM has no such encoding."""
        if len(registers) == 1:
            if move:
                self.ldr_then(registers[0], n, 4)
            else:
                self.ldr(registers[0], n)
            return
        assert registers and plain(*registers) and n not in registers and n != PC
        # 11101 00 01 0 W 1 nnnn, a bit for each register: W moves n
        self._long(0xE890 | (0x20 if move else 0) | n, bits_of(registers))

    def stm(self, n, registers):
        """Store registers, in rising order, at n, which then points past them."""
        assert len(registers) > 1 and plain(*registers) and n not in registers and n != PC
        # 11101 00 01 0 1 0 nnnn, a bit for each register
        self._long(0xE8A0 | n, bits_of(registers))

    def push(self, registers):
        assert len(registers) > 1 and plain(*registers)
        # 11101 00 10 0 1 0 1101, a bit for each register
        self._long(0xE92D, bits_of(registers))

    def pop(self, registers):
        assert len(registers) > 1 and plain(*registers)
        # 11101 00 01 0 1 1 1101, a bit for each register
        self._long(0xE8BD, bits_of(registers))


def _shifted(d, m, kind, amount):
    assert (0 if kind == LSL else 1) <= amount <= 31
    return amount << 10 & 0x7000 | d << 8 | amount << 6 & 0xC0 | kind << 4 | m
