"""The layers users make: turn arguments into a Spec, choose a backend, own the scratch, run.

Kernels are nested sequences, arrays of ints, bytes (int8 patterns) or floats. A
flat kernel of a layer with more than one dimension needs `kernel_shape`. A float
kernel becomes ints and a shift of its own per output channel (weights.py); its
bias is then in the output's unit, and `.shift` and `.worst_error` tell what
became of it. Every other keyword goes to `Spec`, whose docstring lists them.

A layer called with a pair of buffers checks them, remembers the last two pairs
and does not check those again: such a call allocates nothing.
"""

from array import array

from . import backends, buffers, weights
from .fixedpoint import ITEMSIZE
from .spec import Spec, integer, pair


class Layer:
    """A checked problem, bound to a backend and to scratch memory of its own.

    spec     Spec
    backend  None for the fastest that takes the layer, or a name of backends.NAMES
    budget   None, or the most bytes that packed weights may take: machine code has a faster and
             a smaller packing (other backends have one)

    Calling layer(x, out) computes out from x and returns out; both are any buffers
    of the right size, x of spec.dtype and out of spec.out_dtype, rows, then columns,
    then channels. raises TypeError or ValueError before any pointer is taken.
    """

    worst_error = 0.0

    def __init__(self, spec, backend=None, budget=None):
        self.spec = spec
        self.out_shape = spec.out_shape
        self.shift = spec.shift
        self.backend, self.plan = backends.choose(spec, backend, budget)
        self.scratch_bytes = self.plan.scratch_bytes
        self.weight_bytes = self.plan.weight_bytes
        self._scratch = buffers.room("i", (self.scratch_bytes + 3) // 4)
        self._pairs = []

    @property
    def kernel(self):
        """The weights as ints, flat, in the order (out, height, width, in / groups)."""
        return self.spec.weights

    @property
    def multiplier(self):
        """None for a plain filter, else one int per output channel."""
        return self.spec.multiplier

    def __call__(self, x, out):
        for known_x, known_out, x_length, out_length, source, target in self._pairs:
            if known_x is x and known_out is out and x_length == len(x) and out_length == len(out):
                self.plan.run(source, target, self._scratch)
                return out
        buffers.check(x, out, self.spec)
        source, target = x, out
        if self.plan.typed:
            source = buffers.typed(x, self.spec.dtype, self.spec.input_length)
            target = buffers.typed(out, self.spec.out_dtype, self.spec.output_length)
        self._pairs = self._pairs[-1:] + [(x, out, len(x), len(out), source, target)]
        self.plan.run(source, target, self._scratch)
        return out


def _shaped(kernel, kernel_shape, axes):
    """A user's kernel as (flat numbers, shape of len(axes)); axes names the dimensions."""
    flat, shape = weights.flatten(kernel)
    if kernel_shape is not None:
        shape = tuple([integer("kernel_shape", n, 1, 1 << 24) for n in kernel_shape])
        size = 1
        for n in shape:
            size *= n
        if size != len(flat):
            raise ValueError("kernel_shape: %r, wanted a product of %d, the kernel's size" % (shape, len(flat)))
    if len(shape) != len(axes):
        raise ValueError("kernel: shape %r, wanted %d dimensions (%s)" % (shape, len(axes), ", ".join(axes)))
    return flat, shape


def _quantized(flat, channels, bits, options):
    """Float weights as ints with a shift per channel: (ints, worst error, shifts or None).

    Sets options["shift"] and rewrites options["bias"] from output units to accumulators.
    """
    if not weights.has_floats(flat):
        return flat, 0.0, None
    for name in ("multiplier", "shift"):
        if options.get(name) is not None:
            raise ValueError("%s: %r, wanted None: a float kernel brings its own scale" % (name, options[name]))
    taps = len(flat) // channels
    ints, shifts, worst = [], [], 0.0
    for o in range(channels):
        q, shift, error = weights.quantize_kernel(flat[o * taps : (o + 1) * taps], bits)
        ints.extend(q)
        shifts.append(shift)
        worst = max(worst, error)
    bias = options.get("bias")
    if bias is not None:
        values = [bias] * channels if isinstance(bias, (int, float)) else list(bias)
        if len(values) != channels:
            raise ValueError("bias: %d values, wanted one or %d (output channels)" % (len(values), channels))
        options["bias"] = [weights.scaled(value, shift, "bias") for value, shift in zip(values, shifts)]
    if options["out_dtype"] != "i":  # "i" gives accumulators, in units of 2**shift
        options["shift"] = shifts
    return ints, worst, shifts


class _Weighted(Layer):
    """A layer made from a kernel: quantises floats, fills the Spec, tells the scale.

    flat  the kernel's numbers in canonical order (out, height, width, in / groups)
    bits  8 or 16: the widest int weights allowed. Floats get 16 only if the data has 16.
    """

    def __init__(self, flat, input_shape, kernel_shape, bits, backend, options):
        options["out_dtype"] = options.get("out_dtype", "i")
        budget = options.pop("budget", None)
        if budget is not None:
            integer("budget", budget, 0, 1 << 30)
        float_bits = min(bits, 8 * ITEMSIZE.get(options.get("dtype", "b"), 1))
        ints, worst, shifts = _quantized(flat, kernel_shape[0], float_bits, options)
        limit = (1 << (bits - 1)) - 1
        integer("kernel", min(ints), -limit - 1, limit)
        integer("kernel", max(ints), -limit - 1, limit)
        if not isinstance(ints, array):
            ints = array("b" if bits == 8 else "h", ints)
        Layer.__init__(self, Spec(input_shape, kernel_shape, ints, **options), backend, budget)
        if shifts:
            self.worst_error = worst
            self.shift = array("b", shifts)


class Correlate2D(_Weighted):
    """Image filter: y[i, j] = bias + sum of x[i*sy + a*dy - top, j*sx + b*dx - left] * k[a, b].

    kernel   (height, width), ints -32768..32767 or floats
    shape    (height, width) of the image, one channel
    options  dtype "b", out_dtype "i", stride, dilation, padding, border, border_value, pitch,
             bias, multiplier, shift, zero points, activation range: see Spec; budget: see Layer
    out_shape is (height, width). Errors: see Spec and Layer.
    """

    def __init__(self, kernel, shape, kernel_shape=None, backend=None, **options):
        flat, (kh, kw) = _shaped(kernel, kernel_shape, ("height", "width"))
        height, width = pair("shape", shape, 1, 1 << 24)
        options.setdefault("border_value", 0)
        _Weighted.__init__(self, flat, (height, width, 1), (1, kh, kw, 1), 16, backend, options)
        self.out_shape = self.spec.out_shape[:2]


class Correlate1D(_Weighted):
    """Signal filter: y[j] = bias + sum of x[j*stride + b*dilation - left] * k[b].

    kernel   (taps,), ints -32768..32767 or floats
    length   samples in the signal
    stride, dilation  ints; padding "valid", "same" or (left, right)
    stream   True: the signal comes in blocks of at most `length` samples, multiples of the stride. Each call gives
             len(x) / stride outputs, those of the whole signal with padding (taps' extent - 1, 0):
             the samples before a block are kept; before the first they are border_value. reset() begins anew
    options  as Correlate2D
    out_shape is (length,).
    """

    def __init__(self, kernel, length, stride=1, dilation=1, padding="valid", backend=None, stream=False, **options):
        flat, (taps,) = _shaped(kernel, None, ("taps",))
        length = integer("length", length, 1, 1 << 24)
        if not isinstance(padding, str):
            left, right = pair("padding", padding, 0, 65535)
            padding = ((0, 0), (left, right))
        options["stride"] = (1, integer("stride", stride, 1, 65535))
        options["dilation"] = (1, integer("dilation", dilation, 1, 65535))
        options.setdefault("border_value", 0)
        options["padding"] = padding
        seen = length
        if stream:
            if padding != "valid" or length % stride:
                raise ValueError(
                    "stream: padding %r and length %d, wanted 'valid' and a multiple of the stride %d"
                    % (padding, length, stride)
                )
            seen += (taps - 1) * options["dilation"][1]
        _Weighted.__init__(self, flat, (1, seen, 1), (1, 1, taps, 1), 16, backend, options)
        self.out_shape = self.spec.out_shape[1:2]
        self._stream = None
        if stream:
            from .stream import Stream  # takes room in the heap only where it is used

            self._stream = Stream(self.spec, length)

    def __call__(self, x, out):
        stream = self._stream
        if stream is None:
            return Layer.__call__(self, x, out)
        count = stream.take(x)
        if count == stream.length:
            Layer.__call__(self, stream.window, out)
        else:
            self._part(out, count // stream.stride)
        stream.keep(count)
        return out

    def _part(self, out, count):
        """The first `count` outputs of a window whose block is shorter."""
        buffers.check_size("out", out, self.spec.out_dtype, count)
        buffers.check_writable("out", out)
        spare = self._stream.spare
        Layer.__call__(self, self._stream.window, spare)
        target = buffers.typed(out, self.spec.out_dtype, count)
        for n in range(count):
            target[n] = spare[n]

    def reset(self):
        """Forget the samples of a stream."""
        if self._stream:
            self._stream.reset()


class Conv2D(_Weighted):
    """Convolutional layer, TFLite's CONV_2D for one image.

    kernel   (out, height, width, in / groups), int8 or floats
    shape    (height, width) of the image; its channels are groups times the kernel's
    options  as Correlate2D, and groups, kernel_zero_point, accumulator, rounding; a padded tap
             counts as x = input_zero_point
    out_shape is (height, width, out).
    """

    def __init__(self, kernel, shape, kernel_shape=None, groups=1, backend=None, **options):
        flat, kernel_shape = _shaped(kernel, kernel_shape, ("out", "height", "width", "in"))
        height, width = pair("shape", shape, 1, 1 << 24)
        options["groups"] = integer("groups", groups, 1, 1 << 24)
        input_shape = (height, width, kernel_shape[3] * groups)
        _Weighted.__init__(self, flat, input_shape, kernel_shape, 8, backend, options)


class DepthwiseConv2D(_Weighted):
    """Depthwise layer, TFLite's DEPTHWISE_CONV_2D: channel c*m + n reads input channel c alone.

    kernel   (1, height, width, channels * m), int8 or floats
    shape    (height, width, channels) of the image; m is the depth multiplier
    options  as Conv2D
    out_shape is (height, width, channels * m).
    """

    def __init__(self, kernel, shape, kernel_shape=None, backend=None, **options):
        flat, (one, kh, kw, out) = _shaped(kernel, kernel_shape, ("1", "height", "width", "out"))
        if one != 1:
            raise ValueError("kernel: first dimension %d, wanted 1" % one)
        try:
            height, width, channels = shape
        except (TypeError, ValueError):
            raise TypeError("shape: %r, wanted (height, width, channels)" % (shape,))
        options["groups"] = integer("shape", channels, 1, 1 << 24)
        if out % channels:
            raise ValueError("kernel: %d output channels, wanted a multiple of the input's %d" % (out, channels))
        flat = [flat[n] for o in range(out) for n in range(o, len(flat), out)]
        _Weighted.__init__(self, flat, (height, width, channels), (out, kh, kw, 1), 8, backend, options)


class Dense(_Weighted):
    """Fully connected layer, TFLite's FULLY_CONNECTED for one vector: y[o] = bias[o] + sum x[n] * k[o, n].

    kernel   (out, in), int8 or floats
    options  dtype, out_dtype, bias, multiplier, shift, zero points, activation range, accumulator,
             rounding: "once" is LiteRT's for this operator, "twice" that of the other layers (see Spec)
    out_shape is (out,).
    """

    def __init__(self, kernel, kernel_shape=None, backend=None, **options):
        flat, (out, size) = _shaped(kernel, kernel_shape, ("out", "in"))
        _Weighted.__init__(self, flat, (1, 1, size), (out, 1, 1, size), 8, backend, options)
        self.out_shape = self.spec.out_shape[2:]


def peak(out, shape=None):
    """(y, x, value) of the greatest item, the first one in reading order.

    out    buffer of ints, read by its own type (an array('b') for dtype "b")
    shape  the layer's out_shape; None or one dimension: y is 0. The last dimension of
           three is counted into x.
    """
    if not buffers.MICROPYTHON:
        view = memoryview(out)
        out = view.cast("B").cast(view.format)
    value = max(out)
    at = 0
    while out[at] != value:
        at += 1
    row = len(out)
    if shape is not None and len(shape) > 1:
        row //= shape[0]
    return at // row, at % row, value
