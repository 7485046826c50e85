"""Each encoding of the assembler, as another disassembler reads it, and what can't be encoded."""

import capstone
import pytest
from ucorr.codegen import thumb_asm
from ucorr.codegen.thumb_asm import (
    ALWAYS,
    ARMV6M,
    ARMV7EM,
    ARMV7M,
    ASR,
    LT,
    NE,
    R0,
    R1,
    R2,
    R3,
    R7,
    R8,
    R9,
    R11,
    R12,
    SP,
    Assembler,
    AssemblerError,
)

LR = thumb_asm.LR


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
    ("addi", (R8, R9, 4095), "addw r8, sb, #0xfff"),
    ("addi", (R8, R9, -2304), "subw r8, sb, #0x900"),
    ("addi", (SP, SP, -40), "sub sp, #0x28"),
    ("addi", (SP, SP, 508), "add sp, #0x1fc"),
    ("subs", (R3, 255), "subs r3, #0xff"),
    ("mul", (R8, R9, R1), "mul r8, sb, r1"),
    ("mla", (R8, R9, R1, R12), "mla r8, sb, r1, ip"),
    ("cmp", (R9, R1), "cmp sb, r1"),
    ("cmp", (R1, R12), "cmp r1, ip"),
    ("cmpi", (R1, 7), "cmp r1, #7"),
    ("cmpi", (R9, 200), "cmp.w sb, #0xc8"),
    ("cmpi", (R1, -100), "cmn.w r1, #0x64"),
    ("shift", (R8, R1, ASR, 31), "asr.w r8, r1, #0x1f"),
    ("shift", (R8, R1, thumb_asm.LSL, 1), "lsl.w r8, r1, #1"),
    ("lsl", (R8, R1, R12), "lsl.w r8, r1, ip"),
    ("asr", (R8, R1, R12), "asr.w r8, r1, ip"),
    ("ssat", (R8, 8, R1), "ssat r8, #8, r1"),
    ("usat", (R8, 16, R1), "usat r8, #0x10, r1"),
    ("smlad", (R8, R1, R12, R9), "smlad r8, r1, ip, sb"),
    ("smlabb", (R8, R1, R12, R9), "smlabb r8, r1, ip, sb"),
    ("smlabt", (R8, R1, R12, R9), "smlabt r8, r1, ip, sb"),
    ("smlatb", (R8, R1, R12, R9), "smlatb r8, r1, ip, sb"),
    ("smlatt", (R8, R1, R12, R9), "smlatt r8, r1, ip, sb"),
    ("smmulr", (R8, R1, R12), "smmulr r8, r1, ip"),
    ("sxtb16", (R8, R1), "sxtb16 r8, r1"),
    ("sxtb16", (R8, R1, 8), "sxtb16 r8, r1, ror #8"),
    ("uxtb16", (R8, R1, 8), "uxtb16 r8, r1, ror #8"),
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
    ("ldrh", (R12, R9, 2), "ldrh.w ip, [sb, #2]"),
    ("strb", (R12, R9, 2), "strb.w ip, [sb, #2]"),
    ("strh", (R12, R9, 2), "strh.w ip, [sb, #2]"),
    ("ldr_then", (R12, R9, 4), "ldr ip, [sb], #4"),
    ("str_then", (R12, R9, -8), "str ip, [sb], #-8"),
    ("ldrb_then", (R12, R9, 255), "ldrb ip, [sb], #0xff"),
    ("ldrsb_then", (R12, R9, 1), "ldrsb ip, [sb], #1"),
    ("ldrh_then", (R12, R9, 2), "ldrh ip, [sb], #2"),
    ("strh_then", (R12, R9, 2), "strh ip, [sb], #2"),
    ("ldrd", (R12, LR, R9, 1020), "ldrd ip, lr, [sb, #0x3fc]"),
    ("strd", (R1, R2, SP, 8), "strd r1, r2, [sp, #8]"),
    ("ldrd_then", (R12, LR, R9, 8), "ldrd ip, lr, [sb], #8"),
    ("strd_then", (R12, LR, R9, 8), "strd ip, lr, [sb], #8"),
    ("stm", (R9, (R0, R1, R12)), "stm sb!, {r0, r1, ip}"),
    ("ldm", (R9, (R0, R1, R12)), "ldm sb!, {r0, r1, ip}"),
    ("ldm", (R9, (R0, R11), False), "ldm.w sb, {r0, fp}"),
    ("ldm", (R9, (R1,)), "ldr r1, [sb], #4"),
    ("push", ((R0, R8, LR),), "push.w {r0, r8, lr}"),
    ("pop", ((R0, R8, LR),), "pop.w {r0, r8, lr}"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), INSTRUCTIONS)
