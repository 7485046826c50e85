"""The board as a tool: a port is MicroPython or refused, code and bytes go both ways, files are kept."""

import time

import pytest
from commands import assert_one_sentence, command
from serial_board import MutePort, serial_board_fixture  # noqa: F401
from ucorr_tools.boards.board import Board, BoardError


@pytest.mark.parametrize(
    ("noise", "reason"), [(b"", "says nothing"), (b"temp=21.5\r\n>>> ", "prints, but not MicroPython's prompt")]
)
def test_a_port_without_micropython_is_refused_in_15_seconds(noise, reason):
    started = time.monotonic()
    with MutePort(noise) as mute:
        result = command("ucorr", "deploy", "--port", mute.port)
    assert time.monotonic() - started < 15
    assert_one_sentence(result, mute.port, reason)


def test_what_is_no_port_is_refused(tmp_path):
    with pytest.raises(BoardError, match=r"^there is no port /dev/nowhere$"):
        Board("/dev/nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(BoardError, match=r"is no serial port$"):
        Board(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("micropython", (1, 22, 2), r"runs MicroPython 1\.22\.2; ucorr needs 1\.23 or later"),
        ("circuitpython", (9, 2, 0), "runs circuitpython, not MicroPython"),
    ],
)
def test_firmware_that_ucorr_does_not_run_on_is_refused(serial_board, name, version, sentence):
    posing = f"class Sys:\n    implementation = ({name!r}, {version})\n    platform = 'rp2'\n"
    with Board(serial_board.port) as board:
        board.write("/boot.py", f"import sys\n{posing}sys.modules['sys'] = Sys\n".encode())
    with pytest.raises(BoardError, match=sentence):
        Board(serial_board.port, soft_reset=True)


def test_an_exception_on_the_board_is_one_sentence_with_the_traceback_kept(serial_board):
    with Board(serial_board.port) as board:
        with pytest.raises(BoardError, match=r"^running code on the board raised ValueError: no$") as caught:
            board.exec("def f():\n    raise ValueError('no')\nf()")
        assert "line 2, in f" in caught.value.traceback
        assert board.exec("print('on')") == "on\n"


def test_code_past_its_time_limit_is_stopped_and_the_board_goes_on(serial_board):
    with Board(serial_board.port) as board:
        with pytest.raises(BoardError, match=r"running code took longer than 0\.5 s"):
            board.exec("while True: pass", seconds=0.5)
        assert board.eval("6 * 7") == 42


@pytest.mark.parametrize(("prints", "reason"), [("pass", "says nothing"), ("print('busy')", "prints, but not")])
def test_a_board_in_a_loop_that_ignores_ctrl_c_is_refused_in_15_seconds(serial_board, prints, reason):
    ignoring = f"""while True:
    try:
        while True: {prints}
    except BaseException: pass
"""
    with Board(serial_board.port) as board, pytest.raises(BoardError, match=r"longer than 0\.5 s"):
        board.exec(ignoring, seconds=0.5, on_output=lambda data: None)
    started = time.monotonic()
    result = command("ucorr", "deploy", "--port", serial_board.port)
    assert time.monotonic() - started < 15
    assert_one_sentence(result, serial_board.port, reason)


def test_buffers_travel_both_ways(serial_board):
    data = bytes(range(256)) * 9 + b"odd"
    with Board(serial_board.port) as board:
        board.send("x", data)
        assert board.fetch("x") == data
        assert board.fetch("x[3:-1]") == data[3:-1]
        assert board.fetch("__import__('array').array('h', [1, -2])") == b"\x01\x00\xfe\xff"
        assert board.fetch("b''") == b""


def test_output_can_be_followed_as_it_comes(serial_board):
    heard = []
    with Board(serial_board.port) as board:
        board.exec("for i in range(3): print(i)", on_output=heard.append)
    assert b"".join(heard).split() == [b"0", b"1", b"2"]


def test_files_can_be_read_and_removed(serial_board):
    with Board(serial_board.port) as board:
        board.write("/old", b"old")
        assert (board.tree("/"), board.read("/old")) == ({"old": 3}, b"old")
        board.remove("/old")
        assert board.listdir("/") == {}
        with pytest.raises(BoardError, match=r"removing /old failed: No such file"):
            board.remove("/old")


def test_free_space_is_never_more_than_there_is(serial_board, monkeypatch):
    with Board(serial_board.port) as board:
        assert board.free() == (254 * 4096, 4096)
        wrapped = (4096, 4096, 256, 2**32 - 1, 2**32 - 1, 0, 0, 0, 0, 255)
        monkeypatch.setattr(board, "eval", lambda expression: wrapped)
        assert board.free() == (0, 4096)
