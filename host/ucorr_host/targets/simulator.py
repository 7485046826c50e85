"""Run a layer or a network on a target and bring its output back as an ndarray.

Targets: "cpython" (this process), "micropython" (a real MicroPython process), and whatever an installed
package offers as an entry point of the group "ucorr.targets": a function like `ask`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr import Layer, backends
from ucorr.arguments import integer, one_of, refused

from .. import cores
from ..networks.compile import Compiled, compile
from ..networks.graph import in_form, samples_of
from ..networks.network import Network
from ..networks.summary import kind
from ..reference.checks import array_of
from . import here, micropython
from .micropython import TargetError

OWN_TARGETS = ("cpython", "micropython")  # and every core that emulator.py emulates


def targets() -> list[str]:
    """The names of all targets."""
    return [*OWN_TARGETS, *sorted({*cores.EMULATED, *entry_points(group="ucorr.targets").names})]


@dataclass(frozen=True)
class LayerRun:
    """The run of one layer on all samples: name, backend, output shape, MACs and the best time; cycles are an
    estimate (cycles.py) of machine code on an emulated core."""

    name: str
    backend: str
    shape: tuple[int, ...]
    macs: int
    instructions: int | None
    microseconds: int | None
    cycles: int | None = None


@dataclass(frozen=True)
class Result:
    """output: integers of the last layer's out_dtype, batch + out_shape; layers: a LayerRun each; memory: bytes of the
    heap by use, of a network (ucorr.network.Network.memory)."""

    output: NDArray[Any]
    layers: list[LayerRun]
    memory: dict[str, Any] | None = None


def ask(message: dict[str, Any], payload: bytes, target: str) -> tuple[dict[str, Any], bytes]:
    """Send one message of board_side.py to a target; (answer, output bytes). Threads and forked processes may.

    raises ValueError for an unknown target, TargetError when the target fails
    """
    if target == "micropython":
        return micropython.shared().ask(message, payload)
    if target in cores.EMULATED:
        try:
            from . import emulator
        except ImportError as error:
            raise TargetError(f"{target} needs {error.name}: pip install 'ucorr[emulate]'") from error
        return emulator.ask(message, payload, target)
    if target != "cpython":
        there = _offered(target)
        if there is None:
            raise ValueError(f"target: {target!r}, wanted one of {' '.join(targets())}")
        away: tuple[dict[str, Any], bytes] = there.ask(message, payload, target)
        return away
    answer, data = here.answer(message, payload)
    if "error" in answer:
        raise TargetError(f"{answer['error']} under CPython: {answer['message']}\n{answer['traceback'].rstrip()}")
    return answer, data


def simulate(
    op: Any, x: NDArray[Any], target: str = "cpython", *, backend: str | None = None, repeat: int = 1
) -> Result:
    """Run a layer or a network on a target.

    op      a ucorr layer with weights made on the host (ucorr.Correlate2D(...), ...); a Network, which is compiled for
            the target's core; or a Compiled
    x       integers of op.spec.dtype; any batch of whole inputs, or, for a layer with a
            pitch, one buffer of at least op.spec.input_length items, or, of a stream, one whole window: the samples
            that the layer keeps and a block. A network's as Network.run takes them, at least one sample
    backend None for the fastest that the target has, or a name
    repeat  timed runs; the best one is reported
    raises  ValueError or TypeError for a wrong x, TargetError when the target fails
    """
    x = array_of("x", x)
    repeat = integer("repeat", repeat, 0, 1 << 30)
    if backend is not None:
        backend = one_of("backend", backend, backends.NAMES)
    if not isinstance(target, str):
        raise refused("target", target, f"one of {' '.join(targets())}")
    if isinstance(op, Network):
        op = compile(op, core_of(target))
    if isinstance(op, Compiled):
        return _simulate_network(op, x, target, backend)
    if not isinstance(op, Layer):
        raise refused("op", op, "a layer with weights, a Network or a Compiled")
    spec = op.spec
    if x.dtype != np.dtype(spec.dtype):
        raise TypeError(f"x: dtype {x.dtype}, wanted {np.dtype(spec.dtype)} (the layer's {spec.dtype!r})")
    batch: tuple[int, ...] = ()
    if spec.exact_length:
        batch = batch_shape(x.shape, spec.input_shape)
        samples = np.ascontiguousarray(x).reshape(-1, spec.input_length)
    else:
        samples = np.ascontiguousarray(x).reshape(1, -1)
        if x.size < spec.input_length:
            raise ValueError(f"x: {x.size} items, wanted at least {spec.input_length} (rows {spec.pitch} apart)")
    message: dict[str, Any] = {
        "name": type(op).__name__,
        "layer": "Spec",
        "args": [],
        "options": {**spec.fields(), "budget": op.budget},
        "backend": backend,
        "repeat": repeat,
        "keep": len(samples) > 1,
    }
    answers = [ask(message, sample.tobytes(), target) for sample in samples]
    output = np.stack([np.frombuffer(data, np.dtype(spec.out_dtype)) for _, data in answers])
    output = output.reshape(batch + tuple(op.out_shape))
    run = LayerRun(
        name=type(op).__name__,
        backend=answers[0][0]["backend"],
        shape=tuple(op.out_shape),
        macs=spec.macs * len(samples),
        instructions=_total(answers, "instructions"),
        microseconds=_total(answers, "microseconds"),
    )
    return Result(output, [run])


def core_of(target: str) -> str:
    """The core that a target's networks are compiled for; "any" where it runs no machine code."""
    if target in cores.names():
        return target
    there = _offered(target)
    return there.core(target) if there else cores.ANY


