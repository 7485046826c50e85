"""Networks on the board: the host's bytes from the saved file, on every backend; no file is worse than an error."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
import ucorr
from hypothesis import given, settings
from hypothesis import strategies as st
from mpremote.romfs import make_romfs
from numpy.testing import assert_array_equal
from oracle import two_layers
from targets import RUNS, everywhere_whole
from ucorr import digest
from ucorr import format as layout
from ucorr import network as ucorr_network
from ucorr_host import load_tflite, simulate
from ucorr_host.forecast.boards import board
from ucorr_host.forecast.estimate import forecast
from ucorr_host.networks.compile import Compiled, compile
from ucorr_host.networks.graph import Node, Tensor
from ucorr_host.networks.network import Network
from ucorr_host.targets import board_side
from ucorr_host.targets.micropython import MicroPythonProcess, TargetError
from ucorr_host.targets.simulator import ask, core_of


def compiled_of(model: bytes, core: str, small: bool = False) -> Compiled | None:
    """A drawn graph for a core, packed small or fast; None where a board has no layer for it."""
    network = load_tflite(model)
    try:
        whole = compile(network, core)
    except ValueError as error:
        if "wanted neighbours" in str(error) or "int16 data, wanted int8" in str(error):
            return None
        raise
    if not small or not any(part.code and part.spec for part in whole.parts):
        return whole
    smallest = re.escape("of the smallest packing")
    with pytest.raises(ValueError, match=smallest) as caught:
        compile(network, core, 0)
    return compile(network, core, int(re.search(r"at least the (\d+)", str(caught.value))[1]))


@everywhere_whole
@given(case=graphs.graphs(count=st.integers(1, 6)))
def test_a_drawn_network_gives_the_bytes_of_the_host(target, backend, case):
    compiled = compiled_of(case[0], core_of(target))
    if compiled:
        result = simulate(compiled, case[1], target, backend=backend)
        assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)
        assert {layer.backend for layer in result.layers} <= {backend or "thumb", "portable"}


@pytest.mark.parametrize(("target", "backend"), RUNS[:3], ids=[f"{run[0]}/{run[1]}" for run in RUNS[:3]])
@given(case=graphs.graphs(graphs.WIDE, st.integers(1, 4), np.int16))
def test_a_drawn_network_of_16_bits_gives_the_bytes_of_the_host(target, backend, case):
    compiled = compiled_of(case[0], "any")
    if compiled:
        result = simulate(compiled, case[1], target, backend=backend)
        assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
@settings(max_examples=50)
@given(case=graphs.graphs(("CONV_2D", "FULLY_CONNECTED", "ADD", "RESHAPE"), st.integers(1, 4)))
def test_a_drawn_network_packed_small_gives_the_bytes_of_the_host(target, case):
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


DIRTY = """
from ucorr.buffers import as_bytes
net = ucorr.load({data!r}, {backend!r})
size = 1 if net.input_dtype in "bB" else 2
for n in net.input_shape:
    size *= n
