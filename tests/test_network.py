"""Networks on the board: the desk's bytes from the saved file, on every backend; no file is worse than an error."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

import graphs
import numpy as np
import pytest
import ucorr
from hypothesis import given, settings
from hypothesis import strategies as st
from mpremote.romfs import make_romfs
from numpy.testing import assert_array_equal
from tflite_writer import two_layers
from ucorr import format as layout
from ucorr_host import board_side, load_tflite, simulate
from ucorr_host.compile import Compiled, compile
from ucorr_host.micropython import MicroPythonProcess, TargetError
from ucorr_host.simulator import ask, core_of

RUNS = (
    ("cpython", "portable"),
    ("micropython", "portable"),
    ("micropython", "viper"),
    ("cortex-m0plus", None),
    ("cortex-m4", None),
)
everywhere = pytest.mark.parametrize(("target", "backend"), RUNS, ids=[f"{run[0]}/{run[1]}" for run in RUNS])


def compiled_of(model: bytes, core: str, small: bool = False) -> Compiled | None:
    """A drawn graph for a core, packed small or fast; None where a board has no layer for it."""
    network = load_tflite(model)
    try:
        whole = compile(network, core)
    except ValueError as error:
        if "wanted neighbours" in str(error) or "double" in str(error):
            return None
        raise
    if not small:
        return whole
    smallest = re.escape("of the smallest packing")
    with pytest.raises(ValueError, match=smallest) as caught:
        compile(network, core, -1)
    return compile(network, core, int(re.search(r"at least the (\d+)", str(caught.value))[1]))


@everywhere
@given(case=graphs.graphs(count=st.integers(1, 6)))
def test_a_drawn_network_gives_the_bytes_of_the_desk(target, backend, case):
    compiled = compiled_of(case[0], core_of(target))
    if compiled:
        result = simulate(compiled, case[1], target, backend=backend)
        assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)
        assert {layer.backend for layer in result.layers} <= {backend or "thumb", "portable"}


@pytest.mark.parametrize(("target", "backend"), RUNS[:3], ids=[f"{run[0]}/{run[1]}" for run in RUNS[:3]])
@given(case=graphs.graphs(graphs.WIDE, st.integers(1, 4), np.int16))
def test_a_drawn_network_of_16_bits_gives_the_bytes_of_the_desk(target, backend, case):
    compiled = compiled_of(case[0], "any")
    if compiled:
        result = simulate(compiled, case[1], target, backend=backend)
        assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
@settings(max_examples=50)
@given(case=graphs.graphs(("CONV_2D", "FULLY_CONNECTED", "ADD", "RESHAPE"), st.integers(1, 4)))
def test_a_drawn_network_packed_small_gives_the_bytes_of_the_desk(target, case):
    compiled = compiled_of(case[0], target, small=True)
    assert compiled
    result = simulate(compiled, case[1], target)
    assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)


# Where weights are

LOAD = """
from array import array
x = array("b", {x!r})
answer = []
for source in ({path!r}, open({path!r}, "rb").read()):
    net = ucorr.load(source, {backend!r})
    answer.append((net.weights, list(net.run(x)), list(net.run()) != []))
    answer.append((net.input_shape, net.input_dtype, net.output_shape, net.output_zero_point, net.labels))
"""


@pytest.mark.parametrize("backend", ["viper", "portable"])
def test_a_file_is_read_once_and_a_buffer_is_used_in_place(tmp_path, backend):
    network, path = load_tflite(two_layers()), tmp_path / "two.ucorr"
    network.save(path)
    shape = network.tensors[network.inputs[0]].shape
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    source = LOAD.format(path=str(path), x=x.reshape(-1).tolist(), backend=backend)
    outcome = ask({"attempt": source}, b"", "micropython")[0]["outcome"]
    out = network.tensors[network.outputs[0]]
    ends = [list(shape), "b", list(out.shape), out.zero_point, []]
    scores = network.run(x).reshape(-1).tolist()
    assert outcome == ["ok", [["ram", scores, True], ends, ["in place", scores, True], ends]]


IN_ROM = """
import vfs
image = bytearray(open({image!r}, "rb").read())
vfs.mount(vfs.VfsRom(memoryview(image)), "/rom")
try:
    net = ucorr.load("/rom/two.ucorr", {backend!r})
    answer = [net.weights, net.memory()["file"], list(net.run(array("b", {x!r})))]
finally:
    vfs.umount("/rom")
