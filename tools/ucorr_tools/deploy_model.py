"""Put a network on a board beside the package, with a main.py that runs it.

The model is compiled for the board's core, which the board tells. It and main.py lie in the directory in which the
board starts, where MicroPython looks for main.py. Both arrive as the package's files do (transfer.py): under a
temporary name, checked by SHA-256 on the board, then renamed in one command, the model first; a cable pulled at any
moment leaves the old file or the new one of each. A main.py that is not word for word the example is somebody's
work: it stays.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ucorr import format as layout
from ucorr_host import Network, load_tflite
from ucorr_host.compile import LEVELS, compile

from .board import Board, BoardError
from .deploy import Report, deploy
from .transfer import TEMPORARY, Progress, commit, require_space, sha256, tidy, write_checked

MAIN = "main.py"
DTYPES = {"b": "int8", "B": "uint8", "h": "int16", "H": "uint16"}

# As backends/thumb_code.py finds out for itself whether a file suits the core: bits 4 to 15 of CPUID are the part.
PART = "(lambda u: u.struct(0xE000ED00, {'word': u.UINT32 | 0}).word)(__import__('uctypes')) >> 4 & 0xfff"
CORTEX_M3 = 0xC23
PARTS = {0xC27: "cortex-m7", 0xD21: "cortex-m33"}

EXAMPLE = '''"""A network on this board: written by `ucorr deploy --model`, yours to change."""

from time import ticks_diff, ticks_us

import ucorr

net = ucorr.load({path})
for n in range(len(net.input)):  # put your data here, {shape} of {dtype}: real = {real}
    net.input[n] = net.input_zero_point  # real 0

start = ticks_us()
scores = net.run()
took = ticks_diff(ticks_us(), start)

best = max(range(len(scores)), key=lambda n: scores[n])
label = net.labels[best] if best < len(net.labels) else "class %d" % best
print("%s: %d us" % (label, took))
'''


@dataclass(frozen=True)
class Model:
    """A model on the desk.

    path     its file
    network  what a .tflite file holds, or None
    file     the bytes of a file that `ucorr convert` wrote, or None
    """

    path: str
    network: Network | None
    file: bytes | None

    @property
    def name(self) -> str:
        """The file's name on a board."""
        return f"{Path(self.path).stem}.ucorr"

    def file_for(self, core: str) -> bytes:
        """The file for a core of compile.LEVELS. raises ValueError where there is none"""
        if self.file is None:
            assert self.network is not None
            return compile(self.network, core).to_bytes()
        level = layout.number(reader(self.file), layout.LEVEL)
        if level not in (0, LEVELS[core]):
            cores = " or ".join(name for name, of in LEVELS.items() if of == level) or f"cores of level {level}"
            board = "runs no machine code" if core == "any" else f"is a {core}"
            raise ValueError(f"{self.path}: for {cores}, and the board {board}: run `ucorr convert --core {core}`")
        return self.file


@dataclass
class ModelReport:
    """What a deploy did with a model, or would do: paths on the board, sizes in bytes."""

    file: str
    core: str
    size: int
    dry_run: bool
    copied: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    bytes_copied: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """The report in a few lines for a person."""
        done = "would copy" if self.dry_run else "copied"
        parts = [(done, self.copied), ("unchanged", self.unchanged)]
        told = "; ".join(f"{verb} {' '.join(names)}" for verb, names in parts if names)
        text = f"{self.file} for {'any core' if self.core == 'any' else self.core}, {self.size} bytes: {told}"
        for path in self.kept:
            text += f"\nkept the {path} that was there: --force replaces it"
        return text


def reader(data: bytes) -> Any:
    """read(at, count) of a file in memory, as ucorr.format wants it."""
    return lambda at, count: data[at : at + count]


