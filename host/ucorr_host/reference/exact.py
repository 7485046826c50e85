"""Exact integer sums at the speed of BLAS: grouped cross-correlation of padded, centred integers.

BLAS multiplies floats only. A float holds every integer up to 2**(bits of its mantissa), so while
a bound proves that no partial sum exceeds that, float sums are exact in any order. Larger
sums are taken in int64; sums that can exceed 63 bits raise ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
Pair = tuple[int, int]
PATCHES = 1 << 22  # items of a matrix of windows: 16 or 32 MB
PLANE = 1 << 14  # items of a sum of planes: it stays in the cache while the taps are added to it
FEW = 4  # output channels per input channel up to which adding planes beats a matrix product


def correlate(x: Ints, kernel: Ints, stride: Pair, dilation: Pair, groups: int) -> Ints:
    """Accumulators without bias, int64: the sum over a, b, c of x[n, i*sy + a*dy, j*sx + b*dx, c] * k[o, a, b, c].

    x       integers (samples, height, width, channels), zero point taken off, padding there
    kernel  integers (out, kh, kw, channels / groups), zero point taken off; it fits into x
    returns (samples, height', width', out)
    raises  ValueError where a sum can pass 63 bits
    """
    outputs, kh, kw, depth = kernel.shape
    dtype = _summing_type(x, kernel)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(dtype), extent_of((kh, kw), dilation), axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    samples, rows, columns = windows.shape[:3]
    windows = windows.reshape(samples, rows, columns, groups, depth, kh, kw)
    out = np.empty((samples, rows, columns, groups, outputs // groups), np.int64)
    fill = _add_planes if depth == 1 and outputs // groups <= FEW else _multiply_patches
    fill(windows, kernel.astype(dtype).reshape(groups, outputs // groups, kh, kw, depth), out)
    return out.reshape(samples, rows, columns, outputs)


def extent_of(size: tuple[int, ...], dilation: Pair) -> Pair:
    """Rows and columns that a dilated kernel spans."""
    return (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1


def _summing_type(x: Ints, kernel: Ints) -> type[np.generic]:
    """A type in which every partial sum of x times kernel is exact: |sum| <= max|x| * sum|k|."""
    largest = max(int(x.max(initial=0)), -int(x.min(initial=0)))
    weights = kernel.reshape(len(kernel), -1)
    if weights.shape[1] * max(int(weights.max()), -int(weights.min())) >= 1 << 63:
        raise ValueError("kernel: its weights can sum to 2**63, wanted less")
    reach = largest * max(1, int(np.abs(weights.astype(np.int64)).sum(axis=1).max()))
    if reach < 1 << 24:
        return np.float32
    if reach < 1 << 53:
        return np.float64
    if reach < 1 << 63:
        return np.int64
    raise ValueError(f"kernel: an accumulator can reach {reach}, wanted less than 2**63")


def _add_planes(windows: Ints, kernel: Ints, out: Ints) -> None:
    """One input channel per group: planes of shifted images times one weight each, added tap by tap.

    windows (samples, rows, columns, groups, depth, kh, kw), kernel (groups, out per group, kh, kw, depth)
    out     (samples, rows, columns, groups, out per group)
    """
    kh, kw = kernel.shape[2:4]
    for block in _blocks(windows.shape, windows.shape[2] * windows.shape[3], PLANE):
        part = windows[block]
        acc, term = np.empty((2, *part.shape[:4]), windows.dtype)
        for m in range(kernel.shape[1]):
            acc.fill(0)
            for a, b in np.ndindex(kh, kw):
                acc += np.multiply(part[..., 0, a, b], kernel[:, m, a, b, 0], out=term)
            out[block][..., m] = acc


def _multiply_patches(windows: Ints, kernel: Ints, out: Ints) -> None:
    """Any number of channels: windows as rows of a matrix, times the kernel as columns, group by group; parameters as
    _add_planes'."""
    groups, outputs = kernel.shape[:2]
    taps = kernel[0, 0].size
    columns = kernel.reshape(groups, outputs, taps).transpose(0, 2, 1)
    for block in _blocks(windows.shape, windows.shape[2] * groups * taps, PATCHES):
        part = windows[block]
        patches = part.transpose(3, 0, 1, 2, 5, 6, 4).reshape(groups, -1, taps)
        out[block] = np.moveaxis((patches @ columns).reshape(groups, *part.shape[:3], outputs), 0, 3)


def _blocks(shape: tuple[int, ...], row: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Slices of samples and rows, `row` items a row, of at most `most` items where a row is not more."""
    samples, rows = shape[:2]
    many = max(1, most // (row * rows))
    few = max(1, most // row)
    for n in range(0, samples, many):
        for i in range(0, rows, few):
            yield slice(n, n + many), slice(i, i + few)
