"""ADD and SUB of two 8-bit tensors of one shape, equation (9): what every instruction set shares.

Called as f(a, out, b, table); out may be a or b. The scaled item in equation (9) depends only on the item's 256
values, so the table holds it:

    a's 256 words, by the byte as it is stored, b's 256, then the constants of requantisation

(a difference has b's negative), and an output is two loads of bytes, two of words, an addition and a requantisation.
"""

from ...fixedpoint import LIMITS, limbs, rounding_shift, scale_high
from .table import put

WORDS = 256  # of the table for each input


def refuses(op):
    """None, or why no instruction set has code for an ADD or SUB."""
    if op.dtype not in ("b", "B") or op.a_shape != op.b_shape:
        return "machine code is for sums of 8 bits and one shape"
    return None


class Add:
    """Code and table of an ops.Add or ops.Sub, and what Plan has.

    A subclass has _emit(), and `times`: 2 where its requantisation takes 2 * acc, else 1.
    """

    packing = None
    check = None
    scratch_bytes = 0
    times = 1

    def __init__(self, op, total, requantize, asm):
        self.length, self.requantize, self.asm = op.output_length, requantize, asm
        self._emit()
        self.code, self.table = asm.finish(), self._pack(total)
        self.asm = None
        self.weight_bytes, self.code_bytes = len(self.table), len(self.code)

    def _pack(self, total):
        constants = self.requantize.constants((0,))
        table = bytearray(4 * (2 * WORDS + len(constants)))
        at = 0
        for values in total.values:
            for value in values:
                at = put(table, at, self.times * value)
        for word in constants:
            at = put(table, at, word)
        return table


class Total:
    """The attributes of a Spec that requantize.py reads, for the accumulator of an ADD: one channel.

    values  what each byte of a and of b adds to the sum
    """

    kind, rounding, wide = "tflite", "double", False

    def __init__(self, op):
        self.out_dtype, self.output_zero_point = op.dtype, op.output_zero_point
        self.activation_min, self.activation_max = op.activation_min, op.activation_max
        (multiplier, shift) = op.scales[2]
        self.multiplier, self.shift = (multiplier,), (shift,)
        minus = op.kind == "sub"
        hi = LIMITS[op.dtype][1]
        self.values, self.bound = [], [0, 0]
        for zero, (m, n), negative in ((op.a_zero_point, op.scales[0], False), (op.b_zero_point, op.scales[1], minus)):
            parts = limbs(m)
            values = []
            for byte in range(256):
                item = (byte if byte <= hi else byte - 256) - zero
                value = rounding_shift(scale_high(item << op.room, parts[0], parts[1], parts[2]), -n)
                values.append(-value if negative else value)
            self.values.append(values)
            self.bound = [self.bound[0] + min(values), self.bound[1] + max(values)]
