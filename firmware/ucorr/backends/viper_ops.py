"""The viper backend of operators without weights: each run is one call of natively compiled code.

The plan of an operator and the function that it calls are in one file, viper_windows.py and the like: `runs` of the
operator's class says which, and only that one is imported. As in viper_stages.py nothing allocates, addresses and
accumulators never become Python ints, and the items of a job that may be negative carry an offset, since a 64-bit
machine loads them without sign. Data of 8 and 16 bits is loaded unsigned and its top bit flipped where it has a sign:
the least item is 0.
"""

import sys
from array import array

from . import probe

FLIPS = {"b": 128, "B": 0, "h": 32768, "H": 0}  # the bit that makes the least item 0


def refuses(op, budget=None):
    """None where this firmware compiles viper code, which covers all operators; else the reason why it does not."""
    module = _module(op)
    return module if isinstance(module, str) else None


def prepare(op, budget=None):
    return getattr(_module(op), op.runs.split(".")[1])(op)


def _module(op):
    return probe("viper_" + op.runs.split(".")[0])


def job_of(size, named):
    """An array of `size` items, some of them named by their index."""
    job = array("i", bytes(4 * size))
    for index, value in named:
        job[index] = value
    return job


def sign_shift():
    """Bits by which a register is wider than 32: a shift left and right by them sign-extends a 32-bit word."""
    return 32 if sys.maxsize > 0x7FFFFFFF else 0


class Plan:
    """The contract is in backends/__init__.py."""

    typed = False
    scratch_bytes = weight_bytes = 0
