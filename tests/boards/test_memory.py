"""A Cortex-M0 with 10 to 100 kB of its heap free: what has no room is a MemoryError, and machine code once there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from full_heap import CODE, NETWORK, expected
from ucorr_host.networks.compile import compile
from ucorr_tools.boards.board import Board
from ucorr_tools.boards.deploy import deploy
from ucorr_tools.qemu.emulator import Emulator
from ucorr_tools.qemu.machines import MACHINES

FILE = "/net.ucorr"
RIGHT = {"layer": "thumb", "network": "thumb thumb thumb viper, ram"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(MACHINES["qemu-m0"]) as emulator:
        board = emulator.connect()
        deploy(board, mpy=True)
        board.write(FILE, compile(NETWORK, "cortex-m0plus").to_bytes())
        board.close()
        yield emulator


@pytest.fixture
def board(emulator: Emulator) -> Iterator[Board]:
    board = emulator.connect()
    yield board
    board.close()


@pytest.mark.parametrize(("make", "kilobytes"), [("layer", range(10, 81, 5)), ("network", range(20, 101, 10))])
def test_what_had_no_room_is_machine_code_once_there_is(emulator, board, make, kilobytes):
    right = RIGHT[make], expected(make)
    firsts = []
    for free in kilobytes:
        board.soft_reset()  # nothing is imported
        emulator.mount(board)
        board.exec(f"FILE = {FILE!r}\n{CODE}")
        first, second = board.eval(f"both({make}, {free << 10})")
        assert second == right
        firsts.append(first)
    failed = [first for first in firsts if first[1] != right[1]]
    assert {name for name, _ in failed} == {"MemoryError"}
    assert 0 < len(failed) < len(firsts)
    assert any(said.startswith("backend: 'thumb' has no room" if make == "layer" else "model: ") for _, said in failed)
