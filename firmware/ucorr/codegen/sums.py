"""Sums and differences of two tensors of one shape, 8 bits: ADD and SUB of equation (9), on every level.

Called as f(a, out, b, table); out may be a or b. What equation (9) makes of an input's item depends on the item alone,
256 of them, so the table holds it:

    a's 256 words, by the byte as it is stored, b's 256, then the constants of the scale

(a difference has b's negative), and an output is two loads of bytes, two of words, a sum and its scale.

Registers, DSP: r0 a, r1 out, r2 b, r3, r8 words of a and b, r9 constants, r10 end of out, r4-r7 four sums,
r11, r12, lr scale. ARMv6-M: r4 a, r5 b, r6 out, r7, r8 words of a and b, r9 constants, r11 factor, r0-r3 data,
r10, r12 scale; the end of out is on the stack.
"""

from ..fixedpoint import LIMITS, limbs, rounding_shift, scale_high
from .table import put
from .thumb_asm import ARMV7EM, LR, NE, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, SP

_WORDS = 256


class Sum:
    """Code and table of an Add or Sub, and what Plan tells. raises ValueError with refuses()'s reason

    op     ops.Add or ops.Sub
    level  of thumb_asm.py
    """

    packing = None
    scratch_bytes = 0

    def __init__(self, op, level):
        reason = refuses(op, level)
        if reason:
            raise ValueError("op: no machine code (%s), wanted another" % reason)
        self.length = op.output_length
        total = _Total(op)
        dsp = level >= ARMV7EM
        (self._dsp if dsp else self._v6m)(total, level)
        self.code, self.table = self.asm.finish(), self._pack(total, 2 if dsp else 1)
        self.asm = None
        self.weight_bytes, self.code_bytes = len(self.table), len(self.code)

    def _pack(self, total, times):
        constants = self.scale.constants((0,))
        table = bytearray(4 * (2 * _WORDS + len(constants)))
        at = 0
        for values in total.values:
            for value in values:
                at = put(table, at, times * value)
        for word in constants:
            at = put(table, at, word)
        return table

    def _dsp(self, total, level):
        from .scale_dsp import Scale, from_place
        from .thumb2 import Thumb2

        self.scale, self.asm, self.load = Scale(total, True), Thumb2(level), from_place
        asm = self.asm
        asm.enter(0)
        asm.plus(R8, R3, 4 * _WORDS)
        asm.plus(R9, R8, 4 * _WORDS)
        whole = self.length // 4
        if whole > 1:
            asm.plus(R10, R1, 4 * whole)
            asm.label("four")
        if whole:
            self._outputs_dsp((R4, R5, R6, R7))
        if whole > 1:
            asm.cmp(R1, R10)
            asm.b("four", NE)
        if self.length % 4:
            self._outputs_dsp((R4, R5, R6)[: self.length % 4])
        asm.leave(0)

    def _outputs_dsp(self, sums):
        asm = self.asm
        for r in sums:
            asm.ldrb_then(r, R0, 1)
            asm.ldrb_then(R11, R2, 1)
            asm.ldr_at(r, R3, r)
            asm.ldr_at(R11, R8, R11)
            asm.add(r, r, R11)
        self.scale.emit(asm, sums, self.load(asm, R9), (R11, R12, LR))
        for n, r in enumerate(sums):
            asm.strb(r, R1, n)
        asm.addi(R1, R1, len(sums))

    def _v6m(self, total, level):
        from .scale_v6m import Scale
        from .thumb1 import Thumb1

        self.scale, self.asm = Scale(total), Thumb1(level)
        asm, scale = self.asm, self.scale
        asm.enter(4)
        for to, source in ((R4, R0), (R5, R2), (R6, R1), (R7, R3)):
            asm.mov(to, source)
        asm.constant(R1, 4 * _WORDS)
        asm.add(R3, R3, R1)
        asm.mov(R8, R3)
        asm.add(R3, R3, R1)
        if scale.fast:
            asm.ldm(R3, (R1,))
            asm.mov(R11, R1)
        asm.mov(R9, R3)
        scale.emit_constants(asm)
        whole = self.length // 2
        if whole > 1:
            asm.constant(R0, 2 * whole)
            asm.add(R0, R0, R6)
            asm.str(R0, SP, 0)
            asm.label("two")
        if whole:
            self._outputs_v6m(2)
        if whole > 1:
            asm.ldr(R0, SP, 0)
            asm.cmp(R6, R0)
            asm.b("two", NE)
            scale.emit_behind(asm)
        if self.length % 2:
            self._outputs_v6m(1)
        scale.emit_behind(asm)
        asm.leave(4)
        scale.emit_exact(asm)

    def _outputs_v6m(self, count):
        asm, scale = self.asm, self.scale
        for n in range(count):
            asm.ldrb(R0, R4, n)
            asm.ldrb(R1, R5, n)
            asm.shift(R0, R0, 0, 2)
            asm.shift(R1, R1, 0, 2)
            asm.ldr_at(R0, R7, R0)
            asm.mov(R2, R8)
            asm.ldr_at(R1, R2, R1)
            asm.add(R0, R0, R1)
            r = scale.emit(asm, R0, self._factor, self._point)
            asm.strb(r, R6, n)
        for r in (R4, R5, R6):
            asm.addi(r, r, count)

    def _factor(self, r):
        self.asm.mov(r, R11)

    def _point(self, r):
        self.asm.mov(r, R9)


def refuses(op, level):
    """None, or why there is no code for a layer without weights."""
    if op.kind not in ("add", "sub"):
        return "machine code is for sums and differences"
    if op.dtype not in ("b", "B") or op.a_shape != op.b_shape:
        return "machine code is for sums of 8 bits and one shape"
    if level >= ARMV7EM:
        from .scale_dsp import refuses as scale_refuses
    else:
        from .scale_v6m import refuses as scale_refuses
    return scale_refuses(_Total(op))


class _Total:
    """A sum as the layer of one channel that scale_*.py ask about.

    values  what each byte of a and of b adds to the sum
    """

    kind, rounding, wide = "tflite", "twice", False

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
