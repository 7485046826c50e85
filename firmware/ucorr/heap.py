"""Tidy(), which keeps the heap unfragmented during imports and drops the modules of an import that fails.

Compiling or loading a module leaves garbage, and the objects of the next module are allocated after it.
On a board with 140 kB of heap this fragments it until no block is large enough for an image, unless garbage is
collected often. An import that runs out of memory leaves the modules
that it had loaded by then; they would take memory from the next attempt.
"""

import gc
import sys


def collect():
    """Collect garbage on a board; do nothing on a host, where it is slow and memory is plenty."""
    if hasattr(gc, "threshold"):
        gc.collect()


def forget(known):
    """Drop this package's modules that are not in the list `known`, so that the next import loads them again.

    CPython keeps them: its threads share modules, and memory is not short.
    """
    if sys.implementation.name != "micropython":
        return
    gc.collect()
    for name in list(sys.modules):
        if name.startswith("ucorr.") and name not in known:
            package, _, last = name.rpartition(".")
            if package in sys.modules:
                sys.modules[package].__dict__.pop(last, None)
            del sys.modules[name]
    gc.collect()


class Tidy:
    """`with Tidy():` collects garbage after every 2 kB of allocations, where the firmware has gc.threshold. On any
    exception but TypeError and ValueError it drops the modules imported in the block."""

    def __enter__(self):
        self.known = list(sys.modules)
        if hasattr(gc, "threshold"):
            self.before = gc.threshold()
            gc.collect()
            gc.threshold(2048)

    def __exit__(self, kind, *rest):
        if hasattr(gc, "threshold"):
            gc.threshold(self.before)
            gc.collect()
        if kind and not issubclass(kind, (TypeError, ValueError)):
            forget(self.known)
