"""A float network as an int8 Network, from samples that show the range of each of its values.

Follows TensorFlow Lite's 8-bit quantisation specification, real = scale * (q - zero_point):

    activations  int8, one scale and zero point for the tensor, such that 0 is one of its integers
    weights      int8 -127..127, one scale for each output channel, zero point 0
    biases       int32 of scale input scale * weight scale
    softmax      its output has scale 1/256 and zero point -128
    pools and reshapes keep their input's scale

Scales are float32, as files keep them. Two bounds make sure that a board can run whatever comes out. The products of
an output sum to less than 2**29, for there are at most MOST_PRODUCTS of them, and so does the bias, by a coarser weight
scale where it has to be. No output is finer than its accumulator, so a factor is at most 1 but for the scales' rounding,
its shift at most 1, and |acc| * 2**shift less than 2**31.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import activations
from . import float_network as layers
from .exact import extent_of
from .float_network import FloatNetwork
from .network import Network, Node, Tensor
from .quantize import quantize_multiplier, softmax_multiplier
from .reference.elementwise import ROOM
from .reference.layers import pads_of

Ints = NDArray[Any]
Range = tuple[float, float]
RULES = ("mse", "minmax")
BINS = 1024  # of a histogram on each side of 0
STEPS = 255  # from the least int8 to the greatest
MOST_PRODUCTS = 1 << 14  # 2**14 * 255 * 127 < 2**29
MOST_BIAS = 1 << 29


def quantize_network(
    network: FloatNetwork,
    samples: ArrayLike,
    *,
    ranges: str = "mse",
    input_range: Range | None = None,
    batch: int = 64,
) -> Network:
    """The network in int8: `.run` it, `.save` it for a board.

    samples      real numbers (n, *input_shape), a hundred or so of what the network will see
    ranges       how the range of an activation is found from its values: "minmax", the least and the greatest, or
                 "mse", the range with the least mean squared error (see least_error_range), which gives up
                 a few far values for finer steps for all others
    input_range  (least, greatest) of the network's input where it is known, None: found like the others
    batch        samples that are computed at once
    raises       ValueError or TypeError naming the argument, or the layer that integers can't do
    """
    if not isinstance(network, FloatNetwork):
        raise TypeError(f"network: {type(network).__name__}, wanted a FloatNetwork")
    if ranges not in RULES:
        raise ValueError(f"ranges: {ranges!r}, wanted one of {' '.join(RULES)}")
    x = layers.floats("samples", samples, len(network.input_shape) + 1)
    if x.shape[1:] != network.input_shape:
        raise ValueError(f"samples: shape {x.shape}, wanted samples of shape {network.input_shape}")
    parts = [x[n : n + batch] for n in range(0, len(x), batch)]
    found = _calibrated(network, parts, ranges)
    if input_range is not None:
        low, high = (float(end) for end in input_range)
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"input_range: {input_range}, wanted (least, greatest)")
        found[0] = low, high
    return _Quantizer(network, found).run()


def scale_of(low: float, high: float, least: float = 0.0) -> tuple[float, int]:
    """(scale, zero_point) of an int8 tensor of a range, which is widened to hold 0.

    least   of the scale: where the range would get a finer one, it gets this
    raises  ValueError for a range that float32 scales are too small or too large for
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / STEPS, least)))
    if high == low and not least:
        scale = 1.0
    if not 2.0**-60 < scale < 2.0**60:
        raise ValueError(f"values in {low:g}..{high:g}, wanted a range of 2**-52..2**67")
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


# Ranges


