"""What is in the way of a deploy, what belongs to somebody else, and which file `import ucorr` takes in the end."""

from __future__ import annotations

import json
from functools import partial

import pytest
from commands import assert_one_sentence, here
from hypothesis import example, given, settings
from hypothesis import strategies as st
from serial_board import SerialBoard, serial_board_fixture  # noqa: F401
from small_package import NEW, NEW_WHOLE, OLD, OLD_WHOLE, temporaries, whole, whole_or_refused
from ucorr_tools.boards import deploy as deploying
from ucorr_tools.boards.board import Board, BoardError
from ucorr_tools.boards.deploy import GUARD, MANIFEST, deploy
from ucorr_tools.boards.deploy_model import Model, deploy_model, told
from ucorr_tools.boards.resolve import resolved, search
from ucorr_tools.boards.transfer import TEMPORARY, tidy
from ucorr_tools.shipped import digits

MODEL = Model("digits.tflite", digits.network(), None)
PLACE = "/digits.ucorr"
ROOT = "/lib/ucorr"


@pytest.fixture(scope="module")
def flashes(tmp_path_factory):
    """{what is on it: the bytes of a flash}: nothing, or the old version and a model."""
    serial_board = SerialBoard(tmp_path_factory.mktemp("old") / "board").start()
    made = {"nothing": serial_board.flash.read_bytes()}
    with Board(serial_board.port) as board:
        deploy_model(board, MODEL, package=OLD)
    serial_board.kill()
    return {**made, "old": serial_board.flash.read_bytes()}


def put(board, path, kind):
    """Make a file or a directory with a file in it in place of what is at a path."""
    tidy(board, [path])
    board.makedirs(path.rpartition("/")[0] or "/" if kind == "file" else path)
    board.write(path if kind == "file" else f"{path}/mine", b"mine")


# What is in the way

FILES = [f"{ROOT}/{name}" for name in (*NEW, MANIFEST)] + [PLACE, "/main.py"]
IN_THE_WAY = (
    [(path + ending, "directory") for path in FILES for ending in ("", TEMPORARY)]
    + [(f"{ROOT}/{GUARD}{TEMPORARY}", "directory")]
    + [(path, "file") for path in ("/lib", ROOT, ROOT + TEMPORARY, f"{ROOT}/sub")]
)


def test_what_is_in_the_way_is_told_before_anything_is_changed(serial_board, flashes):
    serial_board.restart(flashes["old"])
    with Board(serial_board.port) as board:
        for number, (path, kind) in enumerate(IN_THE_WAY):
            was = {
                name: board.read(name)
                for name in (f"/{n}" for n in board.tree("/"))
                if f"{name}/".startswith(f"{path}/")
            }
            put(board, path, kind)
            before = serial_board.flash.read_bytes()
            options = ({}, {"dry_run": True}, {"force": True})[number % 3]
            work = partial(deploy, board) if path.startswith("/lib") else partial(deploy_model, board, MODEL)
            wanted = "file" if kind == "directory" else "directory"
            sentence = (
                rf"^{path} is a {kind} on the board on \S+, wanted a {wanted}; nothing was changed: move or remove"
            )
            with pytest.raises(BoardError, match=sentence):
                work(package=NEW, **options)
            assert serial_board.flash.read_bytes() == before
            tidy(board, [path])
            for name, data in was.items():
                board.makedirs(name.rpartition("/")[0] or "/")
                board.write(name, data)
        assert whole(board) == OLD_WHOLE
        deploy_model(board, MODEL, package=NEW)
        assert whole(board) == NEW_WHOLE


@pytest.mark.parametrize("mpy", [False, True])
def test_a_directory_that_would_be_imported_as_a_module_is_told(serial_board, flashes, mpy):
    serial_board.restart(flashes["old"])
    with Board(serial_board.port) as board:
        put(board, f"{ROOT}/fresh", "directory")
        before = serial_board.flash.read_bytes()
        with pytest.raises(
            BoardError, match=rf"^{ROOT}/fresh is a directory .*; nothing was changed: move it, or --force"
        ):
            deploy(board, package=NEW, mpy=mpy)
        assert serial_board.flash.read_bytes() == before
        assert deploy(board, package=NEW, mpy=mpy, force=True).forced == ["fresh/mine"]
        assert "fresh" not in board.walk(ROOT)
        assert whole(board) == NEW_WHOLE
        assert board.eval("__import__('ucorr.fresh').fresh.VERSION") == "2"


def test_an_empty_directory_of_an_older_version_goes_before_a_module_of_its_name(serial_board, flashes):
    package = {**NEW, "left.py": NEW["a.py"]}
    serial_board.restart(flashes["old"])
    with Board(serial_board.port) as board:
        deploy(board, package=package)
        assert board.eval("__import__('ucorr.left').left.VERSION") == "2"
        board.remove(f"{ROOT}/left.py")
        board.makedirs(f"{ROOT}/left")
        deploy(board, package=package)
        assert "left" not in board.walk(ROOT)


