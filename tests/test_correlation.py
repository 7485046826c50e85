"""Two signals: laws of their cross-correlation, its scales and limits, and where peaks lie."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.signal
import ucorr
from draws import numbers
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.ndimage import maximum_filter
from ucorr_host import reference
from ucorr_host.problems.operators import OpProblem
from ucorr_host.targets import emulator
from ucorr_host.targets.simulator import ask

DTYPES = {"b": np.int8, "B": np.uint8, "h": np.int16}


@st.composite
def pairs(draw: Any, most: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two signals of one length and dtype."""
    dtype = np.dtype(draw(st.sampled_from(list(DTYPES))))
    limits, length = np.iinfo(dtype), draw(st.integers(1, most))
    a, b = (numbers(draw, limits.min, limits.max, (length,)).astype(dtype) for _ in range(2))
    return a, b


def ends(a: np.ndarray) -> tuple[int, int]:
    """All lags of a signal."""
    return 1 - len(a), len(a) - 1


# What the sums are


@given(pairs())
def test_the_sums_are_those_of_scipy(signals):
    a, b = signals
    expected = scipy.signal.correlate(b.astype(np.int64), a.astype(np.int64), method="direct")
    assert_array_equal(scipy.signal.correlation_lags(len(b), len(a)), range(1 - len(a), len(a)))
    found = reference.cross_correlate(a, b, ends(a), shift=-6)
    assert_array_equal(found, np.sign(expected) * ((np.abs(expected) + 32) >> 6))


@given(pairs())
def test_exchanged_signals_reverse_the_lags(signals):
    a, b = signals
    for normalized in (False, True):
        scale = {"normalized": normalized, "shift": 0 if normalized else -5}
        there, back = (reference.cross_correlate(*two, ends(a), **scale) for two in ((a, b), (b, a)))
        assert_array_equal(there, back[::-1])


@given(signals=pairs(), delay=st.integers(0, 20))
def test_a_delay_of_the_second_signal_moves_the_sums(signals, delay):
    a, b = (np.concatenate([x, np.zeros(20, x.dtype)]) for x in signals)
    moved = np.roll(b, delay)  # zeros come in front
    first, last = 1 - len(a), len(a) - 1 - delay
    still = reference.cross_correlate(a, b, (first, last), shift=-5)
    assert_array_equal(reference.cross_correlate(a, moved, (first + delay, last + delay), shift=-5), still)


@given(pairs())
def test_a_normalized_sum_is_the_cosine_of_two_vectors(signals):
    a, b = (x.astype(np.float64) for x in signals)
    size = np.sqrt((a @ a) * (b @ b))
    found = reference.cross_correlate(*signals, ends(a), normalized=True)
    cosine = scipy.signal.correlate(b, a, method="direct") / (size or 1)
    # towards zero, from roots whose error is under 2**-22 of them
    assert np.all(np.abs(found) <= np.abs(cosine) * 32768 * (1 + 2**-21))
    assert np.all(np.minimum(np.abs(cosine) * 32768, 32767) - np.abs(found) < 1 + 2**-5)
    assert_array_equal(np.sign(found) * (found != 0), np.sign(cosine) * (found != 0))


