"""Code for a board that makes things while so much of its heap is free, and again once all of it is.

Nothing of ucorr is imported before: what runs out of memory may be any import, a backend's, or what comes after.
"""

from __future__ import annotations

import numpy as np
from ucorr_host import reference
from ucorr_tools.shipped import digits

KERNEL = np.random.default_rng(5).integers(-20, 21, (8, 3, 3, 1))
X = digits.integers(digits.held_out()[0][:1])[0]
NETWORK = digits.network()

CODE = f"""
import gc, sys

PIECE = 448 if sys.maxsize >> 32 else 480
X = bytearray({X.tobytes()!r})

def layer():
    import ucorr
    made = ucorr.Conv2D({KERNEL.reshape(-1).tolist()}, (8, 8), (8, 3, 3, 1), out_dtype="b", shift=[-4] * 8)
    out = bytearray(288)
    made(X, out)
    return made.backend, bytes(out)

def op():
    import ucorr
    made = ucorr.MaxPool2D(2, (8, 8, 1))
    out = bytearray(49)
    made(X, out)
    return made.backend, bytes(out)

def network():
    import ucorr
    made = ucorr.load(FILE)
    try:
        return " ".join([step.backend for step in made.steps]) + ", " + made.weights, bytes(made.run(X))
    finally:
        made.close()

def tried(make):
    try:
        return make()
    except BaseException as error:
        return error

def told(error):
    return (type(error).__name__, str(error)) if isinstance(error, BaseException) else error

def drop():
    for name in list(sys.modules):
        if name.split(".")[0] == "ucorr":
            del sys.modules[name]
    gc.collect()

def modules():
    found = []
    for name, module in sys.modules.items():
        if name.split(".")[0] == "ucorr":
            found.append(name)
            found.extend([name + ":" + key for key, value in module.__dict__.items() if type(value) is type(sys)])
    return sorted(found)

def both(make, free, again=True):
    gc.collect()
    room = None
    for _ in range((gc.mem_free() - free) // 512):
        room = bytearray(PIECE), room  # 512 bytes; a list that grows would want a long piece
    gc.collect()
    first = tried(make)
    room = None
    gc.collect()
    first = told(first)
    return first, told(tried(make)) if again else None
"""


def expected(make: str) -> bytes:
    """The bytes that layer(), op() or network() gives."""
    image = X.reshape(8, 8, 1)
    if make == "layer":
        return reference.conv2d(image, KERNEL, shift=[-4] * 8, out_dtype="b").tobytes()
    if make == "op":
        return reference.max_pool2d(image, 2, stride=1).tobytes()
    return NETWORK.run(X[None])[0].tobytes()
