"""Conversion of a user's kernel: flatten() returns flat numbers and a shape, quantize_kernel() ints and a shift.

A kernel is nested sequences, bytes or an array, of ints or of floats.
Floats are rounded to binary32 first (a board's float is no wider) and from there
on only integers are used, so a board and a host find the same weights:
k = q * 2**shift with the finest shift that keeps |q| within the wanted bits.
"""

import struct
from array import array

from .arguments import MOST, index_of, items_of, refused, shown
from .fixedpoint import rounding_shift

_DEPTH = 4  # levels that a kernel may be nested: a layer's dimensions


def flatten(kernel, name="kernel"):
    """A kernel as (flat list or array in row-major order, shape).

    kernel  nested sequences of equal length, an array, or bytes (int8 bit patterns)
    raises  TypeError for what is no sequence of numbers, ValueError for ragged rows
    """
    if isinstance(kernel, (bytes, bytearray)):
        kernel = array("b", kernel)  # a list would take four bytes of a board's heap for each
    if type(kernel) is array and len(kernel) and isinstance(kernel[0], (int, float)):
        return kernel, (len(kernel),)
    flat = []
    shape = _walk(kernel, flat, name, _DEPTH)
    return flat, shape


def _walk(level, flat, name, depth):
    """Append the numbers of level to flat and return its shape, of at most `depth` dimensions."""
    if isinstance(level, (bytes, bytearray)):
        level = array("b", level)
    level = _listed(level)
    items = items_of(level)
    if items is None:
        raise refused(name, level, "ints or floats in nested sequences, each of at most %d items" % MOST)
    count = len(items)
    if not count:
        raise ValueError("%s: an empty sequence, wanted at least one number" % name)
    if count > MOST:
        raise ValueError("%s: %d items, wanted at most %d" % (name, count, MOST))
    if not depth:
        raise ValueError("%s: nested deeper than %d levels, wanted a shape of as many dimensions" % (name, _DEPTH))
    if number(items[0]) is not None:
        for value in items:
            flat.append(as_number(name, value))
        return (count,)
    inner = None
    for row in items:
        shape = _walk(row, flat, name, depth - 1)
        if inner is not None and shape != inner:
            raise ValueError("%s: rows of shapes %s and %s, wanted equal ones" % (name, inner, shape))
        inner = shape
    return (count,) + inner


def _listed(value):
    """NumPy's arrays and numbers as Python's."""
    try:
        return value.tolist() if hasattr(value, "tolist") and not isinstance(value, type) else value
    except (ValueError, NotImplementedError):  # a view that was released, or of no numbers
        return value


def number(value):
    """value as a plain int or float; None where it is no number."""
    value = _listed(value)  # most of NumPy's floats are no float
    return float(value) if isinstance(value, float) else index_of(value)


def as_number(name, value):
    """value as a plain int or float; TypeError that names the argument."""
    found = number(value)
    if found is None:
        raise refused(name, value, "ints or floats")
    return found


def has_floats(flat):
    """Whether any number of a flat list or array is a float."""
    if isinstance(flat, array):
        return isinstance(flat[0], float)
    for value in flat:
        if isinstance(value, float):
            return True
    return False


def binary32(value, name):
    """A number rounded to binary32, as (mantissa, exponent): value = mantissa * 2**exponent."""
    try:
        bits = struct.unpack("<I", struct.pack("<f", float(value)))[0]
    except OverflowError:  # CPython; MicroPython packs an infinity
        bits = 0x7F800000
    exponent = (bits >> 23) & 255
    if exponent == 255:
        raise ValueError("%s: %s, wanted finite numbers within binary32" % (name, shown(value)))
    mantissa = bits & 0x7FFFFF
    if exponent:
        mantissa |= 0x800000
    else:
        exponent = 1
    return (-mantissa if bits >> 31 else mantissa), exponent - 150


def scaled(value, shift, name):
    """value * 2**-shift as an int, rounded half away from zero; value as binary32."""
    mantissa, exponent = binary32(value, name)
    exponent -= shift
    if exponent >= 0:
        return mantissa << min(exponent, 96)  # 2**96 is past every caller's range already
    return rounding_shift(mantissa, -exponent) if exponent > -32 else 0


def quantize_kernel(values, bits=8, name="kernel"):
    """Floats as ints of one scale: values[n] ~ q[n] * 2**shift.

    values  flat sequence of floats or ints
    bits    8 or 16: |q| <= 127 or 32767, symmetric
    returns (list of ints q, shift, worst absolute error); -31 <= shift <= 30
    raises  ValueError for NaN, infinities and values past 2**30 times the range
    """
    limit = (1 << (bits - 1)) - 1
    largest = 0.0
    for value in values:
        binary32(value, name)
        largest = max(largest, abs(value))
    if largest == 0:
        return [0] * len(values), 0, 0.0
    shift = -31
    while scaled(largest, shift, name) > limit:
        shift += 1
        if shift > 30:
            raise ValueError("%s: %r, wanted at most %d * 2**30" % (name, largest, limit))
    ints = [scaled(value, shift, name) for value in values]
    worst = max([abs(value - q * 2.0**shift) for value, q in zip(values, ints)])
    return ints, shift, worst
