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
from ucorr_host.cores import named as named_core
from ucorr_host.networks.compile import compile
from ucorr_host.problems.named import named
from ucorr_host.targets.simulator import core_of, targets
from ucorr_tools.boards.board import ARCHITECTURES
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
NOBODYS = 0xFFE  # a part that no core has
MADE_UP = Core("made-up", "armv7em", 99, (8,), NOBODYS, dsp=True)


@pytest.fixture
def made_up():
    """A core that no table knows, by one row here and one on the host."""
    with patch.object(cores, "CORES", (*CORES, MADE_UP)), patch.dict(EMULATED, {MADE_UP.name: Emulated("CORTEX_M33")}):
        yield


def test_a_core_is_a_row(made_up):
    assert MADE_UP.name in targets()
    assert core_of(MADE_UP.name) == MADE_UP.name
    assert cores.detect(8, lambda: NOBODYS).name == MADE_UP.name
    network = load_tflite(DIGITS)
    compiled = compile(network, MADE_UP.name)
    assert (
        ucorr.format.number(lambda at, count: compiled.to_bytes()[at : at + count], ucorr.format.CORE) == MADE_UP.number
    )
    x = network.random_input()
    result = simulate(network, x, MADE_UP.name)
    assert result.output.tolist() == network.run(x).tolist()
    assert {layer.backend for layer in result.layers} == {"thumb", "portable"}
    problem = next(one for one in named() if one.name == "conv")
    assert problem.taken_by("thumb", MADE_UP.name)
    plan = Plan(problem.make("portable").spec, MADE_UP)
    assert plan.code == Plan(problem.make("portable").spec, named_core("cortex-m33")).code
    assert here("convert", DIGITS, os.devnull, "--core", MADE_UP.name).returncode == 0


def test_every_core_is_emulated_and_every_number_has_one_instruction_set():
    assert set(EMULATED) == set(names()[1:])
    for number in {core.number for core in CORES}:
        assert len({(core.isa, core.dsp) for core in CORES if core.number == number}) == 1


def test_cycles_are_those_of_a_core_that_runs_the_same_code_and_has_costs():
    for name, row in EMULATED.items():
        found = counted_on(name)
        assert named_core(found).number == named_core(name).number
        assert EMULATED[found].costs
        assert found == name or not row.costs
    assert counted_on("any") is None


def test_no_board_is_two_cores():
    for arch in {arch for core in CORES for arch in core.arches}:
        assert ARCHITECTURES[arch]
        parts = [core.part for core in CORES if arch in core.arches]
        assert len(parts) == len(set(parts))


@pytest.mark.parametrize(
    ("arch", "part", "core"),
    [
        (0, None, None), (3, None, None), (9, None, None), (11, None, None), (4, 0xC60, "cortex-m0plus"),
        (5, 0xC23, "cortex-m3"), (6, 0xC23, "cortex-m3"), (6, 0xC24, "cortex-m4"), (7, 0xC23, "cortex-m4"),
        (8, 0xC27, "cortex-m7"), (7, 0xD21, "cortex-m33"), (7, NOBODYS, "cortex-m4"),
    ],
)  # fmt: skip
def test_a_board_has_one_core_by_its_firmware_and_its_part(arch, part, core):
    alone = sum(arch in core.arches for core in CORES) < 2
    found = cores.detect(arch, lambda: pytest.fail("asked for the part") if alone else part)
    assert (found and found.name) == core
