"""TensorFlow Lite's operators, each with the function that turns it into nodes; and the way through a graph.

The arithmetic that follows from scales is that of TensorFlow Lite's reference kernels; test_litert_ops.py holds every
operator against LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable

from ..network import Network
from . import items, weighted, windows
from .builder import Builder, Unsupported
from .records import RawGraph, RawOperator

OPERATORS: dict[str, Callable[[Builder, RawOperator], None]] = {
    "ADD": items.total,
    "AVERAGE_POOL_2D": windows.pool,
    "CONCATENATION": windows.concatenation,
    "CONV_2D": weighted.conv,
    "DEPTHWISE_CONV_2D": weighted.conv,
    "DEQUANTIZE": items.dequantize,
    "EXPAND_DIMS": windows.reshape,
    "FULLY_CONNECTED": weighted.fully_connected,
    "HARD_SWISH": items.function,
    "LEAKY_RELU": items.function,
    "LOGISTIC": items.function,
    "MAX_POOL_2D": windows.pool,
    "MEAN": windows.mean,
    "MUL": items.product,
    "PAD": windows.pad,
    "PADV2": windows.pad,
    "QUANTIZE": items.quantize,
    "RELU": items.function,
    "RELU6": items.function,
    "RELU_N1_TO_1": items.function,
    "RESHAPE": windows.reshape,
    "SOFTMAX": items.softmax,
    "SQUEEZE": windows.reshape,
    "SUB": items.total,
    "TANH": items.function,
    "TRANSPOSE_CONV": weighted.transpose_conv,
}


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
