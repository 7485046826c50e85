"""Rows of the input into columns of 16-bit items in scratch, which resolves borders, pitch and strides.

loops/rows.py finds the rows. Columns outside the image are constants, or copies. Bytes are spread to halfwords four or
eight at a time (SXTB16, PKHBT); unsigned 16-bit data is packed less 32768, its input offset, so that it is int16.

Registers: r0 row of the image, r1 slot in scratch, r2 columns left, r3-r7, r12 data, r8 what flips unsigned data, r9
place in the slot, r10 items left, r11 column to copy from.
"""

from ...fixedpoint import ITEMSIZE
from ...spec import source_index
from ..asm.assembler import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12
from ..loops.rows import sides

_UNROLLED = 32  # items of a column that are copied without a loop
_BORDERS_MOST = 16  # columns that "edge" and "reflect" copy


def refuses(spec):
    """None, or why rows of this layer can't be filled."""
    if spec.border != "constant":
        if spec.kernel_shape[3] > 4:
            return "a border other than constant with more than 4 channels"
        if sum(spec.padding[1]) > _BORDERS_MOST:
            return "more than %d columns of a border other than constant" % _BORDERS_MOST
    return None


def offset(spec):
    """What is subtracted from the input, so that it is int16."""
    return 32768 if spec.dtype == "H" else 0


def emit_row(asm, spec, shape):
    """Copy a row, r0, to the slot r1 of every column."""
    width, channels = spec.input_shape[1:]
    depth = spec.kernel_shape[3]
    item = ITEMSIZE[spec.dtype]
    if spec.dtype == "H":
        asm.constant(R8, 0x80008000)  # what _flip() needs
    left, inner, right = sides(spec, shape.columns)
    if spec.kernel_shape[1] == 1 and inner * depth == shape.columns * depth and spec.groups == 1:
        _items(asm, spec, depth * inner)  # one long column
        return
    if left:
        first = -spec.padding[1][0]
        _outer(asm, spec, shape, range(first, first + left), 0)
    if inner:  # otherwise all that windows see is the border
        asm.constant(R2, inner)
        column = asm.here()
        _items(asm, spec, depth)
        if spec.groups > 1:
            asm.plus(R0, R0, (channels - depth) * item)
        asm.plus(R1, R1, shape.column)
        asm.dec_branch(R2, column)
    if right:
        _outer(asm, spec, shape, range(width, width + right), inner)


def _outer(asm, spec, shape, columns, at):
    """Columns left or right of the image; r0 is column `at` of the source and stays."""
    depth, channels = spec.kernel_shape[3], spec.input_shape[2]
    if spec.border == "constant":
        value = spec.border_value - offset(spec)
        asm.constant(R3, value & 0xFFFF | value << 16)
        if len(columns) > 1:
            asm.constant(R2, len(columns))
            loop = asm.here()
        _constants(asm, depth)
        asm.plus(R1, R1, shape.column)
        if len(columns) > 1:
            asm.dec_branch(R2, loop)
        return
    item = ITEMSIZE[spec.dtype]
    asm.mov(R11, R0)
    for column in columns:
        columns_on = source_index(column, spec.input_shape[1], spec.border) - at
        asm.mov(R0, R11)
        asm.plus(R0, R0, columns_on * channels * item)
        _items(asm, spec, depth)
        asm.plus(R1, R1, shape.column)
    asm.mov(R0, R11)


def _constants(asm, depth):
    """The word r3 to `depth` items at r1."""
    words = depth // 2
    if words > _UNROLLED:
        asm.mov(R4, R1)
        asm.constant(R5, words)
        loop = asm.here()
        asm.str_then(R3, R4, 4)
        asm.dec_branch(R5, loop)
        if depth & 1:
            asm.strh(R3, R4)
        return
    for n in range(words):
        asm.str(R3, R1, 4 * n)
    if depth & 1:
        asm.strh(R3, R1, 4 * words)


def _items(asm, spec, count):
    """`count` consecutive items from r0, which moves on, to 16-bit items from r1 on, which stays. r2 and r11 stay."""
    if count < 4:
        for n in range(count):
            _load_item(asm, spec)
            asm.strh(R3, R1, 2 * n)
        return
    asm.mov(R9, R1)
    eight = count % 2 == 0  # the slots are whole words, which STM wants
    loops = 0
    if count > _UNROLLED:
        loops = count // 16
        asm.constant(R10, loops)
        loop = asm.here()
        for _ in range(2 if eight else 4):
            _items8(asm, spec) if eight else _items4(asm, spec)
        asm.dec_branch(R10, loop)
    left = count - 16 * loops
    if eight:
        for _ in range(left // 8):
            _items8(asm, spec)
        left %= 8
    for _ in range(left // 4):
        _items4(asm, spec)
    for _ in range(left % 4):
        _load_item(asm, spec)
        asm.strh_then(R3, R9, 2)


def _load_item(asm, spec):
    if ITEMSIZE[spec.dtype] == 1:
        (asm.ldrsb_then if spec.dtype == "b" else asm.ldrb_then)(R3, R0, 1)
    else:
        asm.ldrh_then(R3, R0, 2)
        _flip(asm, spec, R3)


def _flip(asm, spec, word):
    """Two unsigned items less 32768."""
    if spec.dtype == "H":
        asm.eor(word, word, R8)


def _halfwords(asm, spec, word, first, second):
    """The four bytes of a word as two words of two items."""
    unsigned = spec.dtype == "B"
    asm.xtb16(first, word, unsigned)
    asm.xtb16(word, word, unsigned, 8)
    asm.pkhtb(second, word, first, 16)  # bytes 2, 3
    asm.pkhbt(first, first, word, 16)  # bytes 0, 1


def _items4(asm, spec):
    asm.ldr_then(R3, R0, 4)
    if ITEMSIZE[spec.dtype] == 2:
        asm.ldr_then(R4, R0, 4)
        for word in (R3, R4):
            _flip(asm, spec, word)
            asm.str_then(word, R9, 4)
        return
    _halfwords(asm, spec, R3, R4, R5)
    asm.str_then(R4, R9, 4)
    asm.str_then(R5, R9, 4)


def _items8(asm, spec):
    if ITEMSIZE[spec.dtype] == 2:
        for r in (R3, R4, R5, R6):
            asm.ldr_then(r, R0, 4)
            _flip(asm, spec, r)
        asm.stm(R9, (R3, R4, R5, R6))
        return
    asm.ldr_then(R3, R0, 4)
    asm.ldr_then(R12, R0, 4)
    _halfwords(asm, spec, R3, R4, R5)
    _halfwords(asm, spec, R12, R6, R7)
    asm.stm(R9, (R4, R5, R6, R7))
