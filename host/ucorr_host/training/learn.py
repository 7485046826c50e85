"""The kernel that best maps example inputs to example outputs: least squares over patches, then integers.

Each output position gives one equation per output channel, y = bias + sum of patch * kernel. With the patches as rows a
of a matrix, the sums of a*a', a*y, a and y say everything about the squared error, so they are added up block by block,
and what is solved has as many unknowns as the kernel has weights, however large the images are:

    G = sum a a' - (sum a)(sum a)' / n,  c = sum a y' - (sum a)(sum y)' / n,  G k = c,  bias = (sum y - (sum a)' k) / n

(without a bias the products of sums are absent). Items are taken less a whole number near their mean first; of integers
all sums are then small and exact. Eigenvectors of G whose eigenvalue is negligible beside the greatest are directions
that no patch has: k has no component along them, which is the solution of minimum norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import flag, pair

from ..quantize import bits_of, quantize_kernel
from ..reference.checks import array_of, reals
from ..reference.layers import Pads, pads_of

Floats = NDArray[np.float64]
Ints = NDArray[Any]
ITEMS = 1 << 20  # of a block of patches: 8 MB
MOST_BIAS = 2**31 - 1
MOST_SHIFT = 30
MOST = 2.0**60  # of x and y: what is computed of them stays within floats
COARSER = 7  # shifts above the finest that are tried: down to weights of one bit


@dataclass(frozen=True, eq=False)
class Learned:
    """A kernel that was found.

    kernel       float32 (kh, kw), with channels (out, kh, kw, in): of least squared error
    bias         float32, one or (out,); 0 where none was asked for
    ints, shift  the kernel as a filter has it, kernel ~ ints * 2**shift; of int8 or int16 as bits says
    bias_ints    the bias in steps of 2**shift, as Correlate2D's and reference.conv2d's `bias` takes it
    padding      ((top, bottom), (left, right)) that the shapes of x and y tell
    rank         of the patches, `unknowns` at most; below it they do not determine the kernel
    unknowns     weights of the kernel for one output channel
    float_error  the greatest |y - predicted| of kernel and bias
    worst_error  that of the integers: where x and y are integers, of outputs that are rounded and limited to y's dtype,
                 as a filter does it
    """

    kernel: Floats
    bias: Any
    ints: Ints
    shift: int
    bias_ints: Any
    padding: Pads
    rank: int
    unknowns: int
    float_error: float
    worst_error: float

    @property
    def determined(self) -> bool:
        """Whether no other kernel maps these inputs as well."""
        return self.rank == self.unknowns


def learn_kernel(
    x: ArrayLike,
    y: ArrayLike,
    kernel_shape: Any,
    *,
    padding: Any = None,
    bias: bool = True,
    bits: int = 8,
) -> Learned:
    """The kernel with which cross-correlation maps x to y with the least squared error.

    x, y          integers or real numbers: both (h, w); or both (h, w, channels); or both (samples, h, w, channels)
    kernel_shape  (kh, kw)
    padding       None: "valid" or "same", whichever y's size says; or as reference.conv2d's. Only outputs whose window
                  lies within x are looked at, so that nothing is assumed about the border
    bias          whether a constant may be added
    bits          8 or 16, of the integers
    raises        ValueError or TypeError naming the argument

    Where `rank` is less than `unknowns` the examples leave the kernel open: an image that is the same in every row says
    nothing about the difference of a kernel's rows. Among all kernels with the least error this is the one of minimum
    norm, which spreads a weight evenly over taps that always read the same. It maps such inputs as well as any other,
    but need not be the kernel that made y: show images with more variety, or noise, or ask for a smaller kernel.

    Of the integers that `bits` allow those are taken whose outputs have the least worst error; of equally good ones the
    coarsest, so that weights that are small whole multiples of a power of two come out as those.
    """
    taken_x, taken_y = array_of("x", x), array_of("y", y)
    bias, bits = flag("bias", bias), bits_of(bits)
    grey = taken_x.ndim == 2
    if taken_x.ndim not in (2, 3, 4) or taken_y.ndim != taken_x.ndim:
        raise ValueError(
            f"y: {taken_y.ndim} dimensions beside x's {taken_x.ndim}, wanted both (h, w), (h, w, channels) or"
            " (samples, h, w, channels)"
        )
    inputs, outputs = reals("x", taken_x), reals("y", taken_y)
    for name, values in (("x", inputs), ("y", outputs)):
        reach = float(np.abs(values).max())
        if reach > MOST:
            raise ValueError(f"{name}: reaches {reach:g}, wanted at most 2**60")
    whole = taken_x.dtype.kind in "iub" and taken_y.dtype.kind in "iu"
    if grey:
        inputs, outputs = inputs[..., None], outputs[..., None]
    if inputs.ndim == 3:
        inputs, outputs = inputs[None], outputs[None]
    if len(inputs) != len(outputs):
        raise ValueError(f"y: {len(outputs)} samples, wanted x's {len(inputs)}")
    size = pair("kernel_shape", kernel_shape, 1, 65535)
    pads = _padding(padding, inputs.shape[1:3], outputs.shape[1:3], size)
    examples = _Examples(inputs, _inner(inputs, outputs, size, pads), size)
    solution, constant, rank = examples.solve(bias)
    # float32, as a board's weights; what is nothing beside the greatest is rounding
    kernel = _significant(solution, np.abs(solution).max())
    offset = _significant(constant, np.abs(outputs).max())
    limits = np.iinfo(taken_y.dtype) if whole else None
    shift, ints, steps, float_error, worst_error = _best_integers(examples, kernel, offset, bits, limits)

    def as_kernel(columns: Ints) -> Ints:
        """(taps, out) as the caller's layout."""
        return columns.reshape(*size, inputs.shape[3]) if grey else columns.T.reshape(-1, *size, inputs.shape[3])

    shaped, whole_kernel = as_kernel(kernel), as_kernel(ints.astype(np.int8 if bits == 8 else np.int16))
    return Learned(
        shaped[..., 0] if grey else shaped,
        offset[0] if grey else offset,
        whole_kernel[..., 0] if grey else whole_kernel,
        shift,
        int(steps[0]) if grey else steps.astype(np.int32),
        pads,
        rank,
        len(kernel),
        float_error,
        worst_error,
    )


