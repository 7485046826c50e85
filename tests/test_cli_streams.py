"""The streams of `ucorr`: a reader that goes away, a full disk, a terminal of another code page, a closed stdout."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from commands import BIN, assert_one_sentence, here
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
PROFILE = ("profile", DIGITS, "--target", "cortex-m0plus")


@pytest.mark.parametrize("words", [PROFILE, ("info", DIGITS, "--json"), ("info", "--help"), ("--help",)])
def test_a_reader_that_goes_away_ends_it_quietly(words):
    read, write = os.pipe()
    os.close(read)
    try:
        result = subprocess.run(
            [str(BIN / "ucorr"), *words], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(write)
    assert (result.returncode, result.stderr) == (141, "")


def test_a_full_disk_behind_stdout_is_one_sentence():
    with open("/dev/full", "w") as full:
        result = subprocess.run([str(BIN / "ucorr"), *PROFILE], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "Error: [Errno 28] No space left on device\n")


def test_a_closed_stdout_is_no_error():
    line = f"'{BIN / 'ucorr'}' info --json >&-"
    result = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["cp437", "latin-1", "ascii", "utf-8"])
def test_what_a_code_page_lacks_is_replaced(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run([str(BIN / "ucorr"), *PROFILE], capture_output=True, env=environment, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    written = "utf-8" if encoding == "ascii" else encoding  # click takes an ASCII stream for a misconfigured one
    told = result.stdout.decode(written)
    assert "total" in told
    assert ("–" in told) == (written == "utf-8")
    result = subprocess.run([str(BIN / "ucorr"), "info", "µ–→.tflite"], capture_output=True, env=environment)
    assert result.returncode == 1
    assert result.stderr.decode(written).startswith("Error: ")


def test_an_unknown_target_of_bench_is_wrong_usage():
    for target in ("cortex-m9", "qemu", ""):
        result = here("bench", "--target", target)
        assert (result.returncode, f"--target: {target!r}, wanted host or one of cpython" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "--core", "cortex-m4", "--picture", "x.png"], "--core and --picture: wanted a MODEL beside it."),
        (["info", "--budget", "9"], "--budget: wanted a MODEL"),
        (["info", "--resume"], "--resume: wanted --port PORT"),
        (["info", DIGITS, "--port", "/dev/nowhere"], "--port: wanted no MODEL"),
        (["profile", DIGITS, "--port", "/dev/nowhere", "--target", "cortex-m4"], "--target: wanted no --port"),
        (["profile", DIGITS, "--input", "x.npy", "--seed", "1"], "--seed: wanted no --input"),
        (["bench", "--target", "host", "--backend", "viper"], "--backend: wanted another target"),
        (["bench", "--layers", ""], "--layers: none, wanted letters"),
        (["info", ""], "'[MODEL]': empty, wanted the name of a file"),
        (["profile", DIGITS, "--input", ""], "'--input': empty"),
        (["run", DIGITS, "x.npy", "--output", ""], "'--output': empty"),
        (["verify", "--report", ""], "'--report': empty"),
    ],
)
def test_no_option_is_lost(words, said):
    """Neither one that would mean nothing beside the others, nor one whose file's name is empty."""
    result = here(*words)
    assert (result.returncode, said in result.stderr) == (2, True), result.stderr
    assert result.stdout == ""


def test_a_variable_of_the_environment_may_mean_nothing(monkeypatch):
    monkeypatch.setenv("UCORR_PORT", "/dev/nowhere")
    assert here("info", DIGITS).returncode == 0


def test_an_empty_target_is_none(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    assert_one_sentence(here("run", DIGITS, tmp_path / "x.npy", "--target", ""), "target: '', wanted one of cpython")


def test_an_error_without_words_is_told_by_its_name(monkeypatch):
    def fails(path):
        raise ValueError

    monkeypatch.setattr("ucorr_tools.shipped.models.load_tflite", fails)
    assert_one_sentence(here("info", DIGITS), "Error: ValueError")
