"""compile(), which turns a Graph into a Compiled: steps, one arena, packed weights and machine code for a core.

A Compiled reports bytes, places and lifetimes before anything is flashed; its to_bytes() returns the file that
firmware/ucorr/format.py describes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ucorr
from numpy.typing import NDArray
from ucorr import format as layout
from ucorr.arguments import integer, one_of
from ucorr.codegen import operators
from ucorr.codegen.asm.assembler import AssemblerError
from ucorr.codegen.cores import Core
from ucorr.codegen.plan import Plan, select

from .. import cores
from . import arena, record
from .graph import Graph
from .lower import WEIGHTED, Lowered, Step, lower
from .operators import BY_KIND

Ints = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """A step with its checked Spec or operator and its machine code.

    spec     of a layer, or None
    op       a layer without weights as ucorr.ops checks it, or None
    code     the machine code and its table, or None
    macs     nominal
    """

    step: Step
    spec: Any
    op: Any
    code: Any

    @property
    def macs(self) -> int:
        return self.spec.macs if self.step.op in WEIGHTED and self.spec else 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of constants in the file: packed, or as they are."""
        if self.code:
            return self.code.weight_bytes
        return sum(map(len, self.constants.values()))

    @property
    def constants(self) -> dict[str, bytes]:
        """The arrays of the file that the step's record names, by the field; constants among its inputs."""
        if self.spec is None:
            table = {"table_at": bytes(self.op.table)} if hasattr(self.op, "table") else {}
            reads = {
                f"input {n}": read.tobytes() for n, read in enumerate(self.step.reads) if not isinstance(read, int)
            }
            return table | reads
        spec = self.spec
        arrays: dict[str, Ints] = {"weights_at": np.array(spec.weights, np.int8)}
        if spec.multiplier is not None:
            arrays |= {"multiplier_at": np.array(spec.multiplier, np.int32), "shift_at": np.array(spec.shift, np.int8)}
        if spec.bias:
            arrays["bias_at"] = np.array(spec.bias, np.int64 if spec.accumulator == "int64" else np.int32)
        return {name: array.tobytes() for name, array in arrays.items()}

    @property
    def scratch_bytes(self) -> int:
        return self.code.scratch_bytes if self.code else 0


@dataclass(frozen=True)
class Compiled:
    """parts in the order in which they run; plan places lowered.buffers in the arena."""

    network: Graph
    core: str
    lowered: Lowered
    parts: tuple[Part, ...]
    plan: arena.Plan

    @property
    def arena_bytes(self) -> int:
        return self.plan.size

    @property
    def scratch_bytes(self) -> int:
        """The most scratch that a step of machine code needs; other backends report theirs when the file is loaded."""
        return max((part.scratch_bytes for part in self.parts), default=0)

    @property
    def macs(self) -> int:
        return sum(part.macs for part in self.parts)

    @cached_property
    def codes(self) -> list[bytes]:
        """The machine code, each piece once: layers of one shape and scale share it."""
        return list(dict.fromkeys(bytes(part.code.code) for part in self.parts if part.code))

    def to_bytes(self) -> bytes:
        """The file. raises ValueError for a number that it has no room for"""
        return _Writer(self).file()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hexadecimal digits: what ucorr.load() takes as sha256."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def compile(network: Graph, core: str = "any", budget: int | None = None) -> Compiled:
    """The Compiled network for a core.

    core    of cores.names(): "any" keeps weights as they are, another gets its machine code
    budget  None, or the most bytes that the packed weights of all layers may take: the smaller packing then goes to
            layers for which it saves most per multiply-accumulate, until they fit
    raises  ValueError for an unknown core, a budget that nothing fits, a network that no board can run, and one that
            needs more than a file may ask for (ucorr.format.MOST)
    """
    core = one_of("core", core, tuple(cores.names()))
    row = cores.named(core) if core != cores.ANY else None
    if budget is not None:
        budget = integer("budget", budget, 0, 1 << 30)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"network: {len(network.inputs)} inputs and {len(network.outputs)} outputs, wanted one of each for a board"
        )
    for label in network.labels:
        if "\n" in label:
            raise ValueError(f"labels: {label!r} with a newline, wanted a line for each class")
        if any("\ud800" <= letter <= "\udfff" for letter in label):
            raise ValueError(f"labels: {label!r} with half of a character, wanted UTF-8")
    lowered = lower(network)
    sizes = [tensor.nbytes for tensor in lowered.buffers]
    uses = [arena.Use(step.buffers, step.writes, _over(step, sizes)) for step in lowered.steps]
    plan = arena.plan(sizes, uses, lowered.inputs, lowered.outputs)
    layout.check_memory(plan.size)
    steps = [lowered.steps[n] for n in plan.order]
    specs = [_spec(step.options) if step.kind == "layer" else None for step in steps]
    ops = [_op(step) if step.kind != "layer" else None for step in steps]
    codes: list[Any] = list(_codes(specs, row, budget))
    for n, op in enumerate(ops):
        kernel = None if op is None or row is None else operators.select(op, row)
        if kernel is not None and not isinstance(kernel, str):
            codes[n] = kernel.Kernel(op, row)
    parts = tuple(Part(*found) for found in zip(steps, specs, ops, codes, strict=True))
    compiled = Compiled(network, core, lowered, parts, plan)
    layout.check_memory(compiled.scratch_bytes)
    return compiled