def _padding(padding: Any, x: tuple[int, ...], y: tuple[int, ...], size: tuple[int, int]) -> Pads:
    """The padding with which a kernel of a size maps images of size x to those of size y."""
    ways = ("valid", "same") if padding is None else (padding,)
    for way in ways:
        pads = pads_of(way, x, size, (1, 1))
        if all(m + sum(pad) - span + 1 == n for m, n, pad, span in zip(x, y, pads, size, strict=True)):
            return pads
    made = " or ".join(
        str(tuple(m + sum(pad) - span + 1 for m, pad, span in zip(x, pads_of(way, x, size, (1, 1)), size, strict=True)))
        for way in ways
    )
    raise ValueError(f"y: size {tuple(y)}, wanted {made} for a kernel of {size} on {tuple(x)}")


def _inner(x: Floats, y: Floats, size: tuple[int, int], pads: Pads) -> Floats:
    """The part of y whose windows lie within x."""
    for extent, span in zip(x.shape[1:3], size, strict=True):
        if extent < span:
            raise ValueError(f"kernel_shape: {size}, wanted at most x's size {x.shape[1:3]}")
    rows, columns = (
        slice(before, before + extent - span + 1)
        for extent, span, (before, _) in zip(x.shape[1:3], size, pads, strict=True)
    )
    return y[:, rows, columns]


