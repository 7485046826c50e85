"""simulate and bench on an emulated board: the same bits, and instructions within what was reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ucorr
from commands import command
from numpy.testing import assert_array_equal
from ucorr_host import reference, simulate
from ucorr_tools.bench.layers import FIELDS, bench
from ucorr_tools.pictures.picture import photograph, save
from ucorr_tools.qemu import targets

# Instructions per MAC of the viper backend on a Cortex-M4, everything counted.
WITHIN = {"a": 22, "b": 14, "c": 14, "d": 15, "e": 35, "f": 22, "g": 30, "h": 20, "i": 14}


@pytest.fixture(autouse=True)
def no_board_left() -> Iterator[None]:
    """The board of a test is gone when another process wants one."""
    yield
    targets.close()


@pytest.mark.parametrize("letter", WITHIN)
def test_viper_on_a_cortex_m4_stays_within_its_instructions(counted, letter):
    row = counted[letter]
    assert row["verified"]
    assert row["instructions_per_mac"] <= WITHIN[letter]
    assert row["prepare_instructions"] > 0


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, Any]]:
    rows = bench("qemu-m4", WITHIN, ["viper"])["rows"]
    targets.close()
    return {row["layer"]: row for row in rows}


def test_a_cortex_m4_writes_the_machine_code_of_a_layer_in_half_a_second_at_100_mhz():
    (row,) = bench("qemu-m4", "b", ["thumb"])["rows"]
    assert row["verified"]
    assert 1_000_000 < row["prepare_instructions"] < 50_000_000


def test_bench_compares_all_backends_on_one_board():
    result = command("ucorr", "bench", "--target", "qemu-m4", "--layers", "e", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["target"] == "qemu-m4"
    thumb, viper, naive, portable = told["rows"]
    assert (thumb.pop("packing"), thumb.pop("code_bytes") > 0) == ("fast", True)
    thumb |= {"packing": None, "code_bytes": None}
    for row in told["rows"]:
        assert set(row) == set(FIELDS)
        assert row["verified"]
        assert row["instructions_per_mac"] == round(row["instructions"] / row["macs"], 2)
        assert row["packing"] is row["cycles_per_mac"] is row["code_bytes"] is row["nanoseconds_per_mac"] is None
    assert 10 * thumb["instructions"] < viper["instructions"]
    assert 5 * viper["instructions"] < naive["instructions"] < portable["instructions"] / 3


def test_a_layer_that_does_not_fit_is_a_row_with_the_reason():
    told = bench("qemu-m0", "i", ["viper"])
    assert [row["reason"] for row in told["rows"]] == ["does not fit this target's heap"]
    assert not told["rows"][0]["verified"]


def test_simulate_gives_the_bits_of_the_reference_and_counts(tmp_path):
    rng = np.random.default_rng(2)
    kernel, x = rng.integers(-9, 10, (3, 3)), rng.integers(-128, 128, (2, 7, 8), np.int8)
    result = simulate(ucorr.Correlate2D(kernel, (7, 8)), x, "qemu-m33")
    assert_array_equal(result.output, reference.correlate2d(x, kernel))
    (layer,) = result.layers
    assert (layer.backend, layer.microseconds) == ("thumb", None)
    assert layer.instructions is not None
    assert 2_000 < layer.instructions < 100_000
    targets.close()
    save(photograph()[40:60, 30:54], tmp_path / "in.png")
    done = command("ucorr", "simulate", str(tmp_path / "in.png"), "sobel-x", "--target", "qemu-rv32", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["equal"], told["backend"]) == (0, True, "viper")
    assert told["instructions"] > 0
