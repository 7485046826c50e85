"""The table of all importers of TensorFlow Lite operators, and build(), which returns the Network of a file.

The arithmetic that follows from scales is that of TensorFlow Lite's reference kernels; test_litert_ops.py compares
every operator with LiteRT's.
"""

from __future__ import annotations

from ..networks.network import Network
from . import items, weighted, windows
from .builder import Builder, Unsupported
from .records import RawGraph, RawOperator

OPERATORS = items.OPERATORS | weighted.OPERATORS | windows.OPERATORS
OPTIONS = {name: (row.options, row.fields) for name, row in OPERATORS.items() if row.options}


TOLD = 10  # operators that a refusal names, at most
NAMED = 60  # characters of a tensor's name: converters join those of all that they fused
EDGES = ("QUANTIZE", "DEQUANTIZE")


def build(graph: RawGraph) -> Network:
    """The Network of a file's records. raises Corrupt, or ValueError that names the operators that are not supported"""
    builder = Builder(graph)
    refused = []
    for operator in graph.operators:
        row = OPERATORS.get(operator.name)
        try:
            if row is None:
                raise Unsupported("no operator that ucorr has")
            _expect_items(graph, operator)
            builder.begin(operator)
            row.build(builder, operator)
        except Unsupported as reason:
            refused.append(f"{operator.name} (operator {operator.index}, {_tensors(graph, operator)}): {reason}")
            builder.skip(operator)
    if refused or graph.subgraphs > 1:
        raise ValueError("model: " + _refusal(graph, refused))
    return builder.network()


def _expect_items(graph: RawGraph, operator: RawOperator) -> None:
    for number in (*operator.inputs, *operator.outputs):
        if number >= 0 and 0 in graph.tensors[number].shape:
            raise Unsupported(f"{graph.tensors[number].name!r} has no items, wanted one or more")


def _tensors(graph: RawGraph, operator: RawOperator) -> str:
    def named(numbers: tuple[int, ...]) -> str:
        names = [graph.tensors[n].name for n in numbers if n >= 0]
        return ", ".join(repr(name if len(name) <= NAMED else name[:NAMED] + "…") for name in names)

    return f"{named(operator.inputs)} -> {named(operator.outputs)}".strip()


def _refusal(graph: RawGraph, refused: list[str]) -> str:
    """What keeps a model from being a Network: what it is as a whole, then operators, each with its reason."""
    floats = sum(
        operator.name not in EDGES and any(n >= 0 and graph.tensors[n].type == "FLOAT32" for n in operator.outputs)
        for operator in graph.operators
    )
    parts = []
    if floats:
        parts.append(
            f"not integer-quantised: {floats} of {len(graph.operators)} operators compute floats, wanted int8 or int16"
        )
    if graph.subgraphs > 1:
        parts.append(f"not supported: {graph.subgraphs} subgraphs, wanted one")
    if refused:
        more = f"; and {len(refused) - TOLD} more" if len(refused) > TOLD else ""
        parts.append("not supported: " + "; ".join(refused[:TOLD]) + more)
    return "; ".join(parts)
