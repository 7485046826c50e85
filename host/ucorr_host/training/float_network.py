"""FloatNetwork: a sequence of float layers, as a framework exports them, computed in NumPy.

It is the network before quantisation; quantize_network.py makes the integers. Layouts are TensorFlow
Lite's: activations (samples, height, width, channels), kernels (out, height, width, in), of a depthwise layer
(1, height, width, channels * m), of a dense one (out, in).

Each layer has two methods: out_shape(shape) checks and returns the shape of one sample's output, run(x) computes it for
many, as float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import dimensions, integer, items_of, one_of, pair, refused, shown

from ..networks.activations import RANGES
from ..reference.checks import reals
from ..reference.exact import extent_of
from ..reference.layers import check_kernel_fits, pads_of

Floats = NDArray[np.float64]
Shape = tuple[int, ...]
MOST_DIMENSIONS = 8  # of a sample


@dataclass(frozen=True, eq=False)
class _Weighted:
    """What layers with weights share: kernel and bias (None: zeros) become float64, an activation may follow."""

    kernel: Any
    bias: Any = None
    activation: str = "none"  # or "relu", "relu6", "relu_n1_to_1"

    axis = 0  # of the kernel's output channels
    dimensions = 4

    def __post_init__(self) -> None:
        kernel = reals("kernel", self.kernel, self.dimensions)
        channels = kernel.shape[self.axis]
        bias = reals("bias", np.zeros(channels) if self.bias is None else self.bias, 1)
        if bias.shape != (channels,):
            raise ValueError(f"bias: shape {bias.shape}, wanted ({channels},), one per output channel")
        one_of("activation", self.activation, tuple(RANGES))
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "bias", bias)

    def activated(self, sums: Floats) -> Floats:
        low, high = RANGES[self.activation]
        return sums + self.bias if low is None else np.clip(sums + self.bias, low, high)


@dataclass(frozen=True, eq=False)
class Dense(_Weighted):
    """y = kernel @ x + bias for all items of a sample, whatever its shape; kernel (out, in)."""

    dimensions = 2

    def out_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != self.kernel.shape[1]:
            raise ValueError(f"kernel: {self.kernel.shape[1]} inputs, wanted the {math.prod(shape)} items of {shape}")
        return (len(self.kernel),)

    def run(self, x: Floats) -> Floats:
        return self.activated(x.reshape(len(x), -1) @ self.kernel.T)


@dataclass(frozen=True, eq=False)
class Conv2D(_Weighted):
    """Convolutional layer: equation (d) of DESIGN.md in floats; options as reference.conv2d's."""

    stride: Any = (1, 1)
    padding: Any = "valid"
    dilation: Any = (1, 1)

    def out_shape(self, shape: Shape) -> Shape:
        height, width, channels = _image(shape)
        self.check_channels(channels)
        extent = extent_of(self.kernel.shape[1:3], pair("dilation", self.dilation, 1, 65535))
        return (*_slid("kernel", self, (height, width), extent), self.kernel.shape[self.axis])

    def check_channels(self, channels: int) -> None:
        if self.kernel.shape[3] != channels:
            raise ValueError(f"kernel: {self.kernel.shape[3]} input channels, wanted {channels}")

    def windows(self, x: Floats) -> Floats:
        """(samples, height', width', channels, kh, kw)"""
        dilation = pair("dilation", self.dilation, 1, 65535)
        extent = extent_of(self.kernel.shape[1:3], dilation)
        return _windows(self, x, extent, 0.0)[..., :: dilation[0], :: dilation[1]]

    def run(self, x: Floats) -> Floats:
        return self.activated(np.tensordot(self.windows(x), self.kernel, ((4, 5, 3), (1, 2, 3))))


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(Conv2D):
    """Output channel c*m + n reads input channel c alone; kernel (1, kh, kw, channels * m)."""

    axis = 3

    def check_channels(self, channels: int) -> None:
        if self.kernel.shape[0] != 1 or self.kernel.shape[3] % channels:
            raise ValueError(f"kernel: shape {self.kernel.shape}, wanted (1, height, width, a multiple of {channels})")

    def run(self, x: Floats) -> Floats:
        kernel = self.kernel[0].reshape(*self.kernel.shape[1:3], x.shape[3], -1)
        sums = np.einsum("nhwcab,abcm->nhwcm", self.windows(x), kernel)
        return self.activated(sums.reshape(*sums.shape[:3], -1))


@dataclass(frozen=True)
class MaxPool2D:
    """The greatest item of each window; stride None: the window's size. Padded items never win."""

    size: Any
    stride: Any = None
    padding: Any = "valid"

    def out_shape(self, shape: Shape) -> Shape:
        height, width, channels = _image(shape)
        size = pair("size", self.size, 1, 65535)
        pads = pads_of(self.padding, (height, width), size, _stride(self))
        if any(max(pad) >= extent for pad, extent in zip(pads, size, strict=True)):
            raise ValueError(f"padding: {pads}, wanted less than the size {size}")
        return (*_slid("size", self, (height, width), size), channels)

    def run(self, x: Floats) -> Floats:
        return _windows(self, x, pair("size", self.size, 1, 65535), -math.inf).max(axis=(-1, -2))


