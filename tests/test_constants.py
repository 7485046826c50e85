"""What a board gets of the package's constants: numbers, and the same machine code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ucorr_host.problems.named import named
from ucorr_tools.boards.constants import folded
from ucorr_tools.boards.deploy import cross_compile, package_files

HOME = b"""
A, B, _C = range(4, 16, 4)
BOTH = A + 2 * B
_ONCE = 9
TWICE = 1
TWICE = 2
PAIR, ALONE = (A, 3), 5
name = 7
"""
USER = b"""
from . import home
from .home import A, BOTH as ALL, TWICE
from .other import gone
END = home.B + 4
def f(x, B=A):
    ALONE = x
    return [A, ALL, TWICE, END, home.B, home.ALONE, home._C, B, ALONE, home.name, x.A]
"""
FOLDED = """\
from . import home
from .home import TWICE
from .other import gone

def f(x, B=4):
    ALONE = x
    return [4, 20, TWICE, 12, 8, 5, 12, B, ALONE, home.name, x.A]"""


def test_numbers_stand_where_their_names_did_and_nothing_else_changes():
    broken = {"broken.py": b"def", "__init__.py": b"from .sub.home import A\n"}
    made = folded({"sub/home.py": HOME, "sub/user.py": USER, "outer.py": b"_A = 3\nB = 2\nC = _A\n", **broken})
    assert made["outer.py"].decode() == "B = 2\nC = 3"
    assert made["sub/user.py"].decode() == FOLDED
    assert made["sub/home.py"].decode() == "TWICE = 1\nTWICE = 2\nPAIR, ALONE = ((4, 3), 5)\nname = 7"
    assert {name: made[name] for name in broken} == broken


CODES = """
import hashlib
import sys
from ucorr.codegen.cores import CORES
from ucorr.codegen.plan import Plan, select
import ucorr
print(ucorr.__file__)
for fields in eval(sys.stdin.read()):
    spec = ucorr.Spec(**fields)
    for core in CORES:
        if not isinstance(select(spec, core), str):
            plan = Plan(spec, core)
            print(core.name, hashlib.sha256(plan.code + plan.table).hexdigest(), plan.scratch_bytes)
"""


def test_the_folded_package_writes_the_same_machine_code(tmp_path):
    for name, source in folded(package_files()).items():
        path = tmp_path / "ucorr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)
    fields = repr([problem.make("portable").spec.fields() for problem in named()])
    told = []
    for place in (os.environ.get("PYTHONPATH", ""), str(tmp_path)):
        environment = {**os.environ, "PYTHONPATH": place}
        command = [sys.executable, "-c", CODES]
        done = subprocess.run(command, input=fields, env=environment, capture_output=True, text=True, check=True)
        told.append(done.stdout.splitlines())
    assert told[0][0] != told[1][0]
    assert told[1][0].startswith(str(tmp_path))
    assert told[0][1:] == told[1][1:]
    assert len(told[0]) > 1.5 * len(named())


IMPORTED = """
import sys
from ucorr.codegen.cores import CORES
from ucorr.codegen import module, plan
core = next(core for core in CORES if core.name == {core!r})
for name in (*module(core).KERNELS, *(module(core).INT64 if {wide} else ())):
    module(core, name)
print(*(name for name in sys.modules if name.startswith("ucorr.codegen")))
"""


@pytest.mark.parametrize(("core", "arch"), [("cortex-m0plus", "armv6m"), ("cortex-m4", "armv7emsp")])
def test_the_generator_of_a_core_is_less_than_24_kilobytes(core, arch):
    """Sums of 64 bits, which are imported when a layer has them, are 2 more."""
    compiled, _ = cross_compile(package_files(), arch, 0x306)
    sizes = []
    for wide in (False, True):
        source = IMPORTED.format(core=core, wide=wide)
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
        names = [name.removeprefix("ucorr.").replace(".", "/") for name in done.stdout.split()]
        modules = [name if name + ".mpy" in compiled else name + "/__init__" for name in names]
        sizes.append(sum(len(compiled[name + ".mpy"]) for name in modules))
    assert sizes[0] < 24 * 1024
    assert sizes[1] < 26 * 1024
