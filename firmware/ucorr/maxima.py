"""Where the greatest outputs lie: peak() of a layer, peak_lag() of two signals, peaks() of an image."""

from array import array

from . import buffers
from .arguments import dimensions, flag, integer, size_of

_PLAIN = bytes, bytearray, array, memoryview  # whose len() is their own, and whose items a board indexes without a view


def peak(out, shape=None):
    """(y, x, value) of the greatest item, the first one in reading order.

    out    buffer of ints, read by its own type (an array('b') for dtype "b")
    shape  the layer's out_shape; None or one dimension: y is 0. The last dimension of
           three is counted into x.
    """
    out = _indexed("out", out)
    at = _greatest(out)
    row = len(out)
    if shape is not None:
        shape = dimensions("shape", shape, 1, 3)
        if size_of(shape) != row:
            raise ValueError("shape: %r, wanted one of the out's %d items" % (shape, row))
        if len(shape) > 1:
            row //= shape[0]
    return at // row, at % row, out[at]


def peak_lag(r, lags=None, subsample=False):
    """(lag, value) of the greatest item of a CrossCorrelate's output, the first one.

    r          buffer of ints, read by its own type
    lags       as CrossCorrelate takes them; None: -n..n, of 2 * n + 1 items
    subsample  True: the lag in 1/256 sample, at the top of the parabola through the peak and its neighbours (eq. 12);
               at either end the peak's own
    """
    r = _indexed("r", r)
    count = len(r)
    if lags is None:
        if not count % 2:
            raise ValueError("lags: not given for %d items, wanted them where the range is not -n..n" % count)
        lags = count // 2
    from .ops.correlation import MOST, range_of_lags

    first, last = range_of_lags(lags, MOST)
    if last - first + 1 != count:
        raise ValueError("lags: %d of them, wanted one for each of the %d items of r" % (last - first + 1, count))
    at = _greatest(r)
    lag = first + at
    if flag("subsample", subsample):
        lag = (lag << 8) + _offset(r, at, 1, at, count)
    return lag, r[at]


def peaks(values, shape=None, num_peaks=1, min_distance=1, threshold=None, subpixel=False, out=None):
    """[(y, x, value), ...] of the greatest local maxima, the greatest first; equal ones in reading order.

    A local maximum is greater than each item before it, in reading order, and not less than each item after it, among
    those at most min_distance rows and columns away: the first item of a plateau. No two are so near each other.

    values        buffer of ints, read by its own type; peaks have 32 bits with sign
    shape         (height, width) or (height, width, 1); None or one dimension: one row
    num_peaks     so many at most, 1..65535
    min_distance  1..32767
    threshold     what peaks are greater than; None: any value is enough
    subpixel      True, for at most 2**23 items: y and x in 1/256 pixel, each at the top of the parabola through the
                  peak and its two neighbours (eq. 12); at an edge the peak's own
    out           array("i") of 3 * num_peaks items or more, which gets y, x and value of each; the number of peaks is
                  returned, and nothing is allocated
    """
    values = _indexed("values", values)
    width = len(values)
    height = 1 if shape is None else _rows(shape, width)
    width //= height
    num_peaks = integer("num_peaks", num_peaks, 1, 65535)
    min_distance = integer("min_distance", min_distance, 1, 32767)
    if threshold is not None:
        threshold = integer("threshold", threshold, -(1 << 62), 1 << 62)
    if subpixel is not True and subpixel is not False:  # flag() allocates
        subpixel = flag("subpixel", subpixel)
    if subpixel and width * height > 1 << 23:
        raise ValueError("values: %d items with subpixel, wanted at most %d" % (width * height, 1 << 23))
    found = out
    if out is None:
        found = array("i", bytes(12 * min(num_peaks, len(values))))
        num_peaks = len(found) // 3
    elif type(out) is not array or len(out) < 3 * num_peaks or not _holds_words(out):
        raise TypeError("out: %s, wanted an array('i') of %d items" % (type(out).__name__, 3 * num_peaks))
    count = 0
    at = 0
    for y in range(height):
        for x in range(width):
            value = values[at]
            if threshold is None or value > threshold:
                if count < num_peaks or value > found[3 * num_peaks - 1]:
                    if _is_peak(values, height, width, y, x, min_distance):
                        if not -0x80000000 <= value <= 0x7FFFFFFF:  # a board would store its lower half
                            raise ValueError("values: a peak of %d, wanted one of 32 bits with sign" % value)
                        if count < num_peaks:
                            count += 1
                        _insert(found, count - 1, y, x, value)
            at += 1
    if subpixel:
        for n in range(count):
            y, x = found[3 * n], found[3 * n + 1]
            at = y * width + x
            found[3 * n] = (y << 8) + _offset(values, at, width, y, height)
            found[3 * n + 1] = (x << 8) + _offset(values, at, 1, x, width)
    return _listed(found, count) if out is None else count


