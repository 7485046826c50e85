"""The NumPy reference of every layer: exact, vectorised, independent of the board's code.

Words and shapes, the same in every function:

    x            integers (..., height, width, channels), any leading batch
    kernel       integers; (out, height, width, in / groups) unless a function says otherwise
    bias         None or integers, one or one per output channel
    stride, dilation   an int or (y, x)
    padding      "valid", "same" (TFLite's: the odd row at the bottom) or ((top, bottom), (left, right))
    border       what a padded tap reads: "constant" (border_value; None: input_zero_point), "edge", "reflect"
    *_zero_point real = scale * (q - zero_point)

Every function takes the options of the output too, as **scale:

    multiplier, shift   ints, one or one per output channel: see `requantize`. Neither: the output is the exact
                        accumulator, int32 or int64 as `accumulator` says
    output_zero_point, activation_min, activation_max   added to the scaled value, then its range
    rounding, factor   "single", or a float in place of multiplier and shift: see `requantize`
    accumulator  "int32" or "int64": TFLite's requantisation of 8-bit or of 16-bit data; None: "int64" for data
                 wider than 8 bits unless the bias is an int32 array, else "int32". An "int32" of 16-bit data that
                 leaves 32 bits, left shift counted, is limited to them: LiteRT's behaviour there is undefined
    out_dtype    of the output; None: that of x, or the accumulator's where it is exact

All raise TypeError for what is not an integer array and ValueError for the rest, naming the argument.

Equation numbers are DESIGN.md's. The sums themselves are taken in exact.py.
"""

from . import correlation, elementwise, layers, pools, scaling
from .correlation import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .layers import *  # noqa: F403
from .pools import *  # noqa: F403
from .scaling import *  # noqa: F403

__all__ = sorted([*correlation.__all__, *elementwise.__all__, *layers.__all__, *pools.__all__, *scaling.__all__])
