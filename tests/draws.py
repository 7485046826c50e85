"""Numbers that a drawn problem is full of."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st


def numbers(draw: Any, lo: int, hi: int, shape: Any) -> np.ndarray:
    """Integers within lo..hi: random, or only extremes and zero, or small ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "random", "random", "extremes", "small"]))
    if kind == "extremes":
        return rng.choice(np.array([lo, hi, min(max(0, lo), hi)], np.int64), shape)
    if kind == "small":
        return np.clip(rng.integers(-3, 4, shape), lo, hi)
    return rng.integers(lo, hi, shape, np.int64, endpoint=True)
