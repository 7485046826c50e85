"""Every argument of every public constructor and function is checked: whatever comes, the call works as with plain
ints, or it raises a TypeError or ValueError whose sentence begins with the name of one of its arguments.

A row of a table is a valid call. Each of its arguments is replaced in turn by each wrong value, and by what means the
same: integers that are no ints, such as NumPy's, which overflow where they are kept.
"""

from __future__ import annotations

import inspect
import re
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import ucorr
import ucorr_host
from operator_cases import CASES
from ucorr.spec import FIELDS
from ucorr_host import FloatNetwork, Network, quantize, reference
from ucorr_host.networks.operators import BY_KIND
from ucorr_host.targets.micropython import package_dir
from ucorr_host.targets.simulator import ask
from ucorr_host.tflite.records import Corrupt
from ucorr_host.training import float_network

# Every option of Spec but those that a layer's kernel and shape come to
OPTIONS = {
    "dtype": "'b'",
    "out_dtype": "'h'",
    "stride": "(1, 2)",
    "dilation": "(1, 1)",
    "padding": "((1, 0), (0, 2))",
    "border": "'edge'",
    "border_value": "3",
    "groups": "1",
    "pitch": "None",
    "bias": "100",
    "multiplier": "1 << 30",
    "shift": "-1",
    "input_zero_point": "2",
    "kernel_zero_point": "1",
    "output_zero_point": "-3",
    "activation_min": "-100",
    "activation_max": "100",
    "accumulator": "'int32'",
    "rounding": "'double'",
}
MADE = {"backend": "'portable'", "budget": "1000"}
SIGNAL = {"stride": "2", "dilation": "1", "padding": "(1, 2)", "stream": "False"}
DEPTHWISE = {name: value for name, value in OPTIONS.items() if name != "groups"}
VECTOR = {"stride": "1", "dilation": "1", "padding": "'valid'", "bias": "[100, -100]", "shift": "[-1, 0]"}
FLOATS = {"multiplier": "None", "shift": "None", "out_dtype": "'b'", "kernel_zero_point": "0", "bias": "[0.5]"}
ROWS: list[tuple[str, dict[str, str]]] = [
    ("Spec", {"input_shape": "(3, 4, 2)", "kernel_shape": "(2, 2, 2, 2)", "weights": "list(range(-8, 8))", **OPTIONS}),
    ("Layer", {"spec": "ucorr.Spec((1, 2, 1), (1, 1, 2, 1), [1, 2])", **MADE}),
    ("Correlate2D", {"kernel": "[[1, 2], [3, 4]]", "shape": "(4, 5)", "kernel_shape": "(2, 2)", **MADE, **OPTIONS}),
    ("Correlate2D", {"kernel": "[[0.5, 2]]", "shape": "4", "kernel_shape": "None", **MADE, **OPTIONS, **FLOATS}),
    ("Correlate2D", {"kernel": "[[3, -100]]", "shape": "(3, 4)", "kernel_shape": "None", **MADE, **OPTIONS,
                     "pitch": "6", "padding": "'same'", "multiplier": "None", "border": "'reflect'"}),
    ("Correlate1D", {"kernel": "[1, 2, 100]", "length": "12", **MADE, **OPTIONS, **SIGNAL}),
    ("Correlate1D", {"kernel": "[1, 2]", "length": "12", **MADE, **OPTIONS, **SIGNAL, "padding": "'valid'",
                     "stream": "True"}),
    ("Conv2D", {"kernel": "[[[[1, 2]]], [[[3, 100]]]]", "shape": "(4, 5)", "kernel_shape": "(2, 1, 1, 2)", **MADE,
                **OPTIONS, "groups": "2"}),
    ("Conv2D", {"kernel": "[[[[1, 0.25]]]]", "shape": "(4, 5)", "kernel_shape": "None", **MADE, **OPTIONS, **FLOATS}),
    ("DepthwiseConv2D", {"kernel": "[[[[1, 2], [3, 4]]]]", "shape": "(4, 5, 2)", "kernel_shape": "(1, 1, 2, 2)", **MADE,
                         **DEPTHWISE}),
    ("Dense", {"kernel": "[[1, 2], [3, 100]]", "kernel_shape": "(2, 2)", **MADE, **OPTIONS, **VECTOR}),
    ("Dense", {"kernel": "[[1, 2], [3, 100]]", "kernel_shape": "None", **MADE, **OPTIONS, **VECTOR, "dtype": "'h'",
               "accumulator": "'int64'", "pitch": "2"}),
    ("peak", {"out": "array('h', [1, 5, 2, 5, 0, -1])", "shape": "(2, 3)"}),
    ("peak_lag", {"r": "array('i', [1, 5, 2])", "lags": "(-3, -1)", "subsample": "True"}),
    ("peaks", {"values": "array('h', [1, 5, 2, 5, 0, -1])", "shape": "(2, 3)", "num_peaks": "3", "min_distance": "1",
               "threshold": "-100", "subpixel": "True", "out": "array('i', [100] * 9)"}),
    *((name, case.arguments) for name, case in CASES.items()),
    ("load", {"source": "'/no/such/file'", "backend": "'portable'", "weights": "'ram'", "sha256": "'0f' * 32"}),
]  # fmt: skip
PATHS = ("source", "path")  # any string is one
RAW = (("Thresholds", "table"),)  # items of one byte are the bytes of words

