"""A deploy with a fault at each of its steps, on a real MicroPython: what stands on the board afterwards is the
old version or the new one, or its import says that it is half deployed; and deploying again repairs it."""

import itertools
import multiprocessing
import random
import signal
import struct
import time
from types import SimpleNamespace

import pytest
from disturbed_deploy import at_step, signalled_command
from mpremote.transport_serial import SerialTransport
from serial_board import SerialBoard
from small_package import NEW, NEW_WHOLE, OLD, OLD_WHOLE, imported_anew, temporaries
from ucorr_tools.boards.board import Board, BoardError
from ucorr_tools.boards.deploy import MANIFEST, deploy
from ucorr_tools.boards.transfer import TEMPORARY

BLOCKS = 40
ROOT = "/lib/ucorr"


@pytest.fixture(scope="module")
def flashes(tmp_path_factory):
    """{what was deployed: the bytes of a flash with it}."""
    made = {}
    for name, package in (("nothing", None), ("old", OLD)):
        board = SerialBoard(tmp_path_factory.mktemp(name), BLOCKS, mtime=False).start()
        if package:
            with Board(board.port) as connected:
                deploy(connected, package=package)
        board.kill()
        made[name] = board.flash.read_bytes()
    return made


@pytest.fixture
def small_board(tmp_path):
    board = SerialBoard(tmp_path / "board", BLOCKS, tmp_path / "journal", mtime=False).start()
    yield board
    board.kill()


def deploy_new(port):
    with Board(port) as board:
        return deploy(board, package=NEW)


def sentence_of(run, *arguments):
    """Run what may fail with a BoardError or an interrupt alone: what it said, "" when all went well."""
    said = ""
    try:
        run(*arguments)
    except BoardError as error:
        said = str(error) or "?"
    except KeyboardInterrupt:
        said = "interrupted"
    assert "\n" not in said
    return said


def disturbed_deploys(board, flash, **fault):
    """What each deploy said that had the fault of at_step() at its first step, its second, … its last."""
    for number in itertools.count():
        board.restart(flash)
        with at_step(number, **fault) as seen:
            said = sentence_of(deploy_new, board.port)
        if len(seen) <= number:
            assert (said, number > 100) == ("", True)
            return
        yield said


class Judge:
    """Looks at what a fault left behind.

    before  what was deployed before the fault, "nothing" or "old"
    strays  whether files may stay whose names the fault made up
    .seen   what stood each time: the versions that whole() tells, or None
    """

    def __init__(self, before, strays=False):
        self.before, self.strays, self.seen, self.known = before, strays, [], set()

    def assert_so(self, said, board):
        """One version imports on the board or none, as was said; deploying again gives the new one and nothing
        else. That is done once on flashes with equal bytes, however often they are met."""
        stands = imported_anew(board)
        old = OLD_WHOLE if self.before == "old" else None
        if not said:
            possible = [NEW_WHOLE]
        elif "still is" in said or "is not installed" in said:
            possible = [old]
        else:
            possible = [old, None, NEW_WHOLE]
        assert stands in possible, said
        self.seen.append(stands)

    def assert_repairable(self, said, board, flash):
        if (flash, not said) not in self.known:
            self.known.add((flash, not said))
            again = deploy(board, package=NEW)
            assert said or not again.copied + again.removed
            files = set(board.tree("/"))
            expected = {f"lib/ucorr/{name}" for name in (*NEW, MANIFEST)}
            strays = files - expected
            assert expected <= files
            assert not strays or self.strays
            ours = [name for name in strays if name.startswith((f"{ROOT}/"[1:], f"{ROOT}{TEMPORARY}/"[1:]))]
            assert not any(name.endswith((".py", ".mpy", TEMPORARY)) for name in ours)
            assert imported_anew(board) == NEW_WHOLE

    def connect(self, said, serial_board):
        """Judge a board as it runs."""
        with Board(serial_board.port) as board:
            self.assert_so(said, board)
            self.assert_repairable(said, board, serial_board.flash.read_bytes())

    def power_on(self, said, serial_board):
        """Judge a board from its flash alone."""
        serial_board.kill()
        flash = serial_board.flash.read_bytes()
        serial_board.start()
        with Board(serial_board.port) as board:
            self.assert_so(said, board)
            self.assert_repairable(said, board, flash)


