"""A loaded network gives LiteRT's bits: every operator alone, graphs of several, tables entry by entry."""

from __future__ import annotations

from typing import Any

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import litert
from ucorr_host import load_tflite

CASES = [(np.int8, name) for name in graphs.ALL] + [(np.int16, name) for name in graphs.WIDE]


def assert_equal(model: bytes, x: Any) -> Any:
    """The network's output is LiteRT's; it is returned."""
    network = load_tflite(model)
    (expected,) = litert(model, x)
    actual = network.run(x)
    assert_array_equal(actual, expected, strict=True)
    assert_array_equal(network.run(np.stack([x, x])), np.stack([expected, expected]), strict=True)
    return actual


@pytest.mark.parametrize(("dtype", "name"), CASES, ids=[f"{np.dtype(t)}-{name}" for t, name in CASES])
def test_an_operator_gives_the_bits_of_litert(dtype, name):
    spread = []

    @settings(max_examples=settings.default.max_examples)
    @given(graphs.graphs((name,), 1, dtype))
    def check(case):
        out = assert_equal(*case)
        spread.append(len(np.unique(out)) > min(3, out.size / 2))

    check()
    assert np.mean(spread) > 0.25  # outputs are neither saturated nor all the same, by chance in 0.39 to 0.67 of cases


@given(graphs.graphs(count=st.integers(1, 6)))
def test_a_drawn_graph_gives_the_bits_of_litert(case):
    assert_equal(*case)


@given(graphs.graphs(graphs.WIDE, st.integers(1, 6), np.int16))
def test_a_drawn_graph_of_16_bits_gives_the_bits_of_litert(case):
    assert_equal(*case)