# Executed on the target. An outcome is what the layer computes, or a sentence about what went wrong.
TARGET = '''
class Index:
    """An integer that is no int, as NumPy's are none."""
    def __init__(self, value):
        self.value = value
    def __index__(self):
        return self.value

class Other:
    pass

class Liar(list):
    """Tells another length than that of what comes out of it."""
    def __len__(self):
        return self.told

def liars(value):
    """A valid sequence as ones that lack an item, or have one more, than they tell."""
    if not isinstance(value, (list, tuple)):
        return []
    items = list(value)
    found = []
    for kept, told in ((items[:-1], len(items)), (items + items[:1], len(items)), (items, len(items) + 1), (items, 1)):
        if told != len(kept):
            found.append(Liar(kept))
            found[-1].told = told
    return found

narrow = Index
MORE = []

cyclic = []
cyclic.append(cyclic)
wide = [1, 2]
wide[1] = wide
deep = [1]
for _ in range(1000):
    deep = [deep]
doubled = [1]
for _ in range(60):
    doubled = [doubled, doubled]

def wrong():
    """Values of all kinds, made anew: a generator is used up."""
    return MORE + [
        None, True, False, 0, 1, -1, -5, 20, 1 << 31, 1 << 70, -1 << 70, 1 << 20000, 1.5, float("nan"),
        float("inf"), -0.0, "", "x", "valid", "a" * 100, b"", b"ab", bytearray(3), [], (), {}, {1: 2}, {1: 2, 3: 4},
        {1, 2}, Other(), Other, int, len, [1], [2, 3], (2, 3, 4), [1.5], [None], ["a"], [[1, 2], [3, 4]],
        [[1, 2], [3]], [1, "a"], [1 << 70, 1], [1, 2, 3, 4, 5, 6, 7], [[]], ((1, 2), 3), ((1, 2, 3), (4, 5)),
        (n for n in (1, 2)), iter([1, 2]), range(2), range(1 << 12), cyclic, wide, deep, doubled, [cyclic, cyclic],
        array("b", [1, 2]), array("h", [300, 1]), array("f", [1.5, 2.0]), array("b", []), memoryview(bytes(2)),
        Index(1), Index(40), Index(-1), [Index(1), Index(2)], ValueError("x"), [(1, 2), (3, 4)], [b"ab", b"cd"],
        ((0, 1), (1 << 70, 0)),
    ]

def plain(value):
    """What a value means in plain ints; raises where it is no number and no sequence of them."""
    if isinstance(value, (int, bool)):
        return int(value)
    if value is None or isinstance(value, (str, float, bytes, bytearray)):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (int, float)):
        return value
    if hasattr(value, "__index__"):
        return value.__index__()
    return [plain(item) for item in value]

def narrowed(value):
    """The same value of integers that are no ints."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float, array)):
        return value
    if isinstance(value, int):
        return narrow(value)
    if isinstance(value, (list, tuple)):
        return type(value)([narrowed(item) for item in value])
    return value

def ran(made):
    """What a layer computes of ascending numbers; what a function returned."""
    if isinstance(made, ucorr.Spec):
        made = ucorr.Layer(made, "portable")
    if isinstance(made, (tuple, int, list)):
        return made
    spec = getattr(made, "spec", made)
    size = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4}
    lengths = getattr(spec, "lengths", None) or (spec.input_length,)
    if getattr(made, "_stream", None):
        lengths = (made._stream.length,)
    out = bytearray(spec.output_length * size[spec.out_dtype])
    step = 0 if hasattr(made, "limit") else 7  # samples past no limit
    xs = [bytes([step * n & 255 for n in range(length * size[spec.dtype])]) for length in lengths]
    if type(made).__name__ == "Concatenate":
        made(tuple(xs), out)
    else:
        made(*xs + [out])
    return made.backend, tuple(made.out_shape), bytes(out)

def called(function, words):
    """(what it computes, None), or (None, the exception)"""
    try:
        return ran(function(**words)), None
    except Exception as error:
        return None, error

def well(error, names):
    """Whether an error is one that a user should see."""
    text = str(error)
    return type(error) in (TypeError, ValueError) and text.split(":")[0] in names and len(text) < 300

def complaints(rows):
    """What is wrong with the calls of some rows, and how many there were."""
    found, count, refused = [], 0, 0
    for name, source in rows:
        function = getattr(ucorr, name)
        words = {word: eval(text, names) for word, text in source.items()}
        right, error = called(function, words)
        if error and not isinstance(error, OSError):
            found.append("%s: %r" % (name, error))
            continue
        for word in source:
            for place, value in enumerate([narrowed(words[word])] + wrong() + liars(words[word])):
                if word in PATHS and isinstance(value, str):
                    continue
                count += 1
                result, error = called(function, dict(words, **{word: value}))
                if isinstance(error, OSError) and name == "load":
                    continue
                what = "%s(%s=%s, number %d)" % (name, word, type(value).__name__, place)
                if error:
                    refused += 1
                    if not well(error, set(source) | {"model"} if name == "load" else source):
                        found.append("%s: %s: %s" % (what, type(error).__name__, error))
                    elif place == 0:
                        found.append("%s: wanted it taken: %s" % (what, error))
                elif place == 0:
                    if result != right:
                        found.append("%s: another result than plain ints give" % what)
                elif value is not None and word not in ("spec", "out") and (name, word) not in RAW:
                    try:
                        again, error = called(function, dict(words, **{word: plain(value)}))
                    except Exception as no_number:
                        again, error = None, no_number
                    if error or again != result:
                        found.append("%s: another result than plain ints give, %r" % (what, error))
    return found, count, refused

'''
# Added on CPython
NUMPY = """
import numpy as np

def narrow(value):
    return next(kind(value) for kind in (np.int8, np.int16, np.int32, np.int64) if np.iinfo(kind).max >= abs(value))

MORE = [kind(2) for kind in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)]
MORE += [np.float16(1.5), np.float32(1), np.float64(2), np.bool_(True), np.int8(-128), np.array(3)]
MORE += [np.array(3, np.int8), np.array(1.5), np.array([1]), np.array([2, 3], np.int8), np.array([[1, 2], [3, 4]])]
MORE += [np.array([], int)]
MORE += [np.array(["a"]), np.array([None], object)]
MORE += [np.str_("b"), np.bytes_(b"a"), np.array([1 + 2j]), np.array([True])]
MORE += [[np.int8(1), np.int8(2)], (np.int16(1), 2), np.zeros((2, 0)), np.zeros((2, 2, 2, 2), np.int8), np.int8, 1j]
released = memoryview(bytearray(2))
released.release()
MORE += [released, np.zeros(2, "M8[D]"), memoryview(np.zeros(2, "i1,i1")), memoryview(np.zeros((2, 0), np.int8))]
MORE += [np.array([1.5, np.nan]), [np.float32(1.5), 2], np.array([1, 1 << 40]), np.array([[1, 2], [3, 4]], np.uint64)]
"""
ASKED = "answer = complaints(ROWS)"


