"""Where tests run: every target with every backend it has, forced and asserted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ucorr_host.problems.operators import OpProblem
from ucorr_host.problems.weighted import Problem
from ucorr_host.targets.simulator import ask

RUNS = (
    ("cpython", "portable"),
    ("micropython", "portable"),
    ("micropython", "viper"),
    ("cortex-m0plus", "thumb"),
    ("cortex-m4", "thumb"),
)
everywhere = pytest.mark.parametrize(("target", "backend"), RUNS, ids=["/".join(run) for run in RUNS])
# of a network, whose file says which layers are machine code
WHOLE = (*RUNS[:3], ("cortex-m0plus", None), ("cortex-m4", None))
everywhere_whole = pytest.mark.parametrize(("target", "backend"), WHOLE, ids=[f"{run[0]}/{run[1]}" for run in WHOLE])


def run(problem: Problem | OpProblem, target: str, backend: str, **more: Any) -> NDArray[Any]:
    """The problem's output on a target; fails if another backend ran or a guard byte changed. What machine code leaves
    to others runs on `portable` on an emulated core."""
    if backend == "thumb" and not problem.taken_by(backend, target):
        backend = "portable"
    answer, data = ask(problem.message(backend, **more), problem.payload(), target)
    assert answer["backend"] == backend
    assert answer["guards_intact"]
    return np.frombuffer(data, np.dtype(problem.out_dtype)).reshape(answer["out_shape"])
