"""The summary of a compiled network: its layers, bytes and memory plan, as text or as plain values for JSON."""

from __future__ import annotations

import hashlib
from typing import Any

from .. import cores
from .compile import Compiled, Part
from .lower import WEIGHTED

COLUMNS = ("step", "output", "MACs", "weights", "code", "scratch", "reads", "writes", "alive")


def report(compiled: Compiled) -> dict[str, Any]:
    """The summary as a dict: input, output, totals, a dict for each step, and the place and lifetime of each buffer."""
    network, plan, file = compiled.network, compiled.plan, compiled.to_bytes()
    ends = {}
    for name, number in (("input", network.inputs[0]), ("output", network.outputs[0])):
        tensor = network.tensors[number]
        ends[name] = {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype),
            "scale": tensor.scale,
            "zero_point": tensor.zero_point,
        }
    return {
        **ends,
        "core": compiled.core,
        "labels": list(network.labels),
        "macs": compiled.macs,
        "file_bytes": len(file),
        "sha256": hashlib.sha256(file).hexdigest(),
        "weight_bytes": sum(part.weight_bytes for part in compiled.parts),
        "code_bytes": sum(map(len, compiled.codes)),
        "arena_bytes": compiled.arena_bytes,
        "scratch_bytes": compiled.scratch_bytes,
        "steps": [_step(compiled, n, part) for n, part in enumerate(compiled.parts)],
        "buffers": [
            {"name": tensor.name, "bytes": tensor.nbytes, "offset": offset, "first": life[0], "last": life[1]}
            for tensor, offset, life in zip(compiled.lowered.buffers, plan.offsets, plan.lives, strict=True)
        ],
    }


def _step(compiled: Compiled, n: int, part: Part) -> dict[str, Any]:
    buffers, plan = compiled.lowered.buffers, compiled.plan
    step, out = part.step, buffers[part.step.writes]
    alive = sum(tensor.nbytes for tensor, (first, last) in zip(buffers, plan.lives, strict=True) if first <= n <= last)
    return {
        "kind": kind(part),
        "shape": list(out.shape),
        "macs": part.macs,
        "weight_bytes": part.weight_bytes,
        "packing": part.code.packing if part.code else None,
        "code_bytes": part.code.code_bytes if part.code else None,
        "scratch_bytes": part.code.scratch_bytes if part.code else None,
        "reads": [plan.offsets[buffer] for buffer in step.buffers],
        "writes": plan.offsets[step.writes],
        "alive_bytes": alive,
    }


def kind(part: Part) -> str:
    """What a step is called: of a layer, what its shapes make it."""
    spec = part.spec
    if part.step.op not in WEIGHTED or spec is None:
        return part.step.op if spec is not None else part.step.kind
    out, kh, kw, depth = spec.kernel_shape
    if spec.input_shape[:2] == (1, 1):
        return f"dense {depth}->{out}"
    name = "conv"
    if spec.groups > 1:
        name = "depthwise" if spec.groups == spec.input_shape[2] else f"conv in {spec.groups} groups"
    y, x = spec.stride
    stride = "" if y == x == 1 else f" s{y}" if y == x else f" s{y}x{x}"
    return f"{name} {kh}x{kw}x{depth * spec.groups}->{out}{stride}"


def text(told: dict[str, Any]) -> str:
    """A report() as text: a line for each step, then totals."""
    rows = [COLUMNS]
    for step in told["steps"]:
        numbers = (step[name] for name in ("macs", "weight_bytes", "code_bytes", "scratch_bytes"))
        cells = ["–" if number is None else f"{number:,}" for number in numbers]
        places = [" ".join(map(str, step["reads"])), str(step["writes"]), f"{step['alive_bytes']:,}"]
        rows.append((step["kind"], "x".join(map(str, step["shape"])), *cells, *places))
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        lines.append("  ".join(left + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]))
    for name in ("input", "output"):
        end = told[name]
        shape = "x".join(map(str, end["shape"]))
        lines.append(f"{name}: {shape} {end['dtype']}, scale {end['scale']:.6g}, zero point {end['zero_point']}")
    lines.append(
        f"core {told['core']}: {told['macs']:,} MACs, weights {told['weight_bytes']:,} bytes,"
        f" code {told['code_bytes']:,}, file {told['file_bytes']:,}"
    )
    scratch = f"{told['scratch_bytes']:,} bytes" if told["core"] != cores.ANY else "as the board's backend wants"
    lines.append(f"arena {told['arena_bytes']:,} bytes of activations; scratch {scratch}")
    return "\n".join(line.rstrip() for line in lines)
