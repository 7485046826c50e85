"""Files as commands read and write them: text in the encodings that editors write, arrays, and bytes to any path."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# UTF-32's little-endian mark begins with UTF-16's, so it is looked for first
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MOST_TEXT = 1 << 20  # bytes; a device such as /dev/zero never ends
LINE_END = re.compile(r"\r\n|\r|\n")
ARRAYS = (".npy", ".npz")


def read_text(path: str | Path) -> str:
    """The text of a file: UTF-8, or what its byte order mark says; without the mark.

    raises  OSError; ValueError for other bytes and for more than 1 MB
    """
    with Path(path).open("rb") as file:
        data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        raise ValueError(f"{path}: more than {MOST_TEXT:,} bytes, wanted a short text")
    mark, encoding = next((row for row in MARKS if data.startswith(row[0])), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {len(mark) + error.start} is no {encoding.upper()}, wanted a text") from None


def read_array(path: str | Path) -> NDArray[Any]:
    """The array of a .npy file, or the only one of a .npz file: integers or finite real numbers.

    raises  OSError; ValueError naming the file, and the place of the first NaN or infinity
    """
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            with found:
                if len(found.files) != 1:
                    raise ValueError(f"{len(found.files)} arrays, wanted one")
                found = found[found.files[0]]
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # of a broken file NumPy raises what its parsers do: EOFError, zlib.error ...
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} can't be read as an array: {said}") from None
    if found.dtype.kind not in "iuf":
        raise ValueError(f"{path}: dtype {found.dtype}, wanted integers or real numbers")
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise ValueError(f"{path}: {found[place]} at {place}, wanted finite numbers")
    if not found.size:
        raise ValueError(f"{path}: shape {found.shape}, wanted at least one number")
    return np.asarray(found)


def write(path: str | Path, data: bytes) -> None:
    """The bytes at a path, its directory made if need be. raises OSError that names the path"""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    except OSError as error:  # of a full disk it names no file
        raise OSError(f"{path}: {error.strerror or error}") from None
