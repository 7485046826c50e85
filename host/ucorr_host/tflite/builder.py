"""Builder, which makes a Network from a file's records, and the helpers that all importers of operators share.

An importer is a function that gets the Builder and a RawOperator and adds nodes. It raises Unsupported, with what
would be needed, for an operator that it can't import.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..networks import activations
from ..networks.graph import Node, Tensor
from ..networks.network import Network
from ..quantize import quantize_multiplier
from ..reference.layers import pads_of
from .records import Corrupt, RawGraph, RawOperator, RawTensor

Ints = NDArray[Any]
DTYPES = {"INT8": np.int8, "INT16": np.int16}
CONSTANTS = {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64}
EDGES = {"INT8": np.int8, "INT16": np.int16, "UINT8": np.uint8}  # dtypes of the network's inputs
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}  # ActivationFunctionType of the schema
PADDINGS = {0: "same", 1: "valid"}
INT32 = 2  # TensorType, as quantized_bias_type has it


@dataclass(frozen=True)
class Importer:
    """How an operator of a file becomes nodes: the function that adds them, its options table in the schema, if it has
    one, and the fields of it that are read."""

    build: Callable[[Builder, RawOperator], None]
    options: str | None = None
    fields: tuple[str, ...] = ()


class Unsupported(Exception):
    """An operator that this library has no layer for; the message says what would have been needed."""


class Builder:
    """A Network under construction, with checked access to the file's graph."""

    def __init__(self, graph: RawGraph) -> None:
        self.graph = graph
        self.tensors: dict[int, Tensor] = {}
        self.added: list[Tensor] = []
        self.nodes: list[Node] = []
        self.constants: dict[int, Ints] = {}
        self.alias: dict[int, int] = {}  # a float at an edge -> its quantised neighbour
        self.known = set(graph.inputs) | {n for n, tensor in enumerate(graph.tensors) if has_data(tensor)}

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
        if number < len(self.graph.tensors) and has_data(self.graph.tensors[number]):
            tensor = self.quantised(number)
            self.constants[number] = self.constant(number).reshape(tensor.shape)
            return number, tensor
        return number, self.quantised(number, EDGES if number in self.graph.inputs else DTYPES)

    def one(self, operator: RawOperator, place: int = 0) -> tuple[int, Tensor]:
        """read() of an input that must be no constant, of 8 or 16 signed bits."""
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
        if not has_data(raw):
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

    def add(self, op: str, inputs: tuple[int, ...], output: int, **options: Any) -> None:
        self.nodes.append(Node(op, inputs, output, options))

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
        """The Network, with the tensors that are used numbered from 0."""
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
                Node(node.op, tuple(places[n] for n in node.inputs), places[node.output], node.options)
                for node in self.nodes
            ),
            tuple(places[number] for number in ends[: len(graph.inputs)]),
            tuple(places[number] for number in ends[len(graph.inputs) :]),
            {places[number]: value for number, value in self.constants.items() if number in used},
        )


def has_data(tensor: RawTensor) -> bool:
    return tensor.data is not None and tensor.data.size > 0


def _unpacked(raw: RawTensor) -> Ints:
    """4-bit items as int8: the low nibble first, flat over the whole tensor."""
    count = math.prod(raw.shape)
    assert raw.data is not None
    if raw.data.size != (count + 1) // 2:
        raise Corrupt(f"model: {raw.name!r} of shape {raw.shape} has {raw.data.size} bytes of 4-bit items")
    nibbles = np.stack([raw.data & 15, raw.data >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8).reshape(raw.shape)


# What the functions of several operators ask


def fused_range(kind: str | None, out: Tensor) -> dict[str, int]:
    """The options of a fused activation."""
    if kind is None:
        raise Unsupported("a fused activation other than RELU, RELU6 and RELU_N1_TO_1, wanted one of them")
    try:
        low, high = activations.activation_range(kind, (out.scale, out.zero_point), out.dtype)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    return {"activation_min": low, "activation_max": high}


def multiplier_of(factor: float, most: int = 30) -> tuple[int, int]:
    """quantize_multiplier() of a factor whose shift is at most `most`."""
    try:
        multiplier, shift = quantize_multiplier(factor)
    except ValueError:
        multiplier, shift = 0, most + 1
    if shift > most:
        raise Unsupported(f"a factor of {factor:g} between scales, wanted at most 2**{most}")
    return multiplier, shift


def sliding(operator: RawOperator, x: Tensor, size: tuple[int, int]) -> dict[str, Any]:
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


def expect(out: Tensor, shape: tuple[int, ...]) -> None:
    if out.shape != shape:
        raise Unsupported(f"{out.name!r} has shape {out.shape}, wanted {shape}")


def slid_shape(x: Tensor, size: tuple[int, int], options: dict[str, Any], channels: int) -> tuple[int, ...]:
    """The output's shape."""
    spans = [
        (extent + sum(pad) - span) // step + 1
        for extent, pad, span, step in zip(x.shape[1:3], options["padding"], size, options["stride"], strict=True)
    ]
    return x.shape[0], spans[0], spans[1], channels


def expect_same_scale(x: Tensor, out: Tensor) -> None:
    if (x.dtype, x.scale, x.zero_point) != (out.dtype, out.scale, out.zero_point):
        raise Unsupported(f"{x.name!r} and {out.name!r} of different scales or types, wanted the same")
