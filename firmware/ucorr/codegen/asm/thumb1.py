"""Thumb-1: the assembler for ARMv6-M, Cortex-M0 and M0+. Every Cortex-M executes it.

Most instructions can name only r0 to r7; mov, cmp and add also r8 to r14. Nearly all set the flags.
"""

from .assembler import (
    ALWAYS,
    CALL,
    LR,
    PC,
    R1,
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
    from .assembler import low

_LOW = (R4, R5, R6, R7)


class Thumb1(Assembler):
    """Instructions of 16 bits, and a call."""

    def enter(self, frame):
        """Save the callee-saved registers and reserve stack space."""
        self.push(_LOW + (LR,))
        for kept, high in zip(_LOW, (R8, R9, R10, R11)):
            self.mov(kept, high)
        self.push(_LOW)
        self.addi(SP, SP, -frame)

    def leave(self, frame):
        """Undo enter() and return."""
        self.addi(SP, SP, frame)
        self.pop(_LOW)
        for kept, high in zip(_LOW, (R8, R9, R10, R11)):
            self.mov(high, kept)
        self.pop(_LOW + (PC,))

    # Branches

    def b(self, label, condition=ALWAYS):
        """Branch; ±256 bytes, ±2 kB without a condition. Back to a label that is further away in two
        instructions, the second of which may be a call: lr is lost."""
        if self._places[label] is not None:
            offset = self._places[label] - len(self.code) - 4
            if condition != ALWAYS and offset < -256:
                far = 1 if offset < -2046 else 0
                # 1101 cccc iiiiiiii
                self._short(0xD000 | (condition ^ 1) << 8 | far)  # over the next instruction
                offset -= 2
                condition = ALWAYS
            if offset < -2048:
                condition = CALL
        self._branches.append((len(self.code), label, condition))
        self._short(0)
        if condition == CALL:
            self._short(0)

    def bl(self, label):
        """Call a label; ±16 MB."""
        self._branches.append((len(self.code), label, CALL))
        self._short(0)
        self._short(0)

    def _branch(self, where, offset, condition):
        if condition == CALL:
            self._far(where, offset, 0xD000)
        elif condition == ALWAYS:
            self._within("branch", offset, -2048, 2046)
            # 11100 iiiiiiiiiii, halfwords
            self._put(where, 0xE000 | offset >> 1 & 0x7FF)
        else:
            self._within("branch", offset, -256, 254)
            # 1101 cccc iiiiiiii, halfwords
            self._put(where, 0xD000 | condition << 8 | offset >> 1 & 0xFF)

    # Constants

    def movs(self, d, value):
        """d = 0..255"""
        assert low(d)
        self._within("movs", value, 0, 255)
        # 001 00 ddd iiiiiiii
        self._short(0x2000 | d << 8 | value)

    def constant(self, d, value):
        """d = a 32-bit value, signed or not, byte by byte; d is a low register."""
        assert low(d)
        value &= 0xFFFFFFFF
        if value >= 0x80000000:
            self.constant(d, 0xFFFFFFFF - value)
            self.mvns(d, d)
            return
        zeros = 0
        while value > 255 and not value & 1:
            value >>= 1
            zeros += 1
        if value > 255:
            top = value >> 8
            self.constant(d, top)
            self.shift(d, d, 0, 8)
            if value & 255:
                self.addi(d, d, value & 255)
        else:
            self.movs(d, value)
        if zeros:
            self.shift(d, d, 0, zeros)

    # Arithmetic

    def add(self, d, n, m):
        """d = n + m; with a register above r7, d is n."""
        if d < 8 and n < 8 and m < 8:
            # 000110 0 mmm nnn ddd
            self._short(0x1800 | m << 6 | n << 3 | d)
        elif d == n:
            assert PC not in (d, m)
            # 010001 00 D mmmm ddd
            self._short(0x4400 | d >> 3 << 7 | m << 3 | d & 7)
        else:
            raise self._lacks("add")

    def sub(self, d, n, m):
        """d = n - m"""
        assert low(d, n, m)
        # 000110 1 mmm nnn ddd
        self._short(0x1A00 | m << 6 | n << 3 | d)

    def addi(self, d, n, value):
        """d = n + value, -255..255 where d is n, else -7..7; the stack pointer by whole words, -508..508."""
        if d == n == SP:
            self._within("addi", value, -508, 508, 4)
            # 1011 0000 S iiiiiii, words
            self._short(0xB000 | value >> 2 if value >= 0 else 0xB080 | -value >> 2)
        elif d == n:
            assert low(d)
            self._within("addi", value, -255, 255)
            # 001 1 S ddd iiiiiiii
            self._short((0x3000 if value >= 0 else 0x3800) | d << 8 | abs(value))
        else:
            assert low(d, n)
            self._within("addi", value, -7, 7)
            # 000111 S iii nnn ddd
            self._short((0x1C00 if value >= 0 else 0x1E00) | abs(value) << 6 | n << 3 | d)

    def plus(self, d, n, value):
        """d = n + any constant, in the fewest instructions; where d is n and these are many, r12 is lost."""
        if d == n and -510 <= value <= 510:
            while value:
                step = max(-255, min(255, value))
                self.addi(d, d, step)
                value -= step
        elif -7 <= value <= 7:
            self.addi(d, n, value)
        elif d == n:
            self.mov(R12, d)
            self.constant(d, value)
            self.add(d, d, R12)
        else:
            self.constant(d, value)
            self.add(d, d, n)

    def move(self, r, value):
        """r += any constant, without r12; where this takes many instructions, r1 is lost."""
        if -510 <= value <= 510:
            self.plus(r, r, value)
        else:
            self.constant(R1, value)
            self.add(r, r, R1)

    def adcs(self, d, m):
        """d += m + carry"""
        assert low(d, m)
        # 010000 0101 mmm ddd
        self._short(0x4140 | m << 3 | d)

    def sbcs(self, d, m):
        """d -= m + 1 - carry"""
        assert low(d, m)
        # 010000 0110 mmm ddd
        self._short(0x4180 | m << 3 | d)

    def ands(self, d, m):
        assert low(d, m)
        # 010000 0000 mmm ddd
        self._short(0x4000 | m << 3 | d)

    def mvns(self, d, m):
        """d = ~m"""
        assert low(d, m)
        # 010000 1111 mmm ddd
        self._short(0x43C0 | m << 3 | d)

    def muls(self, d, m):
        """d *= m"""
        assert low(d, m)
        # 010000 1101 mmm ddd
        self._short(0x4340 | m << 3 | d)

    def mla(self, d, n, m, a):
        """d = a + n * m, where d is n"""
        if d != n:
            raise self._lacks("mla")
        self.muls(d, m)
        self.add(d, d, a)

    def cmpi(self, n, value):
        """Compare with 0..255."""
        assert low(n)
        self._within("cmpi", value, 0, 255)
        # 001 01 nnn iiiiiiii
        self._short(0x2800 | n << 8 | value)

    def shift(self, d, m, kind, amount):
        """d = m shifted by a constant amount, 1..31; the carry is the last bit that fell off."""
        assert low(d, m)
        self._within("shift", amount, 1, 31)
        # 000 kk iiiii mmm ddd
        self._short(kind << 11 | amount << 6 | m << 3 | d)

    def lsls(self, d, m):
        """d <<= m"""
        assert low(d, m)
        # 010000 0010 mmm ddd
        self._short(0x4080 | m << 3 | d)

    def asrs(self, d, m):
        """d >>= m, signed"""
        assert low(d, m)
        # 010000 0100 mmm ddd
        self._short(0x4100 | m << 3 | d)

    def sxtb(self, d, m):
        assert low(d, m)
        # 1011 0010 01 mmm ddd
        self._short(0xB240 | m << 3 | d)

    def sxth(self, d, m):
        assert low(d, m)
        # 1011 0010 00 mmm ddd
        self._short(0xB200 | m << 3 | d)

    def uxth(self, d, m):
        assert low(d, m)
        # 1011 0010 10 mmm ddd
        self._short(0xB280 | m << 3 | d)

    # Loads and stores

    def ldr(self, t, n, offset=0):
        """At n + 0..124, or the stack pointer + 0..1020."""
        assert low(t) and (low(n) or n == SP)
        if not self._word(False, t, n, offset):
            self._within("ldr", offset, 0, 1020 if n == SP else 124, 4)

    def str(self, t, n, offset=0):
        assert low(t) and (low(n) or n == SP)
        if not self._word(True, t, n, offset):
            self._within("str", offset, 0, 1020 if n == SP else 124, 4)

    def ldrb(self, t, n, offset=0):
        assert low(t, n)
        self._within("ldrb", offset, 0, 31)
        # 011 11 iiiii nnn ttt
        self._short(0x7800 | offset << 6 | n << 3 | t)

    def strb(self, t, n, offset=0):
        assert low(t, n)
        self._within("strb", offset, 0, 31)
        # 011 10 iiiii nnn ttt
        self._short(0x7000 | offset << 6 | n << 3 | t)

    def ldrh(self, t, n, offset=0):
        assert low(t, n)
        self._within("ldrh", offset, 0, 62, 2)
        # 1000 1 iiiii nnn ttt, halfwords
        self._short(0x8800 | offset << 5 | n << 3 | t)

    def strh(self, t, n, offset=0):
        assert low(t, n)
        self._within("strh", offset, 0, 62, 2)
        # 1000 0 iiiii nnn ttt, halfwords
        self._short(0x8000 | offset << 5 | n << 3 | t)

    def ldrsb_at(self, t, n, m):
        """t = the signed byte at n + m"""
        assert low(t, n, m)
        # 0101 011 mmm nnn ttt
        self._short(0x5600 | m << 6 | n << 3 | t)

    def ldrsh_at(self, t, n, m):
        """t = the signed halfword at n + m"""
        assert low(t, n, m)
        # 0101 111 mmm nnn ttt
        self._short(0x5E00 | m << 6 | n << 3 | t)

    def ldrb_at(self, t, n, m):
        assert low(t, n, m)
        # 0101 110 mmm nnn ttt
        self._short(0x5C00 | m << 6 | n << 3 | t)

    def ldr_at(self, t, n, m):
        """t = the word at n + m"""
        assert low(t, n, m)
        # 0101 100 mmm nnn ttt
        self._short(0x5800 | m << 6 | n << 3 | t)

    def str_at(self, t, n, m):
        """Store at n + m."""
        assert low(t, n, m)
        # 0101 000 mmm nnn ttt
        self._short(0x5000 | m << 6 | n << 3 | t)

    def strh_at(self, t, n, m):
        assert low(t, n, m)
        # 0101 001 mmm nnn ttt
        self._short(0x5200 | m << 6 | n << 3 | t)

    def strb_at(self, t, n, m):
        assert low(t, n, m)
        # 0101 010 mmm nnn ttt
        self._short(0x5400 | m << 6 | n << 3 | t)

    def str_then(self, t, n, step):
        """Store at n, which then moves on by 4."""
        self._within("str", step, 4, 4)
        self.stm(n, (t,))

    def ldm(self, n, registers):
        """Load registers, in rising order, from n, which then points past them."""
        assert low(n, *registers) and n not in registers and registers
        # 1100 1 nnn, a bit for each register
        self._short(0xC800 | n << 8 | bits_of(registers))

    def stm(self, n, registers):
        """Store registers, in rising order, at n, which then points past them."""
        assert low(n, *registers) and n not in registers and registers
        # 1100 0 nnn, a bit for each register
        self._short(0xC000 | n << 8 | bits_of(registers))

    def push(self, registers):
        """r0 to r7 and lr."""
        assert registers and all([low(r) or r == LR for r in registers])
        bits = bits_of(registers)
        # 1011 010 L, a bit for each register, L: lr
        self._short(0xB400 | bits & 255 | bits >> LR << 8)

    def pop(self, registers):
        """r0 to r7 and pc."""
        assert registers and all([low(r) or r == PC for r in registers])
        bits = bits_of(registers)
        # 1011 110 P, a bit for each register, P: pc
        self._short(0xBC00 | bits & 255 | bits >> PC << 8)
