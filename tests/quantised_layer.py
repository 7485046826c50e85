"""One quantised layer with weights as a .tflite model, run by LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray
from oracle import Model, litert

OPERATORS = {  # name -> code, options table, where the channels are in the kernel
    "conv2d": ("CONV_2D", "Conv2DOptions", 0),
    "depthwise_conv2d": ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", 3),
    "dense": ("FULLY_CONNECTED", "FullyConnectedOptions", 0),
    "transpose_conv2d": ("TRANSPOSE_CONV", "TransposeConvOptions", 0),
}
ACTIVATIONS = {
    "none": tflite.ActivationFunctionType.NONE,
    "relu": tflite.ActivationFunctionType.RELU,
    "relu6": tflite.ActivationFunctionType.RELU6,
    "relu_n1_to_1": tflite.ActivationFunctionType.RELU_N1_TO_1,
}


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
        return litert(self.model(), self.x[None])[0][0]

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
        model = Model()
        x = model.tensor((1, *self.x.shape), self.x.dtype, None, self.input_scale, self.input_zero_point)
        kernel = model.tensor(self.kernel.shape, np.int8, self.kernel.astype(np.int8), self.kernel_scales, 0, axis)
        inputs = [x, kernel]
        if self.operator == "transpose_conv2d":
            shape = (1, *self.output_shape)
            inputs = [model.tensor((4,), np.int32, np.array(shape, np.int32)), kernel, x]
        if self.bias is not None:
            scales = self.input_scale * self.kernel_scales
            inputs.append(model.tensor(self.bias.shape, self.bias.dtype, self.bias, scales))
        output = model.tensor((1, *self.output_shape), self.x.dtype, None, self.output_scale, self.output_zero_point)
        words = {"".join(part.title() for part in name.split("_")): value for name, value in self.words.items()}
        words["FusedActivationFunction"] = ACTIVATIONS[self.activation]
        if self.x.dtype == np.int16 and self.operator != "depthwise_conv2d":  # which accumulator
            short = self.bias is not None and self.bias.dtype == np.int32
            words["QuantizedBiasType"] = tflite.TensorType.INT32 if short else tflite.TensorType.INT64
        if self.operator != "dense":
            words["Padding"] = getattr(tflite.Padding, self.padding.upper())
        model.operator(code, inputs, [output], options, **words)
        return model.build([x], [output])
