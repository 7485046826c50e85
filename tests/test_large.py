"""Large and odd layers: every shape that machine code takes it can write, and its scratch is as large as it says.

The fences are exact: emulator.py lets every buffer end, and then begin, where memory that nothing may touch does.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import two_layers
from strategies import problems
from targets import run
from ucorr.codegen import module
from ucorr.codegen.asm.assembler import R0, R2
from ucorr.codegen.asm.thumb2 import Thumb2
from ucorr.codegen.plan import Plan, select
from ucorr.spec import Spec
from ucorr_host import TargetError, cores, load_tflite
from ucorr_host.networks.compile import compile
from ucorr_host.problems.named import named
from ucorr_host.problems.weighted import LAYERS, Problem
from ucorr_host.targets import emulator
from ucorr_host.targets.simulator import ask

on_both = pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])


def of(layer: str, kernel: Any, shape: Any, x_shape: Any, **options: Any) -> Problem:
    """A problem with random int8 weights and input; the scale is a shift unless accumulators are asked for."""
    rng = np.random.default_rng(len(str(kernel)))
    scale = {"out_dtype": "b", "shift": -int(np.log2(np.prod(kernel)))} | options
    if options.get("out_dtype") == "i":
        del scale["shift"]
    x = rng.integers(-128, 128, x_shape).astype(np.int8)
    return Problem("large", layer, rng.integers(-128, 128, kernel), shape, {"dtype": "b", **scale}, x)


def depthwise(kernel: tuple[int, int], shape: tuple[int, int, int], times: int = 1, **options: Any) -> Problem:
    return of("DepthwiseConv2D", (1, *kernel, shape[2] * times), shape, shape, **options)


LARGE = {
    "an odd number of strided columns": of("Correlate2D", (5, 5), (64, 5), (64, 5), stride=(1, 5)),
    "an odd number of strided planes": depthwise((5, 9), (20, 9, 1), stride=(2, 9)),
    "4096 channels out": of("Conv2D", (4096, 1, 1, 2), (2, 2), (2, 2, 2)),
    "4096 channels in": of("Conv2D", (4, 1, 1, 4096), (2, 2), (2, 2, 4096)),
    "1024 channels of accumulators": depthwise((2, 2), (3, 4, 1024), out_dtype="i"),
    "rows of 5 kB": depthwise((3, 3), (4, 40, 32), out_dtype="i"),
    "rows of 5 kB, three outputs of a channel": depthwise((3, 3), (4, 600, 1), times=3, out_dtype="i"),
    "planes of 5 kB, three of them": depthwise((7, 7), (9, 320, 3)),
    "planes of 5 kB, padded": of("Correlate2D", (7, 7), (9, 320), (9, 320), padding="same", border="reflect"),
    "a frame": of("Correlate2D", (3, 3), (240, 320), (240, 320), stride=2, padding="same"),
    "70000 rows": of("Correlate2D", (3, 3), (70000, 4), (70000, 4), stride=(2, 1)),
    "70000 rows apart": of("Conv2D", (4, 2, 1, 1), (70000, 1), (70000, 1, 1), stride=(60, 1)),
}


@on_both
@pytest.mark.parametrize("name", LARGE)
def test_a_large_layer_equals_the_reference_in_machine_code(name, core):
    problem = LARGE[name]
    assert problem.taken_by("thumb", core)
    assert_array_equal(run(problem, core, "thumb"), problem.expected(), strict=True)


@pytest.mark.parametrize("inputs", [2044, 2045, 2100, 4096])
def test_a_vector_is_one_window_however_long_it_is(inputs):
    problem = of("Dense", (5, inputs), None, (inputs,))
    assert problem.taken_by("thumb", "cortex-m4")
    assert_array_equal(run(problem, "cortex-m4", "thumb"), problem.expected(), strict=True)


@pytest.mark.parametrize("layer", LAYERS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_drawn_large_layer_equals_the_reference_on_viper(layer, data):
    problem = data.draw(problems((layer,), large=True))
    assert_array_equal(run(problem, "micropython", "viper"), problem.expected(), strict=True)


def fenced(spec: Spec, core: str, budget: int | None = None) -> Any:
    """Run a layer's code with exactly the scratch that it asks for, twice, each end of every buffer once fenced; the
    module that it came from."""
    plan = Plan(spec, cores.named(core), budget)
    assert plan.scratch_bytes % 4 == 0
    code = emulator.backend(core)["thumb_code"].Code(plan.code, plan.table)
    code.run(bytes(spec.input_length), bytearray(4 * spec.output_length), bytearray(plan.scratch_bytes))
    return select(spec, cores.named(core))[0]


@on_both
@pytest.mark.parametrize("dilation", [1, 2])
def test_no_stride_and_no_kernel_leaves_the_scratch(core, dilation):
    """Every stride and kernel width, an even and an odd number of output columns; heights and channels go along."""
    seen = set()
    for n, (columns, stride, kw) in enumerate(product((4, 5), range(1, 10), range(1, 16))):
        kh, channels, rows, groups = 1 + n % 6, 1 + n % 7 // 5, 3 + n // 6 % 4, 1 + n % 2
        shape = (rows - 1 + kh, (columns - 1) * stride + (kw - 1) * dilation + 1, groups * channels)
        kernel = (groups * (1 + n % 3), kh, kw, channels)
        weights = [k % 9 - 4 for k in range(int(np.prod(kernel)))]
        spec = Spec(shape, kernel, weights, stride=(1 + n % 2, stride), dilation=(1, dilation), groups=groups)
        seen.add(fenced(spec, core))
    depthwise, conv = (module(cores.named(core), name) for name in ("depthwise", "conv"))
    assert seen >= ({depthwise, conv} if dilation == 1 else {conv})


@on_both
@pytest.mark.parametrize("compact", [False, True])
def test_no_number_of_taps_leaves_the_scratch(core, compact):
    """Windows end in whole blocks of taps, and a loop's body in whole windows."""
    for taps in [*range(1, 90, 2), *range(90, 700, 37)]:
        spec = Spec((1, 1, taps), (24, 1, 1, taps), [1] * (24 * taps))
        module, _ = select(spec, cores.named(core))
        fenced(spec, core, module.table_bytes(spec, compact))


