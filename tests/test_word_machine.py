"""On 32-bit words, with aligned loads and nothing accessible but the buffers, viper gives the reference's bits."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
import word_machine
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import problems
from ucorr_host.problems.named import named
from ucorr_host.problems.weighted import Problem

VIPER = word_machine.load("viper_stages", "viper")


def run(problem: Problem, misalign: int = 0) -> np.ndarray:
    """The problem's output on the machine; 8-bit buffers start `misalign` bytes off a word."""
    spec = problem.make("portable").spec
    plan = VIPER.prepare(spec)
    x = bytearray(problem.payload())
    out = np.zeros(spec.output_length, np.dtype(spec.out_dtype))
    word_machine.memory = memory = word_machine.Memory()
    memory.place(x, misalign * problem.x.itemsize)
    memory.place(out, misalign * out.itemsize)
    plan.run(x, out, array("i", bytes((plan.scratch_bytes + 3) // 4 * 4)))
    return out


@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_a_named_problem_equals_the_reference_on_32_bits(problem):
    assert_array_equal(run(problem, 1), problem.expected().reshape(-1), strict=True)


def single(kernel: int, x: int, **options: object) -> Problem:
    """One product, to reach the ends of 32 bits."""
    options = {"dtype": "h", "out_dtype": "h", "accumulator": "int32", **options}
    return Problem("single", "Correlate1D", np.array([kernel]), 1, options, np.array([x], np.int16))


@example(single(-32768, -32768, bias=[(1 << 30) - 1], multiplier=0x7FFFFFFF, shift=0, output_zero_point=32767), 0)
@example(single(-32768, -32768, bias=[(1 << 30) - 1], shift=-1), 0)
@example(single(-32768, -32768, bias=[(1 << 30) - 1], shift=-31, output_zero_point=-32768), 0)
@given(problems(), st.integers(0, 3))
def test_a_drawn_problem_equals_the_reference_on_32_bits(problem, misalign):
    spec = problem.make("portable").spec
    if VIPER.refuses(spec) is None:
        assert_array_equal(run(problem, misalign), problem.expected().reshape(-1), strict=True)


def test_the_machine_notices_what_it_is_for():
    word = word_machine.Word(0x7FFFFFFF)
    assert word + 1 == -0x80000000
    with pytest.raises(ArithmeticError):
        word << 32
    word_machine.memory = word_machine.Memory()
    start = word_machine.memory.place(buffer := bytearray(6))
    word_machine.Pointer16(start)[2] = -2
    assert buffer == bytes([0, 0, 0, 0, 254, 255])
    assert word_machine.Pointer16(start)[2] == 65534
    with pytest.raises(MemoryError, match="not aligned"):
        word_machine.Pointer16(start + 1)[0]
    with pytest.raises(MemoryError, match="outside every buffer"):
        word_machine.Pointer16(start)[3]
    with pytest.raises(MemoryError, match="outside every buffer"):
        word_machine.Pointer(start)[-1]