# Whose files these are

THEIRS = {"notes.txt": b"", "own.py": b"print('mine')\n", "sub/own.mpy": b"mine", "data/a": b"1", "own.tmp": b""}


@pytest.mark.parametrize("mpy", [False, True])
def test_files_of_a_user_are_named_and_kept_unless_forced(serial_board, mpy):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD, mpy=not mpy)
        board.makedirs(f"{ROOT}/data")
        for name, data in THEIRS.items():
            board.write(f"{ROOT}/{name}", data)
        for dry_run in (True, False, True, False):
            report = deploy(board, package=NEW, mpy=mpy, dry_run=dry_run)
            assert (report.kept, report.forced) == (sorted(THEIRS), [])
            assert "\nkept, not ucorr's: data/a, notes.txt, own.py, own.tmp, sub/own.mpy: --force" in report.summary()
        assert {name: board.read(f"{ROOT}/{name}") for name in THEIRS} == THEIRS
        assert whole(board) == NEW_WHOLE
        would = deploy(board, package=NEW, mpy=mpy, dry_run=True, force=True)
        did = deploy(board, package=NEW, mpy=mpy, force=True)
        for report, said in ((would, "would remove"), (did, "removed")):
            assert (report.kept, report.forced, report.removed) == ([], sorted(THEIRS), sorted(THEIRS))
            assert report.summary().endswith(f"\n{said}, not ucorr's: data/a, notes.txt, own.py, own.tmp, sub/own.mpy")
        assert {MANIFEST, "sub"} <= set(board.walk(ROOT))
        assert not {*THEIRS, "data"} & set(board.walk(ROOT))
        assert whole(board) == NEW_WHOLE


def test_the_command_names_them_and_takes_force(serial_board):
    words = ["deploy", "--port", serial_board.port]
    with Board(serial_board.port) as board:
        board.makedirs(ROOT)
        board.write(f"{ROOT}/own.py", b"")
        board.write(f"{ROOT}/two\nlines", b"")
    dry = here(*words, "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()[-1]) == (
        0,
        r"kept, not ucorr's: own.py, 'two\nlines': --force removes them",
    )
    forced = json.loads(here(*words, "--dry-run", "--force", "--json").stdout)
    assert (forced["forced"], forced["kept"]) == (["own.py", "two\nlines"], [])


@pytest.mark.parametrize(("before", "cuts"), [("nothing", (-1, 0, 1)), ("old", (-1, 0, 2, 5, 8))])
def test_what_an_interrupted_deploy_of_another_version_left_is_ours(serial_board, flashes, monkeypatch, before, cuts):
    """Cut while copying and at each step of the commit, then another version: nothing of the first is left or kept."""
    third = {**NEW, "third.py": NEW["a.py"], "more/third.py": NEW["a.py"]}
    real = deploying._commit
    for done in cuts:

        def cut(board, root, steps, done=done):
            real(board, root, steps[: max(done, 0)])
            raise KeyboardInterrupt

        def vanish(name, so_far, total, done=done):
            if done < 0 and name == "third.py":
                serial_board.kill()

        serial_board.restart(flashes[before])
        with Board(serial_board.port) as board, monkeypatch.context() as patch:
            patch.setattr(deploying, "_commit", cut)
            with pytest.raises((KeyboardInterrupt, BoardError)):
                deploy(board, package=third, progress=vanish)
        with Board(serial_board.restart().port) as board:
            report = deploy(board, package=NEW)
            assert (report.kept, report.forced) == ([], [])
            assert set(board.tree(ROOT)) == {*NEW, MANIFEST}
            assert temporaries(board) == []
            assert whole(board) == NEW_WHOLE


def test_leftovers_of_another_models_deploy_go(serial_board):
    with Board(serial_board.port) as board:
        for name in ("other.ucorr.tmp", "main.py.tmp", "mine.tmp"):
            board.write(f"/{name}", b"")
        told(board, None, False, dry_run=True, package=NEW)
        assert sorted(board.listdir("/")) == ["main.py.tmp", "mine.tmp", "other.ucorr.tmp"]
        told(board, None, False, package=NEW)
        assert sorted(board.listdir("/")) == ["lib", "mine.tmp"]


# Which file is imported

CANDIDATES = [
    f"{place}/probe{form}"
    for place in ("", "/lib", "/apps")
    for form in (".py", ".mpy", "/__init__.py", "/__init__.mpy", "/other.py")
]
EMPTY_MPY = bytes([77, 6, 0, 31])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    serial_board = SerialBoard(tmp_path_factory.mktemp("shared") / "board").start()
    with Board(serial_board.port) as board:
        yield board
    serial_board.kill()


