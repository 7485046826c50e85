"""Every operator has all that makes it one, whichever register that is in; and its record says what was put in it."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import ucorr
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import CASES, Case
from test_mutants import MUTANTS
from ucorr import format as layout
from ucorr import ops
from ucorr_host import reference
from ucorr_host.networks import record
from ucorr_host.networks.operators import BY_KIND, BY_NAME, Operator

HERE = Path(__file__).parent
BACKENDS = Path(ucorr.__file__).with_name("backends")


@dataclass(frozen=True)
class Registers:
    """Where what makes an operator is looked up; `classes` are the plan classes of a file in backends."""

    numbered: tuple[str, ...]
    rows: dict[str, Operator]
    cases: dict[str, Case]
    mutants: tuple[Any, ...]
    public: tuple[str, ...]
    stubs: tuple[str, ...]
    classes: Callable[[str], set[str]]


def classes(file: str) -> set[str]:
    """The names of the classes in a file of backends, none where there is no such file."""
    path = BACKENDS / f"{file}.py"
    nodes = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


STUBS = tuple(re.findall(r"^class (\w+)", Path(ucorr.__file__).with_name("__init__.pyi").read_text(), re.MULTILINE))
REAL = Registers(ucorr.OPERATORS[::2], BY_NAME, CASES, tuple(MUTANTS), tuple(ucorr.__all__), STUBS, classes)


def lacks(name: str, made: Any, registers: Registers) -> list[str]:
    """What an operator lacks, its class being `made`."""
    row, case = registers.rows.get(name), registers.cases.get(name)
    file, _, plan = getattr(made, "runs", "").partition(".")
    mutants = case.mutants if case else ()
    found = {
        "public name": name in registers.public,
        "stub": name in registers.stubs,
        "reference of its kind": row is not None
        and (row.lower is None or hasattr(reference, getattr(made, "kind", ""))),
        "number": registers.numbered.count(name) == 1,
        "record": isinstance(getattr(made, "fields", None), str) and isinstance(getattr(made, "first", None), tuple),
        "portable plan": plan in registers.classes("portable_ops"),
        "viper plan": plan in registers.classes(f"viper_{file}"),
        "reference": row is not None and callable(row.reference),
        "cost": row is not None and row.cost > 0,
        "named problem": row is not None and len(row.named) > 0,
        "strategy": case is not None and callable(case.drawn),
        "arguments": case is not None and len(case.arguments) > 0,
        "mutant": len(mutants) > 0 and all(mutant in registers.mutants and is_test(mutant[4]) for mutant in mutants),
    }
    return [what for what, there in found.items() if not there]


def is_test(killer: str) -> bool:
    """Whether there is a test of that name."""
    file, _, name = killer.partition("::")
    wanted = f"\ndef {name.partition('[')[0]}("
    return wanted in (HERE / file).read_text()


@pytest.mark.parametrize("name", REAL.numbered)
def test_an_operator_lacks_nothing(name):
    missing = ", ".join(lacks(name, ops.named(name), REAL))
    assert not missing, f"{name} lacks: {missing}"


def test_no_register_has_an_operator_that_is_none():
    assert set(BY_NAME) == set(CASES) == set(REAL.numbered)
    assert len(BY_KIND) == len(BY_NAME)
    assert [row.made for row in BY_NAME.values()] == [ops.named(name) for name in BY_NAME]


def test_all_that_a_made_up_operator_lacks_is_told():
    class Twice(ucorr.Lookup):
        kind = "lookup"
        runs = "made_up.Twice"

    row, case = replace(BY_NAME["Lookup"], made=Twice), CASES["Lookup"]

    def made(**less: Any) -> Registers:
        whole: dict[str, Any] = {
            "numbered": (*REAL.numbered, "Twice"),
            "rows": {"Twice": row},
            "cases": {"Twice": case},
            "mutants": REAL.mutants,
            "public": (*REAL.public, "Twice"),
            "stubs": (*REAL.stubs, "Twice"),
            "classes": lambda file: {"Twice"},
        }
        return Registers(**{**whole, **less})

    def but(file: str) -> Callable[[str], set[str]]:
        return lambda name: set() if name == file else {"Twice"}

    stranger = (*case.mutants[0][:4], "test_ops.py::test_that_nobody_wrote[x]")
    less: dict[str, dict[str, Any]] = {
        "public name": {"public": REAL.public},
        "stub": {"stubs": REAL.stubs},
        "number": {"numbered": REAL.numbered},
        "portable plan": {"classes": but("portable_ops")},
        "viper plan": {"classes": but("viper_made_up")},
        "reference": {"rows": {"Twice": replace(row, reference=None)}},
        "cost": {"rows": {"Twice": replace(row, cost=0)}},
        "named problem": {"rows": {"Twice": replace(row, named=())}},
        "strategy": {"cases": {"Twice": replace(case, drawn=None)}},
        "arguments": {"cases": {"Twice": replace(case, arguments={})}},
        "mutant": {"cases": {"Twice": replace(case, mutants=())}},
    }
    assert lacks("Twice", Twice, made()) == []
    for what, registers in less.items():
        assert lacks("Twice", Twice, made(**registers)) == [what]
    killed_by_none = made(cases={"Twice": replace(case, mutants=(stranger,))}, mutants=(stranger,))
    assert lacks("Twice", Twice, killed_by_none) == ["mutant"]

    class Bare(ucorr.Lookup):
        runs, fields = "made_up.Twice", None

    assert lacks("Twice", Bare, made()) == ["record"]
    Bare.fields, Bare.kind = "length", "twice"
    assert lacks("Twice", Bare, made()) == ["reference of its kind"]
    nothing = Registers((), {}, {}, (), (), (), lambda file: set())
    assert len(lacks("Nothing", object, nothing)) == len(less) + 2


# Records

ROWS = (layout.Layer, layout.Code, *(row.made for row in BY_NAME.values()))
WORDS = st.integers(-(1 << 31), (1 << 31) - 1)


def values(name: str, many: int) -> st.SearchStrategy[Any]:
    """What a field can say."""
    if name in layout.CODES:
        return st.sampled_from([word for _, word in layout.CODES[name]])
    if name in ("dtype", "out_dtype"):
        return st.sampled_from(layout.IN if name == "dtype" else layout.OUT)
    if name == "padding":
        return st.tuples(*[st.tuples(WORDS, WORDS)] * (many // 2))
    if many == 1:
        return WORDS
    return st.tuples(*[WORDS] * many) if many > 0 else st.lists(WORDS, min_size=1, max_size=9).map(tuple)


@pytest.mark.parametrize("row", ROWS, ids=[row.kind for row in ROWS])
@given(data=st.data())
def test_a_record_says_what_was_put_in_it(row, data):
    fields = {name: data.draw(values(name, many), label=name) for name, many in layout.fields(row)}
    reads, writes = data.draw(st.lists(WORDS, min_size=1, max_size=4)), data.draw(WORDS)
    steps = record.encode(row, writes, reads, fields.__getitem__)
    file = bytearray(layout.HEADER)
    struct.pack_into("<I", file, layout.STEPS, 2)
    struct.pack_into("<I", file, layout.STEPS_AT, len(file))
    file += steps + steps
    assert list(record.decode(lambda at, count: file[at : at + count])) == [(row, writes, tuple(reads), fields)] * 2


def test_a_field_that_a_record_has_no_room_for_is_named():
    fields = {"rows": 1, "classes": 1 << 31, "table_at": 0}
    with pytest.raises(ValueError, match="softmax: classes 2147483648, wanted numbers of 32 bits with sign"):
        record.encode(ucorr.Softmax, 0, [0], fields.__getitem__)
    fields = {"shape": (1, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0)), "value": 0, "dtype": "b"}
    with pytest.raises(ValueError, match="expand: shape has 2 words, wanted 3"):
        record.encode(ucorr.Expand, 0, [0], fields.__getitem__)
