"""What the table of a layer holds on every level: words, the sum that a channel starts from, its shifts."""


def put(table, at, word):
    """Store a word, modulo 2**32, little endian at a place in a bytearray; the place behind it."""
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
    """(left, right) of a channel: how far its sum goes to the left ahead of the product, and to the right behind it.

    Where a product is rounded once (eq. 8), left - right alone matters. There right is at least 1, so that nothing
    but the shift to the right rounds: the price is one bit of the sum.
    """
    right = max(-shift, 1 if spec.rounding == "once" else 0)
    return shift + right, right
