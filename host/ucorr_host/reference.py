"""The meaning of every layer in NumPy: exact, vectorised, independent of the board's code.

Words and shapes, the same in every function:

    x            integers (..., height, width, channels), any leading batch
    kernel       integers; (out, height, width, in / groups) unless a function says otherwise
    bias         None or integers, one or one per output channel
    stride, dilation   an int or (y, x)
    padding      "valid", "same" (TFLite's: the odd row at the bottom) or ((top, bottom), (left, right))
    border       what a padded tap reads: "constant" (border_value; None: input_zero_point), "edge", "reflect"
    *_zero_point real = scale * (q - zero_point)

Every function takes the words of the output too, as **scale:

    multiplier, shift   ints, one or one per output channel: see `requantize`. Neither: the output is the exact
                        accumulator, int32 or int64 as `accumulator` says
    output_zero_point, activation_min, activation_max   added to the scaled value, then its range
    accumulator  "int32" or "int64": TFLite's requantisation of 8-bit or of 16-bit data; None: "int64" for data
                 wider than 8 bits unless the bias is an int32 array, else "int32"
    out_dtype    of the output; None: that of x, or the accumulator's where it is exact

All raise TypeError for what is not an integer array and ValueError for the rest, naming the argument.

Equation numbers are DESIGN.md's. The sums themselves are taken in exact.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from ucorr.spec import BORDERS, integer, one_of, pair

from .exact import correlate, extent_of

Ints = NDArray[Any]
Pads = tuple[tuple[int, int], tuple[int, int]]


def requantize(
    acc: ArrayLike,
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
    accumulator: str = "int32",
    out_dtype: DTypeLike = np.int8,
) -> Ints:
    """Accumulators to outputs, bit for bit as TFLite's reference kernels do it.  (eq. 2-6)

    acc         integers (..., channels); |acc| * 2**max(shift, 0) < 2**31 with "int32", |acc| < 2**47 with "int64"
    multiplier  0 .. 2**31 - 1, one or one per channel; None is a plain filter: the shift alone, rounded once,
                |acc| * 2**max(shift, 0) < 2**47
    shift       -31..30 (-31..7 with a multiplier and "int64"), positive to the left; None is 0
    out_dtype   8 or 16 bits
    """
    dtype = np.dtype(out_dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        raise ValueError(f"out_dtype: {dtype}, wanted int8, uint8, int16 or uint16")
    one_of("accumulator", accumulator, ("int32", "int64"))
    single = multiplier is not None and accumulator == "int64"
    acc = _integers("acc", acc).astype(np.int64)
    n = _within("shift", 0 if shift is None else shift, -31, 7 if single else 30)
    left = np.maximum(n, 0)
    reach = _reach(acc, 0 if single else left)
    bits = 31 if multiplier is not None and not single else 47
    if reach >= 1 << bits:
        raise ValueError(f"acc: reaches {reach} with its left shift, wanted less than 2**{bits}")
    if multiplier is None:
        value = _rounding_shift(acc << left, left - n)
    else:
        m = _within("multiplier", multiplier, 0, (1 << 31) - 1)
        value = _scaled64(acc, m, n) if single else _scaled32(acc << left, m, left - n)
    limits = np.iinfo(dtype)
    zero = integer("output_zero_point", output_zero_point, limits.min, limits.max)
    low = integer("activation_min", limits.min if activation_min is None else activation_min, limits.min, limits.max)
    high = integer("activation_max", limits.max if activation_max is None else activation_max, limits.min, limits.max)
    if low > high:
        raise ValueError(f"activation_min: {low}, wanted at most activation_max {high}")
    return np.clip(value + zero, low, high).astype(dtype)


def _reach(acc: Ints, left: Any) -> int:
    """The largest |acc| * 2**left, left an int or one per channel; in big ints, for it may pass 64 bits."""
    flat = acc.reshape(-1, acc.shape[-1] if acc.ndim else 1).astype(np.int64)
    high, low = flat.max(axis=0, initial=0).astype(object), flat.min(axis=0, initial=0).astype(object)
    return int(np.max(np.maximum(high, -low) << left, initial=0))


def _rounding_shift(value: Ints, n: Ints) -> Ints:
    """value / 2**n to nearest, halves away from zero.  (eq. 3)"""
    return (value + ((1 << n) >> 1) - ((value < 0) & (n > 0))) >> n


def _scaled32(value: Ints, multiplier: Ints, n: Ints) -> Ints:
    """Equations 2 and 3; |value| < 2**31, so the product stays below 2**62."""
    return _rounding_shift((value * multiplier + (1 << 30)) >> 31, n)


def _scaled64(acc: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """Equations 5 and 6; |acc| < 2**47 and a factor below 2**15 stay below 2**62."""
    factor = np.where(multiplier >= 0x7FFF0000, 0x7FFF, (multiplier + 0x8000) >> 16)
    return (acc * factor + (1 << (14 - shift))) >> (15 - shift)


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
    x, kernel = _integers("x", x, 3), _integers("kernel", kernel, 4, exactly=True)
    stride, dilation = pair("stride", stride, 1, 65535), pair("dilation", dilation, 1, 65535)
    extent = extent_of(kernel.shape[1:3], dilation)
    pads = _pads(padding, x.shape[-3:-1], extent, stride)
    _check_kernel_fits(x.shape[-3:-1], pads, extent)
    outside = 0
    if border_value is not None:
        limits = np.iinfo(x.dtype)
        outside = integer("border_value", border_value, int(limits.min), int(limits.max)) - input_zero_point
    centred = _padded(_centred("x", x, "input_zero_point", input_zero_point), pads, border, outside)
    weights = _centred("kernel", kernel, "kernel_zero_point", kernel_zero_point)
    acc = _accumulators(centred, weights, bias, stride, dilation, groups)
    return _output(acc, x.dtype, bias, **scale)


def depthwise_conv2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **words: Any) -> Ints:
    """Depthwise layer, TFLite's DEPTHWISE_CONV_2D: output channel c*m + n reads input channel c alone.

    x (..., height, width, channels), kernel (1, kh, kw, channels * m) -> (..., height', width', channels * m);
    words as conv2d's, without groups
    """
    x, kernel = _integers("x", x, 3), _integers("kernel", kernel, 4, exactly=True)
    channels = x.shape[-1]
    if kernel.shape[0] != 1 or kernel.shape[3] % channels:
        raise ValueError(f"kernel: shape {kernel.shape}, wanted (1, height, width, a multiple of {channels})")
    return conv2d(x, np.moveaxis(kernel, 3, 0).reshape(-1, *kernel.shape[1:3], 1), bias, groups=channels, **words)


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
    x, kernel = _integers("x", x, 3), _integers("kernel", kernel, 4, exactly=True)
    steps = pair("stride", stride, 1, 65535)
    centred = _centred("x", x, "input_zero_point", input_zero_point)
    batch, (height, width, channels) = centred.shape[:-3], centred.shape[-3:]
    spread = np.zeros((*batch, (height - 1) * steps[0] + 1, (width - 1) * steps[1] + 1, channels), centred.dtype)
    spread[..., :: steps[0], :: steps[1], :] = centred
    extent = kernel.shape[1:3]
    crops = _crops(padding, extent, steps)
    pads = [(size - 1 - before, size - 1 - after) for size, (before, after) in zip(extent, crops, strict=True)]
    for size, pad, span in zip(spread.shape[-3:-1], pads, extent, strict=True):
        if size + sum(pad) < span:
            raise ValueError(f"padding: {padding!r} leaves no output, wanted to crop less")
    wide = _padded(spread, tuple((max(0, before), max(0, after)) for before, after in pads), "constant", 0)
    rows, columns = (slice(max(0, -before), min(0, after) or None) for before, after in pads)
    wide = wide[..., rows, columns, :]
    flipped = _centred("kernel", kernel, "kernel_zero_point", kernel_zero_point)[:, ::-1, ::-1]
    acc = _accumulators(wide, flipped, bias, (1, 1), (1, 1), 1)
    return _output(acc, x.dtype, bias, **scale)


def dense(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **words: Any) -> Ints:
    """Fully connected layer, TFLite's FULLY_CONNECTED: y[o] = bias[o] + sum of x[n] * k[o, n].

    x (..., in), kernel (out, in) -> (..., out); words: zero points and scale, as conv2d's
    """
    x, kernel = _integers("x", x, 1), _integers("kernel", kernel, 2, exactly=True)
    if x.shape[-1] != kernel.shape[1]:
        raise ValueError(f"x: {x.shape[-1]} items in the last dimension, wanted the kernel's {kernel.shape[1]}")
    return conv2d(x[..., None, None, :], kernel[:, None, None, :], bias, **words)[..., 0, 0, :]


def dense_image(x: ArrayLike, weights: ArrayLike, bias: ArrayLike | None = None) -> Ints:
    """The general layer on an image: H[i, j] = U[i, j] + sum over k, l of W[i, j, k, l] * X[k, l].  (eq. a)

    x (..., height, width), weights W (height', width', height, width), bias U (height', width') or one
    int -> exact int64 accumulators (..., height', width')
    """
    x, weights = _integers("x", x, 2), _integers("weights", weights, 4, exactly=True)
    if x.shape[-2:] != weights.shape[2:]:
        raise ValueError(f"x: shape {x.shape}, wanted {weights.shape[2:]} last, as the weights")
    hidden, pixels = weights.shape[:2], weights.shape[2] * weights.shape[3]
    if bias is not None:
        bias = np.broadcast_to(_integers("bias", bias), hidden).reshape(-1)
    flat = dense(x.reshape(*x.shape[:-2], pixels), weights.reshape(-1, pixels), bias, accumulator="int64")
    return flat.reshape(*x.shape[:-2], *hidden)


def correlate2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **words: Any) -> Ints:
    """Image filter: y[i, j] = bias + sum of x[i*sy + a*dy - top, j*sx + b*dx - left] * k[a, b].  (eq. c)

    x (..., height, width), kernel (kh, kw) -> (..., height', width'); words as conv2d's, border_value 0 unless given
    """
    x, kernel = _integers("x", x, 2), _integers("kernel", kernel, 2, exactly=True)
    words.setdefault("border_value", 0)
    return conv2d(x[..., None], kernel[None, :, :, None], bias, **words)[..., 0]


def convolve2d(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, **words: Any) -> Ints:
    """True convolution: correlate2d with the kernel flipped in both directions."""
    return correlate2d(x, _integers("kernel", kernel, 2, exactly=True)[::-1, ::-1], bias, **words)


def correlate1d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: Any = "valid",
    dilation: int = 1,
    **words: Any,
) -> Ints:
    """Signal filter: y[j] = bias + sum of x[j*stride + b*dilation - left] * k[b].

    x (..., length), kernel (taps,) -> (..., length'); stride and dilation are ints, padding may be (left, right)
    """
    x, kernel = _integers("x", x, 1), _integers("kernel", kernel, 1, exactly=True)
    if not isinstance(padding, str):
        padding = ((0, 0), pair("padding", padding, 0, 65535))
    words.update(stride=(1, stride), dilation=(1, dilation), padding=padding)
    return correlate2d(x[..., None, :], kernel[None, :], bias, **words)[..., 0, :]


def _integers(name: str, value: ArrayLike, ndim: int = 0, exactly: bool = False) -> Ints:
    """value as an integer array of at least, or exactly, ndim dimensions, none of the last ndim empty."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: dtype {array.dtype}, wanted integers")
    if array.ndim < ndim or (exactly and array.ndim != ndim):
        raise ValueError(f"{name}: {array.ndim} dimensions, wanted {ndim}{'' if exactly else ' or more'}")
    if ndim and 0 in array.shape[-ndim:]:
        raise ValueError(f"{name}: shape {array.shape}, wanted no empty dimension")
    return array


