"""Put a network on a board beside the package, with a main.py that runs it.

The model is compiled for the board's core, which the board says. It and main.py lie in the directory in which the
board starts, where MicroPython looks for main.py. Both arrive as the package's files do (transfer.py): under a
temporary name, checked by SHA-256 on the board, then renamed in one command, the model first; a cable pulled at any
moment leaves the old file or the new one of each. A main.py that is not the example, byte for byte, is the
user's work: it stays.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ucorr import format as layout
from ucorr.codegen.cores import detect
from ucorr_host import Network, cores, load_tflite
from ucorr_host.networks.compile import compile

from ..files import LINE_END, read_text
from ..shipped.models import shipped
from .board import Board, BoardError
from .board_files import literal
from .deploy import Report, deploy, require_kinds
from .transfer import TEMPORARY, Progress, commit, require_space, sha256, tidy, write_checked

MAIN = "main.py"
DTYPES = {"b": "int8", "B": "uint8", "h": "int16", "H": "uint16"}

# the part of CPUID, as backends/thumb_code.py reads it
PART = "(lambda u: u.struct(0xE000ED00, {'word': u.UINT32 | 0}).word)(__import__('uctypes')) >> 4 & 0xfff"

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
    """A model on the host.

    path     its file, or the name of one that ucorr ships
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
        """The file for a core of cores.names(). raises ValueError where there is none"""
        if self.file is None:
            assert self.network is not None
            return compile(self.network, core).to_bytes()
        number = layout.number(reader(self.file), layout.CORE)
        if number not in (0, cores.number_of(core)):
            those = " or ".join(cores.running(number)) or f"cores of number {number}"
            board = "runs no machine code" if core == cores.ANY else f"is a {core}"
            raise ValueError(f"{self.path}: for {those}, and the board {board}: run `ucorr convert --core {core}`")
        return self.file


@dataclass
class ModelReport:
    """What a deploy did with a model, or would do: paths on the board, sizes in bytes.

    labels  what became of those of the file that was there, if it had any and the model has none
    """

    file: str
    core: str
    size: int
    dry_run: bool
    copied: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    labels: str = ""
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
        text += f"\n{self.labels}" if self.labels else ""
        for path in self.kept:
            text += f"\nkept the {path} that was there: --force replaces it"
        return text


def reader(data: bytes) -> Any:
    """read(at, count) of a file in memory, as ucorr.format wants it."""

    def read(at: int, count: int) -> bytes:
        if not 0 <= at <= len(data) - count:
            raise ValueError(f"model: {count} bytes at {at}, wanted places within its {len(data)} bytes")
        return data[at : at + count]

    return read


def classes(network: Network) -> int:
    """How many labels a network wants: one for each item along its output's last axis."""
    return (1, *network.tensors[network.outputs[0]].shape)[-1]


def labelled(network: Network, path: str | None) -> Network:
    """The network with the labels of a text file, a class per line; as it is without one. Blank lines at the end are no
    labels. raises OSError, ValueError"""
    if path is None:
        return network
    lines = LINE_END.split(read_text(path))
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) != classes(network):
        raise ValueError(f"{path}: {len(lines)} labels, wanted {classes(network)}, one per class")
    return replace(network, labels=tuple(lines))


def labels_there(board: Board, path: str) -> tuple[str, ...]:
    """The labels in the file of a network on a board; none if there is no whole one. raises BoardError"""
    if board.kinds([path])[path] != "file":
        return ()
    header = board.read(path, layout.HEADER)
    if header[:5] != layout.MAGIC[:5] or not any(header[layout.LABELS : layout.LABELS + 4]):
        return ()
    data = board.read(path)
    read = reader(data)
    try:
        layout.check(read, len(data))
        text = read(layout.number(read, layout.LABELS_AT), layout.number(read, layout.LABELS))
        return tuple(text.decode().split("\n")[:-1])
    except ValueError:
        return ()


