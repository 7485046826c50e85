"""Thumb: layers without weights that codegen writes machine code for; the others are viper's."""

from . import thumb_code  # fails, with the reason, where machine code can't run

# isort: split
from ..codegen.sums import Sum
from ..codegen.sums import refuses as sums_refuses


def refuses(op, budget=None):
    """None, or why there is no machine code for a layer."""
    return sums_refuses(op, thumb_code.LEVEL)


def prepare(op, budget=None):
    return Thumb(op)


class Thumb(Sum):
    """A sum as machine code of this core; the contract is in backends/__init__.py."""

    typed = False

    def __init__(self, op):
        Sum.__init__(self, op, thumb_code.LEVEL)
        self.call = thumb_code.Code(self.code, self.table)

    def run(self, sources, out):
        self.call.run(sources[0], out, sources[1])