def source(target: str) -> str:
    """What a target executes."""
    given = f"ROWS, PATHS, RAW = {ROWS!r}, {PATHS!r}, {RAW!r}\nnames = globals()\n"
    return given + TARGET + (NUMPY if target == "cpython" else "") + ASKED


@pytest.mark.parametrize("target", ["cpython", "micropython"])
def test_every_argument_of_the_board_package_is_checked(target):
    answer, _ = ask({"attempt": source(target)}, b"", target)
    kind, told = answer["outcome"]
    assert kind == "ok", told
    found, count, refused = told
    assert found == []
    assert refused > count // 2


def test_every_argument_of_the_board_package_has_a_row():
    callables = {name for name in ucorr.__all__ if callable(getattr(ucorr, name))} - {"info"}  # which takes none
    assert {name for name, _ in ROWS} == callables
    assert set(inspect.signature(ucorr.Spec).parameters) == set(FIELDS)
    assert set(FIELDS) - {"input_shape", "kernel_shape", "weights"} == set(OPTIONS)
    more = {"options": {*OPTIONS, "budget"}, "scale": {"multiplier", "shift"}}
    for name, words in ROWS:
        wanted: set[str] = set()
        for word in inspect.signature(getattr(ucorr, name)).parameters:
            wanted |= more.get(word, {word})
        assert wanted - set(words) <= ({"groups"} if name == "DepthwiseConv2D" else set()), name


