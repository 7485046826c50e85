"""Models in memory, and LiteRT's reference kernels, which run them: the oracle of the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from ucorr_host.tflite.model import Model

__all__ = ["Model", "litert", "two_layers"]


def two_layers() -> bytes:
    """Two layers of one shape and scale, so that they have the same code."""
    made = Model()
    shape, scale = (1, 8, 8, 4), np.float32(0.05)
    x = made.tensor(shape, np.int8, None, scale, name="image")
    for n in range(2):
        kernel = made.tensor((4, 3, 3, 4), np.int8, np.full((4, 3, 3, 4), 3 + n, np.int8), scale)
        bias = made.tensor((4,), np.int32, np.arange(4, dtype=np.int32), scale * scale)
        y = made.tensor(shape, np.int8, None, scale, name=f"map {n}")
        words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        made.operator("CONV_2D", [x, kernel, bias], [y], "Conv2DOptions", **words)
        x = y
    return made.build([0], [x])


def litert(model: bytes, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    """The outputs that LiteRT's reference kernels compute from inputs of the model's shapes."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
        # Without it version 2.3 adds in place into a tensor that a reshape shares and that is still to be read.
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