def test_a_signal_is_wholly_like_itself_and_a_constant_zero_like_nothing():
    a = np.array([1, -3, 20000, -32767], np.int16)
    assert reference.cross_correlate(a, a, (0, 0), normalized=True).tolist() == [32767]
    assert reference.cross_correlate(a, -(a // 2), (0, 0), normalized=True)[0] < -32700
    assert reference.cross_correlate(a, 0 * a, (-3, 3), normalized=True).tolist() == [0] * 7


# What a layer makes of its options


@given(length=st.integers(1, 65535), dtype=st.sampled_from(list(DTYPES)), data=st.data())
def test_no_sum_passes_32_bits_with_the_shift_that_is_chosen(length, dtype, data):
    limits = np.iinfo(DTYPES[dtype])
    limit = data.draw(st.one_of(st.none(), st.integers(1, max(limits.max, -limits.min))))
    layer = ucorr.CrossCorrelate(length, 0, dtype, limit=limit, backend="portable")
    greatest = length * (limit or max(limits.max, -limits.min)) ** 2
    assert (greatest + (1 << -layer.shift >> 1)) >> -layer.shift < 1 << 31
    assert layer.shift == 0 or (greatest >> -layer.shift - 1) + 1 >= 1 << 31
    assert layer.wide == (greatest >= 1 << 31)


def test_a_sum_past_32_bits_is_limited_to_them():
    loud = array("h", [-32768] * 4)
    out = array("i", bytes(12))
    ucorr.CrossCorrelate(4, 1, shift=0)(loud, loud, out)
    assert out.tolist() == [0x7FFFFFFF] * 3
    ucorr.CrossCorrelate(4, 1, shift=0)(loud, array("h", [32767] * 4), out)
    assert out.tolist() == [-0x80000000] * 3


@pytest.mark.parametrize("lags", [range(-2, 4), (-2, 3), [np.int16(-2), 3], range(np.int64(-2), np.int64(4))], ids=str)
def test_lags_are_a_range_or_its_ends(lags):
    layer = ucorr.CrossCorrelate(9, lags)
    assert (layer.lags, layer.out_shape) == ((-2, 3), (6,))
    assert ucorr.CrossCorrelate(9, 2).lags == (-2, 2)


REFUSED = [
    ({"length": 0}, "length: 0, wanted 1..65535"),
    ({"lags": 10}, "lags: 10, wanted 0..9"),
    ({"lags": range(-3, 11)}, "lags: 10, wanted -9..9"),
    ({"lags": range(0, 6, 2)}, r"lags: range\(0, 6, 2\), wanted a range of step 1 that is not empty"),
    ({"lags": range(0)}, r"lags: range\(0, 0\), wanted a range of step 1"),
    ({"lags": (3, 2)}, r"lags: \(3, 2\), wanted the lesser one first"),
    ({"dtype": "H"}, "dtype: 'H', wanted one of b B h"),
    ({"limit": 32769}, "limit: 32769, wanted 1..32768"),
    ({"shift": 1}, "shift: 1, wanted -31..0"),
    ({"shift": -1, "normalized": True}, "shift: -1, wanted 0..0"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=[said.partition(",")[0] for _, said in REFUSED])
def test_what_no_correlation_is_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        ucorr.CrossCorrelate(**{"length": 10, "lags": 3, **options})


TARGETS = pytest.mark.parametrize(
    ("target", "backend"), [("cpython", "portable"), ("micropython", "portable"), ("micropython", "viper")]
)


def on(target: str, source: str) -> Any:
    """The value of `answer` after source ran on a target."""
    kind, value = ask({"attempt": source}, b"", target)[0]["outcome"]
    assert kind == "ok", value
    return value


LIMITED = """
said = []
x, quiet = array("h", [5, -7, 8, 3]), array("h", [1, 2, -3, 4])
for name, a, b in (("a", x, quiet), ("b", quiet, x)):
    out = array("i", [9] * 3)
    try:
        ucorr.CrossCorrelate(4, 1, limit=7, backend={backend!r})(a, b, out)
    except ValueError as error:
        said += [str(error), list(out)]
answer = said
"""


@TARGETS
def test_an_item_past_the_limit_is_named_and_nothing_is_written(target, backend):
    said = "{}: item 2 is past the limit, wanted at most 7 in size"
    assert on(target, LIMITED.format(backend=backend)) == [said.format("a"), [9] * 3, said.format("b"), [9] * 3]


ITSELF = """
answer = []
x = array("h", [300 * (n * n % 97) - 14000 for n in range(40)])
for options in ({{}}, {{"normalized": True}}, {{"limit": 16000, "shift": -3}}, {{"limit": 7500}}):
    for first, last in ((-20, 20), (-5, 30), (3, 9), (-9, -3)):
        if options.get("limit") == 7500 and max(x) > 7500:
            x = array("h", [n >> 1 for n in x])
        layer = ucorr.CrossCorrelate(40, (first, last), backend={backend!r}, **options)
        outs = [array("h" if layer.normalized else "i", range(last - first + 1)) for _ in range(2)]
        layer(x, x, outs[0])
        layer(x, array("h", x), outs[1])
        answer.append(list(outs[0]) == list(outs[1]))
"""


@TARGETS
def test_a_signal_with_itself_is_as_with_its_copy(target, backend):
    assert on(target, ITSELF.format(backend=backend)) == [True] * 16


# Machine code

CYCLES = {"cortex-m4": (1.1, 1.1), "cortex-m0plus": (7.6, 4.4)}  # of a product, with sums of 64 bits and of 32
LAYERS = Path(__file__).parent.parent / "docs" / "layers.md"


@pytest.mark.parametrize("core", CYCLES)
def test_a_product_takes_the_cycles_that_the_pages_say(core):
    rng = np.random.default_rng(5)
    for limit, cycles in zip((None, 1400), CYCLES[core], strict=True):
        signals = tuple(rng.integers(-1400, 1401, 1024).astype(np.int16) for _ in range(2))
        options = {"length": 1024, "lags": (0, 63)} | ({} if limit is None else {"limit": limit})
        problem = OpProblem("64 lags", "CrossCorrelate", options, signals)
        answer, data = ask(problem.message("thumb", repeat=1), problem.payload(), core)
        assert_array_equal(np.frombuffer(data, np.int32), problem.expected())
        assert round(answer["cycles"] / (64 * 1024), 1) == cycles
    text = LAYERS.read_text(encoding="utf-8")
    assert "an estimated\n1.1 cycles on a Cortex-M4 and 7.6 on a Cortex-M0+" in text
    assert "1.1 and 4.4 with sums of 32" in text


# as simulate's targets: each instruction set, each way of mirrored lags, tiles of which the last overlaps or not
@pytest.mark.parametrize("core", CYCLES)
@pytest.mark.parametrize("lags", [(-9, 9), (-9, 3), (-3, 9), (0, 9), (-9, 0), (2, 9), (-12, -1), (-11, 12)])
@pytest.mark.parametrize("length", [13, 14, 40, 161])
@pytest.mark.parametrize("limit", [None, 32768, 300])
def test_machine_code_of_any_lags_with_another_signal_and_with_itself(core, lags, length, limit):
    rng = np.random.default_rng(length)
    most = 300 if limit == 300 else 32767
    a, b = (rng.integers(-most, most + 1, length).astype(np.int16) for _ in range(2))
    with patch.dict(ucorr.backends.registered, emulator.backend(core)):
        layer = ucorr.CrossCorrelate(length, lags, limit=limit, backend="thumb")
    assert (layer.wide, layer.checked) == (limit != 300, limit == 300)
    for second in (b, a):
        out = np.zeros(lags[1] - lags[0] + 1, np.int32)
        layer(a, second, out)
        assert_array_equal(out, reference.cross_correlate(a, second, lags, shift=layer.shift))
    if limit == 300:
        for item, names in ((-301, ("a", a, b)), (301, ("b", b, a))):
            a[7] = item
            with pytest.raises(ValueError, match=f"^{names[0]}: item 7 is past the limit, wanted at most 300 in size$"):
                layer(*names[1:], out)


# Peaks


@given(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=3, max_size=30), st.integers(-40, 40))
def test_the_peak_of_a_correlation_is_its_first_greatest_item(values, first):
    r = array("i", values)
    lag, value = ucorr.peak_lag(r, range(first, first + len(r)))
    assert (lag, value) == (first + int(np.argmax(values)), max(values))
    odd = r[: len(r) // 2 * 2 - 1]
    assert ucorr.peak_lag(odd)[0] == int(np.argmax(odd)) - len(odd) // 2
    fine, same = ucorr.peak_lag(r, range(first, first + len(r)), subsample=True)
    assert same == value
    at = lag - first
    top = 0.0
    if 0 < at < len(r) - 1:
        before, after = values[at - 1], values[at + 1]
        top = (after - before) / (2 * (2 * value - before - after)) if 2 * value > before + after else 0.0
    assert abs(fine / 256 - lag - top) <= 1 / 512 + 1e-9  # the rounding of a float


@st.composite
def images(draw: Any) -> np.ndarray:
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    few = draw(st.sampled_from([3, 20, 1 << 30]))  # plateaus, ties, hardly any
    return numbers(draw, -few, few, shape).astype(np.int32)


@given(
    image=images(), most=st.integers(1, 9), apart=st.integers(1, 5), threshold=st.one_of(st.none(), st.integers(-5, 5))
)
def test_peaks_are_the_greatest_local_maxima_and_lie_apart(image, most, apart, threshold):
    found = ucorr.peaks(image, image.shape, most, apart, threshold)
    everything = ucorr.peaks(image, image.shape, image.size, apart, threshold)
    assert found == everything[:most]
    assert everything == sorted(everything, key=lambda peak: (-peak[2], *peak[:2]))
    greatest = maximum_filter(image, 2 * apart + 1, mode="nearest")
    for y, x, value in everything:
        assert value == image[y, x] == greatest[y, x]
        assert threshold is None or value > threshold
    for n, (y, x, _) in enumerate(everything):
        assert all(max(abs(y - v), abs(x - u)) > apart for v, u, _ in everything[:n])
    # each local maximum is a peak, or has an equal one near by that comes first
    for y, x in zip(*np.nonzero(greatest == image), strict=True):
        if threshold is not None and image[y, x] <= threshold:
            continue
        window = image[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1]
        before = [
            (v, u)
            for v, u in zip(*np.nonzero(window == image[y, x]), strict=True)
            if (v + max(0, y - apart), u + max(0, x - apart)) < (y, x)
        ]
        assert bool(before) != ((y, x, image[y, x]) in everything)


def test_a_plateau_is_one_peak_and_the_top_of_a_parabola_lies_between_pixels():
    image = np.zeros((7, 9), np.int32)
    image[2, 3:6] = 9
    image[5, 8] = 20
    assert ucorr.peaks(image, (7, 9), 5, 2, 0) == [(5, 8, 20), (2, 3, 9)]
    hill = np.array([[0, 0, 0, 0], [0, 10, 6, 0], [0, 2, 0, 0], [0, 0, 0, 0]], np.int16)
    # along x: (6 - 0) / (2 * (20 - 6)) of a pixel, along y: (2 - 0) / (2 * (20 - 2))
    assert ucorr.peaks(hill, (4, 4), subpixel=True) == [(256 + 14, 256 + 55, 10)]


PEAKS = """
try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    heap_lock = heap_unlock = lambda: None
image = array("h", [n * 7919 % 1009 for n in range(30 * 20)])
out = array("i", bytes(12 * 5))
peaks = ucorr.peaks
heap_lock()
try:
    count = peaks(image, (30, 20), 5, 3, 900, True, out)
finally:
    heap_unlock()
answer = [count, list(out), [n for peak in peaks(image, (30, 20), 5, 3, 900, True) for n in peak]]
"""


@pytest.mark.parametrize("target", ["cpython", "micropython"])
def test_peaks_into_an_array_allocate_nothing(target):
    count, out, listed = on(target, PEAKS)
    image = np.array([n * 7919 % 1009 for n in range(600)]).reshape(30, 20)
    expected = ucorr.peaks(image, (30, 20), 5, 3, 900, True)
    assert count == len(expected) == 5
    assert out == listed == [n for peak in expected for n in peak]


WRONG = [
    (lambda: ucorr.peaks(array("i"), None), ValueError, "values: no items"),
    (lambda: ucorr.peaks(array("f", [1.0])), TypeError, "values: "),
    (lambda: ucorr.peaks(bytes(6), (2, 2)), ValueError, r"shape: \(2, 2\), wanted height and width of 6 items"),
    (lambda: ucorr.peaks(bytes(6), (1, 2, 3)), ValueError, r"shape: \(1, 2, 3\), wanted height and width"),
    (lambda: ucorr.peaks(bytes(6), None, 0), ValueError, "num_peaks: 0, wanted 1..65535"),
    (lambda: ucorr.peaks(bytes(6), min_distance=0), ValueError, "min_distance: 0, wanted 1..32767"),
    (lambda: ucorr.peaks(bytes(6), threshold=0.5), TypeError, "threshold: 0.5, wanted an integer"),
    (
        lambda: ucorr.peaks(bytes(6), out=array("i", [0, 0])),
        TypeError,
        r"out: array, wanted an array\('i'\) of 3 items",
    ),
    (lambda: ucorr.peaks(bytes(6), out=array("h", [0, 0, 7])), TypeError, r"out: array, wanted an array\('i'\)"),
    (lambda: ucorr.peaks(array("I", [5, 1 << 31])), ValueError, "values: a peak of 2147483648, wanted one of 32 bits"),
    (
        lambda: ucorr.peaks(bytes((1 << 23) + 1), num_peaks=1, subpixel=True),
        ValueError,
        "values: 8388609 items with subpixel, wanted at most 8388608",
    ),
    (lambda: ucorr.peaks(bytes(6), out=bytearray(12)), TypeError, r"out: bytearray, wanted an array\('i'\)"),
    (lambda: ucorr.peak_lag(array("i", [1, 2])), ValueError, "lags: not given for 2 items"),
    (lambda: ucorr.peak_lag(array("i", [1, 2]), 1), ValueError, "lags: 3 of them, wanted one for each of the 2 items"),
    (lambda: ucorr.peak_lag([1, 2, 3]), TypeError, "r: list, wanted a buffer of integers"),
]


@pytest.mark.parametrize(("call", "error", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_wrong_argument_of_a_peak_is_named(call, error, said):
    with pytest.raises(error, match=said):
        call()
