"""The emulated boards as targets of `simulate` and `bench`: a message of board_side.py in, its answer out.

The board of the last message is kept, with the package deployed to its disk as .mpy files; a message for another board
ends it. A board that faults, hangs or runs out of memory is an error with the layer's name; after a fault or
a hang the next message gets a fresh board.
"""

from __future__ import annotations

import atexit
import os
from functools import cached_property
from typing import Any

from ucorr_host.problems.weighted import CORE
from ucorr_host.targets.children import Turns
from ucorr_host.targets.micropython import TargetError

from ..boards import verify
from ..boards.board import Board, BoardError
from ..boards.deploy import deploy
from .emulator import Emulator
from .firmware import BuildError
from .machines import MACHINES, Machine

SECONDS = 600.0  # for one message: bytecode needs thousands of instructions for a product

# Once now() is defined: a clock for board_side.py, less what reading it twice takes.
CLOCK = """
clock = ("ticks", now, lambda end, start: ((end - start) & 0xffffffff) - idle)
idle = 0
def _rest():
    unit, now, elapsed = clock
    start = now()
    return elapsed(now(), start)
idle = min([_rest() for _ in range(5)])
"""


class Session:
    """A board with ucorr on it, ready for messages of board_side.py."""

    def __init__(self, machine: Machine, *, mpy: bool = True) -> None:
        self.machine = machine
        self._digest: int | None = None  # of the network on the disk
        self._turns = Turns()
        self.emulator = Emulator(machine).start()
        try:
            self.board: Board = self.emulator.connect()
            deploy(self.board, mpy=mpy)
            self.renew()
        except BoardError as error:
            if error.traceback:
                self.close()
                raise
            died = self.emulator.death(self.board) if hasattr(self, "board") else "it never answered"
            self.close()
            raise BoardError(f"{error}; {died}") from error
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Begin anew with what is on the disk: board_side.py and its clock in a heap that nothing has cut up."""
        self.board.soft_reset()
        self.emulator.mount(self.board)
        self.__dict__.pop("backends", None)
        self._digest = None
        verify.start(self.board)
        if self.machine.timer:
            self.board.exec(self.machine.timer + CLOCK)

    @cached_property
    def backends(self) -> dict[str, str]:
        """{backend: "ok" or the reason why it is missing}; asking imports all of them into the board's heap."""
        return verify.states(self.board)

    @cached_property
    def core(self) -> str | None:
        """The name of the board's core, None where no machine code runs."""
        return self.board.eval(CORE)

    def close(self) -> None:
        """End the board."""
        self.emulator.close()
        if hasattr(self, "board"):
            self.board.close()

    @property
    def alive(self) -> bool:
        return self.emulator.running and self.board.alive

    def ask(self, message: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """One message; TargetError when the board raises, faults or hangs. A network's file goes to the disk first.

        Threads take turns. A board whose answer was not waited for is ended: its next one would be this one.
        """
        with self._turns.lock:
            try:
                return self._answer(message, payload)
            except TargetError:  # the board is at its prompt, or ended
                raise
            except BaseException:
                self.close()
                raise

    def _answer(self, message: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            if message.get("network"):
                message, payload = self._placed(message, payload)
            answer, data = verify.ask(self.board, message, payload, seconds=SECONDS)
        except BoardError as error:
            doing = f"{message.get('layer', 'code')} {message.get('name', '')}".strip()
            if error.traceback:
                raise TargetError(f"{doing} on {self.machine.target}: {error}\n{error.traceback.rstrip()}") from error
            died = self.emulator.death(self.board)
            self.close()
            raise TargetError(f"{doing} ended {self.machine.target}: {error}\n{died}") from error
        if "error" in answer:
            raise TargetError(
                f"{answer['error']} on {self.machine.target}: {answer['message']}\n{answer['traceback'].rstrip()}"
            )
        for name in ("ticks", "prepare_ticks"):
            ticks = answer.pop(name, None)
            instructions = None if ticks is None else round(ticks * self.machine.instructions_per_tick)
            answer[name.replace("ticks", "instructions")] = instructions
        if answer.get("unit") == "ticks":
            answer["unit"] = "instructions"
            for step in answer["steps"]:
                step[3] = round(step[3] * self.machine.instructions_per_tick)
        return answer, data

    def _placed(self, message: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """The message with its network's file on the board's disk, where the last one stays."""
        size, path = message["network"], "/model.ucorr"
        if self._digest != message["digest"]:
            self.board.exec("_kept = (None, None, None)")
            self.board.write(path, payload[:size])
            self._digest = message["digest"]
        return {**message, "path": path}, payload[size:]


_session: Session | None = None
_turns = Turns()


def ask(message: dict[str, Any], payload: bytes, target: str) -> tuple[dict[str, Any], bytes]:
    """The target's answer; a board of another target is ended, a dead one replaced. raises TargetError"""
    global _session
    with _turns.lock:
        if _session is None or _session.machine.target != target or not _session.alive:
            close()
            try:
                _session = Session(MACHINES[target])
            except (BoardError, BuildError) as error:
                raise TargetError(str(error)) from error
        return _session.ask(message, payload)


def core(target: str) -> str:
    """The core that networks for a board are compiled for."""
    return MACHINES[target].core


@atexit.register
def close() -> None:
    """End the board that is kept, if there is one."""
    global _session
    if _session is not None:
        _session.close()
        _session = None


def _forked() -> None:
    """In a forked process: the board is the other's. Its port is closed without a word on the line."""
    global _session
    if _session is not None:
        _session.emulator.close()
        _session = None


os.register_at_fork(after_in_child=_forked)
