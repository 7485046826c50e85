"""What a model is told that does not load, or has no board file: what is true of it, in one message."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import litert
from test_tflite import chain
from ucorr_host import load_tflite, save_tflite, simulate
from ucorr_host.networks.graph import Node, Tensor
from ucorr_host.networks.network import Network
from ucorr_host.tflite import operators, records
from ucorr_host.tflite.model import Model

SMALL = (1, 4, 5, 2)


@settings(max_examples=60)
@given(data=st.data())
def test_quantize_makes_16_bits_of_8(data):
    scales = data.draw(st.floats(-8, 0)), data.draw(st.floats(-14, -4))
    model = Model()
    x = model.tensor(SMALL, np.int8, None, np.float32(2.0 ** scales[0]), data.draw(st.integers(-128, 127)))
    out = model.tensor(SMALL, np.int16, None, np.float32(2.0 ** scales[1]), 0)
    model.operator("QUANTIZE", [x], [out])
    built = model.build([x], [out])
    values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-128, 128, SMALL).astype(np.int8)
    network = load_tflite(built)
    assert_array_equal(network.run(values), litert(built, values)[0], strict=True)
    for target, backend in (("cpython", "portable"), ("micropython", "viper"), ("cortex-m4", None)):
        assert_array_equal(simulate(network, values, target, backend=backend).output, network.run(values), strict=True)


def one_layer(op: str, kernel, out_shape, **words) -> Network:
    """A network of one layer on 4x5x2 items, or on 40."""
    shape = (1, 40) if op == "dense" else SMALL
    tensors = {0: Tensor("x", shape, np.dtype(np.int8), 0.5, 3), 1: Tensor("y", out_shape, np.dtype(np.int8), 0.25, -4)}
    words |= {"kernel": kernel, "input_zero_point": 3, "output_zero_point": -4, "activation_min": -128}
    node = Node(op, (0,), 1, {**words, "activation_max": 127})
    template = load_tflite(chain("RELU"))
    return dataclasses.replace(
        template, tensors=tuple(tensors.values()), constants={}, nodes=(node,), inputs=(0,), outputs=(1,)
    )


@pytest.mark.parametrize(
    ("target", "backend"), [("micropython", "viper"), ("cortex-m4", None), ("cortex-m0plus", None)]
)
@pytest.mark.parametrize("rounding", ["double", "single"])
def test_a_dense_layer_with_an_integer_scale_has_a_board_file(target, backend, rounding):
    rng = np.random.default_rng(4)
    kernel = rng.integers(-127, 128, (3, 40)).astype(np.int8)
    scale = {"multiplier": np.full(3, 1610612736), "shift": np.full(3, -8), "rounding": rounding}
    network = one_layer("dense", kernel, (1, 3), bias=rng.integers(-999, 999, 3).astype(np.int32), **scale)
    x = rng.integers(-128, 128, (1, 40)).astype(np.int8)
    assert_array_equal(simulate(network, x, target, backend=backend).output, network.run(x), strict=True)
    with pytest.raises(ValueError, match="'y' is scaled by an integer, wanted a factor"):
        save_tflite(network, "never written")


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_layer_without_bias_is_written_as_one_of_zeros(tmp_path, depthwise):
    rng = np.random.default_rng(5)
    kernel = rng.integers(-127, 128, (1, 3, 3, 2) if depthwise else (4, 3, 3, 2)).astype(np.int8)
    channels = kernel.shape[3 if depthwise else 0]
    words = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "bias": None}
    words |= {"multiplier": np.full(channels, 1610612736), "shift": np.full(channels, -6)}
    network = one_layer("depthwise_conv2d" if depthwise else "conv2d", kernel, (1, 2, 3, channels), **words)
    save_tflite(network, tmp_path / "made.tflite")
    x = rng.integers(-128, 128, SMALL).astype(np.int8)
    assert_array_equal(load_tflite(tmp_path / "made.tflite").run(x), network.run(x), strict=True)


def test_a_float_model_is_told_so_first_and_then_ten_operators():
    with pytest.raises(ValueError, match=r"^model: not integer-quantised: 12 of 12 operators compute floats") as caught:
        load_tflite(chain(*["RELU"] * 12, dtype=np.float32))
    assert str(caught.value).count("(operator ") == 10
    assert str(caught.value).endswith("; and 2 more")


def test_a_valid_model_of_several_subgraphs_is_not_corrupt():
    graph = records.read(chain("RELU", "FLOOR"), operators.OPTIONS)
    with pytest.raises(ValueError, match=r"2 subgraphs, wanted one; not supported: FLOOR \(operator 1") as caught:
        operators.build(dataclasses.replace(graph, subgraphs=2))
    assert type(caught.value) is ValueError


def test_a_tensor_without_items_is_no_corrupt_file():
    model = Model()
    x = model.tensor(SMALL, np.int8, None, np.float32(1), 0)
    empty = model.tensor((0,), np.int8, None, np.float32(1), 0, name="nothing")
    out = model.tensor(SMALL, np.int8, None, np.float32(1), 0)
    model.operator("ADD", [x, empty], [out], "AddOptions")
    with pytest.raises(ValueError, match=r"ADD \(operator 0, .*: 'nothing' has no items, wanted one or more"):
        load_tflite(model.build([x], [out]))
