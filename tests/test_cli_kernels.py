"""Kernels of the command line: how a file is read, what levels of `ucorr filter` mean, that learn and filter agree."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from commands import assert_one_sentence, here
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image
from ucorr_tools.pictures.filters import FILTERS, load_kernel
from ucorr_tools.pictures.kernel_text import Scale, read, written


@pytest.fixture(scope="module")
def folder():
    """Shared by all examples of a property."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def painted(path, pixels):
    """The path of a picture of the pixels."""
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def drawn(path):
    with Image.open(path) as image:
        return np.asarray(image)


# The text of a kernel

WHOLE = st.integers(-32768, 32767)
REAL = st.floats(-(2.0**99), 2.0**99, width=32)
FORMS = ("{!r}", "{:+.9e}", "{:.160f}", "{:#.9g}")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


@st.composite
def texts(draw):
    """(text, encoding, rows) of a kernel as people and spreadsheets write it."""
    whole, width = draw(st.booleans()), draw(st.integers(1, 4))
    number = WHOLE if whole else REAL
    rows = draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=4))
    between = draw(st.sampled_from([" ", "\t", ",", ";", ", ", " ;\t", "  "]))
    lines = []
    for row in rows:
        lines += draw(st.sampled_from([[], [""], ["# 1.5 e1, a comment: ½"]]))
        cells = [draw(st.sampled_from(["{}", "{:+d}", "{:03d}"] if whole else FORMS)).format(k) for k in row]
        lines.append(draw(st.sampled_from(["", " "])) + between.join(cells) + draw(st.sampled_from(["", " ", "# 0.5"])))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join([*lines, ""])
    return text, draw(st.sampled_from(ENCODINGS)), rows


@given(texts())
def test_a_kernel_is_read_as_it_is_written(folder, case):
    text, encoding, rows = case
    (folder / "kernel.txt").write_bytes(text.encode(encoding))
    kernel, scale = read(folder / "kernel.txt")
    assert kernel.dtype.kind == ("i" if isinstance(rows[0][0], int) else "f")
    assert_array_equal(kernel.astype(np.float32), np.array(rows).astype(np.float32), strict=True)
    assert scale == Scale()


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        ("5e-1", [[0.5]]),
        (".5 1.", [[0.5, 1.0]]),
        ("1E2 -0", [[100.0, 0.0]]),
        ("+3\n-0 # 1.5", [[3], [0]]),
        ("# v1.2: ints.\n1 2", [[1, 2]]),
    ],
)
def test_floats_are_numbers_with_a_point_or_an_exponent(folder, text, kernel):
    (folder / "kernel.txt").write_text(text)
    found, _ = load_kernel(str(folder / "kernel.txt"))
    assert_array_equal(found, np.array(kernel), strict=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "holds no numbers"),
        (b"\xef\xbb\xbf\r\n# nothing\r\n", "holds no numbers"),
        (b"1 2\n\n3\n", "line 3: 1 numbers, wanted 2 as in line 1"),
        (b"1 2\n3 0x10\n", "is no table of numbers, line 2: '0x10', wanted decimal numbers"),
        (b"1 nan\n", "line 1: 'nan', wanted decimal"),
        (b"inf\n", "line 1: 'inf'"),
        (b"1_000\n", "line 1: '1_000'"),
        ("٣\n".encode(), "line 1: '٣'"),
        (b"1,,2\n", "line 1: ''"),
        (b"1 2,\n", "line 1: ''"),
        (b"0,5;1,5\n", "line 1: commas beside semicolons"),
        (b"1\n32768\n", "line 2: 32768, wanted -32768..32767"),
        (b"9" * 5000, "line 1: 99999999999999999999, wanted -32768..32767"),
        (b"1e999 1\n", "line 1: 1e999, wanted a finite number"),
        (b"1e39 1\n", "wanted finite numbers within binary32"),
        (b"1e-12\n", "wanted 2**-32 or more"),
        (b"1 \xb0\n", "byte 2 is no UTF-8"),
        (b"\xff\xfe1\x00\x00", "is no UTF-16-LE"),
        (b"1 2 3\n" * 200000, "more than 1,048,576 bytes"),
        (b"# ucorr filter --scale 3\n1\n", "line 1: --scale 3, wanted --signed, --shift N"),
        (b"# ucorr filter --shift\n1\n", "line 1: --shift , wanted"),
        (b"# ucorr filter --divide 0\n1\n", "line 1: --divide 0, wanted at least 1"),
        (b"# ucorr filter --shift 1\n# ucorr filter\n1\n", "line 2: a second"),
        (b"# ucorr filter --shift 31\n1\n", "line 1: --shift 31, wanted -31..30"),
        (b"\n# ucorr filter --shift -9999999999\n1\n", "line 2: --shift -9999999999, wanted -31..30"),
        (b"# ucorr filter --bias 9999999999\n1\n", "bias: 9999999999, wanted"),
    ],
)
@pytest.mark.parametrize("name", ["filter", "simulate"])
def test_what_is_no_kernel_is_one_sentence_with_its_line(folder, text, words, name):
    (folder / "kernel.txt").write_bytes(text)
    more = {"filter": [folder / "out.png"], "simulate": ["--target", "cpython"]}[name]
    result = here(name, painted(folder / "in.png", np.zeros((3, 3))), folder / "kernel.txt", *more)
    assert_one_sentence(result, words)


