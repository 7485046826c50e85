"""Importers of elementwise operators: sums, products, functions of one number, softmax, QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..networks import activations
from ..networks.graph import Tensor
from ..quantize import softmax_multiplier
from ..reference.elementwise import ROOM
from .builder import ACTIVATIONS, EDGES, Builder, Importer, Unsupported, expect, fused_range, multiplier_of
from .records import RawOperator


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
    expect(out, shape)
    return (numbers[0], numbers[1]), tensors[0], tensors[1], out_number, out


def total(builder: Builder, operator: RawOperator) -> None:
    numbers, a, b, out_number, out = _two(builder, operator)
    scales = a.scale, b.scale, out.scale
    if out.dtype == np.int16 and operator.options["PotScaleInt16"] and all(map(_near_power, scales)):
        raise Unsupported("INT16 with scales that are powers of two and pot_scale_int16, wanted it false")
    twice = 2 * max(a.scale, b.scale)
    options = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out.zero_point}
    options["a_multiplier"], options["a_shift"] = multiplier_of(a.scale / twice, 0)
    options["b_multiplier"], options["b_shift"] = multiplier_of(b.scale / twice, 0)
    options["multiplier"], options["shift"] = multiplier_of(twice / ((1 << ROOM[out.dtype.itemsize]) * out.scale), 0)
    options |= fused_range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    builder.add(operator.name.lower(), numbers, out_number, **options)


def _near_power(scale: float) -> bool:
    """Whether TFLite takes a scale for a power of two (CheckedLog2)."""
    log = math.log2(scale)
    return abs(log - round(log)) < 1e-3


def product(builder: Builder, operator: RawOperator) -> None:
    numbers, a, b, out_number, out = _two(builder, operator)
    options = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out.zero_point}
    options["multiplier"], options["shift"] = multiplier_of(
        float(np.float32(a.scale) * np.float32(b.scale) / np.float32(out.scale))
    )
    reach = 255 * 255 if out.dtype == np.int8 else 1 << 30
    if reach << max(0, options["shift"]) >= 1 << 31:
        raise Unsupported(f"an output scale of {out.scale}, wanted one that keeps products under 2**31")
    options |= fused_range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    builder.add("mul", numbers, out_number, **options)


def prelu(builder: Builder, operator: RawOperator) -> None:
    numbers, a, b, out_number, out = _two(builder, operator)
    if out.dtype != np.int8:
        raise Unsupported(f"{out.name!r} is {out.dtype}, wanted int8")
    expect(out, a.shape)
    scale, product = np.float32(a.scale), np.float32(a.scale) * np.float32(b.scale)
    options = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point, "output_zero_point": out.zero_point}
    options["a_multiplier"], options["a_shift"] = multiplier_of(float(scale / np.float32(out.scale)))
    options["multiplier"], options["shift"] = multiplier_of(float(product / np.float32(out.scale)))
    if max(255 << max(0, options["a_shift"]), 255 * 255 << max(0, options["shift"])) >= 1 << 31:
        raise Unsupported(f"an output scale of {out.scale}, wanted one that keeps items and products under 2**31")
    builder.add("prelu", numbers, out_number, **options, **fused_range("none", out))


# Functions of one number


def function(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    _single(builder, operator, number, x, builder.written(operator)[1])


def _single(builder: Builder, operator: RawOperator, number: int, x: Tensor, out: Tensor) -> None:
    """A table for 8 bits; for 16, what is a rescaling."""
    kind = operator.name.lower()
    expect(out, x.shape)
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
        wider = kind == "quantize" and out.dtype == np.int16
        if not wider and (x.dtype != np.int16 or kind not in ("relu", "relu6", "leaky_relu", "quantize")):
            raise Unsupported(f"{x.name!r} is {x.dtype} and {out.name!r} {out.dtype}, wanted int8 to int8")
        options: dict[str, Any] = activations.rescaling(kind, source, target, out.dtype, alpha)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    builder.add("rescale", (number,), operator.outputs[0], out_dtype=out.dtype, **options)


def quantize(builder: Builder, operator: RawOperator) -> None:
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


def dequantize(builder: Builder, operator: RawOperator) -> None:
    """DEQUANTIZE, for the network's output alone: the integers are the result."""
    number, _ = builder.read(operator, 0)
    output = operator.outputs[0]
    if output not in builder.graph.outputs or any(output in op.inputs for op in builder.graph.operators):
        raise Unsupported("a float inside the network, wanted it at the output alone")
    builder.alias[output] = number


def softmax(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    expect(out, x.shape)
    if x.dtype != np.int8 or out.dtype != np.int8 or (out.scale, out.zero_point) != (1 / 256, -128):
        raise Unsupported(f"{x.dtype} to {out.dtype} of scale {out.scale}, wanted int8 to int8 of scale 1/256")
    try:
        multiplier, shift = softmax_multiplier(operator.options["Beta"] * x.scale)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    builder.add("softmax", (number,), out_number, multiplier=multiplier, shift=shift)


OPERATORS = {
    "ADD": Importer(total, "AddOptions", ("FusedActivationFunction", "PotScaleInt16")),
    "DEQUANTIZE": Importer(dequantize),
    "HARD_SWISH": Importer(function),
    "LEAKY_RELU": Importer(function, "LeakyReluOptions", ("Alpha",)),
    "LOGISTIC": Importer(function),
    "MUL": Importer(product, "MulOptions", ("FusedActivationFunction",)),
    "PRELU": Importer(prelu),
    "QUANTIZE": Importer(quantize),
    "RELU": Importer(function),
    "RELU6": Importer(function),
    "RELU_N1_TO_1": Importer(function),
    "SOFTMAX": Importer(softmax, "SoftmaxOptions", ("Beta",)),
    "SUB": Importer(total, "SubOptions", ("FusedActivationFunction", "PotScaleInt16")),
    "TANH": Importer(function),
}
