"""Emulated Cortex-M cores: Unicorn runs the generated code, with unmapped pages before and after every buffer.

The targets cortex-m* of `simulate`: the firmware's own Python runs in this process, with a backend `thumb` whose code
is executed on the emulated core. Layers that the backend refuses run on another one, as on a board.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import capstone
import unicorn
from ucorr.backends import generated, generated_ops
from unicorn import arm_const

from .. import cores
from ..cores import EMULATED
from . import cycles, here
from .micropython import TargetError

PAGE = 4096
STACK_BYTES = 8192
CHECKED = 256  # executions of an instruction whose alignment is checked; later ones are taken to be like them
# where each buffer lies; all around it is unmapped
CODE, X, OUT, SCRATCH, TABLE, STACK, END = (0x1000_0000 * n for n in range(1, 8))


class EmulatorError(Exception):
    """Raised for an access outside the buffers, a missing instruction, a callee-saved register that is not restored."""


@dataclass(frozen=True)
class Run:
    """Instructions executed, an estimate of their cycles (cycles.py; None for a core without), bytes of stack used;
    without the first two where they were not counted."""

    instructions: int | None
    cycles: int | None
    stack: int


@cache
def _counts(code: bytes, core: str) -> tuple[int, int]:
    """Instructions and cycles of a block of code; no cycles for a core without a table."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    instructions = [(found.mnemonic, found.op_str) for found in engine.disasm(code, 0)]
    costs = EMULATED[core].costs
    return len(instructions), cycles.estimate(costs, instructions) if costs else 0


