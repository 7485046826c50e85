"""Machine code on this core: whether it can run, its level, and how it is called. No generator is needed for it.

The code is a bytearray in the heap, which Cortex-M ports leave executable for
their own native emitter; thumb_call.py jumps to it. Importing this module fails, with the
reason, where that can't work.

A Cortex-M7 with caches must write the new code back to memory and forget what it
has fetched. That is done as the Armv7-M Architecture Reference Manual (B2.2.7, B3.2)
says; it has not been proven on silicon, and the emulated M7 has no caches.
"""

import sys
from array import array

# Checked ahead of what takes room in the heap, and of what no other firmware compiles.
_ARCH = getattr(sys.implementation, "_mpy", 0) >> 10 & 15  # 4 armv6m, 5 armv7m, 6 to 8 armv7em
if sys.platform == "linux" or not 4 <= _ARCH <= 8:
    raise NotImplementedError("not a Cortex-M board")

import uctypes

_CPUID = 0xE000ED00
_CCR = 0xE000ED14
_ICIALLU = 0xE000EF50
_DCCMVAC = 0xE000EF68
_CACHES = 3 << 16  # data and instructions, in CCR
_LINE = 32  # bytes
_CORTEX_M3 = 0xC23  # part number in CPUID


def _register(address):
    return uctypes.struct(address, {"word": uctypes.UINT32 | 0})


from .thumb_call import barrier, call

# The firmware of a Cortex-M3 may say armv7em. Without the DSP extension, a Cortex-M0's code is the best for it.
_DSP = _ARCH > 6 or (_ARCH == 6 and _register(_CPUID).word >> 4 & 0xFFF != _CORTEX_M3)
LEVEL = 8 if _DSP else 6  # ARMV7EM or ARMV6M of codegen/thumb_asm.py


def _entry(code):
    """The address of code, bit 0 set as Thumb code wants it; caches see the code from here on."""
    address = uctypes.addressof(code)
    if _register(_CCR).word & _CACHES:
        clean = _register(_DCCMVAC)
        for line in range(address & -_LINE, address + len(code), _LINE):
            clean.word = line
        barrier()
        _register(_ICIALLU).word = 0
        barrier()
    return address | 1


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
