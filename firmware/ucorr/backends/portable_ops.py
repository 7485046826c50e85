"""Portable: operators without weights as plain Python loops that run on every firmware.

Nothing is allocated in a run unless, on a 32-bit board, a product of 16-bit data or an item of 32 bits leaves
+-2**30; softmax's products of 32 bits always do.
"""

from array import array

from ..fixedpoint import clamp, limbs, rounding_shift, scale_high


def refuses(op, budget=None):
    """None: portable takes every operator."""
    return None


def prepare(op, budget=None):
    return globals()[op.runs.split(".")[1]](op)


class Plan:
    """The contract is in backends/__init__.py."""

    typed = True
    scratch_bytes = weight_bytes = 0

    def __init__(self, op):
        self.op = op


class Pool(Plan):
    def run(self, sources, out):
        op, x = self.op, sources[0]
        height, width, channels = op.shape
        (top, _), (left, _) = op.padding
        lowest, highest = op.activation_min, op.activation_max
        average = op.kind == "average_pool2d"
        at = 0
        for i in range(op.out_shape[0]):
            y = i * op.stride[0] - top
            for j in range(op.out_shape[1]):
                z = j * op.stride[1] - left
                rows, end = max(y, 0), min(y + op.size[0], height)
                columns, last = max(z, 0), min(z + op.size[1], width)
                count = (end - rows) * (last - columns)
                for c in range(channels):
                    value = 0 if average else lowest
                    for row in range(rows, end):
                        n = (row * width + columns) * channels + c
                        for _ in range(columns, last):
                            if average:
                                value += x[n]
                            elif x[n] > value:
                                value = x[n]
                            n += channels
                    if average:  # halves away from zero
                        half = count // 2
                        value = (value + half) // count if value >= 0 else -((half - value) // count)
                    out[at] = clamp(value, lowest, highest)
                    at += 1


class Two(Plan):
    def __init__(self, op):
        self.op = op
        # limbs, the shift to the left and to the right of each scale; see Portable about limbs
        scales = [limbs(m) + (max(shift, 0), max(-shift, 0)) for m, shift in op.scales]
        self.scales = array("h", [part for scale in scales for part in scale])
        self.steps = [0 if n == 1 else 1 for n in op.a_shape], [0 if n == 1 else 1 for n in op.b_shape]

    def run(self, sources, out):
        op = self.op
        a, b = sources
        zero_a, zero_b, zero = op.a_zero_point, op.b_zero_point, op.output_zero_point
        lowest, highest = op.activation_min - zero, op.activation_max - zero
        n0, n1, n2, n3 = op.out_shape4
        _, a1, a2, a3 = op.a_shape
        _, b1, b2, b3 = op.b_shape
        (i0, i1, i2, i3), (j0, j1, j2, j3) = self.steps
        rectified, minus, last = op.kind == "prelu", op.kind == "sub", 0 if op.room is None else 10
        at = 0
        for k in range(n0):
            for m in range(n1):
                for n in range(n2):
                    p = ((k * i0 * a1 + m * i1) * a2 + n * i2) * a3
                    q = ((k * j0 * b1 + m * j1) * b2 + n * j2) * b3
                    for _ in range(n3):
                        value, other = a[p] - zero_a, b[q] - zero_b
                        if rectified and value >= 0:
                            value = self.scale(value, 5)
                        elif op.room is None:
                            value = self.scale(value * other, last)
                        else:
                            other = self.scale(other << op.room, 5)
                            value = self.scale(value << op.room, 0) + (-other if minus else other)
                            value = self.scale(value, last)
                        out[at] = clamp(value, lowest, highest) + zero
                        at += 1
                        p += i3
                        q += j3

    def scale(self, value, k):
        """Equations 2 and 3 with the scale that begins at item k."""
        parts = self.scales
        value = scale_high(value << parts[k + 3], parts[k], parts[k + 1], parts[k + 2])
        return rounding_shift(value, parts[k + 4])


