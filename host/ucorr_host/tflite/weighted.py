"""Importers of operators with weights: convolutions, transposed convolutions, fully connected layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..networks.graph import Tensor
from .builder import (
    ACTIVATIONS,
    INT32,
    Builder,
    Importer,
    Ints,
    Unsupported,
    expect,
    fused_range,
    multiplier_of,
    slid_shape,
    sliding,
)
from .records import RawOperator


def _weighted(builder: Builder, operator: RawOperator, places: tuple[int, int, int], axis: int) -> dict[str, Any]:
    """What all of them share: kernel, bias, zero points, factors. places of x, kernel and bias among the inputs.

    axis  of the kernel's output channels
    """
    _, x = builder.one(operator, places[0])
    _, out = builder.written(operator)
    raw = builder.graph.tensors[builder.operand(operator, places[1])]
    kernel = builder.constant(builder.operand(operator, places[1]), ("INT8", "INT4"))
    if axis >= kernel.ndim:
        raise Unsupported(f"a kernel of {kernel.ndim} dimensions, wanted more")
    channels = kernel.shape[axis]
    if len(raw.scales) not in (1, channels) or (len(raw.scales) > 1 and raw.axis != axis):
        raise Unsupported(
            f"{raw.name!r} has {len(raw.scales)} scales along {raw.axis}, wanted 1 or {channels}, along {axis}"
        )
    if len(raw.zero_points) and (raw.zero_points != raw.zero_points[0]).any():
        raise Unsupported(f"{raw.name!r} has zero points that differ, wanted one")
    zero_point = int(raw.zero_points[0]) if len(raw.zero_points) else 0
    if zero_point and operator.name != "FULLY_CONNECTED":
        raise Unsupported(f"{raw.name!r} has zero point {zero_point}, wanted 0")
    if not -128 <= zero_point <= 127 or not np.all(np.isfinite(raw.scales) & (raw.scales >= 0)):
        raise Unsupported(f"{raw.name!r} has zero point {zero_point} and scales {raw.scales[:4]}, wanted those of INT8")
    if out.dtype != x.dtype:
        raise Unsupported(f"{x.name!r} is {x.dtype} and {out.name!r} {out.dtype}, wanted one type")
    options: dict[str, Any] = {"kernel": kernel, "input_zero_point": x.zero_point, "output_zero_point": out.zero_point}
    if zero_point:
        options["kernel_zero_point"] = zero_point
    options["bias"] = _bias(builder, operator, places[2], channels, x)
    kind = ACTIVATIONS.get(operator.options["FusedActivationFunction"])
    options |= fused_range(kind, out)
    scales = np.broadcast_to(raw.scales, channels).tolist()
    options["factor"] = [x.scale * scale / out.scale for scale in scales]
    return options


def _bias(builder: Builder, operator: RawOperator, place: int, channels: int, x: Tensor) -> Ints | None:
    """The bias, which may be left out; a quantised dimension that is no dimension of it does not matter."""
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    bias = builder.constant(operator.inputs[place], ("INT32", "INT64") if x.dtype == np.int16 else ("INT32",))
    if bias.size != channels:
        raise Unsupported(f"a bias of {bias.size} items, wanted {channels}")
    if x.dtype == np.int16 and bias.dtype == np.int32 and operator.options.get("QuantizedBiasType") not in (INT32,):
        raise Unsupported("a bias of INT32 with INT16 data, wanted INT64, or quantized_bias_type INT32")
    return bias.reshape(-1)


def _multipliers(options: dict[str, Any], most: int = 30) -> None:
    """Turn options["factor"] into multipliers and shifts, one for each channel."""
    options["multiplier"], options["shift"] = (
        np.array(part) for part in zip(*(multiplier_of(factor, most) for factor in options.pop("factor")), strict=True)
    )


def conv(builder: Builder, operator: RawOperator) -> None:
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    options = _weighted(builder, operator, (0, 1, 2), 3 if depthwise else 0)
    kernel = options.pop("kernel")
    dilation = operator.options["DilationHFactor"], operator.options["DilationWFactor"]
    if kernel.ndim != 4 or not all(0 < step < 65536 for step in dilation):
        raise Unsupported(f"a kernel of {kernel.ndim} dimensions, dilated by {dilation}, wanted 4, and 1..65535")
    extent = (kernel.shape[1] - 1) * dilation[0] + 1, (kernel.shape[2] - 1) * dilation[1] + 1
    options |= sliding(operator, x, extent) | {"dilation": dilation}
    depth = x.shape[3]
    if depthwise:
        fits = kernel.shape[0] == 1 and kernel.shape[3] % depth == 0
    else:
        options["groups"] = depth // kernel.shape[3]
        fits = depth % kernel.shape[3] == 0 and kernel.shape[0] % max(1, options["groups"]) == 0
    if not fits:
        raise Unsupported(f"a kernel of shape {kernel.shape} on {depth} channels, wanted one that divides them")
    expect(out, slid_shape(x, extent, options, kernel.shape[3 if depthwise else 0]))
    _multipliers(options, 7 if x.dtype == np.int16 and not _narrow(options) else 30)
    builder.add("depthwise_conv2d" if depthwise else "conv2d", (number,), out_number, kernel=kernel, **options)


def _narrow(options: dict[str, Any]) -> bool:
    return options["bias"] is not None and options["bias"].dtype == np.int32


def transpose_conv(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator, 2)
    out_number, out = builder.written(operator)
    options = _weighted(builder, operator, (2, 1, 3), 0)
    kernel = options.pop("kernel")
    if tuple(builder.numbers(operator, 0)) != out.shape or len(out.shape) != 4 or kernel.ndim != 4:
        raise Unsupported("an output shape that is not its tensor's, wanted four dimensions")
    size = kernel.shape[1], kernel.shape[2]
    # The padding is that of the layer that leads from the output back to the input.
    back = sliding(operator, out, size)
    if (
        slid_shape(out, size, back, x.shape[-1]) != x.shape
        or kernel.shape[3] != x.shape[3]
        or kernel.shape[0] != out.shape[3]
    ):
        raise Unsupported(f"a kernel of shape {kernel.shape} from {x.shape} to {out.shape}, wanted shapes that agree")
    crops = tuple(
        (pad[0], (extent - 1) * step + span - pad[0] - made)
        for pad, extent, step, span, made in zip(
            back["padding"], x.shape[1:3], back["stride"], size, out.shape[1:3], strict=True
        )
    )
    _multipliers(options, 7 if x.dtype == np.int16 and not _narrow(options) else 30)
    builder.add(
        "transpose_conv2d", (number,), out_number, kernel=kernel, stride=back["stride"], padding=crops, **options
    )


def fully_connected(builder: Builder, operator: RawOperator) -> None:
    number, x = builder.one(operator)
    out_number, out = builder.written(operator)
    options = _weighted(builder, operator, (0, 1, 2), 0)
    kernel = options["kernel"]
    if kernel.ndim != 2 or operator.options["WeightsFormat"]:
        raise Unsupported(
            f"a kernel of shape {kernel.shape} in format {operator.options['WeightsFormat']}, wanted (out, in)"
        )
    if x.size % kernel.shape[1]:
        raise Unsupported(f"{x.name!r} has {x.size} items, wanted a multiple of {kernel.shape[1]}")
    rows = x.size // kernel.shape[1]
    number = builder.in_shape(number, x, (rows, kernel.shape[1]))
    made = out_number if out.shape == (rows, len(kernel)) else builder.temporary(out, (rows, len(kernel)))
    builder.add("dense", (number,), made, **options)
    if made != out_number:
        if out.size != rows * len(kernel):
            raise Unsupported(f"{out.name!r} has {out.size} items, wanted {rows * len(kernel)}")
        builder.add("reshape", (made,), out_number, shape=out.shape)


OPERATORS = {
    "CONV_2D": Importer(
        conv,
        "Conv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "FusedActivationFunction",
            "DilationWFactor",
            "DilationHFactor",
            "QuantizedBiasType",
        ),
    ),
    "DEPTHWISE_CONV_2D": Importer(
        conv,
        "DepthwiseConv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "DepthMultiplier",
            "FusedActivationFunction",
            "DilationWFactor",
            "DilationHFactor",
        ),
    ),
    "FULLY_CONNECTED": Importer(
        fully_connected,
        "FullyConnectedOptions",
        ("FusedActivationFunction", "WeightsFormat", "KeepNumDims", "QuantizedBiasType"),
    ),
    "TRANSPOSE_CONV": Importer(
        transpose_conv,
        "TransposeConvOptions",
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "QuantizedBiasType"),
    ),
}
