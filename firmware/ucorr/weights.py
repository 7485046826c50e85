"""Kernels as users write them, turned into ints.

A kernel arrives as nested sequences, bytes or an array, of ints or of floats.
Floats are rounded to binary32 first (a board's float is no wider) and from there
on only integers are used, so a board and a desk find the same weights:
k = q * 2**shift with the finest shift that keeps |q| within the wanted bits.
"""

import struct
from array import array

from .fixedpoint import rounding_shift


def flatten(kernel, name="kernel"):
    """A kernel as (flat list or array in row-major order, shape).

    kernel  nested sequences of equal length, an array, or bytes (int8 bit patterns)
    raises  TypeError for what is no sequence of numbers, ValueError for ragged rows
    """
    if isinstance(kernel, (bytes, bytearray)):
        kernel = array("b", kernel)  # a list would take four bytes of a board's heap for each
    if isinstance(kernel, array) and len(kernel) and isinstance(kernel[0], (int, float)):
        return kernel, (len(kernel),)
    if hasattr(kernel, "tolist"):
        kernel = kernel.tolist()
    flat = []
    shape = _walk(kernel, flat, name)
    return flat, shape


def _walk(level, flat, name):
    """Append the numbers of level to flat and return its shape."""
    try:
        rows = None if isinstance(level, str) else list(level)
    except TypeError:
        rows = None
    if rows is None:
        raise TypeError("%s: %r, wanted ints or floats in nested sequences" % (name, level))
    if not rows:
        raise ValueError("%s: an empty sequence, wanted at least one number" % name)
    if isinstance(rows[0], (int, float)):
        for value in rows:
            if not isinstance(value, (int, float)):
                raise TypeError("%s: %r beside numbers, wanted ints or floats" % (name, value))
        flat.extend(rows)
        return (len(rows),)
    inner = None
    for row in rows:
        shape = _walk(row, flat, name)
        if inner is not None and shape != inner:
            raise ValueError("%s: rows of shapes %s and %s, wanted equal ones" % (name, inner, shape))
        inner = shape
    return (len(rows),) + inner


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
        bits = struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:  # CPython; MicroPython packs an infinity
        bits = 0x7F800000
    exponent = (bits >> 23) & 255
    if exponent == 255:
        raise ValueError("%s: %r, wanted finite numbers within binary32" % (name, value))
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
        return mantissa << min(exponent, 96)  # past 96 every caller's range is long left
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
