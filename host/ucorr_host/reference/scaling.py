"""From exact accumulators to outputs: the ways in which TensorFlow Lite scales and rounds.  (eq. 2-8 of DESIGN.md)"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from ucorr.arguments import integer, one_of

from .checks import Ints, array_of, dtype_of, integers, reals, within

__all__ = ["requantize"]


def requantize(
    acc: ArrayLike,
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
    accumulator: str = "int32",
    rounding: str = "double",
    factor: ArrayLike | None = None,
    out_dtype: DTypeLike = np.int8,
) -> Ints:
    """Accumulators to outputs, bit for bit as TFLite's reference kernels do it.  (eq. 2-6, 8)

    acc         integers (..., channels); |acc| * 2**max(shift, 0) < 2**31 with "int32", |acc| < 2**47 with "int64"
    multiplier  0 .. 2**31 - 1, one or one per channel; None is a plain filter: the shift alone, single rounding,
                |acc| * 2**max(shift, 0) < 2**47
    shift       -31..30 (-31..7 with a multiplier and "int64"), positive to the left; None is 0
    rounding    "double", or "single" with a multiplier and "int32": equation 8 in place of 2 and 3
    factor      floats, one or one per channel, in place of multiplier and shift: the product as a double, rounded
                once, halves away from zero, as LiteRT's FULLY_CONNECTED does it; |acc| < 2**53
    out_dtype   8 or 16 bits
    """
    acc = integers("acc", acc)
    if acc.ndim and not acc.shape[-1]:
        raise ValueError(f"acc: shape {acc.shape}, wanted at least one channel")
    if acc.max(initial=0) >= 1 << 63:
        raise ValueError(f"acc: reaches {acc.max()}, wanted less than 2**63")
    acc = acc.astype(np.int64)
    value = _scaled("acc", acc, multiplier, shift, accumulator, rounding, factor)
    return activated(value, output_zero_point, activation_min, activation_max, _narrow("out_dtype", out_dtype))


def _narrow(name: str, value: DTypeLike) -> np.dtype[Any]:
    dtype = dtype_of(name, value)
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        raise ValueError(f"{name}: {dtype}, wanted int8, uint8, int16 or uint16")
    return dtype


def _scaled(
    name: str,
    acc: Ints,
    multiplier: ArrayLike | None,
    shift: ArrayLike | None,
    accumulator: str,
    rounding: str,
    factor: ArrayLike | None,
) -> Ints:
    """The accumulators scaled as the options say, before zero point and range; error messages call them `name`."""
    accumulator = one_of("accumulator", accumulator, ("int32", "int64"))
    rounding = one_of("rounding", rounding, ("single", "double"))
    for word, value in (("multiplier", multiplier), ("shift", shift), ("factor", factor)):
        check_channels(word, value, acc.shape[-1] if acc.ndim else 1)
    if factor is None:
        return _times_integer(name, acc, multiplier, shift, accumulator, rounding)
    if multiplier is not None or shift is not None:
        raise ValueError("factor: came with a multiplier or shift, wanted it in their place")
    reach = _reach(acc, 0)
    if reach >= 1 << 53:
        raise ValueError(f"{name}: reaches {reach} with a factor, wanted less than 2**53")
    return _times_double(acc, factor)


def check_channels(name: str, value: ArrayLike | None, channels: int) -> None:
    """ValueError unless value is None, one number, or one per output channel."""
    if value is not None:
        shape = array_of(name, value).shape
        if shape not in ((), (1,), (channels,)):
            raise ValueError(f"{name}: shape {shape}, wanted one number or {channels} (output channels)")


def _times_integer(
    name: str, acc: Ints, multiplier: ArrayLike | None, shift: ArrayLike | None, accumulator: str, rounding: str
) -> Ints:
    """acc * multiplier * 2**(shift - 31), rounded as asked."""
    wide = multiplier is not None and accumulator == "int64"
    if rounding == "single" and (multiplier is None or wide):
        raise ValueError("rounding: 'single', wanted 'double' without a multiplier or with an int64 accumulator")
    n = within("shift", 0 if shift is None else shift, -31, 7 if wide else 30)
    left = np.maximum(n, 0)
    reach = _reach(acc, 0 if wide else left)
    bits = 31 if multiplier is not None and not wide else 47
    if reach >= 1 << bits:
        raise ValueError(f"{name}: reaches {reach} with its left shift, wanted less than 2**{bits}")
    if multiplier is None:
        return rounding_shift(acc << left, left - n)
    m = within("multiplier", multiplier, 0, (1 << 31) - 1)
    if wide:
        return _scaled64(acc, m, n)
    return (_scaled_single if rounding == "single" else scaled32)(acc << left, m, left - n)


def _times_double(acc: Ints, factor: ArrayLike) -> Ints:
    """acc * factor as a double, rounded as C's round() does."""
    with np.errstate(over="ignore"):  # an infinity is limited like all that is too large
        product = np.clip(acc.astype(np.float64) * reals("factor", factor), -(2.0**62), 2.0**62)
    whole = np.trunc(product)
    return (whole + np.sign(product) * (np.abs(product - whole) >= 0.5)).astype(np.int64)