def _within(name: str, value: ArrayLike, low: int, high: int) -> Ints:
    """Per-channel integers as int64, each within low..high."""
    array = _integers(name, value).astype(np.int64)
    for extreme in (array.min(), array.max()):
        integer(name, int(extreme), low, high)
    return array


def _centred(name: str, values: Ints, zero_name: str, zero_point: int) -> Ints:
    """values - zero_point, in int32 for up to 16 bits and in int64 for more."""
    limits = np.iinfo(values.dtype)
    integer(zero_name, zero_point, int(limits.min), int(limits.max))
    if values.dtype.itemsize <= 2:
        return values.astype(np.int32) - zero_point
    reach = max(int(values.max(initial=0)), -int(values.min(initial=0))) + abs(zero_point)
    if reach >= 1 << 62:
        raise ValueError(f"{name}: reaches {reach} with its zero point, wanted less than 2**62")
    values = values.astype(np.int64, copy=False)
    return values - zero_point if zero_point else values


def _pads(padding: Any, size: tuple[int, ...], extent: tuple[int, int], stride: tuple[int, int]) -> Pads:
    """((top, bottom), (left, right)) of a padding in words or numbers."""
    if not isinstance(padding, str):
        try:
            vertical, horizontal = padding
        except (TypeError, ValueError):
            raise TypeError(f"padding: {padding!r}, wanted 'valid', 'same' or ((t, b), (l, r))") from None
        return pair("padding", vertical, 0, 65535), pair("padding", horizontal, 0, 65535)
    one_of("padding", padding, ("valid", "same"))
    total = (0, 0)
    if padding == "same":  # outputs = ceil(size / stride)
        last = [(n - 1) // step * step for n, step in zip(size, stride, strict=True)]
        total = (max(0, last[0] + extent[0] - size[0]), max(0, last[1] + extent[1] - size[1]))
    return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)


