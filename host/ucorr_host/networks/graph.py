"""Graph, a quantised network: tensors, and a list of calls of reference functions from inputs to outputs.

Every node is one call, op(*inputs, **options) -> output, of a function of `reference` (or "reshape"), with only
integers in its options. So a graph can be run, checked, lowered and compiled, whatever format it was read
from. network.py has the user's class: a graph that can also be saved and summarised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import integer
from ucorr.spec import pair

from .. import reference
from ..reference.checks import array_of, integers, reals
from ..reference.exact import extent_of
from ..reference.layers import pads_of

Ints = NDArray[Any]
ITEMS = 1 << 27  # of one array, 8 bytes each at most


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor: its shape with the batch in front, its dtype, real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} {self.dtype}"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Node:
    """One call: op(*[values of inputs], **options) gives the value of output, tensors being named by their numbers.

    A value has a dimension of samples in front of its tensor's shape, so an axis counts from the end: -1 is the last.
    A board's network is compiled from options that are all written out, those with a default too.
    """

    op: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, Any] = field(default_factory=dict)


def reshape(x: Ints, shape: tuple[int, ...]) -> Ints:
    """x (batch, ...) with its items in another shape, batch by batch."""
    return x.reshape(len(x), *shape)


FUNCTIONS = {name: getattr(reference, name) for name in reference.__all__} | {"reshape": reshape}


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run.

    tensors    all of them, by number
    constants  {number: value} of those that don't depend on an input
    inputs, outputs   numbers, as the model has them in order
    labels     a name for each class, or nothing
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: dict[int, Ints] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for each node: its function, the tensors that it reads, and the one it makes."""
        ends = (" and ".join(map(str, map(self.tensors.__getitem__, end))) for end in (self.inputs, self.outputs))
        lines = ["{} of {}: {} -> {}".format(type(self).__name__, f"{len(self.nodes)} nodes", *ends)]
        width = max((len(node.op) for node in self.nodes), default=0)
        for node in self.nodes:
            read = ", ".join(str(self.tensors[number]) for number in node.inputs)
            lines.append(f"  {node.op:<{width}}  {read} -> {self.tensors[node.output]}")
        return "\n".join(lines)

    def run(self, *inputs: ArrayLike) -> Any:
        """The network's output, or a tuple where it has several; what LiteRT's reference kernels give, to the bit.

        inputs  integers of each input's shape and dtype, or with one more dimension in front: many samples. A
                leading 1 of the input's shape may be left out then
        raises  ValueError or TypeError naming the input; ValueError for a network that needs a huge array for one
                sample. How long a run takes is not asked here: work.check() does that
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"inputs: {len(inputs)} arrays, wanted {len(self.inputs)}")
        given = [samples_of(self.tensors[number], value) for number, value in zip(self.inputs, inputs, strict=True)]
        counts = {len(value) for value, _ in given}
        if len(counts) != 1:
            raise ValueError(f"inputs: {sorted(counts)} samples, wanted as many of each")
        part = check_items(self)
        found = [self._run([value[n : n + part] for value, _ in given]) for n in range(0, max(1, counts.pop()), part)]
        several = given[0][1]
        results = tuple(in_form(np.concatenate(values), several) for values in zip(*found, strict=True))
        return results if len(results) > 1 else results[0]

    def _run(self, given: list[Ints]) -> list[Ints]:
        """The outputs for (samples, ...) of each input, all samples at once."""
        values = {number: value[None] for number, value in self.constants.items()}
        values |= dict(zip(self.inputs, given, strict=True))
        last = {number: n for n, node in enumerate(self.nodes) for number in node.inputs}
        for n, node in enumerate(self.nodes):
            values[node.output] = FUNCTIONS[node.op](*[values[number] for number in node.inputs], **node.options)
            for number in set(node.inputs):
                if last[number] == n and number not in self.outputs:
                    del values[number]
        return [values[number] for number in self.outputs]

    def random_input(self, seed: int = 0) -> Ints:
        """One sample of the first input, its integers drawn from all that its dtype has."""
        tensor = self.tensors[self.inputs[0]]
        limits = np.iinfo(tensor.dtype)
        seed = integer("seed", seed, 0, (1 << 64) - 1)
        return np.random.default_rng(seed).integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)

    def quantize_input(self, real: ArrayLike) -> Ints:
        """Real numbers as the first input's integers, to nearest, halves to even."""
        return quantized(real, self.tensors[self.inputs[0]])

    def dequantize_output(self, value: ArrayLike) -> NDArray[np.float32]:
        """The first output's integers as real numbers."""
        tensor = self.tensors[self.outputs[0]]
        return (np.float32(tensor.scale) * (integers("value", value).astype(np.float32) - tensor.zero_point)).astype(
            np.float32
        )