class Lookup(Plan):
    def run(self, sources, out):
        table, x = self.op.table, sources[0]
        least = 128 if self.op.dtype == "b" else 0
        for n in range(self.op.output_length):
            value = table[x[n] + least]
            out[n] = value - 256 if value > 127 else value


class Thresholds(Plan):
    def run(self, sources, out):
        op, x, table = self.op, sources[0], self.op.table
        n = 0
        for _ in range(op.rows):
            first = 0
            for _ in range(op.channels):
                value = x[n]
                low, high = first, first + op.count
                while low < high:
                    middle = (low + high) >> 1
                    if value < table[middle]:
                        high = middle
                    else:
                        low = middle + 1
                out[n] = op.least + low - first
                first += op.step
                n += 1


class Softmax(Plan):
    """gemmlowp's fixed point, as ucorr_host.reference.softmax explains it; products of 64 bits."""

    def run(self, sources, out):
        x, table, classes = sources[0], self.op.table, self.op.classes
        for first in range(0, self.op.rows * classes, classes):
            most, total = -128, 0
            for n in range(first, first + classes):
                most = max(most, x[n])
            for n in range(first, first + classes):
                total += ((table[most - x[n]] >> 11) + 1) >> 1
            inverse, shift = reciprocal(total, self.op.line, self.op.slope)
            for n in range(first, first + classes):
                value = high_product(table[most - x[n]], inverse)
                out[n] = min(((value >> (shift - 1)) + 1) >> 1, 255) - 128


def high_product(a, b):
    """a * b / 2**31 to nearest, halves up."""
    return (a * b + (1 << 30)) >> 31


def reciprocal(total, line, slope):
    """(1 / total with 31 fractional bits, the right shift of a product with it) for 2**19 <= total < 2**31, where total
    has 19 fractional bits: three Newton-Raphson steps from line + slope * half, all with 29 fractional bits."""
    zeros = 0
    while total < 1 << 30:
        total <<= 1
        zeros += 1
    x = line + high_product(total, slope)
    for _ in range(3):
        x += high_product(x, (1 << 29) - high_product(total, x)) << 2
    return min(x << 1, (1 << 31) - 1), 34 - zeros


class Moves(Plan):
    def run(self, sources, out):
        value = self.op.value
        if value is not None:
            for n in range(self.op.output_length):
                out[n] = value
        for source, first, target, (n0, n1, n2), (s0, s1, s2), (t0, t1, t2), length in self.op.moves:
            x = sources[source]
            for i in range(n0):
                for j in range(n1):
                    for k in range(n2):
                        p = first + i * s0 + j * s1 + k * s2
                        q = target + i * t0 + j * t1 + k * t2
                        for n in range(length):
                            out[q + n] = x[p + n]


class Cross(Plan):
    """Sums past 2**30 are allocated, and so is all that a normalized one is divided by."""

    def __init__(self, op):
        from ..ops import correlation  # which the operator's class has loaded

        self.op, self.root_of, self.normalized = op, correlation.root_of, correlation.normalized

    def run(self, sources, out):
        op = self.op
        a, b = sources
        if op.checked:
            op.check_limit("a", a)
            op.check_limit("b", b)
        first, last = op.lags
        if op.normalized:
            roots = self.root_of(_sum(a, a, op.length, 0)), self.root_of(_sum(b, b, op.length, 0))
        for lag in range(first, last + 1):
            if a is b and first <= -lag < lag:
                out[lag - first] = out[-lag - first]
            elif op.normalized:
                out[lag - first] = self.normalized(_sum(a, b, op.length, lag), roots[0], roots[1])
            else:
                out[lag - first] = clamp(rounding_shift(_sum(a, b, op.length, lag), -op.shift), -0x80000000, 0x7FFFFFFF)


def _sum(a, b, length, lag):
    acc = 0
    for n in range(max(0, -lag), min(length, length - lag)):
        acc += a[n] * b[n + lag]
    return acc
