"""Checks of input and output buffers, made before any pointer is taken.

On a board a wrong size is a hard fault, so sizes, types, alignment, overlap and
write access are all checked here. A buffer may change before the next call: a bytearray that grows moves. The
result of check() is valid until moved() returns True. Lengths and types are read from a memoryview, since a subclass
may return anything. MicroPython's memoryview reports neither item size, format nor read-only: the bytes of an item
are counted on a copy of one, and write access is tried by storing an item over itself.
"""

import sys
from array import array

from .fixedpoint import ITEMSIZE

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    try:
        import uctypes
    except ImportError:
        uctypes = None

    def _counted(name, view):
        """(bytes in all, bytes per item) of a view; TypeError for floats."""
        item = len(bytes(view[:1]))
        if item and isinstance(view[0], float):
            raise TypeError
        return len(view) * item, item

    def address(buffer):
        """The address of a buffer's first byte, or None where the firmware can't report it."""
        return uctypes.addressof(buffer) if uctypes else None

    def as_bytes(buffer):
        """A view of a buffer's bytes, whatever its items are."""
        return uctypes.bytearray_at(uctypes.addressof(buffer), measure("buffer", buffer)[0])

    def room(typecode, length):
        """A new array of `length` items with arbitrary values."""
        # array(typecode, bytes(n)) would need twice the memory; MicroPython wraps a value that an item can't hold
        return array(typecode, range(length))

    def typed(buffer, dtype, length):
        """A view of a checked buffer whose items read and write as dtype, whatever its own type."""
        if uctypes is None:
            return buffer
        item = {"b": "INT8", "B": "UINT8", "h": "INT16", "H": "UINT16", "i": "INT32"}[dtype]
        layout = {"items": (uctypes.ARRAY | 0, length | getattr(uctypes, item))}
        return uctypes.struct(uctypes.addressof(buffer), layout).items

else:  # the same functions on CPython, where a buffer with a memoryview can't be resized
    import ctypes

    _ORDERS = "", "@", "=", "<" if sys.byteorder == "little" else ">"  # byte orders as in memoryview.format

    def _counted(name, view):
        if not view.c_contiguous:
            raise ValueError("%s: a view with gaps, wanted contiguous memory" % name)
        order, item = view.format[:-1], view.format[-1:]
        if item not in tuple("bBhHiIlLqQ") or (view.itemsize > 1 and order not in _ORDERS):
            raise TypeError
        return view.nbytes, view.itemsize

    def address(buffer):
        try:  # a read-only buffer has no address here
            return ctypes.addressof(ctypes.c_char.from_buffer(as_bytes(buffer)))
        except (TypeError, ValueError):
            return None

    def as_bytes(buffer):
        view = memoryview(buffer)
        return view.cast("B") if view.nbytes else memoryview(b"")  # one of no items and several dimensions has no cast

    def room(typecode, length):
        return array(typecode, bytes(length * ITEMSIZE[typecode]))

    def typed(buffer, dtype, length):
        return as_bytes(buffer)[: length * ITEMSIZE[dtype]].cast(dtype)


def measure(name, buffer):
    """(bytes in all, bytes per item) of a buffer; TypeError when it is no buffer or holds floats."""
    try:
        if isinstance(buffer, str):  # a buffer for MicroPython
            raise TypeError
        try:
            view = memoryview(buffer)
        except ValueError:  # a released view, a view of a closed file, an array of dates
            raise TypeError
        return _counted(name, view)
    except TypeError:
        raise TypeError(
            "%s: %s, wanted a buffer of integers (bytearray, array, memoryview)" % (name, type(buffer).__name__)
        )


def check_size(name, buffer, dtype, length, exact=True):
    """Check that a buffer holds `length` items of dtype (or more, unless exact)."""
    size = ITEMSIZE[dtype]
    total, item = measure(name, buffer)
    if item not in (1, size) and total:
        raise TypeError("%s: items of %d bytes, wanted %d (dtype %r) or 1" % (name, item, size, dtype))
    wanted = length * size
    if total < wanted or (exact and total != wanted):
        raise ValueError(
            "%s: %d bytes, wanted %s%d (%d items of dtype %r)"
            % (name, total, "" if exact else "at least ", wanted, length, dtype)
        )


def check_writable(name, buffer):
    """Check that a buffer takes a store; its first item is stored over itself."""
    try:
        view = memoryview(buffer) if MICROPYTHON else memoryview(buffer).cast("B")
        view[0] = view[0]
    except TypeError:
        raise TypeError("%s: %s that can't be written, wanted a writable buffer" % (name, type(buffer).__name__))


def check_aligned(name, where, dtype):
    """Check that an address is a multiple of the item size; None, an unknown address, passes."""
    if where is not None and where % ITEMSIZE[dtype]:
        raise ValueError("%s: starts at address %d, wanted a multiple of %d" % (name, where, ITEMSIZE[dtype]))


def check(problem, inputs, names, out):
    """Check the buffers of a call; TypeError or ValueError names the one that is wrong.

    problem  object with dtype, lengths (items of each input), exact_length (True: no input may be longer),
             out_dtype, output_length, in_place (True: out may be an input of its size)
    names    of the inputs
    """
    length = problem.output_length
    check_size("out", out, problem.out_dtype, length)
    check_writable("out", out)
    target = address(out)
    check_aligned("out", target, problem.out_dtype)
    size = ITEMSIZE[problem.dtype]
    for x, name, count in zip(inputs, names, problem.lengths):
        check_size(name, x, problem.dtype, count, problem.exact_length)
        start = address(x)
        check_aligned(name, start, problem.dtype)
        if problem.in_place and count == length and (x is out or (start == target and start is not None)):
            continue
        overlap = x is out
        if start is not None and target is not None:
            overlap = start < target + length * ITEMSIZE[problem.out_dtype] and target < start + count * size
        if overlap:
            raise ValueError("out: shares memory with %s, wanted a buffer of its own" % name)


_PLAIN = bytes, bytearray, array, memoryview  # whose len() is their own
_address = uctypes.addressof if MICROPYTHON and uctypes else lambda buffer: None
_SMALL = 1 << 30 if sys.maxsize < 1 << 32 else 1 << 62  # the least address that is a heap object


def marks(buffers):
    """What moved() compares, a tuple for each buffer: (buffer, length or -1 where len() can't be trusted, address,
    None or the function that compares an address past the small ints)."""
    return tuple([(x, len(x) if type(x) in _PLAIN else -1) + _place(x) for x in buffers])


def _place(buffer):
    """(address, None), or (array that holds the address, function that compares it). On CPython the address is None."""
    where = _address(buffer)
    if where is None or where < _SMALL:
        return where, None
    try:
        from .backends.viper_address import is_at
    except (ImportError, SyntaxError, ValueError):  # a firmware without viper: a call allocates the address
        return where, None
    return array("I", [where]), is_at


def moved(marks):
    """Whether the address or the length of any marked buffer has changed, or may have."""
    for buffer, length, place, is_at in marks:
        if length < 0 or len(buffer) != length:
            return True
        if is_at is None:
            if _address(buffer) != place:
                return True
        elif not is_at(buffer, place):
            return True
    return False


def same(buffer, marks):
    """Whether a buffer is the one that was marked, and has not moved."""
    return bool(marks) and marks[0][0] is buffer and not moved(marks)


class _Slices:
    def __getitem__(self, s):
        return s


def slice_of(first, behind):
    """A slice object, made in advance because making one in a run would allocate."""
    return _Slices()[first:behind]
