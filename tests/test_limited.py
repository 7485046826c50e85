"""16-bit data with an int32 accumulator that 32 bits are not proven to hold: sums are pairs, and what leaves 32 bits
with its left shift is limited to them, in the reference and on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import quantised_layer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import numbers
from test_word_machine import run
from ucorr_host import load_tflite, reference, simulate
from ucorr_host.networks.compile import compile
from ucorr_host.problems.weighted import Problem
from ucorr_host.targets.simulator import ask

ON = [("cpython", "portable"), ("micropython", "portable"), ("micropython", "viper")]
MOST = (1 << 31) - 1


@st.composite
def problems(draw: Any) -> Problem:
    """A filter of four weights or more, each over 2**14: sums can pass 2**31."""
    size = draw(st.tuples(st.integers(2, 3), st.integers(2, 3)))
    kernel = numbers(draw, 17000, 32767, size) * np.where(numbers(draw, 0, 1, size), 1, -1)
    options = {
        "dtype": "h",
        "out_dtype": draw(st.sampled_from(["h", "b"])),
        "padding": draw(st.sampled_from(["same", "valid"])),
        "bias": draw(st.integers(-(1 << 31), MOST)),
        "multiplier": draw(st.integers(1 << 30, MOST)),
        "shift": draw(st.sampled_from([-14, -15, -16, -17, -20, -22, -24, 0, 3])),
        "input_zero_point": draw(st.sampled_from([0, 0, -32768, 100])),
        "accumulator": "int32",
    }
    x = numbers(draw, *draw(st.sampled_from([(-32768, 32767), (-9000, 9000), (30000, 32767)])), (4, 5))
    return Problem("limited", "Correlate2D", kernel, (4, 5), options, x.astype(np.int16))


def single(acc: int, **options: Any) -> Problem:
    """One output of an accumulator."""
    options = {"dtype": "h", "out_dtype": "h", "accumulator": "int32", "bias": acc, "multiplier": 1 << 30, **options}
    kernel, x = np.full((2, 2), 32767), np.zeros((2, 2), np.int16)
    return Problem("single", "Correlate2D", kernel, (2, 2), options, x)


@example(single(MOST, shift=-15))
@example(single(-(1 << 31), shift=-15))
@example(single(1 << 19, shift=12))
@example(single(-1 << 19, shift=12))
@example(single(-1, shift=12))
@given(problems())
@settings(max_examples=40)
def test_a_drawn_problem_equals_the_reference_on_pairs(problem):
    expected = problem.expected().reshape(-1)
    assert problem.make("portable").spec.wide
    for target, backend in ON:
        answer, data = ask(problem.message(backend), problem.payload(), target)
        assert (answer["backend"], answer["guards_intact"]) == (backend, True)
        assert_array_equal(np.frombuffer(data, expected.dtype), expected, strict=True)
    assert_array_equal(run(problem, 1), expected, strict=True)


def test_the_reference_limits_what_leaves_32_bits_and_nothing_else():
    x = np.array([[-32768], [-20000], [-1], [0], [1], [20000], [32767]], np.int16)
    kernel, acc = np.array([[32767, 32767, 32767]]), np.array([-3, -1, 0, 1, 3]) * (1 << 30)
    scale = {"multiplier": 1 << 30, "shift": -15, "accumulator": "int32"}
    exact = reference.dense(np.repeat(x, 3, 1), kernel, accumulator="int64")
    limited = np.clip(exact, -MOST, MOST)
    assert (exact != limited).sum() == 2
    wanted = reference.requantize(limited, **scale, out_dtype=np.int16)
    assert_array_equal(reference.dense(np.repeat(x, 3, 1), kernel, **scale), wanted, strict=True)
    with pytest.raises(ValueError, match=r"^acc: reaches"):
        reference.requantize(acc, **scale, out_dtype=np.int16)


@pytest.mark.parametrize("operator", ["conv2d", "transpose_conv2d"])
def test_a_model_with_biases_of_int32_gives_litert_s_bits(operator):
    rng = np.random.default_rng(3)
    kernel = rng.integers(-128, 128, (3, 1, 1, 1500))
    x = rng.integers(-20000, 20000, (2, 2, 1500)).astype(np.int16)
    bias = rng.integers(-(1 << 30), 1 << 30, 3).astype(np.int32)
    factors = np.float32(0.01) * rng.uniform(1, 2, 3).astype(np.float32)
    words = {"stride_h": 1, "stride_w": 1}
    layer = quantised_layer.Layer(
        operator, x, kernel, bias, np.float32(0.01), factors, np.float32(5), 0, 0, (2, 2, 3), "VALID", "none", words
    )
    network, wanted = load_tflite(layer.model()), layer.run()
    assert len(np.unique(wanted)) > 9
    assert_array_equal(network.run(x[None])[0], wanted, strict=True)
    for core in ("any", "cortex-m4", "cortex-m0plus"):
        spec = compile(network, core).parts[-1].spec
        assert (spec.wide, spec.kind) == (True, "tflite")
    for target, backend in ON:
        result = simulate(network, x[None], target, backend=backend)
        assert [run.backend for run in result.layers] == [backend] * len(result.layers)
        assert_array_equal(result.output[0], wanted, strict=True)
