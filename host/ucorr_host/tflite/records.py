"""A .tflite file's bytes as plain records, or one ValueError.

The schema is that of the `tflite` package, whose accessors trust a file: they follow any offset and believe any length.
So what a graph says is copied once, every length compared with the file's size before anything is looped over or
allocated; the other modules see the records alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_OPERATORS, MOST_TENSORS, MOST_OPERANDS = 4096, 16384, 1024
MOST_ITEMS = 1 << 24  # of one tensor: more than any board holds
MOST_BYTES = 1 << 28  # of a file


class Corrupt(ValueError):
    """A file that is no model."""


@dataclass(frozen=True)
class RawTensor:
    """A tensor as a file has it; type is the schema's name of it, data its raw bytes or None."""

    name: str
    shape: tuple[int, ...]
    type: str
    data: NDArray[np.uint8] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int


@dataclass(frozen=True)
class RawOperator:
    """An operator as a file has it: the schema's name, tensor numbers (-1: left out), fields of its options."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class RawGraph:
    """The first graph of a file, and how many there are."""

    tensors: tuple[RawTensor, ...]
    operators: tuple[RawOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1


Options = dict[str, tuple[str, tuple[str, ...]]]  # operator -> options table of the schema, the fields that are read


def read(data: bytes, options: Options) -> RawGraph:
    """The graph of a file's bytes, with the options of some operators; others have none. raises Corrupt"""
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise Corrupt(f"model: {len(data)} bytes that don't begin as a .tflite file does, wanted one")
    if len(data) > MOST_BYTES:
        raise Corrupt(f"model: {len(data)} bytes, wanted at most {MOST_BYTES}")
    try:
        return _Reader(data, options).graph()
    except Corrupt:
        raise
    except (struct.error, IndexError, TypeError, AttributeError, OverflowError, UnicodeError, ValueError) as error:
        # what the accessors raise where an offset leads nowhere
        raise Corrupt(f"model: corrupt, {type(error).__name__}: {error}") from error


class _Reader:
    """The accessors of one file, with every length checked."""

    def __init__(self, data: bytes, options: Options) -> None:
        import tflite

        self.schema = tflite
        self.size, self.options = len(data), options
        self.model = tflite.Model.GetRootAs(data, 0)
        self.names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
        self.types = {value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}

    def count(self, what: str, number: int, most: int) -> range:
        if number > min(most, self.size):
            raise Corrupt(f"model: {number} {what}, wanted at most {min(most, self.size)} in {self.size} bytes")
        return range(number)

    def numbers(self, what: str, table: Any, name: str, most: int) -> tuple[int, ...]:
        """A vector of ints as a tuple."""
        self.count(what, getattr(table, name + "Length")(), most)
        values = getattr(table, name + "AsNumpy")()
        return () if isinstance(values, int) else tuple(values.tolist())

    def graph(self) -> RawGraph:
        model = self.model
        if not self.count("subgraphs", model.SubgraphsLength(), MOST_OPERATORS):
            raise Corrupt("model: no subgraph, wanted one")
        graph = model.Subgraphs(0)
        tensors = tuple(
            self.tensor(graph.Tensors(n)) for n in self.count("tensors", graph.TensorsLength(), MOST_TENSORS)
        )
        codes = [self.code(n) for n in self.count("operator codes", model.OperatorCodesLength(), MOST_OPERATORS)]
        operators = tuple(
            self.operator(n, graph.Operators(n), codes)
            for n in self.count("operators", graph.OperatorsLength(), MOST_OPERATORS)
        )
        inputs = self.numbers("graph inputs", graph, "Inputs", MOST_OPERANDS)
        outputs = self.numbers("graph outputs", graph, "Outputs", MOST_OPERANDS)
        named = [*inputs, *outputs, *(n for op in operators for n in (*op.inputs, *op.outputs) if n != -1)]
        if not inputs or not outputs or min(named) < 0 or max(named) >= len(tensors):
            raise Corrupt(f"model: corrupt, operators and graph name tensors beyond its {len(tensors)}, or none")
        return RawGraph(tensors, operators, inputs, outputs, model.SubgraphsLength())

    def code(self, number: int) -> str:
        """The name of an operator code; since 2020 the wider field counts where it is the greater."""
        code = self.model.OperatorCodes(number)
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        return self.names.get(value, f"operator {value}") if custom is None else f"CUSTOM {custom.decode()[:40]}"

    def operator(self, index: int, operator: Any, codes: list[str]) -> RawOperator:
        name = codes[operator.OpcodeIndex()]
        inputs = self.numbers("inputs", operator, "Inputs", MOST_OPERANDS)
        outputs = self.numbers("outputs", operator, "Outputs", MOST_OPERANDS)
        options: dict[str, Any] = {}
        if name in self.options:
            table_name, fields = self.options[name]
            table = getattr(self.schema, table_name)()
            found = operator.BuiltinOptions()
            if found is None or operator.BuiltinOptionsType() != getattr(self.schema.BuiltinOptions, table_name):
                raise Corrupt(f"model: {name} {index} has no {table_name}")
            table.Init(found.Bytes, found.Pos)
            options = {field: getattr(table, field)() for field in fields}
        return RawOperator(index, name, inputs, outputs, options)

    def tensor(self, tensor: Any) -> RawTensor:
        name = tensor.Name()
        shape = self.numbers("dimensions", tensor, "Shape", 8)
        items = 1
        for extent in shape:
            if not 0 <= extent <= MOST_ITEMS or items * extent > MOST_ITEMS:
                raise Corrupt(f"model: a tensor of shape {shape}, wanted at most {MOST_ITEMS} items")
            items *= extent
        self.count("buffers", tensor.Buffer(), self.model.BuffersLength())
        raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        quantization = tensor.Quantization()
        scales, zero_points, axis = np.empty(0, np.float32), np.empty(0, np.int64), 0
        if quantization is not None:
            axis = quantization.QuantizedDimension()
            if quantization.ScaleLength():
                scales = quantization.ScaleAsNumpy()
            if quantization.ZeroPointLength():
                zero_points = quantization.ZeroPointAsNumpy()
        return RawTensor(
            "" if name is None else name[:200].decode("utf-8", "replace"),
            shape,
            self.types.get(tensor.Type(), f"type {tensor.Type()}"),
            None if isinstance(raw, int) else raw,
            scales,
            zero_points,
            axis,
        )
