"""What the tests have by operator, a row each: whole drawn problems, a valid call, and mutants with their killers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from draws import numbers
from hypothesis import strategies as st
from ucorr.fixedpoint import LIMITS
from ucorr_host.problems.operators import OPS, OpProblem, reach

Shapes = list[tuple[int, ...]]
Mutant = tuple[str, str, str, str, str]  # what is wrong, file, line, its replacement, the test that kills it


@dataclass(frozen=True)
class Case:
    """drawn      options and the shapes of the inputs, most outputs being neither saturated nor all the same
    arguments  a valid call of the class: source of each argument
    mutants    of what computes it, and of its class
    call       a valid call of the function of reference that has its kind's name; nothing where there is none
    grown      what adds it to a drawn graph (graphs.Grower, value), by its name in a .tflite file, if graphs has none
    """

    drawn: Callable[[Any], tuple[dict[str, Any], Shapes]]
    arguments: dict[str, str]
    mutants: tuple[Mutant, ...]
    call: dict[str, Any] = field(default_factory=dict)
    grown: dict[str, Callable[[Any, Any], Any]] = field(default_factory=dict)


@st.composite
def op_problems(draw: Any, layers: tuple[str, ...] = OPS) -> OpProblem:
    """An OpProblem: a layer without weights."""
    layer = draw(st.sampled_from(layers))
    options, shapes = CASES[layer].drawn(draw)
    made = OpProblem("drawn", layer, options, ()).made
    inputs = tuple(numbers(draw, *reach(made), shape).astype(np.dtype(made.dtype)) for shape in shapes)
    return OpProblem("drawn", layer, options, inputs)


# Drawn options


def shape_of(draw: Any, least: int = 1) -> tuple[int, int, int]:
    return draw(st.integers(least, 6)), draw(st.integers(least, 6)), draw(st.integers(least, 6))


def steps_of(draw: Any) -> tuple[int, int]:
    return draw(st.integers(1, 3)), draw(st.integers(1, 3))


def dtype_of(draw: Any) -> tuple[str, int, int]:
    """A dtype and its limits."""
    dtype = draw(st.sampled_from("bbBhH"))
    return dtype, *LIMITS[dtype]


def activation_range(draw: Any, dtype: str) -> dict[str, int]:
    """Sometimes an activation range of at least a quarter of the dtype's."""
    lo, hi = LIMITS[dtype]
    if draw(st.integers(0, 2)):
        return {}
    low = draw(st.integers(lo, hi - (hi - lo) // 4))
    return {"activation_min": low, "activation_max": draw(st.integers(low + (hi - lo) // 4, hi))}


def pool(draw: Any) -> tuple[dict[str, Any], Shapes]:
    dtype, _, _ = dtype_of(draw)
    size = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    pads = [(draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))) for n in size]
    padding = draw(st.sampled_from(["same", "valid", pads]))
    least = [n - sum(pad) if padding == pads else n for n, pad in zip(size, pads, strict=True)]
    height, width = (draw(st.integers(max(1, n), 8)) for n in least)
    shape = height, width, draw(st.integers(1, 5))
    options = {"size": size, "shape": shape, "dtype": dtype, "stride": steps_of(draw), "padding": padding}
    return options | activation_range(draw, dtype), [shape]


def two(names: tuple[str, ...], usual: int, most: int) -> Callable[[Any], tuple[dict[str, Any], Shapes]]:
    """Two inputs.

    names  prefixes of the scales; usual: the last one's least shift where most outputs differ, with 8 bits; most: its
           greatest shift there
    """

    def drawn(draw: Any) -> tuple[dict[str, Any], Shapes]:
        dtype = draw(st.sampled_from("bbbBh"))
        shape = shape_of(draw, 2)  # one output shows nothing
        other: tuple[int, ...] = shape
        if draw(st.integers(0, 2)) == 2:
            other = tuple(draw(st.sampled_from([n, n, 1])) for n in shape)[draw(st.integers(0, 2)) :]
        a, b = draw(st.permutations([shape, other]))
        options = {"a_shape": a, "b_shape": b, "dtype": dtype}
        if "b_" not in names or draw(st.integers(0, 3)):  # a sum may go without scales
            options |= zero_points(draw, dtype) | scales(draw, dtype, names, usual, most)
        return options | activation_range(draw, dtype), [a, b]

    return drawn


def slopes(draw: Any) -> tuple[dict[str, Any], Shapes]:
    dtype, a = draw(st.sampled_from("bbB")), shape_of(draw, 2)
    b = tuple(draw(st.sampled_from([n, 1])) for n in a)[draw(st.integers(0, 2)) :]
    options = {"a_shape": a, "b_shape": b, "dtype": dtype}
    options |= zero_points(draw, dtype) | scales(draw, dtype, ("a_", ""), -6, 14)
    if draw(st.integers(0, 7)) == 7:
        options["a_shift"] = draw(st.integers(-31, 22))
    return options | activation_range(draw, dtype), [a, b]


def prelu(grower: Any, x: Any) -> Any:
    """PRELU with an alpha for each channel, as converters write it, or of any shape that repeats to x's."""
    shape = (1,) * (len(x.shape) - 2) + x.shape[-1:]
    if grower.draw(st.booleans()):
        shape = tuple(grower.draw(st.sampled_from([1, n])) for n in x.shape)
    scale = np.float32(2.0 ** grower.draw(st.floats(-9, -5)))
    zero_point = grower.draw(st.one_of(st.just(0), st.integers(-128, 127)))
    alpha = grower.constant(shape, np.int8, 127, scales=scale, zero_points=zero_point)
    out = grower.tensor(x.shape, float(x.scale) * grower.stretch())
    grower.model.operator("PRELU", [x.number, alpha], [out.number])
    return out


def zero_points(draw: Any, dtype: str) -> dict[str, int]:
    lo, hi = LIMITS[dtype]
    zeros = st.just(0) if dtype == "h" else st.integers(lo, hi)
    return {"a_zero_point": draw(zeros), "b_zero_point": draw(zeros), "output_zero_point": draw(st.integers(lo, hi))}


def scales(draw: Any, dtype: str, names: tuple[str, ...], usual: int, most: int) -> dict[str, int]:
    """Multipliers and shifts, most outputs being neither saturated nor zero."""
    options: dict[str, int] = {}
    if draw(st.integers(0, 7)) == 7:  # anything that is allowed
        multipliers = st.one_of(st.integers(1 << 30, (1 << 31) - 1), st.sampled_from([0, 1, 0x7FFFFFFF]))
        for name in names:
            options[name + "multiplier"] = draw(multipliers)
            options[name + "shift"] = draw(st.integers(-31, 0 if name or dtype == "h" else most))
        return options
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    least = -14 if dtype == "h" else usual
    for name in names:
        options[name + "multiplier"] = int(rng.integers(1 << 30, 1 << 31))
        options[name + "shift"] = int(rng.integers(-2, 1) if name else rng.integers(least, least + 3))
    return options


def table_of_256(draw: Any) -> tuple[dict[str, Any], Shapes]:
    length = draw(st.integers(1, 36))
    dtype = draw(st.sampled_from("bB"))
    return {"table": numbers(draw, -128, 127, 256).tolist(), "length": length, "dtype": dtype}, [(length,)]


def staircase(draw: Any) -> tuple[dict[str, Any], Shapes]:
    rows, _, channels = shape_of(draw)
    sets, least = draw(st.sampled_from([1, channels])), draw(st.integers(-128, 126))
    count = draw(st.one_of(st.integers(1, 127 - least), st.just(127 - least)))
    table = np.sort(numbers(draw, *LIMITS["i"], (sets, count)), axis=1).reshape(-1).tolist()
    options = {"table": table, "channels": channels, "rows": rows, "sets": sets, "least": least}
    return options, [(rows, channels)]


def exponentials(draw: Any) -> tuple[dict[str, Any], Shapes]:
    # exponentials that are flat over a few steps, or over many classes, make all outputs alike
    rows, classes = draw(st.integers(1, 6)), draw(st.sampled_from([10, 12, 50, 3, 10, 12, 50, 2, 300, 1]))
    multiplier = draw(st.integers(1 << 30, (1 << 31) - 1))
    shift = draw(st.integers(0, 31) if draw(st.integers(0, 7)) == 7 else st.integers(23, 28))
    return {"classes": classes, "rows": rows, "multiplier": multiplier, "shift": shift}, [(rows, classes)]


def surrounded(draw: Any) -> tuple[dict[str, Any], Shapes]:
    dtype, lo, hi = dtype_of(draw)
    shape = shape_of(draw)
    padding = [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in shape]
    return {"shape": shape, "padding": padding, "value": draw(st.integers(lo, hi)), "dtype": dtype}, [shape]


def joined(draw: Any) -> tuple[dict[str, Any], Shapes]:
    dtype, _, _ = dtype_of(draw)
    outer, lengths = draw(st.integers(1, 6)), tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    return {"lengths": lengths, "outer": outer, "dtype": dtype}, [(outer, n) for n in lengths]


def spread(draw: Any) -> tuple[dict[str, Any], Shapes]:
    dtype, lo, hi = dtype_of(draw)
    shape, stride, padding = shape_of(draw, 2), steps_of(draw), []
    for n, step in zip(shape, stride, strict=False):
        before = draw(st.integers(-2 * step, 4))
        least = -2 * step if before >= 0 else 0
        span = (n - 1) * step + 1 + before
        padding.append((before, draw(st.integers(max(least, 1 - span), max(4, 1 - span)))))
    value = draw(st.integers(lo, hi))
    return {"shape": shape, "stride": stride, "padding": padding, "value": value, "dtype": dtype}, [shape]


def lags(draw: Any) -> tuple[dict[str, Any], Shapes]:
    length, dtype = draw(st.one_of(st.integers(12, 70), st.integers(1, 70))), draw(st.sampled_from("bBhhhh"))
    first, last = draw(st.integers(1 - length, 0)), draw(st.integers(0, length - 1))
    if draw(st.integers(0, 3)) == 0:
        first = draw(st.integers(1 - length, length - 1))
        last = draw(st.integers(first, length - 1))
    options = {"length": length, "lags": (first, last), "dtype": dtype}
    if draw(st.integers(0, 2)) == 0:
        options["limit"] = draw(st.integers(1, max(LIMITS[dtype][1], -LIMITS[dtype][0])))
    scaled = draw(st.integers(0, 7))
    if scaled < 2:
        options["normalized"] = True
    elif scaled == 2:
        options["shift"] = draw(st.integers(-31, 0))
    elif scaled == 3:
        options["shift"] = draw(st.integers(-12, 0))
    return options, [(length,)] * 2


# Valid calls

BACKEND = {"backend": "'portable'"}
RANGE = {"activation_min": "-100", "activation_max": "100"}
TWO = {
    "a_shape": "(2, 3)",
    "b_shape": "(3,)",
    "dtype": "'b'",
    "a_zero_point": "1",
    "b_zero_point": "2",
    "output_zero_point": "3",
    "multiplier": "1 << 30",
    "shift": "-6",
    **RANGE,
    **BACKEND,
}
SUM = {**TWO, "shift": "-18", "a_multiplier": "1 << 30", "a_shift": "0", "b_multiplier": "1 << 30", "b_shift": "-1"}
POOL = {
    "size": "(2, 2)",
    "shape": "(4, 5, 2)",
    "stride": "(1, 2)",
    "padding": "((1, 0), (0, 1))",
    "dtype": "'b'",
    **RANGE,
    **BACKEND,
}

X = np.array([[[3, -5], [100, 7]], [[0, 1], [-128, 127]], [[9, 9], [1, 2]]], np.int8)
ENDS = {"activation_min": -100, "activation_max": 100}
CALL_OF_TWO = {
    "a": np.array([1, 100, -128], np.int8),
    "b": np.array([5, 100, 127], np.int8),
    "a_zero_point": 100,
    "b_zero_point": -100,
    "output_zero_point": 100,
    "multiplier": 1 << 30,
    "shift": -6,
    **ENDS,
}
FACTORS = {"a_multiplier": 1 << 30, "a_shift": 0, "b_multiplier": 1 << 30, "b_shift": -1, "shift": -18}
CALL_OF_POOL = {"x": X, "size": 2, "stride": 1, "padding": "same", **ENDS}

# Mutants

PORTABLE, MOVES = "ucorr/backends/portable_ops.py", "ucorr/ops/moves.py"
CORRELATION = "ucorr/backends/viper_correlation.py"
TILES_DSP, TILES_V6M = (f"ucorr/codegen/{isa}/correlation.py" for isa in ("armv7em", "armv6m"))
WINDOWS, ELEMENTWISE, TABLES = (f"ucorr/backends/viper_{name}.py" for name in ("windows", "elementwise", "tables"))
NAMED = "test_ops.py::test_a_named_problem_allocates_nothing"
RAMP = "test_ops.py::test_every_half_of_a_ramp_is_rounded_as_it_should"
THRESHOLDS = "test_buffers.py::test_thresholds_are_ascending_words_of_32_bits"
ON_HOST, ON_VIPER = "cpython/portable]", "micropython/viper]"

CASES = {
    "MaxPool2D": Case(pool, POOL, (
        ("least for greatest", PORTABLE, "elif x[n] > value:", "elif x[n] < value:", f"{NAMED}[max pool-{ON_HOST}"),
        ("least for greatest", WINDOWS, "elif u > value:", "elif u < value:", f"{NAMED}[max pool-{ON_VIPER}"),
    ), CALL_OF_POOL),
    "AveragePool2D": Case(pool, POOL, (
        ("truncation", PORTABLE, "half = count // 2", "half = 0", f"{NAMED}[average pool-{ON_HOST}"),
        ("padding counted", PORTABLE, "count = (end - rows) * (last - columns)", "count = op.size[0] * op.size[1]",
         f"{NAMED}[average pool-{ON_HOST}"),
        ("truncation", WINDOWS, "half = count >> 1", "half = 0", f"{NAMED}[average pool-{ON_VIPER}"),
    ), CALL_OF_POOL),
    "Add": Case(two(("", "a_", "b_"), -19, 0), SUM, (
        ("wrong zero point sign", PORTABLE, "b[q] - zero_b", "b[q] + zero_b", f"{NAMED}[add-{ON_HOST}"),
        ("repeats not", PORTABLE, "[0 if n == 1 else 1 for n in op.b_shape]", "[1 for n in op.b_shape]",
         f"{NAMED}[add repeating-{ON_HOST}"),
    ), CALL_OF_TWO | FACTORS),
    "Sub": Case(two(("", "a_", "b_"), -19, 0), SUM, (
        ("sum for difference", PORTABLE, "-other if minus else other", "other", f"{NAMED}[sub-{ON_HOST}"),
    ), CALL_OF_TWO | FACTORS),
    "Mul": Case(two(("",), -6, 14), TWO, (
        ("halves up", ELEMENTWISE, "v += v >> 31", "v += 0", f"{RAMP}[{ON_VIPER}"),
        ("truncation", ELEMENTWISE, "job[_SCALES + 2 + s] + 32) >> 6", "job[_SCALES + 2 + s]) >> 6",
         f"{RAMP}[{ON_VIPER}"),
    ), CALL_OF_TWO),
    "PReLU": Case(slopes, {**TWO, "a_multiplier": "1 << 30", "a_shift": "0"}, (
        ("one scale for both", PORTABLE, "value = self.scale(value, 5)\n", "value = self.scale(value, last)\n",
         f"{NAMED}[prelu-{ON_HOST}"),
        ("slope above zero too", ELEMENTWISE, "if v >= least:", "if v > least + 255:", f"{NAMED}[prelu-{ON_VIPER}"),
        ("one scale for both", "ucorr_host/reference/elementwise.py", "np.maximum(value, 0), a_multiplier, a_shift",
         "np.maximum(value, 0), multiplier, shift", f"{NAMED}[prelu-{ON_HOST}"),
    ), CALL_OF_TWO | {"a_multiplier": 1 << 30, "a_shift": 0}, {"PRELU": prelu}),
    "Lookup": Case(
        table_of_256,
        {"table": "list(range(-128, 128))", "length": "100", "dtype": "'b'", **BACKEND},
        (
            ("a sign lost", PORTABLE, "value - 256 if value > 127 else value", "min(value, 127)",
             f"{NAMED}[lookup-{ON_HOST}"),
            ("halves of the table exchanged", TABLES, "table[ptr8(p)[0] ^ flip]", "table[ptr8(p)[0]]",
             f"{NAMED}[lookup-{ON_VIPER}"),
        ),
        {"x": X, "table": np.arange(256)},
    ),
    "Thresholds": Case(
        staircase,
        {"table": "[-300, 5, 5, 100000]", "channels": "2", "rows": "50", "sets": "2", "least": "7", **BACKEND},
        (
            ("reached too late", PORTABLE, "if value < table[middle]:", "if value <= table[middle]:",
             f"{THRESHOLDS}[{ON_HOST}"),
            ("reached too late", TABLES, "if value < (table[middle]", "if value <= (table[middle]",
             f"{THRESHOLDS}[{ON_VIPER}"),
        ),
        {"x": X.astype(np.int32), "table": [-3, 100], "least": 5},
    ),
    "Softmax": Case(
        exponentials,
        {"table": "array('i', [0x7FFFFFFF >> (n >> 3) for n in range(256)])", "classes": "100", "rows": "2", **BACKEND},
        (("steps too few", PORTABLE, "for _ in range(3):", "for _ in range(1):", f"{NAMED}[softmax-{ON_HOST}"),),
        {"x": X, "multiplier": 1 << 30, "shift": 23},
    ),
    "Pad": Case(
        surrounded,
        {"shape": "(2, 3)", "padding": "((1, 0), (0, 2))", "value": "7", "dtype": "'b'", **BACKEND},
        (("wrong pad side", MOVES, "sum([pad[0] * step", "sum([pad[1] * step", f"{NAMED}[pad-{ON_HOST}"),),
        {"x": X, "padding": ((1, 100), (0, 2)), "value": 100},
    ),
    "Concatenate": Case(
        joined,
        {"lengths": "(2, 3)", "outer": "100", "dtype": "'b'", **BACKEND},
        (("one over the other", MOVES, "first += length", "first += 0",
          f"{NAMED}[concatenate-{ON_HOST}"),),
    ),
    "Expand": Case(
        spread,
        {"shape": "(2, 3, 2)", "stride": "(2, 1)", "padding": "((1, -1), (0, 2))", "value": "7", "dtype": "'b'",
         **BACKEND},
        (("crop forgotten", MOVES, "skip = (max(0, -before) + step - 1) // step", "skip = 0",
          f"{NAMED}[expand-{ON_HOST}"),),
    ),
    "CrossCorrelate": Case(
        lags,
        {"length": "70", "lags": "(-3, 60)", "dtype": "'h'", "limit": "32768", "shift": "-1", "normalized": "False",
         **BACKEND},
        (
            ("lags reversed", PORTABLE, "acc += a[n] * b[n + lag]", "acc += a[n + lag] * b[n]",
             f"{NAMED}[lags-{ON_HOST}"),
            ("truncation", CORRELATION, "v += (low >> (right - 1)) & 1", "v += 0", f"{NAMED}[lags-{ON_VIPER}"),
            ("14 bits of a quotient", CORRELATION, "left = 15", "left = 14", f"{NAMED}[lags normalized-{ON_VIPER}"),
            ("another word's lag", TILES_DSP, "asm.ldr(w[1], R1, 2)", "asm.ldr(w[1], R1, 0)",
             f"{NAMED}[lags-cortex-m4/thumb]"),
            ("no borrow", TILES_V6M, "asm.shift(R4, R3, ASR, 31)", "asm.shift(R4, R3, LSR, 31)",
             f"{NAMED}[lags-cortex-m0plus/thumb]"),
            ("one more than the limit", TILES_DSP, "2 * op.limit << 16", "2 * op.limit + 1 << 16",
             "test_correlation.py::test_machine_code_of_any_lags_with_another_signal_and_with_itself"),
            ("energy for root", "ucorr/ops/correlation.py", "    return root, e\n", "    return energy >> 23, e\n",
             f"{NAMED}[lags normalized-{ON_HOST}"),
        ),
        {"a": np.arange(-50, 50).astype(np.int16), "b": np.arange(100).astype(np.int16), "lags": (-3, 60),
         "shift": -1, "normalized": False},
    ),
}  # fmt: skip
