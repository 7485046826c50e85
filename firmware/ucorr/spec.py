"""What a layer is: shapes, padding, ranges, bounds. Checked here, computed elsewhere.

Every layer of ucorr is one thing, a grouped cross-correlation:

    acc[i, j, o] = bias[o] + sum over (a, b, c) of
        (x[i*sy + a*dy - top, j*sx + b*dx - left, g*C/G + c] - input_zero_point)
        * (weights[o, a, b, c] - kernel_zero_point),        g = o // (O/G)

with C input channels, O output channels, G groups. A plain filter has
C = O = G = 1, a depthwise layer G = C, a dense layer a 1x1 image. `Spec` holds
that problem in one form; a backend needs nothing else.
"""

from array import array

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
BORDERS = ("constant", "edge", "reflect")


def integer(name, value, lo, hi):
    """value as an int within lo..hi; TypeError or ValueError that names the argument."""
    if not isinstance(value, int):
        if not hasattr(value, "__index__"):  # NumPy's ints have it
            raise TypeError("%s: %r, wanted an integer %d..%d" % (name, value, lo, hi))
        value = value.__index__()
    if value < lo or value > hi:
        raise ValueError("%s: %d, wanted %d..%d" % (name, value, lo, hi))
    return value


def pair(name, value, lo, hi):
    """(y, x) from one int or two, each within lo..hi."""
    if isinstance(value, int):
        value = (value, value)
    try:
        y, x = value
    except (TypeError, ValueError):
        raise TypeError("%s: %r, wanted an integer or a pair (y, x)" % (name, value))
    return integer(name, y, lo, hi), integer(name, x, lo, hi)


def one_of(name, value, allowed):
    """value if it is one of the allowed strings; ValueError otherwise."""
    if value not in allowed:
        raise ValueError("%s: %r, wanted one of %s" % (name, value, " ".join(allowed)))
    return value


