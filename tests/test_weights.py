"""Kernels of every kind mean the same weights, and floats become the same ints on host and board."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ucorr
from hypothesis import given
from hypothesis import strategies as st
from ucorr_host.problems.weighted import Problem
from ucorr_host.quantize import quantize_kernel
from ucorr_host.targets.simulator import ask

floats = st.floats(-1e6, 1e6, width=32, allow_subnormal=True)
lists = st.lists(floats, min_size=1, max_size=12)


@given(lists, st.sampled_from([8, 16]))
def test_a_float_kernel_is_rounded_to_the_finest_scale_that_fits(values, bits):
    ints, shift = quantize_kernel(values, bits=bits)
    limit = 2 ** (bits - 1) - 1
    assert np.abs(ints).max() <= limit
    assert np.abs(ints * 2.0**shift - np.float32(values)).max() <= 2.0 ** (shift - 1)
    if np.any(values) and shift > -31:
        finer = max(abs(v) for v in values) / 2.0 ** (shift - 1)
        assert math.floor(finer + 0.5) > limit


@given(lists)
def test_a_float_kernel_gives_the_same_ints_and_scale_on_micropython(values):
    options = {"dtype": "h", "out_dtype": "h"}
    problem = Problem("floats", "Correlate1D", np.array(values), len(values), options, np.zeros(len(values), np.int16))
    told = {}
    for target in ("cpython", "micropython"):
        answer, _ = ask(problem.message("portable", tell=True), problem.payload(), target)
        told[target] = (answer["kernel"], answer["shift"], answer["worst_error"])
    assert told["micropython"] == told["cpython"]
    ints, shift = quantize_kernel(values, bits=16)
    assert told["cpython"][:2] == (ints.tolist(), [shift])


def test_a_float_layer_tells_its_scale_and_its_worst_error():
    layer = ucorr.Correlate2D([[0.1, 0.2], [0.3, 0.4]], (4, 4), dtype="B", out_dtype="B")
    assert list(layer.kernel) == [26, 51, 77, 102]
    assert list(layer.shift) == [-8]
    assert layer.worst_error == pytest.approx(0.4 / 256, rel=1e-6)  # 0.1 * 256 = 25.6
    assert layer.multiplier is None


def test_a_float_bias_is_in_the_unit_of_the_output():
    layer = ucorr.Dense([[0.5, 0.25], [8.0, 1.0]], out_dtype="b", bias=[1.5, -2])
    assert list(layer.shift) == [-7, -3]
    assert layer.spec.bias == [192, -16]


@pytest.mark.parametrize(
    "kernel",
    [
        [[1, -2], [3, -4]],
        ((1, -2), (3, -4)),
        np.array([[1, -2], [3, -4]]),
        np.array([[1, -2], [3, -4]], np.int8),
    ],
)
def test_nested_kernels_of_every_kind_mean_the_same(kernel):
    assert list(ucorr.Correlate2D(kernel, (4, 4)).kernel) == [1, -2, 3, -4]


@pytest.mark.parametrize("target", ["cpython", "micropython"])
@pytest.mark.parametrize(
    "kernel", ["bytes([1, 254, 3, 252])", "bytearray([1, 254, 3, 252])", "array('b', [1, -2, 3, -4])"]
)
def test_flat_kernels_of_every_kind_mean_the_same(kernel, target):
    source = f"answer = list(ucorr.Correlate2D({kernel}, (4, 4), kernel_shape=(2, 2)).kernel)"
    answer, _ = ask({"attempt": source}, b"", target)
    assert list(answer["outcome"]) == ["ok", [1, -2, 3, -4]]


@pytest.mark.parametrize("values", [[math.nan], [1.0, math.inf], [-math.inf], [1e39]])
def test_a_kernel_that_is_no_finite_binary32_is_refused(values):
    with pytest.raises(ValueError, match=r"values: .*wanted finite"):
        quantize_kernel(values)


def test_the_peak_is_the_first_greatest_item():
    out = np.array([[1, 5, 2], [5, -9, 0]], np.int16)
    assert ucorr.peak(out, out.shape) == (0, 1, 5)
    assert ucorr.peak(np.array([-3, -1, -2], np.int8)) == (0, 1, -1)
