"""Buffers are their users' objects: they move, change size and say of themselves what they like, between two calls."""

from __future__ import annotations

import mmap

import graphs
import numpy as np
import pytest
import ucorr
from hypothesis import given, settings
from hypothesis import strategies as st
from ucorr_host import load_tflite
from ucorr_host.networks.compile import compile
from ucorr_host.targets.simulator import ask
from ucorr_tools.shipped.digits import network

EXP = "array('i', [0x7FFFFFFF >> n for n in range(32)] + [0] * 224)"
FILE = compile(network()).to_bytes()
# name -> (the layer, bytes of its inputs, bytes of its output, what messages call the inputs)
LAYERS = {
    "filter": ("Correlate2D([[1, 2], [3, 4]], (5, 6), dtype='B', out_dtype='h', backend={})", (30,), 40, ("x",)),
    "stream": ("Correlate1D([1, 2, 3], 8, dtype='h', out_dtype='i', stream=True, backend={})", (16,), 32, ("x",)),
    "conv": ("Conv2D(bytes(16), (4, 4), kernel_shape=(4, 1, 1, 4), bias=9, backend={})", (64,), 256, ("x",)),
    "pool": ("MaxPool2D(2, (4, 4, 2), backend={})", (32,), 18, ("x",)),
    "mul": ("Mul((24,), (1,), multiplier=1 << 30, shift=-4, backend={})", (24, 1), 24, ("a", "b")),
    "lookup": ("Lookup(bytes(range(255, -1, -1)), 20, backend={})", (20,), 20, ("x",)),
    "thresholds": ("Thresholds([-5, 70000], 5, 4, backend={})", (80,), 20, ("x",)),
    "softmax": (f"Softmax({EXP}, 5, 4, backend={{}})", (20,), 20, ("x",)),
    "pad": ("Pad((3, 5), ((1, 0), (0, 2)), backend={})", (15,), 28, ("x",)),
    "concatenate": ("Concatenate((1, 3), 4, backend={})", (4, 12), 16, ("parts[0]", "parts[1]")),
    "network": ("load(file, {})", (64,), None, ("x",)),
}
RUNS = [("cpython", "portable"), ("micropython", "portable"), ("micropython", "viper")]
everywhere = pytest.mark.parametrize(("target", "backend"), RUNS, ids=["/".join(run) for run in RUNS])
each = pytest.mark.parametrize("name", LAYERS)


def start(name, backend):
    """Source that makes the layer, and what calls it: call(layer, inputs, out)."""
    text, sizes, out_size, _ = LAYERS[name]
    call = "layer(*inputs, out)"
    if name == "network":
        call = "out[:] = bytes(layer.run(*inputs))"
    if name == "concatenate":
        call = "layer(inputs, out)"
    return f"""
file = {FILE if name == "network" else b""!r}
sizes, out_size = {sizes}, {out_size or 10}

def make():
    return ucorr.{text.format(repr(backend))}

def call(layer, inputs, out):
    {call}

def told(layer, inputs, out):
    # the buffer that a refusal names, or None
    try:
        call(layer, inputs, out)
    except (ValueError, TypeError) as error:
        return str(error).split(":")[0]
"""


def outcome_of(source, target):
    """["ok", the value of `answer`], or the exception."""
    return list(ask({"attempt": source}, b"", target)[0]["outcome"])


CHANGE = """
import gc

def grow(buffer):
    # past what its place has room for; what it held is soon something else
    length, junk = len(buffer), []
    for n in range(10):
        buffer.extend(bytes(400))
        junk.append(bytearray(b"\\x55" * length))
    gc.collect()
    for n in range(20):
        junk.append(bytearray(b"\\xaa" * length))

def change(buffer, action):
    length = len(buffer)
    try:
        if action in ("move", "longer"):
            grow(buffer)
        if action == "move":
            buffer[length:] = b""
        elif action == "shorter":
            buffer[length - 1:] = b""
        elif action == "fill":
            buffer[0] = 255 - buffer[0]
    except Exception as error:
        if type(error).__name__ != "BufferError":  # CPython's: a view of it is held, and it stays as it is
            raise
        return "held"

inputs = tuple([bytearray([(7 * n + k) % 256 for n in range(size)]) for k, size in enumerate(sizes)])
out = bytearray(out_size)
layer, answer = make(), []
call(layer, inputs, out)
for which, action in events:
    buffer = (inputs + (out,))[which]
    length = len(buffer)
    held = change(buffer, action)
    if hasattr(layer, "reset"):
        layer.reset()
    said = told(layer, inputs, out)
    if said is None:
        wanted = bytearray(out_size)
        call(make(), tuple([bytearray(x) for x in inputs]), wanted)
        said = "equal" if wanted == out else "%r, wanted %r" % (out, wanted)
    answer.append((held or action, said))
    if len(buffer) < length:
        buffer.extend(bytes(length - len(buffer)))
    elif len(buffer) > length:
        buffer[length:] = b""
"""
ACTIONS = st.sampled_from(["move", "move", "longer", "shorter", "fill"])


