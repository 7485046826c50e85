"""The networks that come with ucorr: a command that takes a model takes their names. A file of the name comes first."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr_host import Network, load_tflite

from . import digits


@dataclass(frozen=True)
class Shipped:
    """One network: how it is read, and samples that it never saw, as integers (count, *shape) of its input."""

    network: Callable[[], Network]
    samples: Callable[[], NDArray[Any]]


def _one_of_each() -> NDArray[Any]:
    """The first held-out image of each digit, 0 to 9."""
    images, labels = digits.held_out()
    return digits.integers(images[[np.flatnonzero(labels == digit)[0] for digit in range(10)]])


NETWORKS = {"digits": Shipped(digits.network, _one_of_each)}


def shipped(name: str) -> Shipped | None:
    """The network of a name, or None where it is a path or there is no such network."""
    return None if os.path.lexists(name) else NETWORKS.get(name)


def load(model: str) -> Network:
    """The network of a .tflite file, or of a name, which brings its labels. raises as load_tflite()"""
    found = shipped(model)
    return found.network() if found else load_tflite(model)
