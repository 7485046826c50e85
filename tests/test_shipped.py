"""Shipped networks by name: every command that takes a model, and a file of that name, which comes first."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import here
from oracle import two_layers
from serial_board import serial_board_fixture  # noqa: F401
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without a file of the name."""
    monkeypatch.chdir(tmp_path)


def test_a_command_takes_a_name_as_it_takes_the_file():
    told = [json.loads(here("info", model, "--json").stdout) for model in ("digits", DIGITS)]
    assert told[0]["steps"] == told[1]["steps"]
    assert told[0]["labels"] == list("0123456789")
    told = [json.loads(here("forecast", model, "--board", "pico", "--json").stdout) for model in ("digits", DIGITS)]
    assert told[0]["heap"]["arena"] == told[1]["heap"]["arena"] == 768
    profiled = here("profile", "digits", "--target", "cpython", "--json")
    assert (profiled.returncode, profiled.stderr) == (0, "")
    assert (json.loads(profiled.stdout)["model"], json.loads(profiled.stdout)["totals"]["macs"]) == ("digits", 25_600)


def test_convert_writes_the_labels_too(tmp_path):
    assert here("convert", "digits", "net.ucorr").returncode == 0
    digits.network().save(tmp_path / "same.ucorr")
    assert (tmp_path / "net.ucorr").read_bytes() == (tmp_path / "same.ucorr").read_bytes()


def test_run_reads_images_of_the_networks_own():
    result = here("run", "digits", "--target", "micropython")
    assert (result.returncode, result.stderr) == (0, "")
    *rows, more, last = result.stdout.splitlines()
    assert [row.split()[0] for row in rows] == list("01234")
    assert more == "... 10 rows in all"
    assert last == "micropython, on viper: equal, byte for byte"
    np.save("two.npy", digits.integers(digits.held_out()[0][5:7]))
    assert len(here("run", "digits", "two.npy").stdout.splitlines()) == 2


def test_a_file_of_the_name_comes_first(tmp_path):
    (tmp_path / "digits").write_bytes(two_layers())
    assert json.loads(here("info", "digits", "--json").stdout)["macs"] == 18_432
    result = here("run", "digits")
    assert result.returncode == 2
    assert "Missing argument 'INPUT'" in result.stderr


def test_a_board_gets_a_network_by_name_and_verifies_it(serial_board):
    port = ("--port", serial_board.port)
    result = here("deploy", *port, "--model", "digits")
    assert (result.returncode, result.stderr) == (0, "")
    assert "/digits.ucorr for any core, 5760 bytes" in result.stdout
    result = here("verify", *port, "--model", "digits")
    assert (result.returncode, result.stderr) == (0, "")
    assert "4 of 4 outputs of /digits.ucorr" in result.stdout
