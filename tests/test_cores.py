"""One table of cores: a row there is all that a core needs to be found, compiled for and generated for."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest
import ucorr
from commands import here
from ucorr.codegen import cores
from ucorr.codegen.cores import CORES, Core
from ucorr.codegen.plan import Plan
from ucorr_host import load_tflite, simulate
from ucorr_host.cores import EMULATED, Emulated, counted_on, names
from ucorr_host.networks.compile import compile
from ucorr_host.problems.named import named
from ucorr_host.targets.simulator import core_of, targets
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
MADE_UP = Core("cortex-m55", "armv7em", 9, (8,), 0xD22, dsp=True)


@pytest.fixture
def made_up():
    """A core that no table knows, by one row here and one on the host."""
    with patch.object(cores, "CORES", (*CORES, MADE_UP)), patch.dict(EMULATED, {MADE_UP.name: Emulated("CORTEX_M33")}):
        yield


def test_a_core_is_a_row(made_up):
    assert MADE_UP.name in targets()
    assert core_of(MADE_UP.name) == MADE_UP.name
    assert cores.detect(8, lambda: 0xD22).name == MADE_UP.name
    network = load_tflite(DIGITS)
    compiled = compile(network, MADE_UP.name)
    assert ucorr.format.number(lambda at, count: compiled.to_bytes()[at : at + count], ucorr.format.CORE) == 9
    x = network.random_input()
    result = simulate(network, x, MADE_UP.name)
    assert result.output.tolist() == network.run(x).tolist()
    assert {layer.backend for layer in result.layers} == {"thumb", "portable"}
    problem = next(one for one in named() if one.name == "conv")
    assert problem.taken_by("thumb", MADE_UP.name)
    plan = Plan(problem.make("portable").spec, MADE_UP)
    assert plan.code == Plan(problem.make("portable").spec, CORES[-1]).code
    assert here("convert", DIGITS, os.devnull, "--core", MADE_UP.name).returncode == 0


def test_every_core_is_emulated_and_every_number_has_one_instruction_set():
    assert list(EMULATED) == names()[1:]
    for number in {core.number for core in CORES}:
        assert len({(core.isa, core.dsp) for core in CORES if core.number == number}) == 1
    assert [counted_on(name) for name in EMULATED] == ["cortex-m0plus"] * 2 + ["cortex-m4"] * 3
    assert counted_on("any") is None


@pytest.mark.parametrize(
    ("arch", "part", "core"),
    [
        (0, None, None), (3, None, None), (9, None, None), (11, None, None), (4, None, "cortex-m0plus"),
        (5, None, "cortex-m3"), (6, 0xC23, "cortex-m3"), (6, 0xC24, "cortex-m4"), (7, 0xC23, "cortex-m4"),
        (8, 0xC27, "cortex-m7"), (7, 0xD21, "cortex-m33"), (7, 0xD22, "cortex-m4"),
    ],
)  # fmt: skip
def test_a_board_has_one_core_by_its_firmware_and_its_part(arch, part, core):
    found = cores.detect(arch, lambda: part if part is not None else pytest.fail("asked for the part"))
    assert (found and found.name) == core
