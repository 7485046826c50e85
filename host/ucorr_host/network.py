"""A quantised network: tensors, and calls of reference functions that lead from inputs to outputs.

Every node is one call, op(*inputs, **words) -> output, of a function of `reference` (or "reshape"), with integers
alone in its words. So the network is a list that can be run, printed, checked and compiled without knowing where it
came from; tflite.py reads one, quantize_network.py makes one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import reference

Ints = NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor: its shape with the batch in front, its dtype, real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Node:
    """One call: op(*[values of inputs], **words) gives the value of output, tensors being named by their numbers."""

    op: str
    inputs: tuple[int, ...]
    output: int
    words: dict[str, Any] = field(default_factory=dict)


def reshape(x: Ints, shape: tuple[int, ...]) -> Ints:
    """x (batch, ...) with its items in another shape, batch by batch."""
    return x.reshape(len(x), *shape)


FUNCTIONS = {name: getattr(reference, name) for name in reference.__all__} | {"reshape": reshape}


@dataclass(frozen=True)
class Network:
    """A graph of nodes in an order in which they can run.

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

    def run(self, *inputs: ArrayLike) -> Any:
        """The network's output, or a tuple where it has several; what LiteRT's reference kernels give, to the bit.

        inputs  integers of each input's shape and dtype, or with one more dimension in front: many samples. A
                leading 1 of the input's shape may be left out then
        raises  ValueError or TypeError naming the input
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"inputs: {len(inputs)} arrays, wanted {len(self.inputs)}")
        given = [samples_of(self.tensors[number], value) for number, value in zip(self.inputs, inputs, strict=True)]
        counts = {len(value) for value, _ in given}
        if len(counts) != 1:
            raise ValueError(f"inputs: {sorted(counts)} samples, wanted as many of each")
        values = {number: value[None] for number, value in self.constants.items()}
        values |= {number: value for number, (value, _) in zip(self.inputs, given, strict=True)}
        last = {number: n for n, node in enumerate(self.nodes) for number in node.inputs}
        for n, node in enumerate(self.nodes):
            values[node.output] = FUNCTIONS[node.op](*[values[number] for number in node.inputs], **node.words)
            for number in set(node.inputs):
                if last[number] == n and number not in self.outputs:
                    del values[number]
        several = given[0][1]
        results = tuple(in_form(values[number], several) for number in self.outputs)
        return results if len(results) > 1 else results[0]

    def summary(self, core: str = "any", budget: int | None = None) -> str:
        """Layers, MACs, bytes and the memory plan as text; words as save's."""
        from . import summary
        from .compile import compile

        return summary.text(summary.report(compile(self, core, budget)))

    def save(self, path: str | PathLike[str], core: str = "any", budget: int | None = None) -> int:
        """Write the file that `ucorr.load` takes on a board; the number of its bytes.

        core    "any", for weights that the board packs when it loads them, or a Cortex-M whose code goes along
        budget  None, or the most bytes that packed weights may take
        raises  ValueError for what compile.compile() refuses, OSError
        """
        from .compile import compile

        return Path(fspath(path)).write_bytes(compile(self, core, budget).to_bytes())

    def random_input(self, seed: int = 0) -> Ints:
        """One sample of the first input, its integers drawn from all that its dtype has."""
        tensor = self.tensors[self.inputs[0]]
        limits = np.iinfo(tensor.dtype)
        return np.random.default_rng(seed).integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)

    def quantize_input(self, real: ArrayLike) -> Ints:
        """Real numbers as the first input's integers, to nearest, halves to even."""
        return quantized(real, self.tensors[self.inputs[0]])

    def dequantize_output(self, value: ArrayLike) -> NDArray[np.float32]:
        """The first output's integers as real numbers."""
        tensor = self.tensors[self.outputs[0]]
        return (np.float32(tensor.scale) * (np.asarray(value).astype(np.float32) - tensor.zero_point)).astype(
            np.float32
        )


def quantized(real: ArrayLike, tensor: Tensor) -> Ints:
    """Real numbers as a tensor's integers: to nearest, halves to even, what is out of range at its end."""
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(np.asarray(real, np.float64) / tensor.scale) + tensor.zero_point
    return np.clip(steps, limits.min, limits.max).astype(tensor.dtype)


def samples_of(tensor: Tensor, value: ArrayLike) -> tuple[Ints, str]:
    """The value as (samples, *shape), and how it came, for in_form(). raises TypeError or ValueError"""
    array = np.asarray(value)
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