def _over(step: Step, sizes: list[int]) -> tuple[int, ...]:
    """The buffers that the step may write its output over: an input of its size, where it works item by item."""
    if step.kind == "layer" or not BY_KIND[step.kind].made.in_place:
        return ()
    return tuple(read for read in step.buffers if sizes[read] == sizes[step.writes])


def _spec(options: dict[str, Any]) -> Any:
    """The Spec of a layer step."""
    given = {name: value for name, value in options.items() if name != "kernel"}
    kernel = options["kernel"]
    for name in ("bias", "multiplier", "shift"):
        if isinstance(given.get(name), np.ndarray):
            given[name] = given[name].tolist()
    shape = given.pop("input_shape")
    if kernel.ndim == 4 and given.get("groups", 1) == 1 and kernel.shape[3] != shape[2]:
        raise ValueError(f"kernel: {kernel.shape} on {shape}, wanted as many channels")
    return ucorr.Spec(shape, kernel.shape, kernel.reshape(-1).tolist(), **given)


def _op(step: Step) -> Any:
    """The layer without weights of a step, which raises ValueError for what a board would refuse."""
    try:
        return BY_KIND[step.kind].make(step.options, "portable")
    except ValueError as error:
        raise ValueError(f"{step.op}: {error}") from None


def _codes(specs: list[Any], core: Core | None, budget: int | None) -> list[Plan | None]:
    """The machine code of each layer that has one on the core, within the budget of all tables."""
    found = [None if spec is None or core is None else select(spec, core) for spec in specs]
    taken = [n for n, one in enumerate(found) if one is not None and not isinstance(one, str)]
    limits: dict[int, int | None] = dict.fromkeys(taken)
    if budget is not None:
        sizes = {n: _sizes(found[n][0], specs[n], found[n][1]) for n in taken}  # type: ignore[index]
        total = sum(size[0] for size in sizes.values())
        for n in sorted(taken, key=lambda n: (sizes[n][1] - sizes[n][0]) / specs[n].macs):  # the greatest saving first
            if total <= budget:
                break
            limits[n] = sizes[n][1]
            total += sizes[n][1] - sizes[n][0]
        if total > budget:
            raise ValueError(f"budget: {budget} bytes, wanted at least the {total} of the smallest packing")
    return [_code(spec, core, limits[n]) if n in limits else None for n, spec in enumerate(specs)]


def _code(spec: Any, core: Core | None, budget: int | None) -> Plan | None:
    """The machine code of a layer; None where the assembler finds an operand out of range that refuses() missed."""
    try:
        return Plan(spec, core, budget)
    except AssemblerError:
        return None


def _sizes(module: Any, spec: Any, compact: bool) -> tuple[int, int]:
    """Bytes of a layer's table in the packing that it gets by itself, and in the smallest."""
    return module.table_bytes(spec, compact), min(module.table_bytes(spec, one) for one in module.packings(spec))


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
            layout.CORE: cores.number_of(compiled.core),
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
        layout.check_file(len(self.data))
        header[layout.SIZE] = len(self.data)
        self.data[: len(layout.MAGIC)] = layout.MAGIC
        for at, value in header.items():
            struct.pack_into("<I", self.data, at, value)
        begin = layout.CRC + 4
        struct.pack_into("<I", self.data, layout.CRC, layout.crc32(self.data[begin:]))
        return bytes(self.data)

    def tensor(self, buffer: int, number: int) -> bytes:
        tensor = self.compiled.network.tensors[number]
        layout.check_end(np.dtype(tensor.dtype).char, tensor.scale, tensor.zero_point, len(tensor.shape))
        place, dtype = self.compiled.plan.offsets[buffer], ord(np.dtype(tensor.dtype).char)
        shape = tensor.shape
        return struct.pack(f"<iIfii{len(shape)}i", place, dtype, tensor.scale, tensor.zero_point, len(shape), *shape)

    def record(self, part: Part) -> bytes:
        """A step: the row of its kind, place of the output, places of the inputs, fields."""
        step, offsets = part.step, self.compiled.plan.offsets
        row = layout.Code if part.code else type(part.op) if part.op else layout.Layer
        named = self.of_code(part) if part.code else self.of_layer(part)
        places = [offsets[read] if isinstance(read, int) else ~self.put(read.tobytes()) for read in step.reads]
        return record.encode(row, offsets[step.writes], places, named.__getitem__)

    def of_code(self, part: Part) -> dict[str, Any]:
        """The fields of machine code."""
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

    def of_layer(self, part: Part) -> dict[str, Any]:
        """The fields of a layer: its attributes, which are checked and padded, or its options where it keeps none."""
        places = {name: self.put(piece) for name, piece in part.constants.items()}
        if part.op:
            names = (name for name, _ in layout.fields(type(part.op)))
            return {**part.step.options, **{n: getattr(part.op, n) for n in names if hasattr(part.op, n)}, **places}
        spec = part.spec
        own = {name: getattr(spec, name) for name, _ in layout.fields(layout.Layer) if hasattr(spec, name)}
        if spec.out_dtype == "i":  # the exact accumulator has no scale
            own |= {"activation_min": 0, "activation_max": 0, "multiplier_at": 0, "shift_at": 0}
        return {**own, "bias_at": 0, **places}
