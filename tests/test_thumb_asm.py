"""Each encoding of the assembler, as another disassembler reads it, and what can't be encoded."""

import capstone
import numpy as np
import pytest
from ucorr.codegen.asm.assembler import (
    ALWAYS,
    ASR,
    HI,
    LR,
    LSL,
    LSR,
    LT,
    NE,
    PC,
    R0,
    R1,
    R2,
    R3,
    R4,
    R7,
    R8,
    R9,
    R11,
    R12,
    SP,
    AssemblerError,
)
from ucorr.codegen.asm.thumb1 import Thumb1
from ucorr.codegen.asm.thumb2 import Thumb2
from ucorr.codegen.cores import Core
from ucorr_host.cores import named
from ucorr_host.targets import emulator

M0, M4 = named("cortex-m0plus"), named("cortex-m4")
PLAIN = Core("cortex-m3", "armv7m", 7, (5,))  # a Cortex-M3 whose code would have instructions of 32 bits


def read(code):
    """What capstone makes of code, a line an instruction."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    lines = [(i.mnemonic.removesuffix(".w") + " " + i.op_str).strip() for i in engine.disasm(bytes(code), 0)]
    assert sum(i.size for i in engine.disasm(bytes(code), 0)) == len(code)
    return lines


# (method, arguments, what it reads as)
INSTRUCTIONS = [
    ("bx_lr", (), "bx lr"),
    ("nop", (), "mov r8, r8"),
    ("mov", (R12, R3), "mov ip, r3"),
    ("mov", (R1, LR), "mov r1, lr"),
    ("constant", (R9, 0x1234), "movw sb, #0x1234"),
    ("constant", (R0, 0xF8FF), "movw r0, #0xf8ff"),
    ("constant", (R12, -3), "mvn ip, #2"),
    ("constant", (R1, -256), "mvn r1, #0xff"),
    ("add", (R0, R0, R12), "add r0, ip"),
    ("add", (R0, R1, R2), "add.w r0, r1, r2"),
    ("add", (R7, R7, R7, ASR, 31), "add.w r7, r7, r7, asr #31"),
    ("sub", (R8, R9, R12), "sub.w r8, sb, ip"),
    ("and_", (R8, R9, R12, ASR, 7), "and.w r8, sb, ip, asr #7"),
    ("orr", (R8, R9, R12, LSL, 7), "orr.w r8, sb, ip, lsl #7"),
    ("eor", (R8, R9, R12), "eor.w r8, sb, ip"),
    ("adds", (R8, R9, R12), "adds.w r8, sb, ip"),
    ("adc", (R8, R9, R12), "adc.w r8, sb, ip"),
    ("umull", (R8, R1, R9, R12), "umull r8, r1, sb, ip"),
    ("smull", (R8, R1, R9, R12), "smull r8, r1, sb, ip"),
    ("smlald", (R8, R1, R12, R9), "smlald r8, r1, ip, sb"),
    ("addi", (R8, R9, 4095), "addw r8, sb, #0xfff"),
    ("addi", (R8, R9, -2304), "subw r8, sb, #0x900"),
    ("addi", (SP, SP, -40), "sub sp, #0x28"),
    ("addi", (SP, SP, 508), "add sp, #0x1fc"),
    ("subs", (R3, 255), "subs r3, #0xff"),
    ("mla", (R8, R9, R1, R12), "mla r8, sb, r1, ip"),
    ("cmp", (R9, R1), "cmp sb, r1"),
    ("cmp", (R1, R12), "cmp r1, ip"),
    ("cmpi", (R1, 7), "cmp r1, #7"),
    ("cmpi", (R9, 200), "cmp.w sb, #0xc8"),
    ("cmpi", (R1, -100), "cmn.w r1, #0x64"),
    ("shift", (R8, R1, ASR, 31), "asr.w r8, r1, #0x1f"),
    ("shift", (R8, R1, LSL, 1), "lsl.w r8, r1, #1"),
    ("lsl", (R8, R1, R12), "lsl.w r8, r1, ip"),
    ("asr", (R8, R1, R12), "asr.w r8, r1, ip"),
    ("ssat", (R8, 8, R1), "ssat r8, #8, r1"),
    ("usat", (R8, 16, R1), "usat r8, #0x10, r1"),
    ("smlad", (R8, R1, R12, R9), "smlad r8, r1, ip, sb"),
    ("smlaxy", (R8, R1, R12, R9, 0, 0), "smlabb r8, r1, ip, sb"),
    ("smlaxy", (R8, R1, R12, R9, 0, 1), "smlabt r8, r1, ip, sb"),
    ("smlaxy", (R8, R1, R12, R9, 1, 0), "smlatb r8, r1, ip, sb"),
    ("smlaxy", (R8, R1, R12, R9, 1, 1), "smlatt r8, r1, ip, sb"),
    ("smmul", (R8, R1, R12, 0), "smmul r8, r1, ip"),
    ("smmul", (R8, R1, R12, 1), "smmulr r8, r1, ip"),
    ("xtb16", (R8, R1, 0), "sxtb16 r8, r1"),
    ("xtb16", (R8, R1, 0, 8), "sxtb16 r8, r1, ror #8"),
    ("xtb16", (R8, R1, 1, 8), "uxtb16 r8, r1, ror #8"),
    ("pkhbt", (R8, R1, R12, 16), "pkhbt r8, r1, ip, lsl #0x10"),
    ("pkhbt", (R8, R1, R12), "pkhbt r8, r1, ip"),
    ("pkhtb", (R8, R1, R12, 16), "pkhtb r8, r1, ip, asr #0x10"),
    ("ldr", (R1, SP, 1020), "ldr r1, [sp, #0x3fc]"),
    ("ldr", (R1, R7, 124), "ldr r1, [r7, #0x7c]"),
    ("ldr", (R1, R7, 126), "ldr.w r1, [r7, #0x7e]"),
    ("ldr", (R12, R9, 4095), "ldr.w ip, [sb, #0xfff]"),
    ("str", (R1, SP, 4), "str r1, [sp, #4]"),
    ("str", (R1, R7, 8), "str r1, [r7, #8]"),
    ("str", (R12, R9, 2), "str.w ip, [sb, #2]"),
    ("ldrb", (R12, R9, 2), "ldrb.w ip, [sb, #2]"),
    ("ldrsb", (R12, R9, 2), "ldrsb.w ip, [sb, #2]"),
    ("strb", (R12, R9, 2), "strb.w ip, [sb, #2]"),
    ("strh", (R12, R9, 2), "strh.w ip, [sb, #2]"),
    ("ldr_then", (R12, R9, 4), "ldr ip, [sb], #4"),
    ("str_then", (R12, R9, -8), "str ip, [sb], #-8"),
    ("ldrb_then", (R12, R9, 255), "ldrb ip, [sb], #0xff"),
    ("ldrsb_then", (R12, R9, 1), "ldrsb ip, [sb], #1"),
    ("ldrh_then", (R12, R9, 2), "ldrh ip, [sb], #2"),
    ("strh_then", (R12, R9, 2), "strh ip, [sb], #2"),
    ("ldr_at", (R4, R8, R11), "ldr.w r4, [r8, fp, lsl #2]"),
    ("ldrd", (R12, LR, R9, 1020), "ldrd ip, lr, [sb, #0x3fc]"),
    ("strd", (R1, R2, SP, 8), "strd r1, r2, [sp, #8]"),
    ("ldrd_then", (R12, LR, R9, 8), "ldrd ip, lr, [sb], #8"),
    ("stm", (R9, (R0, R1, R12)), "stm sb!, {r0, r1, ip}"),
    ("ldm", (R9, (R0, R1, R12)), "ldm sb!, {r0, r1, ip}"),
    ("ldm", (R9, (R0, R11), False), "ldm.w sb, {r0, fp}"),
    ("ldm", (R9, (R1,)), "ldr r1, [sb], #4"),
    ("push", ((R0, R8, LR),), "push.w {r0, r8, lr}"),
    ("pop", ((R0, R8, LR),), "pop.w {r0, r8, lr}"),
]


SHORT = [
    ("bx_lr", (), "bx lr"),
    ("nop", (), "mov r8, r8"),
    ("mov", (R12, R3), "mov ip, r3"),
    ("movs", (R3, 255), "movs r3, #0xff"),
    ("add", (R1, R2, R3), "adds r1, r2, r3"),
    ("add", (R1, R1, R12), "add r1, ip"),
    ("add", (R9, R9, R1), "add sb, r1"),
    ("sub", (R1, R2, R3), "subs r1, r2, r3"),
    ("addi", (R1, R1, 255), "adds r1, #0xff"),
    ("addi", (R1, R1, -255), "subs r1, #0xff"),
    ("addi", (R1, R2, 7), "adds r1, r2, #7"),
    ("addi", (R1, R2, -7), "subs r1, r2, #7"),
    ("addi", (SP, SP, -508), "sub sp, #0x1fc"),
    ("addi", (SP, SP, 40), "add sp, #0x28"),
    ("subs", (R3, 255), "subs r3, #0xff"),
    ("adcs", (R1, R2), "adcs r1, r2"),
    ("sbcs", (R1, R2), "sbcs r1, r2"),
    ("ands", (R1, R2), "ands r1, r2"),
    ("mvns", (R1, R2), "mvns r1, r2"),
    ("muls", (R1, R2), "muls r1, r2, r1"),
    ("cmp", (R1, R7), "cmp r1, r7"),
    ("cmp", (R1, R12), "cmp r1, ip"),
    ("cmpi", (R1, 255), "cmp r1, #0xff"),
    ("shift", (R1, R2, LSL, 31), "lsls r1, r2, #0x1f"),
    ("shift", (R1, R2, LSR, 1), "lsrs r1, r2, #1"),
    ("shift", (R1, R2, ASR, 16), "asrs r1, r2, #0x10"),
    ("lsls", (R1, R2), "lsls r1, r2"),
    ("asrs", (R1, R2), "asrs r1, r2"),
    ("sxtb", (R1, R2), "sxtb r1, r2"),
    ("sxth", (R1, R2), "sxth r1, r2"),
    ("uxth", (R1, R2), "uxth r1, r2"),
    ("ldr", (R1, SP, 1020), "ldr r1, [sp, #0x3fc]"),
    ("ldr", (R1, R7, 124), "ldr r1, [r7, #0x7c]"),
    ("str", (R1, SP, 4), "str r1, [sp, #4]"),
    ("str", (R1, R7, 8), "str r1, [r7, #8]"),
    ("ldrb", (R1, R2, 31), "ldrb r1, [r2, #0x1f]"),
    ("strb", (R1, R2, 31), "strb r1, [r2, #0x1f]"),
    ("ldrh", (R1, R2, 62), "ldrh r1, [r2, #0x3e]"),
    ("strh", (R1, R2, 62), "strh r1, [r2, #0x3e]"),
    ("ldrsh_at", (R1, R2, R3), "ldrsh r1, [r2, r3]"),
    ("ldrsb_at", (R1, R2, R3), "ldrsb r1, [r2, r3]"),
    ("ldr_at", (R1, R2, R3), "ldr r1, [r2, r3]"),
    ("ldrb_at", (R1, R2, R3), "ldrb r1, [r2, r3]"),
    ("str_at", (R1, R2, R3), "str r1, [r2, r3]"),
    ("strh_at", (R1, R2, R3), "strh r1, [r2, r3]"),
    ("strb_at", (R1, R2, R3), "strb r1, [r2, r3]"),
    ("str_then", (R1, R2, 4), "stm r2!, {r1}"),
    ("ldm", (R4, (R0, R1, R7)), "ldm r4!, {r0, r1, r7}"),
    ("stm", (R4, (R0, R7)), "stm r4!, {r0, r7}"),
    ("push", ((R0, R7, LR),), "push {r0, r7, lr}"),
    ("pop", ((R0, R7, PC),), "pop {r0, r7, pc}"),
]
BOTH = [(Thumb1, M0, *row) for row in SHORT] + [(Thumb2, M4, *row) for row in INSTRUCTIONS]


@pytest.mark.parametrize(("made", "core", "name", "arguments", "text"), BOTH)
def test_an_instruction_reads_as_it_was_meant(made, core, name, arguments, text):
    asm = made(core)
    getattr(asm, name)(*arguments)
    assert read(asm.code) == [text.replace(".w ", " ", 1)]


@pytest.mark.parametrize(
    ("made", "rows", "others"),
    [
        (Thumb1, SHORT, {"bl", "constant", "move", "mla"}),
        (Thumb2, INSTRUCTIONS, {"it", "near"}),
    ],
)
def test_every_instruction_is_tested(made, rows, others):
    methods = {name for name in dir(made) if callable(getattr(made, name)) and name[0] != "_"}
    several = {"enter", "leave", "plus", "b", "dec_branch", "dec_branch_stack", "advance"}
    assert methods - {"label", "place", "here", "finish"} - several - others == {name for name, _, _ in rows}


def test_a_constant_of_32_bits_takes_two_instructions():
    asm = Thumb2(M4)
    asm.constant(R3, 0x89ABCDEF)
    assert read(asm.code) == ["movw r3, #0xcdef", "movt r3, #0x89ab"]


CONSTANTS = [0, 255, 256, 510, 1000, 0x10000, 0x12345678, 0x7FFFFFFF, -1, -128, -256, -1000, -0x00800080, -(1 << 31)]


@pytest.mark.parametrize("made", [Thumb1, Thumb2])
def test_constants_and_sums_of_several_instructions_are_those_meant(made):
    asm = made(M0 if made is Thumb1 else M4)
    asm.enter(0)
    for n, value in enumerate(CONSTANTS):
        asm.constant(R2, value)
        asm.str(R2, R1, 8 * n)
        asm.constant(R2, 77)
        asm.plus(R4, R2, value)
        asm.plus(R2, R2, value)
        asm.sub(R4, R4, R2)  # 0: both ways give the same
        asm.add(R2, R2, R4)
        asm.str(R2, R1, 8 * n + 4)
    asm.leave(0)
    out = np.zeros((len(CONSTANTS), 2), np.int32)
    core = "cortex-m0plus" if made is Thumb1 else "cortex-m4"
    emulator.call(core, asm.finish(), bytearray(4), out, bytearray(4), bytearray(4))
    assert out.tolist() == [[value, (value + 77 + (1 << 31)) % (1 << 32) - (1 << 31)] for value in CONSTANTS]


@pytest.mark.parametrize(("offset", "there"), [(4095, [R12, 4095]), (4096, [R9, 0]), (70000, [R9, 0])])
def test_what_is_too_far_for_an_offset_is_reached_through_the_register_that_is_spared(offset, there):
    asm = Thumb2(M4)
    asm.enter(0)
    asm.mov(R12, R1)
    asm.constant(R0, 99)
    place = asm.near(R12, offset, R9)
    asm.strb(R0, *place)
    asm.plus(R12, R12, offset, R9)
    asm.strb(R0, R12, 1)
    asm.leave(0)
    out = bytearray(offset + 2)
    emulator.call("cortex-m4", asm.finish(), bytearray(4), out, bytearray(4), bytearray(4))
    assert (list(place), list(out[-2:]), sum(out)) == (there, [99, 99], 198)


@pytest.mark.parametrize("nops", [0, 125, 126, 1020, 1022, 1023, 1100])
def test_a_loop_of_16_bit_instructions_reaches_back_however_long(nops):
    asm = Thumb1(M0)
    asm.enter(0)
    asm.constant(R0, 3)
    loop = asm.here()
    for _ in range(nops):
        asm.nop()
    asm.subs(R0, 1)
    asm.b(loop, HI)
    asm.leave(0)
    run = emulator.call("cortex-m0plus", asm.finish(), *(bytearray(4) for _ in range(4)))
    assert run.instructions == 15 + 3 * (nops + 1) + (3 if nops <= 125 else 5)  # far: over a second branch


@pytest.mark.parametrize("made", [Thumb1, Thumb2])
def test_loops_turn_as_often_as_they_count_and_what_moves_on_moves(made):
    asm = made(M0 if made is Thumb1 else M4)
    asm.enter(16)
    asm.mov(R7, R1)
    for slot, value in ((0, 3), (4, 100), (8, 70000)):
        asm.constant(R2, value)
        asm.str(R2, SP, slot)
    counter = R3 if made is Thumb1 else R8
    outer = asm.here()
    asm.constant(R3, 5)
    asm.mov(counter, R3)
    inner = asm.here()
    asm.advance(8, -1)
    asm.advance(4, 5000)
    asm.dec_branch(counter, inner)
    asm.dec_branch_stack(0, outer)
    asm.str(R1, R7, 12)  # what advance() leaves there
    for slot in (0, 4, 8):
        asm.ldr(R2, SP, slot)
        asm.str(R2, R7, slot)
    asm.leave(16)
    out = np.zeros(4, np.int32)
    core = "cortex-m0plus" if made is Thumb1 else "cortex-m4"
    emulator.call(core, asm.finish(), bytearray(4), out, bytearray(4), bytearray(4))
    assert out.tolist() == [0, 100 + 15 * 5000, 70000 - 15, 100 + 15 * 5000]


@pytest.mark.parametrize("gap", [0, 1, 700, 3000])
@pytest.mark.parametrize("condition", [ALWAYS, NE])
@pytest.mark.parametrize("core", [M0, PLAIN, M4], ids=["M0", "plain", "M4"])
def test_a_branch_reaches_its_label_or_says_that_it_is_too_far(core, condition, gap):
    asm = (Thumb1 if core is M0 else Thumb2)(core)
    after = asm.label()
    asm.b(after, condition)
    before = asm.here()
    for _ in range(gap):
        asm.nop()
    asm.place(after)
    asm.b(before, condition)
    reach = {ALWAYS: 2046, NE: 254}[condition] if core is M0 else 1 << 20
    if 2 * gap > reach - 4:
        with pytest.raises(AssemblerError, match=r"branch: -?\d+, wanted a multiple of 1 within"):
            asm.finish()
        return
    size = 2 if core is M0 else 4
    lines = [line.split(" #") for line in read(asm.finish()) if line != "mov r8, r8"]
    name = "b" if condition == ALWAYS else "bne"
    assert [(what, int(where, 0)) for what, where in lines] == [(name, size + 2 * gap), (name, size)]


def test_an_instruction_under_a_condition():
    asm = Thumb2(PLAIN)
    asm.it(LT)
    asm.mov(R1, R2)
    assert read(asm.code) == ["it lt", "movlt r1, r2"]


@pytest.mark.parametrize(
    ("core", "name", "arguments"),
    [
        (PLAIN, "smlad", (R0, R1, R2, R3)),
        (PLAIN, "xtb16", (R0, R1, 0)),
        (M0, "smmul", (R0, R1, R2, 1)),
        (M0, "ldrd", (R0, R1, R2)),
        (M0, "ldr_then", (R0, R1, 4)),
        (M0, "it", (LT,)),
    ],
)
def test_what_a_core_lacks_is_refused(core, name, arguments):
    asm = (Thumb1 if core is M0 else Thumb2)(core)
    with pytest.raises(AssemblerError, match=f"{core.name} has no such instruction$"):
        getattr(asm, name)(*arguments)
    assert asm.code == b""


@pytest.mark.parametrize(
    ("made", "name", "arguments", "sentence"),
    [
        (Thumb2, "ldr", (R0, R1, 4096), "ldr: 4096, wanted a multiple of 1 within 0..4095"),
        (Thumb2, "ldr_then", (R0, R1, 256), "ldr: 256, wanted a multiple of 1 within -255..255"),
        (Thumb2, "ldrd", (R0, R1, R2, 6), "ldrd: 6, wanted a multiple of 4 within 0..1020"),
        (Thumb2, "addi", (R0, R1, 5000), "addi: 5000, wanted a multiple of 1 within -4095..4095"),
        (Thumb2, "subs", (R0, 256), "subs: 256, wanted a multiple of 1 within 0..255"),
        (Thumb2, "shift", (R0, R1, ASR, 32), "shift: 32, wanted a multiple of 1 within 1..31"),
        (Thumb1, "ldr", (R0, R1, 126), "ldr: 126, wanted a multiple of 4 within 0..124"),
        (Thumb1, "str", (R0, SP, 1024), "str: 1024, wanted a multiple of 4 within 0..1020"),
        (Thumb1, "ldrb", (R0, R1, 32), "ldrb: 32, wanted a multiple of 1 within 0..31"),
        (Thumb1, "addi", (R0, R1, 8), "addi: 8, wanted a multiple of 1 within -7..7"),
        (Thumb1, "movs", (R0, 256), "movs: 256, wanted a multiple of 1 within 0..255"),
        (Thumb1, "add", (R9, R8, R1), "add: cortex-m0plus has no such instruction"),
        (Thumb1, "mla", (R0, R1, R2, R3), "mla: cortex-m0plus has no such instruction"),
    ],
)
def test_what_does_not_fit_an_encoding_is_told(made, name, arguments, sentence):
    with pytest.raises(AssemblerError) as told:
        getattr(made(M0 if made is Thumb1 else M4), name)(*arguments)
    assert str(told.value) == sentence


def test_labels_and_cores_are_checked():
    with pytest.raises(AssertionError):
        Thumb2(M0)  # whose instructions have 16 bits
    asm = Thumb2(PLAIN)
    here = asm.here()
    with pytest.raises(AssertionError):
        asm.place(here)
    asm.b(asm.label())
    with pytest.raises(AssemblerError, match="branch at byte 0: undefined label 1"):
        asm.finish()
