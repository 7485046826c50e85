"""harmless(), which returns small biases and usual scales for output channels whose weights are all zero.

Training leaves such dead channels with a bias near 2**30 and a tiny scale, for which machine code would need wider
accumulators in every channel. The accumulator of a dead channel is its bias, so its output is a constant c, and any
other bias and scale that give c produce the same bytes, whatever x is. A weight is zero where it equals the
kernel's zero point.

The new scale is that of a live channel, which machine code has to handle anyway: the greatest that has 31 bits
(equation 5 keeps 15 of them) and shifts to the right. It is under 1/2, so the integer next to (c - zero_point) / scale
is less than 1/4 of an output away; equations 2 and 3, 6, and 8 all turn it into c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr.fixedpoint import reduced

from ..reference import requantize

QUARTER = 1 << 30, -1  # multiplier and shift of a scale of 1/4, where no channel lives


def harmless(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a layer with other biases and scales for its dead channels, and the same outputs.

    options  of a step of lower.py: kernel (out, height, width, in), bias None or ints, multiplier and shift one or one
           per channel; they come back as they are where no channel is dead
    """
    kernel = options["kernel"]
    dead = ~(kernel != options.get("kernel_zero_point", 0)).reshape(len(kernel), -1).any(axis=1)
    if not dead.any() or options.get("multiplier") is None:
        return options
    bias = np.zeros(len(kernel), np.int32) if options["bias"] is None else np.array(options["bias"])
    multiplier = np.array(np.broadcast_to(options["multiplier"], bias.shape), np.int64)
    shift = np.array(np.broadcast_to(options["shift"], bias.shape), np.int64)

    wide = options.get("accumulator") == "int64"

    def outputs(acc: NDArray[Any], multiplier: Any, shift: Any) -> NDArray[Any]:
        names = ("rounding", "output_zero_point", "activation_min", "activation_max")
        scale = {name: options[name] for name in names if name in options}
        return requantize(
            acc,
            multiplier,
            shift,
            accumulator=options.get("accumulator") or "int32",
            out_dtype=options["out_dtype"],
            **scale,
        )

    try:
        constants = outputs(bias[dead], multiplier[dead], shift[dead])
    except ValueError:  # a bias past what the equations are about; machine code refuses the layer
        return options
    values = constants.astype(np.int64) - options.get("output_zero_point", 0)
    usual = _usual(multiplier[~dead], shift[~dead], int(np.abs(values).max()))
    # equation 5 leaves 15 bits of a multiplier
    real = reduced(usual[0]) * 2.0 ** (usual[1] - 15) if wide else usual[0] * 2.0 ** (usual[1] - 31)
    acc = np.rint(values / real).astype(np.int64)
    assert np.array_equal(outputs(acc, *usual), constants)
    bias[dead] = acc
    multiplier[dead], shift[dead] = usual
    return {**options, "bias": bias, "multiplier": multiplier, "shift": shift}


def _usual(multiplier: NDArray[Any], shift: NDArray[Any], reach: int) -> tuple[int, int]:
    """(multiplier, shift) of the greatest scale that shifts to the right and makes `reach` of under 2**28, or 1/4."""
    real = multiplier * 2.0 ** (shift - 31)
    allowed = np.flatnonzero((real > reach * 2.0**-28) & (shift < 0) & (multiplier >= 1 << 30))
    if not len(allowed):
        return QUARTER
    best = allowed[real[allowed].argmax()]
    return int(multiplier[best]), int(shift[best])