def activated(value: Ints, zero_point: int, lowest: int | None, highest: int | None, dtype: np.dtype[Any]) -> Ints:
    """value + zero_point in the range of the activation, None: the dtype's; of that dtype.  (eq. 4)"""
    limits = np.iinfo(dtype)
    zero = integer("output_zero_point", zero_point, limits.min, limits.max)
    low = integer("activation_min", limits.min if lowest is None else lowest, limits.min, limits.max)
    high = integer("activation_max", limits.max if highest is None else highest, limits.min, limits.max)
    if low > high:
        raise ValueError(f"activation_min: {low}, wanted at most activation_max {high}")
    return np.clip(value + zero, low, high).astype(dtype)


def _reach(acc: Ints, left: Any) -> int:
    """The largest |acc| * 2**left, left an int or one per channel; in big ints, for it may pass 64 bits."""
    flat = acc.reshape(-1, acc.shape[-1] if acc.ndim else 1).astype(np.int64)
    high, low = flat.max(axis=0, initial=0).astype(object), flat.min(axis=0, initial=0).astype(object)
    return int(np.max(np.maximum(high, -low) << left, initial=0))


def rounding_shift(value: Ints, n: Ints) -> Ints:
    """value / 2**n to nearest, halves away from zero.  (eq. 3)"""
    return (value + ((1 << n) >> 1) - ((value < 0) & (n > 0))) >> n


def scaled32(value: Ints, multiplier: Ints, n: Ints) -> Ints:
    """Equations 2 and 3; |value| < 2**31, so the product stays below 2**62."""
    return rounding_shift((value * multiplier + (1 << 30)) >> 31, n)


def _scaled_single(value: Ints, multiplier: Ints, n: Ints) -> Ints:
    """Equation 8; the product stays below 2**62, and so does its half."""
    return (((value * multiplier) >> (30 + n)) + 1) >> 1


def _scaled64(acc: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """Equations 5 and 6; |acc| < 2**47 and a factor below 2**15 stay below 2**62."""
    factor = np.where(multiplier >= 0x7FFF0000, 0x7FFF, (multiplier + 0x8000) >> 16)
    return (acc * factor + (1 << (14 - shift))) >> (15 - shift)


def to_output(
    acc: Ints,
    dtype: np.dtype[Any],
    bias: ArrayLike | None,
    *,
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    accumulator: str | None = None,
    rounding: str = "double",
    factor: ArrayLike | None = None,
    out_dtype: DTypeLike | None = None,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """Accumulators (..., out) of data of a dtype as the caller wants them: exact, or requantised."""
    if accumulator is None:
        narrow = dtype.itemsize == 1 or (bias is not None and integers("bias", bias).dtype == np.int32)
        accumulator = "int32" if narrow else "int64"
    if multiplier is None and shift is None and factor is None:
        if integer("output_zero_point", output_zero_point, -32768, 65535) or not (
            activation_min is None and activation_max is None
        ):
            raise ValueError(
                "multiplier: None, wanted one, or a shift, with output_zero_point and activation range:"
                " the accumulators are exact without"
            )
        accumulator = one_of("accumulator", accumulator, ("int32", "int64"))
        rounding = one_of("rounding", rounding, ("single", "double"))
        return _exact(acc, dtype_of("out_dtype", accumulator if out_dtype is None else out_dtype))
    accumulator = one_of("accumulator", accumulator, ("int32", "int64"))
    rounding = one_of("rounding", rounding, ("single", "double"))
    check_channels("shift", shift, acc.shape[-1])
    if (accumulator, rounding) == ("int32", "double") and dtype.itemsize == 2 and multiplier is not None:
        up = np.maximum(within("shift", 0 if shift is None else shift, -31, 30), 0)
        acc = np.clip(acc, -(((1 << 31) - 1) >> up), ((1 << 31) - 1) >> up)
    value = _scaled("accumulator", acc, multiplier, shift, accumulator, rounding, factor)
    out = dtype if out_dtype is None else _narrow("out_dtype", out_dtype)
    if out.itemsize > 2:
        raise ValueError(f"x: dtype {out}, wanted 8 or 16 bits, or an out_dtype")
    return activated(value, output_zero_point, activation_min, activation_max, out)


def _exact(acc: Ints, dtype: np.dtype[Any]) -> Ints:
    """Accumulators as a dtype that holds them; ValueError otherwise."""
    if dtype.kind not in "iu":
        raise ValueError(f"out_dtype: {dtype}, wanted integers")
    limits = np.iinfo(dtype)
    for extreme in (int(acc.min(initial=0)), int(acc.max(initial=0))):
        if not limits.min <= extreme <= limits.max:
            raise ValueError(f"out_dtype: {dtype}, wanted one that holds the accumulator {extreme}")
    return acc.astype(dtype, copy=False)
