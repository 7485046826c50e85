"""Conversations with an emulated board: ctrl-C, threads, and what is left when its process is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import ucorr
from ucorr_host import TargetError, simulate
from ucorr_tools.boards.board import Board, BoardError
from ucorr_tools.qemu import emulator as emulators
from ucorr_tools.qemu import targets
from ucorr_tools.qemu.emulator import Emulator
from ucorr_tools.qemu.machines import MACHINES

TARGET = "qemu-m4"
SECONDS = 20  # for a process to end


def right(number: int) -> bool:
    """Whether a layer of its own weights, all of one shape, gets its own answer."""
    rng = np.random.default_rng(number)
    kernel, x = rng.integers(-128, 128, (3, 8)), rng.integers(-128, 128, 8, np.int8)
    result = simulate(ucorr.Dense(kernel.tolist()), x, TARGET)
    return result.output.tolist() == (kernel @ x.astype(np.int64)).tolist()


def test_threads_get_their_own_answers_and_an_interrupted_question_ends_the_board(monkeypatch):
    try:
        together = threading.Barrier(4)

        def ask(first: int) -> list[bool]:
            together.wait()
            return [right(first + n) for n in range(0, 12, 4)]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(4))) == [[True] * 3] * 4
        session = targets._session
        fetch = Board.fetch

        def interrupted(*_, **__):
            monkeypatch.setattr(Board, "fetch", fetch)
            raise KeyboardInterrupt

        monkeypatch.setattr(Board, "fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            right(12)
        assert not session.alive

        def another(machine):
            raise BoardError(f"another {machine.target}")

        monkeypatch.setattr(targets, "Session", another)
        with pytest.raises(TargetError, match=f"another {TARGET}"):
            right(13)
    finally:
        targets.close()


def test_a_board_more_than_may_run_waits_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr(emulators, "cache", lambda: tmp_path)
    monkeypatch.setattr(emulators, "BOARDS", 2)
    monkeypatch.setattr(emulators, "WAIT_SECONDS", 0.5)
    with Emulator(MACHINES[TARGET]), Emulator(MACHINES["qemu-rv32"]) as second:
        with pytest.raises(BoardError, match=r"^2 emulated boards have run for 0\.5 s, wanted one of them to end$"):
            Emulator(MACHINES[TARGET]).start()
        second.close()
        with Emulator(MACHINES[TARGET]) as third:
            assert third.running


PARENT = """
import sys
from ucorr_tools.qemu.emulator import Emulator
from ucorr_tools.qemu.machines import MACHINES
emulator = Emulator(MACHINES[sys.argv[1]]).start()
emulator.connect().close()
print(emulator._child.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("target", "how"), [(TARGET, signal.SIGKILL), ("qemu-rv32", signal.SIGTERM)])
def test_a_board_ends_with_its_parent_and_leaves_nothing(tmp_path, target, how):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        handle = os.pidfd_open(int(process.stdout.readline()))
        assert list(tmp_path.iterdir()) == []
        process.send_signal(how)
        assert select.select([handle], [], [], SECONDS)[0], "the board outlived its parent"
        os.close(handle)
        assert process.wait(SECONDS) == -how
    assert list(tmp_path.iterdir()) == []
