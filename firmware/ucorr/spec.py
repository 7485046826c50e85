"""Spec, the checked description of a layer: shapes, padding, weights, scale, and the bound of its accumulators.

Every layer with weights is a grouped cross-correlation:

    acc[i, j, o] = bias[o] + sum over (a, b, c) of
        (x[i*sy + a*dy - top, j*sx + b*dx - left, g*C/G + c] - input_zero_point)
        * (weights[o, a, b, c] - kernel_zero_point),        g = o // (O/G)

with C input channels, O output channels, G groups. A plain filter has
C = O = G = 1, a depthwise layer G = C, a dense layer a 1x1 image. A backend
needs nothing but the `Spec`.
"""

from array import array

from .arguments import dimensions, integer, items_of, one_of, pair, per_channel, refused, two
from .fixedpoint import ITEMSIZE, LIMITS

FIELDS = (
    "input_shape",
    "kernel_shape",
    "weights",
    "dtype",
    "out_dtype",
    "stride",
    "dilation",
    "padding",
    "border",
    "border_value",
    "groups",
    "pitch",
    "bias",
    "multiplier",
    "shift",
    "input_zero_point",
    "kernel_zero_point",
    "output_zero_point",
    "activation_min",
    "activation_max",
    "accumulator",
    "rounding",
)
MOST_PAD = 65535  # rows or columns of padding on a side
MOST_ITEMS = 1 << 28  # of an input or output, from its first to its last: places in bytes stay small ints
BORDERS = ("constant", "edge", "reflect")
DTYPES = ("b", "B", "h", "H")
OUT_DTYPES = DTYPES + ("i",)


def source_index(index, size, border):
    """Where a padded row or column reads from: 0..size-1, or -1 for the border's constant."""
    if 0 <= index < size:
        return index
    if border == "constant":
        return -1
    if border == "edge":
        return 0 if index < 0 else size - 1
    return -index if index < 0 else 2 * (size - 1) - index