def _offered(target: str) -> Any:
    """The module behind an entry point of the group ucorr.targets, with ask() as here and core(target); None: no such
    target. raises TargetError"""
    for offered in entry_points(group="ucorr.targets", name=target):
        try:
            return offered.load()
        except ImportError as error:
            raise TargetError(f"{target} needs {error.name}: pip install 'ucorr[emulate]'") from error
    return None


def _simulate_network(compiled: Compiled, x: NDArray[Any], target: str, backend: str | None) -> Result:
    """Run every sample; the layers are profiled in a run of the last one."""
    network, file = compiled.network, compiled.to_bytes()
    samples, form = samples_of(network.tensors[network.inputs[0]], x)
    if not len(samples):
        raise ValueError(f"x: shape {x.shape}, wanted at least one sample")
    message = {"name": "network", "network": len(file), "digest": zlib.crc32(file), "backend": backend}
    message |= {"locked": backend != "portable", "profile": True}  # whose softmax allocates
    answers = [ask(message, file + np.ascontiguousarray(sample).tobytes(), target) for sample in samples]
    out = network.tensors[network.outputs[0]]
    output = np.stack([np.frombuffer(data, out.dtype).reshape(out.shape) for _, data in answers])
    told = answers[-1][0]
    layers = [
        LayerRun(kind(part), ran, tuple(shape), macs, *_spent(told["unit"], spent, ran))
        for part, (_, shape, macs, spent, ran) in zip(compiled.parts, told["steps"], strict=True)
    ]
    return Result(in_form(output, form), layers, told["memory"])


def _spent(unit: str, spent: Any, backend: str) -> tuple[int | None, int | None, int | None]:
    """(instructions, microseconds, cycles) of what a target measured."""
    if unit == "spent":  # an emulated core, which executes machine code alone
        return (spent[0], None, spent[1] or None) if backend == "thumb" else (None, None, None)
    return (spent, None, None) if unit == "instructions" else (None, spent, None)


def _total(answers: list[tuple[dict[str, Any], bytes]], key: str) -> int | None:
    """The sum of the answers' values of a key; None where one answer lacks it."""
    values = [answer.get(key) for answer, _ in answers]
    return None if None in values else sum(values)  # type: ignore[arg-type]


def batch_shape(shape: tuple[int, ...], sample: tuple[int, int, int]) -> tuple[int, ...]:
    """The dimensions of x in front of one sample (height, width, channels).

    A filter's image may leave out its one channel, a signal its one row, a vector both sides.
    """
    height, width, channels = sample
    forms: list[tuple[int, ...]] = [sample]
    if channels == 1:
        forms.append((height, width))
    if channels == height == 1:
        forms.append((width,))
    if height == width == 1:
        forms.append((channels,))
    for form in forms:
        if shape[len(shape) - len(form) :] == form and 0 not in shape:
            return shape[: len(shape) - len(form)]
    raise ValueError(f"x: shape {shape}, wanted {forms[-1]}, with or without a batch in front")
