"""encode() and decode(), which write and read a step's record in a network's file, from the rows that a board uses.

decode() returns what encode() was given. A row (format.py has two, each operator's class in ucorr.ops is one) lists the
fields in order; ucorr.format.meaning() and CODES define what a field's numbers mean. encode() is here because
a board never writes a record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from ucorr import OPERATORS
from ucorr import format as layout
from ucorr.ops import FIRST_NUMBER

Read = Callable[[int, int], bytes]


def number_of(row: Any) -> int:
    """The number of a row in a file."""
    if row in (layout.Layer, layout.Code):
        return (layout.Layer, layout.Code).index(row) + 1
    return FIRST_NUMBER + OPERATORS.index(row.__name__) // 2


def encode(row: Any, writes: int, reads: list[int], value: Callable[[str], Any]) -> bytes:
    """The bytes of a record.

    row     of its kind
    writes  place of the output; reads: of the inputs
    value   of a field, by its name: as meaning() returns it
    raises  ValueError for what a record has no room for
    """
    words = [writes, len(reads), *reads]
    for name, many in layout.fields(row):
        given = value(name)
        found = _words(name, given)
        if many > 0 and len(found) != many:
            raise ValueError(f"{row.kind}: {name} has {len(found)} words, wanted {many}")
        words += found
        if not -(1 << 31) <= min(words) <= max(words) < 1 << 31:
            raise ValueError(f"{row.kind}: {name} {given}, wanted numbers of 32 bits with sign")
    return struct.pack(f"<HH{len(words)}i", number_of(row), len(words), *words)


def decode(read: Read) -> Iterator[tuple[Any, int, tuple[int, ...], dict[str, Any]]]:
    """(row, place of the output, places of the inputs, fields) of each step of a file; read(at, count) as format's."""
    for number, words in layout.steps(read):
        row = layout.row(number)
        writes, reads, fields = layout.record(row, number, words)
        yield row, writes, reads, layout.meaning(fields)


def _words(name: str, value: Any) -> list[int]:
    """A field's value as the numbers of its record: the inverse of meaning()."""
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in _words(name, item)]
    if isinstance(value, str):
        return [{word: number for number, word in layout.CODES.get(name, ())}.get(value) or ord(value)]
    return [int(value)]
