"""Profiles: totals, what is counted where, that a wrong byte ends them, and that a board is left as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import assert_one_sentence, command
from oracle import two_layers
from PIL import Image
from serial_board import SerialBoard, serial_board_fixture  # noqa: F401
from ucorr_host import Network, TargetError, load_tflite, simulate
from ucorr_host.networks.compile import compile
from ucorr_tools.bench import profiling
from ucorr_tools.boards.board import Board
from ucorr_tools.boards.deploy import deploy
from ucorr_tools.cli.profile import text
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
SUMMED = ("macs", "instructions", "cycles", "microseconds", "weight_bytes")


def assert_adds_up(told):
    """Totals are the sums of their columns, per_mac the quotient of two of them."""
    for name in SUMMED:
        values = [row[name] for row in told["rows"] if row[name] is not None]
        assert told["totals"][name] == (sum(values) if values else None), name
    times = 1000 if told["unit"] == "microseconds" else 1
    for row in (*told["rows"], told["totals"]):
        macs = row["macs"]
        if row is told["totals"]:
            macs = sum(one["macs"] for one in told["rows"] if one[told["unit"]] is not None)
            assert row["counted_macs"] == macs
        counted = row[told["unit"]] is not None and macs
        assert row["per_mac"] == (round(times * row[told["unit"]] / macs, 3) if counted else None)


@pytest.mark.parametrize(
    ("target", "unit"),
    [
        ("cortex-m4", "cycles"),
        ("cortex-m0plus", "cycles"),
        ("cortex-m33", "instructions"),
        ("micropython", "microseconds"),
        ("cpython", "microseconds"),
    ],
)
def test_totals_are_the_sums_of_the_rows(target, unit):
    network = digits.network()
    told = profiling.on_target(network, network.random_input(), target)
    assert (told["target"], told["unit"]) == (target, unit)
    assert told["totals"]["macs"] == 25600
    assert_adds_up(told)
    assert told["rows"][0]["layer"] == "conv 3x3x1->8"
    assert [row["backend"] for row in told["rows"]] == {
        "micropython": ["viper"] * 4,
        "cpython": ["portable"] * 4,
    }.get(target, ["thumb"] * 3 + ["portable"])


def test_instructions_and_cycles_are_those_of_simulate():
    network, x = digits.network(), digits.integers(digits.held_out()[0][:2])
    told = profiling.on_target(network, x, "cortex-m0plus")
    layers = simulate(network, x, "cortex-m0plus").layers
    assert [row["cycles"] for row in told["rows"]] == [layer.cycles for layer in layers]
    assert [row["instructions"] for row in told["rows"]] == [layer.instructions for layer in layers]
    compiled = compile(network, "cortex-m0plus")
    assert [row["weight_bytes"] for row in told["rows"]] == [part.weight_bytes for part in compiled.parts]


def test_cores_whose_files_are_the_same_are_run_apart():
    """A Cortex-M33 gets a Cortex-M4's code, but has no table of cycles."""
    network = digits.network()
    told = {core: profiling.on_target(network, network.random_input(), core) for core in ("cortex-m4", "cortex-m33")}
    assert [told[core]["totals"]["cycles"] is None for core in told] == [False, True]
    assert told["cortex-m4"]["totals"]["instructions"] == told["cortex-m33"]["totals"]["instructions"]


def test_what_the_figures_leave_out_is_said():
    network = digits.network()
    notes = {
        target: " ".join(profiling.on_target(network, network.random_input(), target)["notes"])
        for target in ("cortex-m4", "cortex-m7", "micropython")
    }
    assert "cycles are estimated" in notes["cortex-m4"]
    assert "not counted, being no machine code: softmax" in notes["cortex-m4"]
    assert "no cycles: there are tables for cortex-m0plus and cortex-m4 only" in notes["cortex-m7"]
    assert "microseconds of this machine" in notes["micropython"]


@pytest.mark.parametrize("target", ["cortex-m4", "micropython"])
def test_one_wrong_byte_is_an_error_and_nothing_is_told(monkeypatch, target):
    network, right = digits.network(), Network.run

    def wrong(self, *inputs):
        output = right(self, *inputs).copy()
        output.flat[3] ^= 1
        return output

    monkeypatch.setattr(Network, "run", wrong)
    with pytest.raises(TargetError, match=f"1 of 10 outputs on {target} differ from the reference: nothing was"):
        profiling.on_target(network, network.random_input(), target)


def test_random_input_covers_its_dtype_and_follows_its_seed():
    network = load_tflite(two_layers())
    x = network.random_input()
    assert (x.shape, x.dtype) == ((1, 8, 8, 4), np.int8)
    assert (x.min() < -100, x.max() > 100) == (True, True)
    np.testing.assert_array_equal(x, network.random_input(0))
    assert (x != network.random_input(1)).any()


