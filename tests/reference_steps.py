"""A compiled network run by the reference, step by step, in one real arena: what a board does, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr_host import reference
from ucorr_host.networks.compile import Compiled
from ucorr_host.networks.lower import Step
from ucorr_host.networks.operators import BY_KIND

Ints = NDArray[Any]
SCALE = ("multiplier", "shift", "input_zero_point", "output_zero_point", "activation_min", "activation_max")


def run(compiled: Compiled, x: Ints) -> Ints:
    """The output for one sample. Every buffer is where the plan says, and nowhere else."""
    memory = np.random.default_rng(0).integers(0, 256, compiled.arena_bytes, np.uint8)
    offsets, buffers = compiled.plan.offsets, compiled.lowered.buffers

    def view(buffer: int) -> Ints:
        tensor, at = buffers[buffer], offsets[buffer]
        return memory[at : at + tensor.nbytes].view(tensor.dtype).reshape(tensor.shape)

    view(compiled.lowered.inputs[0])[...] = x
    for part in compiled.parts:
        values = [view(read).copy() if isinstance(read, int) else read for read in part.step.reads]
        target = view(part.step.writes)
        target[...] = done(part.step, values, part.spec).reshape(target.shape)
    return view(compiled.lowered.outputs[0]).reshape(compiled.network.tensors[compiled.network.outputs[0]].shape)


def done(step: Step, values: list[Ints], spec: Any) -> Ints:
    """One step's output."""
    words = step.options
    if step.kind == "layer":
        names = [*SCALE, "stride", "padding", "groups", "kernel_zero_point", "accumulator", "rounding", "dilation"]
        more = {name: words[name] for name in names if name in words}
        x = values[0].reshape(words["input_shape"])
        dtype = np.dtype(words["out_dtype"])
        return reference.conv2d(x, words["kernel"], words.get("bias"), out_dtype=dtype, **more)
    return BY_KIND[step.kind].reference(words, *values)
