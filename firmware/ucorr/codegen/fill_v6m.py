"""Rows of the input as columns of words in scratch, for ARMv6-M: 8-bit data, its middle at 0."""

from .thumb_asm import R0, R1, R2, R3, R4, R5, R6, R7

_DATA = (R3, R4, R5, R6)


def refuses(spec):
    """None, or why rows of this layer can't be filled."""
    if spec.dtype not in "bB":
        return "data that is not 8 bits"
    if max(spec.input_shape[0], spec.input_shape[1]) > 65534:
        return "an image side over 65534"
    if spec.border != "constant" and spec.padding != ((0, 0), (0, 0)):
        return "a border other than constant"
    return None


def middle(spec):
    """What is subtracted from the input, so that it is int8."""
    return 128 if spec.dtype == "B" else 0


def emit_row(asm, spec, shape):
    """Copy a row, r0, to the slot r1 of every column."""
    width, channels = spec.input_shape[1:]
    depth = spec.kernel_shape[3]
    left = min(spec.padding[1][0], shape.columns)
    inner = min(width, shape.columns - left)
    right = shape.columns - left - inner
    if shape.column == 4 * depth and spec.groups == 1:  # the columns are one after the other
        depth, inner, gap = depth * inner, 1, 0
    else:
        gap = shape.column - 4 * depth
    outer = spec.kernel_shape[3]
    _constants(asm, spec, left, outer, gap, "left")
    if inner:  # otherwise all that windows see is the border
        asm.constant(R2, inner)
        asm.label("column")
        _items(asm, spec, depth)
        if spec.groups > 1:
            asm.plus(R0, R0, channels - depth)
        asm.plus(R1, R1, gap)
        asm.turn(R2, "column")
    _constants(asm, spec, right, outer, gap, "right")


def _constants(asm, spec, columns, depth, gap, label):
    """Columns outside the image."""
    if not columns:
        return
    asm.constant(R3, spec.border_value - middle(spec))
    for r in _DATA[1:depth]:
        asm.mov(r, R3)
    asm.constant(R2, columns)
    asm.label(label)
    _repeat(asm, depth, 4, lambda n: asm.stm(R1, _DATA[:n]))
    asm.plus(R1, R1, gap)
    asm.turn(R2, label)


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
        label = "repeat %d" % len(asm.code)
        asm.label(label)
    if whole:
        emit(most)
    if whole > 1:
        asm.turn(R7, label)
    if count % most:
        emit(count % most)
