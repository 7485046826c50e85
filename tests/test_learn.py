"""Kernels from examples: what made the examples is found, exactly where they say it exactly."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from commands import assert_one_sentence, command
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image
from ucorr_host import learn_kernel, reference
from ucorr_tools.pictures.filters import FILTERS, load_kernel
from ucorr_tools.pictures.picture import grey, photograph

PHOTO = grey(photograph())
BLUR = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])


def bars(white=1):
    """White with a black bar, as in the introduction of cross-correlation by edges."""
    x = np.full((6, 8), white)
    x[:, 2:6] = 0
    return x


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
@pytest.mark.parametrize("bias", [True, False])
def test_the_edge_pair_comes_out_of_bars_and_their_edges(white, dtype, bias):
    y = reference.correlate2d(bars(white), [[1, -1]])
    learned = learn_kernel(
        bars(white).astype(dtype), y.astype(np.float32 if dtype == np.float32 else int), (1, 2), bias=bias
    )
    assert learned.kernel.tolist() == [[1, -1]]
    assert (learned.ints.tolist(), learned.shift) == ([[1, -1]], 0)
    assert (learned.bias, learned.bias_ints) == (0, 0)
    assert (learned.float_error, learned.worst_error) == (0, 0)
    assert (learned.rank, learned.unknowns, learned.determined) == (2, 2, True)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_blur_comes_out_of_a_photograph_and_its_blurred_copy(padding, bias):
    y = reference.correlate2d(PHOTO, BLUR, shift=-8, padding=padding, border="edge")
    learned = learn_kernel(PHOTO, y, (5, 5), bias=bias)
    assert_array_equal(learned.ints, BLUR)
    assert (learned.shift, learned.bias_ints, learned.rank) == (-8, 0, 25)
    assert learned.worst_error == 0
    assert learned.float_error < 0.6  # the copy was rounded, by up to a half


def test_a_large_photograph_takes_a_moment():
    rng = np.random.default_rng(0)
    large = np.clip(np.kron(PHOTO, np.ones((4, 4), int)) + rng.integers(-3, 4, (512, 512)), 0, 255).astype(np.uint8)
    y = reference.correlate2d(large, BLUR, shift=-8, padding="same")
    begin = time.perf_counter()
    learned = learn_kernel(large, y, (5, 5))
    assert time.perf_counter() - begin < 10  # 0.4 s where it was written; a busy machine has its time
    assert_array_equal(learned.ints, BLUR)
    assert learned.worst_error == 0


@st.composite
def layers(draw):
    """(x, kernel, bias, padding) of int8; as many random patches as determine the kernel."""
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    size = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    x = rng.integers(-128, 128, (draw(st.integers(1, 3)), 14, 13, channels)).astype(np.int8)
    kernel = rng.integers(-127, 128, (outputs, *size, channels)).astype(np.int8)
    bias = rng.integers(-999, 1000, outputs).astype(np.int32)
    return x, kernel, bias, draw(st.sampled_from(["valid", "same", ((2, 0), (1, 3))]))


@given(layers(), st.booleans())
def test_every_integer_layer_comes_out_of_its_accumulators(layer, with_bias):
    x, kernel, bias, padding = layer
    y = reference.conv2d(x, kernel, bias if with_bias else None, padding=padding)
    learned = learn_kernel(x, y, kernel.shape[1:3], padding=None if isinstance(padding, str) else padding)
    assert learned.determined
    assert (learned.worst_error, learned.ints.dtype) == (0, np.int8)
    assert_array_equal(learned.ints * 2.0**learned.shift, kernel)
    assert_array_equal(learned.bias_ints * 2.0**learned.shift, bias if with_bias else 0 * bias)
    one = learn_kernel(x[0], y[0], kernel.shape[1:3], padding=padding)
    assert_array_equal(one.ints * 2.0**one.shift, kernel)


@given(layers(), st.integers(-9, 0), st.booleans(), st.sampled_from([8, 16]))
def test_the_worst_error_is_that_of_the_reference(layer, shift, whole, bits):
    """Of noisy examples, predicted by the reference itself with the integers that were found."""
    x, kernel, bias, _ = layer
    y = reference.conv2d(x, kernel, bias, shift=shift, padding="same", out_dtype=np.int8)
    noise = np.random.default_rng(1).integers(-2, 3, y.shape)
    y = np.clip(y.astype(int) + noise, -128, 127).astype(np.int8 if whole else float)
    learned = learn_kernel(x, y, kernel.shape[1:3], bits=bits)
    assert np.abs(learned.ints).max() <= (1 << (bits - 1)) - 1
    words = {"padding": learned.padding}
    if whole:
        found = reference.conv2d(
            x, learned.ints, learned.bias_ints, shift=learned.shift, out_dtype=np.int8, accumulator="int64", **words
        )
    else:
        found = reference.conv2d(x, learned.ints, learned.bias_ints, accumulator="int64", **words) * 2.0**learned.shift
    (top, bottom), (left, right) = learned.padding
    inner = np.abs(found.astype(float) - y)[:, top : y.shape[1] - bottom, left : y.shape[2] - right]
    assert inner.max() == learned.worst_error


@given(st.integers(0, 999), st.integers(1, 3))
def test_no_other_kernel_has_less_squared_error(seed, channels):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, 9, channels)), rng.normal(size=(8, 7, 2))
    learned = learn_kernel(x, y, (2, 3))
    patches = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    table = np.append(patches.reshape(56, -1), np.ones((56, 1)), axis=1)
    expected = np.linalg.lstsq(table, y.reshape(56, 2), rcond=None)[0]
    # float32 results of sums in another order
    np.testing.assert_allclose(learned.kernel.reshape(2, -1).T, expected[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learned.bias, expected[-1], rtol=1e-5, atol=1e-6)


def test_what_the_patches_leave_open_is_told_and_of_minimum_norm():
    rng = np.random.default_rng(0)
    x = np.tile(rng.integers(0, 256, (1, 40)), (30, 1))  # every row the same
    y = reference.correlate2d(x, [[0, 0, 0], [3, -6, 9], [0, 0, 0]])
    learned = learn_kernel(x, y, (3, 3))
    assert (learned.rank, learned.unknowns, learned.determined) == (3, 9, False)
    assert (learned.ints * 2.0**learned.shift).tolist() == [[1, -2, 3]] * 3
    assert learned.worst_error == 0
    flat = learn_kernel(np.full((5, 5), 7), np.full((3, 3), 100), (3, 3))
    assert (flat.rank, flat.ints.any(), flat.bias_ints * 2.0**flat.shift, flat.worst_error) == (0, False, 100, 0)
    without = learn_kernel(np.full((5, 5), 7), np.full((3, 3), 63), (3, 3), bias=False)
    assert (without.rank, (without.ints * 2.0**without.shift).tolist(), without.worst_error) == (1, [[1] * 3] * 3, 0)


def test_a_large_offset_does_not_hide_small_variations():
    rng = np.random.default_rng(0)
    x = 1e6 + rng.normal(size=(40, 40))
    learned = learn_kernel(x, x[:, 1:] - x[:, :-1] + 5, (1, 2))
    # of 1e6 a double keeps 1e-10, and the variations are 1
    np.testing.assert_allclose(learned.kernel, [[-1, 1]], rtol=1e-6)
    assert learned.float_error < 1e-3


@example([[1e-12, 1.0]], 1000.0)
@example([[0.0, 0.0]], 0.0)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), min_size=1, max_size=3), st.floats(-1e5, 1e5))
def test_real_kernels_come_within_a_step_of_their_bits(kernel, bias):
    x = np.random.default_rng(0).normal(size=(12, 12))
    patches = np.lib.stride_tricks.sliding_window_view(x, np.shape(kernel))
    y = (patches * kernel).sum(axis=(2, 3)) + bias
    learned = learn_kernel(x, y, np.shape(kernel), bits=16)
    taps = np.size(kernel)
    assert np.abs(learned.bias_ints) < 1 << 31
    # each weight and the bias within half a step of 2**shift, but for the rounding of the float32s
    slack = 2.0**learned.shift / 2 * (1 + taps * np.abs(x).max()) + 1e-5 * (np.abs(y).max() + np.abs(bias))
    assert learned.worst_error <= slack


IMAGE = np.arange(30).reshape(5, 6)


@pytest.mark.parametrize(
    ("arguments", "words", "error", "message"),
    [
        ((IMAGE, IMAGE[0], (1, 1)), {}, ValueError, "y: 1 dimensions beside x's 2, wanted both"),
        ((IMAGE[0], IMAGE[0], (1, 1)), {}, ValueError, "y: 1 dimensions beside x's 1, wanted both"),
        ((IMAGE, IMAGE[1:], (3, 3)), {}, ValueError, r"y: size \(4, 6\), wanted \(3, 4\) or \(5, 6\) for a kernel of"),
        (
            (IMAGE, IMAGE, (3, 3)),
            {"padding": "valid"},
            ValueError,
            r"y: size \(5, 6\), wanted \(3, 4\) for a kernel of",
        ),
        ((IMAGE, IMAGE, (6, 3)), {}, ValueError, r"kernel_shape: \(6, 3\), wanted at most x's size \(5, 6\)"),
        ((IMAGE, IMAGE, (0, 3)), {}, ValueError, "kernel_shape: 0, wanted 1"),
        ((IMAGE, IMAGE, (3, 3)), {"bits": 7}, ValueError, "bits: 7, wanted 8 or 16"),
        ((IMAGE, IMAGE, (3, 3)), {"padding": "full"}, ValueError, "padding: 'full', wanted"),
        ((IMAGE * np.nan, IMAGE, (3, 3)), {}, ValueError, r"x: shape \(5, 6\), wanted finite numbers"),
        ((IMAGE * 1e300, IMAGE, (3, 3)), {}, ValueError, "x: reaches .*, wanted at most 2"),
        ((IMAGE, IMAGE * 1e160, (3, 3)), {}, ValueError, "y: reaches .*, wanted at most 2"),
        ((IMAGE * 1e-9, IMAGE * 1e9, (1, 1)), {}, ValueError, "y: a kernel up to .* make it of x, wanted"),
        ((IMAGE + 2**52, IMAGE * 2**30, (1, 1)), {}, ValueError, r"y: a kernel up to .* and 2\*\*61"),
        ((IMAGE.astype(str), IMAGE, (3, 3)), {}, TypeError, "x: dtype <U21, wanted real numbers"),
        ((np.ones((2, 5, 6, 1)), np.ones((3, 5, 6, 1)), (3, 3)), {}, ValueError, "y: 3 samples, wanted x's 2"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments, words, error, message):
    with pytest.raises(error, match=f"^{message}") as caught:
        learn_kernel(*arguments, **words)
    assert "\n" not in str(caught.value)


# The command


@pytest.fixture
def pictures(tmp_path):
    """A photograph and what `ucorr filter` makes of it, by the filter's name."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")

    def filtered(name):
        result = command("ucorr", "filter", "photo.png", name, f"{name}.png", cwd=tmp_path)
        assert result.returncode == 0
        return f"{name}.png"

    return filtered


