"""What `ucorr deploy --model` and `ucorr verify --model` promise, on a real MicroPython behind a serial port."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from struct import pack_into
from types import SimpleNamespace
from typing import ClassVar
from zlib import crc32

import numpy as np
import pytest
from commands import BIN, assert_one_sentence, command, here
from oracle import Model as ModelFile
from oracle import two_layers
from serial_board import SerialBoard, serial_board_fixture  # noqa: F401
from small_package import NEW, NEW_WHOLE, OLD, temporaries, whole
from ucorr import format as layout
from ucorr_host import Network, cores, load_tflite
from ucorr_tools.boards import deploy_model as deploying
from ucorr_tools.boards.board import ARCHITECTURES, Board, BoardError
from ucorr_tools.boards.deploy import deploy
from ucorr_tools.boards.deploy_model import Model, core_of, deploy_model, labelled, labels_there, read_model
from ucorr_tools.boards.transfer import TEMPORARY
from ucorr_tools.boards.verify_model import SAMPLES, random_samples, verify_model
from ucorr_tools.shipped import digits

MODEL = str(digits.DATA / "digits.tflite")
PLACE, MAIN = "/digits.ucorr", "/main.py"
FIRST = Model("digits.tflite", digits.network(), None)
SECOND = replace(FIRST, network=replace(digits.network(), labels=tuple("abcdefghij")))
FILES = {model.network.labels: model.file_for("any") for model in (FIRST, SECOND)}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """The flash of a board with ucorr, and the reports of putting the digits network on it."""
    folder = tmp_path_factory.mktemp("deployed")
    labels = folder / "labels.txt"
    labels.write_text("\n".join(digits.LABELS))
    serial_board = SerialBoard(folder / "board").start()
    words = ["--mpy", "--model", MODEL, "--labels", str(labels), "--json"]
    result = command("ucorr", "deploy", "--port", serial_board.port, *words)
    assert (result.returncode, result.stderr) == (0, "")
    serial_board.kill()
    return serial_board.flash, json.loads(result.stdout)


@pytest.fixture
def digits_board(deployed, tmp_path):
    """A board with ucorr and the digits network."""
    (tmp_path / "board").mkdir()
    shutil.copy(deployed[0], tmp_path / "board" / "flash.img")
    board = SerialBoard(tmp_path / "board").start()
    yield board
    board.kill()


def put(board, model=FIRST, **words):
    """Deploy a model with a package of a few lines; the model's report."""
    return deploy_model(board, model, package=OLD, **words)[1]


# Deploying


def test_a_deployed_model_is_the_file_for_the_boards_core(deployed, digits_board):
    told = deployed[1]["model"]
    with Board(digits_board.port) as board:
        assert board.read(PLACE) == FILES[digits.LABELS]
        assert sorted(board.listdir("/")) == ["digits.ucorr", "lib", "main.py"]
    assert (told["file"], told["core"], told["copied"], told["kept"]) == (PLACE, "any", [PLACE, MAIN], [])
    assert told["size"] == len(FILES[digits.LABELS])


def test_main_prints_label_and_time_of_a_zero_input(digits_board):
    zero = np.full((1, 8, 8, 1), -128, np.int8)
    label = digits.LABELS[digits.network().run(zero).argmax()]
    with Board(digits_board.port) as board:
        assert re.fullmatch(rf"{label}: \d+ us\n", board.exec(board.read(MAIN).decode()))
        assert len(board.read(MAIN).splitlines()) < 20


def test_main_numbers_the_class_of_a_model_without_labels(digits_board):
    model = replace(FIRST, network=replace(digits.network(), labels=()))
    with Board(digits_board.port) as board:
        board.remove(PLACE)  # its labels would stay
        deploy_model(board, model, mpy=True)
        assert re.fullmatch(r"class \d: \d+ us\n", board.exec(board.read(MAIN).decode()))


def test_a_second_deploy_of_a_model_copies_nothing(serial_board):
    with Board(serial_board.port) as board:
        first = put(board)
        before = serial_board.flash.read_bytes()
        second = put(board)
    assert first.copied == second.unchanged == [PLACE, MAIN]
    assert (second.copied, second.bytes_copied, second.kept) == ([], 0, [])
    assert serial_board.flash.read_bytes() == before


