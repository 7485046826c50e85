"""Measured ratios, each result verified before it is timed: one JSON, and the README's table made from it.

Times are wall-clock on a shared machine, so only ratios of one run are told as results: viper
to portable in one MicroPython process, the reference to scipy in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ucorr_host import reference
from ucorr_host.named import layers
from ucorr_host.problems import Problem
from ucorr_host.simulator import ask

RATIO_LAYERS = "abcdefghi"
REPEATS = {"viper": 15, "portable": 3}


def board_row(letter: str, problem: Problem, target: str) -> dict[str, Any]:
    """One layer on both backends of a target; RuntimeError if a bit differs from the reference."""
    expected = problem.expected()
    row: dict[str, Any] = {"layer": letter, "name": problem.name[2:], "verified": True}
    for backend, repeat in REPEATS.items():
        answer, data = ask(problem.message(backend, repeat=repeat), problem.payload(), target)
        if data != expected.tobytes() or answer["backend"] != backend:
            raise RuntimeError(f"layer {letter} on {target}/{backend} differs from the reference: nothing was timed")
        row["macs"] = answer["macs"]
        row[f"{backend}_ns_per_mac"] = round(1000 * answer["microseconds"] / answer["macs"], 3)
        row[f"{backend}_weight_bytes"] = answer["weight_bytes"]
        row[f"{backend}_scratch_bytes"] = answer["scratch_bytes"]
    row["ratio"] = round(row["portable_ns_per_mac"] / row["viper_ns_per_mac"], 1)
    return row


def fastest(call: Callable[[], Any], repeat: int = 15) -> float:
    """The least seconds of `repeat` calls."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def reference_rows() -> list[dict[str, Any]]:
    """The reference's speed: layer b, and a 5x5 kernel on 512x512 beside scipy (where it is installed)."""
    layer_b = layers()["b"]
    rows: list[dict[str, Any]] = [
        {"name": "NumPy reference on layer b", "milliseconds": round(1000 * fastest(layer_b.expected), 3)}
    ]
    rng = np.random.default_rng(5)
    image, kernel = rng.integers(-128, 128, (512, 512)), rng.integers(-128, 128, (5, 5))
    ours = reference.correlate2d(image, kernel)
    seconds = fastest(lambda: reference.correlate2d(image, kernel))
    row = {"name": "NumPy reference with a 5x5 kernel on 512x512 ints", "milliseconds": round(1000 * seconds, 3)}
    try:
        from scipy.signal import correlate
    except ImportError:
        row["scipy_milliseconds"] = None
    else:
        theirs = correlate(image, kernel, mode="valid", method="auto")
        if not np.array_equal(ours, theirs):
            raise RuntimeError("the reference differs from scipy.signal.correlate: nothing was timed")
        scipy_seconds = fastest(lambda: correlate(image, kernel, mode="valid", method="auto"))
        row["scipy_milliseconds"] = round(1000 * scipy_seconds, 3)
        row["ratio"] = round(scipy_seconds / seconds, 2)
    return [*rows, row]


def bench(target: str = "micropython", letters: str = RATIO_LAYERS) -> dict[str, Any]:
    """{"target", "rows": a row per layer, "reference": rows of the desk}."""
    problems = layers()
    return {
        "target": target,
        "rows": [board_row(letter, problems[letter], target) for letter in letters],
        "reference": reference_rows(),
    }


def table(result: dict[str, Any]) -> str:
    """The result as the README's Markdown table."""
    lines = [
        "| layer | MACs | portable, ns/MAC | viper, ns/MAC | times as fast | viper's scratch, bytes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['layer']}: {row['name']} | {row['macs']:,} | {row['portable_ns_per_mac']:.0f} "
        f"| {row['viper_ns_per_mac']:.2f} | {row['ratio']:.0f} | {row['viper_scratch_bytes']:,} |"
        for row in result["rows"]
    ]
    return "\n".join([*lines, "", *said(result)])


def said(result: dict[str, Any]) -> list[str]:
    """A sentence for each figure of the desk."""
    sentences = []
    for row in result["reference"]:
        sentence = f"The {row['name']}: {row['milliseconds']:.2g} ms"
        if row.get("scipy_milliseconds"):
            sentence += f", {row['ratio']:.1f} times as fast as `scipy.signal.correlate`"
        sentences.append(sentence + ".")
    return sentences


def spread(result: dict[str, Any]) -> str:
    """The least and the greatest ratio of viper to portable."""
    ratios = [row["ratio"] for row in result["rows"]]
    return f"{min(ratios):.0f} to {max(ratios):.0f}"


def write_table(result: dict[str, Any], path: str | Path) -> None:
    """Put the table and the spread between their markers in a Markdown file; ValueError when it has none."""
    text = Path(path).read_text(encoding="utf-8")
    for name, content in (("bench", f"\n{table(result)}\n"), ("spread", spread(result))):
        begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{path}: no {begin} and {end} to write between")
        text = before + begin + content + end + after
    Path(path).write_text(text, encoding="utf-8")
