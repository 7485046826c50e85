"""Read .tflite files: bytes in, a Network out, or one ValueError; and write some. TensorFlow is not needed.

records.py copies the file's graph, builder.py checks it and grows the Network; items.py, windows.py and weighted.py
have a row for each of their operators, operators.py all of them. writer.py goes the other way, with the bytes that
model.py makes.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from ucorr.arguments import refused

from ..networks.network import Network
from .operators import OPTIONS, build
from .records import read
from .writer import save_tflite, to_tflite

__all__ = ["load_tflite", "save_tflite", "to_tflite"]


def load_tflite(source: str | PathLike[str] | bytes) -> Network:
    """The network of a .tflite file.

    source  path, or the file's bytes
    raises  OSError for a path that can't be read; ValueError for a file that is corrupt or truncated, and for one that
            holds what is not supported: every such operator with its index, its tensors and what would have been
            needed, in one message
    """
    if not isinstance(source, (bytes, str, PathLike)):
        raise refused("source", source, "a path or bytes")
    data = source if isinstance(source, bytes) else Path(fspath(source)).read_bytes()
    return build(read(data, OPTIONS))
