"""evaluate(), which runs a network on a data set, in parts that an executor may run in other threads or processes."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import integer, refused

from ..networks.network import Network
from ..reference.checks import array_of

Ints = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outputs of a data set, the class of each sample, and how many classes are correct.

    outputs   the network's integers (samples, ...), without the leading 1 of the output's shape
    classes   (samples,) int64: where each sample's output is greatest, the first of equal ones
    correct   how many classes are the labels, None without labels
    """

    outputs: Ints
    classes: Ints
    correct: int | None = None

    @property
    def accuracy(self) -> float | None:
        """The share of classes that are the labels, None without labels."""
        return None if self.correct is None else self.correct / len(self.classes)


def evaluate(
    network: Network,
    x: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    executor: Executor | None = None,
    batch: int = 64,
) -> Evaluation:
    """Run a network on samples, part by part; the same result however they are split and wherever they run.

    network   of one input and one output
    x         samples of the input's shape, with or without its leading 1: its integers, or real numbers, which are
              quantised first
    labels    None, or (samples,) integers: the right class of each
    executor  None: one part after the other, here; or anything with the interface of concurrent.futures.Executor: a
              pool of threads or processes, Dask's client.get_executor(). It gets the network and a part with each call
    batch     samples in a part
    raises    ValueError or TypeError naming the argument
    """
    if not isinstance(network, Network):
        raise TypeError(f"network: {type(network).__name__}, wanted a Network")
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"network: {len(network.inputs)} inputs and {len(network.outputs)} outputs, wanted one of each"
        )
    batch = integer("batch", batch, 1, 1 << 30)
    if executor is not None and not callable(getattr(executor, "map", None)):
        raise refused("executor", executor, "one of concurrent.futures, or None")
    samples = _samples(network, array_of("x", x))
    wanted = None if labels is None else _labels(array_of("labels", labels), len(samples))
    parts = [samples[n : n + batch] for n in range(0, len(samples), batch)]
    mapped = map if executor is None else executor.map
    outputs = np.concatenate(list(mapped(_run, [network] * len(parts), parts)))
    if outputs.shape[1] == 1 and outputs.ndim > 2:
        outputs = outputs[:, 0]
    classes = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return Evaluation(outputs, classes, None if wanted is None else int((classes == wanted).sum()))


def _run(network: Network, part: Ints) -> Ints:
    """The network's output for a part, a function of this module so that processes find it."""
    found: Ints = network.run(part)
    return found


def _samples(network: Network, x: NDArray[Any]) -> Ints:
    """x as integers (samples, *shape of the input). With all dimensions there, run() takes one sample for many too."""
    tensor = network.tensors[network.inputs[0]]
    if x.shape[1:] == tensor.shape:
        pass
    elif tensor.shape[:1] == (1,) and x.shape[1:] == tensor.shape[1:]:
        x = x[:, None]
    else:
        raise ValueError(f"x: shape {x.shape}, wanted samples of shape {tensor.shape}")
    if len(x) == 0:
        raise ValueError("x: no samples, wanted at least one")
    if x.dtype.kind == "f":
        return network.quantize_input(x)
    if x.dtype != tensor.dtype:
        raise TypeError(f"x: dtype {x.dtype}, wanted {tensor.dtype} or floats")
    return x


def _labels(labels: NDArray[Any], count: int) -> Ints:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: dtype {labels.dtype}, wanted integers")
    if labels.shape != (count,):
        raise ValueError(f"labels: shape {labels.shape}, wanted ({count},), one per sample")
    return labels