def quantized(real: ArrayLike, tensor: Tensor) -> Ints:
    """Real numbers as a tensor's integers: to nearest, halves to even, what is out of range at its end."""
    limits = np.iinfo(tensor.dtype)
    with np.errstate(over="ignore"):  # an infinity is out of range too
        steps = np.rint(reals("real", real) / tensor.scale) + tensor.zero_point
    return np.clip(steps, limits.min, limits.max).astype(tensor.dtype)


def samples_of(tensor: Tensor, value: ArrayLike) -> tuple[Ints, str]:
    """(value as (samples, *shape), its original form, for in_form()). raises TypeError or ValueError"""
    array = array_of(f"input {tensor.name!r}", value)
    if array.dtype != tensor.dtype:
        raise TypeError(f"input {tensor.name!r}: dtype {array.dtype}, wanted {tensor.dtype}")
    if array.shape == tensor.shape:
        return array[None], "one"
    if array.shape[1:] == tensor.shape:
        return array, "several"
    if tensor.shape[:1] == (1,) and array.shape[1:] == tensor.shape[1:]:
        return array[:, None], "without batch"
    raise ValueError(f"input {tensor.name!r}: shape {array.shape}, wanted {tensor.shape}, or samples of it")


def in_form(value: Ints, form: str) -> Ints:
    """Outputs (samples, *shape) in the form in which the inputs came."""
    if form == "one":
        return value[0]
    return value[:, 0] if form == "without batch" and value.shape[1:2] == (1,) else value


def items(network: Graph) -> int:
    """The items of the largest array that one sample needs, padding and spread images among them."""
    return max((_items(network, node) for node in network.nodes), default=0)


def check_items(network: Graph) -> int:
    """How many samples a run takes at once. raises ValueError where one of them needs a larger array than ITEMS"""
    largest = items(network)
    if largest > ITEMS:
        raise ValueError(f"model: an array of {largest:,} items for a sample, wanted at most {ITEMS:,}")
    return ITEMS // max(1, largest)


def _items(network: Graph, node: Node) -> int:
    x, options = network.tensors[node.inputs[0]], node.options
    largest = max(network.tensors[number].size for number in (*node.inputs, node.output))
    if node.op in ("conv2d", "depthwise_conv2d"):
        dilation, stride = (pair(name, options.get(name, 1), 1, 65535) for name in ("dilation", "stride"))
        extent = extent_of(options["kernel"].shape[1:3], dilation)
        pads = pads_of(options.get("padding", "valid"), x.shape[1:3], extent, stride)
        spans = [n + sum(pad) for n, pad in zip(x.shape[1:3], pads, strict=True)]
    elif node.op == "transpose_conv2d":
        kernel, stride = options["kernel"].shape[1:3], pair("stride", options.get("stride", 1), 1, 65535)
        spans = [(n - 1) * step + k for n, step, k in zip(x.shape[1:3], stride, kernel, strict=True)]
    else:
        return largest
    return max(largest, x.shape[0] * math.prod(spans) * x.shape[3])
