"""Where tests run: every target with every backend it has, forced and asserted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ucorr_host.problems import Problem
from ucorr_host.simulator import ask

RUNS = (("cpython", "portable"), ("micropython", "portable"), ("micropython", "viper"))
everywhere = pytest.mark.parametrize(("target", "backend"), RUNS, ids=["/".join(run) for run in RUNS])


def run(problem: Problem, target: str, backend: str, **more: Any) -> NDArray[Any]:
    """The problem's output on a target; fails if another backend ran or a guard byte changed."""
    answer, data = ask(problem.message(backend, **more), problem.payload(), target)
    assert answer["backend"] == backend
    assert answer["guards_intact"]
    return np.frombuffer(data, np.dtype(problem.options.get("out_dtype", "i"))).reshape(answer["out_shape"])