@dataclass
class Histogram:
    """Values in bins between low and high: of each bin how many, their sum, the sum of their squares.

    Zeros are left out, since every scale has them exactly.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        below = np.linspace(min(self.low, 0.0), 0.0, BINS + 1)[:-1] if self.low < 0 else np.empty(0)
        above = np.linspace(0.0, max(self.high, 0.0), BINS + 1) if self.high > 0 else np.zeros(1)
        self.edges = np.concatenate([below, above])
        self.sums = np.zeros((3, max(1, len(self.edges) - 1)))

    def add(self, values: NDArray[Any]) -> None:
        values = values[values != 0]
        if values.size == 0:
            return
        for power, total in enumerate(self.sums):
            total += np.histogram(values, self.edges, weights=values**power)[0]


def least_error_range(histogram: Histogram) -> Range:
    """The range (low, high), both of them edges of bins, with the least squared error of all values.

    A value inside is rounded, which costs scale**2 / 12 on average, scale = (high - low) / 255; one outside is moved to
    the end. So the error is

        E = n * ((high - low) / 255)**2 / 12 + sum over v > high of (v - high)**2 + sum over v < low of (low - v)**2

    and with the sums of the bins' powers, added up from the far end, all pairs of edges are looked at in one go. The
    model of the rounding error is that of Banner, Nahshan, Hoffer and Soudry's ACIQ (arXiv:1810.05723), without their
    assumption about the distribution.
    """
    edges, zero = histogram.edges, int(np.argmax(histogram.edges >= 0))
    if len(edges) == 1:
        return 0.0, 0.0
    n, first, second = histogram.sums
    # beyond[k][e]: sum of the k-th powers of the values above edge e; before[k][e]: of those below it
    beyond = [np.append(np.cumsum(part[::-1])[::-1], 0) for part in (n, first, second)]
    before = [np.insert(np.cumsum(part), 0, 0) for part in (n, first, second)]
    clipped = [part[2] - 2 * edges * part[1] + edges**2 * part[0] for part in (before, beyond)]
    lows, highs = edges[: zero + 1], edges[zero:]
    rounding = n.sum() / (12 * STEPS**2) * (highs[None, :] - lows[:, None]) ** 2
    error = rounding + clipped[0][: zero + 1, None] + clipped[1][None, zero:]
    i, j = np.unravel_index(np.argmin(error), error.shape)
    return float(lows[i]), float(highs[j])


def _calibrated(network: FloatNetwork, parts: list[NDArray[Any]], rule: str) -> list[Range]:
    """The range of the input and of each layer's output."""
    found = [(0.0, 0.0)] * len(network.shapes)
    for part in parts:
        for n, value in enumerate(network.values(part)):
            found[n] = min(found[n][0], float(value.min())), max(found[n][1], float(value.max()))
    if rule == "minmax":
        return found
    histograms = [Histogram(*ends) for ends in found]
    for part in parts:
        for histogram, value in zip(histograms, network.values(part), strict=True):
            histogram.add(value)
    return [least_error_range(histogram) for histogram in histograms]


# Layers


class _Quantizer:
    """The Network as it grows. where[n] is the tensor that holds layer n - 1's output, where[0] the input."""

    def __init__(self, network: FloatNetwork, ranges: list[Range]) -> None:
        self.network, self.ranges = network, ranges
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.where = [self.tensor("input", network.shapes[0], scale_of(*ranges[0]))]

    def tensor(self, name: str, shape: tuple[int, ...], scale: tuple[float, int]) -> int:
        self.tensors.append(Tensor(name, (1, *shape), np.dtype(np.int8), *scale))
        return len(self.tensors) - 1

    def run(self) -> Network:
        network = self.network
        for n, layer in enumerate(network.layers):
            try:
                self.where.append(QUANTIZE[type(layer)](self, n, layer))
            except ValueError as error:
                raise ValueError(f"layers[{n}]: {error}") from None
        return Network(tuple(self.tensors), tuple(self.nodes), (0,), (self.where[-1],), {}, network.labels)

    def add(self, op: str, inputs: tuple[int, ...], n: int, scale: tuple[float, int], **words: Any) -> int:
        """A node that makes the output of layer n; the output's tensor."""
        name = f"{type(self.network.layers[n]).__name__} {n}"
        made = self.tensor(name, self.network.shapes[n + 1], scale)
        self.nodes.append(Node(op, inputs, made, words))
        return made


def _weighted(self: _Quantizer, n: int, layer: Any) -> int:
    number = self.where[n]
    x = self.tensors[number]
    channels = layer.kernel.shape[layer.axis]
    products = layer.kernel.size // channels  # of one output
    if products > MOST_PRODUCTS:
        raise ValueError(f"kernel: {products} products for an output, wanted at most {MOST_PRODUCTS}")
    axes = tuple(axis for axis in range(layer.kernel.ndim) if axis != layer.axis)
    scales = weight_scales(np.abs(layer.kernel).max(axis=axes), layer.bias, x.scale)
    out = scale_of(*self.ranges[n + 1], least=x.scale * float(scales.max()))
    shape = [1] * layer.kernel.ndim
    shape[layer.axis] = channels
    kernel = np.clip(np.rint(layer.kernel / scales.reshape(shape)), -127, 127).astype(np.int8)
    low, high = activations.activation_range(layer.activation, out, np.int8)
    words: dict[str, Any] = {
        "kernel": kernel,
        "bias": np.rint(layer.bias / (x.scale * scales)).astype(np.int32),
        "input_zero_point": x.zero_point,
        "output_zero_point": out[1],
        "activation_min": low,
        "activation_max": high,
    }
    pairs = [quantize_multiplier(x.scale * scale / out[0]) for scale in scales.tolist()]
    if isinstance(layer, layers.Dense):
        if len(x.shape) != 2:
            self.nodes.append(Node("reshape", (number,), len(self.tensors), {"shape": (1, x.size)}))
            number = self.tensor(f"{x.name} flat", (x.size,), (x.scale, x.zero_point))
        # With an odd multiplier of 31 bits no accumulator under 2**30 times the factor is halfway between two
        # integers, so that rounding halves away from zero (reference) or up (equation 8) is the same.
        factors = [(multiplier | 1) * 2.0 ** (shift - 31) for multiplier, shift in pairs]
        return self.add("dense", (number,), n, out, factor=factors, **words)
    words["multiplier"], words["shift"] = (np.array(part) for part in zip(*pairs, strict=True))
    stride, dilation = (layers.pair(name, getattr(layer, name), 1, 65535) for name in ("stride", "dilation"))
    extent = extent_of(layer.kernel.shape[1:3], dilation)
    words |= {"stride": stride, "dilation": dilation, "padding": pads_of(layer.padding, x.shape[1:3], extent, stride)}
    op = "depthwise_conv2d" if isinstance(layer, layers.DepthwiseConv2D) else "conv2d"
    return self.add(op, (number,), n, out, **words)


