"""Compiled networks: the same bits in one arena, plans in which nothing overlaps, files that hold what was put in."""

from __future__ import annotations

import itertools

import graphs
import numpy as np
import pytest
import steps
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from ucorr_host import arena, load_tflite
from ucorr_host.compile import compile

# Plans


@st.composite
def programs(draw):
    """(sizes, uses, inputs, outputs) of a drawn graph; every step reads one or two earlier buffers."""
    count = draw(st.integers(1, 9))
    uses = []
    for n in range(count):
        reads = tuple(draw(st.lists(st.integers(0, n), min_size=1, max_size=2, unique=True)))
        uses.append(arena.Use(reads, n + 1, reads if draw(st.booleans()) else ()))
    sizes = [draw(st.sampled_from([1, 16, 100, 160, 800])) for _ in range(count + 1)]
    outputs = sorted({count, *draw(st.lists(st.integers(1, count), max_size=1))})
    return sizes, uses, [0], outputs


@given(programs())
def test_what_lives_at_the_same_time_lies_apart(program):
    sizes, uses, inputs, outputs = program
    plan = arena.plan(*program)
    assert sorted(plan.order) == list(range(len(uses)))
    done = set(inputs)
    for n in plan.order:
        assert set(uses[n].reads) <= done
        done.add(uses[n].writes)
    assert all(offset % arena.ALIGNMENT == 0 for offset in plan.offsets)
    assert all(plan.offsets[n] + sizes[n] <= plan.size for n in range(len(sizes)))
    # Filled with its own number when it is written, each buffer still holds it whenever it is read.
    memory = bytearray(plan.size)
    for buffer in inputs:
        memory[plan.offsets[buffer] : plan.offsets[buffer] + sizes[buffer]] = bytes([buffer + 1]) * sizes[buffer]

    def held(buffer):
        return set(memory[plan.offsets[buffer] : plan.offsets[buffer] + sizes[buffer]]) == {buffer + 1}

    for n in plan.order:
        assert all(held(buffer) for buffer in uses[n].reads)
        at, size = plan.offsets[uses[n].writes], sizes[uses[n].writes]
        free = set(uses[n].over)
        for buffer in uses[n].reads:  # only an input that allows it is written over
            begin, end = plan.offsets[buffer], plan.offsets[buffer] + sizes[buffer]
            assert buffer in free or end <= at or at + size <= begin
        memory[at : at + size] = bytes([uses[n].writes + 1]) * size
    assert all(held(buffer) for buffer in outputs)


@given(programs())
def test_no_order_has_a_smaller_peak(program):
    sizes, uses, inputs, outputs = program
    if len(uses) > 6:
        return
    plan = arena.plan(*program)
    made = {use.writes: n for n, use in enumerate(uses)}
    peaks = []
    for order in itertools.permutations(range(len(uses))):
        if all(order.index(made[b]) < order.index(n) for n in order for b in uses[n].reads if b in made):
            peaks.append(peak_of([uses[n] for n in order], sizes, inputs, outputs))
    assert plan.peak == min(peaks)


def peak_of(uses, sizes, inputs, outputs):
    """The most bytes alive in an order, an output being free where it lies on an input that ends."""
    room = [arena.aligned(size) for size in sizes]
    alive, worst = set(inputs), sum(room[buffer] for buffer in inputs)
    for n, use in enumerate(uses):
        later = {buffer for other in uses[n + 1 :] for buffer in other.reads} | set(outputs)
        over = any(b not in later and room[b] == room[use.writes] for b in use.over)
        worst = max(worst, sum(room[b] for b in alive) + (0 if over else room[use.writes]))
        alive = {buffer for buffer in alive | {use.writes} if buffer in later}
    return worst


# Steps


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_compiled_graph_gives_the_bits_of_the_network(dtype):
    names = tuple(name for name in (graphs.ALL if dtype is np.int8 else graphs.WIDE) if not refused(name, dtype))

    @given(graphs.graphs(names, st.integers(1, 6), dtype))
    def check(case):
        network = load_tflite(case[0])
        if any(node.op == "mean" and apart(network, node) for node in network.nodes):
            with pytest.raises(ValueError, match="wanted neighbours"):
                compile(network)
            return
        assert_array_equal(steps.run(compile(network), case[1]), network.run(case[1]), strict=True)

    check()


def apart(network, node):
    """Whether there are items between the axes of a mean: a board has no layer for that."""
    shape = network.tensors[node.inputs[0]].shape
    axes = [axis for axis in node.words["axis"] if shape[axis] > 1]
    return bool(axes) and any(shape[n] > 1 for n in range(axes[0], axes[-1]) if n not in axes)


def refused(name, dtype):
    return name == "FULLY_CONNECTED"
