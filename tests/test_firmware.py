"""The board package compiles for the cores it is for, and asks for nothing that a small firmware lacks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ucorr_host.targets.micropython import package_dir
from ucorr_tools.boards.deploy import cross_compile, package_files

ARCHES = ["armv6m", "armv7m", "armv7emsp", "xtensawin", "x64"]
MPY_6_3 = 0x306  # version 6, native sub-version 3: MicroPython 1.23 and later


@pytest.mark.parametrize("arch", ARCHES)
def test_every_file_compiles_for_every_core_viper_included(arch):
    # ARMv6-M's branches reach 2 kB: a longer loop is refused by its native emitter.
    compiled, as_source = cross_compile(package_files(), arch, MPY_6_3)
    assert as_source == ([] if arch.startswith("arm") else ["backends/thumb_call.py"])
    assert {name.partition(".")[0] for name in compiled} == {name[:-3] for name in package_files()}


@pytest.mark.parametrize("path", sorted(package_dir().rglob("*.py")), ids=lambda path: path.stem)
def test_a_file_imports_only_what_every_board_has(path: Path):
    allowed = {"array", "gc", "sys", "struct", "micropython", "uctypes"}
    allowed.add("ctypes")  # on CPython alone, in place of uctypes
    allowed.add("binascii")  # where it is; format.py can do without
    allowed.add("time")  # likewise, for profile()
    allowed.add("hashlib")  # likewise; digest.py says where it is missing
    allowed.add("_thread")  # likewise; calls.py does without
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module in allowed
