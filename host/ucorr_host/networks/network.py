"""Network, the user's class for a quantised network: it runs, is saved for a board, and is summarised.

load_tflite() and quantize_network() return one.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from ucorr.arguments import refused

from . import summary
from .compile import compile
from .graph import Graph


@dataclass(frozen=True)
class Network(Graph):
    """A graph whose fields and run() are those of Graph, and its file for a board."""

    def summary(self, core: str = "any", budget: int | None = None) -> str:
        """Layers, MACs, bytes and the memory plan as text; options as save's."""
        return summary.text(summary.report(compile(self, core, budget)))

    def save(self, path: str | PathLike[str], core: str = "any", budget: int | None = None) -> int:
        """Write the file that `ucorr.load` takes on a board; the number of its bytes.

        core    "any", for weights that the board packs when it loads them, or a Cortex-M whose code goes along
        budget  None, or the most bytes that packed weights may take
        raises  ValueError for what compile.compile() refuses, OSError
        """
        if not isinstance(path, (str, PathLike)):
            raise refused("path", path, "a path")
        return Path(fspath(path)).write_bytes(compile(self, core, budget).to_bytes())