class _Examples:
    """x (samples, h, w, channels), y (samples, h - kh + 1, w - kw + 1, out): patches and outputs, block by block."""

    def __init__(self, x: Floats, y: Floats, size: tuple[int, int]) -> None:
        self.middle = float(np.rint(x.mean()))
        self.windows = np.lib.stride_tricks.sliding_window_view(x - self.middle, size, axis=(1, 2))
        self.y = y
        self.taps = size[0] * size[1] * x.shape[3]

    def blocks(self) -> Iterator[tuple[Floats, Floats]]:
        """(patches less the middle (n, taps), their outputs (n, out))"""
        rows = max(1, ITEMS // (self.taps * self.y.shape[2]))
        for sample, outputs in zip(self.windows, self.y, strict=True):
            for i in range(0, len(outputs), rows):
                patches = sample[i : i + rows].transpose(0, 1, 3, 4, 2)
                yield patches.reshape(-1, self.taps), outputs[i : i + rows].reshape(-1, outputs.shape[2])

    def solve(self, bias: bool) -> tuple[Floats, Floats, int]:
        """(kernel (taps, out), bias (out,), rank)"""
        outputs = self.y.shape[3]
        n, gram, first = 0, np.zeros((self.taps, self.taps)), np.zeros(self.taps)
        right, total = np.zeros((self.taps, outputs)), np.zeros(outputs)
        for patches, y in self.blocks():
            if not bias:
                patches = patches + self.middle
            n += len(patches)
            gram += patches.T @ patches
            right += patches.T @ y
            first += patches.sum(axis=0)
            total += y.sum(axis=0)
        if bias:
            gram -= np.outer(first, first) / n
            right -= np.outer(first, total) / n
        values, vectors = np.linalg.eigh(gram)
        seen = values > 64 * self.taps * np.finfo(float).eps * values[-1]
        inverse = np.where(seen, 1 / np.where(seen, values, 1), 0)
        kernel = vectors @ (inverse[:, None] * (vectors.T @ right))
        offset = np.zeros(outputs)
        if bias:
            offset = (total - first @ kernel) / n - self.middle * kernel.sum(axis=0)
        return kernel, offset, int(seen.sum())


def _whole(values: NDArray[Any], shift: int) -> Floats:
    """values / 2**shift to nearest, halves away from zero."""
    steps = values.astype(np.float64) * 2.0**-shift
    return np.copysign(np.floor(np.abs(steps) + 0.5), steps) + 0.0  # no -0


def _significant(values: Floats, scale: float) -> NDArray[np.float32]:
    """values as float32, 0 where they are under 2**-26 of a scale."""
    return np.where(np.abs(values) < 2.0**-26 * scale, 0, values).astype(np.float32)


def _best_integers(
    examples: _Examples, kernel: NDArray[Any], offset: NDArray[Any], bits: int, limits: Any
) -> tuple[int, Floats, Floats, float, float]:
    """(shift, kernel and bias in steps of 2**shift, the floats' greatest error, the integers').

    Tried are all shifts that leave the kernel bits, each with the bias and without. The least greatest error wins, then
    the least squared error, then the coarser shift, then no bias.
    limits  of y where outputs are rounded to integers, else None
    """
    limit, steepest, most = (1 << (bits - 1)) - 1, float(np.abs(kernel).max()), float(np.abs(offset).max())
    if steepest >= limit * 2.0**MOST_SHIFT or most >= MOST_BIAS * 2.0**MOST_SHIFT:
        raise ValueError(
            f"y: a kernel up to {steepest:g} and a bias of {most:g} make it of x, wanted less than {limit} * 2**30 and"
            " 2**61"
        )
    _, finest = quantize_kernel(kernel, bits)
    while most * 2.0**-finest >= MOST_BIAS:
        finest += 1
    shifts = range(finest, min(finest + COARSER, MOST_SHIFT) + 1)
    columns = [kernel.astype(np.float64), *(_whole(kernel, shift) for shift in shifts)]
    tried = [
        (n, shift, constant) for n, shift in enumerate(shifts, 1) for constant in (_whole(offset, shift), offset * 0)
    ]
    worst, squares, float_error = np.zeros(len(tried)), np.zeros(len(tried)), 0.0
    for patches, y in examples.blocks():
        patches = patches + examples.middle
        found = (patches @ np.concatenate(columns, axis=1)).reshape(len(patches), len(columns), -1)
        float_error = max(float_error, float(np.abs(found[:, 0] + offset - y).max()))
        for place, (n, shift, constant) in enumerate(tried):
            predicted = (found[:, n] + constant) * 2.0**shift
            if limits is not None:
                predicted = np.clip(_whole(predicted, 0), limits.min, limits.max)
            error = np.abs(predicted - y)
            worst[place] = max(worst[place], error.max())
            squares[place] += (error**2).sum()
    best = max(range(len(tried)), key=lambda place: (-worst[place], -squares[place], place))
    n, shift, constant = tried[best]
    return shift, columns[n], constant, float_error, float(worst[best])
