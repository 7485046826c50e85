"""Cortex-M cores for generated code: Unicorn runs it, every buffer between pages that nothing may touch.

The targets cortex-m* of `simulate`: the firmware's own Python runs in this process, with a backend `thumb` whose code
is executed on the emulated core. Layers that the backend refuses run on another one, as on a board.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import capstone
import ucorr.backends
import unicorn
from ucorr.codegen.plan import Plan, select
from unicorn import arm_const

from . import board_side, cycles
from .micropython import TargetError

PAGE = 4096
STACK_BYTES = 8192
# where each buffer lies; all around it is unmapped
CODE, X, OUT, SCRATCH, TABLE, STACK, END = (0x1000_0000 * n for n in range(1, 8))


@dataclass(frozen=True)
class Core:
    """A Cortex-M: Unicorn's model of it and the level of thumb_asm.py; a Cortex-M3 gets the code of a Cortex-M0."""

    model: int
    level: int


CORES = {
    "cortex-m0plus": Core(arm_const.UC_CPU_ARM_CORTEX_M0, 6),
    "cortex-m3": Core(arm_const.UC_CPU_ARM_CORTEX_M3, 6),
    "cortex-m4": Core(arm_const.UC_CPU_ARM_CORTEX_M4, 8),
    "cortex-m7": Core(arm_const.UC_CPU_ARM_CORTEX_M7, 8),
    "cortex-m33": Core(arm_const.UC_CPU_ARM_CORTEX_M33, 8),
}


class EmulatorError(Exception):
    """An access outside the buffers, an instruction that the core lacks, a register that did not come back."""


@dataclass(frozen=True)
class Run:
    """Instructions executed, an estimate of their cycles (cycles.py; None for a core without), bytes of stack used."""

    instructions: int
    cycles: int | None
    stack: int


@cache
def _counts(code: bytes, core: str) -> tuple[int, int]:
    """Instructions and cycles of a block of code; no cycles for a core without a table."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    instructions = [(found.mnemonic, found.op_str) for found in engine.disasm(code, 0)]
    return len(instructions), cycles.estimate(cycles.TABLES[core], instructions) if core in cycles.TABLES else 0


def _place(machine: unicorn.Uc, base: int, size: int, access: int, *, at_end: bool) -> int:
    """Map pages for a buffer; its address, flush with the end of the last page or the start of the first."""
    pages = max(PAGE, -(-size // PAGE) * PAGE)
    machine.mem_map(base, pages, access)
    return base + pages - size if at_end else base


def call(core: str, code: bytes, x: Any, out: Any, scratch: Any, table: Any, *, at_end: bool = True) -> Run:
    """Call generated code as f(x, out, scratch, table).

    x, table  buffers that may only be read; out and scratch are written
    at_end    whether the buffers end where unmapped memory begins, or begin where it ends
    raises    EmulatorError
    """
    # without UC_MODE_MCLASS, which makes a Cortex-M33 of every model
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(CORES[core].model)
    read, both = unicorn.UC_PROT_READ, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
    views = [memoryview(buffer).cast("B") for buffer in (x, out, scratch, table)]
    places = []
    for base, view, access in zip((X, OUT, SCRATCH, TABLE), views, (read, both, both, read), strict=True):
        place = _place(machine, base, len(view), access, at_end=at_end)
        machine.mem_write(place, bytes(view))
        places.append(place)
    start = _place(machine, CODE, len(code), read | unicorn.UC_PROT_EXEC, at_end=False)
    machine.mem_write(start, bytes(code))
    machine.mem_map(END, PAGE)
    top = _place(machine, STACK, STACK_BYTES, both, at_end=False) + STACK_BYTES
    machine.mem_write(top - STACK_BYTES, b"\xa5" * STACK_BYTES)
    for n, place in enumerate(places):
        machine.reg_write(arm_const.UC_ARM_REG_R0 + n, place)
    kept = {getattr(arm_const, f"UC_ARM_REG_R{n}"): 0x1111_1111 * n for n in range(4, 12)}
    for register, value in kept.items():
        machine.reg_write(register, value)
    machine.reg_write(arm_const.UC_ARM_REG_SP, top)
    machine.reg_write(arm_const.UC_ARM_REG_LR, END | 1)
    counted = spent = 0
    expected = start
    refill = cycles.TABLES[core].refill if core in cycles.TABLES else 0
    blocks: dict[int, tuple[int, int]] = {}

    def block(machine: unicorn.Uc, address: int, size: int, _: object) -> None:
        nonlocal counted, spent, expected
        if address not in blocks:
            blocks[address] = _counts(bytes(machine.mem_read(address, size)), core)
        counted += blocks[address][0]
        spent += blocks[address][1] + (0 if address == expected else refill)
        expected = address + size

    machine.hook_add(unicorn.UC_HOOK_BLOCK, block)
    try:
        machine.emu_start(start | 1, END)
    except unicorn.UcError as error:
        where = machine.reg_read(arm_const.UC_ARM_REG_PC) - start
        registers = " ".join(f"r{n}={machine.reg_read(arm_const.UC_ARM_REG_R0 + n):08x}" for n in range(13))
        raise EmulatorError(f"{core}: {error} at byte {where} of the code; {registers}") from None
    if machine.reg_read(arm_const.UC_ARM_REG_SP) != top:
        raise EmulatorError(f"{core}: the stack pointer did not come back")
    for register, value in kept.items():
        if machine.reg_read(register) != value:
            raise EmulatorError(f"{core}: r{register - arm_const.UC_ARM_REG_R0} did not come back")
    for place, view in ((places[1], views[1]), (places[2], views[2])):
        view[:] = machine.mem_read(place, len(view))
    stack = bytes(machine.mem_read(top - STACK_BYTES, STACK_BYTES))
    return Run(counted, spent if core in cycles.TABLES else None, len(stack.lstrip(b"\xa5")))


_counted = SimpleNamespace(instructions=0, cycles=None, stack=0)


def backend(core: str) -> Any:
    """The backend `thumb` of a core, with the contract of ucorr.backends."""
    level = CORES[core].level

    class Emulated(Plan):
        """A layer whose code runs on the core."""

        def run(self, x: Any, out: Any, scratch: Any) -> None:
            for at_end in (True, False):
                run = call(core, self.code, x, out, scratch, self.table, at_end=at_end)
            _counted.instructions += run.instructions
            _counted.cycles = run.cycles
            _counted.stack = max(_counted.stack, run.stack)

    def refuses(spec: Any, budget: int | None = None) -> str | None:
        found = select(spec, level, budget)
        return found if isinstance(found, str) else None

    return SimpleNamespace(
        LEVEL=level, refuses=refuses, prepare=lambda spec, budget=None: Emulated(spec, level, budget)
    )


def ask(message: dict[str, Any], payload: bytes, target: str) -> tuple[dict[str, Any], bytes]:
    """The answer of an emulated core to a message of board_side.py. raises TargetError"""
    clock = ("instructions", lambda: _counted.instructions, lambda end, start: end - start)
    _counted.stack = 0
    with patch.dict(ucorr.backends._modules, thumb=backend(target)), patch.object(board_side, "clock", clock):
        answer, data = board_side.answer_to({**message, "target": target}, payload)
    if "error" in answer:
        raise TargetError(f"{answer['error']} on {target}: {answer['message']}\n{answer['traceback'].rstrip()}")
    answer["prepare_instructions"] = None  # this process's Python made the code
    if answer.get("backend") == "thumb":
        answer["stack_bytes"] = _counted.stack
        answer["cycles"] = _counted.cycles
    else:
        answer["instructions"] = None
    return answer, data
