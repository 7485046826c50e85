"""Builder, which makes the steps of a network from the records of its file and checks each one first.

Places, shapes and dtypes are those of format.py. The views of the arena that a step reads and writes do not overlap,
except that an elementwise step may write over an input; it reads bytes that the network's input or an earlier
step wrote. Machine code is trusted, as firmware is: the places it is called with are checked, its accesses are
not.
"""

from array import array

from . import backends, buffers
from .fixedpoint import ITEMSIZE
from .format import MOST, Code, Layer, meaning
from .spec import Spec, integer


class Step:
    """One call of a plan with views of the arena: plan.run(x, out, scratch) where `scratched`, else
    plan.run(inputs, out)."""

    def __init__(self, name, backend, plan, sources, target, scratched, op):
        self.name, self.backend, self._plan = name, backend, plan
        self._sources, self._target, self._scratched = sources, target, scratched
        self.out_shape, self.macs = op.out_shape, op.macs
        self.scratch_bytes, self.weight_bytes = plan.scratch_bytes, plan.weight_bytes

    def bind(self, scratch):
        """Keep a view of as much scratch as the step needs; scratch is an array('i') that all steps share."""
        self._scratch = memoryview(scratch)[: (self.scratch_bytes + 3) // 4]

    def run(self):
        if self._scratched:
            self._plan.run(self._sources[0], self._target, self._scratch)
        else:
            self._plan.run(self._sources, self._target)


class _Code:
    """The plan of machine code in a file, with the attributes that Step reads; run() reads a streamed table first."""

    def __init__(self, fields, code, file, table):
        self.out_shape, self.macs = fields["out_shape"], integer("macs", fields["macs"], 0, 0x7FFFFFFF)
        self.scratch_bytes = integer("scratch_bytes", fields["scratch_bytes"], 0, MOST)
        self.weight_bytes = 0
        self._code, self._file, self._at, self._table = code, file, fields["packed_at"], table

    def run(self, x, out, scratch):
        if self._file:
            self._file.seek(self._at)
            self._file.readinto(self._table)
        self._code.run(x, out, scratch)


class _CodeOfTwo(_Code):
    """The plan of machine code with two inputs; the second one is passed where a layer passes its scratch."""

    def run(self, sources, out):
        _Code.run(self, sources[0], out, sources[1])


class Builder:
    """Makes the steps of one file.

    file     network.File
    region   region(place, dtype, length): the bytes of a tensor in the arena, or ValueError
    backend  None, or a name
    core     number of the cores whose machine code is in the file, 0: none
    table    None, or room for the largest table: tables of machine code stay in the file, and are read one by one
    written  (first byte, end) of what is in the arena before the first step: the input
    """

    def __init__(self, file, region, backend, core, table, written):
        self.file, self.region, self.backend, self.core, self.buffer = file, region, backend, core, table
        self.codes = {}  # place -> code: layers of one shape share it
        self.written = [written]  # runs of bytes, none of which touches another

    def step(self, row, writes, reads, fields):
        """The Step of a record of a row. raises ValueError, TypeError, MemoryError"""
        if row is Code:
            return self.code(writes, reads, fields)
        if row is Layer:
            op = self.spec(fields)
            # in a file with machine code, the compiler left the other layers to viper or portable: skip thumb
            names = [name for name in backends.NAMES if not self.core or name != "thumb"]
            name, plan = backends.choose(op, self.backend, None, names)
            lengths = (op.input_length,)
        else:
            op = self.op(row, fields)
            name, plan, lengths = op.backend, op.plan, op.lengths
        sources, target = self.views(op, writes, reads, lengths, plan.typed)
        return Step(row.kind, name, plan, sources, target, row is Layer, op)

    def views(self, op, writes, reads, lengths, typed):
        """(inputs, output) of a step as views; ValueError where the output overlaps an input that it may not."""
        if len(reads) != len(lengths):
            raise ValueError("%d inputs, wanted %d" % (len(reads), len(lengths)))
        size = op.output_length * ITEMSIZE[op.out_dtype]
        target = self.region(writes, op.out_dtype, op.output_length)
        sources = []
        for place, length in zip(reads, lengths):
            taken = length * ITEMSIZE[op.dtype]
            if place < 0:
                source = self.piece(~place, taken)
            else:
                source = self.region(place, op.dtype, length)
                self.require("an input", place, taken)
                over = getattr(op, "in_place", False) and place == writes and taken == size
                if place < writes + size and writes < place + taken and not over:
                    raise ValueError("out at %d over an input at %d, wanted them apart" % (writes, place))
            sources.append(buffers.typed(source, op.dtype, length) if typed else source)
        if typed:
            target = buffers.typed(target, op.out_dtype, op.output_length)
        self.write(writes, writes + size)
        return tuple(sources), target

    def require(self, what, place, size):
        """Check that the input or a step has written these bytes of the arena. Raises ValueError."""
        for begin, end in self.written:
            if begin <= place and place + size <= end:
                return
        raise ValueError("%s of %d bytes at %d, wanted bytes that are written before" % (what, size, place))

    def write(self, begin, end):
        """Record bytes of the arena as written, merged with the runs that they touch."""
        apart = []
        for run in self.written:
            if run[0] <= end and begin <= run[1]:
                begin, end = min(begin, run[0]), max(end, run[1])
            else:
                apart.append(run)
        self.written = apart + [(begin, end)]

    def piece(self, at, count):
        """Bytes of the file that begin at a whole word of memory: where they are, or copied."""
        found = self.file.read(at, count)
        where = buffers.address(found)
        if self.file.view is None or (where is not None and where % 4):
            found = bytearray(found)
        return found

    def items(self, dtype, at, count):
        """An array of a piece of the file."""
        found = self.file.read(at, count * ITEMSIZE[dtype])
        # MicroPython makes an array of raw bytes from a bytearray as it is, CPython from bytes alone
        return array(dtype, buffers.as_bytes(found) if buffers.MICROPYTHON else bytes(found))

    def spec(self, fields):
        """The Spec of a layer."""
        out = integer("kernel", fields["kernel_shape"][0], 1, MOST)
        count = 1
        for n in fields["kernel_shape"]:
            count *= integer("kernel", n, 1, self.file.size)
        given = meaning(fields)
        wide = given["accumulator"] == "int64"
        # meaning() leaves a number that it does not know as it is
        if given["rounding"] == fields["rounding"] or given["accumulator"] == fields["accumulator"]:
            raise ValueError("accumulator %d, rounding %d: no such" % (fields["accumulator"], fields["rounding"]))
        bias = None
        if fields["bias_at"]:
            if wide:
                pairs = self.file.read(fields["bias_at"], 8 * out)
                bias = [int.from_bytes(bytes(pairs[n : n + 8]), "little") for n in range(0, 8 * out, 8)]
                bias = [value - (1 << 64) if value >> 63 else value for value in bias]
            else:
                bias = self.items("i", fields["bias_at"], out)
        places = [given.pop(name) for name in ("weights_at", "bias_at", "multiplier_at", "shift_at")]
        first = [given.pop(name) for name in ("input_shape", "kernel_shape")]
        first.append(self.items("b", places[0], count))
        if given["out_dtype"] == "i":  # the exact accumulator has no scale
            for name in ("output_zero_point", "activation_min", "activation_max"):
                del given[name]
        else:
            given["multiplier"] = self.items("i", places[2], out)
            given["shift"] = self.items("b", places[3], out)
        return Spec(*first, bias=bias, **given)

    def op(self, made, fields):
        """The layer without weights of a class."""
        given = meaning(fields)
        first = [given.pop(name) for name in made.first]
        if "table_at" in given:
            first.insert(0, self.piece(given.pop("table_at"), made.table_bytes(given, self.file.size)))
        for name in made.only_table:
            del given[name]
        return made(*first, backend=None if self.backend == "thumb" else self.backend, **given)

    def code(self, writes, reads, fields):
        """A layer that has its machine code in the file."""
        if self.backend not in (None, "thumb"):
            raise ValueError("machine code, wanted a file for any core to run on %r" % self.backend)
        module = backends.probe("thumb_code")
        if isinstance(module, str):
            raise ValueError("machine code, but this firmware can't run any (%s), wanted a file for any core" % module)
        if module.CORE.number != self.core:
            raise ValueError(
                "machine code of number %d, wanted %d, for a %s" % (self.core, module.CORE.number, module.CORE.name)
            )
        code = self.codes.get(fields["code_at"])
        if code is None:
            code = self.codes[fields["code_at"]] = self.piece(fields["code_at"], fields["code_bytes"])
        at, size = fields["packed_at"], fields["packed_bytes"]
        stream = self.buffer is not None
        if stream:  # read when it is wanted
            self.file.check(at, size)
            table = memoryview(self.buffer)[:size]
        else:
            table = self.piece(at, size)
        made = _CodeOfTwo if len(reads) == 2 else _Code
        file = self.file.file if stream else None
        plan = made(fields, module.Code(code, table), file, table)
        op = _Placed(fields, len(reads))
        sources, target = self.views(op, writes, reads, op.lengths, False)
        return Step("sum" if op.in_place else "layer", "thumb", plan, sources, target, not op.in_place, plan)


class _Placed:
    """The attributes that Builder.views() reads, for machine code; with two inputs, out may be one of them."""

    def __init__(self, fields, count):
        fields = meaning(fields)
        self.dtype, self.out_dtype = fields["dtype"], fields["out_dtype"]
        self.in_place = count == 2
        length = self.output_length = 1
        for n in fields["input_shape"]:
            length *= integer("input_shape", n, 1, MOST)
        for n in fields["out_shape"]:
            self.output_length *= integer("out_shape", n, 1, MOST)
        self.lengths = (length,) * (2 if self.in_place else 1)
