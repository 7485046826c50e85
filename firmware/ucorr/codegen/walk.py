"""Down the rows of the input: which of them scratch holds, and where the others come from.

`sizes` is what a family knows of its scratch: `.rows` (how many it holds of a window), `.passes` (times that windows
move on before all rows are copied again), `.slide` (bytes they move), `.blank` (where the
blank row begins), `.slot` (bytes between rows of a column), `.at_once` (rows that are
copied at a time) and `.first` (the first one, 0 or -1). A blank row stands for every row outside the image where the
border is constant.
"""

from ..fixedpoint import ITEMSIZE
from ..spec import source_index
from .thumb_asm import CC, GE, LT, NE, R0, R1, R2, R3, SP

_OUTER_MOST = 16  # columns outside the image, left and right, that an image filter copies

# on the stack, behind what the families keep there
BASE, FIRST, SOURCE_Y, SLIDES, LEFT_TO_FILL, FILL_Y, FILL_AT = range(64, 92, 4)
END = 92


def refuses_scratch(spec, scratch_bytes):
    """None, or why a layer's rows should not be copied: where there is little to gain, viper copies fewer at once."""
    most = max(2048, min(49152, spec.macs))
    return "%d bytes of scratch, over %d" % (scratch_bytes, most) if scratch_bytes > most else None


def blank_bytes(spec):
    """What a row of the border's constant takes, in bytes."""
    return (spec.input_shape[1] * spec.input_shape[2] * ITEMSIZE[spec.dtype] + 3) // 4 * 4


def needs_blank(spec):
    """Whether some row is all the border's constant, where rows are copied one by one."""
    return spec.border == "constant" and spec.padding[0] != (0, 0)


def copied(spec, column):
    """The column of scratch that a column outside the image is a copy of; 0 is the leftmost that a window sees."""
    left = spec.padding[1][0]
    return left + source_index(column - left, spec.input_shape[1], spec.border)


def refuses_columns(spec, columns):
    """None, or why an image filter can't fill columns of a layer."""
    if max(spec.input_shape[0], spec.input_shape[1]) > 65534:
        return "an image side over 65534"
    if sum(spec.padding[1]) > _OUTER_MOST:
        return "more than %d columns outside the image" % _OUTER_MOST
    if spec.border != "constant":
        left = spec.padding[1][0]
        for column in list(range(min(left, columns))) + list(range(left + spec.input_shape[1], columns)):
            if copied(spec, column) >= columns:
                return "a border that copies columns which no window sees"
    return None


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
    asm.constant(R0, sizes.first)
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
        asm.plus(R1, R1, sizes.slide)
        asm.constant(R2, kept)
        asm.ldr(R0, SP, SLIDES)
        asm.subs(R0, 1)
        asm.b("slid", NE)
        asm.constant(R0, sizes.passes)
        asm.ldr(R1, SP, BASE)
        asm.constant(R2, sizes.first)
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
            asm.b(name + "inside", LT)
            asm.mov(R0, R3)
        asm.b(name + "inside")
        asm.label(name + "below")
        if spec.border == "edge":
            asm.addi(R0, R2, -1)
        else:
            asm.constant(R2, 2 * height - 2)
            asm.sub(R0, R2, R0)
            asm.cmpi(R0, 0)
            asm.b(name + "inside", GE)
            asm.mov(R0, R3)
    asm.label(name + "inside")
    asm.constant(R2, spec.pitch * ITEMSIZE[spec.dtype])
    asm.ldr(R3, SP, x)
    asm.mla(R0, R0, R2, R3)
    asm.label(name + "found")


def emit_rows(asm, spec, sizes, window, x, emit_row):
    """Copy the rows from FIRST on, the others having stayed, to the slots of `window`.

    emit_row  emit_row(asm, spec, sizes) emits what copies a row of the image, r0, to a slot, r1, of every column;
              or `at_once` rows from FILL_Y on
    """
    asm.ldr(R3, SP, FIRST)
    asm.ldr(R0, SP, SOURCE_Y)
    asm.ldr(R1, SP, window)
    asm.constant(R2, spec.dilation[0])
    asm.mla(R2, R2, R3, R0)
    asm.mov(R0, R2)
    asm.constant(R2, sizes.slot)
    asm.mla(R2, R2, R3, R1)
    asm.mov(R1, R2)
    asm.constant(R2, sizes.rows)
    asm.sub(R2, R2, R3)
    asm.label("fill")
    asm.str(R0, SP, FILL_Y)
    asm.str(R1, SP, FILL_AT)
    asm.str(R2, SP, LEFT_TO_FILL)
    if spec.padding[0] == (0, 0) and not sizes.first and sizes.rows == spec.kernel_shape[1]:  # all are inside
        asm.constant(R2, spec.pitch * ITEMSIZE[spec.dtype])
        asm.ldr(R3, SP, x)
        asm.mla(R0, R0, R2, R3)
    else:
        emit_source(asm, spec, sizes, x)
    emit_row(asm, spec, sizes)
    asm.ldr(R2, SP, LEFT_TO_FILL)
    asm.ldr(R1, SP, FILL_AT)
    asm.ldr(R0, SP, FILL_Y)
    asm.plus(R1, R1, sizes.at_once * sizes.slot)
    asm.plus(R0, R0, sizes.at_once * spec.dilation[0])
    asm.subs(R2, sizes.at_once)
    asm.b("fill", NE)
