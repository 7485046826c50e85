"""A float network as an int8 Network, from samples that show the range of each of its values.

Follows TensorFlow Lite's 8-bit quantisation specification, real = scale * (q - zero_point):

    activations  int8, one scale and zero point for the tensor, such that 0 is one of its integers
    weights      int8 -127..127, one scale for each output channel, zero point 0
    biases       int32 of scale input scale * weight scale
    softmax      its output has scale 1/256 and zero point -128
    pools and reshapes keep their input's scale

Scales are float32, as files keep them. Two bounds make sure that a board can run whatever comes out. The products of
an output sum to less than 2**29, for there are at most MOST_PRODUCTS of them, and so does the bias, by a coarser weight
scale where it has to be. No output is finer than its accumulator: a factor is at most 1 but for the rounding of scales,
its shift at most 1, and |acc| * 2**shift less than 2**31.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import integer, items_of, one_of, pair, refused, shown

from ..networks import activations
from ..networks.graph import Node, Tensor
from ..networks.network import Network
from ..quantize import quantize_multiplier, softmax_multiplier
from ..reference.checks import reals
from ..reference.elementwise import ROOM
from ..reference.exact import extent_of
from ..reference.layers import pads_of
from . import float_network as layers
from .float_network import FloatNetwork

Ints = NDArray[Any]
Range = tuple[float, float]
RULES = ("mse", "minmax")
PER_OCTAVE, OCTAVES = 16, 24  # bins of a histogram on each side of 0
STEPS = 255  # from the least int8 to the greatest
MOST_PRODUCTS = 1 << 14  # 2**14 * 255 * 127 < 2**29
MOST_BIAS = 1 << 29
LEAST_SOFTMAX = 2.0**-25  # input scale; twice what softmax_multiplier takes, for the rounding of a file's beta


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
                 "mse", the range with the least mean squared error relative to each sample's power: a few far values
                 are given up where that buys finer steps for all others (see least_error_range)
    input_range  (least, greatest) of the network's input where it is known, None: found like the others
    batch        samples that are computed at once
    raises       ValueError or TypeError naming the argument, or the layer that integers can't do
    """
    if not isinstance(network, FloatNetwork):
        raise TypeError(f"network: {type(network).__name__}, wanted a FloatNetwork")
    ranges = one_of("ranges", ranges, RULES)
    batch = integer("batch", batch, 1, 1 << 30)
    x = reals("samples", samples, len(network.input_shape) + 1)
    if x.shape[1:] != network.input_shape:
        raise ValueError(f"samples: shape {x.shape}, wanted samples of shape {network.input_shape}")
    parts = [x[n : n + batch] for n in range(0, len(x), batch)]
    found = _calibrated(network, parts, ranges)
    if input_range is not None:
        ends = items_of(input_range)
        if ends is None or len(ends) != 2:
            raise refused("input_range", input_range, "(least, greatest)")
        low, high = reals("input_range", ends, 1).tolist()
        if not low < high:
            raise ValueError(f"input_range: {shown(input_range)}, wanted (least, greatest)")
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


class Histogram:
    """Values of a range in bins that get finer towards 0: how many, their sum, the sum of their squares.

    edges  of the bins of |v|: 0, then PER_OCTAVE to a factor of two up to the greatest |v|
    sums   (2, 3, bins): of values below 0 and above, powers 0 to 2 of |v|

    Every sample is weighted so that its mean square is 1: otherwise the squares of one sample that is much brighter
    than the others would decide the scale. Zeros are left out, since every scale has them exactly.
    """

    def __init__(self, low: float, high: float) -> None:
        self.ends = max(-low, 0.0), max(high, 0.0)
        octaves = np.arange(1 - OCTAVES * PER_OCTAVE, 1) / PER_OCTAVE
        self.edges = max(self.ends) * np.append(0.0, 2.0**octaves)
        self.sums = np.zeros((2, 3, len(octaves)))

    def add(self, values: NDArray[Any]) -> None:
        """Count samples (n, ...) within the histogram's range."""
        flat = values.reshape(len(values), -1)
        power = (flat**2).mean(axis=1, keepdims=True)
        weights = np.where(power > 0, 1 / np.where(power > 0, power, 1), 0) + 0 * flat
        for sign, sums in zip((-1, 1), self.sums, strict=True):
            here = sign * flat > 0
            side, weight = np.abs(flat[here]), weights[here]
            for exponent, total in enumerate(sums):
                if side.size:
                    total += np.histogram(side, self.edges, weights=weight * side**exponent)[0]


