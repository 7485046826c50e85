"""TensorFlow Lite's operators as nodes of a Network: one function each, from scales and options to integer words.

A function gets a Builder and a RawOperator and adds nodes; what it can't do it says by raising Unsupported with what
would have been needed. build() collects all of those, so that a user sees them at once. The arithmetic that follows
from scales is that of TensorFlow Lite's reference kernels; test_litert_ops.py holds every operator against LiteRT.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import activations
from .network import Network, Node, Tensor
from .quantize import quantize_multiplier, softmax_multiplier
from .reference.elementwise import ROOM
from .reference.layers import pads_of
from .tflite import Corrupt, RawGraph, RawOperator, RawTensor

Ints = NDArray[Any]
DTYPES = {"INT8": np.int8, "INT16": np.int16}
CONSTANTS = {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64}
EDGES = {"INT8": np.int8, "INT16": np.int16, "UINT8": np.uint8}  # dtypes of the network's inputs
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}  # ActivationFunctionType of the schema
PADDINGS = {0: "same", 1: "valid"}
INT32 = 2  # TensorType, as quantized_bias_type has it


class Unsupported(Exception):
    """An operator that this library has no layer for; the message says what would have been needed."""


def build(graph: RawGraph) -> Network:
    """The Network of a file's records. raises Corrupt, or ValueError with every operator that is not supported"""
    builder = Builder(graph)
    refused = []
    for operator in graph.operators:
        function = OPERATORS.get(operator.name)
        try:
            if function is None:
                raise Unsupported(f"not one of {' '.join(sorted(OPERATORS))}")
            builder.begin(operator)
            function(builder, operator)
        except Unsupported as reason:
            names = [f"{graph.tensors[n].name!r}" for n in operator.inputs if n >= 0]
            made = ", ".join(f"{graph.tensors[n].name!r}" for n in operator.outputs)
            refused.append(f"{operator.name} (operator {operator.index}, {', '.join(names)} -> {made}): {reason}")
            builder.skip(operator)
    if refused:
        raise ValueError("model: not supported: " + "; ".join(refused))
    return builder.network()


