"""Imports that leave the heap in one piece.

Compiling or loading a module leaves garbage, and what stays of the next module lies behind it.
On a board with 140 kB that cuts the heap up until no image fits anywhere, unless the garbage is
collected before the next allocation, again and again.
"""

import gc


def collect():
    """Collect garbage on a board; on a desk that takes longer than it is worth."""
    if hasattr(gc, "threshold"):
        gc.collect()


class Tidy:
    """`with Tidy():` garbage is collected after every 2 kB; a firmware without gc.threshold does as always."""

    def __enter__(self):
        if hasattr(gc, "threshold"):
            self.before = gc.threshold()
            gc.collect()
            gc.threshold(2048)

    def __exit__(self, *exc):
        if hasattr(gc, "threshold"):
            gc.threshold(self.before)
            gc.collect()
