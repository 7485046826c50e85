"""The network that the package ships: what it was trained on, how good it is, and that training it anew works."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import reference_steps
from commands import command
from numpy.testing import assert_array_equal
from oracle import litert
from ucorr_host import evaluate
from ucorr_host.networks.compile import compile
from ucorr_tools.shipped import digits, train_digits

LEAST = 0.97


@pytest.fixture(scope="module")
def data():
    return train_digits.data()


def test_the_images_are_every_fifth_of_scikit_learns(data):
    images, labels = digits.held_out()
    assert (images.shape, images.dtype, images.max()) == ((360, 8, 8, 1), np.uint8, digits.GREATEST)
    assert_array_equal(images, data[2], strict=True)
    assert_array_equal(labels, data[3])
    assert len(data[0]) + len(images) == 1797
    trained = {image.tobytes() for image in data[0]}
    assert not any(image.tobytes() in trained for image in images)


def test_float_and_int8_know_97_of_100_digits_they_never_saw(capsys):
    images, labels = digits.held_out()
    real = train_digits.float_accuracy(digits.float_network(), images, labels)
    whole = evaluate(digits.network(), digits.integers(images), labels).accuracy
    with capsys.disabled():
        print(f"\ndigits held out: float {real:.2%}, int8 {whole:.2%}")
    assert real >= LEAST
    assert whole >= LEAST


def test_both_ways_of_finding_ranges_do(data, capsys):
    x, _, held, labels = data
    for rule in ("minmax", "mse"):
        made = train_digits.quantized(digits.float_network(), x, rule)
        accuracy = evaluate(made, digits.integers(held), labels).accuracy
        noise = train_digits.signal_to_noise(digits.float_network(), made, held)
        with capsys.disabled():
            print(f"\ndigits quantised, {rule}: {accuracy:.2%}, {noise:.1f} dB over its noise")
        assert accuracy >= LEAST


def test_the_shipped_integers_are_the_shipped_floats_quantised(data):
    """Ranges are sums of floats, which another machine may round differently: by a step at most, if at all."""
    shipped, made = digits.network(), train_digits.quantized(digits.float_network(), data[0])
    assert [node.op for node in made.nodes] == [node.op for node in shipped.nodes]
    for one, other in zip(shipped.nodes, made.nodes, strict=True):
        for name in {"kernel", "bias"} & set(one.options):
            assert np.abs(one.options[name].astype(int) - other.options[name]).max() <= 1


def test_pixels_are_integers_without_rounding():
    images = np.arange(17, dtype=np.uint8)
    network = digits.network()
    assert digits.integers(images).tolist() == [15 * pixel - 128 for pixel in range(17)]
    assert_array_equal(network.quantize_input(images / digits.GREATEST), digits.integers(images))
    assert (network.tensors[0].shape, network.labels) == ((1, 8, 8, 1), tuple("0123456789"))


def test_litert_and_compiled_networks_agree_on_every_image():
    images, _ = digits.held_out()
    network, x = digits.network(), digits.integers(images)
    expected = network.run(x)
    model = (digits.DATA / "digits.tflite").read_bytes()
    assert_array_equal(np.concatenate([litert(model, sample[None])[0] for sample in x]), expected)
    for core in ("any", "cortex-m4", "cortex-m0plus"):
        compiled = compile(network, core)
        assert compiled.macs == 25600
        assert_array_equal(np.stack([reference_steps.run(compiled, sample)[0] for sample in x[:20]]), expected[:20])


def test_the_files_are_small():
    sizes = [len((digits.DATA / name).read_bytes()) for name in ("digits.npz", "digits.tflite")]
    assert max(sizes) < 60000


def test_the_commands_take_it(tmp_path):
    shutil.copy(str(digits.DATA / "digits.tflite"), tmp_path)
    images, _ = digits.held_out()
    np.save(tmp_path / "x.npy", digits.integers(images))
    told = json.loads(command("ucorr", "run", "digits.tflite", "x.npy", "--json", cwd=tmp_path).stdout)
    assert told["classes"] == evaluate(digits.network(), digits.integers(images)).classes.tolist()
    assert command("ucorr", "convert", "digits.tflite", "digits.ucorr", cwd=tmp_path).returncode == 0


# Training


def test_gradients_are_slopes():
    """Of the loss along each weight, by central differences of a step of 1e-5: exact but for the step's square."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, array.shape) for array in train_digits.arrays(digits.float_network())]
    x, labels = rng.random((3, 8, 8, 1)), np.array([3, 1, 4])

    def loss():
        return -np.log(digits.float_network(weights).run(x)[np.arange(3), labels]).mean()

    for array, slopes in zip(weights, train_digits.gradients(digits.float_network(weights), x, labels), strict=True):
        assert array.shape == slopes.shape
        for place in rng.integers(0, array.size, 5):
            value = array.flat[place]
            ends = []
            for step in (-1e-5, 1e-5):
                array.flat[place] = value + step
                ends.append(loss())
            array.flat[place] = value
            np.testing.assert_allclose((ends[1] - ends[0]) / 2e-5, slopes.flat[place], rtol=1e-4, atol=1e-7)


def test_training_anew_learns_and_writes_what_can_be_loaded(tmp_path, data, monkeypatch):
    monkeypatch.setattr(train_digits, "EPOCHS", 4)
    train_digits.main(str(tmp_path))
    monkeypatch.setattr(digits, "DATA", tmp_path)
    images, labels = digits.held_out()
    assert_array_equal(images, data[2])
    found = evaluate(digits.network(), digits.integers(images), labels)
    assert found.accuracy > 0.9
    assert train_digits.float_accuracy(digits.float_network(), images, labels) > 0.9