def test_a_dry_run_tells_what_a_deploy_of_a_model_would_do(serial_board):
    with Board(serial_board.port) as board:
        put(board)
        for path in (PLACE, MAIN):
            board.write(path + TEMPORARY, b"left by an interrupted deploy")
        before = serial_board.flash.read_bytes()
        would = put(board, SECOND, dry_run=True)
        assert serial_board.flash.read_bytes() == before
        did = put(board, SECOND)
        assert temporaries(board) == []
    assert would == replace(did, dry_run=True)
    assert (did.copied, did.unchanged) == ([PLACE], [MAIN])


@pytest.mark.parametrize("theirs", [b"print('mine')\n", b""])
def test_a_main_that_is_there_is_kept_unless_forced(serial_board, theirs):
    with Board(serial_board.port) as board:
        board.write(MAIN, theirs)
        report = put(board)
        assert (report.copied, report.kept) == ([PLACE], [MAIN])
        assert report.summary().endswith("\nkept the /main.py that was there: --force replaces it")
        assert board.read(MAIN) == theirs
        report = put(board, force=True)
        assert (report.copied, report.unchanged, report.kept) == ([MAIN], [PLACE], [])
        assert b"ucorr.load" in board.read(MAIN)


def test_the_command_keeps_a_main_in_one_sentence(digits_board):
    with Board(digits_board.port) as board:
        board.write(MAIN, b"print('mine')\n")
    words = ["deploy", "--mpy", "--port", digits_board.port, "--model", MODEL]
    kept = command("ucorr", *words)
    assert kept.returncode == 0
    assert kept.stdout.splitlines()[-1] == "kept the /main.py that was there: --force replaces it"
    assert json.loads(command("ucorr", *words, "--force", "--json").stdout)["model"]["copied"] == [MAIN]


def test_a_model_lies_where_the_board_starts(serial_board):
    with Board(serial_board.port) as board:
        board.exec("import os\nos.mkdir('/flash')\nos.chdir('/flash')")
        assert put(board).copied == ["/flash/digits.ucorr", "/flash/main.py"]
        assert b'ucorr.load("/flash/digits.ucorr")' in board.read("/flash/main.py")


def test_labels_stay_where_a_model_without_any_is_deployed_again(serial_board):
    """The same network, another one with as many classes, one with other classes, and a damaged file."""
    network = digits.network()
    bare = replace(FIRST, network=replace(network, labels=()))
    (dense,) = [n for n, node in enumerate(network.nodes) if node.op.startswith("dense")]
    words = network.nodes[dense].options
    negated = replace(network.nodes[dense], options={**words, "kernel": -np.array(words["kernel"])})
    nodes = (*network.nodes[:dense], negated, *network.nodes[dense + 1 :])
    retrained = replace(bare, network=replace(network, labels=(), nodes=nodes))
    with Board(serial_board.port) as board:
        put(board, SECOND)
        again = put(board, bare)
        assert (again.copied, again.labels) == ([], "kept the 10 labels that were there")
        assert again.summary().endswith("\nkept the 10 labels that were there")
        would, did = put(board, retrained, dry_run=True), put(board, retrained)
        assert would == replace(did, dry_run=True)
        assert (did.copied, did.labels) == ([PLACE], "kept the 10 labels that were there")
        assert board.read(PLACE) == replace(
            retrained, network=replace(retrained.network, labels=SECOND.network.labels)
        ).file_for("any")
        other = Model(FIRST.path, load_tflite_of(two_layers()), None)
        assert put(board, other).labels == "dropped the 10 labels that were there: the model has 4 classes"
        put(board, SECOND)
        data = bytearray(board.read(PLACE))
        data[-1] ^= 1
        board.write(PLACE, data)
        assert (put(board, bare).labels, board.read(PLACE)) == ("", bare.file_for("any"))
        put(board, SECOND)
        assert put(board).labels == ""  # its own
        assert board.read(PLACE) == FILES[FIRST.network.labels]


def load_tflite_of(data):
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(data)
        file.flush()
        return load_tflite(file.name)