def per_channel(name, value, channels, lo, hi):
    """One int, or one per output channel, as a list of `channels` ints within lo..hi."""
    if isinstance(value, int) or hasattr(value, "__index__"):
        return [integer(name, value, lo, hi)] * channels
    if isinstance(value, float):
        raise TypeError("%s: %r, wanted integers %d..%d" % (name, value, lo, hi))
    try:
        values = list(value)
    except TypeError:
        raise TypeError("%s: %r, wanted an integer or one per output channel" % (name, value))
    if len(values) != channels:
        raise ValueError("%s: %d values, wanted one or %d (output channels)" % (name, len(values), channels))
    return [integer(name, v, lo, hi) for v in values]


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
    """((top, bottom), (left, right)) of the word `padding`, for windows of `extents` rows and columns."""
    if isinstance(padding, str):
        one_of("padding", padding, ("valid", "same"))
        pads = []
        for axis in (0, 1):
            size, step = sizes[axis], strides[axis]
            total = max(0, ((size - 1) // step) * step + extents[axis] - size)
            pads.append((total // 2, total - total // 2) if padding == "same" else (0, 0))
        return tuple(pads)
    try:
        (top, bottom), (left, right) = padding
    except (TypeError, ValueError):
        raise TypeError("padding: %r, wanted 'valid', 'same' or ((top, bottom), (left, right))" % (padding,))
    return (
        (integer("padding", top, 0, 65535), integer("padding", bottom, 0, 65535)),
        (integer("padding", left, 0, 65535), integer("padding", right, 0, 65535)),
    )


class Spec:
    """One layer, checked.

    input_shape   (height, width, channels)
    kernel_shape  (out_channels, height, width, channels / groups)
    weights       ints in that order, -32768..32767; kept as int8 when they fit. An array
                  of that width is kept as it is, not copied
    dtype, out_dtype   array typecodes: b B h H; b B h H i
    stride, dilation   an int or (y, x), 1..65535
    padding       "valid", "same" (TFLite's: the odd row at the bottom) or ((top, bottom), (left, right))
    border        "constant" (of border_value, default input_zero_point), "edge" or "reflect"
    pitch         elements from one input row to the next, at least width * channels
    bias          None or ints, one or one per output channel; 32 bits, 64 with a 64-bit accumulator
    multiplier    None (plain filter) or ints 0 .. 2**31 - 1
    shift         ints -31..30, positive to the left (-31..7 with a multiplier and a 64-bit accumulator)
    *_zero_point  the real one: real = scale * (q - zero_point)
    activation_min, activation_max   range of the output; None: that of out_dtype
    accumulator   "int32" or "int64": which of TFLite's requantisations a multiplier means;
                  None: "int64" for 16-bit data, else "int32"
    rounding      "twice", as TFLite's CONV_2D, or "once": equation 8, which needs a multiplier and a
                  32-bit accumulator. LiteRT's FULLY_CONNECTED is "once", with the multiplier that
                  ucorr_host.quantize.once_multiplier finds

    out_dtype "i" gives the exact accumulator, so it takes no scale, zero point or range.
    raises TypeError or ValueError naming the argument, what came and what was wanted.

    Further attributes: out_shape (height, width, out_channels); pad (the four amounts);
    bound (lowest, highest accumulator that any input can reach); kind, one of "exact",
    "shift" (one rounding), "tflite" (32-bit) and "tflite64"; wide, True where 32 bits
    are not proven enough; taps per output; weights_bytes;
    macs (nominal: padded taps count).
    """

    family = ""  # of backends/__init__.py

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
        rounding="twice",
    ):
        self.dtype = one_of("dtype", dtype, ("b", "B", "h", "H"))
        self.out_dtype = one_of("out_dtype", out_dtype, ("b", "B", "h", "H", "i"))
        self.border = one_of("border", border, BORDERS)
        self.stride = pair("stride", stride, 1, 65535)
        self.dilation = pair("dilation", dilation, 1, 65535)
        self._set_shapes(input_shape, kernel_shape, groups, pitch)
        self._set_padding(padding)
        self._set_weights(weights, kernel_zero_point)
        lo, hi = LIMITS[dtype]
        self.input_zero_point = integer("input_zero_point", input_zero_point, lo, hi)
        if border_value is None:
            border_value = input_zero_point
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
        if len(input_shape) != 3:
            raise ValueError("input_shape: %r, wanted (height, width, channels)" % (input_shape,))
        if len(kernel_shape) != 4:
            raise ValueError("kernel_shape: %r, wanted (out, height, width, in)" % (kernel_shape,))
        self.input_shape = tuple([integer("input_shape", n, 1, 1 << 24) for n in input_shape])
        self.kernel_shape = tuple([integer("kernel_shape", n, 1, 1 << 24) for n in kernel_shape])
        height, width, channels = self.input_shape
        out_channels, kh, kw, group_channels = self.kernel_shape
        self.groups = integer("groups", groups, 1, channels)
        if channels % groups or out_channels % groups:
            raise ValueError(
                "groups: %d, wanted a divisor of %d input and %d output channels" % (groups, channels, out_channels)
            )
        if group_channels * groups != channels:
            raise ValueError(
                "kernel: %d input channels in %d groups, wanted %d to make the input's %d"
                % (group_channels, groups, channels // groups, channels)
            )
        row = width * channels
        self.pitch = row if pitch is None else integer("pitch", pitch, row, 1 << 24)
        self.exact_length = pitch is None
        self.input_length = (height - 1) * self.pitch + row
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
                    "kernel: spans %d with dilation, wanted at most the padded size %d"
                    % (extent[axis], size + before + after)
                )
            out.append(free // self.stride[axis] + 1)
        self.extent = extent
        self.out_shape = (out[0], out[1], self.kernel_shape[0])
        self.output_length = out[0] * out[1] * self.kernel_shape[0]
        self.macs = self.output_length * self.taps

    def _set_weights(self, weights, zero_point):
        count = self.taps * self.kernel_shape[0]
        if len(weights) != count:
            raise ValueError("kernel: %d weights, wanted %d for shape %r" % (len(weights), count, self.kernel_shape))
        if not isinstance(weights, array):  # all of an array's items are of one type
            weights = [integer("kernel", k, -32768, 32767) for k in weights]
        # the range first: array('b', [300]) wraps silently
        lo = integer("kernel", min(weights), -32768, 32767)
        hi = integer("kernel", max(weights), -32768, 32767)
        small = lo >= -128 and hi <= 127
        if not isinstance(weights, array) or len(bytes(weights[:1])) != (1 if small else 2):
            weights = array("b" if small else "h", weights)
        self.weights = weights
        self.weights_bytes = count if small else 2 * count
        self.kernel_zero_point = integer("kernel_zero_point", zero_point, -128, 127)
        if lo - zero_point < -32768 or hi - zero_point > 32767:
            raise ValueError("kernel: %d..%d less kernel_zero_point %d, wanted 16 bits" % (lo, hi, zero_point))

    def _set_scale(self, multiplier, shift, accumulator, rounding):
        channels = self.kernel_shape[0]
        if accumulator is not None:
            one_of("accumulator", accumulator, ("int32", "int64"))
        else:
            accumulator = "int32" if ITEMSIZE[self.dtype] == 1 else "int64"
        self.accumulator = accumulator
        self.rounding = one_of("rounding", rounding, ("twice", "once"))
        if rounding == "once" and (multiplier is None or accumulator == "int64"):
            raise ValueError("rounding: 'once', wanted 'twice' without a multiplier or with an int64 accumulator")
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
        if self.out_dtype == "i" and (zero_point != 0 or lowest is not None or highest is not None):
            raise ValueError(
                "out_dtype: 'i' holds the exact accumulator, wanted no output_zero_point and no activation range"
            )
        self.output_zero_point = integer("output_zero_point", zero_point, lo, hi)
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
        """Bound the accumulator of every channel over all inputs, and choose 32 or 64 bits by it."""
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
                raise ValueError("kernel: an accumulator can reach %d, wanted less than 2**47" % reach)
            if reach >= 1 << 31 and self.kind == "tflite":
                raise ValueError(
                    "accumulator: 'int32', but |acc| * 2**max(shift, 0) can reach %d, wanted less than 2**31" % reach
                )
            if reach >= 1 << 31 and self.kind == "shift":
                self.wide = True
        self.bound = (low, high)
