"""Operators with a table: Lookup, any function of a byte, and Thresholds of an accumulator."""

from array import array

from .. import buffers
from ..arguments import MOST, integer, items_of, one_of, refused
from ..fixedpoint import LIMITS
from . import Op


class Lookup(Op):
    """table[x], item by item: any function of an int8 or uint8; out may be x.

    table   int8 outputs for the least x and upwards: 256 ints -128..127, or 256 bytes of any buffer; copied
    length  items of x
    dtype   of x, b or B; out is int8
    """

    kind = "lookup"
    fields = "length dtype table_at"
    first = ("length",)
    runs = "tables.Lookup"
    in_place = True

    @staticmethod
    def table_bytes(fields, most):
        return 256

    def __init__(self, table, length, dtype="b", backend=None):
        self.dtype = one_of("dtype", dtype, ("b", "B"))
        if isinstance(table, (list, tuple)):
            items = items_of(table)
            if items is None:
                raise refused("table", table, "256 integers -128..127")
        else:
            item = buffers.measure("table", table)[1]
            items = buffers.as_bytes(table) if item == 1 else _numbers(table)
        if len(items) != 256:
            raise ValueError("table: %d items, wanted 256" % len(items))
        if isinstance(items, (list, tuple)):
            items = [integer("table", value, -128, 127) & 255 for value in items]
        self.table = bytes(items)
        length = integer("length", length, 1, MOST)
        self._bind(self.dtype, (length,), (length,), backend)
        self.out_dtype = "b"


def _numbers(table):
    """The items of a buffer as a list of ints."""
    view = memoryview(table)
    return list(view if buffers.MICROPYTHON else buffers.as_bytes(table).cast(view.format[-1:]))


class Thresholds(Op):
    """least + the number of the channel's thresholds that are <= x, item by item: any non-decreasing step function.

    It scales the exact accumulator of a layer (out_dtype "i") to int8 by any factor, also by one whose rounding no
    31-bit multiplier reproduces.

    table     ascending ints of 32 bits: count of them for each set, one set after the other; list, array('i') or the
              array's bytes; copied
    channels  items of x for a pixel; rows: pixels
    sets      1, for all channels, or one for each
    least     output below the first threshold, -128..127 - count; x is int32, out int8
    out_shape is (rows, channels).
    """

    kind = "thresholds"
    fields = "channels rows sets least count table_at"
    first = ("channels", "rows")
    only_table = ("count",)
    runs = "tables.Thresholds"

    @staticmethod
    def table_bytes(fields, most):
        return 4 * integer("count", fields["count"], 1, 255) * integer("sets", fields["sets"], 1, most)

    def __init__(self, table, channels, rows=1, sets=1, least=-128, backend=None):
        self.channels = integer("channels", channels, 1, MOST)
        self.rows = integer("rows", rows, 1, MOST)
        self.sets = sets = integer("sets", sets, 1, MOST)
        if sets not in (1, self.channels):
            raise ValueError("sets: %d, wanted 1 or %d, one for each channel" % (sets, self.channels))
        if isinstance(table, (list, tuple)):
            items = items_of(table)
            if items is None:
                raise refused("table", table, "ascending integers of 32 bits")
            table = array("i", [integer("table", value, *LIMITS["i"]) for value in items])
        total, item = buffers.measure("table", table)
        if item not in (1, 4) or total % (4 * sets) or not 0 < total // (4 * sets) < 256:
            raise ValueError(
                "table: %d bytes in items of %d, wanted 1..255 items of 4 bytes for %d set(s)" % (total, item, sets)
            )
        self.table = table = array("i", bytes(buffers.as_bytes(table)))
        self.count = count = len(table) // sets
        for n in range(1, len(table)):
            if n % count and table[n] < table[n - 1]:
                raise ValueError("table: %d behind %d, wanted ascending items" % (table[n], table[n - 1]))
        self.least = integer("least", least, -128, 127 - count)
        self.step = 0 if sets == 1 else count  # items from one channel's first threshold to the next's
        self._bind("i", (self.rows * self.channels,), (self.rows, self.channels), backend)
        self.out_dtype = "b"
