"""Softmax of int8 data, with a table of exponentials."""

from array import array

from .. import buffers
from ..arguments import MOST, integer
from . import Op

_ONE = 0x7FFFF800  # the least item that rounds to 1 at the 12 fractional bits of a row's sum


class Softmax(Op):
    """exp(x) over the sum of exp(x), row by row; int8, scale 1/256, zero point -128: TFLite's SOFTMAX.

    table    exp(-n * scale) for n = 0..255, 31 fractional bits: 256 ints of 32 bits, an array('i') or their bytes, as
             exponentials(multiplier, shift) of ucorr_host.networks.softmax has them; the first is 1, none is negative;
             copied
    classes  items of a row, 1..4095; rows
    out_shape is (rows, classes).
    """

    kind = "softmax"
    # of gemmlowp's first guess at a reciprocal, line + slope * x for x in 1/2..1, with 29 fractional bits
    line, slope = 1515870810, -1010580540  # 48/17, -32/17
    fields = "rows classes table_at"
    first = ("classes", "rows")
    runs = "softmax.Softmax"

    @staticmethod
    def table_bytes(fields, most):
        return 1024

    def __init__(self, table, classes, rows=1, backend=None):
        total, item = buffers.measure("table", table)
        if total != 1024 or item not in (1, 4):
            raise ValueError("table: %d bytes in items of %d, wanted 256 items of 4 bytes" % (total, item))
        self.table = table = array("i", bytes(buffers.as_bytes(table)))
        if table[0] < _ONE or min(table) < 0:  # for a row's sum under 1, reciprocal() loops for ever
            raise ValueError(
                "table: begins with %d and has a least item of %d, wanted %d or more and 0 or more"
                % (table[0], min(table), _ONE)
            )
        self.classes = integer("classes", classes, 1, 4095)  # the sum of as many, 2**19 each, stays under 2**31
        self.rows = integer("rows", rows, 1, MOST)
        self._bind("b", (self.rows * self.classes,), (self.rows, self.classes), backend)
