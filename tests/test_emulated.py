"""Generated code on emulated cores: the reference's bits, no stray access, whatever the layer's shape and packing."""

from __future__ import annotations

import dataclasses
from unittest.mock import patch

import numpy as np
import pytest
import ucorr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import is_large, problems
from ucorr.codegen import module
from ucorr.codegen.asm.assembler import NE, R0, R1, R2, R4, R9, SP
from ucorr.codegen.asm.thumb2 import Thumb2
from ucorr.codegen.loops import rows
from ucorr.codegen.plan import Plan, select
from ucorr_host import TargetError, cores
from ucorr_host.cores import EMULATED
from ucorr_host.problems.named import layers, named
from ucorr_host.problems.weighted import LAYERS, Problem
from ucorr_host.targets import cycles, emulator
from ucorr_host.targets.simulator import ask
from ucorr_tools.bench.layers import bench

CORES = tuple(EMULATED)
WRITTEN = ("cortex-m0plus", "cortex-m4")  # for: one of each instruction set


def smallest(spec, core):
    """The bytes of a layer's smaller packing, and None as well where the core leaves the layer to others."""
    found = select(spec, cores.named(core))
    if isinstance(found, str):
        return None
    return found[0].table_bytes(spec, found[0].packings(spec)[-1])


def assert_equal(problem, core, budget=None, offset=0):
    """The problem's output on a core is the reference's; the backend is the one that select() names, told back."""
    spec = problem.make("portable").spec
    found = select(spec, cores.named(core), budget)
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


def drawn(layer, **words):
    """Problems of a layer, three of four large."""
    return st.sampled_from([True, True, True, False]).flatmap(lambda large: problems((layer,), large=large, **words))


@pytest.mark.parametrize("layer", LAYERS)
def test_output_equals_the_reference_also_of_what_is_large(layer):
    large = []

    @given(data=st.data())
    def check(data):
        problem = data.draw(drawn(layer))
        core = data.draw(st.sampled_from(CORES))
        found = assert_equal(problem, core, offset=problem.x.itemsize * data.draw(st.integers(0, 3)))
        large.append(is_large(problem) and not isinstance(found, str))

    check()
    assert np.mean(large) >= 0.3


@pytest.mark.parametrize("layer", ["Conv2D", "DepthwiseConv2D", "Dense"])
@given(data=st.data())
def test_compact_packing_equals_the_reference(layer, data):
    problem = data.draw(drawn(layer, dtypes="bB"))
    spec = problem.make("portable").spec
    core = data.draw(st.sampled_from(["cortex-m0plus", "cortex-m4"]))
    assert_equal(problem, core, budget=smallest(spec, core))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_named_problem_equals_the_reference(problem, core):
    assert_equal(problem, core)


# Instructions per MAC, all loops and data preparation counted; weights as they are used, and 8-bit ones.
# k and n are g and h as filters of grey images, scaled by a shift.
WITHIN = {
    "armv7em": {
        "fast": {"a": 1.35, "b": 0.88, "c": 0.84, "d": 0.98, "e": 2.45, "f": 1.35, "g": 2.1, "h": 1.5}
        | {"k": 1.9, "n": 1.2},
        "compact": {"a": 1.7, "b": 1.12, "c": 1.05, "d": 1.2, "f": 1.7, "i": 1.25},
    },
    "armv6m": {
        "fast": {"a": 2.9, "b": 2.3, "c": 2.1, "d": 2.4, "e": 5.8, "f": 2.7, "g": 4.7, "h": 3.1} | {"k": 4.3, "n": 2.7},
        "compact": {"a": 4.5, "b": 3.7, "c": 3.6, "d": 3.9, "f": 4.3, "i": 3.5},
    },
}


@pytest.mark.parametrize("core", CORES)
def test_generated_code_stays_within_its_instructions(core):
    rows = bench(core, "abcdefghikn")["rows"]
    counted = {(row["packing"], row["layer"]): row["instructions_per_mac"] for row in rows if row["verified"]}
    within = WITHIN[cores.named(core).isa]
    limits = {(packing, letter): limit for packing, of in within.items() for letter, limit in of.items()}
    assert counted.keys() == limits.keys()
    assert {key: value for key, value in counted.items() if value > limits[key]} == {}
    assert all(row["code_bytes"] <= 4096 for row in rows)


@pytest.mark.parametrize("core", CORES)
def test_a_layer_that_rounds_once_has_code_that_is_no_longer_than_if_it_rounded_twice(core):
    for problem in [layers()["i"]] + [problem for problem in named() if "single" in problem.name]:
        counted = []
        for rounding in ("double", "single"):
            words = {**problem.options, "rounding": rounding}
            message = dataclasses.replace(problem, options=words).message("thumb", repeat=1)
            counted.append(ask(message, problem.payload(), core)[0]["instructions"])
        assert counted[1] < counted[0]
        if problem.layer == "Dense" and cores.named(core).dsp:
            assert counted[0] - counted[1] == len(problem.kernel)  # an instruction per output