LABELS = (b"a\nb c\n\xc3\xa9\nd", b"a\nb c\n\xc3\xa9\nd\n\n \n", b"\xef\xbb\xbfa\r\nb c\r\n\xc3\xa9\r\nd\r\n")


@pytest.mark.parametrize("data", [*LABELS, "a\r\nb c\r\né\r\nd\r\n".encode("utf-16")])
def test_a_label_file_is_a_class_per_line_however_it_was_saved(tmp_path, data):
    (tmp_path / "labels.txt").write_bytes(data)
    network = load_tflite_of(two_layers())
    assert labelled(network, str(tmp_path / "labels.txt")).labels == ("a", "b c", "é", "d")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a\nb\nc\n", "labels.txt: 3 labels, wanted 4, one per class"),
        (b"a\nb\nc\nd\ne", "labels.txt: 5 labels, wanted 4, one per class"),
        (b"\n\n", "labels.txt: 0 labels, wanted 4, one per class"),
        (b"a\nb\nc\xff\nd", "labels.txt: byte 5 is no UTF-8, wanted a text"),
        (b"a\n" * 600000, "labels.txt: more than 1,048,576 bytes, wanted a short text"),
    ],
)
def test_labels_of_another_count_or_encoding_are_one_sentence(tmp_path, data, sentence):
    (tmp_path / "labels.txt").write_bytes(data)
    (tmp_path / "model.tflite").write_bytes(two_layers())
    words = ["--model", tmp_path / "model.tflite", "--labels", tmp_path / "labels.txt"]
    assert_one_sentence(here("deploy", "--port", "/dev/nowhere", *words), sentence)


def test_a_model_may_come_from_a_pipe():
    for name in ("deploy", "verify"):
        line = [str(BIN / "ucorr"), name, "--port", "/dev/nowhere", "--model", "/dev/stdin"]
        result = subprocess.run(line, input=Path(MODEL).read_bytes(), capture_output=True, timeout=60)
        assert result.stderr == b"Error: there is no port /dev/nowhere\n"


@pytest.mark.parametrize("place", [layout.INPUT_AT, layout.OUTPUT_AT, layout.LABELS_AT])
def test_a_file_whose_places_lie_outside_is_one_sentence(serial_board, tmp_path, place):
    data = bytearray(FILES[FIRST.network.labels])
    pack_into("<I", data, place, len(data) - 8)
    pack_into("<I", data, layout.CRC, crc32(data[layout.CRC + 4 :]))
    (tmp_path / "net.ucorr").write_bytes(data)
    result = here("deploy", "--port", serial_board.port, "--model", tmp_path / "net.ucorr")
    if place == layout.INPUT_AT:  # of which main.py tells
        assert_one_sentence(result, f"model: 20 bytes at {len(data) - 8}, wanted places within its {len(data)} bytes")
    else:
        assert result.returncode == 0
    with Board(serial_board.port) as board:
        board.write("/digits.ucorr", data)
        assert len(labels_there(board, "/digits.ucorr")) == (0 if place == layout.LABELS_AT else 10)


def test_no_samples_are_not_equal_ones(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 1, 8, 8, 1), np.int8))
    model = Model(MODEL, digits.network(), None)
    with pytest.raises(ValueError, match=r"^x: no samples, wanted at least one$"):
        verify_model(None, model, np.load(tmp_path / "x.npy"))


def test_a_package_is_deployed_beside_a_model(serial_board):
    with Board(serial_board.port) as board:
        deploy(board, package=OLD)
        package, _ = deploy_model(board, FIRST, package=NEW)
        assert package.copied
        assert whole(board) == NEW_WHOLE


# What goes wrong


class PowerLost(Exception):
    """The board stopped between two steps."""


@pytest.mark.parametrize("done", [0, 1, 2])
def test_power_lost_between_any_two_steps_leaves_old_or_new_files(serial_board, monkeypatch, done):
    real_commit = deploying.commit

    def commit(board, root, steps):
        assert len(steps) == 2
        real_commit(board, root, steps[:done])
        raise PowerLost

    with Board(serial_board.port) as board:
        put(board)
        board.write(MAIN, b"old")
        with monkeypatch.context() as patch:
            patch.setattr(deploying, "commit", commit)
            with pytest.raises(PowerLost):
                put(board, SECOND, force=True)
        model = FILES[SECOND.network.labels if done > 0 else FIRST.network.labels]
        assert (board.read(PLACE), board.read(MAIN) == b"old") == (model, done < 2)
        put(board, SECOND, force=True)
        assert board.read(PLACE) == FILES[SECOND.network.labels]
        assert board.read(MAIN) != b"old"
        assert temporaries(board) == []


