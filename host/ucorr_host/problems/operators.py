"""OpProblem, a test case of an operator without weights: its layer of ucorr.ops, inputs, and expected output."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr.codegen import operators
from ucorr.fixedpoint import LIMITS

from .. import cores
from ..networks.operators import BY_NAME, ROWS, Operator

OPS = tuple(BY_NAME)


@dataclass(frozen=True)
class OpProblem:
    """One layer and its inputs; what Problem is for layers with weights.

    layer    of OPS
    options  all that the class takes; in place of a table, the options that the table is made from
    inputs   integers, each in the shape that the reference takes
    """

    name: str
    layer: str
    options: dict[str, Any]
    inputs: tuple[NDArray[Any], ...] = field(repr=False)

    @property
    def row(self) -> Operator:
        return BY_NAME[self.layer]

    @cached_property
    def made(self) -> Any:
        """The layer on `portable`."""
        return self.make("portable")

    @property
    def out_dtype(self) -> str:
        """The output's typecode."""
        return str(self.made.out_dtype)

    def make(self, backend: str | None = None) -> Any:
        """The layer, made on the host."""
        return self.row.make(self.options, backend)

    def message(self, backend: str | None, **more: Any) -> dict[str, Any]:
        """The message of board_side.py that makes and runs the layer."""
        options = dict(self.row.given(self.options))
        table = options.pop("table", None)
        return {
            "name": self.name,
            "layer": self.layer,
            "args": [] if table is None else [np.asarray(table).tolist()],
            "options": options,
            "backend": backend,
            "kernel_bytes": 0,  # none of the payload is a kernel
            **more,
        }

    def payload(self) -> bytes:
        """The inputs' bytes, one after the other."""
        return b"".join(np.ascontiguousarray(x).tobytes() for x in self.inputs)

    def taken_by(self, backend: str, core: str | None) -> bool:
        """Whether a backend takes the layer where the backend can run; as Problem's."""
        if backend != "thumb":
            return True
        return core is not None and not isinstance(operators.select(self.made, cores.named(core)), str)

    def expected(self) -> NDArray[Any]:
        """What the reference computes, of the layer's out_shape and dtype."""
        return self.row.reference(self.options, *self.inputs)


def named_ops() -> list[OpProblem]:
    """The test cases of `ucorr verify` without weights: every kind, 8 and 16 bits, in small sizes."""
    return [_problem(row.name, *case) for row in ROWS for case in row.named]


def reach(made: Any) -> tuple[int, int]:
    """The least and the greatest item that inputs of a layer may have."""
    lowest, highest = LIMITS[made.dtype]
    limit = getattr(made, "limit", highest - lowest)
    return max(lowest, -limit), min(highest, limit)


def _problem(layer: str, name: str, options: dict[str, Any], shapes: list[tuple[int, ...]]) -> OpProblem:
    """An OpProblem with random inputs."""
    rng = np.random.default_rng(list(name.encode()))
    made = OpProblem(name, layer, options, ()).made
    lowest, highest, dtype = *reach(made), np.dtype(made.dtype)
    inputs = [
        rng.integers(lowest, highest, math.prod(shape), np.int64, endpoint=True).reshape(shape) for shape in shapes
    ]
    return OpProblem(name, layer, options, tuple(x.astype(dtype) for x in inputs))
