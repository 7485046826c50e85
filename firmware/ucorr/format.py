"""The format of a network's file, byte by byte, and the functions that read it.

All numbers are little endian. Offsets count from the file's first byte. Whatever an offset points to begins at a
multiple of 16, so that a file in memory can be used in place if its own address is one.

    byte  size  content
       0     5  b"ucorr"
       5     3  version: 1 0 0
       8     4  bytes of the file
      12     4  CRC-32 (that of zip) of all that follows
      16     4  number of the cores (codegen/cores.py) whose machine code is in it; 0: none, for any core
      20     4  bytes of the arena, which holds all activations
      24     4  bytes of scratch memory: the most that a step of machine code needs
      28     4  number of steps
      32     4  offset of the steps, one record after the other
      36     4  offset of the input's record
      40     4  offset of the output's record
      44     4  offset of the labels, in UTF-8, a newline after each; 48: their bytes
      52    12  0

The record of an input or output: its place, its dtype (the typecode's character), scale (float32), zero
point, number of dimensions, dimensions; 4 bytes each.

The record of a step: its kind and the number of words that follow, 2 bytes each; then signed words of 4 bytes: the
place of the output, the number of inputs, the place of each, and the kind's own fields in the order that its row
lists, where "name*3" is three words and "name*" all the remaining ones. A row is a class with `kind` and `fields`:
Layer and Code here, and each operator's class in ops/. A place >= 0 is an offset in the arena; a negative place is
~(offset in the file) of a constant. Names that end in "_at" are offsets in the file of

    weights_at     int8, out, height, width, in / groups
    bias_at        int32, or int64 with accumulator 64; one per output channel; 0: none
    multiplier_at  int32, one per output channel; shift_at: int8, likewise; without meaning where out_dtype is "i", as
                   the zero point and the range of the output are: that is the exact accumulator
    table_at       lookup: 256 items of int8. softmax: 256 of int32. thresholds: sets * count of int32
    code_at        Thumb code, called as f(x, out, scratch, table), with two inputs of one shape as f(a, out, b, table);
                   packed_at: its table

A dtype is stored as its typecode's character, as a number; a padding is a pair (before, after) for each dimension;
CODES maps other numbers. meaning() decodes a record's fields, ucorr_host.networks.record writes them from the same
rows.

The output depends on the file and the input alone: a step, and the output, read only bytes of the arena that the
input or an earlier step wrote, never older contents. Bytes may be written as one dtype and read as another. The
limits below are checked when a file is made and when it is loaded.
"""

from struct import unpack_from

from . import OPERATORS
from .fixedpoint import LIMITS

MAGIC = b"ucorr\x01\x00\x00"
HEADER = 64
ALIGNMENT = 16
(SIZE, CRC, CORE, ARENA, SCRATCH, STEPS, STEPS_AT, INPUT_AT, OUTPUT_AT, LABELS_AT, LABELS) = range(8, 52, 4)

CODE_NUMBER = 2
RECORDS = 2 + len(OPERATORS) // 2  # numbers that there are, from 1 on


class Layer:
    """The row of a layer with weights: an operator's class is such a row too."""

    kind = "layer"
    fields = (
        "input_shape*3 kernel_shape*4 stride*2 dilation*2 padding*4 groups dtype out_dtype accumulator rounding "
        "kernel_zero_point input_zero_point output_zero_point activation_min activation_max weights_at bias_at "
        "multiplier_at shift_at"
    )


class Code:
    """The row of a layer as machine code."""

    kind = "code"
    fields = "code_at code_bytes packed_at packed_bytes scratch_bytes input_shape*3 out_shape*3 dtype out_dtype macs"


CODES = {"accumulator": ((32, "int32"), (64, "int64")), "rounding": ((1, "single"), (2, "double"))}

MOST = 1 << 24  # bytes of an arena, or of scratch: more than any board has
MOST_FILE = 1 << 30  # bytes: places stay small ints
IN, OUT = "bBhH", "bBhHi"  # typecodes of data, and of what a layer makes of it
SCALES = 1e-37, 1e37  # a float32 holds every scale between as a normal number


def crc32(data, crc=0):
    """The CRC-32 of data, 0..2**32 - 1; crc: that of what came before."""
    try:
        from binascii import crc32 as fast

        return fast(data, crc) & 0xFFFFFFFF
    except ImportError:  # a firmware without it; on halves, which stay small ints
        pass
    high, low = (crc >> 16) ^ 0xFFFF, (crc & 0xFFFF) ^ 0xFFFF
    for byte in data:
        low ^= byte
        for _ in range(8):
            odd = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if odd:
                low ^= 0x8320
                high ^= 0xEDB8
    return (high ^ 0xFFFF) << 16 | (low ^ 0xFFFF)


def row(number):
    """The row of a kind's number: Layer, Code, or the class of an operator, whose file is imported."""
    if number <= CODE_NUMBER:
        return (Layer, Code)[number - 1]
    from .ops import numbered  # takes room in the heap only where it is used

    return numbered(number)