@pytest.mark.parametrize("offset", [-4, 16])
def test_a_word_next_to_the_scratch_is_out_of_bounds(offset):
    asm = Thumb2(cores.named("cortex-m4"))
    asm.addi(R2, R2, offset)
    asm.ldr(R0, R2)
    asm.bx_lr()
    code = emulator.backend("cortex-m4")["thumb_code"].Code(asm.finish(), bytearray(4))
    with pytest.raises(emulator.EmulatorError, match="READ_UNMAPPED"):
        code.run(bytearray(4), bytearray(4), bytearray(16))


@pytest.mark.parametrize("layer", LAYERS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_budget_ends_in_the_right_output(layer, data):
    problem = data.draw(st.one_of(problems((layer,)), problems((layer,), large=True)))
    core = data.draw(st.sampled_from(["cortex-m0plus", "cortex-m4"]))
    spec = problem.make("portable").spec
    found = select(spec, cores.named(core))
    sizes = [9]
    if not isinstance(found, str):
        sizes = [found[0].table_bytes(spec, compact) for compact in found[0].packings(spec)]
    edges = [0, 1 << 30] + [size + more for size in sizes for more in (-1, 0)]
    budget = data.draw(st.one_of(st.sampled_from(edges), st.integers(0, max(sizes))))
    message = problem.message(None)
    message["options"] = {**problem.options, "budget": budget}
    answer, output = ask(message, problem.payload(), core)
    assert output == problem.expected().tobytes()
    taken = not isinstance(select(spec, cores.named(core), budget), str)
    assert answer["backend"] == ("thumb" if taken else "portable")
    assert not taken or answer["weight_bytes"] <= budget


@on_both
def test_what_turns_out_not_to_be_encoded_is_a_refusal(core, monkeypatch):
    problem = next(problem for problem in named() if problem.name == "conv")

    def fails(self, *_):
        self.asm.addi(R0, R0, 5000)

    monkeypatch.setattr(module(cores.named(core), "conv").Kernel, "_begin", fails)
    answer, output = ask(problem.message(None), problem.payload(), core)
    assert (answer["backend"], output) == ("portable", problem.expected().tobytes())
    with pytest.raises(TargetError, match=r"backend: 'thumb' can't run here \(addi: 5000, .*\), wanted another"):
        ask(problem.message("thumb"), problem.payload(), core)
    parts = compile(load_tflite(two_layers()), core).parts
    assert parts
    assert [part.code for part in parts] == [None] * len(parts)
