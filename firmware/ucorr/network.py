"""A network on the board: the file that ucorr_host saves, one arena, and steps that fill it.

    net = ucorr.load("digits.ucorr")
    scores = net.run(image)

All activations lie in one array, where the file's plan puts them; every step reads and writes views of it that were
made when the network was loaded, so that run() allocates nothing. format.py describes the file, steps.py
makes the steps. Weights are used where they are if that is memory (ROMFS, a buffer); else the file
is read once; else, where the heap is too short, the tables of machine code are
streamed step by step through one buffer.
"""

import gc

from . import backends, buffers
from .fixedpoint import ITEMSIZE
from .format import ARENA, INPUT_AT, LABELS, LABELS_AT, LEVEL, OUTPUT_AT, SCRATCH, check, number, steps, tensor
from .heap import Tidy, collect
from .spec import integer, one_of
from .steps import Builder

_CHUNK = 512  # bytes of a file that are read at once


def load(source, backend=None, weights="auto"):
    """A Network from a file or a buffer.

    source   path, or the file's bytes in any buffer, which is used in place and kept
    backend  None for the fastest that takes each layer, or a name of backends.NAMES
    weights  "ram", "stream" (with machine code: its tables are read in every run) or "auto": in place where the medium
             allows, else "ram", else "stream"; `.weights` tells which it was
    raises   ValueError or TypeError naming what is wrong; MemoryError telling the step, the bytes that it needs and
             those that there are; OSError
    """
    return Network(source, backend, weights)


