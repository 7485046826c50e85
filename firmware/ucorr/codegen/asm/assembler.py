"""Assemblers for Thumb code, one method per instruction that the kernels use.

    asm = Thumb2(cores.named("cortex-m4"))
    loop = asm.here()
    asm.smlad(R0, R8, R9, R0)
    asm.subs(R1, 1)
    asm.b(loop, NE)
    code = asm.finish()

Registers are ints 0..15. Where an instruction has a short and a long encoding that
does the same, the shorter one that fits is taken, but for branches on Thumb-2, which are
long: space for them is reserved before the label is known. What depends on the layer, whether an offset fits and
whether the core has the instruction, is always checked (AssemblerError). What depends only on the
generator's source, such as a register that an encoding can't name, is asserted; .mpy files are compiled
without assertions. Encodings are those of the ARMv7-M and ARMv6-M Architecture Reference
Manuals, where each has the method's name.

This file has what the two instruction sets share; thumb1.py has ARMv6-M's, thumb2.py the longer
instructions of ARMv7-M. A few methods are several instructions, on one instruction set or on both, so
that code which runs once a row is written once: constant, plus, mla, str_then, enter, leave; dec_branch,
dec_branch_stack and advance.
Flags are only defined after subs, cmp and cmpi.
"""

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP, LR, PC = range(16)
EQ, NE, CS, CC, MI, PL, VS, VC, HI, LS, GE, LT, GT, LE, ALWAYS, CALL = range(16)
LSL, LSR, ASR = range(3)  # of a shifted operand


class AssemblerError(ValueError):
    """Raised for code that can't be encoded: an operand out of range, a missing instruction, an unknown label."""


class Assembler:
    """Instructions of one core, one after the other, in `.code`, a bytearray."""

    def __init__(self, core):
        self.core = core
        self.code = bytearray()
        self._places = []  # of each label, an int; None as long as it has none
        self._branches = []  # (where, label, condition)

    def __getattr__(self, name):
        if name[0] == "_":
            raise AttributeError(name)
        raise self._lacks(name)

    def _lacks(self, name):
        return AssemblerError("%s: %s has no such instruction" % (name, self.core.name))

    # How instructions come to be

    def _short(self, half):
        self.code.append(half & 255)
        self.code.append(half >> 8)

    @staticmethod
    def _within(name, value, least, most, step=1):
        if value < least or value > most or value % step:
            raise AssemblerError("%s: %d, wanted a multiple of %d within %d..%d" % (name, value, step, least, most))

    def label(self, place=None):
        """A new label, an int; place() gives it its position in the code later."""
        self._places.append(place)
        return len(self._places) - 1

    def place(self, label):
        """Set a label to the position of the next instruction."""
        assert self._places[label] is None
        self._places[label] = len(self.code)

    def here(self):
        """A new label at the position of the next instruction."""
        return self.label(len(self.code))

    def finish(self):
        """The code, padded to whole words, with all branches filled in."""
        for where, label, condition in self._branches:
            place = self._places[label]
            if place is None:
                raise AssemblerError("branch at byte %d: undefined label %d" % (where, label))
            self._branch(where, place - where - 4, condition)
        self._branches = []
        if len(self.code) & 2:
            self.nop()
        return self.code

    def _put(self, where, half):
        self.code[where] = half & 255
        self.code[where + 1] = half >> 8

    def _far(self, where, offset, second):
        """Branch without a condition (second 0x9000) or call (0xD000), 32 bits."""
        self._within("branch", offset, -(1 << 24), (1 << 24) - 2)
        sign = 1 if offset < 0 else 0
        # 11110 S iiiiiiiiii, 1x J 1 K iiiiiiiiiii: J = not (i23 xor S), K = not (i22 xor S)
        self._put(where, 0xF000 | sign << 10 | offset >> 12 & 0x3FF)
        second |= (offset >> 23 & 1 ^ sign ^ 1) << 13 | (offset >> 22 & 1 ^ sign ^ 1) << 11
        self._put(where + 2, second | offset >> 1 & 0x7FF)

    # What both have

    def bx_lr(self):
        # 010001 110 1110 000
        self._short(0x4770)

    def nop(self):
        self._short(0x46C0)  # mov r8, r8, on every core

    def mov(self, d, m):
        assert PC not in (d, m)
        # 010001 10 D mmmm ddd
        self._short(0x4600 | d >> 3 << 7 | m << 3 | d & 7)

    def subs(self, d, value):
        """d -= value, 0..255, and the flags; d is a low register."""
        assert low(d)
        self._within("subs", value, 0, 255)
        # 001 11 ddd iiiiiiii
        self._short(0x3800 | d << 8 | value)

    def cmp(self, n, m):
        assert PC not in (n, m)
        if n < 8 and m < 8:
            # 010000 1010 mmm nnn
            self._short(0x4280 | m << 3 | n)
        else:
            # 010001 01 N mmmm nnn
            self._short(0x4500 | n >> 3 << 7 | m << 3 | n & 7)

    # Loops, and what moves on

    def dec_branch(self, r, label):
        """r -= 1, and back to a label unless it is 0."""
        if r < 8:
            self.subs(r, 1)
        else:
            self.addi(r, r, -1)
            self.cmpi(r, 0)
        self.b(label, NE)

    def dec_branch_stack(self, slot, label):
        """The same with a word on the stack; r0 is lost."""
        self.ldr(R0, SP, slot)
        self.subs(R0, 1)
        self.str(R0, SP, slot)
        self.b(label, NE)

    def advance(self, slot, step):
        """r1 = the word on the stack plus any constant, stored back."""
        self.ldr(R1, SP, slot)
        self.plus(R1, R1, step)
        self.str(R1, SP, slot)

    def _word(self, store, t, n, offset):
        """Emit the 16-bit load or store of a word; False where no 16-bit encoding fits."""
        if t < 8 and offset >= 0 and offset % 4 == 0:
            if n == SP and offset < 1024:
                # 1001 L ttt iiiiiiii, words
                self._short((0x9000 if store else 0x9800) | t << 8 | offset >> 2)
                return True
            if n < 8 and offset < 128:
                # 011 0 L iiiii nnn ttt, words
                self._short((0x6000 if store else 0x6800) | offset << 4 | n << 3 | t)
                return True
        return False


if __debug__:  # assertions alone ask, which .mpy files are compiled without

    def low(*registers):
        """Whether all are r0 to r7, the only registers that most 16-bit instructions can name."""
        return max(registers) < 8

    def plain(*registers):
        """Whether none is the stack pointer or the program counter, which most 32-bit instructions can't name."""
        return SP not in registers and PC not in registers


def bits_of(registers):
    """The bit mask of a list of registers, as LDM and STM encode it."""
    bits = 0
    for r in registers:
        bits |= 1 << r
    return bits