x = ({x!r} * (size // {length} + 1))[:size]
answer = []
for dirt in (85, 85, 170):
    as_bytes(net._arena)[:] = bytes([dirt]) * len(net._arena)
    answer.append(list(bytes(net.run(x))))
"""


def dirty_runs(process: MicroPythonProcess, data: bytes, x: bytes) -> list[Any]:
    """Outputs of a file's runs, each in an arena that held something else, on three backends; or what was raised."""
    outcomes: list[Any] = []
    for place, backend in RUNS[:3]:
        source = DIRTY.format(data=data, backend=backend, x=x, length=len(x))
        message = {"attempt": source}
        answer = board_side.answer_to(message, b"") if place == "cpython" else process.ask(message, b"")
        outcomes.append(tuple(answer[0]["outcome"]))
    return outcomes


def test_a_mutant_that_loads_computes_the_same_everywhere_whatever_was_in_the_arena():
    process = MicroPythonProcess(limit=MOST_SECONDS)
    tried = ran = moved = 0

    @settings(max_examples=120)
    @given(graphs.graphs(count=st.integers(1, 5)), st.integers(0, 2**32 - 1))
    def check(case: Any, seed: int) -> None:
        nonlocal tried, ran, moved
        compiled = compiled_of(case[0], "any")
        if compiled is None or not compiled.parts:
            return
        rng = np.random.default_rng(seed)
        for _ in range(4):
            tried += 1
            file = compiled.to_bytes()
            data = displaced(rng, file) if rng.random() < 0.5 else mutant(rng, file)
            outcomes = dirty_runs(process, data, case[1].tobytes())
            outputs = [output for said, found in outcomes if said == "ok" for output in found]
            assert all(output == outputs[0] for output in outputs)
            assert len(outputs) in (0, 9) or "MemoryError" in dict(outcomes)
            ran += bool(outputs)
            moved += any("written before" in said for kind, said in outcomes if kind == "ValueError")

    try:
        check()
    finally:
        process.close()
    said = f"of {tried} files {ran} ran and {moved} were refused for what lies elsewhere"
    assert min(ran, moved) > max(settings.default.max_examples / 4, tried / 10), said


def displaced(rng: np.random.Generator, file: bytes) -> bytes:
    """The file with another place for a tensor that a step reads or writes, or for the output, in a larger arena."""
    data = bytearray(file)
    arena = struct.unpack_from("<I", data, layout.ARENA)[0]
    at = int(rng.choice(records(file)))
    own_output(data)
    output = header(data, layout.OUTPUT_AT)
    place = 16 * int(rng.integers(arena // 16 + 4))
    struct.pack_into("<i", data, int(rng.choice([at + 4, at + 12, output])), place)
    struct.pack_into("<I", data, layout.ARENA, arena + 64)
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    return bytes(data)


def header(data: bytearray, at: int) -> int:
    """A number of the file's header."""
    return int(struct.unpack_from("<I", data, at)[0])


def own_output(data: bytearray) -> None:
    """Give the output a record of its own, which it may share with the input."""
    at = header(data, layout.OUTPUT_AT)
    struct.pack_into("<I", data, layout.OUTPUT_AT, len(data))
    data += data[at : at + 20 + 4 * header(data, at + 16)]
    struct.pack_into("<I", data, layout.SIZE, len(data))


def read_beyond(data: bytearray, at: list[int]) -> None:
    """Let the first step read bytes of the arena that nothing writes."""
    struct.pack_into("<i", data, at[0] + 12, header(data, layout.ARENA))
    struct.pack_into("<I", data, layout.ARENA, header(data, layout.ARENA) + 256)


def move_output(data: bytearray, at: list[int]) -> None:
    """Let the output be bytes that no step writes."""
    own_output(data)
    struct.pack_into("<i", data, header(data, layout.OUTPUT_AT), header(data, layout.ARENA) - 240)
    struct.pack_into("<I", data, layout.ARENA, header(data, layout.ARENA) + 256)


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
        (read_beyond, r"step 0 \(layer\): an input of 256 bytes at 512, wanted bytes that are written before"),
        (move_output, "the output of 256 bytes at 272, wanted bytes that are written before"),
        (lambda data, at: struct.pack_into("<f", data, header(data, layout.INPUT_AT) + 8, np.nan), "scale nan, wanted"),
        (lambda data, at: struct.pack_into("<f", data, header(data, layout.OUTPUT_AT) + 8, np.inf), "scale inf, want"),
        (lambda data, at: struct.pack_into("<f", data, header(data, layout.INPUT_AT) + 8, -1), "scale -1, wanted"),
        (lambda data, at: struct.pack_into("<i", data, header(data, layout.INPUT_AT) + 12, 128), "zero point 128, "),
        (lambda data, at: struct.pack_into("<i", data, header(data, layout.INPUT_AT) + 16, 9), "of 9 dimensions"),
        (lambda data, at: struct.pack_into("<H", data, at[1] + 2, 38), r"kind 1 with 38 words, wanted \d+"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(change, said):
    data = bytearray(compile(load_tflite(two_layers())).to_bytes())
    change(data, records(bytes(data)))
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    with pytest.raises(ValueError, match=f"model: .*{said}"):
        ucorr.load(bytes(data), "portable")


def test_a_file_without_steps_gives_its_input():
    data = bytearray(compile(load_tflite(two_layers())).to_bytes())
    struct.pack_into("<I", data, layout.STEPS, 0)
    place = struct.unpack_from("<i", data, header(data, layout.INPUT_AT))
    struct.pack_into("<i", data, header(data, layout.OUTPUT_AT), *place)
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    assert bytes(ucorr.load(bytes(data), "portable").run(bytes(range(256)))) == bytes(range(256))


# The file's SHA-256

CHECKED = """
answer = []
for source, weights, digest in (({path!r}, "auto", {digits!r}), ({path!r}, "ram", {digits!r}.upper()),
                                ({path!r}, "auto", {raw!r}), ({data!r}, "auto", bytearray({raw!r})),
                                ({data!r}, "ram", memoryview({raw!r}))):
    net = ucorr.load(source, "portable", weights, sha256=digest)
    answer.append((net.weights, list(net.run(bytes(256)))))
"""
REFUSED = """
answer = []
for source, digest, weights in (({path!r}, {wrong!r}, "auto"), ({data!r}, {wrong!r}, "ram"), ({path!r}, "12", "auto"),
                                ({path!r}, "g" * 64, "auto"), ({path!r}, bytes(31), "auto"), ({path!r}, 7, "auto"),
                                ({path!r}, [0] * 32, "auto"), ({path!r}, {digits!r}, "stream")):
    try:
        ucorr.load(source, "portable", weights, sha256=digest)
        answer.append("loaded")
    except (TypeError, ValueError) as error:
        answer.append(type(error).__name__ + ": " + str(error))
"""


@pytest.fixture
def hashed(tmp_path):
    """(network, words of a source: a file's path, its bytes, its SHA-256 in digits and raw, a wrong one)"""
    network, path = load_tflite(two_layers()), tmp_path / "two.ucorr"
    network.save(path)
    data = path.read_bytes()
    found = hashlib.sha256(data)
    words = {"path": str(path), "data": data, "digits": found.hexdigest(), "raw": found.digest(), "wrong": "0" * 64}
    return network, words


both = pytest.mark.parametrize("target", ["cpython", "micropython"])


@both
def test_a_file_of_the_wanted_sha256_is_loaded(hashed, target):
    network, words = hashed
    assert compile(network).sha256 == words["digits"]
    outcome = ask({"attempt": CHECKED.format(**words)}, b"", target)[0]["outcome"]
    scores = network.run(np.zeros((1, 8, 8, 4), np.int8)).reshape(-1).tolist()
    assert outcome[0] == "ok"
    assert [tuple(run) for run in outcome[1]] == [("ram", scores)] * 3 + [("in place", scores)] * 2


@both
def test_a_file_of_another_sha256_is_refused(hashed, target):
    words = hashed[1]
    outcome = ask({"attempt": REFUSED.format(**words)}, b"", target)[0]["outcome"]
    assert outcome[0] == "ok"
    other = f"ValueError: model: SHA-256 {words['digits']}, wanted {words['wrong']}"
    assert outcome[1][:2] == [other, other]
    assert outcome[1][2] == "ValueError: sha256: '12', wanted 64 hexadecimal digits or 32 bytes"
    assert all("wanted 64 hexadecimal digits or 32 bytes" in said for said in outcome[1][3:7])
    assert [said.partition(":")[0] for said in outcome[1][3:7]] == ["ValueError"] * 2 + ["TypeError"] * 2
    assert outcome[1][7].startswith("ValueError: sha256: given with weights 'stream'")


def test_the_sha256_is_of_the_bytes_that_are_used(hashed, monkeypatch):
    """A file that changes after its CRC was checked: what is hashed is the copy that becomes steps."""
    path, data = hashed[1]["path"], bytearray(hashed[1]["data"])
    data[-20] ^= 1
    taken = ucorr_network.File.take

    def late(file):
        Path(path).write_bytes(data)
        taken(file)

    monkeypatch.setattr(ucorr_network.File, "take", late)
    with pytest.raises(ValueError, match=r"model: SHA-256 .* wanted"):
        ucorr.load(path, "portable", sha256=hashed[1]["digits"])


@pytest.mark.parametrize("core", ["cortex-m4"])
def test_no_machine_code_is_made_of_a_file_of_another_sha256(core):
    data = compile(load_tflite(two_layers()), core).to_bytes()
    with pytest.raises(ValueError, match="model: SHA-256"):  # not: this firmware can't run any
        ucorr.load(data, sha256=bytes(32))
    with pytest.raises(ValueError, match=r"step 0 \(code\): machine code, but"):
        ucorr.load(data, sha256=hashlib.sha256(data).digest())


def test_a_sha256_needs_room_for_the_file(hashed, monkeypatch):
    def full(file):
        file.file.close()
        raise MemoryError

    monkeypatch.setattr(ucorr_network.File, "take", full)
    with pytest.raises(MemoryError, match="model: weights need"):
        ucorr.load(hashed[1]["path"], "portable", sha256=hashed[1]["digits"])


def test_a_firmware_without_hashlib_says_so(hashed, monkeypatch):
    monkeypatch.setattr(digest, "sha256", None)
    with pytest.raises(ValueError, match=r"sha256: this firmware has no hashlib.sha256, wanted None"):
        ucorr.load(hashed[1]["path"], "portable", sha256=hashed[1]["digits"])


# Limits


def moving(count: int) -> Network:
    """A network that looks up `count` items in their place."""
    ends = tuple(Tensor(name, (1, count), np.dtype(np.int8), 1.0, 0) for name in "xy")
    table = np.arange(-128, 128, dtype=np.int8)
    return Network(ends, (Node("lookup", (0,), 1, {"table": table}),), (0,), (1,))


def test_what_is_compiled_at_a_limit_is_loaded_and_nothing_beyond_is_compiled(tmp_path):
    data = compile(moving(layout.MOST)).to_bytes()
    assert ucorr.load(data, "portable").memory()["arena"] == layout.MOST
    said = f"an arena or scratch of {layout.MOST + 16} bytes, wanted at most {layout.MOST}"
    beyond = moving(layout.MOST + 1)
    for make in (compile, Network.summary, lambda network: network.save(tmp_path / "no.ucorr")):
        with pytest.raises(ValueError, match=said):
            make(beyond)
    with pytest.raises(ValueError, match=said):
        forecast(beyond, board("pico"))
    assert not list(tmp_path.iterdir())
    struct.pack_into("<I", grown := bytearray(data), layout.ARENA, layout.MOST + 16)
    struct.pack_into("<I", grown, layout.CRC, zlib.crc32(grown[layout.CRC + 4 :]))
    with pytest.raises(ValueError, match=said):
        ucorr.load(grown, "portable")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": 1e-38}, "scale 1e-38, wanted more than 1e-37"),
        ({"scale": 1e39}, "scale 1e[+]39, wanted more than"),
        ({"scale": 0.0}, "scale 0, wanted"),
        ({"zero_point": 128}, "zero point 128, wanted -128..127"),
        ({"shape": (1,) * 9}, "a tensor of 9 dimensions, wanted 1..8"),
    ],
)
def test_an_end_that_load_refuses_is_not_compiled(change, said):
    network = moving(1)
    wrong = replace(network, tensors=tuple(replace(tensor, **change) for tensor in network.tensors))
    with pytest.raises(ValueError, match=said):
        compile(wrong).to_bytes()


def test_a_label_of_two_lines_is_not_compiled():
    with pytest.raises(ValueError, match="labels: 'two\\\\nlines' with a newline"):
        compile(replace(moving(1), labels=("one", "two\nlines")))


@pytest.mark.parametrize(
    ("op", "words", "said"),
    [
        ("mean", {"axis": (1, 2)}, r"mean that makes 'out': axis \(1, 2\), wanted what counts from the end"),
        ("concatenate", {"axis": 0}, r"concatenate that makes 'out': axis \(0,\), wanted what counts from the end"),
        ("max_pool2d", {"size": 2}, "max_pool2d that makes 'out': no stride, wanted all options"),
        ("rotate", {}, "rotate that makes 'out': no operator of a board, wanted one of .* max_pool2d"),
        (None, {}, "output 'out': no node makes it"),
    ],
)
def test_a_node_that_says_too_little_is_not_compiled(op, words, said):
    tensors = tuple(Tensor(name, (1, 4, 4, 2), np.dtype("b"), 0.5, 0) for name in ("in", "out"))
    nodes = () if op is None else (Node(op, (0,), 1, words),)
    with pytest.raises(ValueError, match=f"^{said}"):
        compile(Network(tensors, nodes, (0,), (1,)))


def test_a_label_that_utf8_does_not_have_is_not_compiled():
    with pytest.raises(ValueError, match="labels: 'half \\\\ud800' with half of a character"):
        compile(replace(moving(1), labels=("half \ud800",)))


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"path": 5}, TypeError, "path: 5, wanted a path"),
        ({"core": []}, TypeError, r"core: \(\), wanted one of any"),
        ({"core": "z80"}, ValueError, "core: 'z80', wanted one of any"),
        ({"budget": "x"}, TypeError, "budget: 'x', wanted an integer"),
        ({"budget": 5.5}, TypeError, "budget: 5.5, wanted an integer"),
        ({"budget": -1}, ValueError, "budget: -1, wanted 0.."),
    ],
)
def test_what_a_network_can_not_be_saved_with_is_told(words, error, said):
    with pytest.raises(error, match=f"^{said}"):
        moving(1).save(**{"path": "/no/such/folder/file", **words})