@pytest.mark.parametrize("border", ["constant", "edge"])
def test_a_border_that_asks_for_a_lot_of_memory_is_one_sentence(folder, border):
    """Of 17 GB, and of some that this machine may have."""
    for dilation in (65535, 6000):
        words = ["sobel-x", folder / "out.png", "--dilation", dilation, "--border", border]
        result = here("filter", painted(folder / "in.png", np.zeros((3, 3))), *words)
        assert_one_sentence(result, f"{(3 + 2 * dilation) ** 2:,} items with its border, wanted at most 134,217,728")


@pytest.mark.parametrize("target", ["cpython", "micropython", "cortex-m4", "cortex-m0plus"])
@pytest.mark.parametrize(
    ("text", "words"), [("40000", "40000, wanted"), ("1e12", "kernel: 1000000000000.0, wanted at most 127 * 2**30")]
)
def test_a_kernel_out_of_range_is_refused_alike_everywhere(folder, target, text, words):
    (folder / "kernel.txt").write_text(text)
    image = painted(folder / "in.png", np.zeros((3, 3)))
    first = here("filter", image, folder / "kernel.txt", folder / "out.png")
    there = here("simulate", image, folder / "kernel.txt", "--target", target)
    assert_one_sentence(first, words)
    assert there.stderr == first.stderr


# What levels mean

SCALES = st.builds(
    Scale,
    shift=st.none() | st.integers(-12, 2),
    divide=st.none() | st.integers(1, 3000),
    signed=st.sampled_from([None, True]),
    bias=st.none() | st.integers(-300, 300),
    padding=st.just("valid"),
)
KERNELS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(-40, 90), min_size=width, max_size=width), min_size=1, max_size=3)
)


def options(scale):
    """The words of the command line that say it."""
    return scale.line().removeprefix("# ucorr filter").split()