@dataclass(frozen=True)
class AveragePool2D(MaxPool2D):
    """The mean of each window's items, padded ones not counted."""

    def run(self, x: Floats) -> Floats:
        size = pair("size", self.size, 1, 65535)
        counts = _windows(self, np.ones((1, *x.shape[1:3], 1)), size, 0.0).sum(axis=(-1, -2))
        return _windows(self, x, size, 0.0).sum(axis=(-1, -2)) / counts


@dataclass(frozen=True)
class GlobalAverage:
    """The mean over rows and columns: (height, width, channels) -> (channels,)."""

    def out_shape(self, shape: Shape) -> Shape:
        return _image(shape)[2:]

    def run(self, x: Floats) -> Floats:
        return x.mean(axis=(1, 2))


@dataclass(frozen=True)
class Reshape:
    """The items of a sample in another shape."""

    shape: Any

    def out_shape(self, shape: Shape) -> Shape:
        wanted = dimensions("shape", self.shape, 1, MOST_DIMENSIONS)
        if math.prod(wanted) != math.prod(shape):
            raise ValueError(f"shape: {wanted}, wanted one of the {math.prod(shape)} items of {shape}")
        return wanted

    def run(self, x: Floats) -> Floats:
        return x.reshape(len(x), *dimensions("shape", self.shape, 1, MOST_DIMENSIONS))


@dataclass(frozen=True)
class Softmax:
    """exp(x) over the sum of all exp(x) along the last axis."""

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    def run(self, x: Floats) -> Floats:
        raised = np.exp(x - x.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Add:
    """The previous layer's output plus an earlier one's, `of` by its number in layers; -1: the network's input."""

    of: int
    activation: str = "none"

    def __post_init__(self) -> None:
        one_of("activation", self.activation, tuple(RANGES))
        object.__setattr__(self, "of", integer("of", self.of, -1, 1 << 24))

    def out_shape(self, shape: Shape, other: Shape) -> Shape:
        if shape != other:
            raise ValueError(f"of: {self.of}, whose output is {other}, wanted one of shape {shape}")
        return shape

    def run(self, x: Floats, other: Floats) -> Floats:
        low, high = RANGES[self.activation]
        return x + other if low is None else np.clip(x + other, low, high)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in a row.

    input_shape  of one sample, without the samples' dimension: (height, width, channels), or (items,)
    layers       of the classes above; the output of one is the input of the next
    labels       a name for each class, or nothing
    shapes       of the input, then of each layer's output
    raises       ValueError or TypeError naming the layer
    """

    input_shape: Shape
    layers: tuple[Any, ...]
    labels: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        shape = dimensions("input_shape", self.input_shape, 1, MOST_DIMENSIONS)
        for name, wanted in (("layers", "one layer or more"), ("labels", "names")):
            items = items_of(getattr(self, name))
            if items is None:
                raise refused(name, getattr(self, name), wanted)
            object.__setattr__(self, name, tuple(items))
        if not self.layers:
            raise ValueError(f"layers: 0 on {shape}, wanted one or more")
        if not all(isinstance(label, str) for label in self.labels):
            raise TypeError(f"labels: {shown(tuple(self.labels))}, wanted names")
        shapes = [shape]
        for n, layer in enumerate(self.layers):
            try:
                if isinstance(layer, Add):
                    more = [shapes[integer("of", layer.of, -1, n - 1) + 1]]
                elif hasattr(layer, "out_shape"):
                    more = []
                else:
                    raise TypeError(f"{type(layer).__name__}, wanted a layer of float_network")
                shapes.append(tuple(layer.out_shape(shapes[-1], *more)))
            except (TypeError, ValueError) as error:
                raise type(error)(f"layers[{n}]: {error}") from None
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        object.__setattr__(self, "shapes", tuple(shapes))

    def run(self, x: ArrayLike) -> Floats:
        """The output for samples x (n, *input_shape) of real numbers, float64."""
        *_, value = self.values(x)
        return value

    def values(self, x: ArrayLike) -> Iterator[Floats]:
        """The samples, then the output of each layer. raises ValueError or TypeError naming x"""
        value = reals("x", x, len(self.input_shape) + 1)
        if value.shape[1:] != self.input_shape:
            raise ValueError(f"x: shape {value.shape}, wanted samples of shape {self.input_shape}")
        wanted = {layer.of for layer in self.layers if isinstance(layer, Add)}
        kept = {-1: value}
        yield value
        for n, layer in enumerate(self.layers):
            value = layer.run(value, kept[layer.of]) if isinstance(layer, Add) else layer.run(value)
            if n in wanted:
                kept[n] = value
            yield value


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"input of shape {shape}, wanted (height, width, channels)")
    return shape[0], shape[1], shape[2]


def _stride(layer: Any) -> tuple[int, int]:
    return pair("stride", getattr(layer, "size", None) if layer.stride is None else layer.stride, 1, 65535)


def _slid(name: str, layer: Any, size: tuple[int, int], extent: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of windows of an extent."""
    stride = _stride(layer)
    pads = pads_of(layer.padding, size, extent, stride)
    check_kernel_fits(name, size, pads, extent)
    rows, columns = (
        (n + sum(pad) - span) // step + 1 for n, pad, span, step in zip(size, pads, extent, stride, strict=True)
    )
    return rows, columns


def _windows(layer: Any, x: Floats, extent: tuple[int, int], outside: float) -> Floats:
    """(samples, height', width', channels, *extent) of x with `outside` around it."""
    stride = _stride(layer)
    pads = pads_of(layer.padding, x.shape[1:3], extent, stride)
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))[:, :: stride[0], :: stride[1]]
