"""The main job on real input through every target, each bit compared with the reference: a photograph, a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ucorr
from numpy.typing import NDArray
from ucorr_host.problems.weighted import Problem
from ucorr_host.quantize import quantize_multiplier
from ucorr_host.targets.simulator import ask

from ..pictures.filters import FILTERS
from ..pictures.picture import Act, Tile, contact_sheet, grey, photograph
from .digits import read_digits

RUNS = (("micropython", "viper"), ("micropython", "portable"), ("cpython", "portable"))
TITLE = "A photograph: filters, the features of a layer, and a patch that is looked for"
PATCH = (56, 40, 16, 24)  # the eye on the left: y, x, height, width
WINDOW = 96  # side of the matched filter's image, cut from the photograph
PANS = ((0, 0), (9, 17), (24, 28), (28, 6))  # where the camera looks, (y, x)


@dataclass(frozen=True)
class Row:
    """One problem on one target and backend."""

    problem: str
    shape: str
    macs: int
    target: str
    backend: str
    milliseconds: float
    equal: bool


def filters(image: NDArray[np.uint8]) -> list[Problem]:
    """The filters on the grey photograph."""
    problems = []
    words: dict[str, dict[str, Any]] = {
        "sobel-x": {"padding": "same", "border": "edge"},
        "sobel-y": {"padding": "same", "border": "edge"},
        "gaussian": {"padding": "same", "border": "reflect"},
        "sharpen": {"padding": "same", "border": "edge"},
        "edge-pair": {},
        "gaussian dilated": {"dilation": (3, 3), "padding": "same", "border": "reflect"},
        "gaussian strided": {"stride": (2, 2), "padding": "same", "border": "edge"},
    }
    for name, options in words.items():
        kernel, right, signed = FILTERS[name.split()[0]]
        out = {"dtype": "B", "out_dtype": "b" if signed else "B", "shift": -right}
        problems.append(Problem(name, "Correlate2D", np.array(kernel), image.shape, {**out, **options}, image))
    return problems


def colour_layer(photo: NDArray[np.uint8]) -> Problem:
    """A convolutional layer of 3 channels to 8, quantised as TFLite does it.

    Four features look at colour (brightness, red against green, blue against yellow, warm
    skin), four at edges of the brightness in four directions. Input: real = (q + 128) / 255.
    """
    flat = np.ones((3, 3))
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    falling = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]])
    features = [
        np.multiply.outer(flat, [1, 1, 1]),
        np.multiply.outer(flat, [1, -1, 0]),
        np.multiply.outer(flat, [-1, -1, 2]),
        np.multiply.outer(flat, [2, -0.5, -1.5]),
        np.multiply.outer(across, [1, 1, 1]),
        np.multiply.outer(across.T, [1, 1, 1]),
        np.multiply.outer(falling, [1, 1, 1]),
        np.multiply.outer(falling[:, ::-1], [1, 1, 1]),
    ]
    kernels, multipliers, shifts = [], [], []
    for feature, gain in zip(features, [1, *[3] * 3, *[4] * 4], strict=True):
        step = np.abs(feature).max() / 127  # scale of the channel's weights
        kernels.append(np.round(feature / step).astype(np.int64))
        # a feature of 1 / gain of what its weights can reach fills the output's 127
        multiplier, shift = quantize_multiplier(step * gain / np.abs(feature).sum() * 127 / 255)
        multipliers.append(multiplier)
        shifts.append(shift)
    options = {
        "dtype": "b",
        "out_dtype": "b",
        "padding": "same",
        "bias": [0] * 8,
        "multiplier": multipliers,
        "shift": shifts,
        "input_zero_point": -128,
    }
    x = (photo.astype(np.int16) - 128).astype(np.int8)
    return Problem("conv 3 to 8", "Conv2D", np.stack(kernels), photo.shape[:2], options, x)


def matched_filters(image: NDArray[np.uint8]) -> list[Problem]:
    """The patch looked for while the camera pans: windows of the photograph, read in place by their pitch."""
    y, x, height, width = PATCH
    patch = image[y : y + height, x : x + width].astype(np.int64)
    kernel = patch - int(np.round(patch.mean()))  # zero mean: a uniformly bright area gives 0
    pitch = image.shape[1]
    options = {"dtype": "B", "out_dtype": "i", "pitch": pitch}
    problems = []
    for down, right in PANS:
        start = down * pitch + right
        frame = image.reshape(-1)[start : start + (WINDOW - 1) * pitch + WINDOW]
        name = f"matched filter +{down}+{right}"
        problems.append(Problem(name, "Correlate2D", kernel, (WINDOW, WINDOW), options, frame))
    return problems


def run_problem(problem: Problem, repeat: int = 1) -> tuple[list[Row], NDArray[Any]]:
    """The problem on every target and backend: rows, and the reference's output."""
    expected = problem.expected()
    rows = []
    for target, backend in RUNS:
        answer, data = ask(problem.message(backend, repeat=repeat), problem.payload(), target)
        output = np.frombuffer(data, expected.dtype).reshape(answer["out_shape"])
        equal = bool(np.array_equal(output, expected)) and answer["guards_intact"] and answer["backend"] == backend
        milliseconds = answer["microseconds"] / 1000
        rows.append(
            Row(problem.name, shape_of(problem, expected), answer["macs"], target, backend, milliseconds, equal)
        )
    return rows, expected


def shape_of(problem: Problem, expected: NDArray[Any]) -> str:
    """Kernel and output shape, as the table shows them."""
    return f"{'x'.join(map(str, problem.kernel.shape))} to {'x'.join(map(str, expected.shape))}"


def run() -> tuple[list[Row], list[Tile], list[str]]:
    """The photograph: the table's rows, the sheet's tiles, and a sentence per pan of the matched filter.

    A found place that is not where the patch lies makes its sentence start with "wrong".
    """
    photo = photograph()
    image = grey(photo)
    rows: list[Row] = []
    tiles = [Tile("photograph", photo), Tile("grey", image)]
    for problem in filters(image):
        some, output = run_problem(problem)
        rows += some
        tiles.append(Tile(problem.name, output))
    some, output = run_problem(colour_layer(photo))
    rows += some
    tiles += [Tile(f"conv feature {channel}", output[..., channel]) for channel in range(output.shape[-1])]
    said = []
    for (down, right), problem in zip(PANS, matched_filters(image), strict=True):
        some, output = run_problem(problem)
        rows += some
        y, x, _ = ucorr.peak(np.ascontiguousarray(output), output.shape)
        wanted = (PATCH[0] - down, PATCH[1] - right)
        right_place = "found" if (y, x) == wanted else "wrong:"
        said.append(f"{right_place} the patch at {(y, x)} with the camera at {(down, right)}; it lies at {wanted}")
        window = image[down : down + WINDOW, right : right + WINDOW]
        tiles.append(Tile(f"{problem.name}: ({y}, {x})", window, ((y, x, *PATCH[2:]),)))
    return rows, tiles, said


def demo(output: str) -> tuple[list[Row], list[str], bool]:
    """Run everything and write the contact sheet; (rows, sentences, whether all is equal and found)."""
    rows, tiles, said = run()
    runs, act, sentence = read_digits()
    rows += [Row("digits network", "8x8x1 to 10", *figures) for figures in runs]
    said.append(sentence)
    contact_sheet([Act(TITLE, tiles), act], output)
    return rows, said, all(row.equal for row in rows) and not any(s.startswith("wrong") for s in said)