@pytest.mark.parametrize(("name", "size"), [("gaussian", "5x5"), ("sobel-x", "3x3"), ("edge-pair", "1x2")])
def test_learn_finds_what_filter_did_and_filter_takes_it(tmp_path, pictures, name, size):
    made = pictures(name)
    kernel, right, signed = FILTERS[name]
    more = ["--signed"] if signed else []
    result = command("ucorr", "learn", "photo.png", made, "--size", size, "--json", *more, cwd=tmp_path)
    told = json.loads(result.stdout)
    assert (told["kernel"], told["shift"], told["bias"], told["worst_error"]) == (kernel, -right, 0, 0)
    result = command("ucorr", "learn", "photo.png", made, "--size", size, "--output", "kernel.txt", *more, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    found, scale = load_kernel(str(tmp_path / "kernel.txt"))
    assert_array_equal(found, np.array(kernel))
    assert (scale.shift, scale.signed) == (-right, signed or None)
    printed = command("ucorr", "learn", "photo.png", made, "--size", size, *more, cwd=tmp_path).stdout
    (tmp_path / "printed.txt").write_text(printed)
    for path in ("kernel.txt", "printed.txt"):
        command("ucorr", "filter", "photo.png", path, "again.png", cwd=tmp_path)
        assert_array_equal(np.asarray(Image.open(tmp_path / "again.png")), np.asarray(Image.open(tmp_path / made)))


def test_learn_tells_a_bias_and_what_the_pictures_leave_open(tmp_path):
    x = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (20, 1))
    Image.fromarray(x).save(tmp_path / "x.png")
    Image.fromarray(x // 2 + 20).save(tmp_path / "y.png")
    result = command("ucorr", "learn", "x.png", "y.png", "--bias", cwd=tmp_path)
    assert "bias 20\n" in result.stdout
    assert "the pictures determine 1 of 9 weights" in result.stdout


def test_learn_fails_in_one_sentence(tmp_path):
    for name, shape in (("x.png", (9, 9)), ("y.png", (8, 9))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / name)
    assert_one_sentence(command("ucorr", "learn", "x.png", "y.png", cwd=tmp_path), "y: size (8, 9), wanted (7, 7) or")
    assert_one_sentence(command("ucorr", "learn", "x.png", "none.png", cwd=tmp_path), "none.png")
    for size in ("3", "0x3", "axb"):
        result = command("ucorr", "learn", "x.png", "y.png", "--size", size, cwd=tmp_path)
        assert (result.returncode, f"--size: '{size}', wanted" in result.stderr) == (2, True)
