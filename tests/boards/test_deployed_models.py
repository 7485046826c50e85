"""ucorr deploy --model on emulated boards: each gets the file for its core, and has the reference's bytes."""

from __future__ import annotations

import json

import pytest
from commands import command
from ucorr_tools.qemu.emulator import Emulator
from ucorr_tools.qemu.machines import MACHINES
from ucorr_tools.shipped import digits

MODEL = str(digits.DATA / "digits.tflite")
LAYERS = dict.fromkeys(MACHINES, ["thumb"] * 3 + ["viper"]) | {"qemu-m0-plain": ["portable"] * 4}
LAYERS |= {"qemu-rv32": ["viper"] * 4}


@pytest.mark.parametrize("target", MACHINES)
def test_a_board_gets_the_file_for_its_core_and_equals_the_reference(target):
    with Emulator(MACHINES[target]) as emulator:
        emulator.connect().close()
        words = ["--resume", "--json", "--port", emulator.port, "--model", MODEL]
        deployed = command("ucorr", "deploy", "--mpy", *words)
        verified = command("ucorr", "verify", *words)
    assert deployed.returncode == 0, deployed.stderr
    assert verified.returncode == 0, verified.stderr
    assert json.loads(deployed.stdout)["model"]["core"] == MACHINES[target].core
    told = json.loads(verified.stdout)
    assert [row["equal"] for row in told["samples"]] == [True] * 4
    assert [layer["backend"] for layer in told["layers"]] == LAYERS[target]
