"""Operators that walk windows over an image: MaxPool2D and AveragePool2D."""

from ..arguments import dimensions, one_of, pair, size_of
from ..spec import DTYPES, pads_of
from . import Op


class MaxPool2D(Op):
    """The greatest item of each window, TFLite's MAX_POOL_2D; padded items never win.

    size     of a window, an int or (height, width)
    shape    (height, width, channels) of x
    options  dtype b B h H, stride, padding "valid", "same" or pairs less than the size; activation_min, activation_max
    out_shape is (height, width, channels).
    """

    kind = "max_pool2d"
    fields = "shape*3 size*2 stride*2 padding*4 dtype activation_min activation_max"
    first = ("size", "shape")
    runs = "windows.Pool"
    most = 1 << 24  # items of a window

    def __init__(
        self, size, shape, stride=1, padding="valid", dtype="b", activation_min=None, activation_max=None, backend=None
    ):
        self.dtype = one_of("dtype", dtype, DTYPES)
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
        self._bind(self.dtype, (size_of(self.shape),), (out[0], out[1], self.shape[2]), backend)


class AveragePool2D(MaxPool2D):
    """The mean of each window's items, halves away from zero, TFLite's AVERAGE_POOL_2D; padded items don't count.

    Parameters as MaxPool2D's.
    """

    kind = "average_pool2d"
    most = 16383  # their sum, 16 bits each, and half of it stay small ints