@everywhere
@each
@settings(max_examples=10)
@given(data=st.data())
def test_a_buffer_that_changes_between_calls_is_read_as_it_is_or_refused(target, backend, name, data):
    _, sizes, out_size, names = LAYERS[name]
    buffers = len(sizes) + (out_size is not None)
    events = data.draw(st.lists(st.tuples(st.integers(0, buffers - 1), ACTIONS), min_size=1, max_size=8))
    outcome = outcome_of(start(name, backend) + f"events = {events!r}\n" + CHANGE, target)
    assert outcome[0] == "ok", outcome
    for (which, _), (action, said) in zip(events, outcome[1], strict=True):
        refused = action in ("longer", "shorter")
        assert said == ((*names, "out")[which] if refused else "equal"), (events, action, said)


LIES = """
class Liar(bytearray):
    def __len__(self):
        return {length}
    def __getitem__(self, index):
        return b"\\x01" * {length} if isinstance(index, slice) else 1
    def __setitem__(self, index, value):
        pass
    def __iter__(self):
        return iter(range({length}))

inputs = [bytearray([(7 * n + k) % 256 for n in range(size)]) for k, size in enumerate(sizes)]
wanted, out = bytearray(out_size), bytearray(out_size)
call(make(), tuple(inputs), wanted)
honest, layer, answer = tuple(inputs), make(), []
for size in (-1, 0, 1):  # of what the liar really holds, off what is wanted
    for which in range(len(inputs)):
        lying = list(inputs)
        lying[which] = Liar(bytes(inputs[which][:size]) if size < 0 else bytes(inputs[which]) + bytes(size))
        lying = tuple(lying)
        for again in range(2):
            if hasattr(layer, "reset"):
                layer.reset()
            said = told(layer, lying, out)
            answer.append((size, which, said if said or out != wanted else "equal"))
"""


@everywhere
@each
@pytest.mark.parametrize("length", [0, 1, 30, 1 << 20])
def test_lengths_come_from_the_memory_not_from_a_subclass(target, backend, name, length):
    source = start(name, backend) + LIES.format(length=length)
    outcome = outcome_of(source, target)
    assert outcome[0] == "ok", outcome
    names = LAYERS[name][3]
    for size, which, said in outcome[1]:
        assert said == (names[which] if size else "equal")


OUTPUT = """
class Liar(bytearray):
    def __len__(self):
        return out_size

inputs = tuple([bytearray([(7 * n + k) % 256 for n in range(size)]) for k, size in enumerate(sizes)])
answer = [told(make(), inputs, Liar(out_size + more)) for more in (-1, 1)]
wanted, out = bytearray(out_size), Liar(out_size)
call(make(), inputs, wanted)
answer.append(told(make(), inputs, out) or bytes(wanted) == bytes(memoryview(out)))
"""


@everywhere
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "network"])
def test_the_length_of_an_output_too(target, backend, name):
    outcome = outcome_of(start(name, backend) + OUTPUT, target)
    assert outcome == ["ok", ["out", "out", True]]


@everywhere
def test_parts_are_those_that_were_checked(target, backend):
    """A tuple's subclass may give others by number, and tell more than there are."""
    attempt = f"""
class Other(tuple):
    def __getitem__(self, n):
        return bytearray(1)
class More(tuple):
    def __len__(self):
        return 2
layer, out = ucorr.Concatenate((300, 3), backend={backend!r}), bytearray(303)
layer(Other((bytes([5] * 300), bytes([7] * 3))), out)
answer = [bytes(out) == bytes([5] * 300 + [7] * 3)]
for few in ((), (bytes(300),)):
    try:
        layer(More(few), out)
        answer.append(few)
    except TypeError as error:
        answer.append(str(error).startswith("parts: "))
"""
    answer, _ = ask({"attempt": attempt}, b"", target)
    assert list(answer["outcome"]) == ["ok", [True, True, True]]