@cache
def _words(code: bytes) -> dict[int, str]:
    """{place: base register} of the instructions whose address must be a multiple of 4 on every core, which Unicorn
    does not ask of a Cortex-M3 and later."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    engine.detail = True
    bases = {}
    for found in engine.disasm(code, 0):
        if found.mnemonic.startswith(("ldm", "stm")):
            bases[found.address] = found.reg_name(found.operands[0].reg)
        elif found.mnemonic.startswith(("ldrd", "strd")):
            bases[found.address] = found.reg_name(found.operands[2].mem.base)
    return {place: {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}.get(name, name) for place, name in bases.items()}


def _place(machine: unicorn.Uc, base: int, size: int, access: int, *, at_end: bool) -> int:
    """Map pages for a buffer; its address, flush with the end of the last page or the start of the first."""
    pages = max(PAGE, -(-size // PAGE) * PAGE)
    machine.mem_map(base, pages, access)
    return base + pages - size if at_end else base


class _Counter:
    """Instructions and cycles of a machine, block by block; start is where its code begins."""

    def __init__(self, machine: unicorn.Uc, core: str, start: int) -> None:
        self.instructions = self.cycles = 0
        self._core, self._expected = core, start
        costs = EMULATED[core].costs
        self._refill = costs.refill if costs else 0
        self._blocks: dict[int, tuple[int, int]] = {}
        machine.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _block(self, machine: unicorn.Uc, address: int, size: int, _: object) -> None:
        if address not in self._blocks:
            self._blocks[address] = _counts(bytes(machine.mem_read(address, size)), self._core)
        instructions, spent = self._blocks[address]
        self.instructions += instructions
        self.cycles += spent + (0 if address == self._expected else self._refill)
        self._expected = address + size


def _watch_words(machine: unicorn.Uc, code: bytes, start: int) -> list[int]:
    """Stop where words are not at a multiple of 4; the list gets the place in the code."""
    misaligned: list[int] = []
    left: dict[int, int] = {}
    hooks: dict[int, int] = {}

    def check(machine: unicorn.Uc, address: int, size: int, register: int) -> None:
        left[address] -= 1
        if machine.reg_read(register) % 4:
            misaligned.append(address - start)
            machine.emu_stop()
        elif not left[address]:
            machine.hook_del(hooks[address])

    for at, base in _words(code).items():
        register = getattr(arm_const, f"UC_ARM_REG_{base.upper()}")
        left[start + at] = CHECKED
        hooks[start + at] = machine.hook_add(unicorn.UC_HOOK_CODE, check, register, start + at, start + at)
    return misaligned


def _load(core: str, code: bytes, views: list[memoryview], at_end: bool) -> tuple[unicorn.Uc, int, list[int]]:
    """(a core with code, buffers and stack in its memory, where the code begins, where each buffer does)."""
    # without UC_MODE_MCLASS, which makes a Cortex-M33 of every model
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{EMULATED[core].model}"))
    read, both = unicorn.UC_PROT_READ, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
    places = []
    for base, view, access in zip((X, OUT, SCRATCH, TABLE), views, (read, both, both, read), strict=True):
        place = _place(machine, base, len(view), access, at_end=at_end)
        machine.mem_write(place, bytes(view))
        places.append(place)
    start = _place(machine, CODE, len(code), read | unicorn.UC_PROT_EXEC, at_end=False)
    machine.mem_write(start, code)
    machine.mem_map(END, PAGE)
    _place(machine, STACK, STACK_BYTES, both, at_end=False)
    machine.mem_write(STACK, b"\xa5" * STACK_BYTES)
    return machine, start, places


def call(
    core: str, code: bytes, x: Any, out: Any, scratch: Any, table: Any, *, at_end: bool = True, counted: bool = True
) -> Run:
    """Call generated code as f(x, out, scratch, table).

    x, table  buffers that may only be read; out and scratch are written
    at_end    whether the buffers end where unmapped memory begins, or begin where it ends
    counted   whether instructions and cycles are counted, which takes most of the time
    raises    EmulatorError
    """
    views = [memoryview(buffer).cast("B") for buffer in (x, out, scratch, table)]
    machine, start, places = _load(core, bytes(code), views, at_end)
    top = STACK + STACK_BYTES
    kept = {getattr(arm_const, f"UC_ARM_REG_R{n}"): 0x1111_1111 * n for n in range(4, 12)}
    given = {arm_const.UC_ARM_REG_R0 + n: place for n, place in enumerate(places)}
    for register, value in {**kept, **given, arm_const.UC_ARM_REG_SP: top, arm_const.UC_ARM_REG_LR: END | 1}.items():
        machine.reg_write(register, value)
    counter = _Counter(machine, core, start) if counted else None
    misaligned = [] if EMULATED[core].aligned else _watch_words(machine, bytes(code), start)
    try:
        machine.emu_start(start | 1, END)
    except unicorn.UcError as error:
        where = machine.reg_read(arm_const.UC_ARM_REG_PC) - start
        registers = " ".join(f"r{n}={machine.reg_read(arm_const.UC_ARM_REG_R0 + n):08x}" for n in range(13))
        raise EmulatorError(f"{core}: {error} at byte {where} of the code; {registers}") from None
    if misaligned:
        raise EmulatorError(
            f"{core}: words at an address that is no multiple of 4, at byte {misaligned[0]} of the code"
        )
    if machine.reg_read(arm_const.UC_ARM_REG_SP) != top:
        raise EmulatorError(f"{core}: the stack pointer did not come back")
    for register, value in kept.items():
        if machine.reg_read(register) != value:
            raise EmulatorError(f"{core}: r{register - arm_const.UC_ARM_REG_R0} did not come back")
    for place, view in list(zip(places, views, strict=True))[1:3]:
        view[:] = machine.mem_read(place, len(view))
    stack = bytes(machine.mem_read(STACK, STACK_BYTES))
    used = len(stack.lstrip(b"\xa5"))
    if counter is None:
        return Run(None, None, used)
    return Run(counter.instructions, counter.cycles if EMULATED[core].costs else None, used)


# whether the calls of an answer are counted, and what they took: instructions and cycles (0 for a core without table)
# in all, cycles of the last run of a layer, the most stack
_counted = SimpleNamespace(wanted=True, instructions=0, cycles=0, run_cycles=0, stack=0)


def backend(name: str) -> dict[str, Any]:
    """The modules `thumb`, `thumb_ops` and `thumb_code` of a core, with the contract of ucorr.backends."""
    core = cores.named(name)

    class Code:
        """Code and table, called on the core: twice, its buffers once ending and once beginning at unmapped memory."""

        def __init__(self, code: Any, table: Any) -> None:
            self.code, self.table = code, table

        def run(self, x: Any, out: Any, scratch: Any) -> None:
            # copies: out may be x, or the second input, which is passed in place of scratch
            x, second = bytes(memoryview(x).cast("B")), bytes(memoryview(scratch).cast("B"))
            call(name, self.code, x, out, bytearray(second), self.table, counted=False)
            run = call(name, self.code, x, out, bytearray(second), self.table, at_end=False, counted=_counted.wanted)
            _counted.instructions += run.instructions or 0
            _counted.cycles += run.cycles or 0
            _counted.stack = max(_counted.stack, run.stack)

    return {
        "thumb": generated.Backend(core, Code),
        "thumb_ops": generated_ops.Backend(core, Code),
        "thumb_code": SimpleNamespace(CORE=core, Code=Code),
    }


def ask(message: dict[str, Any], payload: bytes, target: str) -> tuple[dict[str, Any], bytes]:
    """The answer of an emulated core to a message of board_side.py, with instructions and cycles where it asks for
    repeated runs or a profile. raises TargetError"""

    def now() -> tuple[int, int]:
        return _counted.instructions, _counted.cycles

    def elapsed(end: tuple[int, int], start: tuple[int, int]) -> Any:
        _counted.run_cycles = end[1] - start[1]
        return (end[0] - start[0], _counted.run_cycles) if "network" in message else end[0] - start[0]

    counted = bool(message.get("repeat") or message.get("profile"))
    clock = ("spent" if "network" in message else "instructions", now, elapsed)
    with here.turns.lock:
        _counted.stack = 0
        _counted.wanted = counted
        answer, data = here.answer({**message, "target": target}, payload, backend(target), clock)
        stack, run_cycles = _counted.stack, _counted.run_cycles
    if "error" in answer:
        doing = f"{message.get('layer', 'code')} {message.get('name', '')}".strip()
        said = f"{answer['error']}: {answer['message']}\n{answer['traceback'].rstrip()}"
        raise TargetError(f"{doing} on {target}: {said}")
    answer["prepare_instructions"] = None  # this process's Python made the code
    if "network" in message:
        answer["stack_bytes"] = stack
    elif answer.get("backend") == "thumb":
        answer["stack_bytes"] = stack
        answer["cycles"] = run_cycles if counted and EMULATED[target].costs else None
    else:
        answer["instructions"] = None
    return answer, data
