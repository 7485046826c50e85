"""The row steps of a kernel: code that packs the input rows which scratch does not hold yet.

A kernel calls emit_begin() once, emit_restart() at the top of an image, and for each row step emit_rows(), which
packs the rows that are new, then emit_next(). A row outside the image is the blank row, one for all where the border
is constant, or a row of the image ("edge", "reflect").

`sizes` is what a kernel knows of its scratch: `.rows` (rows of a window that it holds), `.steps` (output rows until
all rows are packed again), `.slide` (bytes that windows move on at each), `.blank` (where the blank row begins),
`.slot` (bytes between rows of a column), `.at_once` (rows that are packed at a time) and `.first` (the first one,
0 or -1).

Stack: BASE (scratch), FIRST (row of the window that is packed first, those before it having stayed), SOURCE_Y (row of
the image that row 0 of the window is), SLIDES (steps left), LEFT_TO_FILL (rows), FILL_Y and FILL_AT (row and place of
the next one).
"""

from ...fixedpoint import ITEMSIZE
from ...spec import source_index
from ..asm.assembler import CC, GE, LT, NE, R0, R1, R2, R3, SP

_OUTER_MOST = 16  # columns outside the image, left and right, that an image filter copies

BASE, FIRST, SOURCE_Y, SLIDES, LEFT_TO_FILL, FILL_Y, FILL_AT = range(64, 92, 4)
END = 92


def refuses_scratch(spec, scratch_bytes):
    """None, or the reason where a layer needs too much scratch for the time that machine code saves."""
    most = max(2048, min(49152, spec.macs))
    return "%d bytes of scratch, over %d" % (scratch_bytes, most) if scratch_bytes > most else None


def blank_bytes(spec):
    """Bytes of the blank row, which holds the border's constant."""
    return (spec.input_shape[1] * spec.input_shape[2] * ITEMSIZE[spec.dtype] + 3) // 4 * 4


def needs_blank(spec):
    """Whether some row is all the border's constant, where rows are copied one by one."""
    return spec.border == "constant" and spec.padding[0] != (0, 0)


def copied(spec, column):
    """The column of scratch that a column outside the image is a copy of; 0 is the leftmost that a window sees."""
    left = spec.padding[1][0]
    return left + source_index(column - left, spec.input_shape[1], spec.border)


def sides(spec, columns):
    """How many columns of scratch lie left of the image, in it, and right of it."""
    left = min(spec.padding[1][0], columns)
    inner = min(spec.input_shape[1], columns - left)
    return left, inner, columns - left - inner


def outside(spec, columns):
    """The columns of scratch that lie left and right of the image."""
    left, _, right = sides(spec, columns)
    return list(range(left)) + list(range(columns - right, columns))


def refuses_columns(spec, columns):
    """None, or why an image filter can't fill columns of a layer."""
    if sum(spec.padding[1]) > _OUTER_MOST:
        return "more than %d columns outside the image" % _OUTER_MOST
    if spec.border != "constant":
        for column in outside(spec, columns):
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
        blank_words = asm.here()
        asm.str_then(R1, R0, 4)
        asm.cmp(R0, R2)
        asm.b(blank_words, NE)


def emit_restart(asm, spec, sizes):
    """At the top of the image: no row is held yet."""
    asm.constant(R0, sizes.first)
    asm.constant(R1, -spec.padding[0][0])
    asm.constant(R2, sizes.steps)
    asm.str(R0, SP, FIRST)
    asm.str(R1, SP, SOURCE_Y)
    asm.str(R2, SP, SLIDES)


def emit_next(asm, sizes, window, step, kept):
    """Move on by `step` rows of the input; `kept` slots stay, except where the windows return to the start."""
    asm.ldr(R0, SP, SOURCE_Y)
    asm.plus(R0, R0, step)
    asm.str(R0, SP, SOURCE_Y)
    if sizes.steps > 1:
        asm.ldr(R1, SP, window)
        asm.plus(R1, R1, sizes.slide)
        asm.constant(R2, kept)
        asm.ldr(R0, SP, SLIDES)
        asm.subs(R0, 1)
        slid = asm.label()
        asm.b(slid, NE)
        asm.constant(R0, sizes.steps)
        asm.ldr(R1, SP, BASE)
        asm.constant(R2, sizes.first)
        asm.place(slid)
        asm.str(R0, SP, SLIDES)
        asm.str(R1, SP, window)
        asm.str(R2, SP, FIRST)


def emit_source(asm, spec, sizes, x):
    """r0 = the address of row r0. A row outside the image gets the border's row; one beyond the border, which only
    completes a pair, gets any row. r2 and r3 are lost."""
    height = spec.input_shape[0]
    inside, below, found = asm.label(), asm.label(), asm.label()
    asm.constant(R2, height)
    asm.cmp(R0, R2)
    asm.b(inside, CC)  # unsigned: a negative row is a large one
    if spec.border == "constant":
        asm.ldr(R2, SP, BASE)
        asm.plus(R0, R2, sizes.blank)
        asm.b(found)
    else:
        asm.constant(R3, 0)
        asm.cmpi(R0, 0)
        asm.b(below, GE)
        if spec.border == "edge":
            asm.mov(R0, R3)
        else:
            asm.sub(R0, R3, R0)
            asm.cmp(R0, R2)
            asm.b(inside, LT)
            asm.mov(R0, R3)
        asm.b(inside)
        asm.place(below)
        if spec.border == "edge":
            asm.addi(R0, R2, -1)
        else:
            asm.constant(R2, 2 * height - 2)
            asm.sub(R0, R2, R0)
            asm.cmpi(R0, 0)
            asm.b(inside, GE)
            asm.mov(R0, R3)
    asm.place(inside)
    asm.constant(R2, spec.pitch * ITEMSIZE[spec.dtype])
    asm.ldr(R3, SP, x)
    asm.mla(R0, R0, R2, R3)
    asm.place(found)


def emit_rows(asm, spec, sizes, window, x, emit_row):
    """Pack the rows from FIRST on into the slots of `window`.

    emit_row  emit_row(asm, spec, sizes) emits what packs a row of the image, r0, into a slot, r1, of every column;
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
    fill = asm.here()
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
    asm.b(fill, NE)