def test_a_budget_chooses_the_packing_and_one_too_small_leaves_the_layer_to_others():
    problem = layers()["b"]
    kernel, shape = problem.kernel.tolist(), problem.shape
    with patch.dict(ucorr.backends.registered, emulator.backend("cortex-m4")):
        fast = ucorr.Conv2D(kernel, shape, **problem.options)
        compact = ucorr.Conv2D(kernel, shape, budget=fast.weight_bytes - 1, **problem.options)
        assert (fast.plan.packing, compact.plan.packing) == ("fast", "compact")
        least = compact.weight_bytes
        assert ucorr.Conv2D(kernel, shape, budget=least - 1, **problem.options).backend == "portable"
        reasons = r"not one channel of bytes for each output; .*a budget of 99 bytes"
        with pytest.raises(ValueError, match=rf"'thumb' can't run here \({reasons}, .* takes {least}\)"):
            ucorr.Conv2D(kernel, shape, backend="thumb", budget=99, **problem.options)
        with pytest.raises(ValueError, match=r"budget: -1, wanted 0\.\."):
            ucorr.Conv2D(kernel, shape, budget=-1, **problem.options)


@pytest.mark.parametrize("core", WRITTEN)
def test_every_kernel_is_the_one_of_a_named_layer(core):
    folder = module(cores.named(core))
    found = [select(problem.make("portable").spec, cores.named(core)) for problem in [*named(), *layers().values()]]
    selected = {kernel[0].__name__.rpartition(".")[2] for kernel in found if not isinstance(kernel, str)}
    assert selected == {*folder.KERNELS, *folder.INT64}


def test_code_for_an_unknown_core_or_a_layer_that_has_none_is_refused_in_a_sentence():
    conv, pair = (next(p for p in named() if p.name == name).make("portable").spec for name in ("conv", "signal pair"))
    with pytest.raises(ValueError, match=r"^core: 'cortex-m9', wanted one of cortex-m0plus "):
        select(conv, cores.named("cortex-m9"))
    reasons = "not one channel of bytes for each output; .*an accumulator of 64 bits"
    with pytest.raises(ValueError, match=rf"^spec: no machine code for a cortex-m0plus \({reasons}\), wanted"):
        Plan(pair, cores.named("cortex-m0plus"))
    with pytest.raises(ValueError, match="cortex-m9"):
        ask(named()[0].message(None), named()[0].payload(), "cortex-m9")


def called(emit, core="cortex-m4", size=16):
    """Run what emit(asm) writes for a Cortex-M4 on a core, between buffers of `size` bytes."""
    asm = Thumb2(cores.named("cortex-m4"))
    emit(asm)
    asm.bx_lr()
    return emulator.call(core, asm.finish(), *(bytearray(size) for _ in range(4)))


@pytest.mark.parametrize(
    ("emit", "sentence"),
    [
        (lambda asm: asm.ldr(R0, R0, 16), "READ_UNMAPPED"),
        (lambda asm: asm.strb(R0, R1, 16), "WRITE_UNMAPPED"),
        (lambda asm: asm.strb(R0, R0, 0), "WRITE_PROT"),
        (lambda asm: (asm.addi(R0, R0, 2), asm.ldm(R0, (R1, R2))), "no multiple of 4, at byte 4 of"),
        (lambda asm: (asm.addi(R9, R0, 2), asm.ldrd_then(R1, R2, R9, 8)), "no multiple of 4, at byte 4 of"),
        (lambda asm: asm.mov(R4, R0), "r4 did not come back"),
        (lambda asm: asm.addi(SP, SP, -8), "stack pointer did not come back"),
    ],
)
def test_a_stray_access_or_a_register_that_is_not_restored_is_an_error(emit, sentence):
    with pytest.raises(emulator.EmulatorError, match=f"^cortex-m4: .*{sentence}"):
        called(emit)


@pytest.mark.parametrize("core", CORES)
def test_a_stray_access_of_a_layer_is_told_with_its_name(core, monkeypatch):
    begin = rows.emit_begin

    def astray(asm, spec, sizes, blank):
        begin(asm, spec, sizes, blank)
        asm.plus(R1, R2, sizes.scratch_bytes)
        asm.str(R0, R1)  # behind the scratch

    monkeypatch.setattr(rows, "emit_begin", astray)
    problem = next(problem for problem in named() if problem.name == "conv")
    with pytest.raises(TargetError, match=rf"^Conv2D conv on {core}: EmulatorError: {core}: .*WRITE_UNMAPPED"):
        ask(problem.message("thumb"), problem.payload(), core)


def test_an_instruction_that_the_core_lacks_is_an_error():
    with pytest.raises(emulator.EmulatorError, match=r"^cortex-m0plus: .*INSN_INVALID"):
        called(lambda asm: asm.smlad(R0, R0, R0, R0), core="cortex-m0plus")


