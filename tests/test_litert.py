"""The reference gives LiteRT's bits: layers with random quantisation, run by LiteRT's own reference kernels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import ucorr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from quantised_layer import ACTIVATIONS, OPERATORS, Layer
from strategies import numbers
from targets import run
from ucorr_host import quantize_multiplier, reference
from ucorr_host.problems.weighted import Problem
from ucorr_host.quantize import single_rounding_multiplier

DTYPES = [np.int8, np.int16]


@st.composite
def layers(draw: Any, operator: str, dtype: Any) -> Layer:
    """A whole quantised layer; most outputs are neither saturated nor all the same."""
    padding = draw(st.sampled_from(["valid", "same"]))
    words: dict[str, int] = {}
    if operator == "dense":
        x_shape: tuple[int, ...] = (draw(st.integers(1, 40)),)
        kernel_shape: tuple[int, ...] = (draw(st.integers(1, 6)), *x_shape)
    else:
        spans = height, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        depth, times, groups = draw(st.integers(1, 4)), draw(st.integers(1, 3)), 1
        words = {"stride_h": draw(st.integers(1, 3)), "stride_w": draw(st.integers(1, 3))}
        least = [1, 1]  # of a transposed layer too: its input may be smaller than the kernel
        if operator != "transpose_conv2d":  # which LiteRT has without dilation
            dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
            words |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
            if padding == "valid":
                least = [(span - 1) * step + 1 for span, step in zip(spans, dilation, strict=True)]
        if operator == "conv2d":
            groups = draw(st.sampled_from([1, 1, 2, 3]))
        kernel_shape = (groups * times, height, width, depth)
        if operator == "depthwise_conv2d":
            words["depth_multiplier"] = times
            kernel_shape = (1, height, width, depth * times)
        x_shape = (*(draw(st.integers(low, low + 6)) for low in least), groups * depth)
    limits = np.iinfo(dtype)
    x = numbers(draw, limits.min, limits.max, x_shape).astype(dtype)
    kernel = numbers(draw, -128, 127, kernel_shape).astype(np.int8)
    outputs = kernel_shape[OPERATORS[operator][2]]
    wide = dtype is np.int16
    bias = None
    if operator == "conv2d" or draw(st.booleans()):  # LiteRT's CONV_2D refuses to go without
        # With int16 data LiteRT takes either width, and the accumulator's with it; DEPTHWISE_CONV_2D int64 alone.
        short = not wide or (operator != "depthwise_conv2d" and draw(st.booleans()))
        most = draw(st.sampled_from([16, 1 << 12]))
        bias = numbers(draw, -most, most, outputs).astype(np.int32 if short else np.int64)
    # one_of() drops strategies that are given twice: a weight is a draw of its own
    zero = st.integers(0, 7).flatmap(lambda n: st.integers(-40, 40) if n else st.sampled_from([-128, 127]))
    zero_points = (0, 0) if wide else (draw(zero), draw(zero))  # int16 is symmetric
    exact = call(operator, x, kernel, bias, padding, words, zero_points[0], accumulator="int64")
    scales = scales_of(draw, exact, dtype, outputs, wide and (bias is None or bias.dtype == np.int64))
    activation = draw(st.sampled_from(["none"] * 5 + list(ACTIVATIONS)))
    return Layer(operator, x, kernel, bias, *scales, *zero_points, exact.shape, padding, activation, words)


def scales_of(draw: Any, exact: Any, dtype: Any, outputs: int, long: bool) -> tuple[Any, Any, Any]:
    """Scales of the input, the kernel's channels and the output, that bring the accumulators to the output's range.

    long  the accumulator has 64 bits
    """
    top = np.iinfo(dtype).max
    factor = top * draw(st.floats(0.25, 1.25)) / max(1, np.abs(exact).max(initial=0))
    if long:  # LiteRT scales 64 bits by factors under 2**7: a channel has under 8 times the mean, powers twice that
        factor = min(factor, 8.0)
    kernel = np.array([draw(st.floats(2.0**-7, 2.0**-4)) for _ in range(outputs)])
    if draw(st.integers(0, 3)) == 0:
        kernel[:] = kernel[0]
    output = draw(st.floats(2.0**-6, 2.0**-3)) * 127 / top  # relu6 ends inside the range, or outside
    scales = [factor * output / kernel.mean(), kernel, output]
    kind = draw(st.sampled_from(["any", "any", "powers", "below"]))
    if kind != "any":  # powers of two, whose products have ties to round
        scales = [np.exp2(np.floor(np.log2(scale))) for scale in scales]
    scales = [np.float32(scale) for scale in scales]
    if kind == "below":  # just under one: the largest multipliers
        scales[1] = np.nextafter(scales[1], np.float32(0))
    return scales[0], scales[1], scales[2]


def call(operator: str, x: Any, kernel: Any, bias: Any, padding: str, words: dict[str, int], zero: int, **scale: Any):
    """The reference in the words of a Layer."""
    geometry: dict[str, Any] = {}
    if operator != "dense":
        geometry = {"padding": padding, "stride": (words["stride_h"], words["stride_w"])}
    if "dilation_h_factor" in words:
        geometry["dilation"] = (words["dilation_h_factor"], words["dilation_w_factor"])
    if operator == "conv2d":
        geometry["groups"] = x.shape[-1] // kernel.shape[-1]
    return getattr(reference, operator)(x, kernel, bias, input_zero_point=zero, **geometry, **scale)


def ours(layer: Layer) -> np.ndarray:
    """The reference's output of a Layer."""
    factors = [quantize_multiplier(real) for real in layer.reals()]
    low, high = layer.activation_range()
    return call(
        layer.operator,
        layer.x,
        layer.kernel,
        layer.bias,
        layer.padding,
        layer.words,
        layer.input_zero_point,
        multiplier=[multiplier for multiplier, _ in factors],
        shift=[shift for _, shift in factors],
        output_zero_point=layer.output_zero_point,
        activation_min=low,
        activation_max=high,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=["int8", "int16"])
