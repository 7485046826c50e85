"""Image filters by name, and kernels from text files, for the command line and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# name -> kernel, right shift that brings its sum back to the image's range, signed output or not
FILTERS: dict[str, tuple[list[list[int]], int, bool]] = {
    "sobel-x": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 3, True),
    "sobel-y": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 3, True),
    "gaussian": (np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist(), 8, False),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 0, False),
    "laplacian": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 2, True),
    "edge-pair": ([[1, -1]], 1, True),
    "identity": ([[1]], 0, False),
}


def load_kernel(name_or_path: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """A kernel and the words of its output, by name or from a text file of rows of numbers.

    A file of ints gets the smallest right shift that keeps every output inside int8; a file
    with a decimal point is a float kernel and brings its own scale.
    raises ValueError when there is neither such a name nor such a file
    """
    if name_or_path in FILTERS:
        rows, right, signed = FILTERS[name_or_path]
        return np.array(rows), {"out_dtype": "b" if signed else "B", "shift": -right}
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(f"kernel: {name_or_path!r}, wanted a file or one of {' '.join(FILTERS)}")
    text = path.read_text(encoding="utf-8")
    try:
        kernel = np.loadtxt(text.splitlines(), ndmin=2)
    except ValueError as error:
        raise ValueError(f"kernel: {path} is no table of numbers ({error})") from None
    if kernel.size == 0:
        raise ValueError(f"kernel: {path} holds no numbers")
    signed = bool((kernel < 0).any())
    if "." in text:
        return kernel, {"out_dtype": "b" if signed else "B"}
    kernel = kernel.astype(np.int64)
    reach = 255 * max(int(kernel[kernel > 0].sum()), int(-kernel[kernel < 0].sum()))
    return kernel, {"out_dtype": "b" if signed else "B", "shift": -max(0, reach.bit_length() - (7 if signed else 8))}
