"""The layers with weights, and the filters: equations (a) to (d) of DESIGN.md; the sums are taken in exact.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from ucorr.arguments import integer, items_of, one_of, pair, refused
from ucorr.spec import BORDERS, MOST_PAD

from .checks import Ints, centre, integers
from .exact import correlate, extent_of
from .scaling import to_output

__all__ = [
    "conv2d",
    "convolve2d",
    "correlate1d",
    "correlate2d",
    "dense",
    "dense_image",
    "depthwise_conv2d",
    "transpose_conv2d",
]

Pads = tuple[tuple[int, int], tuple[int, int]]


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Any = (1, 1),
    padding: Any = "valid",
    dilation: Any = (1, 1),
    groups: int = 1,
    border: str = "constant",
    border_value: int | None = None,
    input_zero_point: int = 0,
    kernel_zero_point: int = 0,
    **scale: Any,
) -> Ints:
    """Convolutional layer, TFLite's CONV_2D: equation (d) of DESIGN.md.

    x (..., height, width, channels), kernel (out, kh, kw, channels / groups) -> (..., height', width', out)
    """
    x, kernel = integers("x", x, 3), integers("kernel", kernel, 4, exactly=True)
    stride, dilation = pair("stride", stride, 1, 65535), pair("dilation", dilation, 1, 65535)
    extent = extent_of(kernel.shape[1:3], dilation)
    pads = pads_of(padding, x.shape[-3:-1], extent, stride)
    check_kernel_fits("kernel", x.shape[-3:-1], pads, extent)
    outside = 0
    if border_value is not None:
        limits = np.iinfo(x.dtype)
        zero_point = integer("input_zero_point", input_zero_point, limits.min, limits.max)
        outside = integer("border_value", border_value, limits.min, limits.max) - zero_point
    centred = _padded(centre("x", x, "input_zero_point", input_zero_point), pads, border, outside)
    weights = centre("kernel", kernel, "kernel_zero_point", kernel_zero_point)
    acc = _accumulators(centred, weights, bias, stride, dilation, groups)
    return to_output(acc, x.dtype, bias, **scale)


def depthwise_conv2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Ints:
    """Depthwise layer, TFLite's DEPTHWISE_CONV_2D: output channel c*m + n reads input channel c alone.

    x (..., height, width, channels), kernel (1, kh, kw, channels * m) -> (..., height', width', channels * m);
    options as conv2d's, without groups
    """
    x, kernel = integers("x", x, 3), integers("kernel", kernel, 4, exactly=True)
    channels = x.shape[-1]
    if kernel.shape[0] != 1 or kernel.shape[3] % channels:
        raise ValueError(f"kernel: shape {kernel.shape}, wanted (1, height, width, a multiple of {channels})")
    return conv2d(x, np.moveaxis(kernel, 3, 0).reshape(-1, *kernel.shape[1:3], 1), bias, groups=channels, **options)


def transpose_conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Any = (1, 1),
    padding: Any = "valid",
    input_zero_point: int = 0,
    kernel_zero_point: int = 0,
    **scale: Any,
) -> Ints:
    """Transposed layer, TFLite's TRANSPOSE_CONV: each input item adds its multiple of the kernel to the output.

    x (..., height, width, channels), kernel (out, kh, kw, channels) -> (..., height', width', out) with
    height' = (height - 1)*stride + kh - top - bottom: padding is what is cropped, negative where only the bias
    stands. "valid" crops nothing; "same" gives height * stride, the odd row cropped at the bottom.

    It is the cross-correlation of x, spread by the stride, with the flipped kernel.
    """
    x, kernel = integers("x", x, 3), integers("kernel", kernel, 4, exactly=True)
    steps = pair("stride", stride, 1, 65535)
    centred = centre("x", x, "input_zero_point", input_zero_point)
    batch, (height, width, channels) = centred.shape[:-3], centred.shape[-3:]
    spread = np.zeros((*batch, (height - 1) * steps[0] + 1, (width - 1) * steps[1] + 1, channels), centred.dtype)
    spread[..., :: steps[0], :: steps[1], :] = centred
    extent = kernel.shape[1:3]
    crops = _crops(padding, extent, steps)
    pads = [(size - 1 - before, size - 1 - after) for size, (before, after) in zip(extent, crops, strict=True)]
    for size, pad, span in zip(spread.shape[-3:-1], pads, extent, strict=True):
        if size + sum(pad) < span:
            raise ValueError(f"padding: {crops} leaves no output, wanted to crop less")
    wide = _padded(spread, tuple((max(0, before), max(0, after)) for before, after in pads), "constant", 0)
    rows, columns = (slice(max(0, -before), min(0, after) or None) for before, after in pads)
    wide = wide[..., rows, columns, :]
    flipped = centre("kernel", kernel, "kernel_zero_point", kernel_zero_point)[:, ::-1, ::-1]
    acc = _accumulators(wide, flipped, bias, (1, 1), (1, 1), 1)
    return to_output(acc, x.dtype, bias, **scale)


def dense(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Ints:
    """Fully connected layer, TFLite's FULLY_CONNECTED: y[o] = bias[o] + sum of x[n] * k[o, n].

    x (..., in), kernel (out, in) -> (..., out); options: zero points and scale, as conv2d's
    """
    x, kernel = integers("x", x, 1), integers("kernel", kernel, 2, exactly=True)
    if x.shape[-1] != kernel.shape[1]:
        raise ValueError(f"x: {x.shape[-1]} items in the last dimension, wanted the kernel's {kernel.shape[1]}")
    return conv2d(x[..., None, None, :], kernel[:, None, None, :], bias, **options)[..., 0, 0, :]


def dense_image(x: ArrayLike, weights: ArrayLike, bias: ArrayLike | None = None) -> Ints:
    """The general layer on an image: H[i, j] = U[i, j] + sum over k, l of W[i, j, k, l] * X[k, l].  (eq. a)

    x (..., height, width), weights W (height', width', height, width), bias U (height', width') or one
    int -> exact int64 accumulators (..., height', width')
    """
    x, weights = integers("x", x, 2), integers("weights", weights, 4, exactly=True)
    if x.shape[-2:] != weights.shape[2:]:
        raise ValueError(f"x: shape {x.shape}, wanted {weights.shape[2:]} last, as the weights")
    hidden, pixels = weights.shape[:2], weights.shape[2] * weights.shape[3]
    if bias is not None:
        bias = integers("bias", bias)
        if bias.shape not in ((), hidden):
            raise ValueError(f"bias: shape {bias.shape}, wanted one integer or {hidden}")
        bias = np.broadcast_to(bias, hidden).reshape(-1)
    flat = dense(x.reshape(*x.shape[:-2], pixels), weights.reshape(-1, pixels), bias, accumulator="int64")
    return flat.reshape(*x.shape[:-2], *hidden)


def correlate2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Ints:
    """Image filter: y[i, j] = bias + sum of x[i*sy + a*dy - top, j*sx + b*dx - left] * k[a, b].  (eq. c)

    x (..., height, width), kernel (kh, kw) -> (..., height', width'); options as conv2d's, border_value 0 unless given
    """
    x, kernel = integers("x", x, 2), integers("kernel", kernel, 2, exactly=True)
    options.setdefault("border_value", 0)
    return conv2d(x[..., None], kernel[None, :, :, None], bias, **options)[..., 0]


def convolve2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Ints:
    """True convolution: correlate2d with the kernel flipped in both directions."""
    return correlate2d(x, integers("kernel", kernel, 2, exactly=True)[::-1, ::-1], bias, **options)


def correlate1d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: Any = "valid",
    dilation: int = 1,
    **options: Any,
) -> Ints:
    """Signal filter: y[j] = bias + sum of x[j*stride + b*dilation - left] * k[b].

    x (..., length), kernel (taps,) -> (..., length'); stride and dilation are ints, padding may be (left, right)
    """
    x, kernel = integers("x", x, 1), integers("kernel", kernel, 1, exactly=True)
    if not isinstance(padding, str):
        padding = ((0, 0), pair("padding", padding, 0, MOST_PAD))
    options["stride"] = 1, integer("stride", stride, 1, 65535)
    options["dilation"] = 1, integer("dilation", dilation, 1, 65535)
    options["padding"] = padding
    return correlate2d(x[..., None, :], kernel[None, :], bias, **options)[..., 0, :]


def pads_of(padding: Any, size: tuple[int, ...], extent: tuple[int, int], stride: tuple[int, int]) -> Pads:
    """((top, bottom), (left, right)) of a padding in options or numbers."""
    if not isinstance(padding, str):
        return _pads(padding, 0, MOST_PAD)
    padding = one_of("padding", padding, ("valid", "same"))
    total = (0, 0)
    if padding == "same":  # outputs = ceil(size / stride)
        last = [(n - 1) // step * step for n, step in zip(size, stride, strict=True)]
        total = (max(0, last[0] + extent[0] - size[0]), max(0, last[1] + extent[1] - size[1]))
        most = (max(total) + 1) // 2
        if most > MOST_PAD:
            raise ValueError(f"padding: 'same' is {most} on a side, wanted at most {MOST_PAD}")
    return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)


def _pads(padding: Any, low: int, high: int) -> Pads:
    sides = items_of(padding)
    if sides is None or len(sides) != 2:
        raise refused("padding", padding, "'valid', 'same' or ((top, bottom), (left, right))")
    return pair("padding", sides[0], low, high), pair("padding", sides[1], low, high)


def _crops(padding: Any, extent: tuple[int, ...], stride: tuple[int, int]) -> Pads:
    """What a transposed layer crops; negative where it adds rows."""
    if not isinstance(padding, str):
        return _pads(padding, -(1 << 24), 1 << 24)
    padding = one_of("padding", padding, ("valid", "same"))
    if padding == "valid":
        return (0, 0), (0, 0)
    tops = [max(0, size - step) // 2 for size, step in zip(extent, stride, strict=True)]
    return (tops[0], extent[0] - stride[0] - tops[0]), (tops[1], extent[1] - stride[1] - tops[1])


def check_kernel_fits(name: str, size: tuple[int, ...], pads: Pads, extent: tuple[int, int]) -> None:
    for n, pad, span in zip(size, pads, extent, strict=True):
        if n + sum(pad) < span:
            raise ValueError(f"{name}: spans {span} with dilation, wanted at most the padded size {n + sum(pad)}")


def _padded(x: Ints, pads: tuple[tuple[int, int], ...], border: str, value: int) -> Ints:
    """x (..., height, width, channels) with its border around it."""
    border = one_of("border", border, BORDERS)
    if border == "reflect" and any(max(pad) >= n for pad, n in zip(pads, x.shape[-3:-1], strict=True)):
        raise ValueError(f"padding: {pads}, wanted less than the size {x.shape[-3:-1]} to reflect")
    if not any(map(any, pads)):
        return x
    widths = [(0, 0)] * (x.ndim - 3) + [*pads, (0, 0)]
    if border == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, mode="edge" if border == "edge" else "reflect")


def _accumulators(
    x: Ints, kernel: Ints, bias: ArrayLike | None, stride: tuple[int, int], dilation: tuple[int, int], groups: int
) -> Ints:
    """Exact accumulators, int64: padded x (..., height, width, channels), kernel (out, kh, kw, channels / groups)."""
    channels, (outputs, *_, depth) = x.shape[-1], kernel.shape
    groups = integer("groups", groups, 1, channels)
    if channels != depth * groups or outputs % groups:
        raise ValueError(
            f"kernel: {depth} input and {outputs} output channels in {groups} groups, wanted groups of the input's"
            f" {channels} that divide the outputs"
        )
    samples = x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])  # -1 would not do for an empty batch
    acc = correlate(samples, kernel, stride, dilation, groups)
    if bias is not None:
        bias = integers("bias", bias)
        if bias.shape not in ((), (1,), (outputs,)):
            raise ValueError(f"bias: shape {bias.shape}, wanted one integer or {outputs} (output channels)")
        reach = max(int(acc.max(initial=0)), -int(acc.min(initial=0)))
        if reach + max(abs(int(bias.min())), abs(int(bias.max()))) >= 1 << 63:
            raise ValueError(f"bias: with it accumulators of {reach} can pass 64 bits, wanted less than 2**63")
        acc += bias.astype(np.int64)
    return acc.reshape(*x.shape[:-3], *acc.shape[1:])
