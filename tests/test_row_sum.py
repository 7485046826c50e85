"""Sums of whole rows as machine code: equal to the reference, chosen for what they are for, without scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import numbers
from targets import run
from ucorr.codegen import module
from ucorr.codegen.plan import Plan, select
from ucorr.fixedpoint import LIMITS
from ucorr_host import cores
from ucorr_host.problems.weighted import Problem
from ucorr_host.targets.simulator import ask

on_both = pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])


@st.composite
def sums(draw: Any) -> Problem:
    """Outer blocks of n rows, each summed and scaled so that most outputs are neither saturated nor zero."""
    n, width, outer = draw(st.integers(2, 300)), draw(st.integers(1, 13)), draw(st.integers(1, 3))
    dtype, out = draw(st.sampled_from("bB")), draw(st.sampled_from("bBhH"))
    lo, hi = LIMITS[dtype]
    usual = min(0, (8 if out in "bB" else 16) - 8 - n.bit_length())
    options = {
        "dtype": dtype,
        "out_dtype": out,
        "stride": (n, 1),
        "input_zero_point": draw(st.integers(lo, hi)),
        "output_zero_point": draw(st.integers(*LIMITS["b"])) if out in "bh" else 90,
        "multiplier": draw(st.integers(1 << 30, (1 << 31) - 1)),
        "shift": draw(st.integers(usual, usual + 2)),
        "accumulator": "int32",
        "rounding": draw(st.sampled_from(["double", "single"])),
        "bias": [draw(st.integers(-5000, 5000))],
    }
    if draw(st.booleans()):
        options["activation_min"], options["activation_max"] = draw(st.integers(0, 40)), draw(st.integers(60, 127))
    x = numbers(draw, lo, hi, (n * outer, width, 1)).astype(np.dtype(dtype))
    return Problem("sums of rows", "Conv2D", np.ones((1, n, 1, 1), np.int64), (n * outer, width), options, x)


def is_row_sum(problem: Problem, core: str) -> bool:
    found = select(problem.make("portable").spec, cores.named(core))
    return found[0] is module(cores.named(core), "row_sum")


def of(n: int, width: int, outer: int = 1, **options: Any) -> Problem:
    words = {"dtype": "b", "out_dtype": "b", "stride": (n, 1), "multiplier": 1 << 30, "shift": -n.bit_length()}
    x = np.random.default_rng(n).integers(-128, 128, (n * outer, width, 1)).astype(np.int8)
    return Problem("rows", "Conv2D", np.ones((1, n, 1, 1), np.int64), (n * outer, width), {**words, **options}, x)


@on_both
@example(of(125, 64))
@example(of(3000, 5, 2))
@given(sums())
def test_a_drawn_sum_equals_the_reference(core, problem):
    assert is_row_sum(problem, core)
    assert_array_equal(run(problem, core, "thumb"), problem.expected(), strict=True)


@on_both
def test_other_kernels_go_to_other_kernels(core):
    problem = of(4, 64, 8)
    assert is_row_sum(problem, core)
    assert not is_row_sum(replace(problem, kernel=2 * problem.kernel), core)
    assert not is_row_sum(replace(problem, options={**problem.options, "stride": (3, 1)}), core)
    assert not is_row_sum(replace(problem, options={**problem.options, "padding": ((0, 0), (1, 0))}), core)
    assert not is_row_sum(of(4, 64, 8, pitch=65), core)
    assert not is_row_sum(of(4, 64, 8, kernel_zero_point=-1), core)


@on_both
def test_sums_of_rows_take_neither_scratch_nor_many_instructions(core):
    problem = of(125, 64)
    layer = problem.make("portable").spec
    assert Plan(layer, cores.named(core)).scratch_bytes == 0
    answer, _ = ask(problem.message("thumb", repeat=1), problem.payload(), core)
    assert answer["instructions"] < (3 if core == "cortex-m4" else 5) * layer.macs