def test_a_board_that_vanishes_amid_copying_keeps_the_old_model(serial_board):
    def vanish(name, done, total):
        if name.endswith(".ucorr") and 0 < done < total:
            serial_board.kill()

    with Board(serial_board.port) as board:
        put(board)
        with pytest.raises(BoardError, match=r"vanished: writing /digits.ucorr.tmp failed; the model that was there, "):
            put(board, SECOND, progress=vanish)
    with Board(serial_board.restart().port) as board:
        assert board.read(PLACE) == FILES[FIRST.network.labels]
        put(board, SECOND)
        assert board.read(PLACE) == FILES[SECOND.network.labels]
        assert temporaries(board) == []


def test_a_model_damaged_on_its_way_is_not_installed(serial_board, monkeypatch):
    write = Board.write

    def damaging(board, path, data, progress=None):
        if path == PLACE + TEMPORARY:
            data = data[:-1] + bytes([data[-1] ^ 1])
        write(board, path, data, progress)

    with Board(serial_board.port) as board:
        put(board)
        monkeypatch.setattr(Board, "write", damaging)
        with pytest.raises(BoardError, match=r"/digits.ucorr.tmp arrived damaged"):
            put(board, SECOND)
        assert temporaries(board) == []
        assert board.read(PLACE) == FILES[FIRST.network.labels]


def test_a_listing_that_goes_wrong_does_not_cost_somebodys_main(serial_board, monkeypatch):
    listdir, wrong = Board.listdir, [{}]
    with Board(serial_board.port) as board:
        board.write(MAIN, b"print('mine')\n")
        monkeypatch.setattr(Board, "listdir", lambda board, path: wrong.pop() if wrong else listdir(board, path))
        with pytest.raises(BoardError, match=r"listed / differently twice; nothing was changed$"):
            put(board)
        assert board.listdir("/") == {"main.py": 14}


