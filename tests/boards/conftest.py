"""A worker runs one emulated board at a time; what was seen on each is written to out/boards.json."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from ucorr_host.problems.operators import OpProblem
from ucorr_host.problems.weighted import Problem
from ucorr_tools.qemu.machines import MACHINES, Machine
from ucorr_tools.qemu.targets import Session

collect_ignore = [] if shutil.which("node") else ["test_webassembly.py"]
SEEN = Path(__file__).resolve().parents[2] / "out" / "boards.json"


# All that layers of a kind import where they are made and called: those with weights on any backend, others on one.
OPERATOR = """
for _n in range(0, len(ucorr.OPERATORS), 2):
    _class = getattr(ucorr, ucorr.OPERATORS[_n])
"""
IMPORTS = {
    Problem: """
ucorr.info()
ucorr.Layer
from ucorr.codegen import module
from ucorr.backends.thumb_code import CORE
module(CORE, "row_sum")
""",
    "portable": OPERATOR + 'ucorr.backends.probe("portable_ops")',
    "viper": OPERATOR + '    ucorr.backends.probe("viper_" + _class.runs.split(".")[0])',
    "thumb": """
ucorr.Add
ucorr.backends.probe("thumb_ops")
from ucorr.codegen import module
from ucorr.backends.thumb_code import CORE
module(CORE, "add")
ucorr.CrossCorrelate
module(CORE, "correlation")
""",
}


class Rig:
    """A machine and its session: started when first asked, replaced after a death.

    seen  what the tests found out about the board; a row of the table in docs/boards.md
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # where backends, generator and what tests them leave no two images' room, nor layers of both kinds, nor those
        # without weights on several backends
        self.small = machine.name in ("m0", "m3")
        self.seen: dict[str, Any] = {"target": machine.target}
        self._session: Session | None = None
        self._kind: type | str | None = None
        self._backends: list[str] = []

    @property
    def session(self) -> Session:
        if self._session is None or not self._session.alive:
            self.close()
            self._kind = None
            self._session = Session(self.machine)
            assert self._session.backends  # imported while the heap is young
        return self._session

    def young(self) -> Session:
        """The session, in a heap as after power on: nothing is imported but what answers messages."""
        self._kind = None
        if self._session is None or not self._session.alive:
            self.close()
            self._session = Session(self.machine)
        else:
            self._session.renew()
        return self._session

    @property
    def backends(self) -> list[str]:
        if not self._backends:
            self._backends = [name for name, state in self.session.backends.items() if state == "ok"]
        return self._backends

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def make_room(self, problem: Problem | OpProblem, backend: str) -> None:
        """Where the heap is small: a young one for a problem of another kind than the last one's, with all that this
        kind imports, which would cut up an older one."""
        kind = Problem if isinstance(problem, Problem) else backend
        if self.small and self._kind != kind:
            self.young().board.exec(f"with Tidy():\n{indent(IMPORTS[kind], '    ')}")
        self._kind = kind

    def write(self) -> None:
        """Put the row into the file, beside those of other workers."""
        SEEN.parent.mkdir(exist_ok=True)
        with SEEN.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            rows = {row["target"]: row for row in json.loads(file.read() or '{"boards": []}')["boards"]}
            rows[self.machine.target] = self.seen
            file.truncate(0)
            file.write(json.dumps({"boards": [rows[name] for name in MACHINES if name in rows]}, indent=1) + "\n")


def machine_of(item: pytest.Item | None) -> Machine | None:
    """The machine whose rig a test asks for."""
    return item.callspec.params.get("rig") if hasattr(item, "callspec") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker takes all tests of a board, or of a file, so that a board is started once."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            machine = machine_of(item)
            item.add_marker(pytest.mark.xdist_group(machine.target if machine else item.path.stem))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A board ends with the last of its tests in a row: the next one may start boards, of which only BOARDS run."""
    rig = getattr(item, "funcargs", {}).get("rig")
    if rig is not None and machine_of(nextitem) is not rig.machine:
        rig.close()


@pytest.fixture(scope="session", params=MACHINES.values(), ids=lambda machine: machine.target)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(request.param)
    yield rig
    rig.close()
    if "drawn" in rig.seen:  # all that the table wants
        rig.write()