def least_error_range(histogram: Histogram) -> Range:
    """The range (low, high) out of the bins' edges with the least squared error of all values.

    With scale s = (high - low) / 255, a value |v| < s/2 becomes 0 and costs v**2; one within the range is rounded and
    costs s**2 / 12 on average; one outside is moved to the end:

        E = sum over |v| < s/2 of v**2 + (how many others within) * s**2 / 12
            + sum over v > high of (v - high)**2 + sum over v < low of (low - v)**2

    The sums of the bins' powers, added up from one end, give this for all pairs of edges in one go. Rounding as noise
    is the model of Banner, Nahshan, Hoffer and Soudry, ACIQ: Analytical Clipping for Integer Quantization of neural
    networks; they assume a distribution where this has the histogram.
    """
    edges, sums = histogram.edges, histogram.sums
    if edges[-1] == 0:
        return 0.0, 0.0
    ends = [np.minimum(edges, end) for end in histogram.ends]
    n, first, second = np.moveaxis(
        np.append(np.cumsum(sums[..., ::-1], axis=2)[..., ::-1], np.zeros((2, 3, 1)), 2), 1, 0
    )
    clipped = second - 2 * np.array(ends) * first + np.array(ends) ** 2 * n  # (2, edges): of what is beyond each
    scale = (ends[0][:, None] + ends[1][None, :]) / STEPS
    inner = np.insert(np.cumsum(sums.sum(axis=0), axis=1), 0, 0, axis=1)  # (3, edges): of |v| up to each
    half = np.searchsorted(edges, scale / 2, "right") - 1
    others = np.maximum(n[:, 0].sum() - n[0][:, None] - n[1][None, :] - inner[0][half], 0)
    error = inner[2][half] + others * scale**2 / 12 + clipped[0][:, None] + clipped[1][None, :]
    error[0, 0] = np.inf  # no range at all
    i, j = np.unravel_index(np.argmin(error), error.shape)
    return -float(ends[0][i]), float(ends[1][j])


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
    """A Network under construction. where[n] is the tensor with the output of layer n - 1, where[0] the input."""

    def __init__(self, network: FloatNetwork, ranges: list[Range]) -> None:
        self.network, self.ranges = network, ranges
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        try:
            scale = scale_of(*ranges[0])
        except ValueError as error:
            raise ValueError(f"samples: {error}") from None
        self.where = [self.tensor("input", network.shapes[0], scale)]

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

    def add(self, op: str, inputs: tuple[int, ...], n: int, scale: tuple[float, int], **options: Any) -> int:
        """A node that makes the output of layer n; the output's tensor."""
        name = f"{type(self.network.layers[n]).__name__} {n}"
        made = self.tensor(name, self.network.shapes[n + 1], scale)
        self.nodes.append(Node(op, inputs, made, options))
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
    options: dict[str, Any] = {
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
        return self.add("dense", (number,), n, out, factor=[dense_factor(*both) for both in pairs], **options)
    options["multiplier"], options["shift"] = (np.array(part) for part in zip(*pairs, strict=True))
    stride, dilation = (pair(name, getattr(layer, name), 1, 65535) for name in ("stride", "dilation"))
    extent = extent_of(layer.kernel.shape[1:3], dilation)
    options |= {"stride": stride, "dilation": dilation, "padding": pads_of(layer.padding, x.shape[1:3], extent, stride)}
    op = "depthwise_conv2d" if isinstance(layer, layers.DepthwiseConv2D) else "conv2d"
    return self.add(op, (number,), n, out, **options)


def dense_factor(multiplier: int, shift: int) -> float:
    """The factor of a dense layer's channel: multiplier * 2**(shift - 31) with an odd multiplier.

    A board multiplies by 31 bits where the reference multiplies by a double, and quantize.single_rounding_multiplier
    has to find bits that round alike. With many large accumulators there is often none for an arbitrary double. For a
    double that is a 31-bit multiplier, that multiplier rounds alike unless a product is halfway between two integers;
    with an odd multiplier none is, for accumulators under 2**30.
    """
    return (multiplier | 1) * 2.0 ** (shift - 31)


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
        pair("size", layer.size, 1, 65535),
        pair("stride", layer.size if layer.stride is None else layer.stride, 1, 65535),
    )
    options = {"size": size, "stride": stride, "padding": pads_of(layer.padding, x.shape[1:3], size, stride)}
    op = "average_pool2d" if isinstance(layer, layers.AveragePool2D) else "max_pool2d"
    return self.add(
        op, (self.where[n],), n, (x.scale, x.zero_point), activation_min=-128, activation_max=127, **options
    )


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
    # 255 steps of LEAST_SOFTMAX are 1 - exp(-255 * 2**-25) < 2**-17 of an output: finer ones change nothing
    multiplier, shift = softmax_multiplier(max(self.tensors[self.where[n]].scale, LEAST_SOFTMAX))
    return self.add("softmax", (self.where[n],), n, (1 / 256, -128), multiplier=multiplier, shift=shift)


def _add(self: _Quantizer, n: int, layer: Any) -> int:
    """Equation 9 of DESIGN.md; the output is no finer than what the sum's 20 more bits hold."""
    numbers = self.where[n], self.where[layer.of + 1]
    a, b = (self.tensors[number] for number in numbers)
    twice, room = 2 * max(a.scale, b.scale), 1 << ROOM[1]
    out = scale_of(*self.ranges[n + 1], least=2 * twice / room)
    options = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out[1]}
    factors = {"a_": a.scale / twice, "b_": b.scale / twice, "": twice / (room * out[0])}
    for name, factor in factors.items():
        options[name + "multiplier"], options[name + "shift"] = quantize_multiplier(factor)
    options["activation_min"], options["activation_max"] = activations.activation_range(layer.activation, out, np.int8)
    return self.add("add", numbers, n, out, **options)


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
