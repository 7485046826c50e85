"""Run the named test cases on a board and compare every bit with the reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ucorr_host.problems.named import everything
from ucorr_host.problems.operators import OpProblem
from ucorr_host.problems.weighted import CORE, Problem, packed
from ucorr_host.targets import board_side

from .board import EXEC_SECONDS, Board, BoardError
from .board_files import literal
from .resolve import resolved

STATE = "ucorr.backends.state({name})"


@dataclass(frozen=True)
class Row:
    """One problem on one backend: equal, or what happened instead."""

    problem: str
    backend: str
    macs: int
    microseconds: int | None
    equal: bool
    said: str = ""


def start(board: Board) -> None:
    """Put board_side.py into the board's memory.

    raises BoardError when the package is not there or can't be imported; it names the file that was
    """
    try:
        board.exec("import ucorr\nfrom ucorr.heap import Tidy")
    except BoardError as error:
        if not error.traceback:
            raise
        last = error.traceback.strip().splitlines()[-1]
        file = resolved(board, "ucorr")
        taken = f", of which it takes {file}" if file else ""
        raise BoardError(f"the board can't import ucorr ({last}){taken}: run `ucorr deploy` first") from error
    source = Path(board_side.__file__).read_text(encoding="utf-8")
    board.exec(f"with Tidy():\n    exec({literal(source)})")


def states(board: Board, backends: Sequence[str] = ()) -> dict[str, str]:
    """{backend: "ok" or the reason why it is missing} of a started board; imports those asked for, or all of them."""
    if backends:
        return {name: board.eval(STATE.format(name=literal(name))) for name in backends}
    told = board.eval("ucorr.info()")
    return {name: state for name, state in told.items() if name != "ucorr"}


def ask(
    board: Board, message: dict[str, Any], payload: bytes, seconds: float = EXEC_SECONDS
) -> tuple[dict[str, Any], bytes]:
    """One message of board_side.py and its answer, over the serial line."""
    if "layer" in message:
        message, payload = packed(message, payload)
    board.send("payload", payload)
    board.exec(f"answer, result = answer_to({literal(message)}, payload)", seconds=seconds)
    answer = json.loads(board.exec("import json\nprint(json.dumps(answer))"))
    data = board.fetch("result")
    board.exec("payload = answer = result = None\ngc.collect()")  # what the next message needs the room for
    return answer, data


def check(board: Board, problem: Problem | OpProblem, backend: str) -> Row:
    """One problem on one backend of the board."""
    answer, data = ask(board, problem.message(backend, repeat=1), problem.payload())
    if "error" in answer:
        return Row(problem.name, backend, 0, None, False, f"{answer['error']}: {answer['message']}")
    said = ""
    if data != problem.expected().tobytes():
        said = "differs from the reference"
    elif not answer["guards_intact"]:
        said = "wrote outside its buffer"
    elif answer["backend"] != backend:
        said = f"ran on {answer['backend']}"
    return Row(problem.name, backend, answer["macs"], answer.get("microseconds"), not said, said)


def verify(
    board: Board,
    problems: Sequence[Problem | OpProblem] | None = None,
    progress: Callable[[Row], None] | None = None,
    names: Sequence[str] = (),
) -> tuple[dict[str, str], list[Row]]:
    """Every problem on every backend that the board has and that takes it.

    progress  called with each Row as it is known
    names     of backends, where a board has no room for all of them at once; none: all
    returns   (state of each backend, rows); raises BoardError when the board fails
    """
    start(board)
    backends = states(board, names)
    core = board.eval(CORE) if "thumb" in backends else None
    rows = []
    for problem in everything() if problems is None else problems:
        for backend, state in backends.items():
            if state == "ok" and problem.taken_by(backend, core):
                row = check(board, problem, backend)
                rows.append(row)
                if progress:
                    progress(row)
    return backends, rows
