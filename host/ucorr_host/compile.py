"""A Network as a board has it: steps, one arena for all activations, packed weights, code for a core; one file.

A Compiled tells bytes, places and lives before anything is flashed; its to_bytes() are the file that
firmware/ucorr/format.py describes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ucorr
from numpy.typing import NDArray
from ucorr import format as layout
from ucorr.codegen.plan import Plan, select
from ucorr.codegen.sums import Sum
from ucorr.codegen.sums import refuses as sums_refuses
from ucorr.ops import KINDS as OPS
from ucorr.steps import FIRST

from . import arena
from .lower import IN_PLACE, WEIGHTED, Lowered, Step, lower
from .network import Network
from .reference.elementwise import softmax_table

Ints = NDArray[Any]
# The level of machine code (codegen/thumb_asm.py) for each core; "any" is packed on the board, when it is loaded.
LEVELS = {"any": 0, "cortex-m0plus": 6, "cortex-m3": 6, "cortex-m4": 8, "cortex-m7": 8, "cortex-m33": 8}
KINDS = {name: kind for kind, (name, _) in layout.FIELDS.items()}


@dataclass(frozen=True)
class Part:
    """A step with what the board needs for it.

    spec     of a layer, or None
    op       a layer without weights as ucorr.ops checks it, or None
    code     the machine code and its table, or None
    macs     nominal
    """

    step: Step
    spec: Any
    op: Any
    code: Plan | Sum | None

    @property
    def macs(self) -> int:
        return self.spec.macs if self.step.op in WEIGHTED and self.spec else 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of constants in the file: packed, or as they are."""
        if self.code:
            return self.code.weight_bytes
        return sum(array.nbytes for array in _constants(self.step, self.spec).values())

    @property
    def scratch_bytes(self) -> int:
        return self.code.scratch_bytes if self.code else 0


@dataclass(frozen=True)
class Compiled:
    """parts in the order in which they run; plan places lowered.buffers in the arena."""

    network: Network
    core: str
    lowered: Lowered
    parts: tuple[Part, ...]
    plan: arena.Plan

    @property
    def arena_bytes(self) -> int:
        return self.plan.size

    @property
    def scratch_bytes(self) -> int:
        """Of the greediest step of machine code; other backends tell theirs when they are loaded."""
        return max((part.scratch_bytes for part in self.parts), default=0)

    @property
    def macs(self) -> int:
        return sum(part.macs for part in self.parts)

    @cached_property
    def codes(self) -> list[bytes]:
        """The machine code, each piece once: layers of one shape and scale share it."""
        return list(dict.fromkeys(bytes(part.code.code) for part in self.parts if part.code))

    def to_bytes(self) -> bytes:
        """The file."""
        return _Writer(self).file()


def compile(network: Network, core: str = "any", budget: int | None = None) -> Compiled:
    """A network for a core.

    core    of LEVELS: "any" keeps weights as they are, a Cortex-M gets its machine code
    budget  None, or the most bytes that the packed weights of all layers may take: the smaller packing then goes to
            layers for which it saves most per multiply-accumulate, until they fit
    raises  ValueError for an unknown core, a budget that nothing fits, and a network that no board can run
    """
    if core not in LEVELS:
        raise ValueError(f"core: {core!r}, wanted one of {' '.join(LEVELS)}")
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"network: {len(network.inputs)} inputs and {len(network.outputs)} outputs, wanted one of each for a board"
        )
    lowered = lower(network)
    uses = [arena.Use(step.buffers, step.writes, _over(step)) for step in lowered.steps]
    plan = arena.plan([tensor.nbytes for tensor in lowered.buffers], uses, lowered.inputs, lowered.outputs)
    steps = [lowered.steps[n] for n in plan.order]
    specs = [_spec(step.words) if step.kind == "layer" else None for step in steps]
    ops = [_op(step) if step.kind != "layer" else None for step in steps]
    codes: list[Plan | Sum | None] = list(_codes(specs, LEVELS[core], budget))
    for n, op in enumerate(ops):
        if op is not None and LEVELS[core] and sums_refuses(op, LEVELS[core]) is None:
            codes[n] = Sum(op, LEVELS[core])
    parts = tuple(Part(*found) for found in zip(steps, specs, ops, codes, strict=True))
    return Compiled(network, core, lowered, parts, plan)


