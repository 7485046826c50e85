"""Thumb: machine code that codegen writes for the shape of a layer, on stock firmware of Cortex-M boards.

The code is a bytearray in the heap, which Cortex-M ports leave executable for
their own native emitter; `_call` jumps to it. Importing this module fails, with the
reason, where that can't work.

A Cortex-M7 with caches must write the new code back to memory and forget what it
has fetched. That is done as the Armv7-M Architecture Reference Manual (B2.2.7, B3.2)
says; it has not been proven on silicon, and the emulated M7 has no caches.
"""

import sys
from array import array

import micropython
import uctypes

from ..codegen.plan import Plan, select
from ..codegen.thumb_asm import ARMV6M, ARMV7EM, ARMV7M

_CPUID = 0xE000ED00
_CCR = 0xE000ED14
_ICIALLU = 0xE000EF50
_DCCMVAC = 0xE000EF68
_DATA_CACHE = 1 << 16  # in CCR
_LINE = 32  # bytes
_CORTEX_M3 = 0xC23  # part number in CPUID


def _level():
    """The core's level of thumb_asm.py. raises NotImplementedError where there is none."""
    arch = getattr(sys.implementation, "_mpy", 0) >> 10 & 15
    if sys.platform == "linux" or not 4 <= arch <= 8:
        raise NotImplementedError("not a Cortex-M board")
    if arch == 4:
        return ARMV6M
    if arch >= 7 or _word(_CPUID) >> 4 & 0xFFF != _CORTEX_M3:  # the firmware of an M3 may say armv7em
        return ARMV7EM
    return ARMV7M


def _word(address):
    return uctypes.struct(address, {"word": uctypes.UINT32 | 0}).word


LEVEL = _level()


@micropython.asm_thumb
def _call(r0, r1, r2, r3):
    data(2, 0x685C)  # ldr r4, [r3, #4]: the code
    data(2, 0x681B)  # ldr r3, [r3, #0]: the table
    data(2, 0x47A0)  # blx r4


def refuses(spec, budget=None):
    """None, or why there is no machine code for a layer on this core."""
    found = select(spec, LEVEL, budget)
    return found if isinstance(found, str) else None


def prepare(spec, budget=None):
    return Thumb(spec, budget)


def _entry(code):
    """The address of code, bit 0 set as Thumb code wants it; caches see the code from here on."""
    address = uctypes.addressof(code)
    if LEVEL == ARMV7EM and _word(_CCR) & _DATA_CACHE:
        at = uctypes.struct(_DCCMVAC, {"word": uctypes.UINT32 | 0})
        for line in range(address & -_LINE, address + len(code), _LINE):
            at.word = line
        _barrier()
        uctypes.struct(_ICIALLU, {"word": uctypes.UINT32 | 0}).word = 0
        _barrier()
    return address | 1


@micropython.asm_thumb
def _barrier():
    data(2, 0xF3BF, 0x8F4F)  # dsb
    data(2, 0xF3BF, 0x8F6F)  # isb


class Thumb(Plan):
    """A layer as machine code of this core; the contract is in backends/__init__.py."""

    def __init__(self, spec, budget):
        Plan.__init__(self, spec, LEVEL, budget)
        self._job = array("I", [uctypes.addressof(self.table), _entry(self.code)])

    def run(self, x, out, scratch):
        _call(x, out, scratch, self._job)


# the heap must be executable: bx lr, reached and left again
_call(0, 0, 0, array("I", [0, _entry(bytearray(b"\x70\x47\x70\x47"))]))