def closed_views():
    view, file = memoryview(bytearray(4)), mmap.mmap(-1, 4)
    view.release()
    file.close()
    return view, file, np.zeros(1, "M8[D]"), np.zeros(4, "i1,i1")


@pytest.mark.parametrize("view", closed_views(), ids=["released", "closed", "dates", "records"])
def test_what_has_no_memory_of_integers_is_no_buffer(view):
    layer = ucorr.Correlate1D([1], 4, out_dtype="b", backend="portable")
    for x, out, name in ((view, bytearray(4), "x"), (bytearray(4), view, "out")):
        with pytest.raises(TypeError, match=f"^{name}: {type(view).__name__}, wanted a buffer of integers"):
            layer(x, out)


@pytest.mark.parametrize("target", ["cpython", "micropython"])
def test_the_peak_is_in_memory_not_in_what_a_subclass_tells(target):
    attempt = """
class Other(array):
    def __len__(self):
        return 9
    def __getitem__(self, n):
        return 100
answer = list(ucorr.peak(Other("b", [1, 5, 3])))
"""
    answer, _ = ask({"attempt": attempt}, b"", target)
    assert list(answer["outcome"]) == ["ok", [0, 1, 5]]


@everywhere
def test_each_part_has_the_length_that_it_had(target, backend):
    source = start("concatenate", backend) + (
        "one, three, out = bytearray(4), bytearray(12), bytearray(16)\n"
        "layer, parts = make(), (one, three)\n"
        "layer(parts, out)\n"
        "try:\n    one.extend(bytes(8)); three[4:] = b''\nexcept BufferError:\n    pass\n"
        "answer = told(layer, parts, out)"
    )
    said = None if target == "cpython" else "parts[0]"  # CPython does not resize what a view is of
    assert outcome_of(source, target) == ["ok", said]


# What is kept beside them

# Executed behind a source that has answer, bad tables and what computes with one
REFUSED = """
for table in bad:
    try:
        bits(table)
        answer.append("taken")
    except (TypeError, ValueError) as error:
        answer.append(str(error)[:6])
"""
TABLES = """
class Liar(bytearray):
    def __len__(self):
        return 256
def bits(table):
    out = bytearray(9)
    ucorr.Lookup(table, 9, backend=backend)(b"\\x80\\x90\\xff\\x00\\x01\\x02\\x40\\x7e\\x7f", out)
    return bytes(out)
values = [(37 * n) % 256 - 128 for n in range(256)]
patterns = bytes([value & 255 for value in values])
wanted = bits(values)
shifted = memoryview(b"\\x00" + patterns)[1:]
good = [tuple(values), patterns, bytearray(patterns), array("b", values), array("B", patterns), array("h", values)]
good += [array("i", values), memoryview(patterns), shifted]
answer = [bits(table) == wanted for table in good]
bad = [[300] * 256, array("h", [300] * 256), array("f", [0.0] * 256), bytes(255), Liar(9), "a" * 256, {}, None]
"""


@everywhere
def test_a_table_of_any_type_means_the_same_or_is_refused(target, backend):
    outcome = outcome_of(f"backend = {backend!r}\n" + TABLES + REFUSED, target)
    assert outcome == ["ok", [True] * 9 + ["table:"] * 8]


SOFTMAX = """
def bits(table):
    out = bytearray(10)
    ucorr.Softmax(table, 5, 2, backend=backend)(bytes(range(0, 100, 10)), out)
    return bytes(out)
values = [0x7FFFFFFF >> n // 9 for n in range(256)]
table = array("i", values)
wanted = bits(table)
raw = bytes(table)
good = [raw, bytearray(raw), array("I", values), memoryview(table), memoryview(b"\\x00" + raw)[1:]]
answer = [bits(table) == wanted for table in good]
bad = [bytes(1024), array("i", [0] * 256), array("i", [0x7FFFFFFF] + [-1] * 255), array("h", [0] * 512)]
bad += [array("i", [1]), array("f", [1.0] * 256), values, {}, None, memoryview(raw)[1:]]
"""


@everywhere
def test_a_softmax_table_is_one_whose_sums_end(target, backend):
    outcome = outcome_of(f"backend = {backend!r}\n" + SOFTMAX + REFUSED, target)
    assert outcome == ["ok", [True] * 5 + ["table:"] * 10]