class Builder:
    """The Network as it grows, and checked looks at the graph."""

    def __init__(self, graph: RawGraph) -> None:
        self.graph = graph
        self.tensors: dict[int, Tensor] = {}
        self.added: list[Tensor] = []
        self.nodes: list[Node] = []
        self.constants: dict[int, Ints] = {}
        self.alias: dict[int, int] = {}  # a float at an edge -> its quantised neighbour
        self.known = set(graph.inputs) | {n for n, tensor in enumerate(graph.tensors) if _has_data(tensor)}

    def begin(self, operator: RawOperator) -> None:
        """Check that the operator's inputs are there by now and that its outputs are new."""
        for number in operator.inputs:
            if number >= 0 and number not in self.known:
                raise Corrupt(f"model: {operator.name} {operator.index} reads a tensor that nothing made before")
        if len(operator.outputs) != 1 or operator.outputs[0] < 0:
            raise Unsupported(f"{len(operator.outputs)} outputs, wanted one")
        if operator.outputs[0] in self.known:
            raise Corrupt(f"model: {operator.name} {operator.index} writes a tensor that has a value already")
        self.known.add(operator.outputs[0])

    def skip(self, operator: RawOperator) -> None:
        self.known |= set(operator.outputs)

    def operand(self, operator: RawOperator, place: int) -> int:
        """The number of an input that has to be there."""
        if place >= len(operator.inputs) or operator.inputs[place] < 0:
            raise Unsupported(f"{len(operator.inputs)} inputs, wanted number {place}")
        return operator.inputs[place]

    def quantised(self, number: int, dtypes: dict[str, Any] = DTYPES) -> Tensor:
        """An activation: one scale, one zero point, a dtype that layers have."""
        if number in self.tensors:
            return self.tensors[number]
        raw = self.graph.tensors[number]
        what = f"{raw.name!r}"
        if raw.type not in dtypes:
            raise Unsupported(f"{what} is {raw.type}, wanted {' or '.join(dtypes)}")
        if len(raw.scales) != 1 or len(raw.zero_points) > 1:
            raise Unsupported(f"{what} has {len(raw.scales)} scales, wanted one for the tensor")
        scale, zero_point = float(raw.scales[0]), int(raw.zero_points[0]) if len(raw.zero_points) else 0
        dtype = np.dtype(dtypes[raw.type])
        limits = np.iinfo(dtype)
        if not 2.0**-60 < scale < 2.0**60 or not limits.min <= zero_point <= limits.max:
            raise Unsupported(f"{what} has scale {scale} and zero point {zero_point}, wanted those of {raw.type}")
        if dtype == np.int16 and zero_point:
            raise Unsupported(f"{what} has zero point {zero_point}, wanted 0 with INT16")
        if not raw.shape:
            raise Unsupported(f"{what} has no dimensions, wanted one or more")
        self.tensors[number] = Tensor(raw.name, raw.shape, dtype, scale, zero_point)
        return self.tensors[number]

    def read(self, operator: RawOperator, place: int) -> tuple[int, Tensor]:
        """(number, tensor) of an activation that the operator reads; a constant's value becomes the network's."""
        number = self.operand(operator, place)
        number = self.alias.get(number, number)
        if number < len(self.graph.tensors) and _has_data(self.graph.tensors[number]):
            tensor = self.quantised(number)
            self.constants[number] = self.constant(number).reshape(tensor.shape)
            return number, tensor
        return number, self.quantised(number, EDGES if number in self.graph.inputs else DTYPES)

    def one(self, operator: RawOperator, place: int = 0) -> tuple[int, Tensor]:
        """read() of what has to depend on the network's input, in 8 or 16 signed bits."""
        number, tensor = self.read(operator, place)
        if number in self.constants:
            raise Unsupported(f"{tensor.name!r} is constant, wanted a tensor that depends on the input")
        if tensor.dtype == np.uint8:
            raise Unsupported(f"{tensor.name!r} is UINT8, wanted INT8 or INT16")
        return number, tensor

    def written(self, operator: RawOperator) -> tuple[int, Tensor]:
        return operator.outputs[0], self.quantised(operator.outputs[0])

    def constant(self, number: int, types: tuple[str, ...] = tuple(CONSTANTS)) -> Ints:
        """The value of a constant tensor; 4-bit items as int8."""
        raw = self.graph.tensors[number]
        if not _has_data(raw):
            raise Unsupported(f"{raw.name!r} is no constant, wanted one")
        if raw.type == "INT4" and "INT4" in types:
            return _unpacked(raw)
        if raw.type not in types or raw.type not in CONSTANTS:
            raise Unsupported(f"{raw.name!r} is {raw.type}, wanted {' or '.join(types)}")
        dtype = np.dtype(CONSTANTS[raw.type]).newbyteorder("<")
        assert raw.data is not None
        if raw.data.size != math.prod(raw.shape) * dtype.itemsize:
            raise Corrupt(f"model: {raw.name!r} of shape {raw.shape} has {raw.data.size} bytes")
        return raw.data.view(dtype).reshape(raw.shape).astype(dtype.newbyteorder("="))

    def numbers(self, operator: RawOperator, place: int) -> list[int]:
        """A constant operand of few ints: axes, sizes, paddings."""
        values = self.constant(self.operand(operator, place), ("INT32", "INT64"))
        if values.size > 16:
            raise Unsupported(f"{values.size} numbers, wanted at most 16")
        return [int(value) for value in values.reshape(-1).tolist()]

    def add(self, op: str, inputs: tuple[int, ...], output: int, **words: Any) -> None:
        self.nodes.append(Node(op, inputs, output, words))

    def temporary(self, like: Tensor, shape: tuple[int, ...]) -> int:
        """The number of a tensor that the file does not have."""
        number = len(self.graph.tensors) + len(self.added)
        self.added.append(Tensor(like.name, shape, like.dtype, like.scale, like.zero_point))
        self.tensors[number] = self.added[-1]
        return number

    def in_shape(self, number: int, tensor: Tensor, shape: tuple[int, ...]) -> int:
        """The tensor in another shape of as many items."""
        if tensor.shape == shape:
            return number
        if tensor.size != math.prod(shape):
            raise Unsupported(f"{tensor.name!r} has {tensor.size} items, wanted {math.prod(shape)}")
        if number in self.constants:
            made = self.temporary(tensor, shape)
            self.constants[made] = self.constants[number].reshape(shape)
            return made
        made = self.temporary(tensor, shape)
        self.add("reshape", (number,), made, shape=shape)
        return made

    def network(self) -> Network:
        """All of it, with the tensors that are used numbered from 0."""
        graph = self.graph
        try:
            ends = [self.alias.get(number, number) for number in (*graph.inputs, *graph.outputs)]
            for number in ends:
                self.quantised(number, EDGES)
        except Unsupported as reason:
            raise ValueError(f"model: not supported: {reason}") from None
        for number in ends[len(graph.inputs) :]:
            if number not in {node.output for node in self.nodes} and number not in ends[: len(graph.inputs)]:
                raise Corrupt(f"model: nothing makes the output {self.tensors[number].name!r}")
        used = {n for node in self.nodes for n in (*node.inputs, node.output)} | set(ends)
        places = {number: place for place, number in enumerate(sorted(used))}
        return Network(
            tuple(self.tensors[number] for number in sorted(used)),
            tuple(
                Node(node.op, tuple(places[n] for n in node.inputs), places[node.output], node.words)
                for node in self.nodes
            ),
            tuple(places[number] for number in ends[: len(graph.inputs)]),
            tuple(places[number] for number in ends[len(graph.inputs) :]),
            {places[number]: value for number, value in self.constants.items() if number in used},
        )


