"""Layers without weights: pools, sums and products, tables, softmax, and what only moves items.

Each is made once from shapes and integers, checked like a layer with weights, and then called
with buffers: op(x, out), op(a, b, out) for two inputs, op(parts, out) for Concatenate. A call
with buffers seen before checks nothing and allocates nothing. Scales are integers made on
the desk; ucorr_host.reference has the same functions under the same words.

For a backend an op is what its attributes say: `kind`, as format.py names it, `dtype`, `lengths` of
its inputs, `out_shape`, `output_length`, and those of its class.
"""

from . import backends, buffers
from .fixedpoint import ITEMSIZE, LIMITS
from .spec import integer, one_of, pads_of, pair

_MOST = 1 << 24  # items of a dimension


def dimensions(name, shape, least, most):
    """shape as a tuple of `least` to `most` dimensions."""
    try:
        shape = tuple([integer(name, n, 1, _MOST) for n in shape])
    except TypeError:
        raise TypeError("%s: %r, wanted %d to %d dimensions" % (name, shape, least, most))
    if not least <= len(shape) <= most:
        raise ValueError("%s: %r, wanted %d to %d dimensions" % (name, shape, least, most))
    return shape


def size_of(shape):
    """The number of items of a shape."""
    count = 1
    for n in shape:
        count *= n
    return count


class Op:
    """A layer without weights, bound to a backend.

    raises TypeError or ValueError naming the argument, what came and what was wanted, before any pointer is taken
    """

    family = "_ops"  # of backends/__init__.py
    in_place = False  # whether out may be an input of its size
    scratch_bytes = macs = 0

    def _bind(self, dtype, lengths, out_shape, backend):
        self.dtype = self.out_dtype = dtype
        self.lengths = lengths
        self.out_shape = out_shape
        self.output_length = size_of(out_shape)
        self.backend, self.plan = backends.choose(self, backend)
        self.weight_bytes = self.plan.weight_bytes
        self._calls = []

    def __call__(self, x, out):
        return self._run(x, None, out)

    def _run(self, first, second, out):
        for known in self._calls:
            if known[0] is first and known[1] is second and known[2] is out and known[3] == _items(first, second, out):
                self.plan.run(known[4], known[5])
                return out
        sources, target = self._checked(first, second, out)
        self._calls = self._calls[-1:] + [(first, second, out, _items(first, second, out), sources, target)]
        self.plan.run(sources, target)
        return out

    def _checked(self, first, second, out):
        """(inputs, output) as the plan wants them. A method of its own: what a comprehension sees is allocated."""
        sources, names = (first,), ("x",)
        if isinstance(first, tuple):
            sources, names = first, ["parts[%d]" % n for n in range(len(first))]
        elif second is not None:
            sources, names = (first, second), ("a", "b")
        self._check(sources, names, out)
        if not self.plan.typed:
            return sources, out
        dtype = self.dtype
        typed = [buffers.typed(x, dtype, length) for x, length in zip(sources, self.lengths)]
        return typed, buffers.typed(out, self.out_dtype, self.output_length)

    def _check(self, sources, names, out):
        size = ITEMSIZE[self.dtype]
        buffers.check_size("out", out, self.dtype, self.output_length)
        buffers.check_writable("out", out)
        target = buffers.address(out)
        buffers.check_aligned("out", target, self.dtype)
        for x, name, length in zip(sources, names, self.lengths):
            buffers.check_size(name, x, self.dtype, length)
            start = buffers.address(x)
            buffers.check_aligned(name, start, self.dtype)
            if self.in_place and length == self.output_length and (x is out or start == target):
                continue
            overlap = x is out
            if start is not None and target is not None:
                overlap = start < target + self.output_length * size and target < start + length * size
            if overlap:
                raise ValueError("out: shares memory with %s, wanted a buffer of its own" % name)

    def _range(self, lowest, highest):
        """Set the activation range; None is the dtype's end."""
        lo, hi = LIMITS[self.dtype]
        self.activation_min = lo if lowest is None else integer("activation_min", lowest, lo, hi)
        self.activation_max = hi if highest is None else integer("activation_max", highest, lo, hi)
        if self.activation_min > self.activation_max:
            raise ValueError(
                "activation_min: %d, wanted at most activation_max %d" % (self.activation_min, self.activation_max)
            )