def read_model(path: str, labels: str | None = None) -> Model:
    """A .tflite file, or one that `ucorr convert` wrote, or the name of a network that ucorr ships.

    labels  a text file with a class per line, for a .tflite file
    raises  OSError, ValueError
    """
    known = shipped(path)
    if known:
        return Model(path, labelled(known.network(), labels), None)
    data = Path(path).read_bytes()
    if data[:5] != layout.MAGIC[:5]:
        return Model(path, labelled(load_tflite(data), labels), None)  # a pipe can be read but once
    if labels:
        raise ValueError(f"{path}: has its labels in it, wanted a .tflite file with --labels")
    layout.check(reader(data), len(data))
    return Model(path, None, data)


def core_of(board: Board) -> str:
    """The core that a network is compiled for, of cores.names(); "any" where the board runs no machine code."""
    if board.platform == "linux" or not board.emits("asm_thumb"):
        return cores.ANY
    try:
        core = detect(board.mpy >> 10 & 15, lambda: board.eval(PART))
    except BoardError as error:
        if not error.traceback:
            raise
        return cores.ANY  # without uctypes the code can't be called either
    return core.name if core else cores.ANY


def place_of(board: Board, name: str) -> str:
    """Where a file of a name lies: the directory in which the board starts, /flash on some. raises ValueError for a
    name that no board has"""
    literal(name)
    return str(PurePosixPath(board.eval("__import__('os').getcwd()"), name))


def example(path: str, file: bytes) -> bytes:
    """main.py for a model's file at a path on the board."""
    read = reader(file)
    _, dtype, scale, zero_point, shape = layout.tensor(read, layout.number(read, layout.INPUT_AT))
    real = f"{scale:.6g} * (q {'-' if zero_point > 0 else '+'} {abs(zero_point)})" if zero_point else f"{scale:.6g} * q"
    words = {
        "path": literal(path),
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

    force     replace a main.py that is there, and remove files in the package's directory that are not ucorr's
    dry_run   write nothing; the reports tell what would be done
    progress  called with (file, bytes done, bytes in all) as copying goes on
    words     options of deploy()
    A model without labels gets those of the file that it replaces, if they are as many as its classes.
    Raises BoardError, ValueError for a file that is not for the board's core; the model that was there then still runs.
    """
    core = core_of(board)
    place, main = place_of(board, model.name), place_of(board, MAIN)
    require_kinds(board, [], [path + ending for path in (place, main) for ending in ("", TEMPORARY)])
    model, labels = _with_labels(model, labels_there(board, place))
    file = model.file_for(core)
    files = {place: file, main: example(place, file)}
    report = ModelReport(place, core, len(file), dry_run, labels=labels)
    _plan(report, board, files, None if force else main)
    package = deploy(board, force=force, dry_run=dry_run, progress=progress, **words)
    if not dry_run:
        tidy(board, [path + TEMPORARY for path in files])
        _copy(board, {path: files[path] for path in report.copied}, progress or (lambda name, done, total: None))
    return package, report


def _with_labels(model: Model, there: tuple[str, ...]) -> tuple[Model, str]:
    """The model, with labels that were there where it has none and they suit it; and what became of them."""
    network = model.network
    if network is None or network.labels or not there:
        return model, ""
    if len(there) != classes(network):
        return model, f"dropped the {len(there)} labels that were there: the model has {classes(network)} classes"
    return replace(model, network=replace(network, labels=there)), f"kept the {len(there)} labels that were there"


def leftovers(board: Board) -> list[str]:
    """What a deploy of any model that was cut short left where the board starts."""
    start = place_of(board, "")
    endings = (f".ucorr{TEMPORARY}", MAIN + TEMPORARY)
    names = [name for name, size in board.listdir(start).items() if size is not None]
    return [place_of(board, name) for name in names if name.endswith(endings[0]) or name == endings[1]]


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
    """deploy(), or deploy_model() of a model, as the command says it: the reports, and "summary" for a person."""
    if not words.get("dry_run"):
        tidy(board, leftovers(board))
    if model is None:
        report = deploy(board, force=force, **words)
        return {**report.to_dict(), "summary": report.summary()}
    package, more = deploy_model(board, model, force=force, **words)
    return {**package.to_dict(), "model": more.to_dict(), "summary": f"{package.summary()}\n{more.summary()}"}
