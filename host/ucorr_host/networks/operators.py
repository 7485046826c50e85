"""The host's table of operators without weights: one row for each class of ucorr.ops.

A row is all that the host knows of one operator: its function of the reference, how a network's node becomes its
options, its cost on viper, and its named test cases. problems/, lower.py, compile.py and forecast/ use it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ucorr
from numpy.typing import ArrayLike, NDArray

from .. import reference
from .graph import Tensor
from .softmax import exponentials

Ints = NDArray[Any]
Options = dict[str, Any]
TYPECODES = {"int8": "b", "uint8": "B", "int16": "h"}
Named = tuple[str, Options, list[tuple[int, ...]]]


@dataclass(frozen=True)
class Operator:
    """What the host knows of one operator.

    made       its class
    reference  (options, *inputs) -> the output; options as the class has them, inputs of as many items
    cost       instructions of viper on the emulated Cortex-M4 for an item of the output; for a pool, of its window
    named      named test cases: name, options, shapes of the inputs
    lower      (options of a network's node, its output tensor, *its input tensors) -> options; None: no node is one
    table      what makes the table that the class takes, from options that are then no option of the class; int32
    """

    made: Any
    reference: Callable[..., Ints]
    cost: int
    named: tuple[Named, ...]
    lower: Callable[..., Options] | None = None
    table: Callable[..., Sequence[int]] | None = None

    @property
    def name(self) -> str:
        """The public name of the class."""
        return str(self.made.__name__)

    def given(self, options: Options) -> Options:
        """The options with which the class is made."""
        if self.table is None:
            return options
        names = inspect.signature(self.table).parameters
        table = np.array(self.table(**{name: options[name] for name in names}), np.int32)
        return {"table": table, **{name: value for name, value in options.items() if name not in names}}

    def make(self, options: Options, backend: str | None = None) -> Any:
        """The layer, made on the host. raises ValueError or TypeError as a board does"""
        return self.made(backend=backend, **self.given(options))

    def instructions(self, layer: Any) -> int:
        """Of a run on viper, an estimate."""
        return self.cost * int(layer.output_length) * math.prod(getattr(layer, "size", (1,)))


# What the classes mean: their options and inputs as a call of the reference


def _without(options: Options, *names: str) -> Options:
    return {name: value for name, value in options.items() if name not in names}


def _of_windows(function: Callable[..., Ints]) -> Callable[..., Ints]:
    def pooled(options: Options, x: Ints) -> Ints:
        return function(x.reshape(options["shape"]), **_without(options, "shape", "dtype"))

    return pooled


def _of_two(function: Callable[..., Ints]) -> Callable[..., Ints]:
    def combined(options: Options, a: Ints, b: Ints) -> Ints:
        shapes = options["a_shape"], options["b_shape"]
        return function(a.reshape(shapes[0]), b.reshape(shapes[1]), **_without(options, "a_shape", "b_shape", "dtype"))

    return combined


def _looked_up(options: Options, x: Ints) -> Ints:
    return reference.lookup(x, np.array(options["table"], np.int8))


def _reached(options: Options, x: Ints) -> Ints:
    table = np.array(options["table"], np.int32).reshape(options.get("sets", 1), -1)
    return reference.thresholds(x.reshape(-1, options["channels"]), table, options["least"])


def _softmax(options: Options, x: Ints) -> Ints:
    x = x.reshape(options["rows"], options["classes"])
    return reference.softmax(x, multiplier=options["multiplier"], shift=options["shift"])


def _padded(options: Options, x: Ints) -> Ints:
    return reference.pad(x.reshape(options["shape"]), options["padding"], options.get("value", 0))


def _concatenated(options: Options, *parts: Ints) -> Ints:
    return reference.concatenate(*[part.reshape(options["outer"], -1) for part in parts], axis=1)


def _expanded(options: Options, x: Ints) -> Ints:
    return expanded(x.reshape(options["shape"]), options["stride"], options["padding"], options.get("value", 0))


def _correlated(options: Options, a: Ints, b: Ints) -> Ints:
    layer = ucorr.CrossCorrelate(**options, backend="portable")
    return reference.cross_correlate(a, b, layer.lags, shift=layer.shift, normalized=layer.normalized)


def expanded(x: ArrayLike, stride: Sequence[int], padding: Any, value: int) -> Ints:
    """x (height, width, channels) with value between its rows and columns and around it; a negative padding crops."""
    x = np.asarray(x)
    spread = np.full([(n - 1) * step + 1 for n, step in zip(x.shape, (*stride, 1), strict=True)], value, x.dtype)
    spread[:: stride[0], :: stride[1]] = x
    for axis, (before, after) in enumerate(padding):
        widths = [(0, 0)] * 3
        widths[axis] = max(0, before), max(0, after)
        spread = np.pad(spread, widths, constant_values=value)
        spread = np.take(spread, range(max(0, -before), spread.shape[axis] - max(0, -after)), axis=axis)
    return spread


# What a network's nodes become


def image_of(x: Tensor) -> tuple[int, ...]:
    """(height, width, channels). raises ValueError for a batch"""
    if x.shape[0] != 1:
        raise ValueError(f"{x.name!r} has shape {x.shape}, wanted a batch of 1")
    return x.shape[1:]


def typecode(tensor: Tensor) -> str:
    return TYPECODES[str(tensor.dtype)]


def from_end(axes: Any) -> tuple[int, ...]:
    """Axes that count from the end; ValueError for others, which count from the samples in Network.run."""
    found = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
    if any(axis >= 0 for axis in found):
        raise ValueError(f"axis {axes}, wanted what counts from the end")
    return found


def _lower_pool(given: Options, out: Tensor, x: Tensor) -> Options:
    found = {name: given[name] for name in ("size", "stride", "padding", "activation_min", "activation_max")}
    return {"shape": image_of(x), "dtype": typecode(x), **found}


def _lower_two(given: Options, out: Tensor, a: Tensor, b: Tensor) -> Options:
    shapes = few_dimensions(a.shape, b.shape)
    return {"a_shape": shapes[0], "b_shape": shapes[1], "dtype": typecode(out), **given}


def few_dimensions(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of as many dimensions, neighbours that repeat alike made one: at most 4 are left, or ValueError."""
    pairs: list[tuple[int, int]] = []
    for m, n in zip(a, b, strict=True):
        if (m, n) == (1, 1):
            continue
        if pairs and (pairs[-1][0] == 1, pairs[-1][1] == 1) == (m == 1, n == 1):
            pairs[-1] = pairs[-1][0] * m, pairs[-1][1] * n
        else:
            pairs.append((m, n))
    if len(pairs) > 4:
        raise ValueError(f"shapes {a} and {b}, wanted ones that repeat in at most 4 stretches")
    pairs = pairs or [(1, 1)]
    return tuple(m for m, _ in pairs), tuple(n for _, n in pairs)


def _lower_lookup(given: Options, out: Tensor, x: Tensor) -> Options:
    return {"length": x.size, "dtype": typecode(x), "table": given["table"]}


def _lower_softmax(given: Options, out: Tensor, x: Tensor) -> Options:
    return {"rows": x.size // x.shape[-1], "classes": x.shape[-1], **given}


def _lower_pad(given: Options, out: Tensor, x: Tensor) -> Options:
    padding = ((0, 0),) * (len(x.shape) - len(given["padding"])) + tuple(given["padding"])
    return {"shape": x.shape, "padding": padding, "value": given["value"], "dtype": typecode(x)}


def _lower_concatenate(given: Options, out: Tensor, *parts: Tensor) -> Options:
    (axis,) = from_end((given["axis"],))
    outer = math.prod(parts[0].shape[:axis])
    return {"outer": outer, "lengths": tuple(part.size // outer for part in parts), "dtype": typecode(parts[0])}


# Options of the named test cases
_SAME = {"padding": "same", "stride": (2, 2)}
_SUM = {"a_multiplier": 1073741824, "a_shift": 0, "b_multiplier": 1518500250, "b_shift": -1,
        "multiplier": 1984357219, "shift": -18}  # fmt: skip
_ZEROS = {"a_zero_point": -7, "b_zero_point": 20, "output_zero_point": -3}


def _two(a: tuple[int, ...], b: tuple[int, ...], **options: Any) -> tuple[Options, list[tuple[int, ...]]]:
    return {"a_shape": a, "b_shape": b, **options}, [a, b]


ROWS = (
    Operator(
        ucorr.MaxPool2D, _of_windows(reference.max_pool2d), 85,
        (("max pool", {"size": (2, 2), "shape": (6, 7, 3), "stride": (2, 2)}, [(6, 7, 3)]),
         ("max pool int16", {"size": (3, 2), "shape": (5, 5, 2), **_SAME, "dtype": "h"}, [(5, 5, 2)])),
        _lower_pool,
    ),
    Operator(
        ucorr.AveragePool2D, _of_windows(reference.average_pool2d), 90,
        (("average pool", {"size": (3, 3), "shape": (7, 6, 3), **_SAME}, [(7, 6, 3)]),
         ("average pool int16", {"size": (2, 3), "shape": (5, 6, 2), "dtype": "h"}, [(5, 6, 2)])),
        _lower_pool,
    ),
    Operator(
        ucorr.Add, _of_two(reference.add), 880,
        (("add", *_two((5, 4, 3), (5, 4, 3), **_SUM, **_ZEROS, activation_min=-90)),
         ("add repeating", *_two((5, 4, 3), (1, 1, 3), **_SUM, **_ZEROS)),
         ("add int16", *_two((40,), (40,), **{**_SUM, "shift": -13}, dtype="h")),
         ("add plain", *_two((5, 4, 3), (5, 4, 3), dtype="B"))),
        _lower_two,
    ),
    Operator(
        ucorr.Sub, _of_two(reference.sub), 880,
        (("sub", *_two((5, 4, 3), (4, 3), **_SUM, **_ZEROS)), ("sub plain int16", *_two((30,), (30,), dtype="h"))),
        _lower_two,
    ),
    Operator(
        ucorr.Mul, _of_two(reference.mul), 400,
        (("mul", *_two((3, 4, 2), (4, 2), multiplier=1618500250, shift=-6, **_ZEROS)),),
        _lower_two,
    ),
    Operator(
        ucorr.PReLU, _of_two(reference.prelu), 410,
        (("prelu", *_two((5, 4, 3), (3,), a_multiplier=1984357219, a_shift=-1, multiplier=1618500250, shift=-6,
                         **_ZEROS)),
         ("prelu uint8", *_two((3, 4, 2), (4, 1), a_multiplier=1618500250, a_shift=0, multiplier=1984357219, shift=-7,
                               a_zero_point=130, b_zero_point=100, output_zero_point=90, dtype="B"))),
        _lower_two,
    ),
    Operator(
        ucorr.Lookup, _looked_up, 31,
        (("lookup", {"table": [(n * n + 3 * n) % 256 - 128 for n in range(256)], "length": 77}, [(77,)]),),
        _lower_lookup,
    ),
    Operator(
        ucorr.Thresholds, _reached, 480,
        (("thresholds", {"table": [-(1 << 31), -1 << 30, -7, -7, 0, 1 << 30, (1 << 31) - 1], "channels": 11, "rows": 4,
                         "least": -3}, [(4, 11)]),),
    ),
    Operator(
        ucorr.Softmax, _softmax, 450,
        (("softmax", {"classes": 12, "rows": 3, "multiplier": 1342177280, "shift": 23}, [(3, 12)]),),
        _lower_softmax, exponentials,
    ),
    Operator(
        ucorr.Pad, _padded, 32,
        (("pad", {"shape": (3, 4, 2), "padding": ((1, 2), (0, 1), (0, 0)), "value": -9}, [(3, 4, 2)]),),
        _lower_pad,
    ),
    Operator(
        ucorr.Concatenate, _concatenated, 38,
        (("concatenate", {"lengths": (3, 5, 1), "outer": 4}, [(4, 3), (4, 5), (4, 1)]),),
        _lower_concatenate,
    ),
    Operator(
        ucorr.Expand, _expanded, 17,
        (("expand", {"shape": (3, 4, 2), "stride": (2, 3), "padding": ((1, 2), (-2, 1)), "value": 4}, [(3, 4, 2)]),
         ("expand int16", {"shape": (2, 3, 1), "stride": (1, 2), "padding": ((0, 1), (2, -1)), "value": -900,
                           "dtype": "h"}, [(2, 3, 1)])),
    ),
    Operator(
        ucorr.CrossCorrelate, _correlated, 700,
        (("lags", {"length": 50, "lags": (-7, 9)}, [(50,), (50,)]),
         ("lags int8", {"length": 33, "lags": 32, "dtype": "b"}, [(33,), (33,)]),
         ("lags limited", {"length": 40, "lags": (-20, 5), "limit": 7000, "shift": -3}, [(40,), (40,)]),
         ("lags normalized", {"length": 45, "lags": (-3, 30), "normalized": True}, [(45,), (45,)])),
    ),
)  # fmt: skip
BY_KIND = {row.made.kind: row for row in ROWS}
BY_NAME = {row.name: row for row in ROWS}
