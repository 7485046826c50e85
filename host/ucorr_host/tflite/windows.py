"""Importers of operators that pool, average, pad, concatenate or reshape."""

from __future__ import annotations

from .builder import (
    ACTIVATIONS,
    Builder,
    Importer,
    Unsupported,
    expect,
    expect_same_scale,
    fused_range,
    multiplier_of,
    slid_shape,
    sliding,
)
from .records import RawOperator


def pool(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    expect_same_scale(x, out)
    size = operator.options["FilterHeight"], operator.options["FilterWidth"]
    if not all(0 < extent < 65536 for extent in size):
        raise Unsupported(f"a window of {size}, wanted 1..65535")
    options = sliding(operator, x, size)
    expect(out, slid_shape(x, size, options, x.shape[3]))
    options |= fused_range(ACTIVATIONS.get(operator.options["FusedActivationFunction"]), out)
    op = "max_pool2d" if operator.name == "MAX_POOL_2D" else "average_pool2d"
    builder.add(op, (number,), out_number, size=size, **options)


def mean(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    rank = len(x.shape)
    axes = builder.numbers(operator, 1)
    if x.dtype != out.dtype or not axes or not all(-rank <= axis < rank for axis in axes):
        raise Unsupported(f"axes {axes} of {x.dtype} to {out.dtype}, wanted those of {x.shape} and one type")
    axis = tuple(sorted({axis % rank - rank for axis in axes}))
    keepdims = bool(operator.options["KeepDims"])
    left = [1 if n - rank in axis else extent for n, extent in enumerate(x.shape) if keepdims or n - rank not in axis]
    expect(out, tuple(left))
    multiplier, shift = multiplier_of(x.scale / out.scale)
    builder.add(
        "mean", (number,), out_number, axis=axis, keepdims=keepdims, multiplier=multiplier, shift=shift,
        input_zero_point=x.zero_point, output_zero_point=out.zero_point,
    )  # fmt: skip


# What only moves items


def reshape(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    expect_same_scale(x, out)
    if x.size != out.size:
        raise Unsupported(f"{x.size} items into {out.shape}, wanted as many")
    builder.add("reshape", (number,), out_number, shape=out.shape)


def pad(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    expect_same_scale(x, out)
    flat = builder.numbers(operator, 1)
    if len(flat) != 2 * len(x.shape) or min(flat) < 0 or max(flat) > 65535:
        raise Unsupported(f"paddings {flat}, wanted two of 0..65535 for each of {len(x.shape)} dimensions")
    padding = tuple(zip(flat[::2], flat[1::2], strict=True))
    expect(out, tuple(extent + sum(pad) for extent, pad in zip(x.shape, padding, strict=True)))
    value = x.zero_point
    if operator.name == "PADV2":
        value = int(builder.constant(builder.operand(operator, 2), ("INT8", "INT16")).reshape(-1)[0])
    builder.add("pad", (number,), out_number, padding=padding, value=value)


def concatenation(builder: Builder, operator: RawOperator) -> None:
    out_number, out = builder.written(operator)
    numbers, rank = [], len(out.shape)
    axis = operator.options["Axis"]
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis}, wanted one of {rank}")
    axis = axis % rank - rank
    total = 0
    for place in range(len(operator.inputs)):
        number, x = builder.one(operator, place)
        expect_same_scale(x, out)
        if x.shape[:axis] != out.shape[:axis] or x.shape[rank + axis + 1 :] != out.shape[rank + axis + 1 :]:
            raise Unsupported(f"{x.name!r} has shape {x.shape}, wanted {out.shape} but for axis {axis}")
        numbers.append(number)
        total += x.shape[axis]
    if total != out.shape[axis] or ACTIVATIONS.get(operator.options["FusedActivationFunction"]) != "none":
        raise Unsupported(f"{total} items along axis {axis}, wanted {out.shape[axis]} and no activation")
    builder.add("concatenate", tuple(numbers), out_number, axis=axis)


OPERATORS = {
    "AVERAGE_POOL_2D": Importer(
        pool,
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "CONCATENATION": Importer(concatenation, "ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "EXPAND_DIMS": Importer(reshape),
    "MAX_POOL_2D": Importer(
        pool,
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "MEAN": Importer(mean, "ReducerOptions", ("KeepDims",)),
    "PAD": Importer(pad),
    "PADV2": Importer(pad),
    "RESHAPE": Importer(reshape),
    "SQUEEZE": Importer(reshape),
}