def _items(first, second, out):
    """How many items a call's buffers have in all: whether one that was seen has changed its size."""
    count = len(out)
    if isinstance(first, tuple):
        for part in first:
            count += len(part)
    else:
        count += len(first)
    return count if second is None else count + len(second)


class MaxPool2D(Op):
    """The greatest item of each window, TFLite's MAX_POOL_2D; padded items never win.

    size     of a window, an int or (height, width)
    shape    (height, width, channels) of x
    options  dtype b B h H, stride, padding "valid", "same" or pairs less than the size; activation_min, activation_max
    out_shape is (height, width, channels).
    """

    kind = "max_pool2d"
    most = 1 << 24  # items of a window

    def __init__(
        self, size, shape, stride=1, padding="valid", dtype="b", activation_min=None, activation_max=None, backend=None
    ):
        self.dtype = one_of("dtype", dtype, ("b", "B", "h", "H"))
        self.size = pair("size", size, 1, 65535)
        self.stride = pair("stride", stride, 1, 65535)
        self.shape = dimensions("shape", shape, 3, 3)
        self.padding = pads_of(padding, self.shape, self.size, self.stride)
        out = []
        for axis in (0, 1):
            extent, pads = self.size[axis], self.padding[axis]
            if max(pads) >= extent:
                raise ValueError("padding: %r, wanted less than the size %d" % (pads, extent))
            free = self.shape[axis] + sum(pads) - extent
            if free < 0:
                raise ValueError("size: %d, wanted at most the padded %d" % (extent, self.shape[axis] + sum(pads)))
            out.append(free // self.stride[axis] + 1)
        if self.size[0] * self.size[1] > self.most:
            raise ValueError("size: %r, wanted at most %d items" % (self.size, self.most))
        self._range(activation_min, activation_max)
        self._bind(dtype, (size_of(self.shape),), (out[0], out[1], self.shape[2]), backend)


class AveragePool2D(MaxPool2D):
    """The mean of each window's items, halves away from zero, TFLite's AVERAGE_POOL_2D; padded items don't count.

    Words as MaxPool2D's.
    """

    kind = "average_pool2d"
    most = 16383  # their sum, 16 bits each, and half of it stay small ints


class _Two(Op):
    """Two inputs, item by item; where one has a dimension of 1 it repeats, as in NumPy."""

    in_place = True

    def __init__(
        self,
        a_shape,
        b_shape=None,
        dtype="b",
        a_zero_point=0,
        b_zero_point=0,
        output_zero_point=0,
        activation_min=None,
        activation_max=None,
        backend=None,
        **scale,
    ):
        self.dtype = one_of("dtype", dtype, ("b", "B", "h"))
        a = dimensions("a_shape", a_shape, 1, 4)
        b = a if b_shape is None else dimensions("b_shape", b_shape, 1, 4)
        rank = max(len(a), len(b))
        self.a_shape, self.b_shape = (1,) * (4 - len(a)) + a, (1,) * (4 - len(b)) + b
        whole = []
        for m, n in zip(self.a_shape, self.b_shape):
            if m != n and m != 1 and n != 1:
                raise ValueError("b_shape: %r, wanted one that repeats to %r, or the other way round" % (b, a))
            whole.append(max(m, n))
        lo, hi = LIMITS[dtype]
        self.a_zero_point = integer("a_zero_point", a_zero_point, lo, hi)
        self.b_zero_point = integer("b_zero_point", b_zero_point, lo, hi)
        self.output_zero_point = integer("output_zero_point", output_zero_point, lo, hi)
        self._range(activation_min, activation_max)
        self.scales = self._scales(scale)
        if scale:
            raise TypeError("%s: no word of this layer" % sorted(scale)[0])
        self.out_shape4 = tuple(whole)
        self._bind(dtype, (size_of(a), size_of(b)), tuple(whole)[4 - rank :], backend)

    def __call__(self, a, b, out):
        return self._run(a, b, out)


def _scale(words, prefix, left):
    """(multiplier, shift) of the words with a prefix, the shift at most `left`."""
    found = []
    for name, lo, hi in ((prefix + "multiplier", 0, 0x7FFFFFFF), (prefix + "shift", -31, left)):
        if name not in words:
            raise TypeError("%s: not given, wanted an integer %d..%d" % (name, lo, hi))
        found.append(integer(name, words.pop(name), lo, hi))
    return tuple(found)


class Add(_Two):
    """a + b in a common scale, TFLite's ADD; out may be an input of its size.

    a_shape, b_shape   up to four dimensions; None: as a_shape
    options  dtype b B h (h: zero points 0); a_multiplier, a_shift, b_multiplier, b_shift: each input's scale over twice
             the larger one; multiplier, shift: twice the larger scale over 2**20 (8 bits) or 2**15 (16 bits) of the
             output's; no shift is to the left; zero points a_, b_, output_; activation_min, activation_max
    """

    kind = "add"

    def _scales(self, words):
        if self.dtype == "h" and (self.a_zero_point or self.b_zero_point):
            raise ValueError("a_zero_point: with dtype 'h', wanted 0 for both inputs")
        self.room = 20 if ITEMSIZE[self.dtype] == 1 else 15  # items shifted up by it stay under 2**30  (eq. 9)
        return _scale(words, "a_", 0), _scale(words, "b_", 0), _scale(words, "", 0)


class Sub(Add):
    """a - b in a common scale, TFLite's SUB; words as Add's."""

    kind = "sub"


class Mul(_Two):
    """a * b, TFLite's MUL; out may be an input of its size.

    options  as Add's, but multiplier and shift alone: of the product of the input scales over the output's
    """

    kind = "mul"

    def _scales(self, words):
        multiplier, shift = _scale(words, "", 30)
        reach = 1
        lo, hi = LIMITS[self.dtype]
        for zero in (self.a_zero_point, self.b_zero_point):
            reach *= max(hi - zero, zero - lo)
        if reach << max(shift, 0) >= 1 << 31:
            raise ValueError("shift: %d, wanted one that keeps products up to %d under 2**31" % (shift, reach))
        return ((multiplier, shift),)


class Lookup(Op):
    """table[x], item by item: any function of an int8 or uint8; out may be x.

    table   256 bytes, or ints -128..127: int8 outputs for the least x and upwards
    length  items of x
    dtype   of x, b or B; out is int8
    """

    kind = "lookup"
    in_place = True

    def __init__(self, table, length, dtype="b", backend=None):
        self.dtype = one_of("dtype", dtype, ("b", "B"))
        if len(table) != 256:
            raise ValueError("table: %d items, wanted 256" % len(table))
        if isinstance(table, (list, tuple)):
            table = bytes([integer("table", value, -128, 127) & 255 for value in table])
        self.table = table
        self._bind(dtype, (integer("length", length, 1, _MOST),), (length,), backend)
        self.out_dtype = "b"


class Softmax(Op):
    """exp(x) over the sum of exp(x), row by row; int8, scale 1/256, zero point -128: TFLite's SOFTMAX.

    table    256 ints of 32 bits, an array('i') or bytes: ucorr_host.reference.softmax_table(multiplier, shift)
    classes  items of a row, 1..4095; rows
    out_shape is (rows, classes).
    """

    kind = "softmax"

    def __init__(self, table, classes, rows=1, backend=None):
        if len(table) * len(bytes(table[:1])) != 1024:
            raise ValueError("table: %d items, wanted 256 of 32 bits" % len(table))
        self.table = table
        self.classes = integer("classes", classes, 1, 4095)  # the sum of as many, 2**19 each, stays under 2**31
        self.rows = integer("rows", rows, 1, _MOST)
        self._bind("b", (rows * classes,), (rows, classes), backend)


class _Moves(Op):
    """Items from inputs to places in out, what is left between them holding a value.

    moves  ((input, its first item, first item of out, (n0, n1, n2), steps in the input, steps in out, run), ...):
           n0 * n1 * n2 runs of consecutive items
    value  of all other items, or None where there are none
    """

    value = None


class Pad(_Moves):
    """x with a value around it, TFLite's PAD and PADV2.

    shape    up to four dimensions
    padding  ((before, after), ...), a pair for each
    options  value, dtype b B h H
    """

    kind = "pad"

    def __init__(self, shape, padding, value=0, dtype="b", backend=None):
        lo, hi = LIMITS[one_of("dtype", dtype, ("b", "B", "h", "H"))]
        shape = dimensions("shape", shape, 1, 4)
        pads = [pair("padding", pads, 0, _MOST) for pads in padding]
        if len(pads) != len(shape):
            raise ValueError("padding: %d pairs, wanted %d" % (len(pads), len(shape)))
        self.value = integer("value", value, lo, hi)
        out_shape = tuple([n + before + after for n, (before, after) in zip(shape, pads)])
        self.shape = shape = (1,) * (4 - len(shape)) + shape
        self.padding = pads = ((0, 0),) * (4 - len(pads)) + tuple(pads)
        inner, wide = _steps(shape), _steps((1,) * (4 - len(out_shape)) + out_shape)
        first = sum([pad[0] * step for pad, step in zip(pads, wide)])
        self.moves = ((0, 0, first, shape[:3], inner[:3], wide[:3], shape[3]),)
        self._bind(dtype, (size_of(shape),), out_shape, backend)


def _steps(shape):
    """How many items one step along each dimension is."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))


class Concatenate(_Moves):
    """Tensors behind each other along an axis, TFLite's CONCATENATION; called with a tuple of buffers.

    lengths  items of each input along and after the axis
    outer    items before it: each input has outer * length items
    options  dtype b B h H
    out_shape is (outer, sum of lengths).
    """

    kind = "concatenate"

    def __init__(self, lengths, outer=1, dtype="b", backend=None):
        one_of("dtype", dtype, ("b", "B", "h", "H"))
        lengths = dimensions("lengths", lengths, 1, 1024)
        self.outer = integer("outer", outer, 1, _MOST)
        whole, moves, first = sum(lengths), [], 0
        for n, length in enumerate(lengths):
            moves.append((n, 0, first, (1, 1, outer), (0, 0, length), (0, 0, whole), length))
            first += length
        self.moves = tuple(moves)
        self._bind(dtype, tuple([outer * n for n in lengths]), (outer, whole), backend)

    def __call__(self, parts, out):
        if not isinstance(parts, tuple) or len(parts) != len(self.lengths):
            raise TypeError("parts: %s, wanted a tuple of %d buffers" % (type(parts).__name__, len(self.lengths)))
        return self._run(parts, None, out)


class Expand(_Moves):
    """x with a value between its rows and columns and around it: what a transposed layer reads.

    shape    (height, width, channels)
    options  stride, padding ((top, bottom), (left, right)), negative to crop; value, dtype b B h H
    out_shape is (height, width, channels). A Conv2D with the flipped kernel on it is TFLite's TRANSPOSE_CONV.
    """

    kind = "expand"

    def __init__(self, shape, stride=1, padding=((0, 0), (0, 0)), value=0, dtype="b", backend=None):
        lo, hi = LIMITS[one_of("dtype", dtype, ("b", "B", "h", "H"))]
        self.shape = dimensions("shape", shape, 3, 3)
        self.stride = pair("stride", stride, 1, 65535)
        self.value = integer("value", value, lo, hi)
        spans, counts, skipped, starts = [], [], [], []
        for axis in (0, 1):
            before, after = pair("padding", padding[axis], -65535, 65535)
            n, step = self.shape[axis], self.stride[axis]
            span = (n - 1) * step + 1 + before + after
            if span < 1:
                raise ValueError("padding: %r, wanted one that leaves an item" % (padding[axis],))
            skip = (max(0, -before) + step - 1) // step  # items that are cropped in front
            start = before + skip * step
            spans.append(span)
            skipped.append(skip)
            starts.append(start)
            counts.append(min(n - skip, (span - 1 - start) // step + 1) if start < span else 0)
        channels = self.shape[2]
        out_shape = (spans[0], spans[1], channels)
        inner, wide = _steps(self.shape), _steps(out_shape)
        self.moves = ()
        if min(counts) > 0:
            source = skipped[0] * inner[0] + skipped[1] * inner[1]
            target = starts[0] * wide[0] + starts[1] * wide[1]
            steps = (0, self.stride[0] * wide[0], self.stride[1] * wide[1])
            self.moves = ((0, source, target, (1, counts[0], counts[1]), (0, inner[0], inner[1]), steps, channels),)
        self._bind(dtype, (size_of(self.shape),), out_shape, backend)


KINDS = {  # as format.py names them
    layer.kind: layer for layer in (MaxPool2D, AveragePool2D, Add, Sub, Mul, Lookup, Softmax, Pad, Concatenate, Expand)
}
