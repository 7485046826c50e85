"""The reference is what the definitions say: against loops of Python ints, scipy, and its own laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import triple_loop
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import numbers, problems
from ucorr_host import reference
from ucorr_host.problems.named import named
from ucorr_host.problems.weighted import ONE_CHANNEL, Problem
from ucorr_host.reference import exact

ONE = np.ones((1, 3, 3, 2), np.int8)  # a Conv2D kernel
X = np.ones((5, 5, 2), np.int8)


def as_loops(problem: Problem) -> list[int]:
    """The problem's output by nested loops, flat."""
    one = 1 if problem.layer == "Correlate1D" else (1, 1)
    words = {"stride": one, "dilation": one, "padding": "valid", **problem.options}
    x, kernel = problem._window(), problem.kernel
    if problem.layer == "Correlate1D":
        words.update(stride=(1, words["stride"]), dilation=(1, words["dilation"]))
        if not isinstance(words["padding"], str):
            words["padding"] = ((0, 0), words["padding"])
        x, kernel = x[None, :, None], kernel[None, None, :, None]
    elif problem.layer == "Correlate2D":
        x, kernel = x[:, :, None], kernel[None, :, :, None]
    elif problem.layer == "Dense":
        x, kernel = x[None, None, :], kernel[:, None, None, :]
    elif problem.layer == "DepthwiseConv2D":
        words["groups"] = x.shape[-1]
        kernel = np.moveaxis(kernel, 3, 0).reshape(-1, *kernel.shape[1:3], 1)
    words.setdefault("border_value", 0 if problem.layer in ONE_CHANNEL else words.get("input_zero_point", 0))
    for name in ("multiplier", "shift"):
        if isinstance(words.get(name), int):
            words[name] = [words[name]] * len(kernel)
    words.setdefault("accumulator", "int64" if x.dtype.itemsize == 2 else "int32")
    bias = words.get("bias") or [0] * len(kernel)
    limits = np.iinfo(np.dtype(words["out_dtype"]))
    accs = triple_loop.conv2d(x.tolist(), kernel.tolist(), bias, words)
    return [
        triple_loop.output(acc, o, words, limits.min, limits.max)
        for row in accs
        for pixel in row
        for o, acc in enumerate(pixel)
    ]


@given(problems())
def test_the_reference_equals_nested_loops_of_python_ints(problem):
    expected = problem.expected()
    assert expected.dtype == np.dtype(problem.options["out_dtype"])
    assert expected.shape == tuple(problem.make("portable").out_shape)
    assert expected.reshape(-1).tolist() == as_loops(problem)


@pytest.mark.parametrize(
    "problem", [p for p in named() if p.kernel.dtype.kind == "i"], ids=lambda problem: problem.name
)
def test_a_named_problem_equals_nested_loops_of_python_ints(problem):
    assert problem.expected().reshape(-1).tolist() == as_loops(problem)


@given(st.data())
def test_requantize_equals_its_definition_in_fractions(data):
    accumulator = data.draw(st.sampled_from(["int32", "int64"]))
    filtering = data.draw(st.booleans())
    shift = data.draw(st.integers(-31, 30 if filtering or accumulator == "int32" else 7))
    multiplier = None if filtering else data.draw(st.integers(0, 2**31 - 1) | st.sampled_from([0x7FFEFFFF, 0x7FFF0000]))
    bits = 47 if filtering or accumulator == "int64" else 31
    left = max(shift, 0) if filtering or accumulator == "int32" else 0
    reach = ((1 << bits) - 1) >> left
    small = min(reach, 300 << max(0, -shift))
    accs = data.draw(st.lists(st.integers(-small, small) | st.integers(-reach, reach), min_size=1, max_size=20))
    result = reference.requantize(
        np.array(accs)[:, None], multiplier, shift, accumulator=accumulator, out_dtype=np.int16, output_zero_point=-3
    )
    wanted = [triple_loop.scaled(acc, multiplier, shift, accumulator) - 3 for acc in accs]
    assert result[:, 0].tolist() == [min(max(value, -32768), 32767) for value in wanted]


@pytest.mark.parametrize("accumulator", ["int32", "int64"])
@pytest.mark.parametrize("multiplier", [None, 1 << 30, 3 << 29])
@pytest.mark.parametrize("shift", [0, -1, -3])
def test_every_half_of_a_ramp_is_rounded_as_often_as_it_should(accumulator, multiplier, shift):
    ramp = range(-4000, 4000)
    result = reference.requantize(ramp, multiplier, shift, accumulator=accumulator, out_dtype=np.int16)
    assert result.tolist() == [triple_loop.scaled(acc, multiplier, shift, accumulator) for acc in ramp]


