"""Profiles of which a part is not counted: the total per MAC is over what was, and how much was not is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image
from ucorr_host import simulate
from ucorr_host.networks.compile import compile
from ucorr_tools.bench import profile_picture, profiling, tables
from ucorr_tools.cli.profile import text
from ucorr_tools.shipped import digits

COMPILED = compile(digits.network(), "cortex-m4")
RUNS = simulate(COMPILED, digits.network().random_input(), "cortex-m4").layers
UNCOUNTED = {"instructions": None, "cycles": None}


def profile(left):
    """What is told where some of the steps are not counted."""
    runs = [replace(run, **UNCOUNTED) if gone else run for run, gone in zip(RUNS, left, strict=True)]
    assert any(run.cycles for run in RUNS)
    return profiling.told(COMPILED, runs, "cortex-m4")


@given(st.tuples(*[st.booleans()] * len(RUNS)).filter(lambda left: not all(left[:3])))
@example((False, True, False, False))
def test_the_total_per_mac_is_over_what_was_counted(left):
    told = profile(left)
    counted = [row for row in told["rows"] if row["cycles"] is not None]
    macs = sum(row["macs"] for row in counted)
    assert (told["totals"]["macs"], told["totals"]["counted_macs"]) == (25600, macs)
    assert told["totals"]["per_mac"] == round(sum(row["cycles"] for row in counted) / macs, 3)
    each = [row["per_mac"] for row in counted if row["per_mac"]]
    assert min(each) <= told["totals"]["per_mac"] <= max(each)
    sentence = f"of 25,600 MACs {macs:,} are counted"
    assert (sentence in text(told)) == (macs != 25600)


def test_the_picture_says_how_much_was_counted(tmp_path):
    told = profile((False, True, False, False))
    whole = {**told, "totals": {**told["totals"], "counted_macs": 25600}}
    heads = []
    for name, one in (("part.png", told), ("whole.png", whole)):
        profile_picture.draw(one, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            heads.append(np.asarray(image.convert("L")))
    assert (heads[0][:24] != heads[1][:24]).any()
    assert_array_equal(heads[0][28:], heads[1][28:])


def test_the_table_of_networks_is_over_what_was_counted():
    totals = {"macs": 1_000_000, "counted_macs": 250_000, "instructions": 500_000, "cycles": 750_000}
    part = {"totals": totals, "arena_bytes": 4096, "scratch_bytes": 640}
    whole = {**part, "totals": {**totals, "counted_macs": 1_000_000}}
    cores = ((tables.GENERATED, part), (tables.SMALL, whole))
    profiles = {(model, core): told for model in tables.NETWORKS for core, told in cores}
    for core, figures in ((tables.GENERATED, "2.00 (25 %) | **3.00** (25 %)"), (tables.SMALL, "0.50 | **0.75**")):
        line = f"| 8x8 digits, ours | 1,000,000 | {figures} | – | – | 4,096 | 640 |"
        assert line in tables.networks(profiles, core).splitlines()
