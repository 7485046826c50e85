"""call(), which jumps into generated code, and barrier(): a file of its own, as only Cortex-M firmware compiles it."""

import micropython


@micropython.asm_thumb
def call(r0, r1, r2, r3):
    """Call code as f(x, out, scratch, table) with buffers; r3 is an array of two addresses, the table's and
    the code's with bit 0 set. MicroPython saves r4 to r7; the code saves what else it uses."""
    data(2, 0x685C)  # ldr r4, [r3, #4]
    data(2, 0x681B)  # ldr r3, [r3, #0]
    data(2, 0x47A0)  # blx r4


@micropython.asm_thumb
def barrier():
    """Wait until memory is written, then fetch instructions anew."""
    data(2, 0xF3BF, 0x8F4F)  # dsb
    data(2, 0xF3BF, 0x8F6F)  # isb
