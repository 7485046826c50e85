"""Addresses past the small ints, 2**30 and up on 32 bits, compared without allocating."""

import micropython


@micropython.viper
def is_at(buffer: ptr8, place: ptr32) -> bool:
    """Whether a buffer starts at the address that an array('I') holds."""
    return int(buffer) == place[0]
