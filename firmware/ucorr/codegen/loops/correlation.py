"""Cross-correlation of two signals of 16 bits: its tiles and their table, which every instruction set shares.

Called as f(a, out, b, table). A tile is `tile` neighbouring lags k, k + 1, ... whose accumulators registers hold. The
lags of a tile have most samples in common; loops take these for all lags, and what is left is summed lag by lag.

    for each tile, as many as the first word of the table says, where a is b the second:
        for samples n that all its lags have, for each lag j:  acc[j] += a[n] * b[n + k + j]
        for each lag j: the samples before these, backwards, then those after
        out[place + j] = acc[j], shifted
    where a is b: the outputs of mirrored lags, copied

A record of the table, in words:

    place          bytes from out to the tile's first output
    a, b           bytes from a to its first sample, from b to that of lag k
    shared         how the loops over what all lags have take it: the words of _shared()
    before, after  the greatest count; where it is not 0: bytes from a, and from b for lag k, to the first sample, and a
                   count for each lag

An accumulator is at most length * limit**2 in size, under 2**31 where it is one register. Code of its own, called as
f(x, flag, x, table), writes 1 to flag where an item of x is past the limit: (x + limit) mod 2**16 > 2 * limit.
"""

from .table import put


def refuses(op, tile):
    """None, or why no instruction set has code for a CrossCorrelate."""
    if op.dtype != "h" or op.normalized:
        return "machine code is for cross-correlations of 16-bit signals that are not normalized"
    if op.output_length < tile or op.length < tile:
        return "fewer lags or samples than a tile of %d" % tile
    if (op.length * op.limit * op.limit >> -op.shift) + 1 >= 1 << 31:
        return "a shift with which sums pass 32 bits"
    return None


class Correlation:
    """Code and table of an ops.CrossCorrelate, and what Plan has. A subclass has _emit(), _emit_check() and
    _shared(count): the record's words for so many samples that all lags have, and how many its loops take.

    tile    lags of a tile
    upward  whether the tiles begin with the first lag: with what is mirrored where a is b
    mirror  how many outputs on either side of lag 0 have a mirrored one
    """

    packing = None
    scratch_bytes = 0

    def __init__(self, op, tile, assembler, core):
        self.op, self.tile = op, tile
        first, last = op.lags
        self.mirror = max(0, min(-first, last))
        self.upward = -first > last
        starts = list(range(first, last - tile + 2, tile))
        if not self.upward:
            starts = list(range(last - tile + 1, first - 1, -tile))
        if op.output_length % tile:
            starts.append(last - tile + 1 if self.upward else first)
        half = len(starts)
        if self.mirror:
            half = ((-first if self.upward else last) + tile) // tile
        self.table = table = bytearray(4 * (2 + len(starts) * (12 + 2 * tile)))
        at = put(table, put(table, 0, len(starts)), half)
        for k in starts:
            at = self._record(at, k)
        self.table = table[:at]
        self.asm = assembler(core)
        self._emit()
        self.code = self.asm.finish()
        self.check = None
        if op.checked:
            self.asm = assembler(core)
            self._emit_check()
            self.check = self.asm.finish()
        self.asm = None
        self.weight_bytes, self.code_bytes = len(self.table), len(self.code)

    def _record(self, at, k):
        """Write the record of a tile; returns the place after it."""
        length, tile = self.op.length, self.tile
        begin, end = max(0, -k), min(length, length - k - tile + 1)
        shared, done = self._shared(end - begin)
        done += begin
        words = [4 * (k - self.op.lags[0]), 2 * begin, 2 * (begin + k)] + shared
        before = [begin - max(0, -k - j) for j in range(tile)]
        after = [min(length, length - k - j) - done for j in range(tile)]
        for place, counts in ((begin - 1, before), (done, after)):
            words.append(max(counts))
            if max(counts):
                words += [2 * place, 2 * (place + k)] + counts
        for word in words:
            at = put(self.table, at, word)
        return at
