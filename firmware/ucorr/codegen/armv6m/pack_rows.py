"""Rows of the input into columns of words in scratch, for ARMv6-M: 8-bit data, less 128 where it is unsigned.

loops/rows.py finds the rows. Registers: r0 row of the image, r1 slot in scratch, r2 columns left, r3-r6 data, r7 items
left.
"""

from ..asm.assembler import R0, R1, R2, R3, R4, R5, R6, R7
from ..loops.rows import sides

_DATA = (R3, R4, R5, R6)


def refuses(spec):
    """None, or why rows of this layer can't be filled."""
    if spec.dtype not in "bB":
        return "data that is not 8 bits"
    if spec.border != "constant" and spec.padding != ((0, 0), (0, 0)):
        return "a border other than constant"
    return None


def offset(spec):
    """What is subtracted from the input, so that it is int8."""
    return 128 if spec.dtype == "B" else 0


def emit_row(asm, spec, shape):
    """Copy a row, r0, to the slot r1 of every column."""
    channels = spec.input_shape[2]
    depth = spec.kernel_shape[3]
    left, inner, right = sides(spec, shape.columns)
    if shape.column == 4 * depth and spec.groups == 1:  # the columns are one after the other
        depth, inner, gap = depth * inner, 1, 0
    else:
        gap = shape.column - 4 * depth
    outer = spec.kernel_shape[3]
    _constants(asm, spec, left, outer, gap)
    if inner:  # otherwise all that windows see is the border
        asm.constant(R2, inner)
        column = asm.here()
        _items(asm, spec, depth)
        if spec.groups > 1:
            asm.plus(R0, R0, channels - depth)
        asm.plus(R1, R1, gap)
        asm.dec_branch(R2, column)
    _constants(asm, spec, right, outer, gap)


def _constants(asm, spec, columns, depth, gap):
    """Columns outside the image."""
    if not columns:
        return
    asm.constant(R3, spec.border_value - offset(spec))
    for r in _DATA[1:depth]:
        asm.mov(r, R3)
    asm.constant(R2, columns)
    loop = asm.here()
    _repeat(asm, depth, 4, lambda n: asm.stm(R1, _DATA[:n]))
    asm.plus(R1, R1, gap)
    asm.dec_branch(R2, loop)


def _items(asm, spec, count):
    """`count` consecutive items from r0 to words from r1 on; both move on. r2 stays."""

    def items(count):
        for first in range(0, count, 4):
            held = _DATA[: min(4, count - first)]
            for n, r in enumerate(held):
                asm.ldrb(r, R0, first + n)
                if spec.dtype == "b":
                    asm.sxtb(r, r)
                else:
                    asm.subs(r, 128)
            asm.stm(R1, held)
        asm.addi(R0, R0, count)

    _repeat(asm, count, 16, items)


def _repeat(asm, count, most, emit):
    """emit(n) so often that the n, at most `most`, are `count` together; a loop on r7 for the most of them."""
    whole = count // most
    if whole > 1:
        asm.constant(R7, whole)
        loop = asm.here()
    if whole:
        emit(most)
    if whole > 1:
        asm.dec_branch(R7, loop)
    if count % most:
        emit(count % most)
