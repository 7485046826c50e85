"""The meaning of every layer in NumPy: exact, vectorised, independent of the board's code.

Words and shapes, the same in every function:

    x            integers (..., height, width, channels), any leading batch
    kernel       integers; (out, height, width, in / groups) unless a function says otherwise
    bias         None or integers, one or one per output channel
    stride, dilation   an int or (y, x)
    padding      "valid", "same" (TFLite's: the odd row at the bottom) or ((top, bottom), (left, right))
    border       what a padded tap reads: "constant" (border_value; None: input_zero_point), "edge", "reflect"
    *_zero_point real = scale * (q - zero_point)

Every function takes the words of the output too, as **scale:

    multiplier, shift   ints, one or one per output channel: see `requantize`. Neither: the output is the exact
                        accumulator, int32 or int64 as `accumulator` says
    output_zero_point, activation_min, activation_max   added to the scaled value, then its range
    rounding, factor   "once", or a float in place of multiplier and shift: see `requantize`
    accumulator  "int32" or "int64": TFLite's requantisation of 8-bit or of 16-bit data; None: "int64" for data
                 wider than 8 bits unless the bias is an int32 array, else "int32"
    out_dtype    of the output; None: that of x, or the accumulator's where it is exact

All raise TypeError for what is not an integer array and ValueError for the rest, naming the argument.

Equation numbers are DESIGN.md's. The sums themselves are taken in exact.py.
"""

from .elementwise import add, concatenate, lookup, mul, pad, rescale, softmax, sub
from .layers import (
    conv2d,
    convolve2d,
    correlate1d,
    correlate2d,
    dense,
    dense_image,
    depthwise_conv2d,
    transpose_conv2d,
)
from .pools import average_pool2d, max_pool2d, mean
from .scaling import requantize

__all__ = [
    "add",
    "average_pool2d",
    "concatenate",
    "conv2d",
    "convolve2d",
    "correlate1d",
    "correlate2d",
    "dense",
    "dense_image",
    "depthwise_conv2d",
    "lookup",
    "max_pool2d",
    "mean",
    "mul",
    "pad",
    "requantize",
    "rescale",
    "softmax",
    "sub",
    "transpose_conv2d",
]
