"""forecast(), an estimate for a board: whether a network fits, which layer needs most memory, how long it runs.

Memory is counted from the compiled network and from what the emulated boards showed for the package itself; time from
instructions that ran in Unicorn. All of it is an estimate: no board of boards.py has been measured. A fragmented
heap may hold less than its free bytes; keyword spotting, streamed, left 22 kB free on an emulated board.

    heap, in RAM    package + STEP bytes per step + arena + scratch + the file (with machine code: tables and code)
    heap, streamed  package + STEP bytes per step + arena + scratch + code + the largest table
    time            (cycles of machine code, of viper, of Python between steps, of reading what is streamed) / clock

Without machine code ("any") viper packs the weights into the heap beside the file, or, streamed, without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import cores
from ..networks.compile import Compiled, Part, compile
from ..networks.network import Network
from ..networks.operators import BY_KIND
from ..networks.summary import kind
from ..targets.simulator import LayerRun, simulate
from .boards import Board

# Bytes of heap that modules take, imported from .mpy files: the emulated boards of `make boards`, MicroPython 1.25.
PACKAGE = 23_000  # ucorr
NETWORK = 13_500  # ucorr.load: network, steps, format
CODE = 1_700  # thumb_code: machine code of a file
VIPER = 15_600  # layers without machine code
OPS = 22_200  # layers without weights: at most, with all files of ops and of viper, of which a network needs a few
STEP = {True: 600, False: 1_900}  # the objects of a step, as machine code or not
VIPER_SCRATCH = 8_192  # at which viper ends a strip

# The package as .mpy files in a file system with blocks of 4 kB, rounded up.
PACKAGE_FILES = 344 * 1024

# Instructions of viper on the emulated Cortex-M4: layers a to i of docs/benchmarks.md are MACs * VIPER_MAC + outputs *
# VIPER_OUTPUT within a quarter; those of layers without weights are in operators.py.
VIPER_MAC, VIPER_OUTPUT = 11.5, 220
STEP_INSTRUCTIONS = 5_000  # of Python around each step
READ_INSTRUCTIONS = 60  # for each byte of a table that is streamed, from a disk in memory
CYCLES = 1.5  # of an instruction of viper or of the interpreter: what it is for machine code, in docs/benchmarks.md

LEAST = {"ram": "in RAM", "stream": "streamed"}  # which way takes the least heap


@dataclass(frozen=True)
class Forecast:
    """verdict      "ram", "stream" (tables are read from the file in every run) or "no", for the heap
    flash_fits   whether the board's file system holds the file and the package
    heap         bytes by use, as the verdict has them; for "no" the lesser of the two ways
    peak         the step with most memory of its own: number, name, bytes alive, of scratch, of its weights in the heap
    cycles       by what runs: "code", "viper", "python", and, where the tables are streamed, "reading"
    milliseconds of one inference, an estimate
    """

    board: str
    core: str
    verdict: str
    flash_fits: bool
    heap: dict[str, int]
    heap_bytes: int
    heap_free: int
    file_bytes: int
    flash_free: int
    peak: dict[str, Any]
    macs: int
    cycles: dict[str, int]
    milliseconds: float
    sentences: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.verdict != "no" and self.flash_fits


def forecast(network: Network, board: Board) -> Forecast:
    """The Forecast of a network on a board.

    raises  ValueError for a network that no board can run, TargetError where the emulator is missing
    """
    compiled = compile(network, board.core)
    file_bytes = len(compiled.to_bytes())
    ways = {"ram": _heap(compiled, file_bytes, stream=False), "stream": _heap(compiled, file_bytes, stream=True)}
    needs = {way: sum(heap.values()) for way, heap in ways.items()}
    verdict = next((way for way in ("ram", "stream") if needs[way] <= board.heap_bytes), "no")
    way = min(ways, key=lambda name: needs[name]) if verdict == "no" else verdict
    cycles = _cycles(compiled, _runs(network, compiled), stream=way == "stream")
    found: dict[str, Any] = {
        "board": board.name,
        "core": board.core,
        "verdict": verdict,
        "flash_fits": file_bytes + PACKAGE_FILES <= board.flash_bytes,
        "heap": ways[way],
        "heap_bytes": needs[way],
        "heap_free": board.heap_bytes,
        "file_bytes": file_bytes,
        "flash_free": board.flash_bytes,
        "peak": _peak(compiled, way == "stream"),
        "macs": compiled.macs,
        "cycles": cycles,
        "milliseconds": round(sum(cycles.values()) / board.mhz / 1000, 3),
    }
    return Forecast(**found, sentences=_sentences(board, found, way))


def packed_by_viper(spec: Any) -> int:
    """Bytes of a layer's weights, starts and scales as viper packs them, from its shapes: taps in whole blocks of 4,
    1 byte each where four outputs share them, else 4; 28 bytes per channel."""
    out = spec.kernel_shape[0]
    item = 1 if out // spec.groups >= 4 and spec.dtype in "bB" else 4
    return out * (-(-spec.taps // 4) * 4 * item + 28)


def viper_scratch(spec: Any) -> int:
    """An estimate of a layer's scratch bytes on viper: the columns of all output positions, the bytes that windows
    slide through, an accumulator per position and channel; at most that of a strip."""
    item = 2 if spec.dtype in "hH" else 1
    height, width, _ = spec.out_shape
    out, kernel_rows, _, depth = spec.kernel_shape
    columns = (width - 1) * spec.stride[1] + spec.extent[1]
    slide = min((height - 1) * spec.stride[0] * depth * item, 1024)
    return int(min(columns * kernel_rows * depth * spec.groups * item + slide + 4 * width * out, VIPER_SCRATCH))


def _heap(compiled: Compiled, file_bytes: int, *, stream: bool) -> dict[str, int]:
    """Bytes of the heap by use."""
    parts = compiled.parts
    viper = [part for part in parts if part.code is None and part.spec is not None]
    others = [part for part in parts if part.code is None and part.spec is None]
    package = PACKAGE + NETWORK + (CODE if cores.number_of(compiled.core) else 0)
    package += (VIPER if viper else 0) + (OPS if others else 0)
    weights = sum(packed_by_viper(part.spec) for part in viper)
    if stream:
        weights += sum(map(len, compiled.codes)) + max((_table(part) for part in parts), default=0)
    else:
        weights += file_bytes
    return {
        "package": package,
        "steps": sum(STEP[part.code is not None] for part in parts),
        "arena": compiled.arena_bytes,
        "scratch": max([compiled.scratch_bytes, *(viper_scratch(part.spec) for part in viper)]),
        "weights": weights,
    }


def _table(part: Part) -> int:
    return len(part.code.table) if part.code else 0


def _peak(compiled: Compiled, stream: bool) -> dict[str, Any]:
    """The step that needs most: bytes alive around it, its scratch, and what its weights take by themselves."""
    buffers, lives = compiled.lowered.buffers, compiled.plan.lives

    def own(n: int, part: Part) -> dict[str, Any]:
        alive = sum(tensor.nbytes for tensor, (first, last) in zip(buffers, lives, strict=True) if first <= n <= last)
        scratch, weights = part.scratch_bytes, _table(part) if stream else 0
        if part.code is None and part.spec is not None:
            scratch, weights = viper_scratch(part.spec), packed_by_viper(part.spec)
        return {"step": n, "name": kind(part), "alive": alive, "scratch": scratch, "weights": weights}

    steps = [own(n, part) for n, part in enumerate(compiled.parts)]
    return max(steps, key=lambda step: step["alive"] + step["scratch"] + step["weights"])


def _runs(network: Network, compiled: Compiled) -> list[LayerRun] | None:
    """What the emulated core counted for each step, on random input; None where no machine code runs."""
    counted = cores.counted_on(compiled.core)
    return simulate(network, network.random_input(), counted).layers if counted else None


def _cycles(compiled: Compiled, runs: list[LayerRun] | None, *, stream: bool) -> dict[str, int]:
    """Cycles of one inference by what they go to."""
    parts = compiled.parts
    code = sum(run.cycles or 0 for run in runs or ())
    viper = sum(viper_instructions(part) for part in parts if part.code is None)
    cycles = {"code": code, "viper": round(CYCLES * viper), "python": round(CYCLES * STEP_INSTRUCTIONS * len(parts))}
    if stream and code:
        cycles["reading"] = round(CYCLES * READ_INSTRUCTIONS * sum(map(_table, parts)))
    return cycles


def viper_instructions(part: Part) -> int:
    """Of a step without machine code."""
    if part.spec is not None:
        return round(VIPER_MAC * part.spec.macs + VIPER_OUTPUT * part.spec.output_length)
    return BY_KIND[part.step.kind].instructions(part.op)


def _sentences(board: Board, found: dict[str, Any], way: str) -> tuple[str, ...]:
    """The forecast for a person, a sentence each."""
    peak, need, free = found["peak"], found["heap_bytes"], board.heap_bytes
    first = {
        "ram": f"fits in RAM: about {need:,} of {free:,} bytes of heap",
        "stream": f"fits streamed, read anew in every run: about {need:,} of {free:,} bytes of heap",
        "no": f"does not fit: about {need:,} bytes of heap wanted, even {LEAST[way]}, there are {free:,}",
    }[found["verdict"]]
    uses = ", ".join(f"{use} {size:,}" for use, size in found["heap"].items())
    own = f"{peak['alive']:,} bytes of activations and {peak['scratch']:,} of scratch"
    if peak["weights"]:
        own += f", {peak['weights']:,} of weights"
    flash = f"the file takes {found['file_bytes']:,} of {board.flash_bytes:,} bytes of flash"
    if not found["flash_fits"]:
        flash += f", which does not hold the package of about {PACKAGE_FILES:,} as well: both want an SD card"
    spent = ", ".join(f"{what} {count:,}" for what, count in found["cycles"].items())
    table = cores.counted_on(board.core)
    counted = f"counted as on a {table}, from its manual" if table else "counted as viper is on a cortex-m4"
    return (
        f"{board.name} ({board.chip}, {board.core}, {board.mhz} MHz): {first}",
        f"heap: {uses}",
        f"peak: step {peak['step']}, {peak['name']}: {own}",
        flash,
        f"about {found['milliseconds']:,.2f} ms per inference; cycles: {spent}, {counted}",
        f"all are estimates, no board was measured; not counted are wait states, caches and interrupts; {board.remark}",
    )
