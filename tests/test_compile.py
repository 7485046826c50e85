"""Compiled networks: the same bits in one arena, plans in which nothing overlaps, files that hold what was put in."""

from __future__ import annotations

import itertools
import sys
import zlib

import graphs
import numpy as np
import pytest
import reference_steps
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import two_layers
from ucorr import format as layout
from ucorr_host import load_tflite
from ucorr_host.networks import arena, record
from ucorr_host.networks.compile import compile

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


USE = arena.Use
# a step that could be written over an input, were that no output
OUTPUT_READ = [USE((0,), 1, ()), USE((1,), 2, (1,)), USE((0,), 3, ()), USE((1,), 4, ())]


@example(([1, 100, 100, 1, 1], OUTPUT_READ, [0], [1, 4]))
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
        assert_array_equal(reference_steps.run(compile(network), case[1]), network.run(case[1]), strict=True)

    check()


def apart(network, node):
    """Whether there are items between the axes of a mean: a board has no layer for that."""
    shape = network.tensors[node.inputs[0]].shape
    axes = [axis for axis in node.options["axis"] if shape[axis] > 1]
    return bool(axes) and any(shape[n] > 1 for n in range(axes[0], axes[-1]) if n not in axes)


def refused(name, dtype):
    return name == "FULLY_CONNECTED" and dtype is np.int16


# Files


def reader(data):
    """What format.py reads a file by."""
    return lambda at, count: data[at : at + count]


@given(graphs.graphs(count=st.integers(1, 5)), st.sampled_from(["any", "cortex-m0plus", "cortex-m4"]))
def test_a_file_holds_every_step_where_the_format_says(case, core):
    network = load_tflite(case[0])
    if any(node.op == "mean" and apart(network, node) for node in network.nodes):
        return
    compiled = compile(network, core)
    data = compiled.to_bytes()
    read = reader(data)
    layout.check(read, len(data))
    assert layout.number(read, layout.ARENA) == compiled.arena_bytes
    assert layout.number(read, layout.SCRATCH) == compiled.scratch_bytes
    for at, number, buffer in (
        (layout.INPUT_AT, network.inputs[0], compiled.lowered.inputs[0]),
        (layout.OUTPUT_AT, network.outputs[0], compiled.lowered.outputs[0]),
    ):
        tensor = network.tensors[number]
        expected = (compiled.plan.offsets[buffer], "b", np.float32(tensor.scale), tensor.zero_point, tensor.shape)
        assert layout.tensor(read, layout.number(read, at)) == expected
    told = list(record.decode(read))
    assert len(told) == len(compiled.parts)
    for part, (row, writes, reads, words) in zip(compiled.parts, told, strict=True):
        assert row.kind == ("code" if part.code else part.step.kind)
        assert writes == compiled.plan.offsets[part.step.writes]
        for read, place in zip(part.step.reads, reads, strict=True):
            if isinstance(read, int):
                assert place == compiled.plan.offsets[read]
            else:
                assert data[~place : ~place + read.nbytes] == read.tobytes()
        assert all(value % layout.ALIGNMENT == 0 for name, value in words.items() if name.endswith("_at"))
        if part.code:
            begin, size = words["code_at"], words["code_bytes"]
            assert data[begin : begin + size] == part.code.code
            assert data[words["packed_at"] :][: words["packed_bytes"]] == part.code.table
        elif part.spec:
            held = np.frombuffer(data, np.int8, len(part.spec.weights), words["weights_at"])
            assert_array_equal(held, part.spec.weights)
            assert words["out_dtype"] == part.spec.out_dtype


def test_layers_of_one_shape_share_their_code():
    compiled = compile(load_tflite(two_layers()), "cortex-m4")
    assert [part.code is None for part in compiled.parts] == [False, False]
    assert len(compiled.codes) == 1
    assert compiled.to_bytes().count(compiled.codes[0]) == 1


def test_a_budget_takes_the_smaller_packing_and_says_what_is_too_little():
    network = load_tflite(two_layers())
    whole = sum(part.weight_bytes for part in compile(network, "cortex-m4").parts)
    packed = compile(network, "cortex-m4", whole - 1)
    assert sorted(part.code.packing for part in packed.parts) == ["compact", "fast"]
    least = sum(part.weight_bytes for part in compile(network, "cortex-m4", 0 + whole // 2 + 200).parts)
    assert least < whole
    with pytest.raises(ValueError, match=r"budget: 10 bytes, wanted at least the \d+ of the smallest packing"):
        compile(network, "cortex-m4", 10)


def test_an_unknown_core_is_one_sentence():
    with pytest.raises(ValueError, match="core: 'cortex-m5', wanted one of any cortex-m0plus"):
        compile(load_tflite(two_layers()), "cortex-m5")


def test_the_crc_without_binascii_is_that_of_zip(monkeypatch):
    data = np.random.default_rng(0).integers(0, 256, 1000, np.uint8).tobytes()
    expected = zlib.crc32(data[16:])
    assert layout.crc32(data[16:]) == layout.crc32(data[500:], layout.crc32(data[16:500])) == expected
    monkeypatch.setitem(sys.modules, "binascii", None)
    assert layout.crc32(data[16:]) == layout.crc32(data[500:], layout.crc32(data[16:500])) == expected


@pytest.mark.parametrize(
    ("at", "words"), [(0, "begin as a network's file"), (5, "version 2 "), (8, "that it tells"), (99, "CRC")]
)
def test_a_file_that_was_changed_is_refused(at, words):
    data = bytearray(compile(load_tflite(two_layers())).to_bytes())
    data[at] += 1
    with pytest.raises(ValueError, match=f"model: .*{words}"):
        layout.check(reader(bytes(data)), len(data))
