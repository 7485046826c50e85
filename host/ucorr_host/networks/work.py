"""operations(), an estimate from shapes alone of what a run of the reference computes, and check(), which limits it."""

from __future__ import annotations

import math
from typing import Any

from .graph import Graph, Node, check_items

OPERATIONS = 10**10  # of one sample: ten times a large mobile network, some minutes of a laptop at worst


def operations(network: Graph) -> int:
    """What one sample takes: multiply-accumulates of layers, items of windows, items that are written."""
    return sum(_operations(network, node) for node in network.nodes)


def check(network: Graph, most: int = OPERATIONS, remedy: str = "") -> None:
    """Nothing, or ValueError for a network whose run would take too long or hold too much.

    most    operations() of one sample
    remedy  how a user raises the limit, as the end of the error message
    """
    check_items(network)
    count = operations(network)
    if count > most:
        raise ValueError(
            f"model: {count:,} operations (multiply-accumulates, items of windows) for a sample, wanted at most"
            f" {most:,}{remedy}"
        )


def _operations(network: Graph, node: Node) -> int:
    size = network.tensors[node.output].size
    kernel: Any = node.options.get("kernel")
    if "size" in node.options:  # of a window
        return size * math.prod(node.options["size"])
    if node.op == "depthwise_conv2d":
        return size * math.prod(kernel.shape[1:3])
    if kernel is not None:  # every product of the kernel and a place, those with zeros of a spread image too
        return size * math.prod(kernel.shape[1:])
    return size + sum(network.tensors[number].size for number in node.inputs)
