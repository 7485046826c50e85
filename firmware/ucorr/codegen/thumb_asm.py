"""Assemblers for Thumb code, one method per instruction that the kernels use.

    asm = Thumb2(ARMV7EM)
    asm.label("loop")
    asm.smlad(R0, R8, R9, R0)
    asm.subs(R1, 1)
    asm.b("loop", NE)
    code = asm.finish()

Registers are ints 0..15. Where an instruction has a short and a long encoding, the
shorter one that fits is taken. A method checks what a generator can get wrong: that
an offset fits, and that the core has the instruction; registers are the
generator's own. Encodings are those of the ARMv7-M and ARMv6-M Architecture
Reference Manuals, named there by the method's name.

This file has what the two instruction sets share; thumb1.py has ARMv6-M's, thumb2.py the longer
instructions of ARMv7-M. A few methods are several instructions, on one level or on both, so
that code which runs once a row is written once: constant, plus, mla, str_then, enter, leave; turn, count and advance.
Flags are only known behind subs, cmp and cmpi.
"""

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP, LR, PC = range(16)
EQ, NE, CS, CC, MI, PL, VS, VC, HI, LS, GE, LT, GT, LE, ALWAYS, CALL = range(16)
LSL, LSR, ASR = range(3)  # of a shifted operand

ARMV6M = 6  # Cortex-M0, M0+: 16-bit instructions only; what Cortex-M3 gets as well
ARMV7M = 7  # Cortex-M3: 32-bit instructions
ARMV7EM = 8  # Cortex-M4, M7, M33: 32-bit instructions and the DSP extension
LEVELS = {ARMV6M: "armv6m", ARMV7M: "armv7m", ARMV7EM: "armv7em"}


class AssemblerError(ValueError):
    """What can't be encoded: an operand out of range, an instruction that the core lacks, an unknown label."""


class Assembler:
    """Instructions of one core, one after the other, in `.code`, a bytearray; level is a key of LEVELS, from
    `.least` on."""

    least = ARMV6M

    def __init__(self, level):
        if level not in LEVELS or level < self.least:
            raise AssemblerError("level: %r, wanted one of %s" % (level, " ".join(map(str, range(self.least, 9)))))
        self.level = level
        self.code = bytearray()
        self._labels = {}
        self._branches = []  # (where, label, condition)

    def __getattr__(self, name):
        if name[0] == "_":
            raise AttributeError(name)
        raise self._lacks(name)

    def _lacks(self, name):
        return AssemblerError("%s: %s has no such instruction" % (name, LEVELS[self.level]))

    # How instructions come to be

    def _short(self, half):
        self.code.append(half & 255)
        self.code.append(half >> 8)

    @staticmethod
    def _within(name, value, least, most, step=1):
        if value < least or value > most or value % step:
            raise AssemblerError("%s: %d, wanted a multiple of %d within %d..%d" % (name, value, step, least, most))

    def label(self, name):
        """The next instruction's place gets a name."""
        if name in self._labels:
            raise AssemblerError("label: %r stands already" % name)
        self._labels[name] = len(self.code)

    def finish(self):
        """Fill in the branches; the code, in whole words."""
        for where, name, condition in self._branches:
            if name not in self._labels:
                raise AssemblerError("label: %r, wanted one that stands somewhere" % name)
            self._branch(where, name, self._labels[name] - where - 4, condition)
        self._branches = []
        if len(self.code) & 2:
            self.nop()
        return self.code

    def _put(self, where, half):
        self.code[where] = half & 255
        self.code[where + 1] = half >> 8

    def _far(self, where, name, offset, second):
        """Branch without a condition (second 0x9000) or call (0xD000), 32 bits."""
        self._within("branch to " + name, offset, -(1 << 24), (1 << 24) - 2)
        sign = 1 if offset < 0 else 0
        self._put(where, 0xF000 | sign << 10 | offset >> 12 & 0x3FF)
        second |= (offset >> 23 & 1 ^ sign ^ 1) << 13 | (offset >> 22 & 1 ^ sign ^ 1) << 11
        self._put(where + 2, second | offset >> 1 & 0x7FF)

    # What both have

    def bx_lr(self):
        self._short(0x4770)

    def nop(self):
        self._short(0x46C0)  # mov r8, r8, on every level

    def mov(self, d, m):
        self._short(0x4600 | d >> 3 << 7 | m << 3 | d & 7)

    def subs(self, d, value):
        """d -= value, 0..255, and the flags; d is a low register."""
        self._within("subs", value, 0, 255)
        self._short(0x3800 | d << 8 | value)

    def cmp(self, n, m):
        if n < 8 and m < 8:
            self._short(0x4280 | m << 3 | n)
        else:
            self._short(0x4500 | n >> 3 << 7 | m << 3 | n & 7)

    # Loops, and what moves on

    def turn(self, r, label):
        """r -= 1, and back to a label unless it is 0."""
        if r < 8:
            self.subs(r, 1)
        else:
            self.addi(r, r, -1)
            self.cmpi(r, 0)
        self.b(label, NE)

    def count(self, slot, label):
        """The same with a word on the stack; r0 is lost."""
        self.ldr(R0, SP, slot)
        self.subs(R0, 1)
        self.str(R0, SP, slot)
        self.b(label, NE)

    def advance(self, slot, step):
        """A word on the stack, and r1, moves on by any constant."""
        self.ldr(R1, SP, slot)
        self.plus(R1, R1, step)
        self.str(R1, SP, slot)

    def _word(self, store, t, n, offset):
        """Load or store a word at a place that 16 bits can tell; False if they can't."""
        if t < 8 and offset >= 0 and offset % 4 == 0:
            if n == SP and offset < 1024:
                self._short((0x9000 if store else 0x9800) | t << 8 | offset >> 2)
                return True
            if n < 8 and offset < 128:
                self._short((0x6000 if store else 0x6800) | offset << 4 | n << 3 | t)
                return True
        return False


def bits_of(registers):
    """A list of registers as an instruction has it."""
    bits = 0
    for r in registers:
        bits |= 1 << r
    return bits