def _crops(padding: Any, extent: tuple[int, ...], stride: tuple[int, int]) -> Pads:
    """What a transposed layer crops; negative where it adds rows."""
    if not isinstance(padding, str):
        far = 1 << 24
        return pair("padding", padding[0], -far, far), pair("padding", padding[1], -far, far)
    one_of("padding", padding, ("valid", "same"))
    if padding == "valid":
        return (0, 0), (0, 0)
    tops = [max(0, size - step) // 2 for size, step in zip(extent, stride, strict=True)]
    return (tops[0], extent[0] - stride[0] - tops[0]), (tops[1], extent[1] - stride[1] - tops[1])


def _check_kernel_fits(size: tuple[int, ...], pads: Pads, extent: tuple[int, int]) -> None:
    for n, pad, span in zip(size, pads, extent, strict=True):
        if n + sum(pad) < span:
            raise ValueError(f"kernel: spans {span} with dilation, wanted at most the padded size {n + sum(pad)}")


def _padded(x: Ints, pads: tuple[tuple[int, int], ...], border: str, value: int) -> Ints:
    """x (..., height, width, channels) with its border around it."""
    one_of("border", border, BORDERS)
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
    integer("groups", groups, 1, channels)
    if channels != depth * groups or outputs % groups:
        raise ValueError(
            f"kernel: {depth} input and {outputs} output channels in {groups} groups, wanted groups of the input's"
            f" {channels} that divide the outputs"
        )
    samples = x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])  # -1 would not do for an empty batch
    acc = correlate(samples, kernel, stride, dilation, groups)
    if bias is not None:
        bias = _integers("bias", bias)
        if bias.shape not in ((), (1,), (outputs,)):
            raise ValueError(f"bias: shape {bias.shape}, wanted one integer or {outputs} (output channels)")
        reach = max(int(acc.max(initial=0)), -int(acc.min(initial=0)))
        if reach + max(abs(int(bias.min())), abs(int(bias.max()))) >= 1 << 63:
            raise ValueError(f"bias: with it accumulators of {reach} can pass 64 bits, wanted less than 2**63")
        acc += bias.astype(np.int64)
    return acc.reshape(*x.shape[:-3], *acc.shape[1:])


