"""One emulated board at a time, and what was seen on each, written to out/boards.json at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ucorr_host.op_problems import OpProblem
from ucorr_host.problems import Problem
from ucorr_tools.qemu.machines import MACHINES, Machine
from ucorr_tools.qemu.targets import Session

collect_ignore = [] if shutil.which("node") else ["test_webassembly.py"]
SEEN = Path(__file__).resolve().parents[2] / "out" / "boards.json"


class Rig:
    """A machine and its session: started when first asked, replaced after a death.

    seen  what the tests found out about the board; a row of the README's table
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # where backends, generator and what tests them leave no two images' room, nor layers of both kinds
        self.small = machine.name in ("m0", "m3")
        self.seen: dict[str, Any] = {"target": machine.target}
        self._session: Session | None = None
        self._kind: type | None = None

    @property
    def session(self) -> Session:
        if self._session is None or not self._session.alive:
            self.close()
            self._session = Session(self.machine)
            assert self._session.backends  # imported while the heap is young
        return self._session

    @property
    def backends(self) -> list[str]:
        return [name for name, state in self.session.backends.items() if state == "ok"]

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def make_room(self, problem: Problem | OpProblem) -> None:
        """A young board for a problem of another kind than the last one's, where the heap is small."""
        if self.small and self._kind not in (None, type(problem)):
            self.close()
        self._kind = type(problem)


@pytest.fixture(scope="module")
def seen() -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    yield rows
    if rows and all("drawn" in row for row in rows):  # a module that has found out all that the table wants
        SEEN.parent.mkdir(exist_ok=True)
        SEEN.write_text(json.dumps({"boards": rows}, indent=1) + "\n")


@pytest.fixture(scope="module", params=MACHINES.values(), ids=lambda machine: machine.target)
def rig(request: pytest.FixtureRequest, seen: list[dict[str, Any]]) -> Iterator[Rig]:
    rig = Rig(request.param)
    yield rig
    rig.close()
    seen.append(rig.seen)
