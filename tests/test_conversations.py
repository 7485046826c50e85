"""Conversations with targets: each answer is that of its question, whatever interrupts, whoever asks, and whatever
ends this process ends what it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import ucorr
import ucorr.backends
from ucorr_host import simulate
from ucorr_host.targets import board_side, children, here, micropython, simulator
from ucorr_host.targets.micropython import MicroPythonProcess, TargetError

SECONDS = 20  # for a process to end


class Question:
    """A dense layer of its own, all of one shape: nothing but its bytes tells its answer from another's."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        self.kernel = rng.integers(-128, 128, (3, 8))
        self.x = rng.integers(-128, 128, (2, 8), np.int8)  # two samples: the layer is kept for the second
        self.expected = (self.x.astype(np.int64) @ self.kernel.T).tolist()

    def ask(self, target: str) -> bool:
        """Whether the answer is its own."""
        result = simulate(ucorr.Dense(self.kernel.tolist()), self.x, target)
        backend = {"micropython": "viper", "cpython": "portable"}.get(target, "thumb")
        assert result.layers[0].backend == backend
        return result.output.tolist() == self.expected


class Interruption:
    """Raises an exception where CPython raises a signal's: after the n-th call of a builtin, or at the entry of a
    function, in the modules that hold a conversation. `raised` tells whether there were so many."""

    MODULES = frozenset(module.__name__ for module in (children, here, micropython, simulator, board_side))

    def __init__(self, n: int, error: type[BaseException]) -> None:
        self.left, self.error, self.raised = n, error, False

    def __call__(self, frame, event, arg):
        if event in ("call", "c_return") and frame.f_globals.get("__name__") in self.MODULES:
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                self.raised = True
                raise self.error("in the middle")

    def of(self, call) -> None:
        """Call and be interrupted."""
        sys.setprofile(self)
        try:
            call()
        except self.error:
            assert self.raised
        finally:
            sys.setprofile(None)


@pytest.fixture
def shared(monkeypatch):
    """A process of this test's own in the place of the shared one."""
    process = MicroPythonProcess(limit=SECONDS)
    monkeypatch.setattr(micropython, "_shared", process)
    yield process
    process.close()


ERRORS = (KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit)


@pytest.mark.parametrize("start", [False, True], ids=["running", "starting"])
def test_after_an_exception_at_any_moment_the_next_answers_are_their_own(shared, start):
    def ask(number: int) -> object:
        return simulator.ask({"attempt": f"answer = {number}"}, b"", "micropython")[0]["outcome"]

    for moment in range(10_000):
        if start:
            shared.close()
        else:
            ask(-1)
        interruption = Interruption(moment, ERRORS[moment % len(ERRORS)])
        interruption.of(lambda: ask(-2))
        assert ask(moment) == ["ok", moment]
        assert ask(moment + 1) == ["ok", moment + 1]
        if not interruption.raised:
            break
    assert moment > 40


@pytest.mark.parametrize("target", ["cpython", "cortex-m4"])
def test_an_exception_in_this_process_leaves_no_layer_backend_or_clock(target):
    question, modules, clock = Question(3), ucorr.backends.registered, board_side.clock
    message = {"layer": "Dense", "args": [question.kernel.tolist()], "options": {}, "backend": None, "keep": True}
    moment, raised = 0, True
    while raised:
        interruption = Interruption(moment, KeyboardInterrupt)
        interruption.of(lambda: simulator.ask(message, question.x[0].tobytes(), target))
        raised = interruption.raised
        assert ucorr.backends.registered is modules
        assert board_side.clock is clock
        if raised and moment % 16 == 0:
            assert Question(moment).ask(target)
            assert Question(moment + 1).ask("cpython")
        moment += 1
    assert moment > 30


def test_a_layer_whose_run_was_interrupted_is_not_kept(monkeypatch):
    question = Question(4)
    message = {"layer": "Dense", "args": [question.kernel.tolist()], "options": {}, "backend": None, "keep": True}
    _, data = simulator.ask(message, question.x[0].tobytes(), "cpython")
    assert np.frombuffer(data, np.int32).tolist() == question.expected[0]
    assert board_side._kept[0] == message

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(board_side, "framed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulator.ask(message, question.x[0].tobytes(), "cpython")
    assert board_side._kept == (None, None, None)


def test_what_is_written_to_the_pipe_by_others_is_no_answer(shared):
    with pytest.raises(TargetError, match="wrote what is no answer to the question asked"):
        shared.ask({"attempt": "print('x' * 100)"})
    assert shared.ask({"attempt": "answer = 5"})[0] == {"outcome": ["ok", 5]}


def test_a_question_in_the_middle_of_another_of_its_thread_is_refused(shared):
    def handler(*_):
        shared.ask({"attempt": "answer = 'of the handler'"})

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TargetError, match="asked in the middle of another question of the same thread"):
            shared.ask({"attempt": "while True: pass"})
    finally:
        signal.signal(signal.SIGALRM, before)
    assert shared.ask({"attempt": "answer = 6"})[0] == {"outcome": ["ok", 6]}


THREADS = (
    (["micropython"], 4, 40),
    (["micropython"], 16, 4),
    (["cpython"], 16, 40),
    (["cpython", "cortex-m4", "cpython", "cortex-m0plus"], 8, 8),
)