def fields(row):
    """[(name, count)] of a row's fields, count in words; -1: all that remain."""
    found = []
    for field in row.fields.split():
        name, star, count = field.partition("*")
        found.append((name, (int(count) if count else -1) if star else 1))
    return found


def meaning(named):
    """The fields of a record as the options of a layer: typecodes, names, pairs. raises ValueError"""
    found = dict(named)
    for name, known in (("dtype", IN), ("out_dtype", OUT)):
        if name in found:
            found[name] = typecode(found[name], known)
    if "padding" in found:
        pads = found["padding"]
        found["padding"] = tuple([pads[n : n + 2] for n in range(0, len(pads), 2)])
    for name in CODES:
        for number, word in CODES[name]:
            if found.get(name) == number:
                found[name] = word
    return found


# A file is read piece by piece: read(at, count) gives `count` bytes from `at` on, or raises ValueError.


def check(read, size):
    """Check that a file of `size` bytes is complete and of this version. Raises ValueError otherwise."""
    check_header(read, size)
    found = 0
    for at in range(CRC + 4, size, 512):
        found = crc32(read(at, min(512, size - at)), found)
    check_crc(read, found)


def check_header(read, size):
    """Check the header of a file of `size` bytes: magic, version, sizes. Raises ValueError."""
    check_file(size)
    if size < HEADER or bytes(read(0, 5)) != MAGIC[:5]:
        raise ValueError("model: %d bytes that don't begin as a network's file, wanted one" % size)
    version = bytes(read(5, 3))
    if version != MAGIC[5:]:
        raise ValueError("model: version %d of the format, wanted %d" % (version[0], MAGIC[5]))
    told = number(read, SIZE)
    if told != size:
        raise ValueError("model: %d bytes, wanted the %d that it tells" % (size, told))
    for at in (ARENA, SCRATCH):
        check_memory(number(read, at))


def check_crc(read, found):
    """Check the computed CRC-32 against the one in the file. Raises ValueError where they differ."""
    told = number(read, CRC)
    if told != found:
        raise ValueError("model: CRC %08x, wanted the %08x that it tells" % (found, told))


def check_file(size):
    """Check that a file has at most MOST_FILE bytes. Raises ValueError."""
    if size > MOST_FILE:
        raise ValueError("model: a file of %d bytes, wanted at most %d" % (size, MOST_FILE))


def check_memory(size):
    """Check that an arena or scratch has at most MOST bytes. Raises ValueError."""
    if size > MOST:
        raise ValueError("model: an arena or scratch of %d bytes, wanted at most %d" % (size, MOST))


def check_end(dtype, scale, zero_point, count):
    """Check the number of dimensions, the scale and the zero point of an input or output. Raises ValueError."""
    if not 0 < count < 9:
        raise ValueError("model: a tensor of %d dimensions, wanted 1..8" % count)
    if not SCALES[0] < scale < SCALES[1]:
        raise ValueError("model: scale %g, wanted more than %g and less than %g" % (scale, SCALES[0], SCALES[1]))
    lo, hi = LIMITS[dtype]
    if not lo <= zero_point <= hi:
        raise ValueError("model: zero point %d, wanted %d..%d (dtype %r)" % (zero_point, lo, hi, dtype))


def number(read, at):
    """The unsigned number at a byte of the header."""
    return unpack_from("<I", read(at, 4), 0)[0]


def tensor(read, at):
    """(place, typecode, scale, zero point, shape) of an input's or output's record."""
    place, dtype, scale, zero_point, count = unpack_from("<iIfii", read(at, 20), 0)
    dtype = typecode(dtype)
    check_end(dtype, scale, zero_point, count)
    return place, dtype, scale, zero_point, unpack_from("<%di" % count, read(at + 20, 4 * count), 0)


def typecode(number, known=IN):
    """The typecode whose character code is `number`. Raises ValueError where it is not in `known`."""
    if not 0 < number < 128 or chr(number) not in known:
        raise ValueError("model: dtype %d, wanted the character of one of %s" % (number, " ".join(known)))
    return chr(number)


def steps(read):
    """(number of its row, words) of each step."""
    at = number(read, STEPS_AT)
    for _ in range(number(read, STEPS)):
        kind, count = unpack_from("<HH", read(at, 4), 0)
        if not 0 < kind <= RECORDS or count < 3:
            raise ValueError("model: a step of kind %d with %d words, wanted 1..%d" % (kind, count, RECORDS))
        yield kind, unpack_from("<%di" % count, read(at + 4, 4 * count), 0)
        at += 4 + 4 * count


def record(row, kind, words):
    """(place of the output, places of the inputs, {name: int or tuple}) of a step of row number `kind`."""
    n = inputs = 2 + words[1]
    named, count = {}, len(words)
    for name, many in fields(row):
        end = n + many if many > 0 else count
        if not 3 <= n < end <= count:
            raise ValueError("model: a step of kind %d with %d words, wanted more for %s" % (kind, count, name))
        named[name] = words[n] if many == 1 else words[n:end]
        n = end
    if n != count:
        raise ValueError("model: a step of kind %d with %d words, wanted %d" % (kind, count, n))
    return words[0], words[2:inputs], named
