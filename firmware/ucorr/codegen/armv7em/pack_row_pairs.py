"""Code that packs two input rows at a time into the words of row-pair-interleaved channels.

For depthwise.py; loops/rows.py finds the rows. Columns outside the image are constants, or copies of columns that were
just written. Four channels at a time are a word of each row, which SXTB16 and PKHBT sort into four planes.

Registers: r0 upper row, r1 lower row, r2 place in the first plane, r3-r7 data, r8-r10 places in the other three.
"""

from ..asm.assembler import LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP
from ..loops.rows import END, FILL_AT, FILL_Y, copied, emit_source, outside, sides

X = 20  # on the stack; depthwise.py has the others, and these come after those of loops/rows.py
UPPER, LOWER_ROW, QUADS, PLANE_AT = range(END, END + 16, 4)
FRAME = END + 16


def emit_row(asm, spec, rows):
    """Copy row r0 and the one below it to a word of every column of every plane."""
    asm.str(R0, SP, UPPER)
    asm.ldr(R0, SP, FILL_Y)
    asm.addi(R0, R0, 1)
    emit_source(asm, spec, rows, X)
    asm.mov(R1, R0)
    asm.ldr(R0, SP, UPPER)
    asm.ldr(R2, SP, FILL_AT)
    _channels(asm, spec, rows)


def _channels(asm, spec, rows):
    """Rows r0 and r1 to the words r2 of every plane."""
    channels = spec.input_shape[2]
    if channels == 1:
        _one_channel(asm, spec, rows)
        return
    quads = channels // 4
    if quads:
        asm.constant(R12, quads)
        quad = asm.here()
        asm.str(R12, SP, QUADS)
        asm.str(R2, SP, PLANE_AT)
        _four_channels(asm, spec, rows)
        asm.ldr(R2, SP, PLANE_AT)
        asm.plus(R2, R2, 4 * rows.plane)
        asm.ldr(R0, SP, UPPER)
        asm.ldr(R1, SP, LOWER_ROW)
        asm.addi(R0, R0, 4)
        asm.addi(R1, R1, 4)
        asm.ldr(R12, SP, QUADS)
        asm.dec_branch(R12, quad)
    if channels % 4:
        asm.constant(R12, channels % 4)
        rest = asm.here()
        asm.mov(R10, R0)
        asm.mov(R11, R1)
        asm.mov(R9, R2)
        _channel(asm, spec, rows)
        asm.addi(R0, R10, 1)
        asm.addi(R1, R11, 1)
        asm.plus(R2, R9, rows.plane, R2)
        asm.dec_branch(R12, rest)


def _outer(asm, spec, rows, places):
    """Columns outside of the planes whose first words the registers `places` hold; r3 is lost."""
    columns = outside(spec, rows.columns)
    for column in columns:
        if spec.border == "constant":
            source = None
            if column == columns[0]:
                asm.constant(R3, spec.border_value & 0xFFFF | spec.border_value << 16)
        else:
            source = copied(spec, column)
        for place in places:
            if source is not None:
                asm.ldr(R3, *asm.near(place, source * rows.column, LR))
            asm.str(R3, *asm.near(place, column * rows.column, LR))


def _one_channel(asm, spec, rows):
    """The only plane: four columns are four bytes of each row."""
    left, middle, right = sides(spec, rows.columns)
    step = rows.column
    asm.mov(R9, R2)
    asm.plus(R2, R2, left * step)
    fours = middle // 4
    if fours:
        if fours > 1:
            asm.constant(R12, fours)
            asm.add(R12, R0, R12, 0, 2)
            columns = asm.here()
        asm.ldr_then(R3, R0, 4)
        asm.ldr_then(R4, R1, 4)
        for r in _four_words(asm, spec):
            asm.str_then(r, R2, step)
        if fours > 1:
            asm.cmp(R0, R12)
            asm.b(columns, NE)
    for _ in range(middle % 4):
        _word(asm, spec, 1)
        asm.str_then(R3, R2, step)
    _outer(asm, spec, rows, (R9,))


def _four_words(asm, spec):
    """The four bytes of r3 (upper row) and of r4 (lower) as four words: the registers that hold them."""
    unsigned = spec.dtype == "B"
    asm.xtb16(R5, R3, unsigned)
    asm.xtb16(R3, R3, unsigned, 8)
    asm.xtb16(R6, R4, unsigned)
    asm.xtb16(R4, R4, unsigned, 8)
    asm.pkhbt(R7, R5, R6, 16)
    asm.pkhtb(R6, R6, R5, 16)
    asm.pkhbt(R5, R3, R4, 16)
    asm.pkhtb(R4, R4, R3, 16)
    return R7, R5, R6, R4


def _word(asm, spec, step):
    """r3 = the next item of rows r0 and r1."""
    _both(asm, asm.ldrsb_then if spec.dtype == "b" else asm.ldrb_then, step)
    asm.pkhbt(R3, R3, R4, 16)


def _both(asm, load, step):
    """r3 and r4 from rows r0 and r1, which move on; lr is lost."""
    for item, row in ((R3, R0), (R4, R1)):
        load(item, row, step if step <= 255 else 0)
        if step > 255:
            asm.plus(row, row, step, LR)


def _channel(asm, spec, rows):
    """One plane of several: r2, which is lost as r0 and r1 are; r9-r12 stay."""
    left, middle, right = sides(spec, rows.columns)
    asm.mov(R8, R2)
    asm.plus(R2, R2, left * rows.column)
    if middle:  # otherwise all that windows see is the border
        asm.constant(R5, middle)
        column = asm.here()
        _word(asm, spec, spec.input_shape[2])
        asm.str_then(R3, R2, rows.column)
        asm.dec_branch(R5, column)
    _outer(asm, spec, rows, (R8,))


def _four_channels(asm, spec, rows):
    """Four planes from r2 on: a column is four bytes of each row."""
    left, middle, right = sides(spec, rows.columns)
    asm.str(R0, SP, UPPER)
    asm.str(R1, SP, LOWER_ROW)
    planes = (R2, R8, R9, R10)
    for before, after in zip(planes, planes[1:]):
        asm.plus(after, before, rows.plane)
    if spec.border == "constant":
        _outer(asm, spec, rows, planes)
    for place in planes:
        asm.plus(place, place, left * rows.column)
    if middle:
        asm.constant(R12, middle)
        column = asm.here()
        _both(asm, asm.ldr_then, spec.input_shape[2])
        for r, place in zip(_four_words(asm, spec), planes):
            asm.str_then(r, place, rows.column)
        asm.dec_branch(R12, column)
    if spec.border != "constant" and left + right:
        for place in planes:
            asm.plus(place, place, -(left + middle) * rows.column)
        _outer(asm, spec, rows, planes)
