"""The host's table of cores: Unicorn's model of each core in firmware/ucorr/codegen/cores.py, and its cycle costs.

A core that the host emulates is a row here. "any" stands for no core: a network's weights are packed on the board.
"""

from __future__ import annotations

from dataclasses import dataclass

from ucorr.codegen import cores
from ucorr.codegen.cores import Core

ANY = "any"


@dataclass(frozen=True)
class Costs:
    """Cycles: of a single load or store; of one right after another; of filling the pipeline after a branch."""

    access: int
    next_access: int
    refill: int


@dataclass(frozen=True)
class Emulated:
    """model    the constant UC_CPU_ARM_<model> of Unicorn
    costs    of its instructions (cycles.py), None where its manual has no table or it issues two at once
    aligned  whether Unicorn's model stops at words that are not at multiples of 4
    """

    model: str
    costs: Costs | None = None
    aligned: bool = False


EMULATED = {
    # a store is one cycle by itself; an address phase overlaps the data phase of the access before it
    "cortex-m0plus": Emulated("CORTEX_M0", Costs(access=2, next_access=2, refill=1), aligned=True),
    "cortex-m3": Emulated("CORTEX_M3"),
    "cortex-m4": Emulated("CORTEX_M4", Costs(access=2, next_access=1, refill=2)),
    "cortex-m7": Emulated("CORTEX_M7"),
    "cortex-m33": Emulated("CORTEX_M33"),
}


def names() -> list[str]:
    """What a network can be compiled for: "any" and the name of each core."""
    return [ANY, *(core.name for core in cores.CORES)]


def named(name: str) -> Core:
    """The core of a name. raises ValueError"""
    for core in cores.CORES:
        if core.name == name:
            return core
    raise ValueError(f"core: {name!r}, wanted one of {' '.join(names()[1:])}")


def number_of(name: str) -> int:
    """The number in a file that is compiled for a core or for any. raises ValueError"""
    return 0 if name == ANY else named(name).number


def running(number: int) -> list[str]:
    """The names of the cores that run the machine code of a number."""
    return [core.name for core in cores.CORES if core.number == number]


def counted_on(name: str) -> str | None:
    """The core with a table of cycles that runs the code of a core: itself, if it has one; None: there is none."""
    those = [name, *running(number_of(name))]
    return next((one for one in those if one in EMULATED and EMULATED[one].costs), None)


def counted() -> list[str]:
    """The cores that have a table of cycles."""
    return [name for name, row in EMULATED.items() if row.costs]
