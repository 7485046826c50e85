"""The file of a network for a board: what stands at which byte, and how to read it.

All numbers are little endian. Offsets count from the file's first byte, and everything that an offset names
begins at a multiple of 16, so that a file that lies at one itself can be used where it is.

    byte  size  content
       0     5  b"ucorr"
       5     3  version: 1 0 0
       8     4  bytes of the file
      12     4  CRC-32 (that of zip) of all that follows
      16     4  level of the machine code in it, as thumb_asm.py numbers them; 0: none, for any core
      20     4  bytes of the arena, which holds all activations
      24     4  bytes of scratch memory that the greediest step of machine code needs
      28     4  number of steps
      32     4  offset of the steps, one record after the other
      36     4  offset of the input's record
      40     4  offset of the output's record
      44     4  offset of the labels, in UTF-8, a newline after each; 48: their bytes
      52    12  0

The record of an input or output: its place, its dtype (the typecode's character), scale (float32), zero
point, number of dimensions, dimensions; 4 bytes each.

The record of a step: its kind and the number of words that follow, 2 bytes each; then words of 4 bytes with
sign: the place of the output, the number of inputs, a place for each, and the kind's own words in the order of
FIELDS, "name*3" being three of them. A place that is not negative is an offset in the arena; a negative one, ~place, an
offset in the file, of a constant. Names that end in "_at" are offsets in the file of

    weights_at     int8, out, height, width, in / groups
    bias_at        int32, or int64 with accumulator 64; one per output channel; 0: none
    multiplier_at  int32, one per output channel; shift_at: int8, likewise
    table_at       lookup: 256 items of int8. softmax: 256 of int32
    code_at        Thumb code, called as f(x, out, scratch, table), with two inputs of one shape as f(a, out, b, table);
                   packed_at: its table

dtypes are typecodes' characters as numbers; rounding is 1 for "once", 2 for "twice".
"""

from struct import unpack_from

MAGIC = b"ucorr\x01\x00\x00"
HEADER = 64
ALIGNMENT = 16
(SIZE, CRC, LEVEL, ARENA, SCRATCH, STEPS, STEPS_AT, INPUT_AT, OUTPUT_AT, LABELS_AT, LABELS) = range(8, 52, 4)

_SCALE = "input_zero_point output_zero_point activation_min activation_max"
_POOL = "shape*3 size*2 stride*2 padding*4 dtype activation_min activation_max"
_TWO = "dtype a_shape*4 b_shape*4 a_zero_point b_zero_point output_zero_point activation_min activation_max"
_SUM = _TWO + " a_multiplier a_shift b_multiplier b_shift multiplier shift"

# kind -> (name, names of its words)
FIELDS = {
    1: (
        "layer",
        "input_shape*3 kernel_shape*4 stride*2 dilation*2 padding*4 groups dtype out_dtype accumulator rounding "
        "kernel_zero_point " + _SCALE + " weights_at bias_at multiplier_at shift_at",
    ),
    2: (
        "code",
        "code_at code_bytes packed_at packed_bytes scratch_bytes input_shape*3 out_shape*3 dtype out_dtype macs",
    ),
    3: ("max_pool2d", _POOL),
    4: ("average_pool2d", _POOL),
    5: ("add", _SUM),
    6: ("sub", _SUM),
    7: ("mul", _TWO + " multiplier shift"),
    8: ("lookup", "length dtype table_at"),
    9: ("softmax", "rows classes table_at"),
    10: ("pad", "shape*4 padding*8 value dtype"),
    11: ("concatenate", "outer dtype lengths*"),
    12: ("expand", "shape*3 stride*2 padding*4 value dtype"),
}


MOST = 1 << 24  # bytes of an arena, or of scratch: more than any board has


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


def fields(kind):
    """[(name, count)] of a kind's words; count -1: all that are left."""
    found = []
    for word in FIELDS[kind][1].split():
        name, star, count = word.partition("*")
        found.append((name, (int(count) if count else -1) if star else 1))
    return found


# A file is read piece by piece: read(at, count) gives `count` bytes from `at` on, or raises ValueError.


def check(read, size):
    """Nothing, or ValueError where a file of `size` bytes is no whole file of this version."""
    if size < HEADER or bytes(read(0, 5)) != MAGIC[:5]:
        raise ValueError("model: %d bytes that don't begin as a network's file, wanted one" % size)
    version = bytes(read(5, 3))
    if version != MAGIC[5:]:
        raise ValueError("model: version %d of the format, wanted %d" % (version[0], MAGIC[5]))
    told, crc = unpack_from("<II", read(SIZE, 8), 0)
    if told != size:
        raise ValueError("model: %d bytes, wanted the %d that it tells" % (size, told))
    found = 0
    for at in range(CRC + 4, size, 512):
        found = crc32(read(at, min(512, size - at)), found)
    if crc != found:
        raise ValueError("model: CRC %08x, wanted the %08x that it tells" % (found, crc))
    for at in (ARENA, SCRATCH):
        if number(read, at) > MOST:
            raise ValueError("model: an arena or scratch of %d bytes, wanted at most %d" % (number(read, at), MOST))


def number(read, at):
    """The unsigned number at a byte of the header."""
    return unpack_from("<I", read(at, 4), 0)[0]


def tensor(read, at):
    """(place, typecode, scale, zero point, shape) of an input's or output's record."""
    place, dtype, scale, zero_point, count = unpack_from("<iIfii", read(at, 20), 0)
    if not 0 < count < 9:
        raise ValueError("model: a tensor of %d dimensions, wanted 1..8" % count)
    return place, typecode(dtype), scale, zero_point, unpack_from("<%di" % count, read(at + 20, 4 * count), 0)


def typecode(number):
    """The typecode that a file has as a number."""
    if number not in (98, 66, 104, 72):
        raise ValueError("model: dtype %d, wanted the character of one of b B h H" % number)
    return chr(number)


def steps(read):
    """For each step (name of its kind, place of the output, places of the inputs, {name: int or tuple})."""
    at = number(read, STEPS_AT)
    for _ in range(number(read, STEPS)):
        kind, count = unpack_from("<HH", read(at, 4), 0)
        if kind not in FIELDS or count < 3:
            raise ValueError("model: a step of kind %d with %d words, wanted 1..%d" % (kind, count, len(FIELDS)))
        words = unpack_from("<%di" % count, read(at + 4, 4 * count), 0)
        at += 4 + 4 * count
        n = inputs = 2 + words[1]
        named = {}
        for name, many in fields(kind):
            end = n + many if many > 0 else count
            if not 3 <= n < end <= count:
                raise ValueError("model: a step of kind %d with %d words, wanted more for %s" % (kind, count, name))
            named[name] = words[n] if many == 1 else words[n:end]
            n = end
        yield FIELDS[kind][0], words[0], words[2:inputs], named
