"""Whole valid problems for Hypothesis: a layer, its words, and its inputs.

Sizes and words are drawn; the bulk of numbers comes from a seeded NumPy generator, so an
example stays small enough to shrink. Scales are chosen from the accumulator's bound, so most
outputs are neither saturated nor zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from ucorr.fixedpoint import ITEMSIZE, LIMITS
from ucorr_host.op_problems import OPS, OpProblem
from ucorr_host.problems import LAYERS, Problem

SMALL = {"b": (-128, 127), "h": (-32768, 32767)}


def numbers(draw: Any, lo: int, hi: int, shape: Any) -> np.ndarray:
    """Integers within lo..hi: random, or only extremes and zero, or small ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "random", "random", "extremes", "small"]))
    if kind == "extremes":
        return rng.choice(np.array([lo, hi, min(max(0, lo), hi)], np.int64), shape)
    if kind == "small":
        return np.clip(rng.integers(-3, 4, shape), lo, hi)
    return rng.integers(lo, hi, shape, np.int64, endpoint=True)


def axis_words(draw: Any, kernel: int, most: int, roomy: bool) -> tuple[int, int, int, tuple[int, int]]:
    """(size, stride, dilation, padding) of one axis, the kernel inside the padded size.

    roomy: the image itself has room for the kernel at two neighbouring outputs.
    """
    stride = draw(st.integers(1, 3))
    dilation = draw(st.sampled_from([1, 1, 1, 2, 3]))
    before, after = draw(st.sampled_from([(0, 0), (0, 0), (1, 1), (0, 1), (2, 3), (4, 0)]))
    extent = (kernel - 1) * dilation + 1
    least = extent + 2 * stride if roomy else max(1, extent - before - after)
    return draw(st.integers(least, max(least, most))), stride, dilation, (before, after)


@st.composite
def problems(
    draw: Any,
    layers: tuple[str, ...] = LAYERS,
    dtypes: str = "bBhH",
    exact: bool | None = None,
    roomy: bool = False,
    pitched: bool = True,
) -> Problem:
    """A Problem of one of the layers.

    exact    True: accumulators only (out_dtype "i")
    roomy    True: at least two by two outputs see no padding
    pitched  False: the input is never a window of a wider frame
    """
    layer = draw(st.sampled_from(layers))
    dtype = draw(st.sampled_from(dtypes))
    lo, hi = LIMITS[dtype]
    options: dict[str, Any] = {"dtype": dtype}
    shape, kernel_shape, x_shape = sizes(draw, layer, options, roomy, pitched)
    wide_kernel = layer.startswith("Correlate") and not exact and draw(st.booleans())
    kernel = numbers(draw, *SMALL["h" if wide_kernel else "b"], kernel_shape)
    zero = draw(st.one_of(st.just(0), st.integers(lo, hi)))
    options["input_zero_point"] = zero
    kernel_zero = 0
    if not layer.startswith("Correlate") and draw(st.booleans()):
        kernel_zero = options["kernel_zero_point"] = draw(st.integers(-128, 127))
    channels = {"Conv2D": 0, "Dense": 0, "DepthwiseConv2D": 3}.get(layer)
    outputs = 1 if channels is None else kernel_shape[channels]
    if draw(st.booleans()):
        options["bias"] = numbers(draw, -(1 << 16), 1 << 16, outputs).tolist()
    effective = np.abs(kernel - kernel_zero)
    axes = None if channels is None else tuple(n for n in range(kernel.ndim) if n != channels)
    reach = int(effective.sum(axis=axes).max()) * max(hi - zero, zero - lo)
    reach += max((abs(b) for b in options.get("bias", [0])), default=0)
    scale(draw, options, reach, outputs, exact)
    x = numbers(draw, lo, hi, x_shape).astype(np.dtype(dtype))
    return Problem("drawn", layer, kernel, shape, options, x)


