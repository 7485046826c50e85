"""The reference gives LiteRT's bits: layers with random quantisation, run by LiteRT's own reference kernels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litert import ACTIVATIONS, OPERATORS, Layer
from numpy.testing import assert_array_equal
from strategies import numbers
from ucorr_host import quantize_multiplier, reference

DTYPES = [np.int8, np.int16]


@st.composite
def layers(draw: Any, operator: str, dtype: Any) -> Layer:
    """A whole quantised layer; most outputs are neither saturated nor all the same."""
    padding = draw(st.sampled_from(["valid", "same"]))
    words: dict[str, int] = {}
    outputs = draw(st.integers(1, 6))
    if operator == "dense":
        x_shape: tuple[int, ...] = (draw(st.integers(1, 40)),)
        kernel_shape: tuple[int, ...] = (outputs, *x_shape)
    else:
        channels = draw(st.integers(1, 4))
        kernel_shape = (outputs, draw(st.integers(1, 4)), draw(st.integers(1, 4)), channels)
        words = {"stride_h": draw(st.integers(1, 3)), "stride_w": draw(st.integers(1, 3))}
        dilation = (1, 1)
        if operator != "transpose_conv2d":
            dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
            words |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        spans = [(k - 1) * d + 1 for k, d in zip(kernel_shape[1:3], dilation, strict=True)]
        least = [span if padding == "valid" and operator != "transpose_conv2d" else 1 for span in spans]
        x_shape = (draw(st.integers(least[0], least[0] + 6)), draw(st.integers(least[1], least[1] + 6)), channels)
        if operator == "depthwise_conv2d":
            times = words["depth_multiplier"] = draw(st.integers(1, 3))
            outputs = channels * times
            kernel_shape = (1, *kernel_shape[1:3], outputs)
        elif operator == "conv2d":
            x_shape = (*x_shape[:2], channels * draw(st.sampled_from([1, 1, 2])))
            if outputs * channels % x_shape[2]:  # a group of no output
                x_shape = (*x_shape[:2], channels)
    limits = np.iinfo(dtype)
    x = numbers(draw, limits.min, limits.max, x_shape).astype(dtype)
    kernel = numbers(draw, -127, 127, kernel_shape).astype(np.int8)
    wide = dtype is np.int16
    bias = None
    if operator == "conv2d" or draw(st.booleans()):  # LiteRT's CONV_2D wants one
        short = not wide or (operator != "depthwise_conv2d" and draw(st.booleans()))
        bias = numbers(draw, -(1 << 12), 1 << 12, outputs).astype(np.int32 if short else np.int64)
    middle = st.integers(-40, 40) | st.sampled_from([-128, 127])
    zero_points = (0, 0) if wide else (draw(middle), draw(middle))  # int16 is symmetric
    kernel_scales = np.array([draw(st.floats(2.0**-10, 2.0**-3, width=32)) for _ in range(outputs)], np.float32)
    if operator == "dense":  # one scale for the tensor
        kernel_scales[:] = kernel_scales[0]
    input_scale = np.float32(draw(st.floats(2.0**-10, 1, width=32)))
    taps = kernel.size // outputs
    typical = 64 * np.sqrt(taps) / draw(st.floats(0.2, 1))
    output_scale = np.float32(float(input_scale) * float(kernel_scales.mean()) * typical)
    activation = draw(st.sampled_from(["none", "none", "none", *ACTIVATIONS]))
    if operator == "transpose_conv2d":
        activation = "none"
    expected = call(operator, x, kernel, None, padding, words, 0)
    return Layer(
        operator,
        x,
        kernel,
        bias,
        input_scale,
        kernel_scales,
        output_scale,
        *zero_points,
        expected.shape,
        padding,
        activation,
        words,
    )


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
    # Two roundings move a value by at most a half more, a multiplier of 15 bits by 2**-16 of itself.
    assert np.abs(ours(layer).astype(int) - expected).max() <= 1


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


@given(st.floats(0, 2.0**30 - 0.5, allow_subnormal=False) | st.floats(0, 1))
def test_a_multiplier_is_the_nearest_with_31_bits(real):
    multiplier, shift = quantize_multiplier(real)
    if multiplier == 0:
        assert real < 2.0**-31  # what TFLite flushes to nothing
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
        (2.0**-33, (0, 0)),
        (2.0**30 - 0.5, ((1 << 31) - 1, 30)),
    ],
)
def test_multipliers_at_the_ends(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-1e-9, float("nan"), float("inf"), 2.0**30 - 0.4])
def test_a_factor_outside_its_domain_is_refused(real):
    with pytest.raises(ValueError, match=r"^real: .*, wanted a factor 0 <= real <= 2\*\*30 - 0\.5$"):
        quantize_multiplier(real)
