"""Exact integer sums at the speed of BLAS: grouped cross-correlation of padded, centred integers.

BLAS multiplies floats only. A float holds every integer up to 2**(bits of its mantissa), so as long
as a bound proves that no partial sum passes that, float sums are exact in whatever order they
are taken; beyond, the sums are int64, and beyond those the problem is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
Pair = tuple[int, int]
BLOCK = 1 << 22  # items of a patch matrix: 16 or 32 MB
FEW = 4  # output channels per input channel up to which adding whole planes beats a matrix product


def correlate(x: Ints, kernel: Ints, stride: Pair, dilation: Pair, groups: int) -> Ints:
    """Accumulators without bias, int64: the sum over a, b, c of x[n, i*sy + a*dy, j*sx + b*dx, c] * k[o, a, b, c].

    x       integers (samples, height, width, channels), zero point taken off, padding there
    kernel  integers (out, kh, kw, channels / groups), zero point taken off; it fits into x
    returns (samples, height', width', out)
    raises  ValueError where a sum can pass 63 bits
    """
    dtype = _summing_type(x, kernel)
    add = _add_planes if kernel.shape[3] == 1 and len(kernel) // groups <= FEW else _multiply_patches
    return add(x.astype(dtype), kernel.astype(dtype), stride, dilation, groups).astype(np.int64)


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


def _add_planes(x: Ints, kernel: Ints, stride: Pair, dilation: Pair, groups: int) -> Ints:
    """One input channel per group: shifted images times one weight each, added tap by tap."""
    _, kh, kw, _ = kernel.shape
    (sy, sx), (dy, dx) = stride, dilation
    rows = (x.shape[1] - extent_of((kh, kw), dilation)[0]) // sy + 1
    columns = (x.shape[2] - extent_of((kh, kw), dilation)[1]) // sx + 1
    parts = []
    for weights in kernel[..., 0].reshape(groups, -1, kh, kw).transpose(1, 2, 3, 0):  # (kh, kw, groups)
        acc = np.zeros((len(x), rows, columns, groups), x.dtype)
        term = np.empty_like(acc)
        for a, b in np.ndindex(kh, kw):
            plane = x[:, a * dy : a * dy + rows * sy : sy, b * dx : b * dx + columns * sx : sx]
            acc += np.multiply(plane[:, :rows, :columns], weights[a, b], out=term)
        parts.append(acc)
    return parts[0] if len(parts) == 1 else np.stack(parts, -1).reshape(len(x), rows, columns, len(kernel))


def _multiply_patches(x: Ints, kernel: Ints, stride: Pair, dilation: Pair, groups: int) -> Ints:
    """Any channels: every window as a row of a matrix, times the kernel as columns, group by group."""
    outputs, kh, kw, depth = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, extent_of((kh, kw), dilation), axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    samples, rows, columns = windows.shape[:3]
    windows = windows.reshape(samples, rows, columns, groups, depth, kh, kw).transpose(3, 0, 1, 2, 5, 6, 4)
    weights = kernel.reshape(groups, -1, kh * kw * depth).transpose(0, 2, 1)
    out = np.empty((samples, rows, columns, groups, outputs // groups), x.dtype)
    for n, i in _blocks(samples, rows, columns * kh * kw * depth * groups):
        part = windows[:, n, i]
        sums = part.reshape(groups, -1, kh * kw * depth) @ weights
        out[n, i] = np.moveaxis(sums.reshape(*part.shape[:4], -1), 0, 3)
    return out.reshape(samples, rows, columns, outputs)


def _blocks(samples: int, rows: int, row: int) -> Iterator[tuple[slice, slice]]:
    """Slices of samples and rows whose patch matrices, `row` items a row, stay within BLOCK where they can."""
    many = max(1, BLOCK // (row * rows))
    few = max(1, BLOCK // row)
    for n in range(0, samples, many):
        for i in range(0, rows, few):
            yield slice(n, n + many), slice(i, i + few)
