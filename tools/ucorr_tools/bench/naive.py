"""What one writes first: a layer's formula as viper loops, index by index, for benchmarks only.

Executed on a target, this becomes a backend of ucorr there, "naive", that takes int8 layers with TensorFlow Lite's
32-bit scale and a constant border.
"""

import sys
from array import array

import micropython
import ucorr
from ucorr.fixedpoint import limbs


@micropython.viper
def loops(x, out, weights, starts, scales, items):
    """acc = start + sum of (x - zero) * k over the taps inside the image; then fixedpoint.requantize."""
    source = ptr8(x)
    target = ptr8(out)
    kernel = ptr8(weights)
    start = ptr32(starts)
    scale = ptr32(scales)
    item = ptr32(items)
    height = item[0]
    width = item[1]
    channels = item[2]
    out_height = item[3]
    out_width = item[4]
    outputs = item[5]
    kh = item[6]
    kw = item[7]
    depth = item[8]
    per_group = item[9]
    at = 0
    oy = 0
    while oy < out_height:
        ox = 0
        while ox < out_width:
            o = 0
            while o < outputs:
                acc = start[o]
                a = 0
                while a < kh:
                    y = oy * item[10] + a - item[12]
                    b = 0
                    while b < kw:
                        z = ox * item[11] + b - item[13]
                        if y >= 0 and y < height and z >= 0 and z < width:
                            i = (y * width + z) * channels + o // per_group * depth
                            k = ((o * kh + a) * kw + b) * depth
                            c = 0
                            while c < depth:
                                value = (source[i + c] ^ 128) - 128 - item[14] + 128
                                acc += value * ((kernel[k + c] ^ 128) - 128)
                                c += 1
                        b += 1
                    a += 1
                n = 5 * o
                cut = item[18]
                acc = acc << cut >> cut << scale[n]
                low = acc & 32767
                acc >>= 15
                t = (low * scale[n + 2]) >> 10
                t = (t + low * scale[n + 3]) >> 5
                t = (t + acc * scale[n + 2]) >> 5
                t = (t + low * scale[n + 4]) >> 5
                t = (t + acc * scale[n + 3] + 32) >> 6
                acc = t + ((acc * scale[n + 4]) << 4)
                right = scale[n + 1]
                if right:
                    acc += acc >> 31
                    acc = (acc >> right) + ((acc >> (right - 1)) & 1)
                acc += item[15] - 128
                if acc < item[16] - 128:
                    acc = item[16] - 128
                if acc > item[17] - 128:
                    acc = item[17] - 128
                target[at] = acc
                at += 1
                o += 1
            ox += 1
        oy += 1


class Plan:
    """A layer for loops(); the contract is in ucorr/backends/__init__.py."""

    typed = False
    scratch_bytes = 0

    def __init__(self, spec, budget=None):
        out_channels, kh, kw, depth = spec.kernel_shape
        self.weights = spec.weights
        self.starts = array("i", spec.bias or [0] * out_channels)
        scales = []
        for o in range(out_channels):
            scales += [max(spec.shift[o], 0), max(-spec.shift[o], 0)] + list(limbs(spec.multiplier[o]))
        self.scales = array("i", scales)
        self.items = array("i", list(spec.input_shape) + list(spec.out_shape) + [kh, kw, depth])
        for value in (
            out_channels // spec.groups,
            spec.stride[0],
            spec.stride[1],
            spec.padding[0][0],
            spec.padding[1][0],
            spec.input_zero_point + 128,  # 128 more: a 64-bit machine loads items without sign
            spec.output_zero_point + 128,
            spec.activation_min + 128,
            spec.activation_max + 128,
            32 if sys.maxsize > 0x7FFFFFFF else 0,
        ):
            self.items.append(value)
        self.weight_bytes = len(self.weights) + 4 * (len(self.starts) + len(self.scales))

    def run(self, x, out, scratch):
        loops(x, out, self.weights, self.starts, self.scales, self.items)


class Backend:
    prepare = Plan

    @staticmethod
    def refuses(spec, budget=None):
        if spec.dtype + spec.out_dtype != "bb" or spec.kind != "tflite" or spec.kernel_zero_point:
            return "not a plain int8 layer"
        outside = spec.border != "constant" or spec.border_value != spec.input_zero_point
        if (outside and spec.padding != ((0, 0), (0, 0))) or spec.dilation != (1, 1):
            return "a border or a dilation"
        return None


ucorr.backends.register("naive", Backend)
