"""ucorr: integer cross-correlation for MicroPython boards and, unchanged, CPython."""

from .version import __version__