def test_the_command_prints_a_table_and_draws_bars(tmp_path):
    picture = tmp_path / "new" / "bars.png"
    result = command("ucorr", "profile", DIGITS, "--picture", str(picture))
    assert (result.returncode, result.stderr) == (0, "")
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["layer", "output", "MACs", "instructions", "cycles", "per", "MAC", "weights", "backend"]
    assert lines[4].startswith("total ")
    assert "equal to the reference byte for byte on cortex-m4" in lines[5]
    with Image.open(picture) as image:
        bars = image.convert("RGB")
        colour = (0x8F, 0xB8, 0xDE)  # of machine code
        runs = [sum(bars.getpixel((x, 28 + 20 * n + 8)) == colour for x in range(image.width)) for n in range(4)]
    told = json.loads(command("ucorr", "profile", DIGITS, "--json").stdout)
    assert_adds_up(told)
    spent = [row["cycles"] or 0 for row in told["rows"]]
    assert runs == pytest.approx([480 * cycles / max(spent) for cycles in spent], abs=3)


def test_the_command_takes_an_input(tmp_path):
    x = digits.integers(digits.held_out()[0][:1])
    np.save(tmp_path / "x.npy", x[0])
    network = load_tflite(DIGITS)
    result = command("ucorr", "profile", DIGITS, "--input", str(tmp_path / "x.npy"), "--json")
    assert result.returncode == 1  # three dimensions where four are wanted
    np.save(tmp_path / "x.npy", x)
    result = command(
        "ucorr", "profile", DIGITS, "--target", "cortex-m0plus", "--input", str(tmp_path / "x.npy"), "--json"
    )
    assert json.loads(result.stdout) == {"model": "digits", **profiling.on_target(network, x, "cortex-m0plus")}
    np.save(tmp_path / "real.npy", (x.astype(np.float32) + 128) / 255)
    assert command("ucorr", "profile", DIGITS, "--input", str(tmp_path / "real.npy")).returncode == 0


@pytest.mark.parametrize("name", ["profile", "forecast"])
def test_what_is_no_model_is_one_sentence(tmp_path, name):
    (tmp_path / "model.tflite").write_text("no model")
    more = ["--board", "pico"] if name == "forecast" else []
    result = command("ucorr", name, str(tmp_path / "model.tflite"), *more)
    assert_one_sentence(result, "don't begin as a .tflite file does")
    assert_one_sentence(command("ucorr", name, "none.tflite", *more, cwd=tmp_path), "none.tflite")
    assert command("ucorr", name, "--help").stdout.startswith(f"Usage: ucorr {name}")


def test_an_unknown_target_is_one_sentence():
    assert_one_sentence(command("ucorr", "profile", DIGITS, "--target", "cortex"), "target: 'cortex', wanted one of")


def test_the_table_of_an_unprofiled_step_has_a_dash():
    network = digits.network()
    told = profiling.on_target(network, network.random_input(), "cortex-m4")
    assert [cell for cell in text(told).splitlines()[4].split() if cell == "–"] == ["–"] * 3


# On a board


def test_a_board_tells_microseconds_and_keeps_nothing(serial_board):
    assert command("ucorr", "deploy", "--mpy", "--port", serial_board.port).returncode == 0
    with Board(serial_board.port) as board:
        before = board.tree("/")
    result = command("ucorr", "profile", DIGITS, "--port", serial_board.port, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert (told["target"], told["core"], told["unit"]) == (serial_board.port, "any", "microseconds")
    assert_adds_up(told)
    assert {row["backend"] for row in told["rows"]} == {"viper"}
    with Board(serial_board.port) as board:
        assert board.tree("/") == before


def test_a_board_that_starts_in_flash_has_everything_there(tmp_path):
    board = SerialBoard(tmp_path / "board", place="/flash").start()
    try:
        port = ["--port", board.port]
        told = json.loads(command("ucorr", "info", "--json", *port).stdout)
        assert told["free_flash"] == 254 * 4096
        assert_one_sentence(command("ucorr", "deploy", *port), "no writable file system at /lib; ucorr is not")
        words = ["--mpy", "--target", "/flash/lib", "--model", DIGITS]
        assert command("ucorr", "deploy", *words, *port).returncode == 0
        for words in (["profile", DIGITS], ["verify", "--model", DIGITS]):
            result = command("ucorr", *words, *port)
            assert (result.returncode, result.stderr) == (0, "")
        with Board(board.port) as connected:
            assert set(connected.listdir("/flash")) == {"lib", "digits.ucorr", "main.py"}
    finally:
        board.kill()


def test_a_board_whose_output_differs_is_an_error_and_keeps_nothing(serial_board, monkeypatch):
    network, right = digits.network(), Network.run
    with Board(serial_board.port) as board:
        deploy(board)
        before = board.tree("/")
        monkeypatch.setattr(Network, "run", lambda self, x: right(self, x) ^ 1)
        with pytest.raises(TargetError, match=r"10 of 10 outputs on .* differ from the reference"):
            profiling.on_board(network, network.random_input(), board)
        assert board.tree("/") == before


def test_an_error_on_the_board_is_one_sentence_and_keeps_nothing(serial_board, monkeypatch):
    network = digits.network()
    with Board(serial_board.port) as board:
        deploy(board)
        before = board.tree("/")
        monkeypatch.setattr(profiling, "ANY", "cortex-m4")  # machine code, which this one can't run
        with pytest.raises(TargetError, match=r"ValueError on .*: model: step 0 .*machine code"):
            profiling.on_board(network, network.random_input(), board)
        assert board.tree("/") == before


def test_a_board_without_ucorr_names_the_remedy(serial_board):
    assert_one_sentence(command("ucorr", "profile", DIGITS, "--port", serial_board.port), "run `ucorr deploy` first")