def levels(x, kernel, scale):
    """(levels, how many are clipped) in exact fractions: (sum + bias) * 2**shift / divide, halves away from zero."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(object), np.shape(kernel))
    factor = Fraction(2) ** (scale.shift or 0) / (scale.divide or 1)
    low, high = (-128, 127) if scale.signed else (0, 255)

    def rounded(value):
        return int(abs(value) + Fraction(1, 2)) * (1 if value > 0 else -1)

    exact = [rounded(((window * kernel).sum() + (scale.bias or 0)) * factor) for row in windows for window in row]
    clipped = np.clip(exact, low, high)
    return clipped.reshape(windows.shape[:2]), int(np.count_nonzero(clipped != exact))


@given(st.integers(0, 255), KERNELS, SCALES)
@example(100, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], Scale(padding="valid"))
@example(99, [[49]], Scale(divide=98, padding="valid"))
def test_a_flat_area_times_the_sum_of_weights(folder, grey, kernel, scale):
    (folder / "flat.txt").write_text(written(np.array(kernel), Scale()))
    image = painted(folder / "flat.png", np.full((5, 5), grey))
    result = here("filter", image, folder / "flat.txt", folder / "out.png", *options(scale))
    assert (result.returncode, result.stderr) == (0, "")
    expected, clipped = levels(np.full((5, 5), grey), np.array(kernel), scale)
    assert_array_equal(drawn(folder / "out.png"), expected + (128 if scale.signed else 0))
    assert (f"{clipped} of {expected.size} pixels clipped" in result.stdout) == bool(clipped)


@settings(max_examples=25)
@given(st.integers(0, 999), KERNELS, SCALES)
def test_levels_are_those_of_every_target(folder, seed, kernel, scale):
    x = np.random.default_rng(seed).integers(0, 256, (5, 7))
    (folder / "said.txt").write_text(written(np.array(kernel), scale))
    image = painted(folder / "x.png", x)
    result = here("filter", image, folder / "said.txt", folder / "out.png")
    expected, clipped = levels(x, np.array(kernel), scale)
    assert_array_equal(drawn(folder / "out.png"), expected + (128 if scale.signed else 0))
    assert (f", {clipped} of" in result.stdout) == bool(clipped)
    for target, backend in (("micropython", "viper"), ("micropython", "portable"), ("cortex-m4", "thumb")):
        words = ["--target", target, "--backend", backend, "--json"]
        told = json.loads(here("simulate", image, folder / "said.txt", *words).stdout)
        assert (told["equal"], told["backend"]) == (True, backend)


def test_options_replace_what_a_file_or_a_name_says(folder):
    image = painted(folder / "flat.png", np.full((5, 5), 60))
    (folder / "said.txt").write_text("# ucorr filter --signed --divide 3 --bias 9\n1\n")
    for kernel, words, level in (
        ("said.txt", [], 128 + 23),
        ("said.txt", ["--unsigned", "--bias", "0"], 20),
        ("said.txt", ["--shift", "1", "--unsigned"], 138),
        ("gaussian", ["--divide", "512"], 30),
        ("gaussian", ["--signed"], 128 + 60),
    ):
        name = kernel if kernel in FILTERS else folder / kernel
        assert here("filter", image, name, folder / "out.png", *words).returncode == 0
        assert set(drawn(folder / "out.png").ravel().tolist()) == {level}, (kernel, words)


def test_what_rounding_does_to_floats_is_told(folder):
    image = painted(folder / "flat.png", np.full((5, 5), 60))
    (folder / "float.txt").write_text("0.5 0.3\n")
    result = here("filter", image, folder / "float.txt", folder / "out.png")
    assert result.stderr == f"{folder / 'float.txt'}: weights rounded to 8 bits, by 0.00312 at most\n"  # 0.4 of 128ths
    (folder / "float.txt").write_text("0.5 0.25\n")
    assert here("filter", image, folder / "float.txt", folder / "out.png").stderr == ""


# What learn writes


def test_what_has_no_room_in_memory_is_one_sentence(folder):
    x, y = painted(folder / "large.png", np.zeros((999, 999))), painted(folder / "dot.png", np.zeros((1, 1)))
    assert_one_sentence(here("learn", x, y, "--size", "999x999"), "no memory: Unable to allocate 7.25 TiB")


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    kernel=KERNELS,
    scale=st.builds(Scale, shift=st.integers(-9, 0), signed=st.sampled_from([None, True])),
    padding=st.sampled_from(["valid", "same"]),
    bias=st.booleans(),
    noise=st.sampled_from([0, 0, 3, 60]),
)
def test_filter_makes_the_error_that_learn_tells(folder, seed, kernel, scale, padding, bias, noise):
    rng = np.random.default_rng(seed)
    x = painted(folder / "x.png", rng.integers(0, 256, (9, 11)))
    (folder / "made.txt").write_text(written(np.array(kernel), scale))
    more = ["--padding", padding, "--bias", rng.integers(-99, 99) if bias else 0]
    assert here("filter", x, folder / "made.txt", folder / "y.png", *more).returncode == 0
    wanted = np.clip(drawn(folder / "y.png").astype(int) + rng.integers(-noise, noise + 1), 0, 255)
    y = painted(folder / "y.png", wanted)
    words = ["--size", "x".join(map(str, np.shape(kernel))), *["--signed"] * bool(scale.signed), *["--bias"] * bias]
    told = json.loads(here("learn", x, y, *words, "--output", folder / "learned.txt", "--json").stdout)
    (folder / "printed.txt").write_text(here("learn", x, y, *words).stdout)
    for name in ("learned.txt", "printed.txt"):
        assert here("filter", x, folder / name, folder / "again.png").returncode == 0
        (top, bottom), (left, right) = told["padding"]
        error = np.abs(drawn(folder / "again.png").astype(int) - wanted)
        assert error[top : len(error) - bottom, left : error.shape[1] - right].max() == told["worst_error"]
