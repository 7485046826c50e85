"""Thumb: machine code that codegen writes for the shape of a layer, on stock firmware of Cortex-M boards."""

from . import thumb_code  # fails, with the reason, where machine code can't run

LEVEL = thumb_code.LEVEL

from ..codegen.plan import Plan, families, select

families(LEVEL)  # imported while the heap is tidy


def refuses(spec, budget=None):
    """None, or why there is no machine code for a layer on this core."""
    found = select(spec, LEVEL, budget)
    return found if isinstance(found, str) else None


def prepare(spec, budget=None):
    return Thumb(spec, budget)


class Thumb(Plan):
    """A layer as machine code of this core; the contract is in backends/__init__.py."""

    def __init__(self, spec, budget):
        Plan.__init__(self, spec, LEVEL, budget)
        self.call = thumb_code.Code(self.code, self.table)
        self.run = self.call.run
