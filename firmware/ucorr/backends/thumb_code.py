"""Machine code on this board, without the generator: whether it can run, on which core, and Code, which calls it.

The code is a bytearray in the heap, which Cortex-M ports leave executable for
their own native emitter; thumb_call.py jumps to it. Importing this module fails, with the
reason, where that can't work.

A Cortex-M7 with caches must write the new code back to memory and invalidate its
instruction cache. That is done as the Armv7-M Architecture Reference Manual (B2.2.7, B3.2)
says; it has not been proven on silicon, and the emulated M7 has no caches.
"""

import sys
from array import array

from ..codegen import cores

_CPUID = 0xE000ED00
_CCR = 0xE000ED14
_ICIALLU = 0xE000EF50
_DCCMVAC = 0xE000EF68
_CACHES = 3 << 16  # data and instructions, in CCR
_LINE = 32  # bytes


def _register(address):
    import uctypes  # here: asked for before the check

    return uctypes.struct(address, {"word": uctypes.UINT32 | 0})


def _part():
    return _register(_CPUID).word >> 4 & 0xFFF


# Checked before what no other firmware compiles.
_ARCH = getattr(sys.implementation, "_mpy", 0) >> 10 & 15
CORE = None if sys.platform == "linux" else cores.detect(_ARCH, _part)
if CORE is None:
    raise NotImplementedError("not a Cortex-M board")

import uctypes

from .thumb_call import barrier, call


def _entry(code):
    """The address of code with bit 0 set, as Thumb code requires; after this call the caches hold the code."""
    address = uctypes.addressof(code)
    if _register(_CCR).word & _CACHES:
        clean = _register(_DCCMVAC)
        for line in range(address & -_LINE, address + len(code), _LINE):
            clean.word = line
        barrier()
        _register(_ICIALLU).word = 0
        barrier()
    return address + CORE.entry


class Code:
    """Code and table of a layer, two buffers at whole words, called as f(x, out, scratch, table); both are kept."""

    def __init__(self, code, table):
        self._kept = code, table
        self.job = array("I", [uctypes.addressof(table), _entry(code)])

    def run(self, x, out, scratch):
        call(x, out, scratch, self.job)


# The heap must be executable: bx lr, reached and left again.
RETURN = Code(bytearray(b"\x70\x47\x70\x47"), bytearray(4))
RETURN.run(0, 0, 0)
