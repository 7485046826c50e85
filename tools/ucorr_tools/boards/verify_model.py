"""Run a network that was deployed on a board, and compare every byte with the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr_host import Network
from ucorr_host.networks import work
from ucorr_host.networks.compile import compile
from ucorr_host.networks.graph import samples_of

from ..pictures.inputs import read_integers, require_one
from .board import EXEC_SECONDS, Board, BoardError
from .board_files import board_path
from .deploy_model import Model, core_of, place_of, read_model
from .resolve import resolved
from .transfer import sha256
from .verify import ask, start

SAMPLES, SEED = 4, 0  # of random inputs
MACS_PER_SECOND = 20_000  # the slowest board's bytecode does more


@dataclass(frozen=True)
class SampleRow:
    """One input on the board: the class of the greatest output, and whether all outputs are equal, or what happened."""

    sample: int
    answer: str
    equal: bool
    said: str = ""


def random_samples(network: Network) -> NDArray[Any]:
    """Integers over the input's whole range, the same ones each time: (SAMPLES, *input's shape)."""
    tensor = network.tensors[network.inputs[0]]
    limits = np.iinfo(tensor.dtype)
    shape = (SAMPLES, *tensor.shape)
    return np.random.default_rng(SEED).integers(limits.min, limits.max, shape, tensor.dtype, endpoint=True)


def verify_model(
    board: Board,
    model: Model,
    x: NDArray[Any],
    path: str | None = None,
    progress: Callable[[SampleRow], None] | None = None,
) -> dict[str, Any]:
    """Every sample of x on the board, by the file that is there, against the network's reference.

    model     of a .tflite file
    x         integers as Network.run takes them
    path      of the model's file on the board; where deploy puts it if not given
    progress  called with each SampleRow as it is known
    returns   {"package": the file that `import ucorr` took, "file": path, "macs": of a run, as info says them,
              "samples": [rows], "layers": [{name, shape, macs, microseconds, backend}], "memory"}
    raises    BoardError when the file is missing there, or does not load or run; ValueError, TypeError for a wrong x
    """
    network = model.network
    assert network is not None
    samples, _ = samples_of(network.tensors[network.inputs[0]], x)
    if not len(samples):
        raise ValueError("x: no samples, wanted at least one")
    expected = np.asarray(network.run(samples))
    macs = compile(network).macs
    seconds = EXEC_SECONDS + macs / MACS_PER_SECOND
    path = path or place_of(board, model.name)
    where = PurePosixPath(path)
    start(board)
    if where.name not in board.listdir(str(where.parent)):
        raise BoardError(f"there is no {path} on the board on {board.port}: run `ucorr deploy --model` first")
    rows: list[SampleRow] = []
    told: dict[str, Any] = {"package": resolved(board, "ucorr"), "file": path, "macs": macs, "samples": rows}
    for number, (sample, wanted) in enumerate(zip(samples, expected, strict=True)):
        message = {"network": 0, "path": path, "digest": path, "profile": not rows}
        answer, data = ask(board, message, np.ascontiguousarray(sample).tobytes(), seconds)
        if "error" in answer:
            raise BoardError(_why(board, path, answer))
        if not rows:
            names = ("name", "shape", "macs", "microseconds", "backend")
            told["layers"] = [dict(zip(names, step, strict=True)) for step in answer["steps"]]
            told["memory"] = answer["memory"]
        rows.append(_row(number, wanted, data, answer["labels"]))
        if progress:
            progress(rows[-1])
    return told


def _row(number: int, wanted: NDArray[Any], data: bytes, labels: list[str]) -> SampleRow:
    """The SampleRow of an output, compared with the reference's."""
    if len(data) != wanted.nbytes:
        return SampleRow(number, "", False, f"{len(data)} bytes of output, wanted {wanted.nbytes}")
    found = np.frombuffer(data, wanted.dtype)
    best = int(found.argmax())
    wrong = int(np.count_nonzero(found != wanted.ravel()))
    said = f"{wrong} of {wanted.size} outputs differ from the reference" if wrong else ""
    return SampleRow(number, labels[best] if best < len(labels) else f"class {best}", not wrong, said)


def _why(board: Board, path: str, answer: dict[str, Any]) -> str:
    """The sentence for a file that the board can't load or run."""
    text = f"{path} does not run on the board on {board.port}: {answer['error']}: {answer['message']}"
    damaged = answer["error"] == "ValueError" and answer["message"].startswith("model:")
    return f"{text}: run `ucorr deploy --model` again" if damaged else text


def model_check(
    path: str, given: str | None, file: str | None, tell: Callable[[str], None] | None
) -> Callable[[Board], dict[str, Any]]:
    """What `ucorr verify --model` does with a board: what verify_model() says, "error" in it where bytes differ.

    path   of the .tflite file; given, None for random inputs, or as read_integers() takes it; file, on the board
    tell   called with lines for a person
    raises ValueError, OSError
    """
    file = None if file is None else board_path(file, "--file")
    model = read_model(path)
    if model.network is None:
        raise ValueError(f"{path}: the reference is missing, wanted the .tflite file that this one was converted from")
    network = model.network
    require_one(network, path)
    work.check(network)
    x = random_samples(network) if given is None else read_integers(given, network)

    def show(row: SampleRow) -> None:
        if tell:
            tell(f"sample {row.sample:<4}{row.answer:<16}{'equal' if row.equal else row.said}")

    def check(board: Board) -> dict[str, Any]:
        told = verify_model(board, model, x, file, show)
        rows = told["samples"]
        wrong = sum(not row.equal for row in rows)
        if tell:
            right = f"{len(rows) - wrong} of {len(rows)} outputs of {told['file']} on {board.port}"
            tell(f"{right} equal the reference byte for byte")
            tell(f"{_speed(told['macs'], told['layers'])}\nucorr is {told['package']}")
        told["samples"] = [asdict(row) for row in rows]
        if wrong:
            told["error"] = f"{wrong} of {len(rows)} outputs differ from those of {path}"
            if board.sha256(told["file"]) != sha256(model.file_for(core_of(board))):
                told["error"] += f", and {told['file']} is not what `ucorr deploy` makes of it"
        return told

    return check


def _speed(macs: int, layers: list[dict[str, Any]]) -> str:
    """A run's work, time and backends in a line."""
    backends = " and ".join(dict.fromkeys(layer["backend"] for layer in layers))
    times = [layer["microseconds"] for layer in layers]
    spent = "" if None in times else f" in {sum(times) / 1000:.2f} ms"
    return f"a run: {macs:,} MACs{spent} on {backends}"
