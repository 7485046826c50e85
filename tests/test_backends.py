"""Every backend on every target gives the reference's bits, over the whole space of problems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import problems
from targets import everywhere, run
from ucorr_host.problems.named import layers, named
from ucorr_host.problems.weighted import LAYERS, Problem
from ucorr_host.targets.simulator import ask


@everywhere
@pytest.mark.parametrize("layer", LAYERS)
@given(data=st.data())
def test_output_equals_the_reference(layer, target, backend, data):
    problem = data.draw(problems(layers=(layer,)))
    offset = data.draw(st.integers(0, 3))  # views start at any byte for 8-bit data, at any item else
    assert_array_equal(run(problem, target, backend, offset=offset), problem.expected(), strict=True)


@everywhere
@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_named_problem_equals_the_reference(problem, target, backend):
    assert_array_equal(run(problem, target, backend), problem.expected(), strict=True)


@pytest.mark.parametrize("letter", list("abcdefghi"))
def test_benchmark_layer_equals_the_reference_on_viper(letter):
    problem = layers()[letter]
    assert_array_equal(run(problem, "micropython", "viper"), problem.expected(), strict=True)


@pytest.mark.parametrize("backend", ["viper", "portable"])
@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_a_call_allocates_nothing(problem, backend):
    assert_array_equal(run(problem, "micropython", backend, repeat=3, locked=True), problem.expected())


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("layer", "kernel", "height", "channels"),
    [("Correlate1D", (17,), 1, 1), ("Correlate2D", (3, 3), 7, 1), ("Conv2D", (6, 3, 2, 4), 7, 8)],
)
def test_scratch_of_a_wide_input_is_bounded_by_strips(layer, kernel, height, channels, stride, dilation):
    width = 6000
    rng = np.random.default_rng(9)
    x = rng.integers(-128, 128, (height, width, channels), np.int8)
    options = {"dtype": "b", "stride": stride, "dilation": dilation, "padding": "same"}
    shape = {"Correlate1D": width, "Correlate2D": (height, width), "Conv2D": (height, width)}[layer]
    options |= {"groups": 2} if layer == "Conv2D" else {"border": "reflect"}
    x = x if layer == "Conv2D" else x.reshape(width if layer == "Correlate1D" else (height, width))
    problem = Problem("wide", layer, rng.integers(-128, 128, kernel), shape, options, x)
    assert_array_equal(run(problem, "micropython", "viper"), problem.expected())
    answer, _ = ask(problem.message("viper"), problem.payload(), "micropython")
    assert answer["scratch_bytes"] <= 8192


def test_a_kernel_of_one_column_has_no_dilation_to_make_room_for():
    x = np.arange(-24, 24, dtype=np.int8).reshape(6, 8)
    options = {"dtype": "b", "out_dtype": "b", "shift": -3, "dilation": (2, 40000)}
    problem = Problem("narrow", "Correlate2D", np.array([[3], [-5], [7]]), (6, 8), options, x)
    assert_array_equal(run(problem, "micropython", "viper"), problem.expected())
    answer, _ = ask(problem.message("viper"), problem.payload(), "micropython")
    assert answer["scratch_bytes"] <= 100


@pytest.mark.parametrize(("target", "backend"), [("cpython", "portable"), ("micropython", None)])
def test_rows_that_no_window_has_inside_the_image_lie_as_far_apart_as_they_like(target, backend):
    x = np.array([3, 5, 7], np.int8)
    options = {"dtype": "b", "dilation": (65535, 1), "padding": ((65535, 0), (0, 0)), "pitch": 1 << 24}
    problem = Problem("far", "Correlate2D", np.array([[2], [9]]), (1, 3), options, x[None])
    _, output = ask(problem.message(backend), problem.payload(), target)
    assert np.frombuffer(output, np.int32).tolist() == [27, 45, 63]


REGISTERED = """
from ucorr import backends
class Mine:
    # takes every layer and runs it on portable
    @staticmethod
    def refuses(spec, budget=None):
        return None
    @staticmethod
    def prepare(spec, budget=None):
        return backends.probe("portable").prepare(spec, budget)
names, before = backends.NAMES, dict(backends.registered)
usual = ucorr.Correlate1D([1, 2], 4).backend
try:
    backends.register("mine", Mine)
    backends.register("mine", Mine)
    layer, out = ucorr.Correlate1D([1, 2], 4, backend="mine"), array("i", [0] * 3)
    layer(bytes([1, 2, 3, 4]), out)
    answer = [layer.backend, list(out), backends.NAMES == names + ("mine",), ucorr.info()["mine"]]
    answer.append(ucorr.Correlate1D([1, 2], 4).backend == usual)
finally:
    backends.NAMES, backends.registered = names, before
"""


@pytest.mark.parametrize("target", ["cpython", "micropython"])
def test_a_backend_of_ones_own_is_taken_where_a_layer_asks_for_it(target):
    outcome = ask({"attempt": REGISTERED}, b"", target)[0]["outcome"]
    assert list(outcome) == ["ok", ["mine", [5, 8, 11], True, "ok", True]]


def test_most_drawn_problems_say_something():
    seen: list[tuple[bool, bool, bool]] = []

    @settings(max_examples=400, database=None, derandomize=True)
    @given(problems())
    def collect(problem):
        expected = problem.expected()
        lo, hi = problem.options.get("activation_min"), problem.options.get("activation_max")
        limits = np.iinfo(expected.dtype)
        ends = [limits.min if lo is None else lo, limits.max if hi is None else hi]
        seen.append(
            (
                bool(problem.kernel.any()),
                expected.size == 1 or len(np.unique(expected)) > 1,
                float(np.isin(expected, ends).mean()) < 0.5,
            )
        )

    collect()
    kernels, varied, unsaturated = np.mean(seen, axis=0)
    assert kernels > 0.95
    assert varied > 0.7
    assert unsaturated > 0.55


@everywhere
@pytest.mark.parametrize("bias", [0, 1 << 20], ids=["near", "far"])
def test_rounding_once_for_twice_would_be_seen_and_twice_for_once(target, backend, bias):
    taps = np.arange(-127, 128).reshape(255, 1)
    options = {"dtype": "b", "out_dtype": "b", "multiplier": 3 << 29, "shift": -3, "bias": [0] * 254 + [bias]}
    expected = []
    for rounding in ("double", "single"):
        words = {**options, "rounding": rounding}
        problem = Problem(f"ramp {rounding}", "Dense", taps, None, words, np.array([3], np.int8))
        expected.append(problem.expected())
        assert_array_equal(run(problem, target, backend), expected[-1])
    assert (expected[0] != expected[1]).any()


@everywhere
def test_same_puts_the_odd_row_at_the_bottom(target, backend):
    options = {"dtype": "b", "out_dtype": "i", "padding": "same"}
    problem = Problem("even", "Correlate2D", np.array([[1], [10]]), (3, 1), options, np.array([[1], [2], [3]], np.int8))
    assert run(problem, target, backend).tolist() == [[21], [32], [3]]
