"""The steps of a network: from a file's words to what runs, each checked before a pointer is made of it.

Places, shapes and dtypes are those of format.py. A step runs on views of the arena that lie apart, but for
an item by item step, which may write over an input. Machine code is trusted, as firmware is: it is
called with places that are checked, and does with them what it does.
"""

from array import array

from . import backends, buffers
from .fixedpoint import ITEMSIZE
from .format import steps, typecode
from .heap import collect
from .spec import Spec, integer

_MOST = 1 << 24
# the words that a layer's class takes first, behind a table
FIRST = {
    "max_pool2d": ("size", "shape"),
    "average_pool2d": ("size", "shape"),
    "add": ("a_shape", "b_shape"),
    "sub": ("a_shape", "b_shape"),
    "mul": ("a_shape", "b_shape"),
    "lookup": ("length",),
    "softmax": ("classes", "rows"),
    "pad": ("shape",),
    "concatenate": ("lengths",),
    "expand": ("shape",),
}


class Step:
    """One call of a plan with views of the arena: `scratched`, plan.run(x, out, scratch), or plan.run(inputs, out)."""

    def __init__(self, name, backend, plan, sources, target, scratched, op):
        self.name, self.backend, self._plan = name, backend, plan
        self._sources, self._target, self._scratched = sources, target, scratched
        self.out_shape, self.macs = op.out_shape, op.macs
        self.scratch_bytes, self.weight_bytes = plan.scratch_bytes, plan.weight_bytes

    def bind(self, scratch):
        """Take what the step needs of the scratch that all steps share, an array('i')."""
        self._scratch = memoryview(scratch)[: (self.scratch_bytes + 3) // 4]

    def run(self):
        if self._scratched:
            self._plan.run(self._sources[0], self._target, self._scratch)
        else:
            self._plan.run(self._sources, self._target)


class _Code:
    """Machine code of a file as a plan, and what Step asks of an op; where it is streamed, its table is read first."""

    def __init__(self, words, code, file, table):
        self.out_shape, self.macs = words["out_shape"], words["macs"]
        self.scratch_bytes = integer("scratch_bytes", words["scratch_bytes"], 0, _MOST)
        self.weight_bytes = 0
        self._code, self._file, self._at, self._table = code, file, words["packed_at"], table

    def run(self, x, out, scratch):
        if self._file:
            self._file.seek(self._at)
            self._file.readinto(self._table)
        self._code.run(x, out, scratch)


class _CodeOfTwo(_Code):
    """The same for two inputs, the second of which stands where a layer has its scratch."""

    def run(self, sources, out):
        _Code.run(self, sources[0], out, sources[1])


class Builder:
    """Makes the steps of one file.

    file     network.File
    region   region(place, dtype, length): the bytes of a tensor in the arena, or ValueError
    backend  None, or a name
    level    of the machine code in the file
    stream   whether tables of machine code stay in the file
    """

    def __init__(self, file, region, backend, level, stream):
        self.file, self.region, self.backend, self.level, self.stream = file, region, backend, level, stream
        self.codes = {}  # place -> code: layers of one shape share it
        self.buffer = None
        if stream:
            most = max([words["packed_bytes"] for kind, _, _, words in steps(file.read) if kind == "code"] + [0])
            collect()
            self.buffer = bytearray(integer("packed_bytes", most, 0, file.size))

    def step(self, kind, writes, reads, words):
        """The Step of a record. raises ValueError, TypeError, MemoryError"""
        if kind == "code":
            return self.code(writes, reads, words)
        if kind == "layer":
            op = self.spec(words)
            # where a file has code, a layer without has none because viper is the better choice
            names = backends.NAMES[1:] if self.level else backends.NAMES
            name, plan = backends.choose(op, self.backend, None, names)
            lengths = (op.input_length,)
        else:
            op = self.op(kind, words)
            name, plan, lengths = op.backend, op.plan, op.lengths
        sources, target = self.views(op, writes, reads, lengths, plan.typed)
        return Step(kind, name, plan, sources, target, kind == "layer", op)

    def views(self, op, writes, reads, lengths, typed):
        """(inputs, output) of a step; those of the arena lie apart."""
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
                over = getattr(op, "in_place", False) and place == writes and taken == size
                if place < writes + size and writes < place + taken and not over:
                    raise ValueError("out at %d over an input at %d, wanted them apart" % (writes, place))
            sources.append(buffers.typed(source, op.dtype, length) if typed else source)
        if typed:
            target = buffers.typed(target, op.out_dtype, op.output_length)
        return tuple(sources), target

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

    def spec(self, words):
        """The Spec of a layer."""
        out = integer("kernel", words["kernel_shape"][0], 1, _MOST)
        count = 1
        for n in words["kernel_shape"]:
            count *= integer("kernel", n, 1, self.file.size)
        wide = {32: False, 64: True}.get(words["accumulator"])
        rounding = {1: "once", 2: "twice"}.get(words["rounding"])
        if wide is None or rounding is None:
            raise ValueError("accumulator %d, rounding %d: no such" % (words["accumulator"], words["rounding"]))
        bias = None
        if words["bias_at"]:
            if wide:
                pairs = self.file.read(words["bias_at"], 8 * out)
                bias = [int.from_bytes(bytes(pairs[n : n + 8]), "little") for n in range(0, 8 * out, 8)]
                bias = [value - (1 << 64) if value >> 63 else value for value in bias]
            else:
                bias = self.items("i", words["bias_at"], out)
        top, bottom, left, right = words["padding"]
        return Spec(
            words["input_shape"],
            words["kernel_shape"],
            self.items("b", words["weights_at"], count),
            dtype=typecode(words["dtype"]),
            out_dtype=typecode(words["out_dtype"]),
            stride=words["stride"],
            dilation=words["dilation"],
            padding=((top, bottom), (left, right)),
            groups=words["groups"],
            bias=bias,
            multiplier=self.items("i", words["multiplier_at"], out),
            shift=self.items("b", words["shift_at"], out),
            input_zero_point=words["input_zero_point"],
            kernel_zero_point=words["kernel_zero_point"],
            output_zero_point=words["output_zero_point"],
            activation_min=words["activation_min"],
            activation_max=words["activation_max"],
            accumulator="int64" if wide else "int32",
            rounding=rounding,
        )

    def op(self, kind, words):
        """The layer without weights of a kind."""
        from .ops import KINDS  # takes room in the heap only where it is used

        given = dict(words)
        first = [given.pop(name) for name in FIRST[kind]]
        if "dtype" in given:
            given["dtype"] = typecode(given["dtype"])
        if "padding" in given:
            pads = given["padding"]
            given["padding"] = [pads[n : n + 2] for n in range(0, len(pads), 2)]
        if "table_at" in given:
            first.insert(0, self.piece(given.pop("table_at"), 1024 if kind == "softmax" else 256))
        return KINDS[kind](*first, backend=None if self.backend == "thumb" else self.backend, **given)

    def code(self, writes, reads, words):
        """A layer that has its machine code in the file."""
        if self.backend not in (None, "thumb"):
            raise ValueError("machine code, wanted a file for any core to run on %r" % self.backend)
        module = backends.probe("thumb_code")
        if isinstance(module, str):
            raise ValueError("machine code, but this firmware can't run any (%s), wanted a file for any core" % module)
        if module.LEVEL != self.level:
            raise ValueError("machine code of level %d, wanted that of this core, %d" % (self.level, module.LEVEL))
        code = self.codes.get(words["code_at"])
        if code is None:
            code = self.codes[words["code_at"]] = self.piece(words["code_at"], words["code_bytes"])
        at, size = words["packed_at"], words["packed_bytes"]
        if self.stream:  # read when it is wanted
            self.file.check(at, size)
            table = memoryview(self.buffer)[:size]
        else:
            table = self.piece(at, size)
        made = _CodeOfTwo if len(reads) == 2 else _Code
        file = self.file.file if self.stream else None
        plan = made(words, module.Code(code, table), file, table)
        op = _Placed(words, len(reads))
        sources, target = self.views(op, writes, reads, op.lengths, False)
        return Step("sum" if op.in_place else "layer", "thumb", plan, sources, target, not op.in_place, plan)


class _Placed:
    """What Builder.views() asks of an op, of a layer as code; a sum may be written over an input."""

    def __init__(self, words, count):
        self.dtype, self.out_dtype = typecode(words["dtype"]), typecode(words["out_dtype"])
        self.in_place = count == 2
        length = self.output_length = 1
        for n in words["input_shape"]:
            length *= integer("input_shape", n, 1, _MOST)
        for n in words["out_shape"]:
            self.output_length *= integer("out_shape", n, 1, _MOST)
        self.lengths = (length,) * (2 if self.in_place else 1)