"""


@pytest.mark.parametrize("backend", ["viper", "portable"])
def test_a_file_in_romfs_is_used_in_place(tmp_path, backend):
    folder, image = tmp_path / "files", tmp_path / "image.romfs"
    folder.mkdir()
    network = load_tflite(two_layers())
    network.save(folder / "two.ucorr")
    image.write_bytes(make_romfs(str(folder), mpy_cross=None))
    x = np.random.default_rng(0).integers(-128, 128, network.tensors[network.inputs[0]].shape).astype(np.int8)
    source = IN_ROM.format(image=str(image), backend=backend, x=x.reshape(-1).tolist())
    outcome = ask({"attempt": source}, b"", "micropython")[0]["outcome"]
    assert outcome == ["ok", ["in place", 0, network.run(x).reshape(-1).tolist()]]


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_tables_of_machine_code_are_streamed(tmp_path, core):
    network, path = load_tflite(two_layers()), tmp_path / "two.ucorr"
    network.save(path, core)
    x = np.random.default_rng(0).integers(-128, 128, network.tensors[network.inputs[0]].shape).astype(np.int8)
    message = {"network": 0, "path": str(path), "digest": core, "weights": "stream", "profile": True}
    answer, data = ask(message, x.tobytes(), core)
    assert answer["memory"]["weights"] == "stream"
    assert [step[4] for step in answer["steps"]] == ["thumb", "thumb"]
    assert data == network.run(x).tobytes()
    board_side._kept[1].close()  # the file


# What a file may be

MOST_SECONDS = 20.0  # for one message; all that fits the arena of these networks is done in a fraction


def mutant(rng: np.random.Generator, file: bytes) -> bytes:
    """The file with a byte or a word of it changed, or two, half of them in the steps; size and CRC as they should."""
    data = bytearray(file)
    read = lambda at, count: data[at : at + count]  # noqa: E731
    steps = layout.number(read, layout.STEPS_AT)
    length = len(b"".join(b"\0" * (4 + 4 * struct.unpack_from("<HH", data, at)[1]) for at in records(file)))
    for _ in range(int(rng.choice([1, 1, 2]))):
        place = rng.random()
        if place < 0.5:
            at = steps + int(rng.integers(length))
        elif place < 0.6:
            at = 16 + int(rng.integers(layout.HEADER - 16))
        else:
            at = int(rng.integers(16, len(data)))
        kind = rng.choice(4)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        else:
            at &= ~3
            old = int.from_bytes(data[at : at + 4], "little", signed=True)
            near = old + int(rng.integers(-40, 41))
            value = int(rng.choice([0, 1, -1, 1 << 16, (1 << 31) - 1, -(1 << 31), len(data), near, near, near]))
            data[at : at + 4] = (value % (1 << 32)).to_bytes(4, "little")
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    return bytes(data)


def records(file: bytes) -> list[int]:
    """Where each step's record begins."""
    at, places = struct.unpack_from("<I", file, layout.STEPS_AT)[0], []
    for _ in range(struct.unpack_from("<I", file, layout.STEPS)[0]):
        places.append(at)
        at += 4 + 4 * struct.unpack_from("<HH", file, at)[1]
    return places


@pytest.mark.parametrize("backend", ["viper", "portable"])
def test_no_mutant_of_a_file_is_worse_than_an_error(backend):
    process = MicroPythonProcess(limit=MOST_SECONDS)
    tried, past, ran, told = 0, 0, 0, set()

    @given(graphs.graphs(count=st.integers(1, 5)), st.integers(0, 2**32 - 1))
    def check(case: Any, seed: int) -> None:
        nonlocal tried, past, ran
        compiled = compiled_of(case[0], "any")
        if compiled is None or not compiled.parts:
            return
        rng = np.random.default_rng(seed)
        for _ in range(5):
            tried += 1
            data = mutant(rng, compiled.to_bytes())
            message = {"network": len(data), "digest": [seed, tried], "backend": backend}
            try:
                process.ask(message, data + case[1].tobytes())
                ran += 1
            except TargetError as error:
                kind, _, said = str(error).partition(" under MicroPython: ")
                told.add((kind, said.partition(":")[0]))
                past += "CRC" not in said
            else:
                past += 1

    try:
        check()
    finally:
        process.close()
    assert told <= {(kind, name) for kind in ("ValueError", "MemoryError") for name in ("model", "x")}
    assert tried > 4 * settings.default.max_examples
    assert past > tried / 2
    assert tried / 10 < ran < tried


def overlap(data: bytearray, at: int) -> None:
    """Let a step of one input write over it."""
    data[at + 4 : at + 8] = data[at + 12 : at + 16]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda data, at: struct.pack_into("<I", data, layout.ARENA, 1 << 30),
            "an arena or scratch of 1073741824 bytes",
        ),
        (lambda data, at: struct.pack_into("<H", data, at[0], 99), "a step of kind 99"),
        (
            lambda data, at: struct.pack_into("<i", data, at[0] + 4, 1 << 20),
            r"step 0 \(layer\): model: \d+ bytes at 1048576",
        ),
        (lambda data, at: overlap(data, at[1]), r"step 1 \(layer\): out at (\d+) over an input at \1, wanted"),
        (lambda data, at: struct.pack_into("<i", data, at[0] + 12, -(1 << 24)), r"step 0 .* wanted places within its"),
        (lambda data, at: struct.pack_into("<i", data, at[0] + 16, 0), r"step 0 \(layer\): input_shape: 0, wanted 1"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(change, said):
    data = bytearray(compile(load_tflite(two_layers())).to_bytes())
    change(data, records(bytes(data)))
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    with pytest.raises(ValueError, match=f"model: .*{said}"):
        ucorr.load(bytes(data), "portable")


def test_machine_code_is_not_run_where_it_is_not_for():
    data = compile(load_tflite(two_layers()), "cortex-m4").to_bytes()
    with pytest.raises(ValueError, match=r"step 0 \(code\): machine code, but this firmware can't run any"):
        ucorr.load(data)
    message = {"network": len(data), "digest": "other core", "profile": True}
    with pytest.raises(TargetError, match="machine code of level 8, wanted that of this core, 6"):
        ask(message, data + bytes(1000), "cortex-m0plus")


def test_an_input_of_another_size_is_refused():
    net = ucorr.load(compile(load_tflite(two_layers())).to_bytes(), "portable")
    with pytest.raises(ValueError, match=r"x: 3 bytes, wanted \d+"):
        net.run(bytes(3))
    with pytest.raises(ValueError, match="weights: 'flash', wanted one of auto ram stream"):
        ucorr.load(b"", weights="flash")
    with pytest.raises(ValueError, match="backend: 'fast', wanted one of"):
        ucorr.load(b"", "fast")
