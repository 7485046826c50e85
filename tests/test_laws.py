"""What makes a cross-correlation one, on every backend: each law compares two runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import problems
from targets import everywhere, run
from ucorr_host import reference
from ucorr_host.problems.weighted import Problem

IMAGE_LAYERS = ("Correlate2D", "Conv2D", "DepthwiseConv2D")


def interior(problem: Problem, axis: int, outputs: int, before: int) -> list[int]:
    """Outputs n of an axis for which neither n nor n + 1 sees padding, x being shifted by one stride."""
    kernel = problem.kernel.shape if problem.kernel.ndim == 2 else problem.kernel.shape[1:3]
    stride = problem.options["stride"][axis]
    extent = (kernel[axis] - 1) * problem.options["dilation"][axis] + 1
    size = problem.shape[axis]
    starts = [n * stride - before for n in range(outputs - 1)]
    return [n for n, start in enumerate(starts) if start >= 0 and start + extent - 1 + stride < size]


@everywhere
@given(data=st.data())
def test_shifting_the_input_by_a_stride_shifts_the_output_by_one(target, backend, data):
    problem = data.draw(problems(layers=IMAGE_LAYERS, roomy=True, pitched=False))
    shifted = replace(problem, x=np.roll(problem.x, problem.options["stride"], axis=(0, 1)))
    first, second = run(problem, target, backend), run(shifted, target, backend)
    layer = problem.make("portable")
    (top, _), (left, _) = layer.spec.padding
    rows = interior(problem, 0, first.shape[0], top)
    columns = interior(problem, 1, first.shape[1], left)
    assert rows
    assert columns
    assert_array_equal(second[np.ix_(np.add(rows, 1), np.add(columns, 1))], first[np.ix_(rows, columns)])


def linear(problem: Problem) -> Problem:
    """The problem without what adds a constant: zero points, bias and border value."""
    options = {**problem.options, "input_zero_point": 0, "bias": None}
    if "border_value" in options:
        options["border_value"] = 0
    return replace(problem, options=options)


@everywhere
@given(data=st.data())
def test_accumulators_are_linear_in_the_input(target, backend, data):
    problem = linear(data.draw(problems(exact=True, dtypes="bBh")))
    one = (problem.x // 2).astype(problem.x.dtype)
    other = (problem.x - one).astype(problem.x.dtype)
    total = run(problem, target, backend).astype(np.int64)
    assert_array_equal(
        sum(run(replace(problem, x=part), target, backend).astype(np.int64) for part in (one, other)), total
    )


@everywhere
@given(data=st.data())
def test_convolution_is_correlation_with_the_flipped_kernel(target, backend, data):
    problem = data.draw(problems(layers=("Correlate2D",), exact=True, pitched=False))
    words = {k: v for k, v in problem.options.items() if k not in ("dtype", "out_dtype")}
    bias = words.pop("bias", None)
    flipped = replace(problem, kernel=problem.kernel[::-1, ::-1])
    convolved = reference.convolve2d(problem.x, problem.kernel, None if bias is None else np.array(bias), **words)
    assert_array_equal(run(flipped, target, backend), convolved)


@everywhere
@given(data=st.data())
def test_groups_are_a_block_diagonal_kernel(target, backend, data):
    problem = data.draw(problems(layers=("Conv2D",)))
    groups = problem.options["groups"]
    outputs, kh, kw, depth = problem.kernel.shape
    zero = problem.options.get("kernel_zero_point", 0)
    whole = np.full((outputs, kh, kw, depth * groups), zero)
    for o in range(outputs):
        g = o // (outputs // groups)
        whole[o, :, :, g * depth : (g + 1) * depth] = problem.kernel[o]
    diagonal = replace(problem, kernel=whole, options={**problem.options, "groups": 1})
    assert_array_equal(run(diagonal, target, backend), run(problem, target, backend))


@everywhere
@given(data=st.data())
def test_depthwise_is_as_many_groups_as_channels(target, backend, data):
    problem = data.draw(problems(layers=("DepthwiseConv2D",)))
    height, width, channels = problem.shape
    grouped = Problem(
        "grouped",
        "Conv2D",
        np.moveaxis(problem.kernel, 3, 0).reshape(-1, *problem.kernel.shape[1:3], 1),
        (height, width),
        {**problem.options, "groups": channels},
        problem.x,
    )
    assert_array_equal(run(grouped, target, backend), run(problem, target, backend))


@everywhere
@given(data=st.data())
def test_dilation_is_a_kernel_with_zeros_between(target, backend, data):
    problem = data.draw(problems(layers=IMAGE_LAYERS))
    dy, dx = problem.options["dilation"]
    first = 0 if problem.layer == "Correlate2D" else 1
    shape = list(problem.kernel.shape)
    shape[first] = (shape[first] - 1) * dy + 1
    shape[first + 1] = (shape[first + 1] - 1) * dx + 1
    spread = np.full(shape, problem.options.get("kernel_zero_point", 0))
    spread[(slice(None),) * first + (slice(None, None, dy), slice(None, None, dx))] = problem.kernel
    dense = replace(problem, kernel=spread, options={**problem.options, "dilation": (1, 1)})
    assert_array_equal(run(dense, target, backend), run(problem, target, backend))


@everywhere
@given(data=st.data())
def test_stride_is_subsampling(target, backend, data):
    problem = data.draw(problems(layers=IMAGE_LAYERS))
    padding = problem.make("portable").spec.padding  # "same" depends on the stride
    strided = replace(problem, options={**problem.options, "padding": padding})
    every = replace(strided, options={**strided.options, "stride": (1, 1)})
    sy, sx = problem.options["stride"]
    assert_array_equal(run(strided, target, backend), run(every, target, backend)[::sy, ::sx])


@everywhere
@given(data=st.data())
def test_permuted_channels_permute_the_kernel(target, backend, data):
    problem = data.draw(problems(layers=("Conv2D",), pitched=False, exact=True))
    problem = replace(problem, options={**problem.options, "groups": 1})
    outputs, _, _, depth = problem.kernel.shape
    problem = replace(problem, x=np.ascontiguousarray(problem.x[..., :depth]))
    order = data.draw(st.permutations(range(depth)))
    inward = replace(problem, x=problem.x[..., order], kernel=problem.kernel[..., order])
    expected = run(problem, target, backend)
    assert_array_equal(run(inward, target, backend), expected)
    order = data.draw(st.permutations(range(outputs)))
    bias = problem.options.get("bias")
    options = {**problem.options, "bias": None if bias is None else [bias[o] for o in order]}
    outward = replace(problem, kernel=problem.kernel[list(order)], options=options)
    assert_array_equal(run(outward, target, backend), expected[..., list(order)])


@everywhere
@given(data=st.data())
def test_a_kernel_as_large_as_the_image_is_a_dense_layer(target, backend, data):
    problem = data.draw(problems(layers=("Dense",)))
    outputs, size = problem.kernel.shape
    height = data.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    image = Problem(
        "whole image",
        "Conv2D",
        problem.kernel.reshape(outputs, height, size // height, 1),
        (height, size // height),
        problem.options,
        problem.x.reshape(height, -1, 1),
    )
    assert_array_equal(run(image, target, backend).reshape(-1), run(problem, target, backend))
