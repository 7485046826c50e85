"""Names of any letters on a real MicroPython: what reaches a board is the string that was meant, and no code."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from commands import assert_one_sentence, command, here
from hypothesis import example, given, settings
from hypothesis import strategies as st
from serial_board import SerialBoard, serial_board_fixture  # noqa: F401
from small_package import OLD
from ucorr_tools.boards import board as board_module
from ucorr_tools.boards.board import Board, BoardError
from ucorr_tools.boards.board_files import board_path, literal
from ucorr_tools.boards.deploy import deploy
from ucorr_tools.boards.deploy_model import Model, deploy_model
from ucorr_tools.boards.transfer import TEMPORARY, commit, tidy
from ucorr_tools.boards.verify_model import SAMPLES
from ucorr_tools.qemu.firmware import cache
from ucorr_tools.shipped import digits

ROOT = Path(__file__).resolve().parent.parent
MODEL = str(digits.DATA / "digits.tflite")

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.text(
    "'\"\\\n\r\t\0\x7f\x85{}éx", max_size=12
)
plain = st.recursive(
    text | st.binary(max_size=20) | st.integers(-(2**70), 2**70) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=8,
)
# what an LFS2 name can have: anything but "/" and NUL
names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=20)
HOSTILE = (
    "it's",
    'a "model"',
    "');__import__('os').remove('witness');('",
    '");__import__("os").remove("witness");("',
    "back\\slash\\",
    "two\nlines\r\t",
    "\x01\x04\x7f",
    "{0} {path} %s",
    "modèle \N{GRINNING FACE}",
    "no-break\xa0\u202e\u2028",
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A connected board with one file, /witness, and no package."""
    serial_board = SerialBoard(tmp_path_factory.mktemp("shared") / "board").start()
    with Board(serial_board.port) as board:
        board.write("/witness", b"here")
        yield board
    serial_board.kill()


@settings(max_examples=100)
@given(plain)
@example("é\x85")
@example("\n'\"")
def test_a_literal_is_the_value_on_micropython_and_here(shared, value):
    written = literal(value)
    assert written.isprintable()
    assert eval(written) == value
    assert shared.eval(f"({written}) == ({value!r})") is True  # repr: what Python and a whole MicroPython read alike
    shared.exec(f"value = {written}")
    if isinstance(value, str):
        assert shared.eval("value.encode()") == value.encode()


def test_a_literal_of_what_no_board_has_is_refused():
    for value in ("\udcff", ["\ud800"], {"a": "\udfff"}):
        with pytest.raises(
            ValueError, match=r"^'\\ud[c8f][0-9a-f]+': has no UTF-8, wanted a name that a board can hold$"
        ):
            literal(value)
    with pytest.raises(TypeError, match=r"^value: a set, wanted plain values"):
        literal({1})


def use(board, name):
    """Everything that is done with a path, on a file of a name in a directory of it."""
    folder, path = f"/{name}", f"/{name}/{name}"
    assert board.makedirs(folder) == [folder]
    board.write(path, b"data")
    assert board.read(path) == b"data"
    assert board.sha256(path)[:8] == "3a6eb079"
    assert board.walk(folder) == {name: 4}
    assert board.kinds([path, folder]) == {path: "file", folder: "directory"}
    assert board.free(folder)[1] == 4096
    commit(board, f"{folder}/", [(name, name + TEMPORARY)])
    assert board.listdir(folder) == {name + TEMPORARY: 4}
    board.remove(path + TEMPORARY)
    tidy(board, [], [folder])
    assert board.tree("/") == {"witness": 4}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_path_of_any_letters_is_that_path(shared, name):
    use(shared, name)


@settings(max_examples=15)
@given(names.filter(lambda name: name not in (".", "..")))
def test_a_drawn_path_is_that_path(shared, name):
    use(shared, name)


def test_models_of_any_name_arrive_and_run_no_code(serial_board):
    with Board(serial_board.port) as board:
        board.write("/witness", b"here")
        deploy(board, package=OLD)
        for name in HOSTILE:
            model = Model(f"/models/{name}.tflite", digits.network(), None)
            assert deploy_model(board, model, package=OLD, force=True)[1].copied[0] == f"/{name}.ucorr"
            assert board.sha256(f"/{name}.ucorr") == board.sha256("/it's.ucorr")
            called = [node for node in ast.walk(ast.parse(board.read("/main.py"))) if isinstance(node, ast.Call)]
            (load,) = [call for call in called if ast.unparse(call.func) == "ucorr.load"]
            assert eval(ast.unparse(load.args[0])) == f"/{name}.ucorr"
        assert set(board.listdir("/")) == {"witness", "lib", "main.py", *(f"{name}.ucorr" for name in HOSTILE)}