def test_an_instruction_reads_as_it_was_meant(name, arguments, text):
    asm = Assembler(ARMV7EM)
    getattr(asm, name)(*arguments)
    assert read(asm.code) == [text.replace(".w ", " ", 1)]


def test_every_instruction_is_tested():
    methods = {name for name, value in vars(Assembler).items() if callable(value) and name[0] != "_"}
    assert methods - {"label", "finish", "b", "it", "plus"} == {name for name, _, _ in INSTRUCTIONS}


def test_a_constant_of_32_bits_takes_two_instructions():
    asm = Assembler(ARMV7EM)
    asm.constant(R3, 0x89ABCDEF)
    assert read(asm.code) == ["movw r3, #0xcdef", "movt r3, #0x89ab"]


@pytest.mark.parametrize("gap", [0, 1, 700, 3000])
@pytest.mark.parametrize("condition", [ALWAYS, NE])
@pytest.mark.parametrize("level", [ARMV6M, ARMV7M, ARMV7EM])
def test_a_branch_reaches_its_label_or_says_that_it_is_too_far(level, condition, gap):
    asm = Assembler(level)
    asm.b("after", condition)
    asm.label("before")
    for _ in range(gap):
        asm.nop()
    asm.label("after")
    asm.b("before", condition)
    reach = {(ARMV6M, ALWAYS): 2046, (ARMV6M, NE): 254}.get((level, condition), 1 << 20)
    if 2 * gap > reach - 4:
        with pytest.raises(AssemblerError, match=r"branch to (after|before): -?\d+, wanted a multiple of 1 within"):
            asm.finish()
        return
    size = 2 if level == ARMV6M else 4
    lines = [line.split(" #") for line in read(asm.finish()) if line != "mov r8, r8"]
    name = "b" if condition == ALWAYS else "bne"
    assert [(what, int(where, 0)) for what, where in lines] == [(name, size + 2 * gap), (name, size)]


def test_an_instruction_under_a_condition():
    asm = Assembler(ARMV7M)
    asm.it(LT)
    asm.mov(R1, R2)
    assert read(asm.code) == ["it lt", "movlt r1, r2"]


@pytest.mark.parametrize(
    ("level", "name", "arguments", "core"),
    [
        (ARMV7M, "smlad", (R0, R1, R2, R3), "armv7m"),
        (ARMV7M, "sxtb16", (R0, R1), "armv7m"),
        (ARMV6M, "smmulr", (R0, R1, R2), "armv6m"),
        (ARMV6M, "ldrd", (R0, R1, R2), "armv6m"),
        (ARMV6M, "constant", (R0, 1000), "armv6m"),
        (ARMV6M, "it", (LT,), "armv6m"),
    ],
)
def test_what_a_core_lacks_is_refused(level, name, arguments, core):
    asm = Assembler(level)
    with pytest.raises(AssemblerError, match=f"{core} has no such instruction$"):
        getattr(asm, name)(*arguments)
    assert asm.code == b""


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("ldr", (R0, R1, 4096), "ldr: 4096, wanted a multiple of 1 within 0..4095"),
        ("ldr_then", (R0, R1, 256), "ldr: 256, wanted a multiple of 1 within -255..255"),
        ("ldrd", (R0, R1, R2, 6), "ldrd: 6, wanted a multiple of 4 within 0..1020"),
        ("addi", (R0, R1, 5000), "addi: 5000, wanted a multiple of 1 within -4095..4095"),
        ("subs", (R0, 256), "subs: 256, wanted a multiple of 1 within 0..255"),
        ("shift", (R0, R1, ASR, 32), "shift: 32, wanted a multiple of 1 within 1..31"),
    ],
)
def test_what_does_not_fit_an_encoding_is_told(name, arguments, sentence):
    with pytest.raises(AssemblerError) as told:
        getattr(Assembler(ARMV7EM), name)(*arguments)
    assert str(told.value) == sentence


def test_labels_and_levels_are_checked():
    with pytest.raises(AssemblerError, match="level: 9, wanted one of 6 7 8"):
        Assembler(9)
    asm = Assembler(ARMV7M)
    asm.label("here")
    with pytest.raises(AssemblerError, match="label: 'here' stands already"):
        asm.label("here")
    asm.b("there")
    with pytest.raises(AssemblerError, match="label: 'there', wanted one that stands somewhere"):
        asm.finish()