def _over(step: Step) -> tuple[int, ...]:
    """The buffers that the step may write its output over."""
    if step.kind not in IN_PLACE:
        return ()
    if step.kind == "lookup":
        return step.buffers
    shapes = step.words["a_shape"], step.words["b_shape"]
    whole = [max(m, n) for m, n in zip(*shapes, strict=True)]
    return tuple(
        read for read, shape in zip(step.reads, shapes, strict=True) if isinstance(read, int) and list(shape) == whole
    )


def _spec(words: dict[str, Any]) -> Any:
    """The Spec of a layer step."""
    given = {name: value for name, value in words.items() if name != "kernel"}
    kernel = words["kernel"]
    for name in ("bias", "multiplier", "shift"):
        if isinstance(given.get(name), np.ndarray):
            given[name] = given[name].tolist()
    shape = given.pop("input_shape")
    if kernel.ndim == 4 and given.get("groups", 1) == 1 and kernel.shape[3] != shape[2]:
        raise ValueError(f"kernel: {kernel.shape} on {shape}, wanted as many channels")
    return ucorr.Spec(shape, kernel.shape, kernel.reshape(-1).tolist(), **given)


def _op(step: Step) -> Any:
    """The layer without weights of a step, which raises ValueError for what a board would refuse."""
    words = dict(step.words)
    if step.kind == "softmax":
        words = {"classes": words["shape"][1], "rows": words["shape"][0], "table": _constants(step, None)["table_at"]}
    first = [words.pop("table")] if "table" in words else []
    first += [words.pop(name) for name in FIRST[step.kind]]
    try:
        return OPS[step.kind](*first, backend="portable", **words)
    except ValueError as error:
        raise ValueError(f"{step.op}: {error}") from None


def _codes(specs: list[Any], level: int, budget: int | None) -> list[Plan | None]:
    """The machine code of each layer that has one at the level, within the budget of all tables."""
    found = [None if spec is None or not level else select(spec, level) for spec in specs]
    taken = [n for n, one in enumerate(found) if one is not None and not isinstance(one, str)]
    limits: dict[int, int | None] = dict.fromkeys(taken)
    if budget is not None:
        sizes = {n: _sizes(found[n][0], specs[n], found[n][2]) for n in taken}  # type: ignore[index]
        total = sum(size[0] for size in sizes.values())
        for n in sorted(taken, key=lambda n: (sizes[n][1] - sizes[n][0]) / specs[n].macs):  # the greatest saving first
            if total <= budget:
                break
            limits[n] = sizes[n][1]
            total += sizes[n][1] - sizes[n][0]
        if total > budget:
            raise ValueError(f"budget: {budget} bytes, wanted at least the {total} of the smallest packing")
    return [Plan(spec, level, limits[n]) if n in limits else None for n, spec in enumerate(specs)]


def _sizes(module: Any, spec: Any, compact: bool) -> tuple[int, int]:
    """Bytes of a layer's table in the packing that it gets by itself, and in the smallest."""
    return module.table_bytes(spec, compact), min(module.table_bytes(spec, one) for one in module.packings(spec))


def _constants(step: Step, spec: Any) -> dict[str, Ints]:
    """The arrays that a step's words name, by the name of the word."""
    if spec is not None:
        bias_type = np.int64 if spec.accumulator == "int64" else np.int32
        arrays: dict[str, Ints] = {"weights_at": np.array(spec.weights, np.int8)}
        arrays["multiplier_at"] = np.array(spec.multiplier, np.int32)
        arrays["shift_at"] = np.array(spec.shift, np.int8)
        if spec.bias:
            arrays["bias_at"] = np.array(spec.bias, bias_type)
        return arrays
    if step.kind == "lookup":
        return {"table_at": step.words["table"]}
    if step.kind == "softmax":
        return {"table_at": softmax_table(step.words["multiplier"], step.words["shift"]).astype(np.int32)}
    return {f"input {n}": read for n, read in enumerate(step.reads) if not isinstance(read, int)}


