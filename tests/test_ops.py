"""Layers without weights equal the reference on every backend, refuse what they can't do and allocate nothing."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
import ucorr
import word_machine
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import op_problems
from targets import everywhere, run
from ucorr_host.networks.operators import ROWS
from ucorr_host.problems.operators import OPS, OpProblem, named_ops


@everywhere
@pytest.mark.parametrize("layer", OPS)
@given(data=st.data())
def test_a_drawn_problem_equals_the_reference(target, backend, layer, data):
    problem = data.draw(op_problems((layer,)))
    assert_array_equal(
        run(problem, target, backend, offset=data.draw(st.integers(0, 3))), problem.expected(), strict=True
    )


WIDE = {("portable", "softmax"), ("portable", "lags normalized")}  # products of more than 62 bits


@everywhere
@pytest.mark.parametrize("problem", named_ops(), ids=lambda problem: problem.name)
def test_a_named_problem_allocates_nothing(target, backend, problem):
    locked = (backend, problem.name) not in WIDE
    assert_array_equal(run(problem, target, backend, repeat=2, locked=locked), problem.expected(), strict=True)


@everywhere
def test_every_half_of_a_ramp_is_rounded_as_it_should(target, backend):
    ramp, one = np.arange(-128, 128).astype(np.int8), np.array([1], np.int8)
    for multiplier, shift in ((1 << 30, 0), (0x7FFFFFFF, -2), (1 << 30, -2)):
        options = {"a_shape": (256,), "b_shape": (1,), "multiplier": multiplier, "shift": shift}
        problem = OpProblem("ramp", "Mul", options, (ramp, one))
        assert_array_equal(run(problem, target, backend), problem.expected(), strict=True)


# On 32-bit words

FILES = sorted({row.made.runs.split(".")[0] for row in ROWS})
VIPER = {file: word_machine.load("viper_ops", f"viper_{file}") for file in FILES}


@pytest.mark.parametrize("layer", OPS)
@given(data=st.data(), misalign=st.integers(0, 3))
def test_a_drawn_problem_equals_the_reference_on_32_bits(layer, data, misalign):
    problem = data.draw(op_problems((layer,)))
    op = problem.made
    file, plan_class = op.runs.split(".")
    plan = getattr(VIPER[file], plan_class)(op)
    expected = problem.expected()
    out = np.zeros(expected.size, expected.dtype)
    inputs = [bytearray(x.tobytes()) for x in problem.inputs]
    word_machine.memory = memory = word_machine.Memory()
    for x in inputs:
        memory.place(x, misalign * problem.inputs[0].itemsize)
    memory.place(out, misalign * out.itemsize)
    plan.run(tuple(inputs), out)
    assert_array_equal(out.reshape(expected.shape), expected, strict=True)


# Most drawn problems show something


@pytest.mark.parametrize("layer", OPS)
def test_most_drawn_outputs_differ_from_each_other(layer):
    varied = tried = coded = 0

    @given(op_problems((layer,)))
    def check(problem):
        nonlocal varied, tried, coded
        tried += 1
        varied += len(np.unique(problem.expected())) > 1
        coded += problem.taken_by("thumb", "cortex-m0plus") and problem.taken_by("thumb", "cortex-m4")

    check()
    assert varied > tried / 2
    assert (coded > tried / 10) == (layer in ("Add", "Sub", "CrossCorrelate"))  # as machine code


# Calls


@pytest.mark.parametrize("place", [0, 1])
def test_a_sum_may_be_written_over_an_input_of_its_size(place):
    problem = next(one for one in named_ops() if one.name == "add")
    buffers = [array("b", x.tobytes()) for x in problem.inputs]
    add = problem.make("portable")
    add(*buffers, buffers[place])
    assert_array_equal(np.array(buffers[place], np.int8).reshape(add.out_shape), problem.expected(), strict=True)


def test_buffers_are_checked_before_they_are_read():
    pool = ucorr.MaxPool2D(2, (4, 4, 1))
    x, out = array("b", bytes(16)), array("b", bytes(9))
    with pytest.raises(ValueError, match="x: 15 bytes, wanted 16"):
        pool(x[:15], out)
    with pytest.raises(ValueError, match="out: 8 bytes, wanted 9"):
        pool(x, out[:8])
    with pytest.raises(TypeError, match=r"out: .* that can't be written"):
        pool(x, bytes(9))
    whole = bytearray(16)
    with pytest.raises(ValueError, match="out: shares memory with x"):
        pool(whole, memoryview(whole)[:9])
    assert pool(x, out) is out
    add = ucorr.Add((4,), a_multiplier=1, a_shift=0, b_multiplier=1, b_shift=0, multiplier=1, shift=0)
    with pytest.raises(ValueError, match="b: 5 bytes, wanted 4"):
        add(bytearray(4), bytearray(5), bytearray(4))
    whole = bytearray(5)
    with pytest.raises(ValueError, match="out: shares memory with b"):
        add(bytearray(4), memoryview(whole)[:4], memoryview(whole)[1:])
    concatenate = ucorr.Concatenate((1, 2))
    with pytest.raises(TypeError, match="parts: list, wanted a tuple of 2 buffers"):
        concatenate([bytearray(1), bytearray(2)], bytearray(3))
    with pytest.raises(ValueError, match=r"parts\[1\]: 3 bytes, wanted 2"):
        concatenate((bytearray(1), bytearray(3)), bytearray(3))


SUM = {"a_multiplier": 1, "a_shift": 0, "b_multiplier": 1, "b_shift": 0, "multiplier": 1, "shift": 0}
REFUSED = [
    (lambda: ucorr.MaxPool2D(5, (4, 4, 1)), "size: 5, wanted at most the padded 4"),
    (lambda: ucorr.MaxPool2D(2, (4, 4)), r"shape: \(4, 4\), wanted 3 to 3 dimensions"),
    (
        lambda: ucorr.MaxPool2D(2, (4, 4, 1), padding=((2, 0), (0, 0))),
        r"padding: \(2, 0\), wanted less than the size 2",
    ),
    (lambda: ucorr.MaxPool2D(2, (4, 4, 1), dtype="i"), "dtype: 'i', wanted one of b B h H"),
    (lambda: ucorr.AveragePool2D(128, (128, 128, 1)), r"size: \(128, 128\), wanted at most 16383 items"),
    (lambda: ucorr.MaxPool2D(2, (4, 4, 1), activation_min=5, activation_max=4), "activation_min: 5, wanted at most"),
    (lambda: ucorr.Add((4, 3), (2, 3), **SUM), r"b_shape: \(2, 3\), wanted one that repeats to \(4, 3\)"),
    (lambda: ucorr.Add((4,), **{**SUM, "a_shift": 1}), "a_shift: 1, wanted -31..0"),
    (lambda: ucorr.Add((4,), **{**SUM, "dtype": "h", "b_zero_point": 1}), "a_zero_point: with dtype 'h', wanted 0"),
    (
        lambda: ucorr.Mul((4,), multiplier=1 << 30, shift=17),
        "shift: 17, wanted one that keeps products up to 16384 under",
    ),
    (lambda: ucorr.Lookup([0] * 255, 4), "table: 255 items, wanted 256"),
    (lambda: ucorr.Lookup([128] * 256, 4), r"table: 128, wanted -128..127"),
    (lambda: ucorr.Thresholds([1, 2, 3], 3, sets=2), "sets: 2, wanted 1 or 3, one for each channel"),
    (lambda: ucorr.Thresholds([1, 2, 3, 0], 2, sets=2), "table: 0 behind 3, wanted ascending items"),
    (lambda: ucorr.Thresholds([1, 2, 3], 2, sets=2), "table: 12 bytes in items of 4, wanted 1..255 items of 4 bytes"),
    (lambda: ucorr.Thresholds([1, 2, 3], 2, least=125), "least: 125, wanted -128..124"),
    (lambda: ucorr.Softmax(array("i", [0] * 255), 4), "table: 1020 bytes in items of 4, wanted 256 items of 4 bytes"),
    (lambda: ucorr.Softmax(array("i", [0x7FFFFFFF] * 256), 4096), r"classes: 4096, wanted 1..4095"),
    (lambda: ucorr.Pad((4, 3), [(1, 1)]), "padding: 1 pairs, wanted 2"),
    (lambda: ucorr.Concatenate(()), "lengths: .* wanted 1 to 1024 dimensions"),
    (
        lambda: ucorr.Expand((2, 2, 1), padding=((-1, -1), (0, 0))),
        r"padding: \(-1, -1\), wanted one that leaves an item",
    ),
    (lambda: ucorr.Pad((4, 3), [(1, 1), (0, 0)], backend="thumb"), "backend: 'thumb' can't run here .*not a Cortex-M"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said.partition(":")[0] for _, said in REFUSED])
def test_what_no_layer_is_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_word_that_is_missing_or_unknown_is_named():
    with pytest.raises(TypeError, match=r"b_shift: not given, wanted an integer -31\.\.0"):
        ucorr.Add((4,), a_multiplier=1, a_shift=0, b_multiplier=1, multiplier=1, shift=0)
    with pytest.raises(TypeError, match="bias: no option of this layer"):
        ucorr.Add((4,), bias=3, **SUM)
    with pytest.raises(AttributeError, match="'Adder'"):
        ucorr.Adder  # noqa: B018
