"""An estimate of cycles from the instructions of a block of Thumb code, by the tables of two reference manuals.

Cortex-M4: Arm DDI 0439, table 3-1. Cortex-M0+: Arm DDI 0484, table 3-1, with the multiplier of one cycle.
Assumed: memory without wait states, instructions always fetched in time. Ignored: flash accelerators, caches, bus
contention, the extra cycle of an unaligned load, interrupts. Cores that issue two instructions at once (M7), or whose
manual has no table (M33), get no estimate.
"""

from __future__ import annotations

from ..cores import Costs

MANY = ("ldm", "stm", "push", "pop", "ldrd", "strd")


def estimate(costs: Costs, instructions: list[tuple[str, str]]) -> int:
    """Cycles of a block that is executed to its end, without the refill of a branch that is taken.

    instructions  (mnemonic, operands) of each
    """
    cycles, accessed = 0, False
    for mnemonic, operands in instructions:
        if mnemonic.startswith(MANY):
            cycles += 1 + registers(mnemonic, operands)
            accessed = False
        elif mnemonic.startswith(("ldr", "str")):
            cycles += costs.next_access if accessed else costs.access
            accessed = True
        else:
            cycles += 1
            accessed = False
    return cycles


def registers(mnemonic: str, operands: str) -> int:
    """How many words an instruction of several moves."""
    if mnemonic.startswith(("ldrd", "strd")):
        return 2
    count = 0
    for part in operands.partition("{")[2].rstrip("}").split(","):
        first, dash, last = part.strip().partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if dash else 1
    return count
