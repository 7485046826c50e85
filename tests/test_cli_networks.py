"""The commands that take a network: convert, info, run."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from commands import assert_one_sentence, command
from oracle import Model, litert, two_layers
from PIL import Image
from ucorr import format as layout
from ucorr_host import load_tflite
from ucorr_host.networks import graph, work
from ucorr_host.networks.network import Network


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(two_layers())
    return path


def test_convert_writes_the_file_that_save_writes(tmp_path, model):
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\nthree\nfour\n")
    output = tmp_path / "model.ucorr"
    words = ["--core", "cortex-m4", "--labels", str(labels), "--json"]
    result = command("ucorr", "convert", str(model), str(output), *words)
    assert (result.returncode, result.stderr) == (0, "")
    data = output.read_bytes()

    def read(at, count):
        return data[at : at + count]

    layout.check(read, len(data))
    at, size = layout.number(read, layout.LABELS_AT), layout.number(read, layout.LABELS)
    assert data[at : at + size] == b"one\ntwo\nthree\nfour\n"
    told = json.loads(result.stdout)
    assert (told["core"], told["file_bytes"]) == ("cortex-m4", len(data))
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    human = command("ucorr", "convert", str(model), str(output))
    assert human.stdout.startswith(f"{output}: ")
    assert human.stdout.splitlines()[-1] == f"SHA-256 {hashlib.sha256(output.read_bytes()).hexdigest()}"
    load_tflite(model).save(tmp_path / "same.ucorr")
    assert output.read_bytes() == (tmp_path / "same.ucorr").read_bytes()
    labels.write_text("one\ntwo\nthree\nfour")
    assert command("ucorr", "convert", str(model), str(output), *words).returncode == 0
    assert output.read_bytes() == data


def test_info_shows_layers_bytes_and_the_memory_plan(tmp_path, model):
    picture = tmp_path / "new" / "plan.png"
    result = command("ucorr", "info", str(model), "--core", "cortex-m0plus", "--picture", str(picture))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("conv 3x3x4->4") == 2
    assert "arena 512 bytes of activations" in result.stdout
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 16)}
    assert len(colours) > 4
    told = json.loads(command("ucorr", "info", str(model), "--json").stdout)
    assert (told["macs"], told["arena_bytes"], len(told["steps"]), len(told["buffers"])) == (18432, 512, 2, 3)


def test_run_gives_what_litert_gives(tmp_path, model):
    x = np.random.default_rng(0).integers(-128, 128, (3, 8, 8, 4)).astype(np.int8)
    np.save(tmp_path / "in.npy", x)
    output = tmp_path / "out.npy"
    result = command("ucorr", "run", str(model), str(tmp_path / "in.npy"), "--output", str(output), "--json")
    assert (result.returncode, result.stderr) == (0, "")
    expected = np.concatenate([litert(two_layers(), sample[None])[0] for sample in x])
    np.testing.assert_array_equal(np.load(output), expected, strict=True)
    assert json.loads(result.stdout)["output"] == expected.tolist()
    assert "class" in command("ucorr", "run", str(model), str(tmp_path / "in.npy")).stdout


def test_run_compares_a_target_with_the_reference(tmp_path, model):
    np.save(tmp_path / "in.npy", np.random.default_rng(0).integers(-128, 128, (2, 8, 8, 4)).astype(np.int8))
    words = [str(model), str(tmp_path / "in.npy"), "--target"]
    told = json.loads(command("ucorr", "run", *words, "micropython", "--json").stdout)
    layers = [(layer["backend"], layer["macs"]) for layer in told["layers"]]
    assert (told["target"], told["equal"], layers) == ("micropython", True, [("viper", 9216)] * 2)
    human = command("ucorr", "run", *words, "cpython")
    assert human.stdout.splitlines()[-1] == "cpython, on portable: equal, byte for byte"
    wrong = (
        "from ucorr_tools.cli import main as cli\nfrom ucorr_host.targets import simulator\nright = simulator.in_form\n"
    )
    wrong += "def in_form(value, form):\n    return right(value ^ 1, form)\nsimulator.in_form = in_form\n"
    result = command("python", "-c", f"{wrong}cli.main({['run', *words, 'cpython']!r})")
    assert_one_sentence(result, "the output of cpython differs from the reference")
    assert result.stdout.splitlines()[-1] == "cpython, on portable: not equal"
    assert_one_sentence(command("ucorr", "run", *words, "nowhere"), "target: 'nowhere', wanted one of cpython")


def test_run_takes_real_numbers_and_pictures(tmp_path):
    made = Model()
    x = made.tensor((1, 4, 6, 1), np.int8, None, np.float32(1), -128)
    y = made.tensor((1, 4, 6, 1), np.int8, None, np.float32(1), -128)
    made.operator("RELU", [x], [y])
    (tmp_path / "relu.tflite").write_bytes(made.build([x], [y]))
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    Image.fromarray(pixels).save(tmp_path / "in.png")
    np.save(tmp_path / "in.npy", pixels.reshape(1, 4, 6, 1).astype(np.float32))
    for name in ("in.png", "in.npy"):
        result = command("ucorr", "run", str(tmp_path / "relu.tflite"), str(tmp_path / name), "--json")
        assert np.ravel(json.loads(result.stdout)["real"]).tolist() == pixels.ravel().tolist()
    Image.fromarray(pixels[:2]).save(tmp_path / "small.png")
    result = command("ucorr", "run", str(tmp_path / "relu.tflite"), str(tmp_path / "small.png"))
    assert_one_sentence(result, "small.png: 6x2 pixels, wanted 6x4")


def test_run_refuses_a_small_file_that_asks_for_a_lot_of_work(tmp_path):
    shape, window = (1, 1000, 1000, 1), {"FilterHeight": 1000, "FilterWidth": 1000}
    words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": 0, **window}
    data = one_operator("MAX_POOL_2D", shape, "Pool2DOptions", **words)
    assert len(data) < 500
    (tmp_path / "pool.tflite").write_bytes(data)
    np.save(tmp_path / "in.npy", np.full(shape, 3, np.int8))
    run = ["run", "pool.tflite", "in.npy"]
    said = "model: 1,000,000,000,000 operations (multiply-accumulates, items of windows) for a sample, wanted at most"
    assert_one_sentence(command("ucorr", *run, cwd=tmp_path), f"{said} 10,000,000,000; --limit raises it")
    result = command("ucorr", *run, "--limit", str(10**12 - 1), cwd=tmp_path)
    assert_one_sentence(result, f"{said} 999,999,999,999; --limit raises it")
    for line in (
        "profile pool.tflite --target cpython",
        "forecast pool.tflite --board pico",
        "verify --model pool.tflite",
    ):
        assert_one_sentence(command("ucorr", *line.split(), cwd=tmp_path), said)
    network = load_tflite(data)
    work.check(network, 10**12)
    np.testing.assert_array_equal(network.run(np.load(tmp_path / "in.npy")), np.full(shape, 3, np.int8), strict=True)


def test_operations_are_what_a_naive_run_counts():
    assert work.operations(load_tflite(two_layers())) == 2 * (8 * 8 * 4) * (3 * 3 * 4)
    words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": 0}
    pool = one_operator("AVERAGE_POOL_2D", (1, 5, 7, 2), "Pool2DOptions", FilterHeight=2, FilterWidth=3, **words)
    assert work.operations(load_tflite(pool)) == (5 * 7 * 2) * (2 * 3)
    assert work.operations(load_tflite(one_operator("RELU", (1, 5, 7, 2), None))) == 2 * 5 * 7 * 2
    assert work.operations(load_tflite(depthwise(1))) == 4 * 9


def depthwise(dilation: int) -> bytes:
    """A model of one 3x3 depthwise layer on 2x2 pixels."""
    made, scale = Model(), np.float32(1)
    x = made.tensor((1, 2, 2, 1), np.int8, None, scale)
    kernel = made.tensor((1, 3, 3, 1), np.int8, np.ones((1, 3, 3, 1), np.int8), scale)
    y = made.tensor((1, 2, 2, 1), np.int8, None, scale)
    words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DepthMultiplier": 1}
    words |= {"DilationHFactor": dilation, "DilationWFactor": dilation}
    made.operator("DEPTHWISE_CONV_2D", [x, kernel], [y], "DepthwiseConv2DOptions", **words)
    return made.build([x], [y])


def transposed() -> bytes:
    """A model of one 3x3 transposed layer whose two rows of 1024 channels are spread by 65535."""
    made, scale, shape = Model(), np.float32(1), (1, 65538, 3, 1)
    x = made.tensor((1, 2, 1, 1024), np.int8, None, scale)
    kernel = made.tensor((1, 3, 3, 1024), np.int8, np.ones((1, 3, 3, 1024), np.int8), scale)
    y = made.tensor(shape, np.int8, None, scale)
    numbers = made.tensor((4,), np.int32, np.array(shape, np.int32))
    words = {"Padding": 1, "StrideH": 65535, "StrideW": 1}
    made.operator("TRANSPOSE_CONV", [numbers, kernel, x], [y], "TransposeConvOptions", **words)
    return made.build([x], [y])


@pytest.mark.parametrize(
    ("model", "items"),
    [(depthwise(60000), 120002**2), (transposed(), 65538 * 3 * 1024)],
    ids=["dilated", "transposed"],
)
def test_a_small_file_that_asks_for_a_lot_of_memory_is_one_sentence(tmp_path, model, items):
    network = load_tflite(model)
    (tmp_path / "model.tflite").write_bytes(model)
    np.save(tmp_path / "in.npy", network.random_input())
    said = f"model: an array of {items:,} items for a sample, wanted at most 134,217,728"
    for words in (["run", "model.tflite", "in.npy"], ["profile", "model.tflite", "--target", "cpython"]):
        assert_one_sentence(command("ucorr", *words, cwd=tmp_path), said)
    with pytest.raises(ValueError, match=said):
        network.run(network.random_input())


def test_many_samples_are_run_in_parts(model, monkeypatch):
    network = load_tflite(model)
    x = np.random.default_rng(0).integers(-128, 128, (7, 1, 8, 8, 4)).astype(np.int8)
    expected = network.run(x)
    largest = graph.items(network)
    assert largest == 10 * 10 * 4
    seen, run = [], Network._run
    monkeypatch.setattr(Network, "_run", lambda self, given: seen.append(len(given[0])) or run(self, given))
    monkeypatch.setattr(graph, "ITEMS", 3 * largest)
    np.testing.assert_array_equal(network.run(x), expected, strict=True)
    assert seen == [3, 3, 1]


def test_convert_refuses_an_arena_that_no_board_loads(tmp_path):
    words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2}
    made = one_operator("MAX_POOL_2D", (1, 3000, 3000, 1), "Pool2DOptions", FusedActivationFunction=0, **words)
    (tmp_path / "big.tflite").write_bytes(made)
    said = "model: an arena or scratch of 18000000 bytes, wanted at most 16777216"
    commands = (["convert", "big.tflite", "out.ucorr"], ["info", "big.tflite"])
    for each in (*commands, ["forecast", "big.tflite", "--board", "pico"]):
        assert_one_sentence(command("ucorr", *each, cwd=tmp_path), said)
    assert not (tmp_path / "out.ucorr").exists()


def one_operator(name: str, shape: tuple[int, ...], options: str | None, **words: int) -> bytes:
    """A model of one operator whose output has its input's shape."""
    made = Model()
    x, y = (made.tensor(shape, np.int8, None, np.float32(1)) for _ in range(2))
    made.operator(name, [x], [y], options, **words)
    return made.build([x], [y])


@pytest.mark.parametrize("name", ["convert", "info", "run"])
def test_what_is_no_model_is_one_sentence(tmp_path, name):
    (tmp_path / "model.tflite").write_text("no model")
    more = {"convert": ["out"], "info": [], "run": ["in.npy"]}[name]
    result = command("ucorr", name, str(tmp_path / "model.tflite"), *more, cwd=tmp_path)
    assert_one_sentence(result, "don't begin as a .tflite file does")
    assert_one_sentence(command("ucorr", name, "none.tflite", *more, cwd=tmp_path), "none.tflite")
