"""Operators that only copy items: Pad, Concatenate and Expand."""

from ..arguments import MOST, dimensions, integer, items_of, one_of, pair, refused, size_of
from ..fixedpoint import LIMITS
from ..spec import DTYPES
from . import Op, four


class _Moves(Op):
    """An operator that copies runs of items from its inputs into out and fills the rest of out with a value.

    moves  ((input, its first item, first item of out, (n0, n1, n2), steps in the input, steps in out, run), ...):
           n0 * n1 * n2 runs of consecutive items
    value  of all other items, or None where there are none
    """

    runs = "moves.Moves"
    value = None


class Pad(_Moves):
    """x with a value around it, TFLite's PAD and PADV2.

    shape    up to four dimensions
    padding  ((before, after), ...), a pair for each
    options  value, dtype b B h H
    """

    kind = "pad"
    fields = "shape*4 padding*8 value dtype"
    first = ("shape",)

    def __init__(self, shape, padding, value=0, dtype="b", backend=None):
        dtype = one_of("dtype", dtype, DTYPES)
        lo, hi = LIMITS[dtype]
        shape = dimensions("shape", shape, 1, 4)
        pairs = items_of(padding)
        if pairs is None:
            raise refused("padding", padding, "a pair (before, after) for each dimension")
        if len(pairs) != len(shape):
            raise ValueError("padding: %d pairs, wanted %d" % (len(pairs), len(shape)))
        pads = [pair("padding", pads, 0, MOST) for pads in pairs]
        self.value = integer("value", value, lo, hi)
        out_shape = tuple([n + before + after for n, (before, after) in zip(shape, pads)])
        self.shape = shape = four(shape)
        self.padding = pads = ((0, 0),) * (4 - len(pads)) + tuple(pads)
        inner, wide = _steps(shape), _steps(four(out_shape))
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
    """Tensors after each other along an axis, TFLite's CONCATENATION; called with a tuple of buffers.

    lengths  items of each input along and after the axis
    outer    items before it: each input has outer * length items
    options  dtype b B h H
    out_shape is (outer, sum of lengths).
    """

    kind = "concatenate"
    fields = "outer dtype widths*"
    first = ("widths",)

    def __init__(self, lengths, outer=1, dtype="b", backend=None):
        dtype = one_of("dtype", dtype, DTYPES)
        self.widths = lengths = dimensions("lengths", lengths, 1, 1024)
        self.outer = outer = integer("outer", outer, 1, MOST)
        whole, moves, first = sum(lengths), [], 0
        for n, length in enumerate(lengths):
            moves.append((n, 0, first, (1, 1, outer), (0, 0, length), (0, 0, whole), length))
            first += length
        self.moves = tuple(moves)
        self._bind(dtype, tuple([outer * n for n in lengths]), (outer, whole), backend)

    def __call__(self, parts, out):
        if not isinstance(parts, tuple) or len(parts) != len(self.lengths):  # calls.py counts those of a subclass
            raise TypeError("parts: %s, wanted a tuple of %d buffers" % (type(parts).__name__, len(self.lengths)))
        with self._busy:
            return self._call(parts, None, out)


class Expand(_Moves):
    """x with a value between its rows and columns and around it: what a transposed layer reads.

    shape    (height, width, channels)
    options  stride, padding ((top, bottom), (left, right)), negative to crop; value, dtype b B h H
    out_shape is (height, width, channels). A Conv2D with the flipped kernel on it is TFLite's TRANSPOSE_CONV.
    """

    kind = "expand"
    fields = "shape*3 stride*2 padding*4 value dtype"
    first = ("shape",)

    def __init__(self, shape, stride=1, padding=((0, 0), (0, 0)), value=0, dtype="b", backend=None):
        dtype = one_of("dtype", dtype, DTYPES)
        lo, hi = LIMITS[dtype]
        self.shape = dimensions("shape", shape, 3, 3)
        self.stride = pair("stride", stride, 1, 65535)
        self.value = integer("value", value, lo, hi)
        sides = items_of(padding)
        if sides is None or len(sides) != 2:
            raise refused("padding", padding, "((top, bottom), (left, right))")
        spans, counts, skipped, starts = [], [], [], []
        for axis in (0, 1):
            before, after = pair("padding", sides[axis], -65535, 65535)
            n, step = self.shape[axis], self.stride[axis]
            span = (n - 1) * step + 1 + before + after
            if span < 1:
                raise ValueError("padding: %r, wanted one that leaves an item" % ((before, after),))
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