class _Writer:
    """The file of a Compiled: a header, then pieces at multiples of 16, equal ones once."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.data = bytearray(layout.HEADER)
        self.pieces: dict[bytes, int] = {}

    def put(self, piece: bytes) -> int:
        """The offset of a piece."""
        if piece not in self.pieces:
            self.data += bytes(-len(self.data) % layout.ALIGNMENT)
            self.pieces[piece] = len(self.data)
            self.data += piece
        return self.pieces[piece]

    def file(self) -> bytes:
        compiled = self.compiled
        records = b"".join(self.record(part) for part in compiled.parts)
        header = {
            layout.LEVEL: LEVELS[compiled.core],
            layout.ARENA: compiled.arena_bytes,
            layout.SCRATCH: compiled.scratch_bytes,
            layout.STEPS: len(compiled.parts),
            layout.STEPS_AT: self.put(records),
            layout.INPUT_AT: self.put(self.tensor(compiled.lowered.inputs[0], compiled.network.inputs[0])),
            layout.OUTPUT_AT: self.put(self.tensor(compiled.lowered.outputs[0], compiled.network.outputs[0])),
        }
        labels = "".join(f"{label}\n" for label in compiled.network.labels).encode()
        header |= {layout.LABELS_AT: self.put(labels) if labels else 0, layout.LABELS: len(labels)}
        self.data += bytes(-len(self.data) % layout.ALIGNMENT)
        header[layout.SIZE] = len(self.data)
        self.data[: len(layout.MAGIC)] = layout.MAGIC
        for at, value in header.items():
            struct.pack_into("<I", self.data, at, value)
        begin = layout.CRC + 4
        struct.pack_into("<I", self.data, layout.CRC, layout.crc32(self.data[begin:]))
        return bytes(self.data)

    def tensor(self, buffer: int, number: int) -> bytes:
        tensor = self.compiled.network.tensors[number]
        place, dtype = self.compiled.plan.offsets[buffer], ord(np.dtype(tensor.dtype).char)
        shape = tensor.shape
        return struct.pack(f"<iIfii{len(shape)}i", place, dtype, tensor.scale, tensor.zero_point, len(shape), *shape)

    def record(self, part: Part) -> bytes:
        """A step: kind, place of the output, places of the inputs, the kind's words."""
        step, offsets = part.step, self.compiled.plan.offsets
        kind = "code" if part.code else step.kind
        named = self.code_words(part) if part.code else self.words(part)
        places = [offsets[read] if isinstance(read, int) else ~self.put(read.tobytes()) for read in step.reads]
        words = [offsets[step.writes], len(places), *places]
        for name, many in layout.fields(KINDS[kind]):
            values = named[name]
            values = list(values) if isinstance(values, (tuple, list)) else [values]
            if many > 0 and len(values) != many:
                raise ValueError(f"{kind}: {name} has {len(values)} words, wanted {many}")
            words += [ord(value) if isinstance(value, str) else int(value) for value in values]
        return struct.pack(f"<HH{len(words)}i", KINDS[kind], len(words), *words)

    def code_words(self, part: Part) -> dict[str, Any]:
        code = part.code
        assert code is not None
        op = part.spec or part.op
        ends = (op.input_shape, op.out_shape) if part.spec else ((1, 1, op.lengths[0]), (1, 1, op.output_length))
        return {
            "code_at": self.put(bytes(code.code)),
            "code_bytes": len(code.code),
            "packed_at": self.put(bytes(code.table)),
            "packed_bytes": len(code.table),
            "scratch_bytes": code.scratch_bytes,
            "input_shape": ends[0],
            "out_shape": ends[1],
            "dtype": op.dtype,
            "out_dtype": op.out_dtype,
            "macs": op.macs,
        }

    def words(self, part: Part) -> dict[str, Any]:
        step, spec = part.step, part.spec
        found = {name: self.put(array.tobytes()) for name, array in _constants(step, spec).items()}
        if spec is not None:
            own = {name: getattr(spec, name) for name, _ in layout.fields(KINDS["layer"]) if hasattr(spec, name)}
            own |= {"padding": sum(spec.padding, ()), "accumulator": int(spec.accumulator[3:])}
            return {**own, "bias_at": 0, "rounding": ("once", "twice").index(spec.rounding) + 1, **found}
        words = {**step.words, **found}
        if "padding" in words:
            words["padding"] = sum(words["padding"], ())
        if step.kind == "softmax":
            words["rows"], words["classes"] = words["shape"]
        if step.kind == "pad":
            front = 4 - len(words["shape"])
            if front < 0:
                raise ValueError(f"pad: {len(words['shape'])} dimensions, wanted at most 4")
            words["shape"] = (1,) * front + tuple(words["shape"])
            words["padding"] = (0,) * 2 * front + tuple(words["padding"])
        for name in ("a_shape", "b_shape"):
            if name in words:
                words[name] = (1,) * (4 - len(words[name])) + tuple(words[name])
        return words
