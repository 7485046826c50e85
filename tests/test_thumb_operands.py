"""Each instruction with every register in each place, numbers about its limits and lists of all kinds.

It reads as it was meant, or is refused: capstone is asked what it reads as.
"""

import inspect
import re

import pytest
from test_thumb_asm import INSTRUCTIONS, M0, M4, SHORT, read
from ucorr.codegen.asm.assembler import LR, PC, R0, R1, R2, R3, R4, R7, R8, R9, SP, AssemblerError
from ucorr.codegen.asm.thumb1 import Thumb1
from ucorr.codegen.asm.thumb2 import Thumb2

REGISTERS = ("d", "n", "m", "a", "t", "u", "low", "high")  # what parameters that are registers are called
LIMITS = (0, 1, 2, 3, 6, 24, 124, 126, 252, 508, 1020, 4092)  # and the powers of 2 and what is one less
EDGES = sorted({*LIMITS, *(2**n - less for n in range(2, 13) for less in (0, 1))})
LISTS = [(), (R0,), (R0, R1), (R1, R7), (R2, R8), (R0, LR), (R7, PC), (R3, SP), (LR, PC), (R4, R7, R9, LR)]


def name_of(register):
    return {SP: "sp", LR: "lr", PC: "pc"}.get(register, f"r{register}")


def normal(text, made):
    """A line of capstone's with plain names of registers, decimal numbers and all of its operands."""
    for theirs, ours in (("sb", "r9"), ("sl", "r10"), ("fp", "r11"), ("ip", "r12")):
        text = re.sub(rf"\b{theirs}\b", ours, text)
    text = re.sub(r"0x[0-9a-f]+", lambda found: str(int(found[0], 16)), text)
    text = re.sub(", (lsl|ror) #0|, #0(?=])", "", text).replace("ldm sp!, ", "pop ")
    name, _, operands = text.partition(" ")
    name = name.removesuffix(".w")
    name = {"addw": "add", "subw": "sub"}.get(name, name)
    if made is Thumb1 and name in ("adds", "subs"):  # with registers above r7 flags stay
        name = name[:-1]
    parts = operands.split(", ")
    if name in ("add", "sub") and len(parts) == 2:
        parts.insert(0, parts[0])
    return f"{name} {', '.join(parts)}"


def variants(made, name, arguments, text):
    """(arguments, what they read as) of an instruction with one other register, number or list."""
    names = list(inspect.signature(getattr(made, name)).parameters)[1:]
    for place, (word, value) in enumerate(zip(names, arguments, strict=False)):
        if word in REGISTERS:
            others = [(r, rf"\b{name_of(value)}\b", name_of(r)) for r in range(16)]
        elif word == "registers":
            others = [(tuple(one), r"\{.*\}", "{" + ", ".join(map(name_of, one)) + "}") for one in LISTS]
            if (made, name) == (Thumb2, "ldm"):  # of one register it is a load
                others = [row for row in others if len(row[0]) != 1 and len(value) > 1]
        elif word in ("kind", "move", "x", "y", "rounded", "unsigned"):
            continue
        else:
            sign = -1 if value < 0 else 1
            shown = abs(value) if f"#{abs(value)}" in text else value
            others = [
                (sign * n, rf"#{shown}\b", f"#{n if shown == abs(value) else sign * n}") for n in EDGES if n or sign > 0
            ]
        for other, old, new in others:
            yield (*arguments[:place], other, *arguments[place + 1 :]), re.sub(old, new, text)


@pytest.mark.parametrize(("made", "core"), [(Thumb1, M0), (Thumb2, M4)])
def test_whatever_its_operands_an_instruction_reads_as_it_was_meant_or_is_refused(made, core):
    wrong, read_well, refused = [], 0, 0
    for name, arguments, text in SHORT if made is Thumb1 else INSTRUCTIONS:
        words = inspect.signature(getattr(made, name)).parameters
        registers = [value for word, value in zip([*words][1:], arguments, strict=False) if word in REGISTERS]
        if name == "constant" or len({*registers}) < len(registers):  # a form that only some operands have
            continue
        for given, meant in variants(made, name, arguments, normal(text, made)):
            asm = made(core)
            try:
                getattr(asm, name)(*given)
            except (AssertionError, AssemblerError):
                refused += 1
                if asm.code:
                    wrong.append((name, given, "half an instruction"))
                continue
            lines = [normal(line, made) for line in read(asm.code)]
            read_well += 1
            if lines != [normal(meant, made)]:
                wrong.append((name, given, meant, lines))
    assert not wrong, wrong
    assert min(read_well, refused) > 500


@pytest.mark.parametrize(
    ("made", "name", "arguments"),
    [
        (Thumb1, "ldr", (R8, R0)), (Thumb1, "str", (R0, R9, 4)), (Thumb1, "ldrb", (R8, R0)), (Thumb1, "muls", (R8, R0)),
        (Thumb1, "push", ((R8,),)), (Thumb1, "pop", ((R8,),)), (Thumb1, "addi", (R8, R8, 1)), (Thumb2, "mov", (PC, R0)),
        (Thumb2, "smlad", (R0, R1, R2, PC)), (Thumb2, "ldr_then", (R1, R1, 4)), (Thumb2, "ldm", (R1, (R0, R1))),
        (Thumb2, "mla", (R0, R1, R2, PC)),
    ],
)  # fmt: skip
def test_registers_that_an_encoding_has_no_room_for_are_refused(made, name, arguments):
    asm = made(M0 if made is Thumb1 else M4)
    with pytest.raises(AssertionError):
        getattr(asm, name)(*arguments)
    assert asm.code == b""
