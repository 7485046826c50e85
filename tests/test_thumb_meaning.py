"""Each instruction of the assembler, executed: registers, memory and carry are what Python's integers say."""

from __future__ import annotations

import random
import struct

import pytest
import unicorn
from test_thumb_asm import BOTH
from ucorr.codegen.asm.assembler import LR, LSL, LSR, PC, R7, SP
from ucorr.codegen.asm.thumb1 import Thumb1
from ucorr_host.cores import EMULATED
from unicorn import arm_const

CODE, DATA, END = 0x1000, 0x20000000, 0x3000
MIDDLE = 2048  # bytes from the start of DATA to where base registers and the stack pointer stand
WORD = 1 << 32
REGISTERS = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(13)] + [
    arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR, arm_const.UC_ARM_REG_PC,
]  # fmt: skip
MEMORY = bytes((37 * n + n // 7) % 256 for n in range(2 * MIDDLE + 4096))


def signed(value: int, bits: int = 32) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> bits - 1 else value


def low(value: int) -> int:
    return signed(value, 16)


def high(value: int) -> int:
    return signed(value >> 16, 16)


EXTREMES = (0, 1, 0x7FFF, 0x8000, 0x80008000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class State:
    """Registers, memory and carry; what an instruction does to them."""

    def __init__(self, bases: set[int], seed: int) -> None:
        rng = random.Random(seed)
        self.r = [rng.choice((rng.getrandbits(32), rng.choice(EXTREMES))) for _ in range(16)]
        for base in bases | {SP}:
            self.r[base] = DATA + MIDDLE
        self.r[LR], self.r[PC] = END | 1, 0
        self.memory = bytearray(MEMORY)
        self.carry: int | None = 1  # None: not told

    def shifted(self, m: int, kind: int, amount: int) -> int:
        value = self.r[m]
        if kind == LSL:
            return value << amount
        return value >> amount if kind == LSR else signed(value) >> amount

    def load(self, at: int, form: str) -> int:
        return int(struct.unpack_from("<" + form, self.memory, at - DATA)[0])

    def store(self, at: int, value: int, size: int) -> None:
        self.memory[at - DATA : at - DATA + size] = (value % (1 << 8 * size)).to_bytes(size, "little")

    def sum(self, d: int, n: int, m: int, carry: int) -> None:
        """d = n + m + carry, numbers, and the carry"""
        total = n % WORD + m % WORD + carry
        self.r[d], self.carry = total, total >> 32

    def pair(self, lo: int, hi: int, value: int) -> None:
        self.r[lo], self.r[hi] = value, value >> 32

    def many(self, n: int, registers: tuple[int, ...], load: bool, move: bool = True) -> None:
        at = self.r[n]
        for r in sorted(registers):
            if load:
                self.r[r] = self.load(at, "I")
            else:
                self.store(at, self.r[r], 4)
            at += 4
        if move:
            self.r[n] = at


LOADS = {"ldr": "I", "ldrb": "B", "ldrsb": "b", "ldrh": "H", "ldrsh": "h"}
STORES = {"str": 4, "strb": 1, "strh": 2}
HALVES = (low, high)
FLAGS = {"subs", "cmp", "cmpi", "adds", "adcs", "sbcs"}  # of which the carry is told on both levels


def execute(s: State, name: str, a: tuple, thumb1: bool) -> None:
    """What the instruction that an assembler's method emits does to a state."""
    r = s.r
    if name not in FLAGS:
        s.carry = None
    stem, _, way = name.partition("_")
    if name in ("nop", "bx_lr"):
        r[PC] = END if name == "bx_lr" else r[PC]
    elif name in ("mov", "mvns"):
        r[a[0]] = r[a[1]] if name == "mov" else ~r[a[1]]
    elif name in ("movs", "constant"):
        r[a[0]] = a[1]
    elif name in ("add", "sub", "and_", "orr", "eor") and len(a) >= 3:
        other = s.shifted(a[2], *(a[3:] or (LSL, 0)))
        n = r[a[1]]
        r[a[0]] = {"add": n + other, "sub": n - other, "and_": n & other, "orr": n | other, "eor": n ^ other}[name]
    elif name in ("addi", "subs", "cmpi"):
        n, value = (a[1], a[2]) if name == "addi" else (a[0], -a[1])
        before = r[a[0]]
        s.sum(a[0], r[n], value, 0) if name == "addi" else s.sum(a[0], r[n], -value ^ WORD - 1, 1)
        s.carry = None if name == "addi" else s.carry
        if name == "cmpi":
            r[a[0]] = before
    elif name == "cmp":
        before = r[a[0]]
        s.sum(a[0], before, r[a[1]] ^ WORD - 1, 1)
        r[a[0]] = before
    elif name == "adds":
        s.sum(a[0], r[a[1]], r[a[2]], 0)
    elif name == "adc":
        r[a[0]] = r[a[1]] + r[a[2]] + 1
    elif name == "adcs":
        s.sum(a[0], r[a[0]], r[a[1]], 1)
    elif name == "sbcs":
        s.sum(a[0], r[a[0]], r[a[1]] ^ WORD - 1, 1)
    elif name == "ands":
        r[a[0]] &= r[a[1]]
    elif name == "muls":
        r[a[0]] = r[a[-2]] * r[a[-1]]
    elif name == "mla":
        r[a[0]] = r[a[3]] + r[a[1]] * r[a[2]]
    elif name == "umull":
        s.pair(a[0], a[1], r[a[2]] * r[a[3]])
    elif name == "smull":
        s.pair(a[0], a[1], signed(r[a[2]]) * signed(r[a[3]]))
    elif name == "shift":
        if thumb1:
            s.carry = dropped(r[a[1]], a[2], a[3])
        r[a[0]] = s.shifted(a[1], a[2], a[3])
    elif name in ("lsls", "lsl", "asrs", "asr"):
        amount = r[a[-1]] & 255
        r[a[0]] = r[a[-2]] << amount if name[0] == "l" else signed(r[a[-2]]) >> amount
    elif name in ("sxtb", "sxth", "uxth"):
        r[a[0]] = signed(r[a[1]], {"b": 8, "h": 16}[name[-1]]) if name[0] == "s" else r[a[1]] & 0xFFFF
    elif name in ("ssat", "usat"):
        lo, hi = (-(1 << a[1] - 1), (1 << a[1] - 1) - 1) if name == "ssat" else (0, (1 << a[1]) - 1)
        r[a[0]] = max(lo, min(hi, signed(r[a[2]])))
    elif name == "smlad":
        r[a[0]] = r[a[3]] + low(r[a[1]]) * low(r[a[2]]) + high(r[a[1]]) * high(r[a[2]])
    elif name == "smlald":
        s.pair(a[0], a[1], (r[a[1]] << 32 | r[a[0]]) + low(r[a[2]]) * low(r[a[3]]) + high(r[a[2]]) * high(r[a[3]]))
    elif name == "smlaxy":
        r[a[0]] = r[a[3]] + HALVES[a[4]](r[a[1]]) * HALVES[a[5]](r[a[2]])
    elif name == "smmul":
        r[a[0]] = signed(r[a[1]]) * signed(r[a[2]]) + (a[3] << 31) >> 32
    elif name == "xtb16":
        word = r[a[1]] >> (a[3] if len(a) > 3 else 0)
        parts = [word >> n & 255 if a[2] else signed(word >> n, 8) for n in (0, 16)]
        r[a[0]] = parts[0] & 0xFFFF | parts[1] << 16
    elif name == "pkhbt":
        r[a[0]] = r[a[1]] & 0xFFFF | (r[a[2]] << (a[3] if len(a) > 3 else 0)) & 0xFFFF0000
    elif name == "pkhtb":
        r[a[0]] = r[a[1]] & 0xFFFF0000 | (signed(r[a[2]]) >> a[3]) & 0xFFFF
    elif stem in ("ldrd", "strd"):
        at = r[a[2]] + (0 if way else a[3])
        for n, item in enumerate(a[:2]):
            if stem == "ldrd":
                r[item] = s.load(at + 4 * n, "I")
            else:
                s.store(at + 4 * n, r[item], 4)
        if way:
            r[a[2]] += a[3]
    elif stem in LOADS or stem in STORES:
        offset = r[a[2]] * (1 if thumb1 else 4) if way == "at" else a[2] if len(a) > 2 else 0
        at = r[a[1]] + (0 if way == "then" else offset)
        if stem in LOADS:
            r[a[0]] = s.load(at, LOADS[stem])
        else:
            s.store(at, r[a[0]], STORES[stem])
        if way == "then":
            r[a[1]] += offset
    elif name in ("ldm", "stm"):
        s.many(a[0], a[1], name == "ldm", a[2] if len(a) > 2 else True)
    elif name == "push":
        r[SP] -= 4 * len(a[0])
        s.many(SP, a[0], load=False, move=False)
    elif name == "pop":
        s.many(SP, a[0], load=True)
    else:
        raise AssertionError(f"{name} has no meaning here")


def dropped(value: int, kind: int, amount: int) -> int:
    """The last bit that a shift by a constant drops."""
    return value >> (32 - amount if kind == LSL else amount - 1) & 1


def bases(name: str, a: tuple) -> set[int]:
    """The registers of an instruction that are addresses."""
    stem = name.partition("_")[0]
    if name in ("ldm", "stm"):
        return {a[0]}
    if stem in ("ldrd", "strd"):
        return {a[2]}
    return {a[1]} if stem in LOADS or stem in STORES else set()


@pytest.mark.parametrize(("made", "core", "name", "arguments", "text"), BOTH)
def test_an_instruction_does_what_it_means(made, core, name, arguments, text):
    asm = made(core)
    asm.cmp(R7, R7)  # sets the carry
    getattr(asm, name)(*arguments)
    for seed in range(24):
        expected = State(bases(name, arguments), seed)
        if name.endswith("_at"):
            expected.r[arguments[2]] = 40
        if name in ("lsls", "asrs", "lsl", "asr"):
            expected.r[arguments[-1]] = seed
        if name == "pop":  # where it ends is in memory
            expected.store(expected.r[SP] + 4 * len(arguments[0]) - 4, END | 1, 4)
        jumps = name == "bx_lr" or (name == "pop" and PC in arguments[0])
        machine = loaded(core.name, asm.code, expected)
        machine.emu_start(CODE | 1, END if jumps else CODE + len(asm.code), count=2)
        execute(expected, name, arguments, thumb1=made is Thumb1)
        assert [value % WORD for value in expected.r[:15]] == [machine.reg_read(r) for r in REGISTERS[:15]]
        assert bytes(expected.memory) == bytes(machine.mem_read(DATA, len(MEMORY)))
        assert not jumps or machine.reg_read(REGISTERS[PC]) == END
        if expected.carry is not None:
            assert expected.carry == machine.reg_read(arm_const.UC_ARM_REG_CPSR) >> 29 & 1


def loaded(core: str, code: bytes, state: State) -> unicorn.Uc:
    """A core with code, and a state in its registers and memory."""
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{EMULATED[core].model}"))
    for base, size in ((CODE, 4096), (END, 4096), (DATA, len(MEMORY))):
        machine.mem_map(base, size)
    machine.mem_write(CODE, bytes(code))
    machine.mem_write(DATA, bytes(state.memory))
    for register, value in zip(REGISTERS[:15], state.r, strict=False):
        machine.reg_write(register, value)
    return machine