THRESHOLDS = """
def bits(table, **words):
    out = bytearray(6)
    ucorr.Thresholds(table, 3, 2, backend=backend, **words)(array("i", [-9, 5, 6, 1 << 30, -1 << 31, 0]), out)
    return bytes(out)
values = [-1 << 31, -9, 0, 5, (1 << 31) - 1, (1 << 31) - 1]
table = array("i", values)
wanted = bits(values, sets=3)
raw = bytes(table)
good = [tuple(values), raw, bytearray(raw), table, memoryview(table), memoryview(b"\\x00" + raw)[1:]]
answer = [list(wanted)] + [bits(table, sets=3) == wanted for table in good]
bad = [[], [1, 0], [1 << 31], [1.5], array("h", [1] * 6), array("f", [1.0] * 6), b"", bytes(6), {}, None, "abcd"]
bad += [[0] * 256]
"""


@everywhere
def test_thresholds_are_ascending_words_of_32_bits(target, backend):
    outcome = outcome_of(f"backend = {backend!r}\n" + THRESHOLDS + REFUSED, target)
    assert outcome == ["ok", [[130, 130, 128, 130, 128, 128]] + [True] * 6 + ["table:"] * 12]


KEPT = """
answer = []
for make, given, x, out in (
    (lambda t: ucorr.Lookup(t, 9, backend=backend), bytearray(range(256)), bytes(range(9)), bytearray(9)),
    (lambda t: ucorr.Softmax(t, 9, backend=backend), array("i", [0x7FFFFFFF >> n // 8 for n in range(256)]),
     bytes(range(9)), bytearray(9)),
    (lambda t: ucorr.Thresholds(t, 3, backend=backend), array("i", [-5, 1, 9]), array("i", [0, 5, 10]), bytearray(3)),
    (lambda t: ucorr.Correlate1D(t, 9, dtype="B", backend=backend), array("h", [1, 200, 3]), bytes(9), bytearray(28)),
    (lambda t: ucorr.Dense(t, kernel_shape=(2, 4), backend=backend), array("b", range(8)), b"\\x01" * 4, bytearray(8)),
):
    layer = make(given)
    layer(x, out)
    wanted = bytes(out)
    for n in range(len(given)):
        given[n] = 0
    given.extend(given)
    junk = [bytearray(b"\\xaa" * 600) for _ in range(50)]
    layer(x, out)
    answer.append(bytes(out) == wanted)
"""


@everywhere
def test_tables_and_kernels_are_kept_as_they_were_given(target, backend):
    outcome = outcome_of(f"backend = {backend!r}\n" + KEPT, target)
    assert outcome == ["ok", [True] * 5]


FILES = """
x, source = bytes(range(64)), bytearray(file)
net = ucorr.load(source, {backend!r})
wanted = bytes(net.run(x))
source.extend(bytes(40000))
junk = [bytearray(b"\\xaa" * len(file)) for _ in range(20)]
for n in range(len(source)):
    source[n] = 170
again = bytes(net.run(x))
answer = [net.weights, net.memory()["file"] == len(file), wanted == again]
answer.append([ucorr.load(kind, {backend!r}).weights for kind in (file, memoryview(file), array("B", file))])
"""


@everywhere
def test_the_buffer_of_a_file_is_copied_where_it_could_move(target, backend):
    source = start("network", backend) + FILES.format(backend=backend)
    outcome = outcome_of(source, target)
    assert outcome == ["ok", ["ram", True, True, ["in place", "in place", "ram"]]]


OUTLIVES = """
import gc
view = ucorr.load(file, {backend!r}).run(bytes({x!r}))  # the network itself is garbage from here on
wanted = list(view)
gc.collect()
junk = [bytearray(b"\\xaa" * (16 << n)) for n in range(9) for _ in range(60)]
answer = list(view) == wanted
"""


@pytest.mark.parametrize("backend", ["portable", "viper"])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@settings(max_examples=10)
@given(data=st.data())
def test_an_output_outlives_its_network(backend, dtype, data):
    model, x = data.draw(graphs.graphs(names=("ADD", "MUL", "MAX_POOL_2D", "CONV_2D"), dtype=dtype))
    file = compile(load_tflite(model)).to_bytes()
    source = f"file = {file!r}\n" + OUTLIVES.format(backend=backend, x=x.tobytes())
    assert outcome_of(source, "micropython") == ["ok", True]