def test_machine_code_is_not_run_where_it_is_not_for():
    data = compile(load_tflite(two_layers()), "cortex-m4").to_bytes()
    with pytest.raises(ValueError, match=r"step 0 \(code\): machine code, but this firmware can't run any"):
        ucorr.load(data)
    message = {"network": len(data), "digest": "other core", "profile": True}
    with pytest.raises(TargetError, match="machine code of number 8, wanted 6, for a cortex-m0plus"):
        ask(message, data + bytes(1000), "cortex-m0plus")


def test_what_a_step_of_machine_code_tells_is_held_in_range():
    data = bytearray(compile(load_tflite(two_layers()), "cortex-m4").to_bytes())
    at = records(bytes(data))[1] - 4  # the last word of the first step
    struct.pack_into("<i", data, at, -1)
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    with pytest.raises(TargetError, match=r"step 0 \(code\): macs: -1, wanted 0\.\."):
        ask({"network": len(data), "digest": "no macs"}, bytes(data) + bytes(256), "cortex-m4")


@given(graphs.graphs(count=st.integers(1, 4)), st.sampled_from(["cortex-m0plus", "cortex-m4"]), st.integers(0, 2**32))
@settings(max_examples=30)
def test_machine_code_reads_what_was_written(case, core, seed):
    """The places of steps of machine code are held to the same rule."""
    compiled = compiled_of(case[0], core)
    if compiled is None or not any(part.code for part in compiled.parts):
        return
    data = bytearray(compiled.to_bytes())
    n = next(n for n, part in enumerate(compiled.parts) if part.code)
    struct.pack_into("<i", data, records(bytes(data))[n] + 12, compiled.arena_bytes)
    struct.pack_into("<I", data, layout.ARENA, 2 * compiled.arena_bytes)
    struct.pack_into("<I", data, layout.CRC, zlib.crc32(data[layout.CRC + 4 :]))
    with pytest.raises(TargetError, match=rf"step {n} \(code\): an input of \d+ bytes at \d+, wanted bytes that are"):
        ask({"network": len(data), "digest": [seed, core]}, bytes(data) + case[1].tobytes(), core)


def test_an_input_of_another_size_is_refused():
    net = ucorr.load(compile(load_tflite(two_layers())).to_bytes(), "portable")
    with pytest.raises(ValueError, match=r"x: 3 bytes, wanted \d+"):
        net.run(bytes(3))
    with pytest.raises(ValueError, match="weights: 'flash', wanted one of auto ram stream"):
        ucorr.load(b"", weights="flash")
    with pytest.raises(ValueError, match="backend: 'fast', wanted one of"):
        ucorr.load(b"", "fast")
