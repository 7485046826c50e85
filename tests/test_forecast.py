"""Forecasts: what they add up to, what they are made of, and how near their rules come to what was counted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import assert_one_sentence, command
from oracle import Model, two_layers
from ucorr_host import cores, load_tflite, simulate
from ucorr_host.forecast import estimate as rules
from ucorr_host.forecast.boards import BOARDS, board
from ucorr_host.forecast.estimate import forecast
from ucorr_host.networks import summary
from ucorr_host.networks.compile import compile
from ucorr_host.problems.named import layers
from ucorr_tools.boards.deploy import cross_compile, package_files
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
BENCHMARKS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@pytest.mark.parametrize("name", BOARDS)
def test_the_digits_fit_every_heap(name):
    found = forecast(digits.network(), board(name))
    assert found.verdict == "ram"
    assert found.heap_bytes == sum(found.heap.values()) <= found.heap_free == BOARDS[name].heap_bytes
    assert found.milliseconds == round(sum(found.cycles.values()) / BOARDS[name].mhz / 1000, 3)
    assert found.file_bytes == len(compile(digits.network(), BOARDS[name].core).to_bytes())
    assert found.fits == (name != "pyboard")  # whose flash has no room for file and package
    assert ("SD card" in found.sentences[3]) == (name == "pyboard")


@pytest.mark.parametrize("name", [name for name in BOARDS if BOARDS[name].core != "any"])
def test_cycles_of_machine_code_are_those_of_the_emulated_run(name):
    core = {"cortex-m0plus": "cortex-m0plus"}.get(BOARDS[name].core, "cortex-m4")
    network = digits.network()
    runs = simulate(network, network.random_input(), core).layers
    assert forecast(network, board(name)).cycles["code"] == sum(run.cycles or 0 for run in runs)


def test_arena_and_scratch_are_those_of_the_compiled_network():
    for name in ("pico", "pyboard"):
        found, compiled = forecast(digits.network(), board(name)), compile(digits.network(), BOARDS[name].core)
        assert (found.heap["arena"], found.heap["scratch"]) == (compiled.arena_bytes, compiled.scratch_bytes)
        assert found.heap["weights"] == found.file_bytes


def deep():
    """Eight layers of one shape, so that the file is large beside the largest table."""
    made, shape, scale = Model(), (1, 4, 4, 16), np.float32(0.05)
    x = made.tensor(shape, np.int8, None, scale)
    rng, first = np.random.default_rng(0), x
    for _ in range(8):
        kernel = made.tensor((16, 3, 3, 16), np.int8, rng.integers(-9, 9, (16, 3, 3, 16)).astype(np.int8), scale)
        bias = made.tensor((16,), np.int32, np.arange(16, dtype=np.int32), scale * scale)
        y = made.tensor(shape, np.int8, None, scale)
        words = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        made.operator("CONV_2D", [x, kernel, bias], [y], "Conv2DOptions", **words)
        x = y
    return load_tflite(made.build([first], [x]))


def test_where_the_file_does_not_fit_it_is_streamed_and_where_that_does_not_the_layer_is_told():
    network, pico = deep(), board("pico")
    compiled = compile(network, pico.core)
    tables = [len(part.code.table) for part in compiled.parts]
    roomy = forecast(network, pico)
    assert (roomy.verdict, "reading" in roomy.cycles) == ("ram", False)
    streamed = roomy.heap_bytes - roomy.file_bytes + sum(map(len, compiled.codes)) + max(tables)
    found = forecast(network, replace(pico, heap_bytes=roomy.heap_bytes - 1))
    assert (found.verdict, found.heap_bytes, found.peak["weights"]) == ("stream", streamed, max(tables))
    assert found.cycles["reading"] == rules.CYCLES * rules.READ_INSTRUCTIONS * sum(tables)
    assert forecast(network, replace(pico, heap_bytes=streamed)).verdict == "stream"
    found = forecast(network, replace(pico, heap_bytes=streamed - 1))
    assert (found.verdict, found.fits, found.heap_bytes) == ("no", False, streamed)
    assert f"does not fit: about {streamed:,} bytes of heap wanted, even streamed" in found.sentences[0]
    assert f"peak: step {found.peak['step']}, conv 3x3x16->16:" in found.sentences[2]


def test_the_peak_is_the_step_with_most_around_it():
    found = forecast(load_tflite(two_layers()), board("pico2"))
    # both layers hold two maps of 256 bytes; they have the same code
    assert (found.peak["step"], found.peak["alive"]) == (0, 512)
    assert found.peak["name"] == "conv 3x3x4->4"
    assert found.peak["scratch"] == found.heap["scratch"]
    for name in ("pico", "pico2"):
        peak = forecast(digits.network(), board(name)).peak
        steps = summary.report(compile(digits.network(), BOARDS[name].core))["steps"]
        needs = [step["alive_bytes"] + (step["scratch_bytes"] or 0) for step in steps]
        assert needs[peak["step"]] == peak["alive"] + peak["scratch"] == max(needs) > min(needs)


def test_a_forecast_says_that_it_is_one_and_where_its_figures_come_from():
    for row in BOARDS.values():
        said = " ".join(forecast(load_tflite(two_layers()), row).sentences)
        assert "all are estimates, no board was measured" in said
        assert row.remark in said
        assert min(len(row.mhz_source), len(row.heap_source), len(row.flash_source)) > 10
        assert row.core in cores.names()


def test_the_rule_for_viper_is_within_a_quarter_of_what_the_benchmarks_counted():
    """Instructions for each MAC of layers a to i on the emulated Cortex-M4."""
    table = BENCHMARKS.read_text(encoding="utf-8").partition("<!-- viper begins -->")[2]
    counted = re.findall(r"^\| ([a-i]) \| ([\d.]+) \|", table, re.MULTILINE)
    assert len(counted) == 9
    problems = layers()
    for letter, per_mac in counted:
        spec = problems[letter].make("portable").spec
        rule = rules.VIPER_MAC + rules.VIPER_OUTPUT * spec.output_length / spec.macs
        assert 0.75 < rule / float(per_mac) < 1.25, letter


def test_what_viper_packs_is_within_a_quarter_of_what_a_micropython_packed():
    for network in (digits.network(), load_tflite(two_layers())):
        memory = simulate(network, network.random_input(), "micropython").memory
        compiled = compile(network, "any")
        specs = [part.spec for part in compiled.parts if part.spec is not None]
        assert 0.75 < sum(map(rules.packed_by_viper, specs)) / memory["packed"] < 1.25
        assert 0.75 < max(map(rules.viper_scratch, specs)) / memory["scratch"] < 2
        assert memory["arena"] == compiled.arena_bytes


def test_the_package_is_no_larger_than_a_forecast_says():
    files, _ = cross_compile(package_files(), "xtensawin", 6 | 3 << 8)
    blocks = sum(-(-len(data) // 4096) * 4096 for data in files.values())
    assert blocks <= rules.PACKAGE_FILES < 1.5 * blocks


def test_the_command_prints_sentences_or_json():
    result = command("ucorr", "forecast", DIGITS, "--board", "pico2")
    assert (result.returncode, result.stderr) == (0, "")
    assert tuple(result.stdout.splitlines()) == forecast(load_tflite(DIGITS), board("pico2")).sentences
    told = json.loads(command("ucorr", "forecast", DIGITS, "--board", "pico2", "--json").stdout)
    assert (told["verdict"], told["fits"], told["figures"]["mhz"]) == ("ram", True, 150)
    assert np.sum(list(told["heap"].values())) == told["heap_bytes"]


def test_an_unknown_board_is_one_sentence_with_the_names():
    result = command("ucorr", "forecast", DIGITS, "--board", "picoo")
    assert_one_sentence(result, "board: 'picoo', wanted one of pico pico2 pyboard teensy41 esp32")


def test_a_network_that_does_not_fit_is_status_1_with_its_layer(tmp_path):
    """One map of 256 kB is more than a pyboard has."""
    made = Model()
    x = made.tensor((1, 512, 512, 1), np.int8, None, np.float32(1), -128)
    y = made.tensor((1, 512, 512, 1), np.int8, None, np.float32(1), -128)
    made.operator("RELU", [x], [y])
    (tmp_path / "large.tflite").write_bytes(made.build([x], [y]))
    result = command("ucorr", "forecast", str(tmp_path / "large.tflite"), "--board", "pyboard")
    assert result.returncode == 1
    assert "does not fit" in result.stdout
    assert "peak: step 0, lookup" in result.stdout
    assert result.stderr.startswith("Error: ")
