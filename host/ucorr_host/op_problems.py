"""Problems of layers without weights: a layer of ucorr.ops in the user's own words, its inputs, the expected output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ucorr
from numpy.typing import ArrayLike, NDArray
from ucorr.codegen.sums import refuses

from . import reference
from .reference.elementwise import softmax_table

OPS = ("MaxPool2D", "AveragePool2D", "Add", "Sub", "Mul", "Lookup", "Softmax", "Pad", "Concatenate", "Expand")
FUNCTIONS: dict[str, Callable[..., NDArray[Any]]] = {
    "MaxPool2D": reference.max_pool2d,
    "AveragePool2D": reference.average_pool2d,
    "Add": reference.add,
    "Sub": reference.sub,
    "Mul": reference.mul,
}


@dataclass(frozen=True)
class OpProblem:
    """One layer and its inputs; what Problem is for layers with weights.

    layer    of OPS
    args     what the class takes ahead of its keywords, but for a Softmax (classes, rows)
    options  keywords of the layer; for a Softmax the words of reference.softmax
    inputs   integers, each in the shape that the reference takes
    """

    name: str
    layer: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[NDArray[Any], ...] = field(repr=False)

    @property
    def out_dtype(self) -> str:
        """The output's typecode."""
        return "b" if self.layer == "Lookup" else str(self.options.get("dtype", "b"))

    def make(self, backend: str | None = None) -> Any:
        """The layer, made on the desk."""
        args, options = self._given()
        if self.layer == "Softmax":
            args[0] = np.array(args[0], np.int32)
        return getattr(ucorr, self.layer)(*args, backend=backend, **options)

    def _given(self) -> tuple[list[Any], dict[str, Any]]:
        if self.layer == "Softmax":
            return [softmax_table(**self.options).tolist(), *self.args], {}
        return list(self.args), self.options

    def message(self, backend: str | None, **more: Any) -> dict[str, Any]:
        """The message of board_side.py that makes and runs the layer."""
        args, options = self._given()
        return {
            "name": self.name,
            "layer": self.layer,
            "args": args,
            "options": options,
            "backend": backend,
            "kernel_bytes": 0,  # none of the payload is a kernel
            **more,
        }

    def payload(self) -> bytes:
        """The inputs' bytes, one behind the other."""
        return b"".join(np.ascontiguousarray(x).tobytes() for x in self.inputs)

    def taken_by(self, backend: str, level: int | None) -> bool:
        """Whether a backend takes the layer where the backend can run; as Problem's."""
        return backend != "thumb" or (level is not None and refuses(self.make("portable"), level) is None)

    def expected(self) -> NDArray[Any]:
        """What the reference computes, of the layer's out_shape and dtype."""
        words = {name: value for name, value in self.options.items() if name != "dtype"}
        if self.layer in ("MaxPool2D", "AveragePool2D"):
            return FUNCTIONS[self.layer](*self.inputs, self.args[0], **words)
        if self.layer in FUNCTIONS:
            return FUNCTIONS[self.layer](*self.inputs, **words)
        (x,) = self.inputs[:1]
        if self.layer == "Lookup":
            return reference.lookup(x, np.array(self.args[0], np.int8))
        if self.layer == "Softmax":
            return reference.softmax(x, **words)
        if self.layer == "Pad":
            return reference.pad(x, self.args[1], self.options.get("value", 0))
        if self.layer == "Concatenate":
            return reference.concatenate(*self.inputs, axis=1)
        return expanded(x, self.options["stride"], self.options["padding"], self.options.get("value", 0))


def expanded(x: ArrayLike, stride: Sequence[int], padding: Any, value: int) -> NDArray[Any]:
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


def named_ops() -> list[OpProblem]:
    """The problems of `ucorr verify` without weights: every kind, 8 and 16 bits, in small."""
    same = {"padding": "same", "stride": (2, 2)}
    scales = {"a_multiplier": 1073741824, "a_shift": 0, "b_multiplier": 1518500250, "b_shift": -1}
    total = {**scales, "multiplier": 1984357219, "shift": -18}
    zeros = {"a_zero_point": -7, "b_zero_point": 20, "output_zero_point": -3}
    rows: list[tuple[str, str, tuple[Any, ...], dict[str, Any], list[tuple[int, ...]]]] = [
        ("max pool", "MaxPool2D", ((2, 2), (6, 7, 3)), {"stride": (2, 2)}, [(6, 7, 3)]),
        ("max pool int16", "MaxPool2D", ((3, 2), (5, 5, 2)), {**same, "dtype": "h"}, [(5, 5, 2)]),
        ("average pool", "AveragePool2D", ((3, 3), (7, 6, 3)), same, [(7, 6, 3)]),
        ("average pool int16", "AveragePool2D", ((2, 3), (5, 6, 2)), {"dtype": "h"}, [(5, 6, 2)]),
        ("add", "Add", ((5, 4, 3), (5, 4, 3)), {**total, **zeros, "activation_min": -90}, [(5, 4, 3)] * 2),
        ("add repeating", "Add", ((5, 4, 3), (1, 1, 3)), total | zeros, [(5, 4, 3), (1, 1, 3)]),
        ("add int16", "Add", ((40,), (40,)), {**total, "shift": -13, "dtype": "h"}, [(40,)] * 2),
        ("sub", "Sub", ((5, 4, 3), (4, 3)), total | zeros, [(5, 4, 3), (4, 3)]),
        ("mul", "Mul", ((3, 4, 2), (4, 2)), {"multiplier": 1618500250, "shift": -6, **zeros}, [(3, 4, 2), (4, 2)]),
        ("lookup", "Lookup", ([(n * n + 3 * n) % 256 - 128 for n in range(256)], 77), {}, [(77,)]),
        ("softmax", "Softmax", (12, 3), {"multiplier": 1342177280, "shift": 23}, [(3, 12)]),
        ("pad", "Pad", ((3, 4, 2), ((1, 2), (0, 1), (0, 0))), {"value": -9}, [(3, 4, 2)]),
        ("concatenate", "Concatenate", ((3, 5, 1), 4), {}, [(4, 3), (4, 5), (4, 1)]),
        ("expand", "Expand", ((3, 4, 2),), {"stride": (2, 3), "padding": ((1, 2), (-2, 1)), "value": 4}, [(3, 4, 2)]),
        ("expand int16", "Expand", ((2, 3, 1),), {"stride": (1, 2), "padding": ((0, 1), (2, -1)), "value": -900,
                                                  "dtype": "h"}, [(2, 3, 1)]),
    ]  # fmt: skip
    return [_problem(*row) for row in rows]


def _problem(name: str, layer: str, args: Any, options: dict[str, Any], shapes: list[tuple[int, ...]]) -> OpProblem:
    """An OpProblem with random inputs."""
    rng = np.random.default_rng(list(name.encode()))
    limits = np.iinfo(np.dtype(options.get("dtype", "b")))
    inputs = [
        rng.integers(limits.min, limits.max, math.prod(shape), np.int64, endpoint=True).reshape(shape)
        for shape in shapes
    ]
    return OpProblem(name, layer, args, options, tuple(x.astype(limits.dtype) for x in inputs))
