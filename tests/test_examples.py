"""The examples on the MicroPython of the host: what they print is what the reference computes."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ucorr_host import reference
from ucorr_host.targets.micropython import executable, package_dir
from ucorr_tools.shipped import digits

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
LINES = 40


def printed(name, folder):
    """What an example prints on MicroPython, line by line."""
    path = {"MICROPYPATH": str(package_dir().parent)}
    done = subprocess.run(
        [executable(), str(EXAMPLES / name)], capture_output=True, text=True, timeout=60, cwd=folder, env=path
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def names_of(name, folder, monkeypatch):
    """What an example defines, after a run on CPython."""
    monkeypatch.chdir(folder)
    return runpy.run_path(str(EXAMPLES / name))


def test_the_camera_finds_the_edge_that_the_reference_finds(tmp_path, monkeypatch):
    defined = names_of("camera_edges.py", tmp_path, monkeypatch)
    frame = np.zeros((defined["HEIGHT"], defined["WIDTH"]), np.uint8)
    wanted = []
    for number in range(3):
        defined["capture"](frame.reshape(-1), number)
        edges = reference.correlate2d(frame, np.array(SOBEL), out_dtype="b", shift=-3)
        y, x = np.unravel_index(edges.argmax(), edges.shape)
        wanted.append(f"picture {number}: strongest edge at row {y + 1}, column {x + 1}: {edges[y, x]}")
    assert printed("camera_edges.py", tmp_path) == wanted


def test_the_filter_gives_what_the_reference_gives_of_the_whole_signal(tmp_path, monkeypatch):
    defined = names_of("filter_signal.py", tmp_path, monkeypatch)
    size = defined["BLOCK"]
    signal = np.array([defined["sample"](n) for n in range(4 * size)], np.int16)
    smooth = reference.correlate1d(signal, np.array([1, 4, 6, 4, 1]), padding=(4, 0), out_dtype="h", shift=-4)
    wanted = []
    for n in range(4):
        raw, low = signal[size * n : size * (n + 1)], smooth[size * n : size * (n + 1)]
        wanted.append(f"block {n}: raw {raw.min()}..{raw.max()}, smooth {low.min()}..{low.max()}")
    assert printed("filter_signal.py", tmp_path) == wanted


def test_the_digit_is_the_one_that_the_reference_reads(tmp_path, monkeypatch):
    network = digits.network()
    network.save(tmp_path / "digits.ucorr")
    defined = names_of("classify_digits.py", tmp_path, monkeypatch)
    frame = np.frombuffer(defined["frame"], np.uint8).astype(np.int16) - 128
    real = network.dequantize_output(network.run(frame.astype(np.int8).reshape(1, 8, 8, 1)))[0]
    wanted = f"It is a {real.argmax()}: {100 * real.max():.0f} %"
    assert printed("classify_digits.py", tmp_path) == [wanted]
    assert wanted.startswith("It is a 4")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_which_lines_change(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    assert re.findall(r"# (\(\d\))", text) == ["(1)", "(2)"]