def labelled(network: Network, path: str | None) -> Network:
    """The network with the labels of a text file, a class per line; as it is without one."""
    if path is None:
        return network
    return replace(network, labels=tuple(Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")))


def read_model(path: str, labels: str | None = None) -> Model:
    """A .tflite file, or one that `ucorr convert` wrote.

    labels  a text file with a class per line, for a .tflite file
    raises  OSError, ValueError
    """
    data = Path(path).read_bytes()
    if data[:5] != layout.MAGIC[:5]:
        return Model(path, labelled(load_tflite(path), labels), None)
    if labels:
        raise ValueError(f"{path}: has its labels in it, wanted a .tflite file with --labels")
    layout.check(reader(data), len(data))
    return Model(path, None, data)


def core_of(board: Board) -> str:
    """The core that a network is compiled for, of compile.LEVELS; "any" where the board runs no machine code."""
    thumb = (board.arch or "").startswith(("armv6m", "armv7"))
    if board.platform == "linux" or not thumb or not board.emits("asm_thumb"):
        return "any"
    if board.arch == "armv6m":
        return "cortex-m0plus"
    try:
        part = board.eval(PART)
    except BoardError as error:
        if not error.traceback:
            raise
        return "any"  # without uctypes the code can't be called either
    if board.arch == "armv7m" or (board.arch == "armv7em" and part == CORTEX_M3):
        return "cortex-m3"
    return PARTS.get(part, "cortex-m4")


def place_of(board: Board, name: str) -> str:
    """Where a file of a name lies: the directory in which the board starts, /flash on some."""
    return str(PurePosixPath(board.eval("__import__('os').getcwd()"), name))


def example(path: str, file: bytes) -> bytes:
    """main.py for a model's file at a path on the board."""
    read = reader(file)
    _, dtype, scale, zero_point, shape = layout.tensor(read, layout.number(read, layout.INPUT_AT))
    real = f"{scale:.6g} * (q {'-' if zero_point > 0 else '+'} {abs(zero_point)})" if zero_point else f"{scale:.6g} * q"
    words = {
        "path": json.dumps(path, ensure_ascii=False),
        "shape": "x".join(map(str, shape)),
        "dtype": DTYPES[dtype],
        "real": real,
    }
    return EXAMPLE.format(**words).encode()


def deploy_model(
    board: Board,
    model: Model,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    **words: Any,
) -> tuple[Report, ModelReport]:
    """The package, the model and main.py on the board.

    force     replace a main.py that is there
    dry_run   write nothing; the reports tell what would be done
    progress  called with (file, bytes done, bytes in all) as copying goes on
    words     of deploy()
    Raises BoardError, ValueError for a file that is not for the board's core; the model that was there then still runs.
    """
    core = core_of(board)
    place = place_of(board, model.name)
    file = model.file_for(core)
    main = place_of(board, MAIN)
    files = {place: file, main: example(place, file)}
    report = ModelReport(place, core, len(file), dry_run)
    _plan(report, board, files, None if force else main)
    package = deploy(board, dry_run=dry_run, progress=progress, **words)
    if not dry_run:
        tidy(board, [path + TEMPORARY for path in files])
        _copy(board, {path: files[path] for path in report.copied}, progress or (lambda name, done, total: None))
    return package, report


def _plan(report: ModelReport, board: Board, files: dict[str, bytes], precious: str | None) -> None:
    """Sort the paths into the report's copied, unchanged and kept; precious is not replaced by other bytes."""
    folder = str(PurePosixPath(report.file).parent)
    present = board.listdir(folder)
    if board.listdir(folder) != present:  # a listing that went wrong on its way looks like a missing main.py
        raise BoardError(f"the board on {board.port} listed {folder} differently twice; nothing was changed")
    for path, data in files.items():
        there = PurePosixPath(path).name in present
        if there and board.sha256(path) == sha256(data):
            report.unchanged.append(path)
        elif there and path == precious:
            report.kept.append(path)
        else:
            report.copied.append(path)
            report.bytes_copied += len(data)


def _copy(board: Board, files: dict[str, bytes], progress: Progress) -> None:
    """Write files, absolute paths of one directory, and check them; then give them their names."""
    if not files:
        return
    folder = str(PurePosixPath(min(files)).parent)
    state = "the model that was there, if any, still is"
    require_space(board, folder, files.values(), 4, state)
    temporaries = {path[1:] + TEMPORARY: data for path, data in files.items()}
    write_checked(board, "", temporaries, [path + TEMPORARY for path in files], state, progress, folder)
    try:
        commit(board, "", [(path + TEMPORARY, path) for path in files])
    except BoardError as error:
        raise BoardError(f"{error}; run `ucorr deploy --model` again") from error


def told(board: Board, model: Model | None, force: bool, **words: Any) -> dict[str, Any]:
    """deploy(), or deploy_model() of a model, as the command tells it: the reports, and "summary" for a person."""
    if model is None:
        report = deploy(board, **words)
        return {**report.to_dict(), "summary": report.summary()}
    package, more = deploy_model(board, model, force=force, **words)
    return {**package.to_dict(), "model": more.to_dict(), "summary": f"{package.summary()}\n{more.summary()}"}