@settings(max_examples=40)
@given(st.sets(st.sampled_from(CANDIDATES), max_size=4), st.permutations(["", "/lib", "apps", ".frozen"]))
@example({"/lib/probe/other.py", "/apps/probe.py"}, ["", ".frozen", "/lib", "apps"])
@example({"/probe.py", "/lib/probe/__init__.py"}, ["", ".frozen", "/lib", "apps"])
def test_the_file_is_the_one_that_micropython_imports(shared, files, path):
    shared.exec(
        "import sys, os\ndef clear(path):\n for e in os.ilistdir(path):\n  p = path + '/' + e[0]\n"
        "  if e[1] & 0x4000:\n   clear(p); os.rmdir(p)\n  else: os.remove(p)\nclear('')"
    )
    shared.exec(f"sys.path[:] = {path}\nsys.modules.pop('probe', None)")
    for name in sorted(files):
        shared.makedirs(name.rpartition("/")[0] or "/")
        # a compiled file that is none says which file it is that was taken
        shared.write(name, b"" if name.endswith(".py") else b"no code")
    found = resolved(shared, "probe")
    assert shared.eval("'probe' in sys.modules") is False
    if found is None or found.endswith(".mpy"):
        with pytest.raises(BoardError, match="no module named 'probe'" if found is None else "incompatible .mpy file"):
            shared.exec("import probe")
        return
    file = shared.eval("getattr(__import__('probe'), '__file__', None)")
    assert found == f"/{file.lstrip('/')}" if file else found.endswith("probe/")


def test_what_is_in_the_firmware_is_found_where_it_is_looked_up(shared):
    shared.exec("import sys\nsys.path[:] = ['', '.frozen', '/lib']")
    (frozen,) = [name for name in ("argparse",) if resolved(shared, name)]
    assert resolved(shared, frozen).endswith(" in the firmware")
    assert resolved(shared, "sys") == "sys in the firmware"
    assert [place for place, _ in search(shared, frozen)] == ["/", ".frozen", "/lib"]
    assert shared.eval("'argparse' in sys.modules") is False


@pytest.mark.parametrize("shadow", ["/ucorr.py", "/ucorr.mpy", "/ucorr/__init__.py", "/ucorr/notes.txt"])
def test_a_file_that_is_imported_instead_fails_the_deploy(serial_board, shadow):
    taken = "/ucorr/" if shadow.endswith(".txt") else shadow
    sentence = rf"takes {taken} for `import ucorr`, not /lib/ucorr: remove or rename it$"
    with Board(serial_board.port) as board:
        board.makedirs(shadow.rpartition("/")[0] or "/")
        board.write(shadow, b"open('/ran', 'w').close()\n")
        for dry_run in (True, False):
            with pytest.raises(BoardError, match=sentence):
                deploy(board, package=NEW, dry_run=dry_run)
            assert ("__init__.py" in board.listdir(ROOT)) == (not dry_run)
        assert "ran" not in board.listdir("/")
        board.remove(shadow)
        board.exec("import os\nif 'ucorr' in os.listdir('/'): os.rmdir('/ucorr')")
        assert deploy(board, package=NEW).package == f"{ROOT}/__init__.py"
        assert whole(board) == NEW_WHOLE


def test_the_commands_tell_which_file_is_imported(serial_board):
    with Board(serial_board.port) as board:
        deploy(board)
    words = ["--port", serial_board.port]
    backend = ["verify", *words, "--backend", "portable"]
    assert json.loads(here("info", *words, "--json").stdout)["package"] == f"{ROOT}/__init__.py"
    nothing = here("verify", *words, "--backend", "thumb")
    assert_one_sentence(nothing, "nothing ran on thumb (NotImplementedError: not a Cortex-M board)")
    both = here(*backend, "--backend", "thumb", "--json")
    assert_one_sentence(both, "nothing ran on thumb (NotImplementedError: not a Cortex-M board)")
    found = json.loads(both.stdout)
    assert (found["package"], {row["equal"] for row in found["rows"]}) == (f"{ROOT}/__init__.py", {True})
    with Board(serial_board.port) as board:
        board.write("/ucorr.py", b"")
    assert_one_sentence(here("deploy", *words), "takes /ucorr.py for `import ucorr`, not /lib/ucorr")
    assert_one_sentence(here("verify", *words), "can't import ucorr (ImportError", "of which it takes /ucorr.py")
    found = json.loads(here("info", *words, "--json").stdout)
    assert (found["package"], found["ucorr"][:6]) == ("/ucorr.py", "none (")


def test_a_target_outside_of_sys_path_is_told(serial_board):
    with Board(serial_board.port) as board:
        report = deploy(board, package=NEW, target="/apps")
        assert (report.package, whole_or_refused(board)) == (None, None)
        assert report.summary().endswith("\n`import ucorr` does not find it: /apps is not in the board's sys.path")
        deploy(board, package=OLD)
        with pytest.raises(BoardError, match=r"takes /lib/ucorr/__init__.py for `import ucorr`, not /apps/ucorr"):
            deploy(board, package=NEW, target="/apps")