def _has_data(tensor: RawTensor) -> bool:
    return tensor.data is not None and tensor.data.size > 0


def _unpacked(raw: RawTensor) -> Ints:
    """4-bit items as int8: the low nibble first, flat over the whole tensor."""
    count = math.prod(raw.shape)
    assert raw.data is not None
    if raw.data.size != (count + 1) // 2:
        raise Corrupt(f"model: {raw.name!r} of shape {raw.shape} has {raw.data.size} bytes of 4-bit items")
    nibbles = np.stack([raw.data & 15, raw.data >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8).reshape(raw.shape)


# Layers with weights


def _weighted(builder: Builder, operator: RawOperator, places: tuple[int, int, int], axis: int) -> dict[str, Any]:
    """What all of them share: kernel, bias, zero points, factors. places of x, kernel and bias among the inputs.

    axis  of the kernel's output channels
    """
    _, x = builder.one(operator, places[0])
    _, out = builder.written(operator)
    raw = builder.graph.tensors[builder.operand(operator, places[1])]
    kernel = builder.constant(builder.operand(operator, places[1]), ("INT8", "INT4"))
    if axis >= kernel.ndim:
        raise Unsupported(f"a kernel of {kernel.ndim} dimensions, wanted more")
    channels = kernel.shape[axis]
    if len(raw.scales) not in (1, channels) or (len(raw.scales) > 1 and raw.axis != axis):
        raise Unsupported(
            f"{raw.name!r} has {len(raw.scales)} scales along {raw.axis}, wanted 1 or {channels}, along {axis}"
        )
    if len(raw.zero_points) and (raw.zero_points != raw.zero_points[0]).any():
        raise Unsupported(f"{raw.name!r} has zero points that differ, wanted one")
    zero_point = int(raw.zero_points[0]) if len(raw.zero_points) else 0
    if zero_point and operator.name != "FULLY_CONNECTED":
        raise Unsupported(f"{raw.name!r} has zero point {zero_point}, wanted 0")
    if not -128 <= zero_point <= 127 or not np.all(np.isfinite(raw.scales) & (raw.scales >= 0)):
        raise Unsupported(f"{raw.name!r} has zero point {zero_point} and scales {raw.scales[:4]}, wanted those of INT8")
    if out.dtype != x.dtype:
        raise Unsupported(f"{x.name!r} is {x.dtype} and {out.name!r} {out.dtype}, wanted one type")
    words: dict[str, Any] = {"kernel": kernel, "input_zero_point": x.zero_point, "output_zero_point": out.zero_point}
    if zero_point:
        words["kernel_zero_point"] = zero_point
    words["bias"] = _bias(builder, operator, places[2], channels, x)
    kind = ACTIVATIONS.get(operator.options["FusedActivationFunction"])
    words |= _range(kind, out)
    scales = np.broadcast_to(raw.scales, channels).tolist()
    words["factor"] = [x.scale * scale / out.scale for scale in scales]
    return words


def _bias(builder: Builder, operator: RawOperator, place: int, channels: int, x: Tensor) -> Ints | None:
    """The bias, which may be left out; a quantised dimension that is no dimension of it does not matter."""
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    bias = builder.constant(operator.inputs[place], ("INT32", "INT64") if x.dtype == np.int16 else ("INT32",))
    if bias.size != channels:
        raise Unsupported(f"a bias of {bias.size} items, wanted {channels}")
    if x.dtype == np.int16 and bias.dtype == np.int32 and operator.options.get("QuantizedBiasType") not in (INT32,):
        raise Unsupported("a bias of INT32 with INT16 data, wanted INT64, or quantized_bias_type INT32")
    return bias.reshape(-1)


def _range(kind: str | None, out: Tensor) -> dict[str, int]:
    """The words of a fused activation."""
    if kind is None:
        raise Unsupported("a fused activation other than RELU, RELU6 and RELU_N1_TO_1, wanted one of them")
    try:
        low, high = activations.activation_range(kind, (out.scale, out.zero_point), out.dtype)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    return {"activation_min": low, "activation_max": high}


def _multipliers(words: dict[str, Any], most: int = 30) -> None:
    """Turn words["factor"] into multipliers and shifts, one for each channel."""
    words["multiplier"], words["shift"] = (
        np.array(part) for part in zip(*(_multiplier(factor, most) for factor in words.pop("factor")), strict=True)
    )


def _multiplier(factor: float, most: int = 30) -> tuple[int, int]:
    """quantize_multiplier() of a factor whose shift is at most `most`."""
    try:
        multiplier, shift = quantize_multiplier(factor)
    except ValueError:
        multiplier, shift = 0, most + 1
    if shift > most:
        raise Unsupported(f"a factor of {factor:g} between scales, wanted at most 2**{most}")
    return multiplier, shift


def _window(operator: RawOperator, x: Tensor, size: tuple[int, int]) -> dict[str, Any]:
    """stride and padding of a layer that slides a window of an extent over x, padding in rows and columns."""
    options = operator.options
    stride = options["StrideH"], options["StrideW"]
    padding = PADDINGS.get(options["Padding"])
    if len(x.shape) != 4:
        raise Unsupported(f"{x.name!r} has shape {x.shape}, wanted four dimensions")
    if padding is None or not all(0 < step < 65536 for step in stride):
        raise Unsupported(f"padding {options['Padding']} and stride {stride}, wanted SAME or VALID and 1..65535")
    pads = pads_of(padding, x.shape[1:3], size, stride)
    for extent, pad, span in zip(x.shape[1:3], pads, size, strict=True):
        if extent + sum(pad) < span:
            raise Unsupported(f"a window of {size} on {x.shape[1:3]}, wanted one that fits")
    return {"stride": stride, "padding": pads}


def _expect(out: Tensor, shape: tuple[int, ...]) -> None:
    if out.shape != shape:
        raise Unsupported(f"{out.name!r} has shape {out.shape}, wanted {shape}")


def _slid(x: Tensor, size: tuple[int, int], words: dict[str, Any], channels: int) -> tuple[int, ...]:
    """The output's shape."""
    spans = [
        (extent + sum(pad) - span) // step + 1
        for extent, pad, span, step in zip(x.shape[1:3], words["padding"], size, words["stride"], strict=True)
    ]
    return x.shape[0], spans[0], spans[1], channels


def _conv(builder: Builder, operator: RawOperator) -> None:
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    words = _weighted(builder, operator, (0, 1, 2), 3 if depthwise else 0)
    kernel = words.pop("kernel")
    dilation = operator.options["DilationHFactor"], operator.options["DilationWFactor"]
    if kernel.ndim != 4 or not all(0 < step < 65536 for step in dilation):
        raise Unsupported(f"a kernel of {kernel.ndim} dimensions, dilated by {dilation}, wanted 4, and 1..65535")
    extent = (kernel.shape[1] - 1) * dilation[0] + 1, (kernel.shape[2] - 1) * dilation[1] + 1
    words |= _window(operator, x, extent) | {"dilation": dilation}
    depth = x.shape[3]
    if depthwise:
        fits = kernel.shape[0] == 1 and kernel.shape[3] % depth == 0
    else:
        words["groups"] = depth // kernel.shape[3]
        fits = depth % kernel.shape[3] == 0 and kernel.shape[0] % max(1, words["groups"]) == 0
    if not fits:
        raise Unsupported(f"a kernel of shape {kernel.shape} on {depth} channels, wanted one that divides them")
    _expect(out, _slid(x, extent, words, kernel.shape[3 if depthwise else 0]))
    _multipliers(words, 7 if x.dtype == np.int16 and not _narrow(words) else 30)
    builder.add("depthwise_conv2d" if depthwise else "conv2d", (number,), out_number, kernel=kernel, **words)


def _narrow(words: dict[str, Any]) -> bool:
    return words["bias"] is not None and words["bias"].dtype == np.int32


def _transpose_conv(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator, 2)
    out_number, out = builder.written(operator)
    words = _weighted(builder, operator, (2, 1, 3), 0)
    kernel = words.pop("kernel")
    if tuple(builder.numbers(operator, 0)) != out.shape or len(out.shape) != 4 or kernel.ndim != 4:
        raise Unsupported("an output shape that is not its tensor's, wanted four dimensions")
    size = kernel.shape[1], kernel.shape[2]
    # The padding is that of the layer that leads from the output back to the input.
    back = _window(operator, out, size)
    if (
        _slid(out, size, back, x.shape[-1]) != x.shape
        or kernel.shape[3] != x.shape[3]
        or kernel.shape[0] != out.shape[3]
    ):
        raise Unsupported(f"a kernel of shape {kernel.shape} from {x.shape} to {out.shape}, wanted shapes that agree")
    crops = tuple(
        (pad[0], (extent - 1) * step + span - pad[0] - made)
        for pad, extent, step, span, made in zip(
            back["padding"], x.shape[1:3], back["stride"], size, out.shape[1:3], strict=True
        )
    )
    _multipliers(words, 7 if x.dtype == np.int16 and not _narrow(words) else 30)
    builder.add("transpose_conv2d", (number,), out_number, kernel=kernel, stride=back["stride"], padding=crops, **words)


def _fully_connected(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    words = _weighted(builder, operator, (0, 1, 2), 0)
    kernel = words["kernel"]
    if kernel.ndim != 2 or operator.options["WeightsFormat"]:
        raise Unsupported(
            f"a kernel of shape {kernel.shape} in format {operator.options['WeightsFormat']}, wanted (out, in)"
        )
    if x.size % kernel.shape[1]:
        raise Unsupported(f"{x.name!r} has {x.size} items, wanted a multiple of {kernel.shape[1]}")
    rows = x.size // kernel.shape[1]
    number = builder.in_shape(number, x, (rows, kernel.shape[1]))
    made = out_number if out.shape == (rows, len(kernel)) else builder.temporary(out, (rows, len(kernel)))
    builder.add("dense", (number,), made, **words)
    if made != out_number:
        if out.size != rows * len(kernel):
            raise Unsupported(f"{out.name!r} has {out.size} items, wanted {rows * len(kernel)}")
        builder.add("reshape", (made,), out_number, shape=out.shape)


# Pools and means


def _same_scale(x: Tensor, out: Tensor) -> None:
    if (x.dtype, x.scale, x.zero_point) != (out.dtype, out.scale, out.zero_point):
        raise Unsupported(f"{x.name!r} and {out.name!r} of different scales or types, wanted the same")


def _pool(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    _same_scale(x, out)
    size = operator.options["FilterHeight"], operator.options["FilterWidth"]
    if not all(0 < extent < 65536 for extent in size):
        raise Unsupported(f"a window of {size}, wanted 1..65535")
    words = _window(operator, x, size)
    _expect(out, _slid(x, size, words, x.shape[3]))
    words |= _range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    op = "max_pool2d" if operator.name == "MAX_POOL_2D" else "average_pool2d"
    builder.add(op, (number,), out_number, size=size, **words)


def _mean(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    rank = len(x.shape)
    axes = builder.numbers(operator, 1)
    if x.dtype != out.dtype or not axes or not all(-rank <= axis < rank for axis in axes):
        raise Unsupported(f"axes {axes} of {x.dtype} to {out.dtype}, wanted those of {x.shape} and one type")
    axis = tuple(sorted({axis % rank - rank for axis in axes}))
    keepdims = bool(operator.options["KeepDims"])
    left = [1 if n - rank in axis else extent for n, extent in enumerate(x.shape) if keepdims or n - rank not in axis]
    _expect(out, tuple(left))
    multiplier, shift = _multiplier(x.scale / out.scale)
    builder.add(
        "mean", (number,), out_number, axis=axis, keepdims=keepdims, multiplier=multiplier, shift=shift,
        input_zero_point=x.zero_point, output_zero_point=out.zero_point,
    )  # fmt: skip


# Sums and products


def _two(builder: Builder, operator: RawOperator) -> tuple[tuple[int, int], Tensor, Tensor, int, Tensor]:
    """((a, b), tensors of a, b, number and tensor of the output), a and b of as many dimensions as the output."""
    out_number, out = builder.written(operator)
    numbers, tensors = [], []
    for place in (0, 1):
        number, tensor = builder.read(operator, place)
        if tensor.dtype != out.dtype:
            raise Unsupported(f"{tensor.name!r} is {tensor.dtype}, wanted {out.dtype}")
        if len(tensor.shape) > len(out.shape):
            raise Unsupported(f"{tensor.name!r} has shape {tensor.shape}, wanted at most {len(out.shape)} dimensions")
        shape = (1,) * (len(out.shape) - len(tensor.shape)) + tensor.shape
        numbers.append(builder.in_shape(number, tensor, shape))
        tensors.append(builder.quantised(numbers[-1]))
    if all(number in builder.constants for number in numbers):
        raise Unsupported("two constants, wanted a tensor that depends on the input")
    try:
        shape = np.broadcast_shapes(tensors[0].shape, tensors[1].shape)
    except ValueError:
        raise Unsupported(f"shapes {tensors[0].shape} and {tensors[1].shape}, wanted ones that broadcast") from None
    _expect(out, shape)
    return (numbers[0], numbers[1]), tensors[0], tensors[1], out_number, out


def _sum(builder: Builder, operator: RawOperator) -> None:
    numbers, a, b, out_number, out = _two(builder, operator)
    scales = a.scale, b.scale, out.scale
    if out.dtype == np.int16 and operator.options["PotScaleInt16"] and all(map(_near_power, scales)):
        raise Unsupported("INT16 with scales that are powers of two and pot_scale_int16, wanted it false")
    twice = 2 * max(a.scale, b.scale)
    words = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out.zero_point}
    words["a_multiplier"], words["a_shift"] = _multiplier(a.scale / twice, 0)
    words["b_multiplier"], words["b_shift"] = _multiplier(b.scale / twice, 0)
    words["multiplier"], words["shift"] = _multiplier(twice / ((1 << ROOM[out.dtype.itemsize]) * out.scale), 0)
    words |= _range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    builder.add(operator.name.lower(), numbers, out_number, **words)


def _near_power(scale: float) -> bool:
    """Whether TFLite takes a scale for a power of two (CheckedLog2)."""
    log = math.log2(scale)
    return abs(log - round(log)) < 1e-3


def _mul(builder: Builder, operator: RawOperator) -> None:
    numbers, a, b, out_number, out = _two(builder, operator)
    words = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out.zero_point}
    words["multiplier"], words["shift"] = _multiplier(
        float(np.float32(a.scale) * np.float32(b.scale) / np.float32(out.scale))
    )
    reach = 255 * 255 if out.dtype == np.int8 else 1 << 30
    if reach << max(0, words["shift"]) >= 1 << 31:
        raise Unsupported(f"an output scale of {out.scale}, wanted one that keeps products under 2**31")
    words |= _range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    builder.add("mul", numbers, out_number, **words)


# Functions of one number


def _function(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    _single(builder, operator, number, x, builder.written(operator)[1])


def _single(builder: Builder, operator: RawOperator, number: int, x: Tensor, out: Tensor) -> None:
    """A table for 8 bits; for 16, what is a rescaling."""
    kind = operator.name.lower()
    _expect(out, x.shape)
    source, target = (x.scale, x.zero_point), (out.scale, out.zero_point)
    alpha = float(operator.options.get("Alpha", 0.0))
    if kind == "leaky_relu" and not 0 <= alpha <= 1:
        raise Unsupported(f"a slope of {alpha}, wanted 0..1")
    fixed = {"logistic": (1 / 256, -128), "tanh": (1 / 128, 0)}
    if kind in fixed and (target != fixed[kind] or out.dtype != np.int8):
        raise Unsupported(f"an output of {out.dtype}, scale and zero point {target}, wanted int8 {fixed[kind]}")
    try:
        if x.dtype.itemsize == 1 and out.dtype == np.int8:
            table = activations.table(kind, source, target, x.dtype, alpha)
            builder.add("lookup", (number,), operator.outputs[0], table=table)
            return
        if x.dtype != np.int16 or kind not in ("relu", "relu6", "leaky_relu", "quantize"):
            raise Unsupported(f"{x.name!r} is {x.dtype}, wanted int8")
        words: dict[str, Any] = activations.rescaling(kind, source, target, out.dtype, alpha)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    builder.add("rescale", (number,), operator.outputs[0], out_dtype=out.dtype, **words)


def _quantize(builder: Builder, operator: RawOperator) -> None:
    """QUANTIZE: of the network's float input it is where integers begin; elsewhere a change of scale."""
    source = builder.operand(operator, 0)
    if builder.graph.tensors[source].type == "FLOAT32":
        if source not in builder.graph.inputs:
            raise Unsupported("a float inside the network, wanted it at the input alone")
        readers = [op for op in builder.graph.operators if source in op.inputs]
        if len(readers) > 1 or source in builder.graph.outputs:
            raise Unsupported("a float input with several readers, wanted one")
        builder.alias[source] = operator.outputs[0]
        builder.quantised(operator.outputs[0], EDGES)
        return
    number, x = builder.read(operator, 0)
    if number in builder.constants:
        raise Unsupported("a constant, wanted a tensor that depends on the input")
    _single(builder, operator, number, x, builder.written(operator)[1])


def _dequantize(builder: Builder, operator: RawOperator) -> None:
    """DEQUANTIZE, for the network's output alone: the integers are the result."""
    number, _ = builder.read(operator, 0)
    output = operator.outputs[0]
    if output not in builder.graph.outputs or any(output in op.inputs for op in builder.graph.operators):
        raise Unsupported("a float inside the network, wanted it at the output alone")
    builder.alias[output] = number


def _softmax(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    _expect(out, x.shape)
    if x.dtype != np.int8 or out.dtype != np.int8 or (out.scale, out.zero_point) != (1 / 256, -128):
        raise Unsupported(f"{x.dtype} to {out.dtype} of scale {out.scale}, wanted int8 to int8 of scale 1/256")
    try:
        multiplier, shift = softmax_multiplier(operator.options["Beta"] * x.scale)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    builder.add("softmax", (number,), out_number, multiplier=multiplier, shift=shift)


# What only moves items


def _reshape(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    _same_scale(x, out)
    if x.size != out.size:
        raise Unsupported(f"{x.size} items into {out.shape}, wanted as many")
    builder.add("reshape", (number,), out_number, shape=out.shape)


def _pad(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    _same_scale(x, out)
    flat = builder.numbers(operator, 1)
    if len(flat) != 2 * len(x.shape) or min(flat) < 0 or max(flat) > 65535:
        raise Unsupported(f"paddings {flat}, wanted two of 0..65535 for each of {len(x.shape)} dimensions")
    padding = tuple(zip(flat[::2], flat[1::2], strict=True))
    _expect(out, tuple(extent + sum(pad) for extent, pad in zip(x.shape, padding, strict=True)))
    value = x.zero_point
    if operator.name == "PADV2":
        value = int(builder.constant(builder.operand(operator, 2), ("INT8", "INT16")).reshape(-1)[0])
    builder.add("pad", (number,), out_number, padding=padding, value=value)


def _concatenation(builder: Builder, operator: RawOperator) -> None:
    out_number, out = builder.written(operator)
    numbers, rank = [], len(out.shape)
    axis = operator.options["Axis"]
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis}, wanted one of {rank}")
    axis = axis % rank - rank
    total = 0
    for place in range(len(operator.inputs)):
        number, x = builder.one(operator, place)
        _same_scale(x, out)
        if x.shape[:axis] != out.shape[:axis] or x.shape[rank + axis + 1 :] != out.shape[rank + axis + 1 :]:
            raise Unsupported(f"{x.name!r} has shape {x.shape}, wanted {out.shape} but for axis {axis}")
        numbers.append(number)
        total += x.shape[axis]
    if total != out.shape[axis] or ACTIVATIONS.get(operator.options["FusedActivationFunction"]) != "none":
        raise Unsupported(f"{total} items along axis {axis}, wanted {out.shape[axis]} and no activation")
    builder.add("concatenate", tuple(numbers), out_number, axis=axis)


OPERATORS: dict[str, Callable[[Builder, RawOperator], None]] = {
    "ADD": _sum,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _function,
    "LEAKY_RELU": _function,
    "LOGISTIC": _function,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RELU": _function,
    "RELU6": _function,
    "RELU_N1_TO_1": _function,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _sum,
    "TANH": _function,
    "TRANSPOSE_CONV": _transpose_conv,
}
