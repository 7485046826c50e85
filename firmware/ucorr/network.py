"""load(), which returns a Network: the file that ucorr_host saved, one arena, and steps that run in it.

    net = ucorr.load("digits.ucorr")
    scores = net.run(image)

All activations lie in one array, the arena, at offsets that the file gives; every step reads and writes views of it
that were made when the network was loaded, so that run() allocates nothing. format.py describes the file, steps.py
makes the steps. Weights in memory (ROMFS, a buffer) are used in place. Otherwise the file is read into the heap; if
that is too small, each run reads the tables of machine code step by step into one buffer
(streaming).
"""

import gc

from . import backends, buffers
from .calls import Busy
from .fixedpoint import ITEMSIZE
from .format import (
    ARENA,
    CODE_NUMBER,
    CORE,
    CRC,
    INPUT_AT,
    LABELS,
    LABELS_AT,
    OUTPUT_AT,
    SCRATCH,
    Code,
    check_crc,
    check_header,
    crc32,
    number,
    record,
    row,
    steps,
    tensor,
    typecode,
)
from .heap import Tidy, collect
from .spec import integer, one_of
from .steps import Builder

_CHUNK = 512  # bytes of a file that are read at once


def load(source, backend=None, weights="auto", sha256=None):
    """A Network from a file or a buffer.

    source   path, or the file's bytes: bytes or a memoryview, used in place, so that what the view shows must stay so;
             or any other buffer, which is copied, since it may move
    backend  None for the fastest that takes each layer, or a name of backends.NAMES
    weights  "ram", "stream" (with machine code: its tables are read in every run) or "auto": in place where the medium
             allows, else "ram", else "stream"; `.weights` says which it was
    sha256   None, or the SHA-256 that the file must have, as 64 hexadecimal digits or 32 bytes. It is taken of the
             very bytes that are used, before any of them becomes a step or machine code: of the copy in the heap, or
             of the memory where the file is used in place, which must then stay as it is. Streamed tables are read
             again in every run, where nothing would check them: "auto" never streams then, and "stream" is refused
    raises   ValueError or TypeError naming what is wrong; MemoryError with the step, the bytes needed and the bytes
             free; OSError
    """
    try:
        return Network(source, backend, weights, sha256)
    except MemoryError as error:
        if str(error).startswith("model:"):
            raise
        raise MemoryError("model: %s%s" % (error, _free()))


class File:
    """Pieces of a file: of a buffer in memory, or read from an open file when they are wanted."""

    def __init__(self, source):
        self.file = self.whole = None
        self.mode = "in place"
        if not isinstance(source, str):
            self.size = buffers.measure("source", source)[0]
            if not isinstance(source, (bytes, memoryview)):
                self.mode = "ram"
                try:
                    source = bytes(buffers.as_bytes(source))
                except MemoryError:
                    raise MemoryError("source: a copy needs %d bytes%s" % (self.size, _free()))
            self.whole = source
        else:
            self.file = open(source, "rb")
            try:
                self.whole = memoryview(self.file)  # a file in ROMFS is memory
                self.size = len(self.whole)
            except TypeError:
                self.size = self.file.seek(0, 2)
        self.view = None if self.whole is None else memoryview(buffers.as_bytes(self.whole) if self.size else b"")

    def read(self, at, count):
        """`count` bytes from `at` on; ValueError where the file ends before."""
        self.check(at, count)
        if self.view is not None:
            return self.view[at : at + count]
        self.file.seek(at)
        return self.file.read(count)

    def check(self, at, count):
        """Check that bytes at .. at + count are within the file. Raises ValueError."""
        if at < 0 or count < 0 or at + count > self.size:
            raise ValueError("model: %d bytes at %d, wanted places within its %d bytes" % (count, at, self.size))

    def crc_from(self, at):
        """The CRC-32 of the bytes from `at` to the end. A file is read into one buffer, so no garbage takes up heap."""
        found = 0
        if self.view is not None:
            for first in range(at, self.size, _CHUNK):
                found = crc32(self.view[first : first + _CHUNK], found)
            return found
        piece = memoryview(bytearray(_CHUNK))
        self.file.seek(at)
        count = self.file.readinto(piece)
        while count:
            found = crc32(piece[:count], found)
            count = self.file.readinto(piece)
        return found

    def take(self):
        """Read all of it into memory."""
        self.whole = bytearray(self.size)
        whole = memoryview(self.whole)
        self.file.seek(0)
        for at in range(0, self.size, _CHUNK):
            self.file.readinto(whole[at : at + _CHUNK])
        self.view = whole
        self.file.close()


