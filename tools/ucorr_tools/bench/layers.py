"""Measure named layers on a target, each result verified before it counts.

An emulated board counts instructions, the same number in every run. A MicroPython process gives times on a shared
machine, of which only ratios within one run are reported as results. tables.py makes the tables of the docs from what
this writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ucorr.codegen.plan import select
from ucorr_host import TargetError, cores, reference
from ucorr_host.cores import EMULATED
from ucorr_host.problems.named import layers
from ucorr_host.problems.weighted import CORE, Problem
from ucorr_host.targets.simulator import ask

LETTERS = "abcdefghijklmnopqrs"
BACKENDS = ("thumb", "viper", "naive", "portable")
REPEATS = {"thumb": 1, "viper": 15, "naive": 3, "portable": 3}  # timed runs; where instructions are counted, one run

# The fields of a row; what a target does not know is None.
FIELDS = (
    "layer", "backend", "packing", "scale", "dtype", "verified", "macs", "instructions", "instructions_per_mac",
    "cycles_per_mac", "code_bytes", "weight_bytes", "scratch_bytes", "prepare_instructions",
    "name", "nanoseconds_per_mac", "reason",
)  # fmt: skip


def row(
    letter: str, problem: Problem, target: str, backend: str, core: str | None, budget: int | None = None
) -> dict[str, Any]:
    """The row of one layer on one backend of a target; where the target has no room for the layer, with the reason.

    raises RuntimeError where a bit differs from the reference
    """
    result: dict[str, Any] = dict.fromkeys(FIELDS)
    result |= {"layer": letter, "name": problem.name[2:], "backend": backend, "verified": False}
    result |= {"dtype": problem.options["dtype"], "scale": "tflite" if "multiplier" in problem.options else "shift"}
    if not problem.taken_by(backend, core):
        return {**result, "reason": "a shape that is left to other backends"}
    repeat = 1 if target in EMULATED or target.startswith("qemu-") else REPEATS[backend]
    message = problem.message(backend, repeat=repeat)
    if budget is not None:
        message["options"] = {**message["options"], "budget": budget}
    try:
        answer, data = ask(message, problem.payload(), target)
    except TargetError as error:
        if "MemoryError" not in str(error):
            raise
        return {**result, "reason": "does not fit this target's heap"}
    if data != problem.expected().tobytes() or answer["backend"] != backend:
        raise RuntimeError(f"layer {letter} on {target}/{backend} differs from the reference: nothing was counted")
    result |= {name: answer.get(name) for name in FIELDS if name in answer}
    result["verified"] = True
    if answer.get("instructions") is not None:
        result["instructions_per_mac"] = round(answer["instructions"] / answer["macs"], 2)
    if answer.get("cycles") is not None:
        result["cycles_per_mac"] = round(answer["cycles"] / answer["macs"], 2)
    if answer.get("microseconds") is not None:
        result["nanoseconds_per_mac"] = round(1000 * answer["microseconds"] / answer["macs"], 3)
    return result


def compact_row(letter: str, problem: Problem, target: str, core: str | None) -> list[dict[str, Any]]:
    """The row of the smaller packing, where machine code has one for the layer."""
    spec = problem.make("portable").spec
    assert core is not None
    module = select(spec, cores.named(core))[0]
    if True not in module.packings(spec):
        return []
    return [row(letter, problem, target, "thumb", core, module.table_bytes(spec, True))]


def bench(
    target: str = "micropython",
    letters: Iterable[str] = "abcdefghi",
    backends: Iterable[str] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """{"target", "rows"}, a row for each layer and backend, in one run of one board or process.

    backends  None for all that the target has
    progress  called with each row as it is known
    """
    problems = layers()
    if backends is None:
        states = ask({"attempt": "answer = ucorr.info()", "name": "info"}, b"", target)[0]["outcome"][1]
        backends = [name for name in BACKENDS if states.get("viper" if name == "naive" else name) == "ok"]
        if target in EMULATED:
            backends = ["thumb"]  # no other runs on the emulated core
    backends = list(backends)
    if "naive" in backends:
        source = Path(__file__).with_name("naive.py").read_text(encoding="utf-8")
        outcome = ask({"attempt": source, "name": "naive"}, b"", target)[0]["outcome"]
        if outcome[0] != "ok":
            raise TargetError(f"{target} can't run the naive loop: {outcome[0]}: {outcome[1]}")
    core = None
    if "thumb" in backends:  # else the generator's room stays free for the layers
        core = ask({"attempt": f"answer = {CORE}", "name": "core"}, b"", target)[0]["outcome"][1]
        if core is None:
            raise TargetError(f"{target} runs no machine code of ucorr's, wanted another backend than thumb")
    rows = []
    for letter in letters:
        for backend in backends:
            problem = problems[letter]
            made = [row(letter, problem, target, backend, core)]
            if target in EMULATED and made[0]["packing"] == "fast":
                made += compact_row(letter, problem, target, core)
            rows += made
            if progress:
                for one in made:
                    progress(one)
    return {"target": target, "rows": rows}


def fastest(call: Callable[[], Any], repeat: int = 15) -> float:
    """The least seconds of `repeat` calls."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def host() -> dict[str, Any]:
    """{"target": "host", "reference": rows}: layer b; a 5x5 kernel on 512x512, beside scipy where it is installed."""
    layer_b = layers()["b"]
    rows: list[dict[str, Any]] = [
        {"name": "NumPy reference on layer b", "milliseconds": round(1000 * fastest(layer_b.expected), 3)}
    ]
    rng = np.random.default_rng(5)
    image, kernel = rng.integers(-128, 128, (512, 512)), rng.integers(-128, 128, (5, 5))
    ours = reference.correlate2d(image, kernel)
    seconds = fastest(lambda: reference.correlate2d(image, kernel))
    last = {"name": "NumPy reference with a 5x5 kernel on 512x512 ints", "milliseconds": round(1000 * seconds, 3)}
    try:
        from scipy.signal import correlate
    except ImportError:
        last["scipy_milliseconds"] = None
    else:
        theirs = correlate(image, kernel, mode="valid", method="auto")
        if not np.array_equal(ours, theirs):
            raise RuntimeError("the reference differs from scipy.signal.correlate: nothing was timed")
        scipy_seconds = fastest(lambda: correlate(image, kernel, mode="valid", method="auto"))
        last["scipy_milliseconds"] = round(1000 * scipy_seconds, 3)
        last["ratio"] = round(scipy_seconds / seconds, 2)
    return {"target": "host", "reference": [*rows, last]}