# The host

X = [[[3, -5], [100, 7]], [[0, 1], [-128, 127]], [[9, 9], [1, 2]]]
K = [[[[1, 2]]], [[[3, 100]]]]
SCALE = {
    "multiplier": [1 << 30, 1 << 29],
    "shift": -3,
    "output_zero_point": 1,
    "activation_min": -100,
    "activation_max": 100,
    "accumulator": "int32",
    "rounding": "double",
    "factor": None,
    "out_dtype": "int8",
}
SLIDING = {
    "bias": [100, 5],
    "stride": (1, 1),
    "padding": ((1, 0), (0, 1)),
    "dilation": 1,
    "border": "constant",
    "border_value": 100,
    "input_zero_point": 100,
    "kernel_zero_point": 100,
}
ACTIVATION = {"output_zero_point": 100, "activation_min": -100, "activation_max": 100}


def int8(value: Any) -> Any:
    return np.array(value, np.int8)


def a_float_network() -> FloatNetwork:
    return FloatNetwork((2, 2, 1), (float_network.Dense([[1, 2, 3, 4.0]]),))


def a_network() -> Network:
    samples = np.arange(16.0).reshape(4, 2, 2, 1)
    return ucorr_host.quantize_network(a_float_network(), samples)


def host_rows() -> list[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """(name, function, a valid call)"""
    network, floats = a_network(), a_float_network()
    image, signal = int8(np.array(X)[..., 0]), int8([1, 2, 3, 100, -5])
    one = {**SCALE, "multiplier": 1 << 30, "shift": -3}
    filters = {**SLIDING, "bias": 100}
    spatial = {name: SLIDING[name] for name in ("bias", "stride", "padding", "input_zero_point", "kernel_zero_point")}
    dense = {name: SLIDING[name] for name in ("bias", "input_zero_point", "kernel_zero_point")}
    once = {"factor": 0.01, "lowest": -1000, "highest": 1000, "zero_point": 3, "low": -128, "high": 127}
    samples = np.arange(16.0).reshape(4, 2, 2, 1)
    integers = np.zeros((4, 2, 2, 1), np.int8)
    layer = ucorr.Correlate2D([[1, 2]], (2, 3))
    plain = {"activation": "relu"}
    window = {"stride": 1, "padding": "same"}
    r, ends = reference, {"accumulator": "int32", "out_dtype": "int64"}

    def part(kind: Any, shape: tuple[int, ...]) -> Callable[..., Any]:
        return lambda **words: FloatNetwork(shape, (kind(**words),)).run(np.ones((1, *shape)))

    return [
        ("conv2d", r.conv2d, {"x": int8(X), "kernel": int8(K), **SLIDING, **SCALE, "groups": 1}),
        ("conv2d", r.conv2d, {"x": int8(X), "kernel": int8(K), **SLIDING, **ends}),
        ("depthwise_conv2d", r.depthwise_conv2d, {"x": int8(X), "kernel": int8([[[[1, 100]]]]), **SLIDING, **SCALE}),
        ("transpose_conv2d", r.transpose_conv2d, {"x": int8(X), "kernel": int8(K), **spatial, **SCALE}),
        ("dense", r.dense, {"x": int8([1, 100]), "kernel": int8([[1, 2], [3, 100]]), **dense, **SCALE}),
        ("dense_image", r.dense_image, {"x": image, "weights": np.ones((2, 2, 3, 2), int), "bias": 100}),
        ("correlate2d", r.correlate2d, {"x": image, "kernel": int8([[1, 100]]), **filters, **one}),
        ("convolve2d", r.convolve2d, {"x": image, "kernel": int8([[1, 100]]), **filters, **one}),
        ("correlate1d", r.correlate1d, {"x": signal, "kernel": int8([1, 100]), **filters, **one, "stride": 2,
                                        "padding": (1, 0)}),
        ("requantize", r.requantize, {"acc": [[100, -3000]], **SCALE}),
        ("requantize", r.requantize, {"acc": 300, **one, "multiplier": None, "shift": None, "factor": 0.5}),
        ("mean", r.mean, {"x": int8(X), "axis": (0, 1), "multiplier": 1 << 30, "shift": 1, "keepdims": True,
                          "input_zero_point": 100, "output_zero_point": -100}),
        ("rescale", r.rescale, {"x": int8(X), **ACTIVATION, "multiplier": 1 << 30, "shift": 0,
                                "negative_multiplier": 1 << 29, "negative_shift": 1,
                                "input_zero_point": 100, "out_dtype": "int16"}),
        *(
            (kind, getattr(r, kind), CASES[row.name].call)
            for kind, row in BY_KIND.items()
            if CASES[row.name].call
        ),
        ("concatenate", lambda parts, axis: r.concatenate(int8([1]), parts, axis=axis),
         {"parts": int8([5]), "axis": 0}),
        ("quantize_multiplier", ucorr_host.quantize_multiplier, {"real": 0.01}),
        ("softmax_multiplier", quantize.softmax_multiplier, {"real": 0.01}),
        ("quantize_kernel", ucorr_host.quantize_kernel, {"values": [[0.5, 100]], "bits": 16}),
        ("single_rounding_multiplier", quantize.single_rounding_multiplier, once),
        ("simulate", ucorr_host.simulate, {"op": layer, "x": np.zeros((2, 3), np.int8), "target": "cpython",
                                           "backend": "portable", "repeat": 1}),
        ("FloatNetwork", FloatNetwork, {"input_shape": (2, 2, 1), "layers": floats.layers, "labels": ("a",)}),
        ("Dense", part(float_network.Dense, (2,)), {"kernel": [[1, 100]], "bias": [100], **plain}),
        ("Conv2D", part(float_network.Conv2D, (3, 4, 2)),
         {"kernel": K, "bias": [100, 2], "dilation": 1, **plain, **window}),
        ("DepthwiseConv2D", part(float_network.DepthwiseConv2D, (3, 4, 2)),
         {"kernel": [[[[1, 100]]]], "bias": [100, 2], "dilation": 1, **plain, **window}),
        ("MaxPool2D", part(float_network.MaxPool2D, (3, 4, 2)), {"size": 2, **window}),
        ("AveragePool2D", part(float_network.AveragePool2D, (3, 4, 2)), {"size": 2, **window}),
        ("Reshape", part(float_network.Reshape, (100, 2)), {"shape": (2, 100)}),
        ("Add", part(float_network.Add, (2,)), {"of": -1, **plain}),
        ("quantize_network", ucorr_host.quantize_network, {"network": floats, "samples": samples, "ranges": "mse",
                                                           "input_range": (0.0, 100.0), "batch": 2}),
        ("evaluate", ucorr_host.evaluate, {"network": network, "x": integers, "labels": [0, 0, 0, 0], "executor": None,
                                           "batch": 3}),
        ("learn_kernel", ucorr_host.learn_kernel,
         {"x": np.arange(30).reshape(5, 6) ** 2, "y": np.ones((5, 5), int), "kernel_shape": (1, 2), "padding": "valid",
          "bias": True, "bits": 8}),
        ("load_tflite", ucorr_host.load_tflite, {"source": "/no/such/file"}),
        ("to_tflite", ucorr_host.tflite.to_tflite, {"network": network}),
        ("save_tflite", ucorr_host.save_tflite, {"network": network, "path": "/no/such/folder/file"}),
        ("run", lambda input: network.run(input), {"input": integers}),
        ("random_input", network.random_input, {"seed": 100}),
        ("quantize_input", network.quantize_input, {"real": [1.5]}),
        ("dequantize_output", network.dequantize_output, {"value": [100]}),
    ]  # fmt: skip


PARTS = ("Dense", "Conv2D", "DepthwiseConv2D", "MaxPool2D", "AveragePool2D", "Reshape", "Add")  # of a FloatNetwork
RESULTS = {"Evaluation", "Learned", "Result", "TargetError", "Network"}  # what functions return and raise


def told(value: Any) -> Any:
    """A result as something that compares."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    if isinstance(value, (tuple, list)):
        return [told(item) for item in value]
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return [told(getattr(value, name)) for name in value.__dataclass_fields__ if name != "microseconds"]
    return value


def test_every_argument_of_the_host_is_checked():
    board: dict[str, Any] = {"ucorr": ucorr, "array": array}
    exec(TARGET + NUMPY, board)
    found, count, refused = [], 0, 0
    for name, function, words in host_rows():
        try:
            right = told(function(**words))
        except OSError:
            right = None
        for word, valid in words.items():
            for place, value in enumerate([board["narrowed"](valid), *board["wrong"](), *board["liars"](valid)]):
                if word in PATHS and isinstance(value, str) and place:
                    continue
                what, count = f"{name}({word}={type(value).__name__}, number {place})", count + 1
                try:
                    result = told(function(**{**words, word: value}))
                except (TypeError, ValueError) as error:
                    refused += 1
                    text = str(error)
                    first = re.split(r"\W", re.sub(r"^layers\[0\]: (?=\w+: )", "", text) if name in PARTS else text)[0]
                    # the bytes of a file are a model
                    model = name == "load_tflite" and type(error) is Corrupt and first == "model"
                    well = type(error) in (TypeError, ValueError) and first in words and len(text) < 400
                    if place == 0 or not (well or model):
                        found.append(f"{what}: {type(error).__name__}: {error}")
                except OSError:
                    assert name in ("load_tflite", "save_tflite")
                except Exception as error:
                    found.append(f"{what}: {type(error).__name__}: {error}")
                else:
                    if place == 0 and result != right:
                        found.append(f"{what}: another result than plain ints give")
    assert found == []
    assert refused > count // 2


def test_every_argument_of_the_host_has_a_row():
    rows: dict[str, set[str]] = {}
    for name, _, words in host_rows():
        rows.setdefault(name, set()).update(words)
    public = {name: getattr(ucorr_host, name) for name in set(ucorr_host.__all__) - RESULTS - {"reference"}}
    public |= {name: getattr(reference, name) for name in reference.__all__}
    assert set(public) <= set(rows)
    for name, function in public.items():
        assert set(inspect.signature(function).parameters) - {"options", "words", "scale", "shapes"} <= rows[name], name


FOUND = [path for path in package_dir().iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
MODULES = sorted(path.stem for path in FOUND if path.stem != "__init__")


@pytest.mark.parametrize("target", ["cpython", "micropython"])
def test_every_module_and_every_name_is_imported_from_the_package(target):
    source = f"""
answer = []
for name in {[*MODULES, *ucorr.__all__]!r}:
    found = {{}}
    exec("from ucorr import %s as found" % name, found)
    answer.append(found["found"] is getattr(ucorr, name))
for name in ("nothing", "_nothing", ""):
    answer.append(not hasattr(ucorr, name))
for name in ("nothing", "_nothing"):
    try:
        exec("from ucorr import " + name)
        answer.append(name)
    except (ImportError, AttributeError):  # MicroPython lets the package's own through
        pass
"""
    answer, _ = ask({"attempt": source}, b"", target)
    assert list(answer["outcome"]) == ["ok", [True] * (len(MODULES) + len(ucorr.__all__) + 3)]
