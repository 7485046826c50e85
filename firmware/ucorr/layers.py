"""The layers with weights, as users make and call them: Conv2D, Dense and their kin.

Kernels are nested sequences, arrays of ints, bytes (int8 patterns) or floats. A
flat kernel of a layer with more than one dimension needs `kernel_shape`. A float
kernel becomes ints with a shift per output channel (weights.py); its bias is
then in the output's unit, and `.shift` and `.worst_error` report the shifts and
the rounding error. Every other option goes to `Spec`, whose docstring lists them.

A layer called with a pair of buffers checks them and remembers the last two pairs: a call with one of
those allocates nothing. One call of a layer runs at a time; another, from a thread or a callback, is a RuntimeError.
"""

from array import array

from . import backends, buffers, weights
from .arguments import MOST, dimensions, flag, integer, items_of, one_of, pair, refused, shown, size_of
from .calls import Calls
from .fixedpoint import ITEMSIZE
from .spec import DTYPES, OUT_DTYPES, Spec


class Layer(Calls):
    """A checked Spec with its plan and its own scratch memory, ready to be called.

    spec     Spec
    backend  None for the fastest that takes the layer, or a name of backends.NAMES
    budget   None, or the most bytes that packed weights may take: machine code has a faster and
             a smaller packing (other backends have one)

    Calling layer(x, out) computes out from x and returns out; both are any buffers
    of the right size, x of spec.dtype and out of spec.out_dtype, rows, then columns,
    then channels. raises TypeError or ValueError before any pointer is taken, RuntimeError while the layer runs.
    """

    worst_error = 0.0

    def __init__(self, spec, backend=None, budget=None):
        if not isinstance(spec, Spec):
            raise refused("spec", spec, "a Spec")
        if budget is not None:
            budget = integer("budget", budget, 0, 1 << 30)
        self.spec, self.budget = spec, budget
        self.out_shape = spec.out_shape
        self.shift = spec.shift
        self.backend, plan = backends.choose(spec, backend, budget)
        self._bind_calls(spec, plan)
        self.scratch_bytes = plan.scratch_bytes
        self.weight_bytes = plan.weight_bytes
        self._scratch = buffers.room("i", (self.scratch_bytes + 3) // 4)

    @property
    def kernel(self):
        """The weights as ints, flat, in the order (out, height, width, in / groups)."""
        return self.spec.weights

    @property
    def multiplier(self):
        """None for a plain filter, else one int per output channel."""
        return self.spec.multiplier

    def __call__(self, x, out):
        with self._busy:
            return self._call(x, None, out)

    def _compute(self, inputs, out):
        self.plan.run(inputs[0], out, self._scratch)


def _shaped(kernel, kernel_shape, axes):
    """A user's kernel as (flat numbers, shape of len(axes)); axes names the dimensions."""
    flat, shape = weights.flatten(kernel)
    if kernel_shape is not None:
        shape = dimensions("kernel_shape", kernel_shape, len(axes), len(axes))
        if size_of(shape) != len(flat):
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
            raise ValueError("%s: %s, wanted None: a float kernel brings its own scale" % (name, shown(options[name])))
    taps = len(flat) // channels
    ints, shifts, worst = [], [], 0.0
    for o in range(channels):
        q, shift, error = weights.quantize_kernel(flat[o * taps : (o + 1) * taps], bits)
        ints.extend(q)
        shifts.append(shift)
        worst = max(worst, error)
    bias = options.get("bias")
    if bias is not None:
        one = weights.number(bias)
        values = [one] * channels if one is not None else items_of(bias)
        if values is None:
            raise refused("bias", bias, "a number or one per output channel")
        if len(values) != channels:
            raise ValueError("bias: %d values, wanted one or %d (output channels)" % (len(values), channels))
        values = [weights.as_number("bias", value) for value in values]
        options["bias"] = [weights.scaled(value, shift, "bias") for value, shift in zip(values, shifts)]
    if options["out_dtype"] != "i":  # "i" gives accumulators, in units of 2**shift
        options["shift"] = shifts
    return ints, worst, shifts


class _Spec(Spec):
    """A Spec whose error messages say "kernel" and "shape", the arguments of the layers here."""

    _kernel, _shape = "kernel", "shape"


class _Weighted(Layer):
    """A layer made from a kernel: it quantises floats and makes the Spec; `.shift` and `.worst_error` report the scale.

    flat  the kernel's numbers in canonical order (out, height, width, in / groups)
    bits  8 or 16: the widest int weights allowed. Floats get 16 only if the data has 16.
    """

    def __init__(self, flat, input_shape, kernel_shape, bits, backend, options):
        options["dtype"] = dtype = one_of("dtype", options.get("dtype", "b"), DTYPES)
        options["out_dtype"] = one_of("out_dtype", options.get("out_dtype", "i"), OUT_DTYPES)
        budget = options.pop("budget", None)
        float_bits = min(bits, 8 * ITEMSIZE[dtype])
        ints, worst, shifts = _quantized(flat, kernel_shape[0], float_bits, options)
        limit = (1 << (bits - 1)) - 1
        integer("kernel", min(ints), -limit - 1, limit)
        integer("kernel", max(ints), -limit - 1, limit)
        if not isinstance(ints, array):
            ints = array("b" if bits == 8 else "h", ints)
        Layer.__init__(self, _Spec(input_shape, kernel_shape, ints, **options), backend, budget)
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
        height, width = pair("shape", shape, 1, MOST)
        options.setdefault("border_value", 0)
        _Weighted.__init__(self, flat, (height, width, 1), (1, kh, kw, 1), 16, backend, options)
        self.out_shape = self.spec.out_shape[:2]


class Correlate1D(_Weighted):
    """Signal filter: y[j] = bias + sum of x[j*stride + b*dilation - left] * k[b].

    kernel   (taps,), ints -32768..32767 or floats
    length   samples in the signal
    stride, dilation  ints; padding "valid", "same" or (left, right)
    stream   True: the signal comes in blocks of at most `length` samples, multiples of the stride. Each call gives
             len(x) / stride outputs, those of the whole signal with padding (taps' extent - 1, 0): the layer
             keeps the last samples of each block; before the first block they are border_value. reset() forgets them
    options  as Correlate2D
    out_shape is (length,).
    """

    def __init__(self, kernel, length, stride=1, dilation=1, padding="valid", backend=None, stream=False, **options):
        flat, (taps,) = _shaped(kernel, None, ("taps",))
        length = integer("length", length, 1, MOST)
        stride, dilation = integer("stride", stride, 1, 65535), integer("dilation", dilation, 1, 65535)
        if isinstance(padding, str):
            padding = one_of("padding", padding, ("valid", "same"))
        else:
            padding = ((0, 0), pair("padding", padding, 0, 65535))
        options["stride"], options["dilation"], options["padding"] = (1, stride), (1, dilation), padding
        options.setdefault("border_value", 0)
        seen, stream = length, flag("stream", stream)
        if stream:
            if padding != "valid" or length % stride:
                raise ValueError(
                    "stream: padding %r and length %d, wanted 'valid' and a multiple of the stride %d"
                    % (padding, length, stride)
                )
            seen += (taps - 1) * dilation
            if seen > MOST:
                raise ValueError("length: %d and what the kernel spans, wanted at most %d" % (length, MOST))
        _Weighted.__init__(self, flat, (1, seen, 1), (1, 1, taps, 1), 16, backend, options)
        self.out_shape = self.spec.out_shape[1:2]
        self._stream = None
        if stream:
            from .stream import Stream  # takes room in the heap only where it is used

            self._stream = Stream(self.spec, length)

    def __call__(self, x, out):
        stream = self._stream
        with self._busy:
            if stream is None:
                return self._call(x, None, out)
            count = stream.take(x)
            if count == stream.length:
                self._call(stream.window, None, out)
            else:
                self._part(out, count // stream.stride)
            stream.keep(count)
            return out

    def _part(self, out, count):
        """Compute the first `count` outputs, for a block shorter than `length`."""
        buffers.check_size("out", out, self.spec.out_dtype, count)
        buffers.check_writable("out", out)
        buffers.check_aligned("out", buffers.address(out), self.spec.out_dtype)
        spare = self._stream.spare
        self._call(self._stream.window, None, spare)
        target = buffers.typed(out, self.spec.out_dtype, count)
        for n in range(count):
            target[n] = spare[n]

    def reset(self):
        """Forget the samples of a stream."""
        if self._stream:
            with self._busy:
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
        height, width = pair("shape", shape, 1, MOST)
        options["groups"] = groups = integer("groups", groups, 1, MOST // kernel_shape[3])
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
        if "groups" in options:
            raise TypeError("groups: not an option of a depthwise layer, whose groups are its channels")
        sizes = items_of(shape)
        if sizes is None or len(sizes) != 3:
            raise refused("shape", shape, "(height, width, channels)")
        height, width, channels = dimensions("shape", sizes, 3, 3)
        options["groups"] = channels
        if out % channels:
            raise ValueError("kernel: %d output channels, wanted a multiple of the input's %d" % (out, channels))
        flat = [flat[n] for o in range(out) for n in range(o, len(flat), out)]
        _Weighted.__init__(self, flat, (height, width, channels), (out, kh, kw, 1), 8, backend, options)


class Dense(_Weighted):
    """Fully connected layer, TFLite's FULLY_CONNECTED for one vector: y[o] = bias[o] + sum x[n] * k[o, n].

    kernel   (out, in), int8 or floats
    options  dtype, out_dtype, bias, multiplier, shift, zero points, activation range, accumulator,
             rounding: "single" is LiteRT's for this operator, "double" that of the other layers (see Spec)
    out_shape is (out,).
    """

    def __init__(self, kernel, kernel_shape=None, backend=None, **options):
        flat, (out, size) = _shaped(kernel, kernel_shape, ("out", "in"))
        _Weighted.__init__(self, flat, (1, 1, size), (out, 1, 1, size), 8, backend, options)
        self.out_shape = self.spec.out_shape[2:]