@pytest.mark.parametrize("before", ["nothing", "old"])
def test_power_lost_at_any_write_to_the_flash_leaves_one_version_or_none(small_board, flashes, before):
    small_board.restart(flashes[before])
    with open(small_board.journal, "rb") as journal:
        journal.seek(0, 2)
        deploy_new(small_board.port)
        small_board.kill()
        writes = journal.read()
    flash, at, judge = bytearray(flashes[before]), 0, Judge(before)
    while at < len(writes):
        address, size = struct.unpack_from("<II", writes, at)
        at += 8 + size
        for part in (size // 2, size):  # a write may be cut in its middle
            flash[address : address + part] = writes[at - size : at - size + part]
            small_board.flash.write_bytes(flash)
            judge.power_on("power lost", small_board)
    order = [OLD_WHOLE if before == "old" else None, None, NEW_WHOLE]
    assert judge.seen == sorted(judge.seen, key=order.index)
    assert set(judge.seen) == set(order)


def test_a_board_killed_at_any_step_holds_one_version_or_none(small_board, flashes):
    def kill(line, data):
        small_board.kill()
        return data

    judge = Judge("old")
    for said in disturbed_deploys(small_board, flashes["old"], before=kill):
        judge.power_on(said, small_board)
    assert {NEW_WHOLE, OLD_WHOLE} == set(judge.seen)


def test_a_cable_pulled_at_any_step_leaves_one_version_or_none(small_board, flashes):
    def replug(line, data):
        small_board.replug()
        return data

    judge = Judge("old")
    for said in disturbed_deploys(small_board, flashes["old"], before=replug):
        judge.connect(said, small_board)
    assert {NEW_WHOLE, OLD_WHOLE} <= set(judge.seen)


def test_ctrl_c_at_any_step_leaves_one_version_or_none_and_a_free_port(small_board, flashes):
    def interrupt():
        raise KeyboardInterrupt

    judge = Judge("old")
    for said in disturbed_deploys(small_board, flashes["old"], after=interrupt):
        assert said == "interrupted"
        judge.connect(said, small_board)
    assert {NEW_WHOLE, OLD_WHOLE} <= set(judge.seen)


def ended_command(board, number, sent, said):
    """The exit status of `ucorr deploy` that gets a signal at a step."""
    # forked from a process without threads
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["disturbed_deploy", "ucorr_tools.boards.board", "rich.progress", "ucorr_host"])
    process = server.Process(target=signalled_command, args=(board.port, NEW, number, sent, said))
    process.start()
    process.join(60)
    return process.exitcode


def test_the_command_killed_at_any_step_leaves_one_version_or_none(small_board, flashes, tmp_path):
    judge = Judge("old")
    for number in itertools.count():
        small_board.restart(flashes["old"])
        status = ended_command(small_board, number, signal.SIGKILL, tmp_path / "said")
        if status == 0:
            break
        assert status == -signal.SIGKILL
        judge.connect("killed", small_board)
    assert {NEW_WHOLE, OLD_WHOLE} <= set(judge.seen)


def test_the_command_interrupted_says_so_and_cleans_up(small_board, flashes, tmp_path):
    small_board.restart(flashes["old"])
    assert ended_command(small_board, 60, signal.SIGINT, tmp_path / "said") == 1
    assert (tmp_path / "said").read_text().strip() == "Aborted!"
    with Board(small_board.port) as board:
        assert temporaries(board) == []
        assert imported_anew(board) == OLD_WHOLE


