"""What may be a layer's input or output, checked before any pointer is taken.

On a board a wrong size is a hard fault, so sizes, types, alignment, overlap and
write access are all settled here, once per pair of buffers. MicroPython's
memoryview tells neither item size, format nor read-only: bytes are counted on a
copy of one item and write access is tried by storing an item over itself.
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
else:
    import ctypes


def measure(name, buffer):
    """(bytes in all, bytes per item) of a buffer; TypeError when it is none or holds floats."""
    try:
        view = memoryview(buffer)
        if not MICROPYTHON:
            if not view.c_contiguous:
                raise ValueError("%s: a view with gaps, wanted contiguous memory" % name)
            if view.format in ("f", "d", "e"):
                raise TypeError
            return view.nbytes, view.itemsize
        item = len(bytes(buffer[:1]))
        if item and isinstance(buffer[0], float):
            raise TypeError
        return len(buffer) * item, item
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


def address(buffer):
    """Where a buffer starts, or None where that can't be told (CPython: read-only buffers)."""
    if MICROPYTHON:
        return uctypes.addressof(buffer) if uctypes else None
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(memoryview(buffer).cast("B")))
    except (TypeError, ValueError):
        return None


def check_writable(name, buffer):
    """Check that a buffer takes a store; its first item is stored over itself."""
    try:
        view = buffer if MICROPYTHON else memoryview(buffer).cast("B")
        view[0] = view[0]
    except TypeError:
        raise TypeError("%s: %s that can't be written, wanted a writable buffer" % (name, type(buffer).__name__))


def check(x, out, spec):
    """Check a layer's pair of buffers; TypeError or ValueError names x or out."""
    check_size("x", x, spec.dtype, spec.input_length, spec.exact_length)
    check_size("out", out, spec.out_dtype, spec.output_length)
    check_writable("out", out)
    start, target = address(x), address(out)
    if start is None or target is None:
        overlap = x is out
    else:
        after = start + spec.input_length * ITEMSIZE[spec.dtype]
        overlap = start < target + spec.output_length * ITEMSIZE[spec.out_dtype] and target < after
    if overlap:
        raise ValueError("out: shares memory with x, wanted a buffer of its own")
    check_aligned("x", start, spec.dtype)
    check_aligned("out", target, spec.out_dtype)


def check_aligned(name, where, dtype):
    """Check an address, or None where it can't be told."""
    if where is not None and where % ITEMSIZE[dtype]:
        raise ValueError("%s: starts at address %d, wanted a multiple of %d" % (name, where, ITEMSIZE[dtype]))


def as_bytes(buffer):
    """A view of a buffer's bytes, whatever its items are."""
    if not MICROPYTHON:
        return memoryview(buffer).cast("B")
    return uctypes.bytearray_at(uctypes.addressof(buffer), measure("buffer", buffer)[0])


class _Slices:
    def __getitem__(self, s):
        return s


def slice_of(first, behind):
    """A slice that is made ahead of the call that uses it: making one allocates."""
    return _Slices()[first:behind]


def room(typecode, length):
    """An array of `length` items that hold anything. An array made from bytes would take twice its size meanwhile."""
    if MICROPYTHON:
        return array(typecode, range(length))  # MicroPython wraps what an item does not hold
    return array(typecode, bytes(length * ITEMSIZE[typecode]))


def typed(buffer, dtype, length):
    """A view of a checked buffer whose items read and write as dtype, whatever its own type."""
    if not MICROPYTHON:
        view = memoryview(buffer).cast("B")
        return view[: length * ITEMSIZE[dtype]].cast(dtype)
    if uctypes is None:
        return buffer
    codes = {
        "b": uctypes.INT8,
        "B": uctypes.UINT8,
        "h": uctypes.INT16,
        "H": uctypes.UINT16,
        "i": uctypes.INT32,
    }
    layout = {"items": (uctypes.ARRAY | 0, length | codes[dtype])}
    return uctypes.struct(uctypes.addressof(buffer), layout).items
