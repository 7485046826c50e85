"""Checks of a network's file against the SHA-256 that the user gave."""

try:
    from hashlib import sha256
except ImportError:  # a firmware without it
    sha256 = None


def digits(value):
    """The 64 lowercase hexadecimal digits of a SHA-256 that comes as digits or as 32 bytes.

    raises TypeError or ValueError for anything else, ValueError where the firmware can't take one
    """
    if isinstance(value, str):
        found = value.lower()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        try:
            found = "".join(["%02x" % byte for byte in bytes(value)])
        except ValueError:  # a view that was released
            found = ""
    else:
        raise TypeError("sha256: %s, wanted 64 hexadecimal digits or 32 bytes" % type(value).__name__)
    if len(found) != 64 or [digit for digit in found if digit not in "0123456789abcdef"]:
        raise ValueError("sha256: %r, wanted 64 hexadecimal digits or 32 bytes" % (value,))
    if sha256 is None:
        raise ValueError("sha256: this firmware has no hashlib.sha256, wanted None")
    return found


def verify(data, wanted):
    """Check the SHA-256 of data. Raises ValueError where it is not the wanted one."""
    found = "".join(["%02x" % byte for byte in sha256(data).digest()])
    if found != wanted:
        raise ValueError("model: SHA-256 %s, wanted %s" % (found, wanted))