def _listed(found, count):
    """The peaks as tuples: not in peaks(), whose variables a comprehension would put into the heap."""
    return [(found[3 * n], found[3 * n + 1], found[3 * n + 2]) for n in range(count)]


def _indexed(name, values):
    """The items of a buffer of ints, whatever its dimensions."""
    if not buffers.MICROPYTHON:
        buffers.measure(name, values)
        view = memoryview(values)
        if view.format not in tuple("bBhHiIlLqQ"):
            raise TypeError("%s: items of format %r, wanted integers" % (name, view.format))
        values = view.cast("B").cast(view.format) if view.nbytes else b""
    elif type(values) not in _PLAIN or not len(values) or isinstance(values[0], float):
        buffers.measure(name, values)
        values = memoryview(values)
    if not len(values):
        raise ValueError("%s: no items, wanted at least one" % name)
    return values


def _greatest(values):
    """The place of the greatest item, the first one."""
    value = max(values)
    at = 0
    while values[at] != value:
        at += 1
    return at


def _rows(shape, length):
    """The height of an image of one channel and of so many items."""
    if type(shape) is tuple and len(shape) == 2 and type(shape[0]) is int and shape[0] > 0 and type(shape[1]) is int:
        if shape[0] * shape[1] == length:  # seen without an allocation
            return shape[0]
    shape = dimensions("shape", shape, 1, 3)
    if size_of(shape) != length or (len(shape) == 3 and shape[2] != 1):
        raise ValueError("shape: %r, wanted height and width of %d items" % (shape, length))
    return 1 if len(shape) == 1 else shape[0]


def _holds_words(out):
    """Whether an array's items are ints of 32 bits or more with sign, tried on the first one: no view is allocated."""
    kept = out[0]
    try:
        out[0] = -70000
        held = out[0] == -70000 and not isinstance(kept, float)
    except OverflowError:  # CPython; MicroPython wraps
        held = False
    out[0] = kept
    return held


def _is_peak(values, height, width, y, x, apart):
    """Whether no item near the one at (y, x) is greater, nor equal and before it."""
    at = y * width + x
    value = values[at]
    for row in range(max(y - apart, 0), min(y + apart, height - 1) + 1):
        for n in range(row * width + max(x - apart, 0), row * width + min(x + apart, width - 1) + 1):
            if values[n] > value or (n < at and values[n] == value):
                return False
    return True


def _insert(found, n, y, x, value):
    """Put a peak before the lesser ones of the n that are found; the last of them falls off where there is no room."""
    while n and found[3 * n - 1] < value:
        for item in range(3 * n, 3 * n + 3):
            found[item] = found[item - 3]
        n -= 1
    found[3 * n], found[3 * n + 1], found[3 * n + 2] = y, x, value


def _offset(values, at, step, place, count):
    """Where the top of the parabola through an item and its two neighbours is, in 1/256 of the distance to these; 0 for
    the first and the last of count.  (eq. 12)"""
    if not 0 < place < count - 1:
        return 0
    before, after = values[at - step], values[at + step]
    bend = 2 * values[at] - before - after
    return (256 * (after - before) + bend) // (2 * bend) if bend else 0
