"""A channel without weights puts out a constant: other numbers for the same bytes, none of which is large."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import Model, litert
from strategies import problems
from test_network import compiled_of
from ucorr_host import load_tflite, reference, simulate
from ucorr_host.networks.dead_channels import harmless


@st.composite
def layers(draw):
    """(x, words of a layer as lower.py makes them) with dead channels of any bias and scale."""
    problem = draw(problems("Conv2D"))
    words = dict(problem.options)
    assume(words.get("multiplier") is not None)
    kernel = np.array(problem.kernel)
    channels = len(kernel)
    dead = np.array(draw(st.lists(st.booleans(), min_size=channels, max_size=channels)))
    dead[draw(st.integers(0, channels - 1))] = True
    kernel[dead] = words.get("kernel_zero_point", 0)
    multiplier = np.array(np.broadcast_to(words["multiplier"], (channels,)))
    shift = np.array(np.broadcast_to(words.get("shift", 0), (channels,)))
    bias = words.get("bias")
    bias = np.array(np.broadcast_to(0 if bias is None else bias, (channels,)), np.int64)
    bias[dead] = draw(st.sampled_from([-1, 1])) * ((1 << 30) - draw(st.integers(0, 1 << 30)))
    multiplier[dead] = draw(st.integers(1 << 30, (1 << 31) - 1))
    shift[dead] = draw(st.integers(-31, 0))
    words |= {"multiplier": multiplier, "shift": shift, "bias": bias}
    return problem.x, kernel, dead, words, problem.out_dtype


@settings(max_examples=400)
@given(layer=layers())
def test_the_outputs_stay_and_no_number_is_large(layer):
    x, kernel, dead, words, out_dtype = layer
    accumulator = words.get("accumulator") or ("int32" if x.dtype.itemsize == 1 else "int64")
    given_words = {**words, "kernel": kernel, "out_dtype": out_dtype, "accumulator": accumulator}
    other = harmless(given_words)
    assert_array_equal(other["kernel"], kernel)
    for name in ("bias", "multiplier", "shift"):
        assert_array_equal(other[name][~dead], words[name][~dead])
    if (words["bias"] != other["bias"]).any():
        assert np.abs(other["bias"][dead]).max() <= 1 << 28
        if (~dead).any() and (words["shift"][~dead] < 0).all():
            assert other["shift"][dead].max() < 0
    scale = {name: other[name] for name in ("rounding", "output_zero_point", "activation_min", "activation_max")
             if name in other}  # fmt: skip
    scale |= {"accumulator": accumulator, "out_dtype": np.dtype(out_dtype)}
    before = reference.requantize(words["bias"][dead], words["multiplier"][dead], words["shift"][dead], **scale)
    after = reference.requantize(other["bias"][dead], other["multiplier"][dead], other["shift"][dead], **scale)
    assert_array_equal(after, before)


@pytest.mark.parametrize("multiplier", [987, 73122])
def test_a_multiplier_of_few_bits_is_no_dead_channels(multiplier):
    """64-bit accumulators leave it 16 bits less: nothing of 987, and 1 of 73122."""
    words = {
        "kernel": np.array([0, 1], np.int8).reshape(2, 1, 1, 1), "bias": np.array([1 << 20, 0]),
        "multiplier": np.array([1 << 30, multiplier]), "shift": np.array([-14, -1]), "accumulator": "int64",
        "out_dtype": np.int16,
    }  # fmt: skip
    other = harmless(words)
    assert (other["multiplier"].tolist(), other["shift"].tolist()) == ([1 << 30, multiplier], [-1, -1])
    assert other["bias"].tolist() == [32 * 4, 0]  # a scale of 1/4 makes 2**20 / 2**15 of it


@pytest.mark.parametrize("target", ["micropython", "cortex-m4", "cortex-m0plus"])
@pytest.mark.parametrize("value", [3, -3])
def test_a_dead_dense_channel_halfway_rounds_as_litert_does(target, value):
    """3 / 6: the nearest 31 bits are a little less than 1/6 and would round down."""
    model = Model()
    x = model.tensor((1, 4), np.int8, scales=1.0)
    kernel = model.tensor((2, 4), np.int8, np.array([[0] * 4, [1] * 4], np.int8), scales=1.0)
    bias = model.tensor((2,), np.int32, np.array([value, 0], np.int32), scales=1.0)
    out = model.tensor((1, 2), np.int8, scales=6.0)
    model.operator("FULLY_CONNECTED", [x, kernel, bias], [out], "FullyConnectedOptions")
    data = model.build([x], [out])
    items = np.array([[1, 2, 3, 6]], np.int8)
    expected = litert(data, items)[0]
    assert_array_equal(expected, [[np.sign(value), 2]])
    result = simulate(load_tflite(data), items, target)
    assert_array_equal(result.output, expected, strict=True)
    assert {layer.backend for layer in result.layers} == {"viper" if target == "micropython" else "thumb"}


WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
RUNS = [("micropython", "viper"), ("cortex-m4", None), ("cortex-m0plus", None)]


@pytest.mark.parametrize(("target", "backend"), RUNS)
def test_a_network_with_dead_channels_runs_on_machine_code(target, backend):
    core = target if backend is None else "any"
    weighted = coded = 0

    @settings(max_examples=60)
    @given(case=graphs.graphs(WEIGHTED, st.integers(1, 2), dying=True))
    def check(case):
        nonlocal weighted, coded
        compiled = compiled_of(case[0], core)
        if not compiled:
            return
        layers = [part for part in compiled.parts if part.step.kind == "layer"]
        weighted += len(layers)
        coded += sum(part.code is not None for part in layers)
        for part in layers:
            bias = part.step.options["bias"]
            assert bias is None or np.abs(bias).max() < 1 << 29
        result = simulate(compiled, case[1], target, backend=backend)
        assert_array_equal(result.output, compiled.network.run(case[1]), strict=True)

    check()
    assert weighted > 30
    assert core == "any" or coded > 0.8 * weighted  # the others have scratch or padding beyond its limits
