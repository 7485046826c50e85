"""Checks of arguments: each function returns the checked value as plain ints, bools, strings, lists or tuples.

An integer is whatever Python accepts as an index, NumPy's ints included; the result is a plain int, which neither
overflows nor changes. A sequence has a length and an order, so a generator is not one. Its items are iterated and
counted, since len() of a subclass may return any number. The checks raise TypeError for a wrong type and
ValueError for a wrong value, in one sentence: the argument's name, what
came, what was wanted.
"""

MOST = 1 << 24  # items of a dimension


def index_of(value):
    """value as a plain int if it is an integer of any kind, NumPy's among them; else None."""
    if isinstance(value, (int, bool)):
        return int(value)
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        return None
    return int(number) if isinstance(number, int) else None


def items_of(value):
    """The items of a sequence as a list or tuple; None for a string, for a value without an order, for more than MOST
    items, and where iteration yields fewer or more items than len() says."""
    if type(value) in (list, tuple):
        return value
    try:
        if isinstance(value, (str, dict)):
            return None
        value[:0]
        count, items = len(value), []
        if count > MOST:
            return None
        for item in value:
            if len(items) == count:
                return None
            items.append(item)
    except (TypeError, ValueError, LookupError, OverflowError, NotImplementedError):  # last one: a view of structs
        return None
    return items if len(items) == count else None


def shown(value, depth=2):
    """A value as text for an error message: the value where it is short, else its type."""
    number = index_of(value)
    if number is not None:
        return str(number) if -1 << 64 < number < 1 << 64 else "an integer of over 64 bits"
    if value is None or isinstance(value, float):
        return repr(value)
    if isinstance(value, (str, bytes)) and len(value) < 40:
        return repr(value)
    if type(value) in (tuple, list) and depth and len(value) < 7:  # len() of a subclass may return any number
        return "(%s)" % ", ".join([shown(item, depth - 1) for item in value])
    return type(value).__name__


def refused(name, value, wanted):
    """The TypeError for an argument of a wrong type."""
    return TypeError("%s: %s, wanted %s" % (name, shown(value), wanted))


def integer(name, value, lo, hi):
    """value as a plain int within lo..hi; TypeError or ValueError that names the argument."""
    number = value if type(value) is int else index_of(value)
    if number is None:
        raise refused(name, value, "an integer %d..%d" % (lo, hi))
    if number < lo or number > hi:
        raise ValueError("%s: %s, wanted %d..%d" % (name, shown(number), lo, hi))
    return number


def flag(name, value):
    """value as a bool: True, False, 1 or 0."""
    number = index_of(value)
    if number is None:
        raise refused(name, value, "True or False")
    return integer(name, number, 0, 1) == 1


def two(name, value, lo, hi, wanted):
    """A sequence of two ints, each within lo..hi."""
    items = items_of(value)
    if items is None or len(items) != 2:
        raise refused(name, value, wanted)
    return integer(name, items[0], lo, hi), integer(name, items[1], lo, hi)


def pair(name, value, lo, hi):
    """(y, x) from one int or two, each within lo..hi."""
    number = index_of(value)
    return two(name, value if number is None else (number, number), lo, hi, "an integer or a pair (y, x)")


def one_of(name, value, allowed):
    """The one of the allowed strings that value is; TypeError or ValueError otherwise."""
    wanted = "one of " + " ".join(allowed)
    if not isinstance(value, str):
        raise refused(name, value, wanted)
    for word in allowed:
        if word == value:
            return word
    raise ValueError("%s: %s, wanted %s" % (name, shown(value), wanted))


def dimensions(name, shape, least, most):
    """shape as a tuple of `least` to `most` plain ints from 1 on."""
    items = items_of(shape)
    wanted = "%d to %d dimensions" % (least, most)
    if items is None:
        raise refused(name, shape, wanted)
    if not least <= len(items) <= most:
        raise ValueError("%s: %s, wanted %s" % (name, shown(shape), wanted))
    return tuple([integer(name, n, 1, MOST) for n in items])


def size_of(shape):
    """The number of items of a shape."""
    count = 1
    for n in shape:
        count *= n
    return count


def per_channel(name, value, channels, lo, hi):
    """One int, or one per output channel, as a list of `channels` ints within lo..hi."""
    number = index_of(value)
    if number is not None:
        return [integer(name, number, lo, hi)] * channels
    items = items_of(value)
    if items is None:
        raise refused(name, value, "integers %d..%d, one or one per output channel" % (lo, hi))
    if len(items) != channels:
        raise ValueError("%s: %d values, wanted one or %d (output channels)" % (name, len(items), channels))
    return [integer(name, v, lo, hi) for v in items]
