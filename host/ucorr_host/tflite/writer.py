"""save_tflite() and to_tflite(), which write a Network of quantize_network as a .tflite file that LiteRT can run.

A node has multipliers where the file has scales. The scale of a channel's weights is multiplier * 2**(shift - 31) *
output scale / input scale; a multiplier of 31 bits expresses it to far less than half a step of a float32, so that
rounding finds the very float32 that the multiplier was made of, if there was one. load_tflite of the file gives the
same nodes.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr.arguments import refused

from ..networks import activations
from ..networks.graph import Node, Tensor
from ..networks.network import Network
from ..reference.exact import extent_of
from ..reference.layers import pads_of
from .builder import ACTIVATIONS, PADDINGS

SOFTMAX_BITS = 26  # of softmax's multiplier, see quantize.softmax_multiplier
CODES = {name: code for code, name in ACTIVATIONS.items()}
WAYS = {name: code for code, name in PADDINGS.items()}


def save_tflite(network: Network, path: str | PathLike[str]) -> int:
    """Write the network as a .tflite file; returns the number of bytes. Options as to_tflite's; raises OSError too."""
    if not isinstance(path, (str, PathLike)):
        raise refused("path", path, "a path")
    return Path(fspath(path)).write_bytes(to_tflite(network))


def to_tflite(network: Network) -> bytes:
    """The bytes of a .tflite file with the network's nodes; labels are not in it.

    raises  ValueError naming a node of another kind, or with other options, than quantize_network makes
    """
    return _Writer(network).bytes()


class _Writer:
    def __init__(self, network: Network) -> None:
        from .model import Model

        if not isinstance(network, Network):
            raise refused("network", network, "a Network")

        self.network, self.model = network, Model()
        if network.constants:
            raise ValueError(f"network: {len(network.constants)} constants, wanted none for a .tflite file")
        self.places = [self.tensor(tensor) for tensor in network.tensors]

    def tensor(self, tensor: Tensor) -> int:
        return self.model.tensor(
            tensor.shape, tensor.dtype, None, np.float32(tensor.scale), tensor.zero_point, name=tensor.name
        )

    def ints(self, values: Any) -> int:
        array = np.array(values, np.int32)
        return self.model.tensor(array.shape, np.int32, array)

    def bytes(self) -> bytes:
        for node in self.network.nodes:
            if node.op not in WRITE:
                raise ValueError(f"network: a node {node.op!r}, wanted one of {' '.join(WRITE)} for a .tflite file")
            x, out = self.network.tensors[node.inputs[0]], self.network.tensors[node.output]
            WRITE[node.op](self, node, x, out)
        ends = ([self.places[n] for n in numbers] for numbers in (self.network.inputs, self.network.outputs))
        return self.model.build(*ends)

    def add(self, name: str, node: Node, options: str | None = None, *more: int, **fields: Any) -> None:
        """An operator that reads the node's inputs and `more`."""
        inputs = [self.places[n] for n in node.inputs]
        self.model.operator(name, [*inputs, *more], [self.places[node.output]], options, **fields)


def _activation(node: Node, out: Tensor) -> int:
    ends = node.options["activation_min"], node.options["activation_max"]
    for kind, code in CODES.items():
        if activations.activation_range(kind, (out.scale, out.zero_point), out.dtype) == ends:
            return code
    raise ValueError(f"network: {out.name!r} within {ends}, wanted the range of an activation")


def _sliding(node: Node, x: Tensor, extent: tuple[int, int]) -> dict[str, int]:
    """The options of a window's steps and padding."""
    size, stride = (x.shape[1], x.shape[2]), node.options["stride"]
    for way, code in WAYS.items():
        if pads_of(way, size, extent, stride) == node.options["padding"]:
            return {"Padding": code, "StrideH": stride[0], "StrideW": stride[1]}
    raise ValueError(f"network: padding {node.options['padding']}, wanted that of 'same' or 'valid'")


def _weights(writer: _Writer, node: Node, factors: NDArray[Any], axis: int) -> tuple[int, int]:
    """Numbers of the kernel and the bias."""
    x, out = writer.network.tensors[node.inputs[0]], writer.network.tensors[node.output]
    kernel, bias = node.options["kernel"], node.options.get("bias")
    scales = np.broadcast_to(factors * out.scale / x.scale, kernel.shape[axis]).astype(np.float32)
    if bias is None:  # LiteRT's CONV_2D wants one
        bias = np.zeros(len(scales), np.int32)
    made = writer.model.tensor(kernel.shape, np.int8, kernel, scales, axis=axis)
    bias_scales = np.float32(x.scale) * scales
    return made, writer.model.tensor(bias.shape, np.int32, bias, bias_scales, np.zeros(len(bias)))


def _conv(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    given, depthwise = node.options, node.op == "depthwise_conv2d"
    factors = np.asarray(given["multiplier"]) * 2.0 ** (np.asarray(given["shift"]) - 31)
    numbers = _weights(writer, node, factors, 3 if depthwise else 0)
    extent = extent_of(given["kernel"].shape[1:3], given["dilation"])
    options = _sliding(node, x, extent) | {"FusedActivationFunction": _activation(node, out)}
    options |= {"DilationHFactor": given["dilation"][0], "DilationWFactor": given["dilation"][1]}
    if depthwise:
        options["DepthMultiplier"] = out.shape[3] // x.shape[3]
        writer.add("DEPTHWISE_CONV_2D", node, "DepthwiseConv2DOptions", *numbers, **options)
    else:
        writer.add("CONV_2D", node, "Conv2DOptions", *numbers, **options)


def _dense(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    if "factor" not in node.options:
        raise ValueError(f"network: {out.name!r} is scaled by an integer, wanted a factor, as FULLY_CONNECTED has it")
    numbers = _weights(writer, node, np.array(node.options["factor"]), 0)
    code = _activation(node, out)
    writer.add("FULLY_CONNECTED", node, "FullyConnectedOptions", *numbers, FusedActivationFunction=code)


def _pool(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    size = node.options["size"]
    options = _sliding(node, x, size) | {"FusedActivationFunction": _activation(node, out)}
    name = "MAX_POOL_2D" if node.op == "max_pool2d" else "AVERAGE_POOL_2D"
    writer.add(name, node, "Pool2DOptions", FilterHeight=size[0], FilterWidth=size[1], **options)


def _mean(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    axes = writer.ints([axis + len(x.shape) for axis in node.options["axis"]])
    writer.add("MEAN", node, "ReducerOptions", axes, KeepDims=node.options["keepdims"])


def _add(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    writer.add("ADD", node, "AddOptions", FusedActivationFunction=_activation(node, out))


def _reshape(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    writer.add("RESHAPE", node, None, writer.ints(node.options["shape"]))


def _softmax(writer: _Writer, node: Node, x: Tensor, out: Tensor) -> None:
    factor = node.options["multiplier"] * 2.0 ** (node.options["shift"] - 31)
    beta = factor / 2.0**SOFTMAX_BITS / x.scale
    writer.add("SOFTMAX", node, "SoftmaxOptions", Beta=float(np.float32(beta)))


WRITE: dict[str, Any] = {
    "add": _add,
    "average_pool2d": _pool,
    "conv2d": _conv,
    "dense": _dense,
    "depthwise_conv2d": _conv,
    "max_pool2d": _pool,
    "mean": _mean,
    "reshape": _reshape,
    "softmax": _softmax,
}
