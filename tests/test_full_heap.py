"""What fails for want of room, for a disk's error or for Ctrl-C is that error, and goes well the next time.

On unix MicroPython with a small heap, from source; tests/boards/test_memory.py does the same on a Cortex-M0.
"""

from __future__ import annotations

import ast
import re
import subprocess
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import ucorr
import ucorr.network
import ucorr.steps
from full_heap import CODE, NETWORK, X, expected
from ucorr_host.networks.compile import compile
from ucorr_host.targets.micropython import executable, package_dir

HEAP = "400k"
VIPER = {"layer": "viper", "op": "viper", "network": "viper viper viper viper, ram"}
STREAMED = "viper viper viper viper, stream"
NO_ROOM = r"backend: 'viper' has no room \(memory allocation failed.*\), wanted more, or another backend"


@pytest.fixture
def on_micropython(tmp_path):
    """The values of the lines that code prints, run behind full_heap.CODE with so much heap."""
    (tmp_path / "net.ucorr").write_bytes(compile(NETWORK, "any").to_bytes())

    def run(code: str, heap: str = HEAP) -> list[Any]:
        (tmp_path / "case.py").write_text(
            f"import sys\nPACKAGE = {str(package_dir().parent)!r}\nsys.path[:] = [PACKAGE]\n"
            f"FILE = {str(tmp_path / 'net.ucorr')!r}\n{CODE}\n{code}"
        )
        command = [executable(), "-X", f"heapsize={heap}", str(tmp_path / "case.py")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [ast.literal_eval(line) for line in done.stdout.splitlines()]

    return run


@pytest.mark.parametrize("make", ["layer", "op", "network"])
def test_what_has_no_room_is_a_memory_error_and_goes_well_once_there_is(on_micropython, make):
    right = VIPER[make], expected(make)
    end, step = (110000, 3716) if make == "op" else (200000, 7432)  # an operator needs less
    rows = on_micropython(f"for free in range(20000, {end}, {step}):\n    drop()\n    print(both({make}, free))\n")
    failed = [first for first, _ in rows if first[1] != right[1]]
    assert {first[0] for first in failed} == {"MemoryError"}
    assert [second for _, second in rows] == [right] * len(rows)
    assert {first[0] for first, _ in rows if first[1] == right[1]} <= {right[0], STREAMED}
    assert len(rows) / 4 < len(failed) < len(rows) - 1
    if make != "op":  # whose own module takes more room than its backend
        assert any(re.search(NO_ROOM, said) for _, said in failed)


def test_a_network_is_streamed_before_it_is_given_up(on_micropython):
    rows = on_micropython("network()\nfor n in range(6, 48):\n    print(both(network, 768 * n))")
    right = expected("network")
    assert {second for _, second in rows} == {(VIPER["network"], right)}
    told = [first[0] if first[1] == right else "" for first, _ in rows]
    assert set(told) == {"", STREAMED, VIPER["network"]}
    assert told.index(STREAMED) < told.index(VIPER["network"])  # which takes more room
    for (name, said), _ in rows[: told.index(STREAMED)]:
        assert name == "MemoryError"
        assert re.match(r"model: .*\b\d+ bytes.*, there are \d+ in all$", said), said


def test_a_load_that_fails_leaves_no_module_and_no_byte(on_micropython):
    *rows, kept = on_micropython(
        """
network()
drop()
import ucorr
ucorr.load  # its own modules stay
known = modules()
kept = [0] * 16
for n in range(16):
    first = both(lambda: ucorr.load(FILE), 40000 + 4000 * (n % 8), False)[0]
    print((first[0], modules() == known))
    first = None
    gc.collect()
    kept[n] = gc.mem_alloc()
print(kept)
"""
    )
    assert rows == [("MemoryError", True)] * 16
    assert max(kept[8:]) - max(kept[:8]) < 256  # a word on the stack that looks like an address keeps a block


def test_a_layer_that_has_no_room_leaves_no_backend(on_micropython):
    rows = on_micropython(
        """
kernel = bytes(5000)
import ucorr
ucorr.Dense  # its own modules stay
known = modules()
for free in range(60000, 92000, 8000):
    first, second = both(lambda: ucorr.Dense(kernel, (2, 2500)), free, False)
    print((first, modules() == known))
"""
    )
    for (name, said), left in rows:
        assert (name, left) == ("MemoryError", True)
        assert re.fullmatch(NO_ROOM, said)


def test_a_package_of_which_a_failed_import_left_parts_is_imported_whole(on_micropython):
    rows = on_micropython("import ucorr\ndel sys.modules['ucorr']\nprint(told(tried(network)))")
    assert rows == [(VIPER["network"], expected("network"))]


FAULTS = """
import io, os, vfs

class File(io.IOBase):
    def __init__(self, path):
        self.file = open(path, "rb")
    def readinto(self, buf):
        fail()
        return self.file.readinto(buf)
    def ioctl(self, request, arg):
        if request == 4:
            self.file.close()
        return 255 if request == 11 else 0

class Disk:
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def stat(self, path):
        fail()
        return os.stat(PACKAGE + path)
    def open(self, path, mode):
        fail()
        return File(PACKAGE + path)

calls, at, error = 0, None, None
def fail():
    global calls
    calls += 1
    if calls == at:
        raise error

vfs.mount(Disk(), "/disk")
sys.path[:] = ["/disk"]
"""


@pytest.mark.parametrize("make", ["layer", "op", "network"])
def test_a_fault_of_the_disk_at_any_moment_of_an_import_is_not_remembered(on_micropython, make):
    right = VIPER[make], expected(make)
    count, *rows = on_micropython(
        f"""{FAULTS}
gc.threshold(65536)
import ucorr
whole = [[], ["ucorr.heap:gc", "ucorr.heap:sys", "ucorr.heap"], modules()]
getattr(ucorr, {{"layer": "Layer", "op": "MaxPool2D", "network": "load"}}[{make!r}])
whole = [sorted(names) for names in whole] + [modules()]
{make}()
count = calls
print(count)
for n in range(1, count, 23):
    error = (MemoryError("drawn"), OSError(5), KeyboardInterrupt())[n % 3]
    drop()
    calls, at = 0, n
    first = told(tried({make}))
    left = first[0] in {{{right[0]!r}, {STREAMED!r}}} or modules() in whole
    print((first, told(tried({make})), (gc.threshold(), left)))
"""
    )
    assert count > 300
    assert len(rows) == len(range(1, count, 23))
    assert {second for _, second, *_ in rows} == {right}
    assert {kept for *_, kept in rows} == {(65536, True)}
    names = {first[0] for first, *_ in rows}
    # MicroPython takes any error of stat() for "no such file": of a second folder's, or of the last one
    assert {"MemoryError", "OSError", "KeyboardInterrupt"} <= names
    assert names <= {"MemoryError", "OSError", "KeyboardInterrupt", "ImportError", right[0], STREAMED}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """(path of a network's file, list of what load() opens)"""
    files: list[Any] = []

    class File(ucorr.network.File):
        def __init__(self, source: Any) -> None:
            super().__init__(source)
            files.append(self)

    path = tmp_path / "net.ucorr"
    path.write_bytes(compile(NETWORK, "any").to_bytes())
    monkeypatch.setattr(ucorr.network, "File", File)
    return str(path), files


@pytest.mark.parametrize(
    ("error", "weights", "tries", "said"),
    [
        (MemoryError("memory allocation failed, allocating 99 bytes"), "auto", 2, "model: step 0 (layer): {}"),
        (MemoryError("memory allocation failed, allocating 99 bytes"), "ram", 1, "model: step 0 (layer): {}"),
        (OSError("a disk's error"), "auto", 1, "{}"),
        (KeyboardInterrupt("Ctrl-C"), "auto", 1, "{}"),
        (ValueError("stride: 0, wanted 1"), "auto", 1, "model: step 0 (layer): {}"),
    ],
)
def test_a_load_that_fails_closes_its_files_and_the_next_goes_well(opened, error, weights, tries, said):
    path, files = opened

    def fails(*arguments: Any) -> Any:
        raise error

    with patch.object(ucorr.steps.Builder, "step", fails), pytest.raises(type(error)) as caught:
        ucorr.load(path, None, weights)
    assert str(caught.value) == said.format(error)
    assert [file.file.closed for file in files] == [True] * tries
    network = ucorr.load(path)
    assert network.weights == "ram"
    assert bytes(network.run(X.tobytes())) == expected("network")


def test_a_file_that_is_read_halfway_when_memory_ends_is_streamed_and_not_kept(opened, monkeypatch):
    path, files = opened

    def take(self: Any) -> None:
        self.whole = bytearray(self.size)
        raise MemoryError

    monkeypatch.setattr(ucorr.network.File, "take", take)
    network = ucorr.load(path)
    assert (network.weights, files[0].whole) == ("stream", None)
    assert bytes(network.run(X.tobytes())) == expected("network")
    network.close()
    with pytest.raises(MemoryError, match=r"^model: weights need \d+ bytes"):
        ucorr.load(path, None, "ram")
    assert [file.file.closed for file in files] == [True, True]


def test_scratch_that_has_no_room_beside_the_file_has_it_once_that_is_streamed(opened):
    path, files = opened
    allocate, asked = ucorr.network._allocate, []

    def once(typecode: str, length: int, what: str) -> Any:
        asked.append(what)
        if what == "scratch of the greediest step" and asked.count(what) == 1:
            raise MemoryError(f"model: {what} needs {length} items")
        return allocate(typecode, length, what)

    with patch.object(ucorr.network, "_allocate", once):
        network = ucorr.load(path)
    assert network.weights == "stream"
    assert bytes(network.run(X.tobytes())) == expected("network")
    network.close()
    assert [file.file.closed for file in files] == [True, True]


def test_what_can_not_run_here_is_imported_once(on_micropython):
    assert on_micropython(f"{FAULTS}\nlayer()\nseen = calls\nlayer()\nprint(calls - seen)") == [0]


def test_info_tells_what_has_no_room_and_does_not_remember_it(on_micropython):
    ((first, second),) = on_micropython("import ucorr\nucorr.Layer\nprint(both(lambda: ucorr.info(), 40000))")
    assert first["viper"].startswith("MemoryError: ")
    assert first["thumb"] == second["thumb"] == "NotImplementedError: not a Cortex-M board"
    assert first["portable"] == second["portable"] == second["viper"] == "ok"


def test_no_slower_backend_takes_the_place_of_one_that_has_no_room():
    def prepare(spec: Any, budget: Any) -> Any:
        raise MemoryError("memory allocation failed, allocating 4096 bytes")

    greedy = SimpleNamespace(refuses=lambda spec, budget: None, prepare=prepare)
    with patch.dict(ucorr.backends.registered, thumb=greedy):
        for backend in (None, "thumb"):
            with pytest.raises(
                MemoryError,
                match=r"^backend: 'thumb' has no room \(.* 4096 bytes\), wanted more, or another backend$",
            ):
                ucorr.Dense([[1, 2]], backend=backend)
        assert ucorr.Dense([[1, 2]], backend="portable").backend == "portable"
    assert ucorr.Dense([[1, 2]]).backend == "portable"
