"""The commands that take a network: convert, info, run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import assert_one_sentence, command
from PIL import Image
from tflite_writer import Model, litert, two_layers
from ucorr import format as layout
from ucorr_host import load_tflite


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(two_layers())
    return path


def test_convert_writes_the_file_that_save_writes(tmp_path, model):
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\n")
    output = tmp_path / "model.ucorr"
    words = ["--core", "cortex-m4", "--labels", str(labels), "--json"]
    result = command("ucorr", "convert", str(model), str(output), *words)
    assert (result.returncode, result.stderr) == (0, "")
    data = output.read_bytes()

    def read(at, count):
        return data[at : at + count]

    layout.check(read, len(data))
    at, size = layout.number(read, layout.LABELS_AT), layout.number(read, layout.LABELS)
    assert data[at : at + size] == b"one\ntwo\n"
    told = json.loads(result.stdout)
    assert (told["core"], told["file_bytes"]) == ("cortex-m4", len(data))
    human = command("ucorr", "convert", str(model), str(output))
    assert human.stdout.startswith(f"{output}: ")
    load_tflite(model).save(tmp_path / "same.ucorr")
    assert output.read_bytes() == (tmp_path / "same.ucorr").read_bytes()
    labels.write_text("one\ntwo")
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
    wrong = "from ucorr_tools import cli\nfrom ucorr_host import simulator\nright = simulator.in_form\n"
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


@pytest.mark.parametrize("name", ["convert", "info", "run"])
def test_what_is_no_model_is_one_sentence(tmp_path, name):
    (tmp_path / "model.tflite").write_text("no model")
    more = {"convert": ["out"], "info": [], "run": ["in.npy"]}[name]
    result = command("ucorr", name, str(tmp_path / "model.tflite"), *more, cwd=tmp_path)
    assert_one_sentence(result, "don't begin as a .tflite file does")
    assert_one_sentence(command("ucorr", name, "none.tflite", *more, cwd=tmp_path), "none.tflite")
