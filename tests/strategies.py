"""Whole valid problems for Hypothesis: a layer, its words, and its inputs.

Sizes and words are drawn; the bulk of numbers comes from a seeded NumPy generator, so an
example stays small enough to shrink. Scales are chosen from the accumulator's bound, so most
outputs are neither saturated nor zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from draws import numbers
from hypothesis import strategies as st
from operator_cases import op_problems as op_problems
from ucorr.fixedpoint import ITEMSIZE, LIMITS
from ucorr_host.problems.weighted import LAYERS, Problem

SMALL = {"b": (-128, 127), "h": (-32768, 32767)}


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
    large: bool = False,
) -> Problem:
    """A Problem of one of the layers.

    exact    True: accumulators only (out_dtype "i")
    roomy    True: at least two by two outputs see no padding
    pitched  False: the input is never a window of a wider frame
    large    True: sides in the hundreds, channels in the thousands, strides to 9 or kernels to 15x15
    """
    layer = draw(st.sampled_from(layers))
    plain = large and draw(st.integers(0, 3)) > 0  # as most layers are but for its size
    dtype = draw(st.sampled_from([d for d in dtypes if d in "bB" or not plain] or dtypes))
    lo, hi = LIMITS[dtype]
    options: dict[str, Any] = {"dtype": dtype}
    axes = large_axes(draw, layer, plain) if large else small_axes(draw, layer, roomy)
    shape, kernel_shape, x_shape = sizes(draw, layer, options, axes, pitched)
    wide_kernel = layer.startswith("Correlate") and not exact and not plain and draw(st.booleans())
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
    scale(draw, options, reach, outputs, exact, plain)
    x = numbers(draw, lo, hi, x_shape).astype(np.dtype(dtype))
    return Problem("drawn", layer, kernel, shape, options, x)


def sizes(draw: Any, layer: str, options: dict[str, Any], axes: tuple[Any, Any], pitched: bool) -> tuple[Any, Any, Any]:
    """(shape argument, kernel shape, shape of x) of what small_axes() or large_axes() drew; the words about geometry
    go to options."""
    (groups, depth, times), geometry = axes
    if layer == "Dense":
        return None, (times, depth), (depth,)
    (kh, height, sy, dy, rows), (kw, width, sx, dx, columns) = geometry
    padding: Any = draw(st.sampled_from(["explicit", "explicit", "same"]))
    if layer.startswith("Correlate"):
        border = options["border"] = draw(st.sampled_from(["constant", "edge", "reflect"]))
        if border == "reflect":
            height, width = max(height, 5, 1 + max(rows)), max(width, 5, 1 + max(columns))
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
        shape = (height, width, groups)
        return shape, (1, kh, kw, groups * times), frame(draw, options, pitched, height, width, groups) or shape
    options["groups"] = groups
    x_shape = frame(draw, options, pitched, height, width, groups * depth) or (height, width, groups * depth)
    return (height, width), (groups * times, kh, kw, depth), x_shape


def small_axes(draw: Any, layer: str, roomy: bool) -> tuple[tuple[int, int, int], list[Any]]:
    """Groups, and input and output channels of a group; (kernel, size, stride, dilation, padding) of both axes."""
    if layer == "Dense":
        return (1, draw(st.integers(1, 70)), draw(st.integers(1, 9))), []
    kh, kw = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    if layer == "Correlate1D":
        kw = draw(st.sampled_from([1, 2, 3, 5, 8, 17, 33]))
    axes = [(kernel, *axis_words(draw, kernel, most, roomy)) for kernel, most in ((kh, 7), (kw, 9))]
    if layer == "DepthwiseConv2D":
        return (draw(st.integers(1, 5)), 1, draw(st.integers(1, 4))), axes
    if layer == "Conv2D":
        return (draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 4)), draw(st.integers(1, 5))), axes
    return (1, 1, 1), axes


MOST_MACS, MOST_ITEMS, MOST_WEIGHTS = 30_000, 80_000, 12_000  # of a large problem, for the emulated cores' sake
MANY = st.one_of(st.integers(513, 1100), st.sampled_from([1024, 2045, 4096]))  # channels
FAR = st.one_of(st.integers(201, 1000), st.sampled_from([240, 320]))  # from side to side
SIDES = ("height", "width")


def large_axes(draw: Any, layer: str, plain: bool) -> tuple[tuple[int, int, int], list[Any]]:
    """As small_axes(), with something large: sides, channels or strides. What need not be is halved until all is
    affordable."""
    if layer == "Dense":
        many = draw(MANY)
        few = draw(st.integers(1, 2 * MOST_WEIGHTS // many))
        return draw(st.sampled_from([(1, many, few), (1, few, many)])), []
    kinds = ["height", "width", "frame", "stride"][1 if layer == "Correlate1D" else 0 :]
    kinds += {"Conv2D": ["depth", "times"], "DepthwiseConv2D": ["groups", "groups"]}.get(layer, [])
    kind = draw(st.sampled_from(kinds))
    kernel = st.one_of(st.sampled_from([2, 3, 3, 5]), st.integers(1, 15))
    strides = [draw(st.sampled_from([1, 1, 1, 2, 2, 3])) for _ in SIDES]
    if kind == "stride":
        strides[draw(st.sampled_from([0, 1])) if layer != "Correlate1D" else 1] = draw(st.integers(5, 9))
    dilations = [1 if plain else draw(st.sampled_from([1, 1, 2, 3])) for _ in SIDES]
    pads = [draw(st.sampled_from([(0, 0), (0, 0), (1, 1), (0, 1), (2, 3), (4, 0), (7, 7)])) for _ in SIDES]
    size = {
        "kh": draw(kernel),
        "kw": draw(kernel),
        "height": draw(st.integers(1, 40)),
        "width": draw(st.integers(1, 40)),
    }
    size |= {"groups": 1, "depth": 1, "times": 1}
    if layer == "Correlate1D":
        size |= {"kh": 1, "height": 1, "kw": draw(st.sampled_from([3, 8, 17, 50, 129]))}
        strides[0], dilations[0], pads[0] = 1, 1, (0, 0)
    elif layer == "Conv2D":
        size |= {"groups": draw(st.sampled_from([1, 1, 2, 3])), "depth": draw(st.integers(1, 9))}
        size["times"] = draw(st.integers(1, 9))
    elif layer == "DepthwiseConv2D":
        size |= {"groups": draw(st.integers(1, 9)), "times": draw(st.sampled_from([1, 1, 2, 3, 4]))}
    if kind == "frame":
        size["height"], size["width"] = draw(st.sampled_from([(240, 320), (320, 240), (1, 1000)]))
        if layer == "Correlate1D":
            size["height"] = 1
    elif kind != "stride":
        size[kind] = draw(FAR if kind in ("height", "width") else MANY)
    kept = {"frame": {"height", "width"}}.get(kind, {kind})

    def least(axis: int) -> int:
        """The shortest side that the kernel fits in."""
        return max(1, (size[("kh", "kw")[axis]] - 1) * dilations[axis] + 1 - sum(pads[axis]))

    def affordable() -> bool:
        taps = size["kh"] * size["kw"] * size["depth"] * size["times"] * size["groups"]
        items = size["height"] * size["width"] * size["groups"] * size["depth"]
        rows, columns = ((size[SIDES[n]] - least(n)) // strides[n] + 1 for n in (0, 1))
        return rows * columns * taps <= MOST_MACS and items <= MOST_ITEMS and taps <= MOST_WEIGHTS

    while True:
        for axis, side in enumerate(SIDES):
            size[side] = max(size[side], least(axis))
        if affordable():
            break
        spare = [name for name in size if name not in kept and size[name] > 1]
        spare = [name for name in spare if name not in SIDES or size[name] > least(SIDES.index(name))]
        if spare and (kind != "frame" or max(strides) >= 9):
            size[max(spare, key=lambda name: size[name])] //= 2
        else:
            strides = [stride + 1 for stride in strides]
    axes = zip((size["kh"], size["kw"]), (size["height"], size["width"]), strides, dilations, pads, strict=True)
    return (size["groups"], size["depth"], size["times"]), list(axes)


def is_large(problem: Problem) -> bool:
    """Whether a problem has a side over 200, more than 512 channels or a stride over 4."""
    spec = problem.make("portable").spec
    height, width, channels = spec.input_shape
    return max(height, width) > 200 or max(channels, spec.kernel_shape[0]) > 512 or max(spec.stride) > 4


def frame(
    draw: Any, options: dict[str, Any], pitched: bool, height: int, width: int, channels: int
) -> tuple[int, int] | None:
    """Sometimes a pitch: the image is a window of a wider frame, whose shape is returned."""
    if not pitched or draw(st.integers(0, 3)):
        return None
    options["pitch"] = width * channels + draw(st.integers(0, 7))
    return height, options["pitch"]


def scale(draw: Any, options: dict[str, Any], reach: int, outputs: int, exact: bool | None, plain: bool) -> None:
    """Choose out_dtype and a scale that is valid for accumulators up to `reach` in size; a plain one is as most are."""
    if exact or (exact is None and reach < 1 << 31 and draw(st.integers(0, 4)) == 0):
        options["out_dtype"] = "i"
        return
    out = options["out_dtype"] = draw(st.sampled_from("bBhH"))
    lo, hi = LIMITS[out]
    bits = reach.bit_length()
    usual = min(0, 8 * ITEMSIZE[out] - 1 - bits)  # brings the bound to the output's range
    highest = 30
    if draw(st.booleans()):
        accumulator = "int32" if plain else draw(st.sampled_from(["int32", "int64"]))
        if reach >= 1 << 30:
            accumulator = "int64"
        options["accumulator"] = accumulator
        if accumulator == "int32":
            options["rounding"] = draw(st.sampled_from(["double", "single"]))
        multipliers = st.one_of(st.integers(1 << 30, (1 << 31) - 1), st.sampled_from([0, 1, 0x7FFF0000, 0x7FFFFFFF]))
        options["multiplier"] = per_channel(draw, multipliers, outputs)
        highest = 7 if accumulator == "int64" else max(0, 31 - bits)
        usual += 1
    else:
        highest = min(6, 46 - bits)
    near = st.integers(max(-31, usual - 1), min(highest, usual + 3))
    shifts = near if plain else st.one_of(near, near, near, near, near, st.integers(-31, highest))
    options["shift"] = per_channel(draw, shifts, outputs)
    if "multiplier" in options and options["accumulator"] == "int32":
        options["shift"] = [min(s, 31 - bits) if s > 0 else s for s in options["shift"]]
    quarter = (hi - lo) // 4
    middle = st.integers(lo + quarter, hi - quarter)
    options["output_zero_point"] = draw(st.one_of(st.just(0), middle, middle, st.integers(lo, hi)))
    if draw(st.integers(0, 2)) == 0:
        low = draw(st.one_of(st.just(lo), st.integers(lo, hi - quarter)))
        options["activation_min"], options["activation_max"] = low, draw(st.integers(low + quarter // 2, hi))


def per_channel(draw: Any, values: Any, outputs: int) -> list[int]:
    """A value for each output channel; those of many are taken from a few."""
    few = draw(st.lists(values, min_size=min(outputs, 9), max_size=min(outputs, 9)))
    return (few * outputs)[:outputs]
