"""peak(), which returns the position and value of a layer's greatest output."""

from . import buffers
from .arguments import dimensions, size_of


def peak(out, shape=None):
    """(y, x, value) of the greatest item, the first one in reading order.

    out    buffer of ints, read by its own type (an array('b') for dtype "b")
    shape  the layer's out_shape; None or one dimension: y is 0. The last dimension of
           three is counted into x.
    """
    if not buffers.measure("out", out)[0]:
        raise ValueError("out: no items, wanted at least one")
    view = memoryview(out)
    if buffers.MICROPYTHON:
        out = view
    else:
        if view.format not in tuple("bBhHiIlLqQ"):
            raise TypeError("out: items of format %r, wanted integers" % view.format)
        out = view.cast("B").cast(view.format)
    value = max(out)
    at = 0
    while out[at] != value:
        at += 1
    row = len(out)
    if shape is not None:
        shape = dimensions("shape", shape, 1, 3)
        if size_of(shape) != row:
            raise ValueError("shape: %r, wanted one of the out's %d items" % (shape, row))
        if len(shape) > 1:
            row //= shape[0]
    return at // row, at % row, value
