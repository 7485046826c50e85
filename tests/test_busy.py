"""One call of a layer at a time: two at once would use one scratch memory, so the second one is refused."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import ucorr
from test_buffers import LAYERS, everywhere, outcome_of, start
from ucorr_host.targets.micropython import executable, package_dir

each = pytest.mark.parametrize("name", LAYERS)
REFUSED = "call: came while another one runs, wanted one at a time (both would use one memory)"

CALLBACK = """
import micropython

inputs = tuple([bytearray([(7 * n + k) % 256 for n in range(size)]) for k, size in enumerate(sizes)])
out, others, layer, said = bytearray(out_size), bytearray(out_size), make(), []
call(layer, inputs, out)
wanted = bytes(out)

def callback(_):
    # in the middle of whatever runs
    try:
        call(layer, inputs, others)
        said.append("ran")
    except RuntimeError as error:
        said.append(str(error))

equal = True
for n in range(60):
    micropython.schedule(callback, 0)
    if hasattr(layer, "reset"):
        layer.reset()
    call(layer, inputs, out)
    equal = equal and bytes(out) == wanted
answer = [equal, len(said), sorted(set(said))]
"""


@pytest.mark.parametrize("backend", ["portable", "viper"])
@each
def test_a_callback_that_calls_the_layer_that_runs_is_refused(name, backend):
    """A scheduled callback runs at the next branch: in the callback's own function, or in the call that is made."""
    kind, (equal, count, said) = outcome_of(start(name, backend) + CALLBACK, "micropython")
    assert (kind, count) == ("ok", 60)
    assert equal or name == "stream"  # whose reset() the callback may come behind
    assert set(said) <= {"ran", REFUSED}


INSIDE = """
layer = ucorr.Lookup(bytes(256), 4, backend={backend!r})
plan = layer.plan
class Nested:
    typed = plan.typed
    def run(self, inputs, out):
        layer(bytes(4), bytearray(4))
layer.plan = Nested()
answer = []
for _ in range(2):
    try:
        layer(bytes(4), bytearray(4))
    except RuntimeError as error:
        answer.append(str(error))
layer.plan = plan
out = bytearray(b"abcd")
layer(bytes(4), out)
answer.append(list(out))
"""


@everywhere
def test_a_call_within_a_call_is_refused_and_the_layer_goes_on(target, backend):
    outcome = outcome_of(INSIDE.format(backend=backend), target)
    assert outcome == ["ok", [REFUSED, REFUSED, [0] * 4]]


AFTER = """
inputs = tuple([bytearray(size) for size in sizes])
out, wrong, layer, answer = bytearray(out_size), tuple([bytes(1) + bytes(size) for size in sizes]), make(), []
for n in range(3):
    answer.append(told(layer, wrong, out) is not None)
    answer.append(told(layer, inputs, out))
"""


@everywhere
@each
def test_a_layer_is_free_after_an_exception(target, backend, name):
    assert outcome_of(start(name, backend) + AFTER, target) == ["ok", [True, None] * 3]


THREADS = """
import _thread, gc, time
from array import array

rounds, threads = 50000, 2
layer = ucorr.Correlate1D([1, 2, 3], 32, dtype="B", out_dtype="h", backend={backend!r})
wrong, refused, done, made = [0] * threads, [0] * threads, [0] * threads, [0] * threads

def work(which):
    try:
        x = bytearray([(which * 31 + 5 * n) % 256 for n in range(32)])
        out = array("h", [0] * 30)
        wanted = [x[n] + 2 * x[n + 1] + 3 * x[n + 2] for n in range(30)]
        count = 0
        while count < rounds:
            count += 1
            try:
                layer(x, out)
            except RuntimeError:
                refused[which] += 1
                continue
            made[which] += 1
            if count % 16 == 0:
                wrong[which] += list(out) != wanted
            else:
                wrong[which] += out[29] != wanted[29] or out[0] != wanted[0]
    finally:
        done[which] = 1

for which in range(threads):
    _thread.start_new_thread(work, (which,))
while not all(done):
    time.sleep_ms(5)
out = array("h", [0] * 30)
layer(bytearray(32), out)
answer = [sum(wrong), sum(made) + sum(refused), min(made) > 0, list(out) == [0] * 30]
"""


@pytest.mark.parametrize("backend", ["portable", "viper"])
def test_two_threads_get_right_bits_or_are_refused(backend):
    outcome = outcome_of(THREADS.format(backend=backend), "micropython")
    assert outcome == ["ok", [0, 100000, True, True]]


def test_threads_on_the_host_get_right_bits_or_are_refused():
    layer = ucorr.Correlate1D([1, 2, 3], 32, dtype="B", out_dtype="i")
    wrong: list[int] = []
    right: list[int] = []
    refused: list[str] = []

    def work(which: int) -> None:
        x = bytes((which * 31 + 5 * n) % 256 for n in range(32))
        wanted = [x[n] + 2 * x[n + 1] + 3 * x[n + 2] for n in range(30)]
        out = memoryview(bytearray(120)).cast("i")
        for _ in range(100):
            try:
                layer(x, out)
            except RuntimeError as error:
                refused.append(str(error))
            else:
                (right if list(out) == wanted else wrong).append(which)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert (wrong, set(refused)) == ([], {REFUSED})
    assert right


def test_no_branch_lies_between_the_lock_and_its_block():
    """A board raises a KeyboardInterrupt at branches of its bytecode: one there would leave the layer busy for ever."""
    source = package_dir() / "calls.py"
    said = subprocess.run([executable(), "-v", "-v", str(source)], capture_output=True, text=True).stdout
    blocks = [block.partition("'")[0::2] for block in said.split(", code block '")[1:]]
    entered = [text for name, text in blocks if name in ("__enter__", "__exit__")]
    assert len(entered) == 4
    assert all("RETURN_VALUE" in text and "JUMP" not in text for text in entered)