class Network:
    """A network that is ready to run, once at a time: another run, from a thread or a callback, is a RuntimeError.

    input, output   views of the arena, items as the dtypes say; a run may write over what input holds. An output of
                    another dtype than the input's is a copy, made at the end of a run
    input_shape, input_dtype, input_scale, input_zero_point   and output_*: real = scale * (q - zero_point)
    labels          a name for each class, or nothing
    steps           in the order in which they run, each with name, out_shape, macs, backend, scratch_bytes
    weights         "in place", "ram" or "stream"
    """

    def __init__(self, source, backend=None, weights="auto", sha256=None):
        one_of("weights", weights, ("auto", "ram", "stream"))
        if sha256 is not None:
            from .digest import digits  # takes room in the heap only where it is used

            sha256 = digits(sha256)
            if weights == "stream":
                raise ValueError("sha256: given with weights 'stream', which are read again in every run, wanted 'ram'")
            weights = "ram"
        if backend is not None:
            one_of("backend", backend, backends.NAMES)
        self._known = (), None  # buffers.marks() of the last x, its bytes
        self._busy = Busy()
        self._file = None
        try:
            self._open(source, weights, sha256)
            try:
                self._load(backend)
                return
            except MemoryError:
                if weights != "auto" or self.weights != "ram" or self._file.file is None:
                    raise
            # the file fitted into the heap, but its steps did not: stream it instead
            self.weights, self._file = "stream", None
            collect()
            self._file = File(source)
            self._load(backend)
        except BaseException:
            self.close()
            raise

    def __repr__(self):
        ends = self.input_shape, self.input_dtype, self.output_shape, self.output_dtype
        return "Network(%r %s -> %r %s, %d steps, %r)" % (ends + (len(self.steps), self.memory()))

    def _open(self, source, weights, sha256):
        """Read header, input, output and labels, and all of the file unless it is streamed; allocate the arena."""
        self._file = file = File(source)
        self._copied = None
        check_header(file.read, file.size)
        # the largest blocks first, while the heap is not fragmented: reading the file leaves garbage between them
        arena, dtype = number(file.read, ARENA), typecode(number(file.read, number(file.read, INPUT_AT) + 4))
        self._arena = _allocate(dtype, -(-arena // ITEMSIZE[dtype]), "the arena")
        self._scratch = _allocate("i", (number(file.read, SCRATCH) + 3) // 4, "scratch")
        check_crc(file.read, file.crc_from(CRC + 4))
        self._bytes = memoryview(buffers.as_bytes(self._arena))[:arena]
        self.weights = file.mode if file.view is not None else self._take(weights)
        if sha256 is not None:
            from .digest import verify

            verify(file.view, sha256)
        self._ends = []
        self.input_shape, self.input_dtype, self.input_scale, self.input_zero_point, self.input = self._end(INPUT_AT)
        self.output_shape, self.output_dtype, self.output_scale, self.output_zero_point, self.output = self._end(
            OUTPUT_AT
        )
        self.labels = self._labels()

    def _take(self, weights):
        """Read the file into memory, if asked for and if it fits; returns the mode, "ram" or "stream"."""
        if weights == "stream":
            return weights
        try:
            collect()
            self._file.take()
            return "ram"
        except MemoryError:
            self._file.whole = None
            if weights == "ram":
                raise MemoryError("model: weights need %d bytes%s" % (self._file.size, _free()))
        return "stream"

    def _table(self):
        """A buffer for the largest table of machine code where tables are streamed, else None.

        The larger of scratch and table is allocated first, so that scratch does not take the free block that the
        previous network's table left.
        """
        if self.weights != "stream":
            return None
        most, length = largest_table(self._file), (number(self._file.read, SCRATCH) + 3) // 4
        table = self._scratch = None
        if most > 4 * length:
            table = _allocate("B", most, "the largest table")
        self._scratch = _allocate("i", length, "scratch")
        return _allocate("B", most, "the largest table") if table is None else table

    def _end(self, at):
        """(shape, dtype, scale, zero point, view) of the input or output."""
        read = self._file.read
        place, dtype, scale, zero_point, shape = tensor(read, number(read, at))
        length = 1
        for n in shape:
            length *= integer("model: dimension", n, 1, len(self._bytes))
        region = self._region(place, dtype, length)
        self._ends.append((place, place + len(region)))
        if at == INPUT_AT:
            self._input = buffers.as_bytes(region), buffers.slice_of(0, len(region)), length
        elif dtype != self.input_dtype:
            items = buffers.room(dtype, length)
            self._copied = memoryview(buffers.as_bytes(items)), buffers.slice_of(0, len(region)), region
            return shape, dtype, scale, zero_point, memoryview(items)
        # a slice of the arena: it has the arena's dtype and keeps it alive; a view made from an address would not
        first = place // ITEMSIZE[dtype]
        return shape, dtype, scale, zero_point, memoryview(self._arena)[first : first + length]

    def _labels(self):
        read = self._file.read
        text = bytes(read(number(read, LABELS_AT), number(read, LABELS)))
        try:
            return tuple(text.decode().split("\n")[:-1])
        except UnicodeError:
            raise ValueError("model: %d bytes of labels, wanted UTF-8" % len(text))

    def close(self):
        """Close the file that is streamed; the network can't run any more."""
        if self._file and self._file.file:
            self._file.file.close()

    def _region(self, place, dtype, length):
        """The bytes of a tensor in the arena."""
        size = length * ITEMSIZE[dtype]
        if place < 0 or place % 4 or place + size > len(self._bytes):
            raise ValueError("model: %d bytes at %d of an arena of %d" % (size, place, len(self._bytes)))
        return self._bytes[place : place + size]

    def _load(self, backend):
        read, made = self._file.read, []
        builder = Builder(self._file, self._region, backend, number(read, CORE), self._table(), self._ends[0])
        with Tidy():
            for kind, words in steps(read):
                made.append(_step(builder, len(made), kind, words))
        begin, end = self._ends[1]
        builder.require("model: the output", begin, end - begin)
        self.steps = tuple(made)
        length = (max([step.scratch_bytes for step in made] + [0]) + 3) // 4
        if self._scratch is None or length > len(self._scratch):  # the file says what machine code needs
            self._scratch = None
            collect()
            self._scratch = _allocate("i", length, "scratch of the greediest step")
        for step in made:
            step.bind(self._scratch)

    def run(self, x=None):
        """The view `output`, computed from x, any buffer of the input's size, or from what `input` holds (x None).

        Allocates nothing where x is None or the buffer of the last run; while tables are streamed, the file system
        may allocate for reading.
        """
        with self._busy:
            if x is not None:
                self._put(x)
            for step in self.steps:
                step.run()
            self._copy()
        return self.output

    def _put(self, x):
        """Copy an input to its place."""
        target, whole, length = self._input
        if not buffers.same(x, self._known[0]):
            buffers.check_size("x", x, self.input_dtype, length)
            self._known = buffers.marks((x,)), buffers.as_bytes(x)
        target[whole] = self._known[1]

    def _copy(self):
        """Copy the output out of the arena to its own array, which it has where its dtype is not the input's."""
        if self._copied:
            target, whole, source = self._copied
            target[whole] = source

    def profile(self, x=None, clock=None):
        """[(name, output shape, MACs, time, backend)] of each step of one run.

        clock  (read, elapsed): read() gives a time, elapsed(end, start) their difference; None: microseconds, where
               the firmware has a clock
        """
        read, elapsed = _clock() if clock is None else clock
        rows = []
        with self._busy:
            if x is not None:
                self._put(x)
            for step in self.steps:
                start = read()
                step.run()
                rows.append((step.name, step.out_shape, step.macs, elapsed(read(), start), step.backend))
            self._copy()
        return rows

    def memory(self):
        """{"arena", "scratch", "packed" (weights, code and tables that were made or read here), "file": bytes of
        the heap; "weights": where they are}."""
        return {
            "arena": len(self._bytes),
            "scratch": 4 * len(self._scratch),
            "packed": sum([step.weight_bytes for step in self.steps]),
            "file": self._file.size if self.weights == "ram" else 0,
            "weights": self.weights,
        }


def _step(builder, n, kind, words):
    """The Step of record n, whose row has the number `kind`; what goes wrong is reported with its name."""
    name = "kind %d" % kind
    try:
        made = row(kind)
        name = made.kind
        found = record(made, kind, words)
    except MemoryError as error:
        raise MemoryError("model: step %d (%s): %s%s" % (n, name, error, _free()))
    try:
        return builder.step(made, *found)
    except MemoryError as error:  # whose message says how many bytes were wanted
        raise MemoryError("model: step %d (%s): %s%s" % (n, name, error, _free()))
    except (ValueError, TypeError) as error:
        raise ValueError("model: step %d (%s): %s" % (n, name, error))


def largest_table(file):
    """Bytes of the largest table of machine code in a file."""
    most = 0
    with Tidy():
        for kind, words in steps(file.read):
            if kind == CODE_NUMBER:
                size = record(Code, kind, words)[2]["packed_bytes"]
                most = max(most, integer("packed_bytes", size, 0, file.size))
    return most


def _allocate(typecode, length, what):
    """An array, or MemoryError that says what it was for."""
    collect()  # garbage may take up the block that the array needs
    try:
        return buffers.room(typecode, length)
    except MemoryError:
        raise MemoryError("model: %s needs %d bytes%s" % (what, length * ITEMSIZE[typecode], _free()))


def _free():
    """The free bytes of the heap, as the end of an error message; they may be fragmented."""
    gc.collect()
    return ", there are %d in all" % gc.mem_free() if hasattr(gc, "mem_free") else ""


def _clock():
    try:
        from time import ticks_diff, ticks_us

        return ticks_us, ticks_diff
    except ImportError:
        pass
    try:  # CPython
        from time import perf_counter_ns

        return lambda: perf_counter_ns() // 1000, lambda end, start: end - start
    except ImportError:
        return lambda: None, lambda end, start: None