@pytest.mark.parametrize(("targets", "threads", "each"), THREADS)
def test_every_thread_gets_its_own_answers(targets, threads, each):
    questions = [Question(n) for n in range(threads * each)]
    together = threading.Barrier(threads)

    def ask(first: int) -> list[bool]:
        together.wait()
        own = questions[first::threads]
        return [question.ask(targets[(first + n) % len(targets)]) for n, question in enumerate(own)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet in the middle of a question
    try:
        with ThreadPoolExecutor(threads) as pool:
            right = [ok for oks in pool.map(ask, range(threads)) for ok in oks]
    finally:
        sys.setswitchinterval(interval)
    assert right.count(True) == threads * each


# Other processes: what they do, told in a script that imports what this module has

PARENT = """
import os, signal, sys, threading, time
sys.path.insert(0, {tests!r})
import test_conversations as here
from ucorr_host.targets import micropython
assert here.Question(1).ask("micropython")
child = micropython.shared().pid
def busy():
    micropython.shared().ask({{"attempt": "while True: pass"}})
"""
WAIT = "print(child, flush=True)\nsys.stdin.read()\n"
BUSY = "threading.Thread(target=busy, daemon=True).start()\nprint(child, flush=True)\nsys.stdin.read()\n"
FORKED = """
pid = os.fork()
if not pid:  # outlives its parent and holds what it inherited
    sys.stdin.read()
    os._exit(0)
print(child, flush=True)
signal.pause()
"""


@contextmanager
def parent(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs code, with a folder of its own for what is temporary; no fork of it stays."""
    script = PARENT.format(tests=str(Path(__file__).parent)) + textwrap.dedent(code)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def group(leader: int) -> list[int]:
    """The processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(") ")[2].split()[:3]
        except OSError:  # it ended
            continue
        if int(pgrp) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for_end(handles: list[int]) -> None:
    """Until the processes of these pidfds have ended."""
    for handle in handles:
        assert select.select([handle], [], [], SECONDS)[0], "a child outlived its parent"
        os.close(handle)


ENDS = {
    "terminated": (WAIT, signal.SIGTERM),
    "killed, its child busy": (BUSY, signal.SIGKILL),
    "killed, forked": (FORKED, signal.SIGKILL),
    "exit, its child busy": (BUSY + "sys.exit(3)", None),
    "_exit, its child busy": (BUSY + "os._exit(3)", None),
    "exception": (WAIT + "sys.stderr.close()\n1 / 0", None),
}


@pytest.mark.parametrize(("code", "how"), ENDS.values(), ids=ENDS)
def test_a_child_ends_with_its_parent_and_leaves_nothing(tmp_path, code, how):
    with parent(code, tmp_path) as process:
        child = int(process.stdout.readline())
        living = group(child)
        assert child in living
        assert len(living) == 2  # MicroPython and what watches over it
        handles = [os.pidfd_open(pid) for pid in living]
        assert list(tmp_path.iterdir()) == []
        if how is not None:
            process.send_signal(how)
        else:
            process.stdin.write("go on")
            process.stdin.close()
        wait_for_end(handles)
        assert group(child) == []
        assert process.wait(SECONDS) == (-how if how else 1 if "1 / 0" in code else 3)
    assert list(tmp_path.iterdir()) == []


def test_a_child_outlives_the_thread_that_started_it(shared):
    thread = threading.Thread(target=shared.ask, args=({"attempt": "answer = 1"},))
    thread.start()
    thread.join()
    pid = shared.pid
    assert shared.ask({"attempt": "answer = 2"})[0] == {"outcome": ["ok", 2]}
    assert shared.pid == pid


POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
with ProcessPoolExecutor(2, get_context({method!r})) as pool:
    results = [pool.submit(here.right, n, 10) for n in range(4)]
    mine = here.right(9, 30)
    assert all(result.result() for result in results)
assert mine
assert micropython.shared().pid == child
"""


def right(seed: int, count: int) -> bool:
    """Whether so many answers are right."""
    return all(Question(100 * seed + n).ask("micropython") for n in range(count))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_processes_of_a_pool_ask_a_process_of_their_own(tmp_path, method):
    with parent(POOL.format(method=method), tmp_path) as process:
        assert process.wait(SECONDS) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_fork_in_the_middle_of_a_question_does_not_wait_for_it(tmp_path):
    code = """
    threading.Thread(target=busy, daemon=True).start()
    while micropython.shared()._asking is None:
        pass
    pid = os.fork()
    if not pid:
        os._exit(0 if here.right(1, 5) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    """
    with parent(code, tmp_path) as process:
        assert process.wait(SECONDS) == 0
    assert list(tmp_path.iterdir()) == []


FIRST = """
import sys, threading
sys.setswitchinterval(1e-6)
import ucorr
ucorr.Layer
together, wrong = threading.Barrier(8), []
def make():
    together.wait()
    try:
        assert ucorr.Dense([[1, 2]]).backend == "portable"
    except BaseException as error:
        wrong.append(repr(error))
threads = [threading.Thread(target=make) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(wrong)
"""


def test_threads_may_make_the_first_layers_together():
    """The import of a backend that can't run here fails in one thread while others wait for it."""
    for _ in range(5):
        said = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True).stdout
        assert said == "[]\n"