def weight_scales(largest: NDArray[Any], bias: NDArray[Any], input_scale: float) -> NDArray[np.float64]:
    """The scale of each channel's weights, float32 values: 127 is the largest of them.

    largest  |weight| of each channel, all of them finite
    A channel whose bias would pass 2**29 gets a coarser one; one of zeros alone gets the coarsest of the others.
    """
    scales = np.maximum(largest / 127, np.abs(bias) / (input_scale * MOST_BIAS))
    scales = np.where(scales > 2.0**-100, scales, scales.max(initial=0) or 1.0)
    return scales.astype(np.float32).astype(np.float64)


def _pool(self: _Quantizer, n: int, layer: Any) -> int:
    x = self.tensors[self.where[n]]
    size, stride = (
        layers.pair("size", layer.size, 1, 65535),
        layers.pair("stride", layer.size if layer.stride is None else layer.stride, 1, 65535),
    )
    words = {"size": size, "stride": stride, "padding": pads_of(layer.padding, x.shape[1:3], size, stride)}
    op = "average_pool2d" if isinstance(layer, layers.AveragePool2D) else "max_pool2d"
    return self.add(op, (self.where[n],), n, (x.scale, x.zero_point), activation_min=-128, activation_max=127, **words)


def _mean(self: _Quantizer, n: int, layer: Any) -> int:
    x = self.tensors[self.where[n]]
    out = scale_of(*self.ranges[n + 1], least=x.scale / (x.shape[1] * x.shape[2]))
    multiplier, shift = quantize_multiplier(x.scale / out[0])
    return self.add(
        "mean", (self.where[n],), n, out, axis=(-3, -2), keepdims=False, multiplier=multiplier, shift=shift,
        input_zero_point=x.zero_point, output_zero_point=out[1],
    )  # fmt: skip


def _reshape(self: _Quantizer, n: int, layer: Any) -> int:
    x = self.tensors[self.where[n]]
    return self.add("reshape", (self.where[n],), n, (x.scale, x.zero_point), shape=(1, *self.network.shapes[n + 1]))


def _softmax(self: _Quantizer, n: int, layer: Any) -> int:
    multiplier, shift = softmax_multiplier(self.tensors[self.where[n]].scale)
    return self.add("softmax", (self.where[n],), n, (1 / 256, -128), multiplier=multiplier, shift=shift)


def _add(self: _Quantizer, n: int, layer: Any) -> int:
    """Equation 9 of DESIGN.md; the output is no finer than what the sum's 20 more bits hold."""
    numbers = self.where[n], self.where[layer.of + 1]
    a, b = (self.tensors[number] for number in numbers)
    twice, room = 2 * max(a.scale, b.scale), 1 << ROOM[1]
    out = scale_of(*self.ranges[n + 1], least=2 * twice / room)
    words = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out[1]}
    factors = {"a_": a.scale / twice, "b_": b.scale / twice, "": twice / (room * out[0])}
    for name, factor in factors.items():
        words[name + "multiplier"], words[name + "shift"] = quantize_multiplier(factor)
    words["activation_min"], words["activation_max"] = activations.activation_range(layer.activation, out, np.int8)
    return self.add("add", numbers, n, out, **words)


QUANTIZE: dict[type, Any] = {
    layers.Add: _add,
    layers.AveragePool2D: _pool,
    layers.Conv2D: _weighted,
    layers.Dense: _weighted,
    layers.DepthwiseConv2D: _weighted,
    layers.GlobalAverage: _mean,
    layers.MaxPool2D: _pool,
    layers.Reshape: _reshape,
    layers.Softmax: _softmax,
}