@given(st.data())
def test_accumulators_equal_scipy(data):
    height, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    kh, kw = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    x, kernel = numbers(data.draw, -32768, 32767, (height, width)), numbers(data.draw, -128, 127, (kh, kw))
    whole = ((kh - 1, kh - 1), (kw - 1, kw - 1))
    for ours, theirs in (
        (reference.correlate2d, scipy.signal.correlate2d),
        (reference.convolve2d, scipy.signal.convolve2d),
    ):
        assert_array_equal(ours(x, kernel), theirs(x, kernel, mode="valid"), strict=True)
        assert_array_equal(ours(x, kernel, padding=whole), theirs(x, kernel, mode="full"))
    assert_array_equal(reference.correlate2d(x, kernel), scipy.signal.correlate(x, kernel, "valid", "direct"))
    assert_array_equal(
        reference.correlate1d(x[0], kernel[0], padding=(kw - 1, kw - 1)), np.correlate(x[0], kernel[0], mode="full")
    )


@pytest.mark.parametrize("height", [1, 3])
@pytest.mark.parametrize("bits", [12, 23, 24, 25, 40, 52, 53, 60])
def test_sums_are_exact_on_both_sides_of_what_a_float_holds(bits, height):
    x = np.array([[(1 << bits) - 1, 1, -1, 1 << (bits // 2)]] * height)
    kernel = np.array([[1, 1], [-1, 1], [1, 0]])
    exact = [[sum(int(a) * int(b) for a, b in zip(row, k, strict=False)) for k in kernel] for row in x[:, :2]]
    assert reference.dense(x[:, :2], kernel).tolist() == exact
    wide = np.array([[1, 3, 2]])
    sums = [sum(int(a) * b for a, b in zip(x[0, i : i + 3], [1, 3, 2], strict=True)) for i in range(2)]
    assert reference.correlate2d(x, wide).tolist() == [sums] * height


def test_a_sum_that_64_bits_may_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"kernel: an accumulator can reach \d+, wanted less than 2\*\*63"):
        reference.dense(np.full(4, 1 << 61), np.ones((1, 4), np.int64))
    with pytest.raises(ValueError, match="bias: with it accumulators of"):
        reference.dense(np.array([1 << 61]), np.array([[3]]), np.array([(1 << 63) - 1]))


@pytest.mark.parametrize("batch", [(1,), (2, 3), (0,)])
@given(problem=problems(pitched=False), seed=st.integers(0, 2**32 - 1))
def test_samples_of_a_batch_do_not_see_each_other(batch, problem, seed):
    limits = np.iinfo(problem.x.dtype)
    rng = np.random.default_rng(seed)
    x = rng.integers(limits.min, limits.max, (*batch, *problem.x.shape), problem.x.dtype, endpoint=True)
    whole = replace(problem, x=x).expected()
    assert whole.shape == (*batch, *problem.expected().shape)
    for index in np.ndindex(batch):
        assert_array_equal(whole[index], replace(problem, x=x[index]).expected(), strict=True)


@given(problems(layers=("Conv2D", "DepthwiseConv2D")), st.integers(1, 400))
def test_the_size_of_a_block_changes_nothing(problem, block):
    expected = problem.expected()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "PATCHES", block)
        patch.setattr(exact, "PLANE", block)
        assert_array_equal(problem.expected(), expected, strict=True)
        patch.setattr(exact, "FEW", 0)
        assert_array_equal(problem.expected(), expected, strict=True)


@given(st.data())
def test_the_general_image_layer_is_its_four_sums(data):
    h, w, height, width = (data.draw(st.integers(1, 4)) for _ in range(4))
    x, weights = numbers(data.draw, -128, 127, (2, height, width)), numbers(data.draw, -128, 127, (h, w, height, width))
    bias = numbers(data.draw, -999, 999, (h, w))
    loops = [
        [
            [
                bias[i, j] + sum(int(weights[i, j, k, m]) * int(image[k, m]) for k, m in np.ndindex(height, width))
                for j in range(w)
            ]
            for i in range(h)
        ]
        for image in x
    ]
    assert reference.dense_image(x, weights, bias).tolist() == loops


@given(st.data())
def test_a_general_layer_that_is_translation_invariant_and_local_is_a_correlation(data):
    delta = data.draw(st.integers(0, 3))
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    kernel = numbers(data.draw, -128, 127, (2 * delta + 1, 2 * delta + 1))
    x, u = numbers(data.draw, -128, 127, (height, width)), data.draw(st.integers(-999, 999))
    weights = np.zeros((height, width, height, width), np.int64)
    for i, j, k, m in np.ndindex(weights.shape):
        a, b = k - i, m - j  # invariance: only the offset counts; locality: only near offsets do
        if abs(a) <= delta and abs(b) <= delta:
            weights[i, j, k, m] = kernel[a + delta, b + delta]
    around = ((delta, delta), (delta, delta))
    assert_array_equal(reference.dense_image(x, weights, u), reference.correlate2d(x, kernel, u, padding=around))


@given(st.data())
def test_a_general_layer_that_looks_elsewhere_at_one_place_is_no_correlation(data):
    size = data.draw(st.integers(3, 6))
    i, j = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    weights = np.einsum("ik,jm->ijkm", np.eye(size, dtype=int), np.eye(size, dtype=int))  # the identity
    weights[i, j, (i + 2) % size, j] += 1
    x = numbers(data.draw, 1, 127, (size, size))
    assert (reference.dense_image(x, weights) != x).sum() == 1  # no kernel V does that to every x


@st.composite
def transposes(draw):
    channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = numbers(draw, -128, 127, (draw(st.integers(1, 4)), draw(st.integers(1, 4)), channels)).astype(np.int8)
    kernel = numbers(draw, -128, 127, (outputs, draw(st.integers(1, 4)), draw(st.integers(1, 4)), channels))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    spans = [(x.shape[n] - 1) * stride[n] + kernel.shape[n + 1] for n in (0, 1)]
    crops = []
    for span in spans:
        before = draw(st.integers(-3, span - 1))
        crops.append((before, draw(st.integers(-3, span - 1 - before))))
    return x, kernel, stride, tuple(crops), numbers(draw, -999, 999, outputs), draw(st.integers(-128, 127))


@given(transposes())
def test_a_transposed_layer_equals_its_loops(case):
    x, kernel, stride, crops, bias, zero = case
    result = reference.transpose_conv2d(x, kernel, bias, stride=stride, padding=crops, input_zero_point=zero)
    assert result.tolist() == triple_loop.transpose_conv2d(
        x.tolist(), kernel.tolist(), bias.tolist(), stride, crops, zero, 0
    )


@given(st.data())
def test_a_transposed_layer_is_the_transpose_of_the_layer(data):
    problem = data.draw(problems(layers=("Conv2D",), dtypes="b", exact=True, pitched=False))
    sy, sx = problem.options["stride"]
    kernel = problem.kernel
    height, width = problem.shape
    x = problem.x[..., : kernel.shape[3]].astype(np.int64)
    if height < kernel.shape[1] or width < kernel.shape[2]:
        return
    forward = reference.conv2d(x, kernel, stride=(sy, sx))
    y = numbers(data.draw, -128, 127, forward.shape)
    # the last rows that the layer never looked at get nothing back
    rest = [(n - k) % s for n, k, s in zip((height, width), kernel.shape[1:3], (sy, sx), strict=True)]
    back = reference.transpose_conv2d(
        y, np.moveaxis(kernel, 0, 3).transpose(2, 0, 1, 3), stride=(sy, sx), padding=((0, -rest[0]), (0, -rest[1]))
    )
    assert int((forward.astype(np.int64) * y).sum()) == int((back.astype(np.int64) * x).sum())


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_transposed_same_layer_grows_by_its_stride(kernel, stride):
    x = np.ones((3, 4, 1), np.int8)
    out = reference.transpose_conv2d(x, np.ones((1, kernel, kernel, 1), np.int8), stride=stride, padding="same")
    assert out.shape == (3 * stride, 4 * stride, 1)


def test_accumulators_are_as_wide_as_the_data_asks_for():
    small, wide, kernel = np.ones(3, np.int8), np.ones(3, np.int16), np.ones((2, 3), np.int8)
    assert reference.dense(small, kernel).dtype == np.int32
    assert reference.dense(wide, kernel).dtype == np.int64
    assert reference.dense(wide, kernel, np.ones(2, np.int32)).dtype == np.int32
    assert reference.dense(small, kernel, accumulator="int64").dtype == np.int64
    assert reference.dense(wide, kernel, shift=-1).dtype == np.int16


def test_16_bit_data_is_requantized_by_its_bias_unless_told():
    x, kernel = np.array([30000], np.int16), np.array([[127]], np.int8)
    words = {"multiplier": 0x7FFFFFFF, "shift": -7}
    single = reference.dense(x, kernel, **words)  # multiplier cut to 15 bits
    double = reference.dense(x, kernel, np.zeros(1, np.int32), **words)
    assert (single.tolist(), double.tolist()) == ([29765], [29766])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: reference.conv2d(X.astype(float), ONE), TypeError, "x: dtype float64, wanted integers"),
        (lambda: reference.conv2d(X[0], ONE), ValueError, "x: 2 dimensions, wanted 3 or more"),
        (lambda: reference.conv2d(X, ONE[0]), ValueError, "kernel: 3 dimensions, wanted 4"),
        (lambda: reference.conv2d(X[:0], ONE), ValueError, "x: shape .* wanted no empty dimension"),
        (lambda: reference.conv2d(X[..., :1], ONE), ValueError, "kernel: 2 input and 1 output channels in 1 groups"),
        (lambda: reference.conv2d(X, ONE, groups=3), ValueError, "groups: 3, wanted 1..2"),
        (lambda: reference.conv2d(X[:2], ONE), ValueError, "kernel: spans 3 with dilation, wanted at most .* 2"),
        (lambda: reference.conv2d(X, ONE, padding="full"), ValueError, "padding: 'full', wanted one of valid same"),
        (lambda: reference.conv2d(X, ONE, padding=3), TypeError, "padding: 3, wanted 'valid', 'same' or"),
        (lambda: reference.conv2d(X, ONE, stride=0), ValueError, "stride: 0, wanted 1"),
        (lambda: reference.conv2d(X, ONE, border="wrap"), ValueError, "border: 'wrap', wanted one of"),
        (lambda: reference.conv2d(X, ONE, padding=((5, 0), (0, 0)), border="reflect"), ValueError, "to reflect"),
        (lambda: reference.conv2d(X, ONE, input_zero_point=128), ValueError, "input_zero_point: 128, wanted -128..127"),
        (lambda: reference.conv2d(X, ONE, border_value=-129), ValueError, "border_value: -129, wanted -128..127"),
        (lambda: reference.conv2d(X, ONE, [1, 2]), ValueError, r"bias: shape \(2,\), wanted one integer or 1"),
        (lambda: reference.conv2d(X, ONE, [0.5]), TypeError, "bias: dtype float64, wanted integers"),
        (lambda: reference.conv2d(X, ONE, multiplier=-1), ValueError, "multiplier: -1, wanted 0..2147483647"),
        (lambda: reference.conv2d(X, ONE, shift=31), ValueError, "shift: 31, wanted -31..30"),
        (lambda: reference.conv2d(X, ONE, shift=[1, 2]), ValueError, r"shift: shape \(2,\), wanted one number or 1"),
        (lambda: reference.conv2d(X, ONE, multiplier=1, shift=8, accumulator="int64"), ValueError, "shift: 8, .*7"),
        (lambda: reference.conv2d(X, ONE, multiplier=1, shift=29), ValueError, r"accumulator: reaches \d+ .* 2\*\*31"),
        (lambda: reference.conv2d(X, ONE, shift=0, accumulator="int8"), ValueError, "accumulator: 'int8', wanted"),
        (lambda: reference.conv2d(X, ONE, shift=0, out_dtype=np.int32), ValueError, "out_dtype: int32, wanted int8"),
        (lambda: reference.conv2d(X, 99 * ONE, out_dtype=np.int8), ValueError, "out_dtype: int8, .*accumulator 1782"),
        (lambda: reference.conv2d(X, ONE, activation_min=0), ValueError, "multiplier: None, wanted one, or a shift"),
        (
            lambda: reference.conv2d(X, ONE, shift=0, activation_min=9, activation_max=3),
            ValueError,
            "activation_min: 9",
        ),
        (lambda: reference.conv2d(X, ONE, strides=2), TypeError, "strides"),
        (lambda: reference.depthwise_conv2d(X, ONE[..., :1]), ValueError, "kernel: shape .* a multiple of 2"),
        (lambda: reference.dense(X[0, 0], np.ones((1, 3), int)), ValueError, "x: 2 items .* the kernel's 3"),
        (lambda: reference.dense_image(X[..., 0], np.ones((1, 1, 4, 5), int)), ValueError, r"x: shape .* \(4, 5\)"),
        (lambda: reference.transpose_conv2d(X, ONE, padding=((7, 0), (0, 0))), ValueError, "padding: .* no output"),
        (lambda: reference.requantize(np.zeros(0, int), 1, 0), ValueError, "acc: shape .* at least one channel"),
        (
            lambda: reference.requantize([1 << 53], factor=0.5),
            ValueError,
            "acc: reaches 9007199254740992 with a factor",
        ),
        (lambda: reference.mean(X[:0], 0, multiplier=1, shift=0), ValueError, "x: shape .*, wanted items along axis"),
        (lambda: reference.mean(X + 9, 0, multiplier=1 << 30, shift=29), ValueError, "shift: brings a sum of .* to"),
        (lambda: reference.dense([2**62], [[1]]), ValueError, "x: reaches 4611686018427387904 .* 2..62"),
    ],
)
def test_a_wrong_call_is_told_in_one_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