@pytest.mark.parametrize("operator", [operator for operator in OPERATORS if operator != "dense"])
@given(data=st.data())
def test_the_reference_equals_litert(operator, dtype, data):
    layer = data.draw(layers(operator, dtype))
    assert_array_equal(ours(layer), layer.run(), strict=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=["int8", "int16"])
@given(data=st.data())
def test_a_dense_layer_equals_litert_as_a_convolution_of_one_pixel(dtype, data):
    layer = data.draw(layers("dense", dtype))
    outputs = len(layer.kernel)
    bias = np.zeros(outputs, np.int32 if dtype is np.int8 else np.int64) if layer.bias is None else layer.bias
    pixel = replace(
        layer,
        operator="conv2d",
        x=layer.x[None, None],
        kernel=layer.kernel[:, None, None],
        bias=bias,
        output_shape=(1, 1, outputs),
        words={"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1},
    )
    assert_array_equal(ours(layer), pixel.run()[0, 0], strict=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=["int8", "int16"])
@given(data=st.data())
def test_fully_connected_of_litert_differs_in_its_rounding_alone(dtype, data):
    # Its reference kernel rounds once, from a double, where CONV_2D rounds as TensorFlow Lite specifies.
    layer = data.draw(layers("dense", dtype))
    exact = reference.dense(
        layer.x, layer.kernel, layer.bias, input_zero_point=layer.input_zero_point, accumulator="int64"
    )
    real = exact * np.array(layer.reals())
    once = np.where(real < 0, -1, 1) * np.floor(np.abs(real) + 0.5) + layer.output_zero_point
    expected = np.clip(once, *layer.activation_range()).astype(dtype)
    assert_array_equal(layer.run(), expected, strict=True)
    # A second rounding moves a value by a half at most, a multiplier of 15 bits by 2**-15 of itself: less than 1.
    assert np.abs(ours(layer).astype(int) - expected).max() <= 1


@given(data=st.data())
def test_a_dense_layer_rounded_once_equals_fully_connected_of_litert(data):
    layer = data.draw(layers("dense", np.int8))
    low, high = layer.activation_range()
    zero = layer.output_zero_point
    words: dict[str, Any] = {"dtype": "b", "out_dtype": "b", "input_zero_point": layer.input_zero_point}
    bias = None if layer.bias is None else layer.bias.tolist()
    bound = ucorr.Dense(layer.kernel.tolist(), backend="portable", bias=bias, **words).spec.bound
    factors = [
        single_rounding_multiplier(factor, *bound, zero, low, high)
        for factor in np.broadcast_to(layer.reals(), len(layer.kernel))
    ]
    words |= {"multiplier": [m for m, _ in factors], "shift": [s for _, s in factors], "rounding": "single"}
    words |= {"output_zero_point": zero, "activation_min": low, "activation_max": high, "bias": bias}
    problem = Problem("dense", "Dense", layer.kernel, None, words, layer.x)
    assert_array_equal(problem.expected(), layer.run(), strict=True)
    assert_array_equal(run(problem, "cpython", "portable"), layer.run(), strict=True)


def test_most_drawn_layers_say_something():
    seen = []

    @settings(max_examples=300, database=None, derandomize=True)
    @given(st.data())
    def collect(data):
        layer = data.draw(layers(data.draw(st.sampled_from(list(OPERATORS))), data.draw(st.sampled_from(DTYPES))))
        out = ours(layer)
        ends = np.isin(out, layer.activation_range()).mean()
        seen.append((out.size == 1 or len(np.unique(out)) > 1, ends < 0.5))

    collect()
    varied, unsaturated = np.mean(seen, axis=0)
    assert varied > 0.7
    assert unsaturated > 0.55


@given(st.floats(0, 2.0**30 - 0.5) | st.floats(0, 1) | st.floats(2.0**-34, 2.0**-30))
def test_a_multiplier_is_the_nearest_with_31_bits(real):
    multiplier, shift = quantize_multiplier(real)
    if multiplier == 0:
        assert real < 2.0**-32  # what TFLite flushes to nothing
        return
    assert 1 << 30 <= multiplier < 1 << 31
    assert -31 <= shift <= 30
    step = Fraction(2) ** (shift - 31)
    assert abs(Fraction(real) - multiplier * step) <= step / 2


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (1 - 2.0**-33, (1 << 30, 1)),  # rounds up to 2**31, which moves into the shift
        (2.0**-32, (1 << 30, -31)),
        (2.0**-32 * (1 - 2.0**-33), (1 << 30, -31)),  # rounds up to where it is kept
        (2.0**-32 * (1 - 2.0**-31), (0, 0)),
        (5e-324, (0, 0)),
        (2.0**30 - 0.5, ((1 << 31) - 1, 30)),
    ],
)
def test_multipliers_at_the_ends(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-1e-9, float("nan"), float("inf"), float("-inf"), 2.0**30 - 0.4])
def test_a_factor_outside_its_domain_is_refused(real):
    with pytest.raises(ValueError, match=r"^real: .*, wanted a factor 0 <= real <= 2\*\*30 - 0\.5$"):
        quantize_multiplier(real)
