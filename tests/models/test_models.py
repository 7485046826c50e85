"""Public networks, whole: MLPerf Tiny's keyword spotting and image classification, byte for byte as in LiteRT."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.testing import assert_array_equal
from test_network import compiled_of
from ucorr_host import load_tflite, simulate
from ucorr_host.networks.compile import compile

FOLDER = Path(os.environ.get("UCORR_MODELS", ""))
# MACs, and bytes of activations that are alive at once
MODELS = {"kws_ref_model": (2_656_768, 16_000), "pretrainedResnet_quant": (12_501_632, 49_152)}


def inputs(shape, count=200):
    """Random and structured samples, (count, *shape) int8: noise of several widths, levels, ramps, single points."""
    rng = np.random.default_rng(0)
    items = int(np.prod(shape))
    found = [rng.integers(-128, 128, items) for _ in range(count // 2)]
    found += [
        np.clip(rng.normal(rng.integers(-60, 60), width, items), -128, 127) for width in (1, 5, 30) for _ in range(10)
    ]
    found += [np.full(items, level) for level in range(-128, 128, 17)]
    found += [np.arange(items) * step % 256 - 128 for step in range(1, 24)]
    while len(found) < count:
        point = np.full(items, rng.integers(-128, 128))
        point[rng.integers(0, items, 9)] = 127
        found.append(point)
    return np.array(found).astype(np.int8).reshape(-1, *shape)


def interpreter(name):
    made = Interpreter(
        str(FOLDER / f"{name}.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    made.allocate_tensors()
    return made


def invoke(made, x):
    made.set_tensor(made.get_input_details()[0]["index"], x)
    made.invoke()
    return made.get_tensor(made.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", MODELS)
def test_a_public_network_gives_the_bytes_of_litert(name):
    network, made = load_tflite(FOLDER / f"{name}.tflite"), interpreter(name)
    x = inputs(network.tensors[network.inputs[0]].shape)
    expected = np.array([invoke(made, sample) for sample in x])
    assert len(np.unique(expected.argmax(axis=-1))) > 2  # the samples tell something
    assert_array_equal(network.run(x), expected, strict=True)
    assert_array_equal(network.run(x[0]), expected[0], strict=True)


def test_keyword_spotting_takes_at_most_five_times_as_long_as_in_litert():
    name = "kws_ref_model"
    network, made = load_tflite(FOLDER / f"{name}.tflite"), interpreter(name)
    x = inputs(network.tensors[network.inputs[0]].shape)[0]

    def seconds(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    ours, theirs = [], []
    for _ in range(30):  # in turn, so that both see the same machine; the least counts
        ours.append(seconds(lambda: network.run(x)))
        theirs.append(seconds(lambda: invoke(made, x)))
    assert min(ours) < 5 * min(theirs)


@pytest.mark.parametrize("core", ["any", "cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("name", MODELS)
def test_the_arena_of_a_public_network_is_what_is_alive_at_once(name, core):
    compiled = compile(load_tflite(FOLDER / f"{name}.tflite"), core)
    assert (compiled.macs, compiled.arena_bytes) == MODELS[name]


@pytest.mark.parametrize(
    ("name", "core", "most"),
    [
        ("kws_ref_model", "cortex-m4", 1.7),
        ("pretrainedResnet_quant", "cortex-m4", 1.35),
        ("kws_ref_model", "cortex-m0plus", 5.0),
        ("pretrainedResnet_quant", "cortex-m0plus", 3.9),
    ],
)
def test_a_public_network_takes_few_estimated_cycles_for_each_mac(name, core, most):
    """Of what is machine code, which has all the MACs: a softmax, and what else viper runs, is not counted."""
    network = load_tflite(FOLDER / f"{name}.tflite")
    x = network.random_input()
    result = simulate(network, x, core)
    assert_array_equal(result.output, network.run(x), strict=True)
    assert {layer.name for layer in result.layers if layer.cycles is None} <= {"softmax"}
    assert sum(layer.cycles or 0 for layer in result.layers) / MODELS[name][0] <= most


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("name", MODELS)
def test_a_public_network_packed_small_gives_the_bytes_of_the_reference(name, core):
    compiled = compiled_of((FOLDER / f"{name}.tflite").read_bytes(), core, small=True)
    assert compiled
    packings = {part.code.packing for part in compiled.parts if part.code}
    assert "compact" in packings
    x = compiled.network.random_input(1)
    assert_array_equal(simulate(compiled, x, core).output, compiled.network.run(x), strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_a_public_network_gives_the_bytes_of_the_reference_on_micropython(name):
    network = load_tflite(FOLDER / f"{name}.tflite")
    x = network.random_input(2)
    result = simulate(network, x, "micropython")
    assert_array_equal(result.output, network.run(x), strict=True)
    assert {layer.backend for layer in result.layers} == {"viper"}


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_every_weighted_step_of_an_int8_network_is_machine_code(core):
    """Of all public networks that load."""
    left, loaded = {}, 0
    for path in sorted(FOLDER.rglob("*.tflite")):
        try:
            network = load_tflite(path)
        except ValueError:
            continue
        loaded += 1
        parts = compile(network, core).parts
        left[path.stem] = [part.step.op for part in parts if part.step.kind == "layer" and part.code is None]
    assert loaded >= 5
    assert {name: ops for name, ops in left.items() if ops} == {}


@pytest.mark.parametrize(("core", "most"), [("cortex-m4", 12_400_000), ("cortex-m0plus", 32_600_000)])
def test_visual_wake_words_takes_few_estimated_cycles(core, most):
    """A MobileNet whose dead channels have biases near 2**30; all but the softmax of two classes is counted."""
    network = load_tflite(FOLDER / "public" / "vww_96_int8.tflite")
    x = network.random_input()
    result = simulate(network, x, core)
    assert_array_equal(result.output, network.run(x), strict=True)
    assert {layer.name for layer in result.layers if layer.cycles is None} == {"softmax"}
    assert sum(layer.cycles or 0 for layer in result.layers) <= most


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "public").glob("*.tflite")))
def test_a_public_model_loads_or_is_told_why_not(name):
    """Valid files, all of them: a refusal names an operator, and never says that a file is corrupt."""
    said = None
    try:
        load_tflite(FOLDER / "public" / f"{name}.tflite")
    except ValueError as error:
        said = type(error), str(error)
    assert said is None or said[0] is ValueError
    told = r"model: not (supported|integer-quantised): .*[A-Z0-9_]{3,} \(operator \d+"
    assert said is None or (re.match(told, said[1]) and said[1].count("(operator ") <= 10)