def sizes(draw: Any, layer: str, options: dict[str, Any], roomy: bool, pitched: bool) -> tuple[Any, Any, Any]:
    """Draw (shape argument, kernel shape, shape of x) and the words about geometry."""
    if layer == "Dense":
        size = draw(st.integers(1, 70))
        return None, (draw(st.integers(1, 9)), size), (size,)
    kh, kw = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    if layer == "Correlate1D":
        kw = draw(st.sampled_from([1, 2, 3, 5, 8, 17, 33]))
    height, sy, dy, rows = axis_words(draw, kh, 7, roomy)
    width, sx, dx, columns = axis_words(draw, kw, 9, roomy)
    padding: Any = draw(st.sampled_from(["explicit", "explicit", "same"]))
    if layer.startswith("Correlate"):
        border = options["border"] = draw(st.sampled_from(["constant", "edge", "reflect"]))
        if border == "reflect":
            height, width = max(height, 5), max(width, 5)
            if padding == "same":  # at most extent - 1 on a side
                height, width = max(height, (kh - 1) * dy + 1), max(width, (kw - 1) * dx + 1)
        options["border_value"] = draw(st.integers(*LIMITS[options["dtype"]]))
    options["padding"] = "same" if padding == "same" else (rows, columns)
    options["stride"], options["dilation"] = (sy, sx), (dy, dx)
    if layer == "Correlate1D":
        options["padding"] = "same" if padding == "same" else columns
        options["stride"], options["dilation"] = sx, dx
        return width, (kw,), (width,)
    if layer == "Correlate2D":
        shape: tuple[int, ...] = (height, width)
        return shape, (kh, kw), frame(draw, options, pitched, height, width, 1) or shape
    if layer == "DepthwiseConv2D":
        channels, times = draw(st.integers(1, 5)), draw(st.integers(1, 4))
        shape = (height, width, channels)
        return shape, (1, kh, kw, channels * times), frame(draw, options, pitched, height, width, channels) or shape
    groups, depth = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 4))
    options["groups"] = groups
    kernel_shape = (groups * draw(st.integers(1, 5)), kh, kw, depth)
    x_shape = frame(draw, options, pitched, height, width, groups * depth) or (height, width, groups * depth)
    return (height, width), kernel_shape, x_shape


def frame(
    draw: Any, options: dict[str, Any], pitched: bool, height: int, width: int, channels: int
) -> tuple[int, int] | None:
    """Sometimes a pitch: the image is a window of a wider frame, whose shape is returned."""
    if not pitched or draw(st.integers(0, 3)):
        return None
    options["pitch"] = width * channels + draw(st.integers(0, 7))
    return height, options["pitch"]


def scale(draw: Any, options: dict[str, Any], reach: int, outputs: int, exact: bool | None) -> None:
    """Choose out_dtype and a scale that is valid for accumulators up to `reach` in size."""
    if exact or (exact is None and reach < 1 << 31 and draw(st.integers(0, 4)) == 0):
        options["out_dtype"] = "i"
        return
    out = options["out_dtype"] = draw(st.sampled_from("bBhH"))
    lo, hi = LIMITS[out]
    bits = reach.bit_length()
    usual = min(0, 8 * ITEMSIZE[out] - 1 - bits)  # brings the bound to the output's range
    highest = 30
    if draw(st.booleans()):
        accumulator = draw(st.sampled_from(["int32", "int64"]))
        if reach >= 1 << 30:
            accumulator = "int64"
        options["accumulator"] = accumulator
        if accumulator == "int32":
            options["rounding"] = draw(st.sampled_from(["twice", "once"]))
        multipliers = st.one_of(st.integers(1 << 30, (1 << 31) - 1), st.sampled_from([0, 1, 0x7FFF0000, 0x7FFFFFFF]))
        options["multiplier"] = draw(st.lists(multipliers, min_size=outputs, max_size=outputs))
        highest = 7 if accumulator == "int64" else max(0, 31 - bits)
        usual += 1
    else:
        highest = min(6, 46 - bits)
    near = st.integers(max(-31, usual - 1), min(highest, usual + 3))
    shifts = st.one_of(near, near, near, near, near, st.integers(-31, highest))
    options["shift"] = draw(st.lists(shifts, min_size=outputs, max_size=outputs))
    if "multiplier" in options and options["accumulator"] == "int32":
        options["shift"] = [min(s, 31 - bits) if s > 0 else s for s in options["shift"]]
    quarter = (hi - lo) // 4
    middle = st.integers(lo + quarter, hi - quarter)
    options["output_zero_point"] = draw(st.one_of(st.just(0), middle, middle, st.integers(lo, hi)))
    if draw(st.integers(0, 2)) == 0:
        low = draw(st.one_of(st.just(lo), st.integers(lo, hi - quarter)))
        options["activation_min"], options["activation_max"] = low, draw(st.integers(low + quarter // 2, hi))


@st.composite
def op_problems(draw: Any, layers: tuple[str, ...] = OPS) -> OpProblem:
    """An OpProblem: a layer without weights."""
    layer = draw(st.sampled_from(layers))
    options: dict[str, Any] = {}
    if layer not in ("Lookup", "Softmax"):
        options["dtype"] = draw(st.sampled_from("bbbBh" if layer in ("Add", "Sub", "Mul") else "bbBhH"))
    lo, hi = LIMITS[options.get("dtype", "b")]
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=3, max_size=3)))
    shapes: list[tuple[int, ...]] = [shape]
    args: tuple[Any, ...] = (shape,)
    if layer.endswith("Pool2D"):
        size, shape = pool(draw, options)
        args, shapes = (size, shape), [shape]
        activation_range(draw, options, lo, hi)
    elif layer in ("Add", "Sub", "Mul"):
        shape = tuple(max(2, n) for n in shape)  # one output shows nothing
        other = shape
        if draw(st.integers(0, 2)) == 2:
            other = tuple(draw(st.sampled_from([n, n, 1])) for n in shape)[draw(st.integers(0, 2)) :]
        pair = draw(st.permutations([shape, other]))
        args, shapes = tuple(pair), list(pair)
        two_scales(draw, layer, options)
        activation_range(draw, options, lo, hi)
    elif layer == "Lookup":
        options["dtype"] = draw(st.sampled_from("bB"))
        lo, hi = LIMITS[options["dtype"]]
        args, shapes = (numbers(draw, -128, 127, 256).tolist(), shape[0] * shape[1]), [(shape[0] * shape[1],)]
    elif layer == "Softmax":
        rows, classes = shape[0], draw(st.sampled_from([10, 12, 50, 300, 3, 2, 1]))
        args, shapes = (classes, rows), [(rows, classes)]
        options = {
            "multiplier": draw(st.integers(1 << 30, (1 << 31) - 1)),
            "shift": draw(st.one_of(*[st.integers(20, 27)] * 7, st.integers(0, 31))),
        }
    elif layer == "Pad":
        options["value"] = draw(st.integers(lo, hi))
        args = shape, [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in shape]
    elif layer == "Concatenate":
        lengths = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
        args, shapes = (lengths, shape[0]), [(shape[0], n) for n in lengths]
    else:
        shape = tuple(max(2, n) for n in shape)
        args, shapes = (shape,), [shape]
        options |= {"value": draw(st.integers(lo, hi)), "stride": shape_of_steps(draw), "padding": []}
        for n, step in zip(shape, options["stride"], strict=False):
            before = draw(st.integers(-2 * step, 4))
            least = -2 * step if before >= 0 else 0
            span = (n - 1) * step + 1 + before
            options["padding"].append((before, draw(st.integers(max(least, 1 - span), max(4, 1 - span)))))
    inputs = tuple(numbers(draw, lo, hi, one).astype(np.dtype(options.get("dtype", "b"))) for one in shapes)
    return OpProblem("drawn", layer, args, options, inputs)


