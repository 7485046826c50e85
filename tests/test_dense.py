"""A dense layer's double on a board: a multiplier of 31 bits where one rounds as it does, else thresholds of sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference_steps
from hypothesis import event, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from targets import everywhere_whole
from ucorr_host import simulate
from ucorr_host.networks.compile import compile
from ucorr_host.networks.graph import Node, Tensor
from ucorr_host.networks.network import Network
from ucorr_host.targets.simulator import core_of

SUMS = "[layer, thresholds]"


def network(kernel: Any, bias: Any, factor: list[float], rows: int = 1, **words: int) -> Network:
    """One dense layer."""
    outputs, inputs = kernel.shape
    ends = (
        Tensor("x", (rows, inputs), np.dtype(np.int8), 0.5, 0),
        Tensor("y", (rows, outputs), np.dtype(np.int8), 1.0, 0),
    )
    given = {"input_zero_point": 0, "output_zero_point": 0, "activation_min": -128, "activation_max": 127, **words}
    node = Node("dense", (0,), 1, {"kernel": kernel, "bias": bias, "factor": factor, **given})
    return Network(ends, (node,), (0,), (1,))


@st.composite
def cases(draw: Any) -> tuple[Network, Any]:
    """A dense layer, and an input whose sums lie next to where an output begins; of many inputs most."""
    outputs, rows = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    inputs = draw(st.integers(1, 12) if draw(st.integers(0, 3)) == 0 else st.integers(4000, 20000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = rng.choice(np.array([-128, -127, 126, 127]), (outputs, inputs)).astype(np.int8)
    zero_point, output_zero = draw(st.integers(-128, 127)), draw(st.integers(-128, 127))
    low, high = draw(st.sampled_from([(-128, 127), (-100, 127), (-128, 3), (0, 5)]))
    reach = np.abs(kernel.astype(int)).sum() / outputs * 128 + 1
    factors = rng.uniform(128, 512, 1 if draw(st.booleans()) else outputs) / reach
    factor = np.broadcast_to(factors, outputs)
    x = rng.integers(-128, 128, (rows, inputs)).astype(np.int8)
    sums = (x[0].astype(int) - zero_point) @ kernel.T.astype(int)
    begin = np.rint((rng.integers(low, high + 1, outputs) - output_zero - 0.5) / factor)
    bias = (begin + rng.integers(-1, 2, outputs) - sums).astype(np.int32)
    words = {"output_zero_point": output_zero, "activation_min": low, "activation_max": high}
    return network(kernel, bias, factor.tolist(), rows, input_zero_point=zero_point, **words), x


def kinds(made: Network) -> str:
    return f"[{', '.join(part.step.kind for part in compile(made).parts)}]"


def test_a_dense_layer_of_any_factor_gives_the_bits_of_its_double():
    found = {"[layer]": 0, SUMS: 0}

    @settings(max_examples=200)
    @given(cases())
    def check(case):
        made, x = case
        compiled = compile(made)
        assert_array_equal(reference_steps.run(compiled, x), made.run(x), strict=True)
        found[kinds(made)] += 1

    check()
    assert min(found.values()) >= 8, found  # thresholds are 22 to 43 of 200


@everywhere_whole
@settings(max_examples=30)
@given(case=cases())
def test_a_dense_layer_of_any_factor_runs_everywhere(target, backend, case):
    made, x = case
    result = simulate(compile(made, core_of(target)), x, target, backend=backend)
    event(kinds(made))
    assert_array_equal(result.output, made.run(x), strict=True)


def test_one_factor_for_all_channels_has_one_set_of_thresholds():
    kernel, bias = np.full((3, 40000), 127, np.int8), np.array([-1000, 0, 1000], np.int32)
    for factor, sets in (([2.0**-21.9] * 3, 1), ([2.0**-21.9, 2.0**-21.8, 2.0**-21.7], 3)):
        step = compile(network(kernel, bias, factor)).parts[-1].step
        assert (step.kind, step.options["sets"], len(step.options["table"])) == ("thresholds", sets, 255 * sets)


def test_sums_that_leave_32_bits_are_refused_by_name():
    bias = np.array([(1 << 31) - 1 - 127 * 127], np.int32)
    made = network(np.array([[127]], np.int8), bias, [2.0**-21.9])
    with pytest.raises(
        ValueError, match=r"dense that makes 'y': bias and weights: an accumulator can reach 2147483647"
    ):
        compile(made)
    made = network(np.array([[127]], np.int8), bias - 1, [math.ldexp(1, -24)])
    assert_array_equal(made.run(np.array([[127]], np.int8)), [[127]])
    compile(made)


@pytest.mark.parametrize("ends", [(5, 5), (-128, 127)])
def test_a_large_factor_and_sums_that_it_brings_past_32_bits_have_a_board(ends):
    low, high = ends
    bias = np.array([-(1 << 30), -1, 0, 1, 1 << 30], np.int32)
    made = network(np.zeros((5, 1), np.int8), bias, [1000.0] * 5, activation_min=low, activation_max=high)
    assert_array_equal(made.run(np.zeros((1, 1), np.int8)), [[low, low, 5 if low == high else 0, high, high]])
    x = np.ones((1, 1), np.int8)
    assert_array_equal(reference_steps.run(compile(made), x), made.run(x), strict=True)