def test_a_model_whose_name_has_no_utf8_is_one_sentence(serial_board, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.tflite"
    Path(os.fsdecode(path)).write_bytes(Path(MODEL).read_bytes())
    before = serial_board.flash.read_bytes()
    for verb in ("deploy", "verify"):
        result = command("ucorr", verb, "--port", serial_board.port, "--model", path)
        assert_one_sentence(result, r"'\udcff.ucorr': has no UTF-8, wanted a name that a board can hold")
    assert_one_sentence(command("ucorr", "info", "--port", b"/dev/\xff"), "there is no port /dev/?")
    assert_one_sentence(
        command("ucorr", "deploy", "--port", "/dev/x", "--target", b"/\xff"), r"'/\udcff': has no UTF-8"
    )
    assert serial_board.flash.read_bytes() == before


def test_a_name_on_the_board_that_has_no_utf8_is_told_and_kept(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        board.exec("open('/lib/ucorr/\\udcff', 'w').close()\nopen('/\\udcff', 'w').close()")
        report = deploy(board, package=OLD)
        assert report.copied == []
        assert [ascii(name) for name in report.kept] == [r"'\udced\udcb3\udcbf'"]
        assert report.summary().endswith(r"kept, not ucorr's: '\udced\udcb3\udcbf': --force removes them")
        with pytest.raises(ValueError, match="has no UTF-8"):
            deploy(board, package=OLD, force=True)


@pytest.mark.parametrize(
    "path", ["", "lib", "./lib", "/../lib", "/lib/..", "~", "~/lib", "C:\\lib", "C:/lib", "\\lib", "/a\0"]
)
def test_a_target_that_is_no_absolute_path_of_the_board_is_refused(path):
    with pytest.raises(ValueError, match=r"^target: .*, wanted an absolute path on the board, such as /lib$"):
        board_path(path, "target")


@pytest.mark.parametrize("path", ["lib", "C:\\lib", ""])
def test_a_wrong_path_on_the_command_line_is_one_sentence(path):
    wanted = "wanted an absolute path on the board, such as /lib"
    result = here("deploy", "--port", "/dev/nowhere", "--target", path)
    assert_one_sentence(result, f"--target: {path!r}, {wanted}")
    result = here("verify", "--port", "/dev/nowhere", "--model", MODEL, "--file", path)
    assert_one_sentence(result, f"--file: {path!r}, {wanted}")


def test_superfluous_slashes_of_a_target_go(serial_board):
    assert [board_path(path, "target") for path in ("/", "//lib//", "/a/b/")] == ["/", "/lib", "/a/b"]
    with Board(serial_board.port) as board:
        assert deploy(board, package=OLD, target="//lib//").target == "/lib"
        assert deploy(board, package=OLD).copied == []
        board.exec("import sys\nsys.path.insert(0, '/')")
        deploy(board, package=OLD, target="/")
        assert "__init__.py" in board.listdir("/ucorr")


@pytest.mark.parametrize("port", ["", "  "])
def test_an_empty_port_is_one_sentence(port):
    wanted = "wanted the name of a serial port, such as /dev/ttyACM0"
    with pytest.raises(BoardError, match=wanted):
        Board(port)
    for words in (["deploy"], ["verify"], ["info"]):
        assert_one_sentence(here(*words, "--port", port), f"--port: {port!r}, {wanted}")
        assert_one_sentence(here(*words, env={"UCORR_PORT": port}), f"UCORR_PORT: {port!r}, {wanted}")
    assert_one_sentence(here("profile", MODEL, "--port", port), f"--port: {port!r}, {wanted}")


# mpremote


def test_of_mpremote_the_raw_repl_is_used_and_nothing_that_builds_code():
    source = Path(board_module.__file__).read_text()
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._transport"
    }
    raw = {"close", "enter_raw_repl", "exec", "exec_raw", "exit_raw_repl", "serial", "use_raw_paste"}
    assert used == raw
    tools = Path(board_module.__file__).parents[1].rglob("*.py")
    assert [
        path.name for path in tools if "import mpremote" in (read := path.read_text()) or "from mpremote" in read
    ] == ["board.py"]


FLOOR = re.search(r'"mpremote>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]


def installed(version):
    """The folder of an mpremote of a version, from the package index unless it was fetched before."""
    folder = cache() / f"mpremote-{version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            words = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                f"{scratch}/made",
                f"mpremote=={version}",
            ]
            subprocess.run([sys.executable, *words], check=True)
            os.rename(f"{scratch}/made", folder)
    return folder


def test_the_oldest_mpremote_that_is_allowed_deploys_and_verifies(serial_board, tmp_path):
    """All other tests have the newest: nothing holds it back when an environment is made."""
    env = {**os.environ, "PYTHONPATH": str(installed(FLOOR))}
    version = "from importlib.metadata import version; print(version('mpremote'))"
    oldest, newest = (command("python", "-c", version, env=each).stdout for each in (env, None))
    assert oldest.startswith(FLOOR)
    assert not newest.startswith(FLOOR)
    shutil.copy(MODEL, tmp_path / "it's.tflite")
    words = ["--port", serial_board.port, "--model", str(tmp_path / "it's.tflite"), "--json"]
    deployed, verified = (command("ucorr", verb, *words, env=env) for verb in ("deploy", "verify"))
    assert [result.stderr for result in (deployed, verified)] == ["", ""]
    assert json.loads(deployed.stdout)["model"]["copied"] == ["/it's.ucorr", "/main.py"]
    assert [row["equal"] for row in json.loads(verified.stdout)["samples"]] == [True] * SAMPLES
    with Board(serial_board.port) as board:  # under the newest one
        assert deploy(board).copied == []
