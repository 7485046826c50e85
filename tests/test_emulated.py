"""Generated code on emulated cores: the reference's bits, no stray access, whatever the layer's shape and packing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import problems
from ucorr.codegen import conv
from ucorr.codegen.plan import select
from ucorr.codegen.thumb_asm import ARMV7EM
from ucorr_host.named import layers, named
from ucorr_host.problems import LAYERS
from ucorr_host.simulator import ask

DSP_CORES = ("cortex-m4", "cortex-m7", "cortex-m33")


def assert_equal(problem, core, budget=None, offset=0):
    """The problem's output on a core is the reference's; the backend is the one that select() names, told back."""
    spec = problem.make("portable").spec
    found = select(spec, ARMV7EM, budget)
    if budget is not None:
        problem = dataclasses.replace(problem, options={**problem.options, "budget": budget})
    answer, data = ask(problem.message(None, offset=offset), problem.payload(), core)
    plain = dataclasses.replace(problem, options={k: v for k, v in problem.options.items() if k != "budget"})
    expected = plain.expected()
    got = np.frombuffer(data, expected.dtype).reshape(expected.shape)
    assert_array_equal(got, expected, strict=True)
    assert answer["guards_intact"]
    assert answer["backend"] == ("portable" if isinstance(found, str) else "thumb")
    if not isinstance(found, str):
        assert answer["packing"] == ("compact" if found[1] else "fast")
        assert budget is None or answer["weight_bytes"] <= budget
    return found


@pytest.mark.parametrize("layer", LAYERS)
@given(data=st.data())
def test_output_equals_the_reference(layer, data):
    problem = data.draw(problems(layers=(layer,), dtypes="bB" if layer != "Correlate1D" else "bBh"))
    core = data.draw(st.sampled_from(DSP_CORES))
    assert_equal(problem, core, offset=data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("layer", ["Conv2D", "DepthwiseConv2D", "Dense"])
@given(data=st.data())
def test_compact_packing_equals_the_reference(layer, data):
    problem = data.draw(problems(layers=(layer,), dtypes="bB"))
    spec = problem.make("portable").spec
    assert_equal(problem, "cortex-m4", budget=conv.table_bytes(spec, True))


@pytest.mark.parametrize("core", DSP_CORES)
@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_named_problem_equals_the_reference(problem, core):
    assert_equal(problem, core)


@pytest.mark.parametrize("budget", [None, "compact"])
@pytest.mark.parametrize("letter", list("abcdefghi"))
def test_benchmark_layer_equals_the_reference(letter, budget):
    problem = layers()[letter]
    if budget == "compact":
        budget = conv.table_bytes(problem.make("portable").spec, True)
    assert not isinstance(assert_equal(problem, "cortex-m4", budget), str)
