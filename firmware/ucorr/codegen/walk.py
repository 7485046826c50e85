"""Down the rows of the input: which of them scratch holds, and where the others come from.

`sizes` is what a family knows of its scratch: `.passes` (times that windows move on
before all rows are copied again), `.slide` (bytes they move), `.blank` (where the
blank row begins). A blank row stands for every row outside the image where the
border is constant.
"""

from ..fixedpoint import ITEMSIZE
from .thumb_asm import CC, GE, LT, NE, R0, R1, R2, R3, SP

# on the stack, behind what the families keep there
BASE, FIRST, SOURCE_Y, SLIDES = range(64, 80, 4)
END = 80


def blank_bytes(spec):
    """What a row of the border's constant takes, in bytes."""
    return (spec.input_shape[1] * spec.input_shape[2] * ITEMSIZE[spec.dtype] + 3) // 4 * 4


def emit_begin(asm, spec, sizes, blank):
    """Before the first row; r2 is scratch. blank: whether a blank row is needed."""
    asm.str(R2, SP, BASE)
    if blank:
        value = spec.border_value
        asm.plus(R0, R2, sizes.blank)
        asm.constant(R1, (value & 255) * 0x01010101 if ITEMSIZE[spec.dtype] == 1 else (value & 0xFFFF) * 0x00010001)
        asm.plus(R2, R0, blank_bytes(spec))
        asm.label("blank")
        asm.str_then(R1, R0, 4)
        asm.cmp(R0, R2)
        asm.b("blank", NE)


def emit_restart(asm, spec, sizes):
    """At the top of the image: no row is held yet."""
    asm.constant(R0, 0)
    asm.constant(R1, -spec.padding[0][0])
    asm.constant(R2, sizes.passes)
    asm.str(R0, SP, FIRST)
    asm.str(R1, SP, SOURCE_Y)
    asm.str(R2, SP, SLIDES)


def emit_next(asm, sizes, window, step, kept):
    """Move on by `step` rows; `kept` slots stay, unless windows have slid far enough and start anew."""
    asm.ldr(R0, SP, SOURCE_Y)
    asm.plus(R0, R0, step)
    asm.str(R0, SP, SOURCE_Y)
    if sizes.passes > 1:
        asm.ldr(R1, SP, window)
        asm.addi(R1, R1, sizes.slide)
        asm.constant(R2, kept)
        asm.ldr(R0, SP, SLIDES)
        asm.subs(R0, 1)
        asm.b("slid", NE)
        asm.constant(R0, sizes.passes)
        asm.ldr(R1, SP, BASE)
        asm.constant(R2, 0)
        asm.label("slid")
        asm.str(R0, SP, SLIDES)
        asm.str(R1, SP, window)
        asm.str(R2, SP, FIRST)


def emit_source(asm, spec, sizes, x, name=""):
    """r0 = the address of row r0 of the image, which may lie outside, even further than the border goes:
    then it only completes a pair, and any row will do. r2 and r3 are lost."""
    height = spec.input_shape[0]
    asm.constant(R2, height)
    asm.cmp(R0, R2)
    asm.b(name + "inside", CC)  # unsigned: a negative row is a large one
    if spec.border == "constant":
        asm.ldr(R2, SP, BASE)
        asm.plus(R0, R2, sizes.blank)
        asm.b(name + "found")
    else:
        asm.constant(R3, 0)
        asm.cmpi(R0, 0)
        asm.b(name + "below", GE)
        if spec.border == "edge":
            asm.mov(R0, R3)
        else:
            asm.sub(R0, R3, R0)
            asm.cmp(R0, R2)
            asm.it(GE)
            asm.mov(R0, R3)
        asm.b(name + "inside")
        asm.label(name + "below")
        if spec.border == "edge":
            asm.addi(R0, R2, -1)
        else:
            asm.constant(R2, 2 * height - 2)
            asm.sub(R0, R2, R0)
            asm.cmpi(R0, 0)
            asm.it(LT)
            asm.mov(R0, R3)
    asm.label(name + "inside")
    asm.constant(R2, spec.pitch * ITEMSIZE[spec.dtype])
    asm.ldr(R3, SP, x)
    asm.mla(R0, R0, R2, R3)
    asm.label(name + "found")