FILL = """
def fill():
    import os
    for blocks in range(os.statvfs('/')[3], 0, -1):
        try:
            with open('/filler', 'wb') as filler:
                for part in range(blocks):
                    filler.write(bytes(4000))
            break
        except OSError:
            pass
fill()
"""


@pytest.mark.parametrize("before", ["nothing", "old"])
def test_a_flash_full_from_any_command_on_holds_one_version_or_none(small_board, flashes, monkeypatch, before):
    real = SerialTransport.exec_raw
    judge = Judge(before)
    for number in itertools.count():
        counted = itertools.count()

        def exec_raw(transport, command, number=number, counted=counted, **options):
            if next(counted) == number:
                assert real(transport, FILL, timeout=None) == (b"", b"")
            return real(transport, command, **options)

        small_board.restart(flashes[before])
        with monkeypatch.context() as patch:
            patch.setattr(SerialTransport, "exec_raw", exec_raw)
            said = sentence_of(deploy_new, small_board.port)
        if next(counted) <= number:
            break
        with Board(small_board.port) as board:
            judge.assert_so(said, board)
            board.remove("/filler")
            judge.assert_repairable(said, board, small_board.flash.read_bytes())
    assert {NEW_WHOLE, OLD_WHOLE if before == "old" else None} <= set(judge.seen)


@pytest.mark.parametrize("before", ["nothing", "old"])
def test_a_byte_changed_on_its_way_at_any_step_is_told_or_does_no_harm(small_board, flashes, monkeypatch, before):
    within, chance = Board._within, random.Random(1)
    patience = []

    def flip(line, data):
        # what then waits for an answer that doesn't come need not do so for long
        line.deadline = time.monotonic() + 0.08
        patience.append(1)
        at = chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]

    def limited(board, seconds, doing):
        return within(board, min(seconds, *patience, 60), doing)

    monkeypatch.setattr(Board, "_within", limited)
    # mpremote's pauses for boards without flow control, which a pseudo terminal has
    hurried = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None)
    monkeypatch.setattr("mpremote.transport_serial.time", hurried)
    judge = Judge(before, strays=True)
    for said in disturbed_deploys(small_board, flashes[before], before=flip):
        patience.clear()
        judge.power_on(said, small_board)


def test_a_byte_changed_in_the_command_that_commits_is_told_or_does_no_harm(small_board, flashes, monkeypatch):
    real, judge, chance = SerialTransport.exec_raw, Judge("old", strays=True), random.Random(1)
    for at in range(0, 1000, 7):
        lengths = []

        def exec_raw(transport, command, at=at, lengths=lengths, **options):
            if "os.rename" in command and "guard" in command:
                lengths.append(len(command))
                command = command[:at] + chr(ord(command[at]) ^ 1 << chance.randrange(7)) + command[at + 1 :]
            return real(transport, command, **options)

        small_board.restart(flashes["old"])
        with monkeypatch.context() as patch:
            patch.setattr(SerialTransport, "exec_raw", exec_raw)
            said = sentence_of(deploy_new, small_board.port)
        judge.power_on(said, small_board)
        if at + 7 >= lengths[0]:
            break
    assert OLD_WHOLE in judge.seen


@pytest.mark.parametrize("mpy", [False, True])
def test_a_byte_changed_at_rest_in_any_file_is_found_and_that_file_alone_replaced(small_board, mpy):
    with Board(small_board.port) as board:
        deploy(board, package=NEW, mpy=mpy)
        good = {name: board.read(f"{ROOT}/{name}") for name in board.tree(ROOT)}
        for name, data in good.items():
            for at in range(0, len(data), 1 + len(data) // 4):
                board.write(f"{ROOT}/{name}", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
                report = deploy(board, package=NEW, mpy=mpy)
                assert (report.copied, report.removed) == ([name], [])
                assert board.read(f"{ROOT}/{name}") == data
        assert imported_anew(board) == NEW_WHOLE