class File:
    """Pieces of a file: of a buffer in memory, or read from an open file when they are wanted."""

    def __init__(self, source):
        self.file = self.whole = None
        if not isinstance(source, str):
            self.whole = source
            self.size = buffers.measure("source", source)[0]
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
        """ValueError for places that the file does not have."""
        if at < 0 or count < 0 or at + count > self.size:
            raise ValueError("model: %d bytes at %d, wanted places within its %d bytes" % (count, at, self.size))

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
    """A network that is ready to run.

    input, output   views of the arena, items as the dtypes say; a run may write over what input holds
    input_shape, input_dtype, input_scale, input_zero_point   and output_*: real = scale * (q - zero_point)
    labels          a name for each class, or nothing
    steps           in the order in which they run, each with name, out_shape, macs, backend, scratch_bytes
    weights         "in place", "ram" or "stream"
    """

    def __init__(self, source, backend=None, weights="auto"):
        one_of("weights", weights, ("auto", "ram", "stream"))
        if backend is not None:
            one_of("backend", backend, backends.NAMES)
        self._file = file = File(source)
        check(file.read, file.size)
        # the largest pieces first, while the heap is in one
        self._arena = _allocate("b", number(file.read, ARENA), "the arena")
        self._scratch = _allocate("i", (number(file.read, SCRATCH) + 3) // 4, "scratch")
        self.weights = "in place" if file.view is not None else self._take(weights)
        self.input_shape, self.input_dtype, self.input_scale, self.input_zero_point, self.input = self._end(INPUT_AT)
        self.output_shape, self.output_dtype, self.output_scale, self.output_zero_point, self.output = self._end(
            OUTPUT_AT
        )
        self.labels = self._labels()
        self._known = None
        try:
            self._load(backend)
            return
        except MemoryError:
            if weights != "auto" or self.weights != "ram":
                raise
        self.weights = "stream"  # there was room for the file, but not for what comes of it
        self._file = File(source)
        self._load(backend)

    def _take(self, weights):
        """Read the file into memory, if that is wanted and there is room; the mode."""
        if weights == "stream":
            return weights
        try:
            collect()
            self._file.take()
            return "ram"
        except MemoryError:
            if weights == "ram":
                raise MemoryError("model: weights need %d bytes%s" % (self._file.size, _free()))
        return "stream"

    def _end(self, at):
        """(shape, dtype, scale, zero point, view) of the input or output."""
        read = self._file.read
        place, dtype, scale, zero_point, shape = tensor(read, number(read, at))
        length = 1
        for n in shape:
            length *= integer("model: dimension", n, 1, len(self._arena))
        region = self._region(place, dtype, length)
        if at == INPUT_AT:
            self._input = buffers.as_bytes(region), buffers.slice_of(0, len(region)), length
        # A slice of array('b') has its items; others are views of the same bytes.
        return shape, dtype, scale, zero_point, region if dtype == "b" else buffers.typed(region, dtype, length)

    def _labels(self):
        read = self._file.read
        text = bytes(read(number(read, LABELS_AT), number(read, LABELS)))
        try:
            return tuple(text.decode().split("\n")[:-1])
        except UnicodeError:
            raise ValueError("model: %d bytes of labels, wanted UTF-8" % len(text))

    def close(self):
        """Close the file that is streamed; the network can't run any more."""
        if self._file.file:
            self._file.file.close()

    def _region(self, place, dtype, length):
        """The bytes of a tensor in the arena."""
        size = length * ITEMSIZE[dtype]
        if place < 0 or place % 4 or place + size > len(self._arena):
            raise ValueError("model: %d bytes at %d of an arena of %d" % (size, place, len(self._arena)))
        return memoryview(self._arena)[place : place + size]

    def _load(self, backend):
        read, made = self._file.read, []
        try:
            builder = Builder(self._file, self._region, backend, number(read, LEVEL), self.weights == "stream")
        except MemoryError as error:
            raise MemoryError("model: the largest table: %s%s" % (error, _free()))
        with Tidy():
            for kind, writes, reads, words in steps(read):
                try:
                    made.append(builder.step(kind, writes, reads, words))
                except MemoryError as error:  # whose words tell how many bytes were wanted
                    raise MemoryError("model: step %d (%s): %s%s" % (len(made), kind, error, _free()))
                except (ValueError, TypeError) as error:
                    raise ValueError("model: step %d (%s): %s" % (len(made), kind, error))
        self.steps = tuple(made)
        length = (max([step.scratch_bytes for step in made] + [0]) + 3) // 4
        if length > len(self._scratch):  # the file tells what machine code needs
            self._scratch = None
            collect()
            self._scratch = _allocate("i", length, "scratch of the greediest step")
        for step in made:
            step.bind(self._scratch)

    def run(self, x=None):
        """The output, for an input of as many bytes in any buffer, or for what `input` holds.

        Allocates nothing, x being None or the buffer of the last run; while weights are streamed, what the file system
        takes for reading.
        """
        if x is not None:
            self._put(x)
        for step in self.steps:
            step.run()
        return self.output

    def _put(self, x):
        """Copy an input to its place."""
        target, whole, length = self._input
        known = self._known
        if known is None or known[0] is not x or known[1] != len(x):
            buffers.check_size("x", x, self.input_dtype, length)
            self._known = known = x, len(x), buffers.as_bytes(x)
        target[whole] = known[2]

    def profile(self, x=None, clock=None):
        """[(name, output shape, MACs, time, backend)] of each step of one run.

        clock  (read, elapsed): read() gives a time, elapsed(end, start) their difference; None: microseconds, where
               the firmware has a clock
        """
        read, elapsed = _clock() if clock is None else clock
        if x is not None:
            self._put(x)
        rows = []
        for step in self.steps:
            start = read()
            step.run()
            rows.append((step.name, step.out_shape, step.macs, elapsed(read(), start), step.backend))
        return rows

    def memory(self):
        """{"arena", "scratch", "packed" (weights, code and tables that were made or read here), "file": bytes of
        the heap; "weights": where they are}."""
        return {
            "arena": len(self._arena),
            "scratch": 4 * len(self._scratch),
            "packed": sum([step.weight_bytes for step in self.steps]),
            "file": self._file.size if self.weights == "ram" else 0,
            "weights": self.weights,
        }


def _allocate(typecode, length, what):
    """An array, or MemoryError that tells what it was for."""
    try:
        return buffers.room(typecode, length)
    except MemoryError:
        raise MemoryError("model: %s needs %d bytes%s" % (what, length * ITEMSIZE[typecode], _free()))


def _free():
    """What there is, for the end of a sentence."""
    gc.collect()
    return ", there are %d" % gc.mem_free() if hasattr(gc, "mem_free") else ""


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
