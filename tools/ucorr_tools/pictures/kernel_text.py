"""Kernels as text: a row of numbers per line, and a comment that says what its outputs mean.

    # ucorr filter --signed --shift -3
    -1 0 1
    -2 0 2
    -1 0 1

Spaces, tabs, commas or semicolons separate numbers; what follows a # is a comment. A number with a point or an
exponent makes it a float kernel. A comment that begins with `ucorr filter` holds options of that command, which those
of the command line replace.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import LINE_END, read_text

INTEGER = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
DIRECTIVE = re.compile(r"\s*#\s*ucorr filter\b(.*)")
LEAST, MOST = -32768, 32767  # of an integer weight
SHIFTS = -31, 30  # of a layer


@dataclass(frozen=True)
class Scale:
    """What outputs mean: (sum + bias) * 2**shift / divide, rounded to nearest, halves away from zero; None: not said.

    signed   int8, drawn with 0 at 128, instead of uint8
    bias     in steps of a product; of a float kernel in grey levels
    padding  "valid" or "same"
    """

    shift: int | None = None
    divide: int | None = None
    signed: bool | None = None
    bias: int | None = None
    padding: str | None = None

    def over(self, other: Scale) -> Scale:
        """This, and the other's where this says nothing; shift and divide are one thing."""
        said = asdict(self)
        if self.shift is not None or self.divide is not None:
            said |= {"shift": self.shift or 0, "divide": self.divide or 1}
        return Scale(**{name: getattr(other, name) if value is None else value for name, value in said.items()})

    def line(self) -> str:
        """The comment that says it in a file, or nothing where there is nothing to say."""
        words = ["--signed"] if self.signed else []
        for name in ("shift", "divide", "bias", "padding"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", str(value)]
        return " ".join(["# ucorr filter", *words]) + "\n" if words else ""


def written(kernel: NDArray[Any], scale: Scale) -> str:
    """The text of a kernel of ints."""
    return scale.line() + "".join(" ".join(map(str, row)) + "\n" for row in kernel.tolist())


def read(path: str | Path) -> tuple[NDArray[Any], Scale]:
    """The kernel of a file, int64 or float64 (kh, kw), and what it says of its outputs.

    raises  OSError; ValueError naming the file and the line
    """
    rows: list[list[str]] = []
    numbers: list[int] = []  # of the rows' lines
    scale: Scale | None = None
    for number, line in enumerate(LINE_END.split(read_text(path)), 1):
        where = f"kernel: {path}, line {number}"
        said = DIRECTIVE.fullmatch(line)
        if said:
            if scale is not None:
                raise ValueError(f"{where}: a second `ucorr filter`, wanted one")
            scale = _options(said[1].split(), where)
        cells = _cells(line.partition("#")[0].strip(), where)
        if not cells:
            continue
        if rows and len(cells) != len(rows[0]):
            raise ValueError(f"{where}: {len(cells)} numbers, wanted {len(rows[0])} as in line {numbers[0]}")
        rows.append(cells)
        numbers.append(number)
    if not rows:
        raise ValueError(f"kernel: {path} holds no numbers")
    whole = all(INTEGER.fullmatch(cell) for row in rows for cell in row)
    for number, row in zip(numbers, rows, strict=True):
        for cell in row:
            # int() refuses a number of thousands of digits
            value = float(cell)
            if (whole and not LEAST <= value <= MOST) or not math.isfinite(value):
                wanted = f"{LEAST}..{MOST}" if whole else "a finite number"
                raise ValueError(f"kernel: {path}, line {number}: {cell[:20]}, wanted {wanted}")
    return np.array([[int(cell) if whole else float(cell) for cell in row] for row in rows]), scale or Scale()


def _cells(text: str, where: str) -> list[str]:
    """The numbers of a line, as they are written."""
    if "," in text and ";" in text:
        raise ValueError(f"{where}: commas beside semicolons, wanted one of them between numbers and points in them")
    cells = re.split(r"\s*[,;]\s*|\s+", text) if text else []
    for cell in cells:
        if not REAL.fullmatch(cell):
            path, _, line = where.rpartition(", ")
            raise ValueError(f"{path} is no table of numbers, {line}: {cell[:20]!r}, wanted decimal numbers")
    return cells


def _options(words: list[str], where: str) -> Scale:
    """The options of a comment."""
    said: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        name = word.removeprefix("--")
        if word == "--signed":
            said[name] = True
            continue
        value = next(left, "")
        if name == "padding" and value in ("valid", "same"):
            said[name] = value
        elif word in ("--shift", "--divide", "--bias") and re.fullmatch(r"[+-]?[0-9]{1,10}", value):
            said[name] = int(value)
        else:
            raise ValueError(
                f"{where}: {word} {value}, wanted --signed, --shift N, --divide N, --bias N or --padding valid or same"
            )
    if said.get("divide", 1) < 1:
        raise ValueError(f"{where}: --divide {said['divide']}, wanted at least 1")
    if not SHIFTS[0] <= said.get("shift", 0) <= SHIFTS[1]:
        raise ValueError(f"{where}: --shift {said['shift']}, wanted {SHIFTS[0]}..{SHIFTS[1]}")
    return Scale(**said)
