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

from ..asm.assembler import NE, R0, R1, R2, R3, SP
from .table import put

# the stack; what follows is the kernel's own
A, B, OUT, TABLE, TILES, SAME, PLACE, P, Q, OWN = range(0, 40, 4)


def refuses(op, tiles):
    """None, or why there is no code for a CrossCorrelate; tiles as Correlation's."""
    tile = tiles[op.wide]
    if op.dtype != "h" or op.normalized:
        return "machine code is for cross-correlations of 16-bit signals that are not normalized"
    if op.output_length < tile or op.length < tile:
        return "fewer lags or samples than a tile of %d" % tile
    if (op.length * op.limit * op.limit >> -op.shift) + 1 >= 1 << 31:
        return "a shift with which sums pass 32 bits"
    return None


class Correlation:
    """Code and table of an ops.CrossCorrelate, and what Plan has.

    A subclass has `accs`, the accumulators of a tile, and

        _shared(count)  the record's words for so many samples that all lags have, and how many its loops take
        _begin()        emit: the pointers and accumulators of a tile
        _loops()        what all lags have
        _rest(step)     what not all have, lag by lag, by so many bytes
        _output(acc)    an accumulator as output, in the register that is returned; r0 is kept
        _emit_check()   the code that looks for items past the limit

    tiles   lags of a tile, of sums of 32 bits and of 64
    frame   bytes of stack
    upward  whether the tiles begin with the first lag: with what is mirrored where a is b
    mirror  how many outputs on either side of lag 0 have a mirrored one
    """

    packing = None
    scratch_bytes = 0

    def __init__(self, op, tiles, frame, assembler, core):
        self.op, self.tile = op, tiles[op.wide]
        tile = self.tile
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
        self._emit(frame)
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

    def _emit(self, frame):
        asm = self.asm
        two = asm.label()
        asm.enter(frame)
        for slot, r in ((A, R0), (OUT, R1), (B, R2)):
            asm.str(r, SP, slot)
        asm.sub(R2, R2, R0)
        asm.str(R2, SP, SAME)  # 0: a is b
        asm.ldm(R3, (R0, R1))
        asm.str(R3, SP, TABLE)
        asm.cmpi(R2, 0)
        asm.b(two, NE)
        asm.mov(R0, R1)
        asm.place(two)
        asm.str(R0, SP, TILES)
        tile = asm.here()
        self._begin()
        self._loops()
        self._rest(-2)
        self._rest(2)
        asm.ldr(R0, SP, OUT)
        asm.ldr(R1, SP, PLACE)
        asm.add(R0, R0, R1)
        for acc in self.accs:
            asm.str_then(self._output(acc), R0, 4)
        asm.dec_branch_stack(TILES, tile)
        if self.mirror:
            self._copy_mirrored()
        asm.leave(frame)

    def _copy_mirrored(self):
        """Where a is b: the outputs of the lags that were left out."""
        asm, way = self.asm, 4 if self.upward else -4
        two = asm.label()
        asm.ldr(R3, SP, SAME)
        asm.cmpi(R3, 0)
        asm.b(two, NE)
        asm.ldr(R0, SP, OUT)
        asm.constant(R1, -4 * self.op.lags[0] - way)
        asm.add(R0, R0, R1)
        asm.mov(R1, R0)
        asm.addi(R1, R1, 2 * way)
        asm.constant(R3, self.mirror)
        loop = asm.here()
        asm.ldr(R2, R0)
        asm.str(R2, R1)
        asm.addi(R0, R0, -way)
        asm.addi(R1, R1, way)
        asm.dec_branch(R3, loop)
        asm.place(two)