def shape_of_steps(draw: Any) -> tuple[int, int]:
    return draw(st.integers(1, 3)), draw(st.integers(1, 3))


def activation_range(draw: Any, options: dict[str, Any], lo: int, hi: int) -> None:
    """Sometimes an activation range of at least a quarter of the dtype's."""
    if draw(st.integers(0, 2)) == 0:
        low = draw(st.integers(lo, hi - (hi - lo) // 4))
        options["activation_min"], options["activation_max"] = low, draw(st.integers(low + (hi - lo) // 4, hi))


def pool(draw: Any, options: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """(size, shape) of a pool; its stride and padding go to options."""
    size = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    options["stride"] = shape_of_steps(draw)
    pads = [(draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))) for n in size]
    options["padding"] = draw(st.sampled_from(["same", "valid", pads]))
    least = [n - sum(pad) if options["padding"] == pads else n for n, pad in zip(size, pads, strict=True)]
    height, width = (draw(st.integers(max(1, n), 8)) for n in least)
    return size, (height, width, draw(st.integers(1, 5)))


def two_scales(draw: Any, layer: str, options: dict[str, Any]) -> None:
    """Zero points and scales of a sum or a product, most outputs being neither saturated nor zero."""
    lo, hi = LIMITS[options["dtype"]]
    wide = options["dtype"] == "h"
    zeros = st.just(0) if wide else st.integers(lo, hi)
    options |= {
        "a_zero_point": draw(zeros),
        "b_zero_point": draw(zeros),
        "output_zero_point": draw(st.integers(lo, hi)),
    }
    names = ("", "a_", "b_") if layer != "Mul" else ("",)
    most = 0 if wide or layer != "Mul" else 14
    if draw(st.integers(0, 7)) == 7:  # anything that is allowed
        for name in names:
            options[name + "multiplier"] = draw(
                st.one_of(st.integers(1 << 30, (1 << 31) - 1), st.sampled_from([0, 1, 0x7FFFFFFF]))
            )
            options[name + "shift"] = draw(st.integers(-31, 0 if name else most))
        return
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    usual = {"Mul": -14 if wide else -6}.get(layer, -14 if wide else -19)
    for name in names:
        options[name + "multiplier"] = int(rng.integers(1 << 30, 1 << 31))
        options[name + "shift"] = int(rng.integers(-2, 1) if name else rng.integers(usual, usual + 3))
