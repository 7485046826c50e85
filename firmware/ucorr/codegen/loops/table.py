"""The parts of a layer's table that all cores share: words, the start of a channel's accumulator, its shifts."""


def put(table, at, word):
    """Store a word, modulo 2**32 and little endian, in a bytearray; returns the place after it."""
    for _ in range(4):
        table[at] = word & 255
        word >>= 8
        at += 1
    return at


def start(spec, channel, zero_point):
    """bias - zero_point * (sum of the channel's effective weights), for products of inputs as they are stored."""
    weights = spec.weights[channel * spec.taps : (channel + 1) * spec.taps]
    total = sum(weights) - spec.taps * spec.kernel_zero_point
    return (spec.bias[channel] if spec.bias else 0) - zero_point * total


def shifts(spec, shift):
    """(left, right) of a channel: how far its accumulator goes left before the product, and right after it.

    With single rounding (eq. 8) only left - right matters. There right is at least 1, so that only the shift to the
    right rounds; this costs one bit of the accumulator.
    """
    right = max(-shift, 1 if spec.rounding == "single" else 0)
    return shift + right, right
