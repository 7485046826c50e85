"""What load_tflite takes, what it refuses and how, and that no file can hurt it."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import graphs
import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import Model, litert
from ucorr_host import load_tflite
from ucorr_host.tflite.operators import OPTIONS
from ucorr_host.tflite.records import Corrupt, read

SHAPE = (1, 4, 4, 2)
ONE = np.float32(0.05)


def chain(*names: str, options: dict[str, str] | None = None, dtype: Any = np.int8) -> bytes:
    """Operators of one input in a row, between tensors of one shape and scale."""
    model = Model()
    first = last = model.tensor(SHAPE, dtype, None, ONE, name="image")
    for n, name in enumerate(names):
        out = model.tensor(SHAPE, dtype, None, ONE, name=f"value {n}")
        model.operator(name, [last], [out], (options or {}).get(name))
        last = out
    return model.build([first], [last])


# What is refused


def test_every_operator_that_is_not_supported_is_named_in_one_message():
    with pytest.raises(ValueError, match=r"^model: not supported: ") as caught:
        load_tflite(chain("RELU", "FLOOR", "RELU6", "LOG", dtype=np.int8))
    message = str(caught.value)
    assert "FLOOR (operator 1, 'value 0' -> 'value 1'): no operator that ucorr has" in message
    assert "LOG (operator 3, 'value 2' -> 'value 3')" in message
    assert "RELU6 (" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (chain("RELU", dtype=np.float32), r"RELU \(operator 0, 'image' -> 'value 0'\): 'image' is FLOAT32, wanted INT"),
        (chain("LOGISTIC"), r"LOGISTIC .*: an output of int8, scale and zero point .*, wanted int8 \(0.0039"),
        (chain("RELU_N1_TO_1", dtype=np.int16), r"'image' is int16 and 'value 0' int16, wanted int8"),
        (chain("SOFTMAX", options={"SOFTMAX": "SoftmaxOptions"}), r"SOFTMAX .* wanted int8 to int8 of scale 1/256"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_would_have_been_needed(model, wanted):
    with pytest.raises(ValueError, match=wanted):
        load_tflite(model)


@pytest.mark.parametrize(
    "data", [b"", b"no model at all", b"\x1c\x00\x00\x00TFL3" + bytes(99), b"\xff" * 4 + b"TFL3" + bytes(50)]
)
def test_what_is_no_model_is_one_sentence(data):
    with pytest.raises(Corrupt, match=r"^model: "):
        load_tflite(data)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        load_tflite(tmp_path / "none.tflite")


def test_every_truncated_file_is_a_value_error():
    model = chain("RELU", "RELU6", "LEAKY_RELU", options={"LEAKY_RELU": "LeakyReluOptions"})
    for size in range(0, len(model), 7):
        with pytest.raises(ValueError, match="model: "):
            load_tflite(model[:size])


# What is taken


def weighted(axis: int) -> bytes:
    model = Model()
    x = model.tensor(SHAPE, np.int8, None, ONE, 3)
    kernel = model.tensor((2, 1, 1, 2), np.int8, np.array([5, -7, 90, 33], np.int8), ONE)
    bias = model.tensor((2,), np.int32, np.array([40, -50], np.int32), ONE * ONE, axis=axis)
    out = model.tensor(SHAPE, np.int8, None, ONE * 4)
    words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    model.operator("CONV_2D", [x, kernel, bias], [out], "Conv2DOptions", **words)
    return model.build([x], [out])


def test_a_quantised_dimension_that_a_bias_does_not_have_is_accepted():
    x = np.arange(-16, 16, dtype=np.int8).reshape(SHAPE)
    expected = litert(weighted(0), x)[0]
    assert_array_equal(load_tflite(weighted(3)).run(x), expected, strict=True)


def test_floats_at_the_edges_are_left_to_the_caller():
    model = Model()
    real = model.tensor(SHAPE, np.float32)
    x = model.tensor(SHAPE, np.int8, None, ONE, 3)
    y = model.tensor(SHAPE, np.int8, None, ONE, 3)
    out = model.tensor(SHAPE, np.float32)
    model.operator("QUANTIZE", [real], [x], "QuantizeOptions")
    model.operator("RELU", [x], [y])
    model.operator("DEQUANTIZE", [y], [out], "DequantizeOptions")
    data = model.build([real], [out])
    network = load_tflite(data)
    value = np.linspace(-9, 9, 32, dtype=np.float32).reshape(SHAPE)
    ints = network.quantize_input(value)
    assert ints.dtype == np.int8
    assert_array_equal(network.dequantize_output(network.run(ints)), litert(data, value)[0])


def test_an_input_of_unsigned_bytes_becomes_signed_at_the_first_operator():
    model = Model()
    x = model.tensor(SHAPE, np.uint8, None, ONE, 131)
    y = model.tensor(SHAPE, np.int8, None, ONE, 3)
    model.operator("QUANTIZE", [x], [y], "QuantizeOptions")
    data = model.build([x], [y])
    value = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    assert_array_equal(load_tflite(data).run(value), litert(data, value)[0], strict=True)


def test_inputs_of_a_wrong_shape_or_dtype_are_one_sentence():
    network = load_tflite(chain("RELU"))
    with pytest.raises(TypeError, match="input 'image': dtype int16, wanted int8"):
        network.run(np.zeros(SHAPE, np.int16))
    with pytest.raises(ValueError, match=r"input 'image': shape \(4, 4\), wanted \(1, 4, 4, 2\), or samples of it"):
        network.run(np.zeros((4, 4), np.int8))
    with pytest.raises(ValueError, match="inputs: 2 arrays, wanted 1"):
        network.run(np.zeros(SHAPE, np.int8), np.zeros(SHAPE, np.int8))


# What is hostile

WORDS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x7FC00000)  # the last is a NaN
KINDS = (0.4, 0.2, 0.2, 0.16, 0.02, 0.02)  # few that move all that follows


def vectors(model: bytes) -> list[tuple[int, int]]:
    """(offset, bytes) of shapes, scales, weights and lists of tensors: a change there leaves the file in one piece."""
    begin = np.frombuffer(model, np.uint8).ctypes.data
    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    found = [root.Buffers(n).DataAsNumpy() for n in range(root.BuffersLength())]
    for n in range(graph.TensorsLength()):
        tensor = graph.Tensors(n)
        found.append(tensor.ShapeAsNumpy())
        if (quantization := tensor.Quantization()) is not None:
            found += [quantization.ScaleAsNumpy(), quantization.ZeroPointAsNumpy()]
    for n in range(graph.OperatorsLength()):
        found += [graph.Operators(n).InputsAsNumpy(), graph.Operators(n).OutputsAsNumpy()]
    return [(v.ctypes.data - begin, v.nbytes) for v in found if not isinstance(v, int) and v.nbytes]


def mutant(rng: np.random.Generator, model: bytes) -> bytes:
    """A model with a byte, a word or a stretch of it changed, or two; half of them where values stand."""
    data, places = bytearray(model), vectors(model)
    for _ in range(int(rng.choice([1, 1, 1, 2]))):
        start, length = places[int(rng.integers(len(places)))] if rng.random() < 0.5 else (0, len(data))
        at = min(start + int(rng.integers(length)), len(data) - 1)
        kind = rng.choice(6, p=KINDS)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at] = int(rng.integers(0, 256))
        elif kind == 2:  # a word: lengths, offsets, dimensions, scales
            word = rng.choice([*WORDS, len(data), int(rng.integers(0, 1 << 32))])
            at &= ~3
            data[at : at + 4] = int(word).to_bytes(4, "little")
        elif kind == 3:
            other = int(rng.integers(0, len(data)))
            data[at : at + 4] = data[other : other + 4]
        elif kind == 4:
            del data[at : at + int(rng.integers(1, 5))]
        else:
            del data[max(16, at) :]
    return bytes(data)


def test_no_mutant_of_a_file_is_worse_than_a_value_error():
    tried, built, loaded, told = 0, 0, 0, set()

    @given(graphs.graphs(count=st.integers(1, 6)), st.integers(0, 2**32 - 1))
    def check(case, seed):
        nonlocal tried, built, loaded
        rng = np.random.default_rng(seed)
        for _ in range(5):
            data = mutant(rng, case[0])
            start, tried = time.perf_counter(), tried + 1
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                read(data, OPTIONS)
                built += 1
                load_tflite(data)
                loaded += 1
            except ValueError as error:
                told.add(str(error).partition(": ")[0])
            assert time.perf_counter() - start < 5
            assert tracemalloc.get_traced_memory()[1] - before < 16 << 20

    tracemalloc.start()
    try:
        check()
    finally:
        tracemalloc.stop()
    assert told == {"model"}
    assert tried >= 5 * settings.default.max_examples
    assert built > tried / 3  # reached the graph builder
    assert loaded < built