def test_too_little_flash_for_a_model_keeps_the_old_one(tmp_path):
    tiny = SerialBoard(tmp_path, flash_blocks=32).start()
    with Board(tiny.port) as board:
        put(board)
        board.write("/full", b"#" * 4096 * (board.free()[0] // 4096 - 3))
        with pytest.raises(BoardError, match=r"KiB of flash free .*; the model that was there, if any, still is$"):
            put(board, SECOND)
        assert board.read(PLACE) == FILES[FIRST.network.labels]
    tiny.kill()


def test_a_file_for_another_core_is_refused_before_anything_is_written(serial_board, tmp_path):
    path = tmp_path / "digits.ucorr"
    digits.network().save(path, core="cortex-m4")
    before = serial_board.flash.read_bytes()
    result = command("ucorr", "deploy", "--port", serial_board.port, "--model", str(path))
    assert_one_sentence(result, "for cortex-m4 or cortex-m7 or cortex-m33, ", "run `ucorr convert --core any`")
    assert serial_board.flash.read_bytes() == before


def test_a_converted_file_is_deployed_as_it_is(serial_board, tmp_path):
    path = tmp_path / "digits.ucorr"
    digits.network().save(path)
    with Board(serial_board.port) as board:
        assert put(board, read_model(str(path))).copied == [PLACE, MAIN]
        assert board.read(PLACE) == path.read_bytes() == FILES[digits.LABELS]


class Registers:
    """uctypes on a board whose CPUID has a part number."""

    UINT32 = 0
    parts: ClassVar[list[int]] = []

    def struct(address, layout):
        assert (address, layout) == (0xE000ED00, {"word": 0})
        return SimpleNamespace(word=0x410F0001 | Registers.parts.pop() << 4)


@pytest.mark.parametrize(
    ("arch", "part", "core"),
    [
        (None, 0, "any"),
        ("rv32imc", 0, "any"),
        ("xtensawin", 0, "any"),
        ("armv6", 0, "any"),
        ("armv6m", 0xC60, "cortex-m0plus"),
        ("armv7m", 0xC23, "cortex-m3"),
        ("armv7m", 0xC24, "cortex-m3"),
        ("armv7em", 0xC23, "cortex-m3"),
        ("armv7em", 0xC24, "cortex-m4"),
        ("armv7emsp", 0xC24, "cortex-m4"),
        ("armv7emdp", 0xC27, "cortex-m7"),
        ("armv7emsp", 0xD21, "cortex-m33"),
        ("armv7emsp", 0xD22, "cortex-m4"),
    ],
)
@pytest.mark.parametrize(("platform", "emits"), [("rp2", True), ("rp2", False), ("linux", True)])
def test_the_core_is_what_the_board_tells(arch, part, core, platform, emits):
    names = {"__import__": lambda name: Registers}
    board = SimpleNamespace(
        mpy=ARCHITECTURES.index(arch) << 10 | 6,
        platform=platform,
        emits=lambda name: emits and name == "asm_thumb",
        eval=lambda expression: (Registers.parts.append(part), eval(expression, names))[1],
    )
    assert core_of(board) == (core if emits and platform != "linux" else "any")
    assert core in cores.names()


# Verifying


def test_a_deployed_model_equals_the_reference(digits_board):
    result = command("ucorr", "verify", "--port", digits_board.port, "--model", MODEL, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    scores = digits.network().run(random_samples(digits.network())).reshape(SAMPLES, 10)
    answers = [digits.LABELS[n] for n in scores.argmax(1)]
    rows = [{"sample": n, "answer": answer, "equal": True, "said": ""} for n, answer in enumerate(answers)]
    assert (told["file"], told["samples"]) == (PLACE, rows)
    assert len(set(answers)) > 1
    assert [layer["backend"] for layer in told["layers"]] == ["viper"] * 4
    assert sum(layer["macs"] for layer in told["layers"]) == 25_600
    human = command("ucorr", "verify", "--port", digits_board.port, "--model", MODEL)
    assert f"4 of 4 outputs of {PLACE} on {digits_board.port} equal the reference byte for byte\n" in human.stdout
    assert re.search(r"^a run: 25,600 MACs in \d+\.\d\d ms on viper$", human.stdout, re.MULTILINE)


def test_the_work_of_a_run_is_what_info_tells(digits_board, tmp_path):
    """An average of a whole image is a layer with a kernel of ones on a board, whose products are no model's."""
    made = ModelFile()
    x, y = (made.tensor(shape, np.int8, None, np.float32(1)) for shape in ((1, 4, 4, 8), (1, 1, 1, 8)))
    words = {"Padding": 1, "StrideH": 1, "StrideW": 1, "FilterHeight": 4, "FilterWidth": 4}
    made.operator("AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", **words)
    path = tmp_path / "pool.tflite"
    path.write_bytes(made.build([x], [y]))
    words = ["--port", digits_board.port, "--model", path]
    assert here("deploy", "--mpy", *words).returncode == 0
    told = json.loads(here("verify", *words, "--json").stdout)
    assert told["macs"] == json.loads(here("info", path, "--json").stdout)["macs"] == 0
    assert "\na run: 0 MACs in " in here("verify", *words).stdout


@pytest.mark.parametrize("real", [False, True])
def test_inputs_of_ones_own_are_verified(digits_board, tmp_path, real):
    images, labels = digits.held_out()
    np.save(tmp_path / "x.npy", images[2:6] / np.float32(digits.GREATEST) if real else digits.integers(images[2:6]))
    words = ["--model", MODEL, "--input", str(tmp_path / "x.npy"), "--json"]
    result = command("ucorr", "verify", "--port", digits_board.port, *words)
    assert result.returncode == 0
    rows = json.loads(result.stdout)["samples"]
    assert [(row["answer"], row["equal"]) for row in rows] == [(str(label), True) for label in labels[2:6]]


@pytest.mark.parametrize("at", [3, 13, 40, 1000, -1])
def test_a_damaged_model_on_the_board_is_told_and_repaired(digits_board, at):
    with Board(digits_board.port) as board:
        data = bytearray(FILES[digits.LABELS])
        data[at] ^= 1
        board.write(PLACE, data)
    result = command("ucorr", "verify", "--port", digits_board.port, "--model", MODEL)
    assert_one_sentence(result, f"{PLACE} does not run on the board", "ValueError: model: ", "deploy --model` again")
    with Board(digits_board.port) as board:
        assert deploy_model(board, FIRST, mpy=True)[1].copied == [PLACE]
        told = verify_model(board, FIRST, random_samples(digits.network()))
    assert [row.equal for row in told["samples"]] == [True] * SAMPLES


def test_another_models_outputs_are_told(digits_board):
    network = digits.network()
    (dense,) = [n for n, node in enumerate(network.nodes) if node.op.startswith("dense")]
    words = network.nodes[dense].options
    negated = replace(network.nodes[dense], options={**words, "kernel": -np.array(words["kernel"])})
    other = replace(network, nodes=(*network.nodes[:dense], negated, *network.nodes[dense + 1 :]))
    with Board(digits_board.port) as board:
        board.write(PLACE, Model("", other, None).file_for("any"))
    result = command("ucorr", "verify", "--port", digits_board.port, "--model", MODEL)
    assert result.returncode == 1
    assert re.search(r"^sample 0 .* \d+ of 10 outputs differ from the reference$", result.stdout, re.MULTILINE)
    assert "0 of 4 outputs" in result.stdout
    assert "4 of 4 outputs differ from those of" in result.stderr
    assert "is not what `ucorr deploy` makes of it" in result.stderr


def test_one_wrong_bit_of_one_output_is_told(digits_board, monkeypatch):
    def run(network, x):
        outputs = right(network, x).copy()
        outputs[2, 0, 0] ^= 1
        return outputs

    right = Network.run
    monkeypatch.setattr(Network, "run", run)
    with Board(digits_board.port) as board:
        rows = verify_model(board, FIRST, random_samples(digits.network()))["samples"]
    said = [""] * SAMPLES
    said[2] = "1 of 10 outputs differ from the reference"
    assert [(row.equal, row.said) for row in rows] == [(not text, text) for text in said]


def test_an_input_of_another_shape_or_dtype_is_one_sentence(tmp_path):
    for x, words in [
        (np.zeros((3, 3), np.int8), "shape (3, 3), wanted (1, 8, 8, 1)"),
        (np.zeros((1, 8, 8, 1), np.int16), "dtype int16, wanted int8"),
    ]:
        np.save(tmp_path / "x.npy", x)
        words_of_input = ["--input", str(tmp_path / "x.npy"), "--port", "/dev/nowhere"]
        assert_one_sentence(command("ucorr", "verify", "--model", MODEL, *words_of_input), words)
        assert_one_sentence(command("ucorr", "run", MODEL, str(tmp_path / "x.npy")), words)


def test_a_converted_file_has_no_reference(tmp_path):
    path = tmp_path / "digits.ucorr"
    digits.network().save(path)
    result = command("ucorr", "verify", "--port", "/dev/nowhere", "--model", str(path))
    assert_one_sentence(result, "the reference is missing, wanted the .tflite file")


def test_a_board_without_the_model_names_the_remedy(digits_board, tmp_path):
    (tmp_path / "other.tflite").write_bytes(two_layers())
    result = command("ucorr", "verify", "--port", digits_board.port, "--model", str(tmp_path / "other.tflite"))
    assert_one_sentence(result, "there is no /other.ucorr on the board", "run `ucorr deploy --model` first")
    words = ["--model", MODEL, "--file", "/nowhere/digits.ucorr"]
    result = command("ucorr", "verify", "--port", digits_board.port, *words)
    assert_one_sentence(result, "there is no /nowhere/digits.ucorr on the board")


@pytest.mark.parametrize(
    "words",
    [
        ["deploy", "--labels", "x"],
        ["verify", "--input", "x"],
        ["verify", "--file", "x"],
        ["verify", "--model", MODEL, "--report", "x.html"],
    ],
)
def test_options_of_a_model_without_one_are_wrong_usage(words):
    result = command("ucorr", *words, "--port", "/dev/nowhere")
    assert (result.returncode, "go with --model FILE" in result.stderr) == (2, True)
