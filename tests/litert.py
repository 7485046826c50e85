"""One quantised layer as a .tflite model in memory, run by LiteRT's reference kernels: the oracle of the arithmetic.

The model is written with the flatbuffer builder of the `tflite` package; TensorFlow is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

OPERATORS = {  # name -> code, options table, where the channels are in the kernel
    "conv2d": (tflite.BuiltinOperator.CONV_2D, "Conv2DOptions", 0),
    "depthwise_conv2d": (tflite.BuiltinOperator.DEPTHWISE_CONV_2D, "DepthwiseConv2DOptions", 3),
    "dense": (tflite.BuiltinOperator.FULLY_CONNECTED, "FullyConnectedOptions", 0),
    "transpose_conv2d": (tflite.BuiltinOperator.TRANSPOSE_CONV, "TransposeConvOptions", 0),
}
ACTIVATIONS = {
    "none": tflite.ActivationFunctionType.NONE,
    "relu": tflite.ActivationFunctionType.RELU,
    "relu6": tflite.ActivationFunctionType.RELU6,
    "relu_n1_to_1": tflite.ActivationFunctionType.RELU_N1_TO_1,
}
TYPES = {np.int8: "INT8", np.int16: "INT16", np.int32: "INT32", np.int64: "INT64"}


@dataclass(frozen=True)
class Layer:
    """A layer and its input, in the words of TensorFlow Lite.

    x       int8 or int16, (height, width, channels), or (in,) for "dense"
    kernel  int8, as ucorr_host.reference takes it
    bias    int32, or None; with int16 data int64 too, and the accumulator has the bias's width, or 64 bits without
    scales  float32: of the input, per channel of the kernel, of the output
    words   stride_h, stride_w, dilation_h_factor, dilation_w_factor, depth_multiplier as the operator has them
    """

    operator: str
    x: NDArray[Any]
    kernel: NDArray[Any]
    bias: NDArray[Any] | None
    input_scale: np.float32
    kernel_scales: NDArray[np.float32]
    output_scale: np.float32
    input_zero_point: int
    output_zero_point: int
    output_shape: tuple[int, ...]
    padding: str
    activation: str
    words: dict[str, int]

    def run(self) -> NDArray[Any]:
        """The output that LiteRT computes, of x's dtype and output_shape."""
        interpreter = Interpreter(
            model_content=self.model(), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
        )
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], self.x[None])
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]

    def reals(self) -> list[float]:
        """The factor of each channel as TensorFlow Lite forms it from the float32 scales."""
        return [
            float(self.input_scale) * float(scale) / float(self.output_scale) for scale in self.kernel_scales.tolist()
        ]

    def activation_range(self) -> tuple[int, int]:
        """The range of the output, as CalculateActivationRangeQuantized of TensorFlow Lite finds it."""
        limits = np.iinfo(self.x.dtype)
        low, high = {"none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}[self.activation]

        def quantized(real: int) -> int:
            steps = float(np.float32(real) / self.output_scale)
            return self.output_zero_point + int(np.floor(abs(steps) + 0.5)) * (1 if steps >= 0 else -1)

        return (
            limits.min if low is None else max(limits.min, quantized(low)),
            limits.max if high is None else min(limits.max, quantized(high)),
        )

    def model(self) -> bytes:
        """The flatbuffer."""
        code, options, axis = OPERATORS[self.operator]
        builder = flatbuffers.Builder(1024)
        buffers, tensors = [_table(builder, "Buffer")], []

        def tensor(shape: Any, dtype: Any, data: Any, scales: Any, zero_point: int, axis: int = 0) -> int:
            """Add a tensor; its number."""
            number = 0
            if data is not None:
                number = len(buffers)
                raw = builder.CreateNumpyVector(np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8))
                buffers.append(_table(builder, "Buffer", Data=raw))
            quantization = None
            if scales is not None:
                scales = np.array(scales, np.float32).reshape(-1)
                quantization = _table(
                    builder,
                    "QuantizationParameters",
                    Scale=builder.CreateNumpyVector(scales),
                    ZeroPoint=builder.CreateNumpyVector(np.full(len(scales), zero_point, np.int64)),
                    QuantizedDimension=axis,
                )
            words = {"Shape": builder.CreateNumpyVector(np.array(shape, np.int32)), "Buffer": number}
            words["Type"] = getattr(tflite.TensorType, TYPES[np.dtype(dtype).type])
            if quantization is not None:
                words["Quantization"] = quantization
            tensors.append(_table(builder, "Tensor", **words))
            return len(tensors) - 1

        x = tensor((1, *self.x.shape), self.x.dtype, None, self.input_scale, self.input_zero_point)
        kernel = tensor(self.kernel.shape, np.int8, self.kernel.astype(np.int8), self.kernel_scales, 0, axis)
        inputs = [x, kernel]
        if self.operator == "transpose_conv2d":
            shape = (1, *self.output_shape)
            inputs = [tensor((4,), np.int32, np.array(shape, np.int32), None, 0), kernel, x]
        if self.bias is not None:
            scales = self.input_scale * self.kernel_scales
            inputs.append(tensor(self.bias.shape, self.bias.dtype, self.bias, scales, 0))
        output = tensor((1, *self.output_shape), self.x.dtype, None, self.output_scale, self.output_zero_point)
        words = {"".join(part.title() for part in name.split("_")): value for name, value in self.words.items()}
        words["FusedActivationFunction"] = ACTIVATIONS[self.activation]
        if self.x.dtype == np.int16 and self.operator != "depthwise_conv2d":  # which accumulator
            short = self.bias is not None and self.bias.dtype == np.int32
            words["QuantizedBiasType"] = tflite.TensorType.INT32 if short else tflite.TensorType.INT64
        if self.operator != "dense":
            words["Padding"] = getattr(tflite.Padding, self.padding.upper())
        operator = _table(
            builder,
            "Operator",
            Inputs=builder.CreateNumpyVector(np.array(inputs, np.int32)),
            Outputs=builder.CreateNumpyVector(np.array([output], np.int32)),
            BuiltinOptionsType=getattr(tflite.BuiltinOptions, options),
            BuiltinOptions=_table(builder, options, **words),
        )
        graph = _table(
            builder,
            "SubGraph",
            Tensors=_tables(builder, tensors),
            Inputs=builder.CreateNumpyVector(np.array([x], np.int32)),
            Outputs=builder.CreateNumpyVector(np.array([output], np.int32)),
            Operators=_tables(builder, [operator]),
        )
        opcode = _table(builder, "OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=code, Version=1)
        model = _table(
            builder,
            "Model",
            Version=3,
            OperatorCodes=_tables(builder, [opcode]),
            Subgraphs=_tables(builder, [graph]),
            Buffers=_tables(builder, buffers),
        )
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, name: str, **fields: int) -> int:
    """Write a table of the schema with some of its fields."""
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    return getattr(tflite, f"{name}End")(builder)


def _tables(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    """Write a vector of tables."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