def pads_of(padding, sizes, extents, strides):
    """((top, bottom), (left, right)) of the option `padding`, for windows of `extents` rows and columns."""
    if isinstance(padding, str):
        padding = one_of("padding", padding, ("valid", "same"))
        pads = []
        for axis in (0, 1):
            size, step = sizes[axis], strides[axis]
            total = max(0, ((size - 1) // step) * step + extents[axis] - size)
            pads.append((total // 2, total - total // 2) if padding == "same" else (0, 0))
            if pads[axis][1] > MOST_PAD:
                raise ValueError("padding: 'same' is %d on a side, wanted at most %d" % (pads[axis][1], MOST_PAD))
        return tuple(pads)
    wanted = "'valid', 'same' or ((top, bottom), (left, right))"
    sides = items_of(padding)
    if sides is None or len(sides) != 2:
        raise refused("padding", padding, wanted)
    return two("padding", sides[0], 0, MOST_PAD, wanted), two("padding", sides[1], 0, MOST_PAD, wanted)


class Spec:
    """One layer, checked.

    input_shape   (height, width, channels)
    kernel_shape  (out_channels, height, width, channels / groups)
    weights       ints in that order, -32768..32767; kept as int8 when they fit. An array
                  of that width becomes the Spec's own: it is not copied, and must not change
    dtype, out_dtype   array typecodes: b B h H; b B h H i
    stride, dilation   an int or (y, x), 1..65535
    padding       "valid", "same" (TFLite's: the odd row at the bottom) or ((top, bottom), (left, right)),
                  0..65535 each
    border        "constant" (of border_value, default input_zero_point), "edge" or "reflect"
    pitch         items from one input row to the next, at least width * channels
    bias          None or ints, one or one per output channel; 32 bits, 64 with a 64-bit accumulator
    multiplier    None (plain filter) or ints 0 .. 2**31 - 1
    shift         ints -31..30, positive to the left (-31..7 with a multiplier and a 64-bit accumulator)
    *_zero_point  as stored in the model: real = scale * (q - zero_point)
    activation_min, activation_max   range of the output; None: that of out_dtype
    accumulator   "int32" or "int64": which of TFLite's requantisations a multiplier means;
                  None: "int64" for 16-bit data, else "int32". With 16-bit data an "int32" accumulator
                  saturates: acc * 2**max(shift, 0) is limited to 32 bits
    rounding      "double", as TFLite's CONV_2D, or "single": equation 8, which needs a multiplier and a
                  32-bit accumulator. LiteRT's FULLY_CONNECTED is "single", with the multiplier that
                  ucorr_host.quantize.single_rounding_multiplier finds

    out_dtype "i" gives the exact accumulator, so it takes no scale, zero point or range.
    Input and output have at most 2**28 items each, from the first to the last.
    raises TypeError or ValueError naming the argument, what came and what was wanted.

    Further attributes: out_shape (height, width, out_channels); padding as the four amounts;
    bound (lowest, highest accumulator that any input can reach); kind, one of "exact",
    "shift" (plain filter), "tflite" (32-bit) and "tflite64"; wide, True where the bound,
    shifted left, exceeds 32 bits; taps per output; weights_bytes;
    macs (nominal: padded taps count).
    """

    family = ""  # of backends/__init__.py
    in_place = False  # no output may be written over the input
    # the names that error messages use for the kernel's shape and the image's shape
    _kernel, _shape = "kernel_shape", "input_shape"

    def __init__(
        self,
        input_shape,
        kernel_shape,
        weights,
        dtype="b",
        out_dtype="i",
        stride=1,
        dilation=1,
        padding="valid",
        border="constant",
        border_value=None,
        groups=1,
        pitch=None,
        bias=None,
        multiplier=None,
        shift=None,
        input_zero_point=0,
        kernel_zero_point=0,
        output_zero_point=0,
        activation_min=None,
        activation_max=None,
        accumulator=None,
        rounding="double",
    ):
        self.dtype = one_of("dtype", dtype, DTYPES)
        self.out_dtype = one_of("out_dtype", out_dtype, OUT_DTYPES)
        self.border = one_of("border", border, BORDERS)
        self.stride = pair("stride", stride, 1, 65535)
        self.dilation = pair("dilation", dilation, 1, 65535)
        self._set_shapes(input_shape, kernel_shape, groups, pitch)
        self._set_padding(padding)
        self._set_weights(weights, kernel_zero_point)
        lo, hi = LIMITS[self.dtype]
        self.input_zero_point = integer("input_zero_point", input_zero_point, lo, hi)
        if border_value is None:
            border_value = self.input_zero_point
        self.border_value = integer("border_value", border_value, lo, hi)
        self._set_scale(multiplier, shift, accumulator, rounding)
        self._set_output(output_zero_point, activation_min, activation_max)
        self._set_bias(bias)
        self._prove()

    def fields(self):
        """The constructor's arguments as plain ints, strings, lists and tuples."""
        values = {}
        for name in FIELDS:
            value = getattr(self, name)
            values[name] = list(value) if isinstance(value, array) else value
        if self.exact_length:
            values["pitch"] = None
        return values

    def _set_shapes(self, input_shape, kernel_shape, groups, pitch):
        self.input_shape = height, width, channels = dimensions("input_shape", input_shape, 3, 3)
        self.kernel_shape = out_channels, kh, kw, group_channels = dimensions("kernel_shape", kernel_shape, 4, 4)
        self.groups = groups = integer("groups", groups, 1, channels)
        if channels % groups or out_channels % groups:
            raise ValueError(
                "groups: %d, wanted a divisor of %d input and %d output channels" % (groups, channels, out_channels)
            )
        if group_channels * groups != channels:
            raise ValueError(
                "kernel_shape: %d input channels in %d groups, wanted %d to make the input's %d"
                % (group_channels, groups, channels // groups, channels)
            )
        row = width * channels
        self.pitch = row if pitch is None else integer("pitch", pitch, row, max(row, 1 << 24))
        self.exact_length = pitch is None
        self.input_length = (height - 1) * self.pitch + row
        self._check_items("%d items", self.input_length)
        self.lengths = (self.input_length,)
        self.taps = kh * kw * group_channels

    def _set_padding(self, padding):
        kh, kw = self.kernel_shape[1:3]
        extent = ((kh - 1) * self.dilation[0] + 1, (kw - 1) * self.dilation[1] + 1)
        self.padding = pads = pads_of(padding, self.input_shape, extent, self.stride)
        out = []
        for axis in (0, 1):
            size, (before, after) = self.input_shape[axis], pads[axis]
            if self.border == "reflect" and max(before, after) >= size:
                raise ValueError("padding: %r, wanted less than the size %d to reflect" % (pads[axis], size))
            free = size + before + after - extent[axis]
            if free < 0:
                raise ValueError(
                    "%s: spans %d with dilation, wanted at most the padded size %d"
                    % (self._kernel, extent[axis], size + before + after)
                )
            out.append(free // self.stride[axis] + 1)
        self.extent = extent
        self.out_shape = (out[0], out[1], self.kernel_shape[0])
        self.output_length = out[0] * out[1] * self.kernel_shape[0]
        self._check_items("an output of %d items", self.output_length)
        self.macs = self.output_length * self.taps

    def _check_items(self, what, count):
        if count > MOST_ITEMS:
            raise ValueError("%s: %s, wanted at most %d" % (self._shape, what % count, MOST_ITEMS))

    def _set_weights(self, weights, zero_point):
        wanted = self.taps * self.kernel_shape[0]
        plain = type(weights) is array  # all of an array's items are of one type
        items = weights if plain else items_of(weights)
        if items is None:
            raise refused("weights", weights, "%d integers" % wanted)
        count = len(items)
        if count != wanted:
            raise ValueError("weights: %d items, wanted %d for kernel_shape %r" % (count, wanted, self.kernel_shape))
        weights = items if plain else [integer("weights", k, -32768, 32767) for k in items]
        # the range first: array('b', [300]) wraps silently
        lo = integer("weights", min(weights), -32768, 32767)
        hi = integer("weights", max(weights), -32768, 32767)
        small = lo >= -128 and hi <= 127
        if not isinstance(weights, array) or len(bytes(weights[:1])) != (1 if small else 2):
            weights = array("b" if small else "h", weights)
        self.weights = weights
        self.weights_bytes = count if small else 2 * count
        self.kernel_zero_point = zero = integer("kernel_zero_point", zero_point, -128, 127)
        if lo - zero < -32768 or hi - zero > 32767:
            raise ValueError("kernel_zero_point: %d off weights %d..%d, wanted 16 bits" % (zero, lo, hi))

    def _set_scale(self, multiplier, shift, accumulator, rounding):
        channels = self.kernel_shape[0]
        if accumulator is None:
            accumulator = "int32" if ITEMSIZE[self.dtype] == 1 else "int64"
        self.accumulator = accumulator = one_of("accumulator", accumulator, ("int32", "int64"))
        self.rounding = one_of("rounding", rounding, ("double", "single"))
        if self.rounding == "single" and (multiplier is None or accumulator == "int64"):
            raise ValueError("rounding: 'single', wanted 'double' without a multiplier or with an int64 accumulator")
        self.multiplier = self.shift = None
        if self.out_dtype == "i":
            if multiplier is not None or shift is not None:
                raise ValueError("out_dtype: 'i' holds the exact accumulator, wanted no multiplier and no shift")
            self.kind = "exact"
            return
        if multiplier is None:
            self.kind = "shift"
        else:
            self.kind = "tflite64" if accumulator == "int64" else "tflite"
            self.multiplier = array("i", per_channel("multiplier", multiplier, channels, 0, 2147483647))
        highest = 7 if self.kind == "tflite64" else 30
        self.shift = array("b", per_channel("shift", 0 if shift is None else shift, channels, -31, highest))

    def _set_output(self, zero_point, lowest, highest):
        lo, hi = LIMITS[self.out_dtype]
        self.output_zero_point = integer("output_zero_point", zero_point, lo, hi)
        if self.out_dtype == "i" and (self.output_zero_point or lowest is not None or highest is not None):
            raise ValueError(
                "out_dtype: 'i' holds the exact accumulator, wanted no output_zero_point and no activation range"
            )
        self.activation_min = lo if lowest is None else integer("activation_min", lowest, lo, hi)
        self.activation_max = hi if highest is None else integer("activation_max", highest, lo, hi)
        if self.activation_min > self.activation_max:
            raise ValueError(
                "activation_min: %d, wanted at most activation_max %d" % (self.activation_min, self.activation_max)
            )
        if self.out_dtype == "i":  # so that fields() makes the same Spec again
            self.activation_min = self.activation_max = None

    def _set_bias(self, bias):
        self.bias = None
        if bias is not None:
            bits = 63 if self.kind == "tflite64" else 31
            self.bias = per_channel("bias", bias, self.kernel_shape[0], -(1 << bits), (1 << bits) - 1)

    def _prove(self):
        """Set `bound` (equation 7 over all channels) and `wide`. ValueError where an accumulator is too large."""
        lowest, highest = LIMITS[self.dtype]
        lowest -= self.input_zero_point
        highest -= self.input_zero_point
        low = high = 0
        self.wide = self.kind == "tflite64"
        for o in range(self.kernel_shape[0]):
            start = self.bias[o] if self.bias else 0
            up = down = 0
            zero = self.kernel_zero_point
            for k in self.weights[o * self.taps : (o + 1) * self.taps]:
                k -= zero
                if k > 0:
                    up += k
                else:
                    down += k
            least = start + up * lowest + down * highest
            most = start + up * highest + down * lowest
            low = min(low, least)
            high = max(high, most)
            reach = max(-least, most)
            if self.kind == "exact" and (most > 0x7FFFFFFF or least < -0x80000000):
                raise ValueError("out_dtype: 'i', but an accumulator can reach %d, wanted 32 bits" % reach)
            left = 0 if self.shift is None or self.kind == "tflite64" else max(self.shift[o], 0)
            reach <<= left
            if reach >= 1 << 47:
                raise ValueError("accumulator: can reach %d, wanted less than 2**47" % reach)
            if reach >= 1 << 31 and self.kind == "tflite" and (self.rounding == "single" or ITEMSIZE[self.dtype] == 1):
                raise ValueError(
                    "accumulator: 'int32', but |acc| * 2**max(shift, 0) can reach %d, wanted less than 2**31" % reach
                )
            if reach >= 1 << 31:
                self.wide = True
        self.bound = (low, high)
