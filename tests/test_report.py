"""Several boards at once, and the report of a verification: nothing hidden, everything escaped."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from commands import assert_one_sentence, command
from serial_board import MutePort, SerialBoard
from ucorr_host.problems.named import everything
from ucorr_tools.boards import report
from ucorr_tools.boards.board import Board
from ucorr_tools.boards.deploy import deploy, manifest_digests, package_files


@pytest.fixture
def two_boards(tmp_path):
    """Two boards with ucorr on them."""
    first = SerialBoard(tmp_path / "a", flash_blocks=352).start()  # a Pico's 1,408 kB
    with Board(first.port) as board:
        deploy(board, mpy=True)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = SerialBoard(tmp_path / "b", flash_blocks=352).start()
    yield first, second
    first.kill()
    second.kill()


def test_one_failing_board_does_not_hide_the_others(two_boards):
    first, second = two_boards
    with MutePort() as mute:
        ports = ["--port", first.port, "--port", mute.port, "--port", second.port]
        result = command("ucorr", "deploy", "--mpy", *ports)
        told = command("ucorr", "deploy", "--mpy", "--json", *ports)
        assert_one_sentence(result, "1 of 3 boards failed", mute.port, "says nothing within")
    rows = json.loads(told.stdout)["boards"]
    assert told.returncode == 1
    assert [row["port"] for row in rows] == [first.port, mute.port, second.port]
    assert [("error" in row, row.get("copied")) for row in rows] == [(False, []), (True, None), (False, [])]
    told = [line.partition(":")[0] for line in result.stdout.splitlines()]
    assert told == [first.port, "left as source", second.port, "left as source"]


def test_verify_goes_through_all_boards(two_boards):
    first, second = two_boards
    with Board(second.port) as board:
        board.remove("/lib/ucorr/spec.mpy")
    result = command("ucorr", "verify", "--port", first.port, "--port", second.port)
    assert_one_sentence(result, "1 of 2 boards failed", second.port, "can't import ucorr")
    count = 2 * len(everything())
    assert f"{count} of {count} equal the reference bit for bit" in result.stdout


ON_LINUX = {"thumb": "NotImplementedError: not a Cortex-M board", "viper": "ok", "portable": "ok"}


def test_a_report_tells_board_backends_problems_and_hashes(two_boards, tmp_path):
    first, _ = two_boards
    result = command("ucorr", "verify", "--port", first.port, "--report", str(tmp_path / "r.json"))
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads((tmp_path / "r.json").read_text())
    (board,) = told["boards"]
    assert told["host"]["ucorr"] == board["ucorr"]
    assert board["folder"] == "/lib/ucorr"
    assert (board["board"]["arch"], board["backends"]) == ("x64", ON_LINUX)
    assert [row["problem"] for row in board["rows"] if not row["equal"]] == []
    assert len(board["rows"]) == 2 * len(everything())
    assert {row["name"].rpartition(".")[0] for row in board["files"]} == {name[:-3] for name in package_files()}
    assert {row["manifest"] for row in board["files"]} == {"equal"}
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in board["files"])


def test_a_page_shows_a_damaged_file_and_a_missing_one(two_boards, tmp_path):
    _, second = two_boards
    with Board(second.port) as board:
        deploy(board)  # as source, which a comment does not change
        board.write("/lib/ucorr/version.py", package_files()["version.py"] + b"# <script>\n")
        board.write("/lib/ucorr/own.py", b"")
    result = command("ucorr", "verify", "--port", second.port, "--report", str(tmp_path / "r.html"))
    assert result.returncode == 0
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert re.search(r"<td>version\.py</td><td>[0-9a-f]{64}</td><td class=bad>differs</td>", page)
    assert re.search(r"<td>own\.py</td><td>[0-9a-f]{64}</td><td class=bad>not in the manifest</td>", page)
    assert len(re.findall(r"<td>equal</td>", page)) == 2 * len(everything()) + len(package_files()) - 1
    assert "<script" not in page
    assert "http" not in page


DAMAGED = (b"", b"[1]", b"null", b"\xff", b'{"files": []}', b'{"files": {"spec.py": 3}}', b"[" * 9999)


def test_no_file_of_a_board_prevents_its_report(two_boards, tmp_path):
    first, _ = two_boards
    with Board(first.port) as board:
        for data in DAMAGED:  # a manifest that was cut short
            assert manifest_digests(data) == {}
        board.write("/lib/ucorr/manifest.json", DAMAGED[1])
        board.exec("open('/lib/ucorr/\\udcff', 'w').close()")  # a name that the host can't say
    path = tmp_path / "new" / ".html"
    assert command("ucorr", "verify", "--port", first.port, "--report", str(path)).returncode == 0
    (tmp_path / "full.html").symlink_to("/dev/full")
    words = ["--json", "--backend", "viper", "--report", str(tmp_path / "full.html")]
    told = command("ucorr", "verify", "--port", first.port, *words)
    page = path.read_text()
    assert len(re.findall(r"</td><td class=bad>not in the manifest</td>", page)) == len(package_files()) + 1
    assert r"<td>\udced\udcb3\udcbf</td><td>unknown</td>" in page
    assert len(json.loads(told.stdout)["rows"]) == len(everything())  # nor does a disk that is full lose what was told
    assert_one_sentence(told, "full.html: No space left on device")
    result = command("ucorr", "verify", "--port", "/dev/no", "--report", "/dev/null/x.html")
    assert_one_sentence(result, "there is no port /dev/no; no report: /dev/null/x.html: ")


def test_a_board_that_fails_has_its_place_in_the_report(tmp_path):
    with MutePort() as mute:
        result = command("ucorr", "verify", "--port", mute.port, "--report", str(tmp_path / "r.html"))
        assert_one_sentence(result, "says nothing")
        assert f"Board on {mute.port}" in (tmp_path / "r.html").read_text()
    assert "<p class='bad'>no MicroPython on" in (tmp_path / "r.html").read_text()


def test_what_a_board_says_is_escaped():
    board = {"port": "<p>", "error": "<b>&"}
    page = report.page(report.whole([board]))
    assert "Board on &lt;p&gt;" in page
    assert "&lt;b&gt;&amp;" in page


def test_a_report_in_another_format_is_wrong_usage(tmp_path):
    result = command("ucorr", "verify", "--port", "/dev/nowhere", "--report", str(tmp_path / "r.pdf"))
    assert result.returncode == 2
    assert "ends in .json or .html" in result.stderr