def test_instructions_and_stack_are_counted():
    def emit(asm):
        asm.addi(SP, SP, -40)
        asm.str(R0, SP)
        asm.constant(R0, 5)
        loop = asm.here()
        asm.subs(R0, 1)
        asm.b(loop, NE)
        asm.addi(SP, SP, 40)

    run = called(emit)
    assert (run.instructions, run.stack) == (3 + 2 * 5 + 2, 40)
    # the store takes 2; four branches back and the return refill the pipeline
    assert run.cycles == run.instructions + 1 + 2 * 4


def test_cycles_are_those_of_the_manuals_tables():
    block = [("ldr", "r0, [r1]"), ("ldr.w", "r2, [r1, #4]"), ("ldrd", "r0, r1, [r2]"), ("smlad", "r0, r1, r2, r3")]
    block += [("ldm", "r0!, {r1, r2, r3}"), ("push.w", "{r4-r11, lr}"), ("strb", "r0, [r1]"), ("bne", "#0")]
    assert cycles.estimate(EMULATED["cortex-m4"].costs, block) == 2 + 1 + 3 + 1 + 4 + 10 + 2 + 1
    assert cycles.estimate(EMULATED["cortex-m0plus"].costs, block[:2]) == 4
    assert called(lambda asm: asm.nop(), core="cortex-m7").cycles is None


def assert_same_code(spec, core, budget=None):
    """MicroPython writes the bytes that CPython writes, and asks for as much scratch."""
    if isinstance(select(spec, cores.named(core), budget), str):
        return
    plan = Plan(spec, cores.named(core), budget)
    source = f"""
from ucorr.codegen.cores import CORES
from ucorr.codegen.plan import Plan
core = [core for core in CORES if core.name == {core!r}][0]
plan = Plan(ucorr.Spec(**{spec.fields()!r}), core, {budget})
answer = [bytes(plan.code).hex(), bytes(plan.table).hex(), plan.scratch_bytes]
"""
    outcome = ask({"attempt": source, "name": "code"}, b"", "micropython")[0]["outcome"]
    assert outcome == ["ok", [plan.code.hex(), plan.table.hex(), plan.scratch_bytes]]


@pytest.mark.parametrize("core", WRITTEN)
@pytest.mark.parametrize("problem", named(), ids=lambda problem: problem.name)
def test_micropython_writes_the_same_code_for_named_problems(problem, core):
    assert_same_code(problem.make("portable").spec, core)


@given(data=st.data())
def test_micropython_writes_the_same_code_for_drawn_problems(data):
    spec = data.draw(problems()).make("portable").spec
    core = data.draw(st.sampled_from(WRITTEN))
    assert_same_code(spec, core, data.draw(st.sampled_from([None, smallest(spec, core)])))


@pytest.mark.parametrize("border", ["edge", "reflect"])
@pytest.mark.parametrize("kernel", [(1, 2), (2, 2)])
def test_a_border_that_no_window_leaves_is_still_the_right_one(border, kernel):
    """The image is narrower than what lies left of it: windows see the border alone."""
    rng = np.random.default_rng(4)
    options = {"dtype": "b", "border": border, "padding": ((0, 0), (4, 0)), "stride": (1, 9)}
    x = rng.integers(-128, 128, (2, 5), np.int8)
    problem = Problem("outside", "Correlate2D", rng.integers(-9, 9, kernel), (2, 5), options, x)
    for core in ("cortex-m0plus", "cortex-m4"):
        assert_equal(problem, core)


@pytest.mark.parametrize("layer", ["Conv2D", "DepthwiseConv2D"])
@pytest.mark.parametrize("weight", [16, 31, 32, 33, 63, 64, 65, 85, 86, 127, -128, -127, -64, -32])
def test_sums_at_the_edge_of_16_bits_are_exact(layer, weight):
    """On ARMv6-M a run of equal taps and extreme inputs reaches the ends of what a run may reach."""
    conv = layer == "Conv2D"
    kernel = np.full((4, 2, 4, 1) if conv else (1, 2, 4, 2), weight)
    for value in (-128, 127):
        x = np.full((4, 6, 1) if conv else (4, 6, 2), value, np.int8)
        x[::2, ::3] = -1  # a negative lower product takes one from the upper one
        assert_equal(Problem("edge", layer, kernel, (4, 6) if conv else (4, 6, 2), {"dtype": "b"}, x), "cortex-m0plus")


@pytest.mark.parametrize("channels", [1, 2, 5, 40])
@pytest.mark.parametrize("layer", ["Conv2D", "DepthwiseConv2D"])
def test_windows_that_see_no_column_of_the_image_stay_within_their_scratch(layer, channels):
    rng = np.random.default_rng(channels)
    conv = layer == "Conv2D"
    kernel = rng.integers(-128, 128, (4, 2, 2, channels) if conv else (1, 2, 2, channels))
    options = {"dtype": "b", "padding": ((0, 0), (3, 0)), "stride": (1, 9), "input_zero_point": 7}
    x = rng.integers(-128, 128, (4, 1, channels), np.int8)
    problem = Problem("outside", layer, kernel, (4, 1) if conv else (4, 1, channels), options, x)
    for core in ("cortex-m0plus", "cortex-m4"):
        assert_equal(problem, core)
