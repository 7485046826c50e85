"""Profile a network: a row for each step, of a run whose output is compared with the reference first.

An emulated core counts machine code, an emulated board everything; a real MicroPython, on the host or behind a
serial port, gives microseconds.
"""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from ucorr_host import Network, TargetError, simulate
from ucorr_host.cores import ANY, EMULATED, counted
from ucorr_host.networks.compile import Compiled, compile
from ucorr_host.networks.graph import in_form, samples_of
from ucorr_host.networks.summary import kind
from ucorr_host.problems.weighted import CORE
from ucorr_host.targets.simulator import LayerRun, core_of

from ..boards import verify
from ..boards.board import Board
from ..boards.deploy_model import place_of

NAME = "ucorr-profile.tmp"  # of the network's file on a board, while it is profiled
UNITS = ("cycles", "instructions", "microseconds")  # what counts is the first that a target says


def on_target(network: Network, x: ArrayLike, target: str) -> dict[str, Any]:
    """A profile on a target of simulate(); of several samples the last one is measured.

    raises  TargetError when the target fails or one byte differs, ValueError or TypeError for a wrong x
    """
    compiled = compile(network, core_of(target))
    result = simulate(compiled, np.asarray(x), target)
    hold(result.output, network, x, target)
    return told(compiled, result.layers, target)


def on_board(network: Network, x: ArrayLike, board: Board) -> dict[str, Any]:
    """A profile on a board that ucorr is deployed to, in microseconds; its file lies there while that takes.

    raises  BoardError, TargetError, ValueError and TypeError likewise
    """
    verify.start(board)
    compiled = compile(network, board.eval(CORE) or ANY)
    file = compiled.to_bytes()
    samples, form = samples_of(network.tensors[network.inputs[0]], x)
    path = place_of(board, NAME)
    message = {"name": "network", "network": len(file), "path": path, "digest": zlib.crc32(file), "profile": True}
    try:
        board.write(path, file)
        answers = [verify.ask(board, message, np.ascontiguousarray(sample).tobytes()) for sample in samples]
    finally:
        if board.alive and NAME in board.listdir(str(PurePosixPath(path).parent)):
            board.exec("_kept = (None, None, None)\nimport gc\ngc.collect()")  # a streamed file is open
            board.remove(path)
    last = answers[-1][0]
    for answer, _ in answers:
        if "error" in answer:
            raise TargetError(f"{answer['error']} on {board.port}: {answer['message']}")
    out = network.tensors[network.outputs[0]]
    output = np.stack([np.frombuffer(data, out.dtype).reshape(out.shape) for _, data in answers])
    hold(in_form(output, form), network, x, board.port)
    runs = [
        LayerRun(kind(part), ran, tuple(shape), macs, None, spent)
        for part, (_, shape, macs, spent, ran) in zip(compiled.parts, last["steps"], strict=True)
    ]
    return told(compiled, runs, board.port)


def hold(output: Any, network: Network, x: ArrayLike, where: str) -> None:
    """Nothing, or TargetError where one byte of the output is not the reference's."""
    expected = np.asarray(network.run(x))
    wrong = np.count_nonzero(output != expected)
    if wrong:
        raise TargetError(
            f"{wrong} of {expected.size} outputs on {where} differ from the reference: nothing was counted"
        )


def told(compiled: Compiled, runs: list[LayerRun], where: str) -> dict[str, Any]:
    """Rows, totals and what the figures leave out, as plain values.

    unit     of UNITS; per_mac is that many for each MAC, microseconds told as nanoseconds
    macs     nominal, as the network's summary says them
    counted_macs   of the totals: those of the steps that were counted, which alone their per_mac is over
    """
    unit = next((name for name in UNITS if any(getattr(run, name) is not None for run in runs)), UNITS[-1])
    rows = []
    for part, run in zip(compiled.parts, runs, strict=True):
        row: dict[str, Any] = {"layer": run.name, "shape": list(run.shape), "macs": part.macs}
        row |= {name: getattr(run, name) for name in UNITS}
        rows.append(row | {"per_mac": None, "weight_bytes": part.weight_bytes, "backend": run.backend})
    totals: dict[str, Any] = {"macs": sum(row["macs"] for row in rows)}
    for name in UNITS:
        values = [row[name] for row in rows if row[name] is not None]
        totals[name] = sum(values) if values else None
    totals["weight_bytes"] = sum(row["weight_bytes"] for row in rows)
    totals["counted_macs"] = sum(row["macs"] for row in rows if row[unit] is not None)
    for row in (*rows, totals):
        macs = row.get("counted_macs", row["macs"])
        if row[unit] is not None and macs:
            row["per_mac"] = round((1000 if unit == UNITS[-1] else 1) * row[unit] / macs, 3)
    return {
        "target": where,
        "core": compiled.core,
        "arena_bytes": compiled.arena_bytes,
        "scratch_bytes": compiled.scratch_bytes,
        "unit": unit,
        "rows": rows,
        "totals": {"per_mac": None, **totals},
        "notes": notes(where, rows, unit) + uncounted(totals),
    }


def uncounted(totals: dict[str, Any]) -> list[str]:
    """A sentence on how much of the MACs was not counted; none where all were."""
    counted, macs = totals["counted_macs"], totals["macs"]
    return [] if counted == macs else [f"of {macs:,} MACs {counted:,} are counted; the total per MAC is over these"]


def notes(where: str, rows: list[dict[str, Any]], unit: str) -> list[str]:
    """A sentence for each thing that the figures leave out."""
    found = []
    if unit == "cycles":
        found.append(
            "cycles are estimated from the instructions by the tables of the core's manual; wait states, caches,"
            " bus contention and interrupts are ignored"
        )
    elif where in EMULATED:
        found.append(f"no cycles: there are tables for {' and '.join(counted())} only")
    elif unit == "instructions":
        found.append("instructions of the whole step, its Python included; they are not cycles")
    elif where in ("cpython", "micropython"):
        found.append("microseconds of this machine, of which only ratios say something about a board")
    left = [row["layer"] for row in rows if row[unit] is None]
    if left and where in EMULATED:
        names = ", ".join(sorted(set(left)))
        found.append(f"not counted, being no machine code: {names}; on a board viper runs what has none")
    return found