def _output(
    acc: Ints,
    dtype: np.dtype[Any],
    bias: ArrayLike | None,
    *,
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    accumulator: str | None = None,
    out_dtype: DTypeLike | None = None,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """Accumulators (..., out) of data of a dtype as the caller wants them: exact, or requantised."""
    if accumulator is None:
        narrow = dtype.itemsize == 1 or (bias is not None and np.asarray(bias).dtype == np.int32)
        accumulator = "int32" if narrow else "int64"
    channels = acc.shape[-1]
    if multiplier is None and shift is None:
        if output_zero_point != 0 or activation_min is not None or activation_max is not None:
            raise ValueError(
                "multiplier: None, wanted one, or a shift, with output_zero_point and activation range:"
                " the accumulators are exact without"
            )
        one_of("accumulator", accumulator, ("int32", "int64"))
        return _exact(acc, np.dtype(accumulator if out_dtype is None else out_dtype))
    for name, value in (("multiplier", multiplier), ("shift", shift)):
        if value is not None and np.shape(value) not in ((), (1,), (channels,)):
            raise ValueError(f"{name}: shape {np.shape(value)}, wanted one integer or {channels} (output channels)")
    return requantize(
        acc,
        multiplier,
        shift,
        output_zero_point=output_zero_point,
        activation_min=activation_min,
        activation_max=activation_max,
        accumulator=accumulator,
        out_dtype=dtype if out_dtype is None else out_dtype,
    )


def _exact(acc: Ints, dtype: np.dtype[Any]) -> Ints:
    """Accumulators as a dtype that holds them; ValueError otherwise."""
    if dtype.kind not in "iu":
        raise ValueError(f"out_dtype: {dtype}, wanted integers")
    limits = np.iinfo(dtype)
    for extreme in (int(acc.min(initial=0)), int(acc.max(initial=0))):
        if not limits.min <= extreme <= limits.max:
            raise ValueError(f"out_dtype: {dtype}, wanted one that holds the accumulator {extreme}")
    return acc.astype(dtype, copy=False)
