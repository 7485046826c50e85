"""Viper: layers without weights, one call of natively compiled code each; the functions are in viper_ops_passes.py."""

import sys
from array import array

from ..fixedpoint import ITEMSIZE, limbs
from . import viper_ops_passes as passes

_FLIP = {"b": 128, "B": 0, "h": 32768, "H": 0}


def refuses(op, budget=None):
    """None: viper takes every layer without weights."""
    return None


def prepare(op, budget=None):
    return PLANS[op.kind](op)


def _job(size, named):
    """An array of `size` items, some of them named by their index."""
    job = array("i", bytes(4 * size))
    for index, value in named:
        job[index] = value
    return job


class Plan:
    """The contract is in backends/__init__.py."""

    typed = False
    scratch_bytes = weight_bytes = 0


class Pool(Plan):
    def __init__(self, op):
        self.job = _job(
            passes.POOL_ITEMS,
            (
                (passes.HEIGHT, op.shape[0]),
                (passes.WIDTH, op.shape[1]),
                (passes.CHANNELS, op.shape[2]),
                (passes.OUT_HEIGHT, op.out_shape[0]),
                (passes.OUT_WIDTH, op.out_shape[1]),
                (passes.SIZE_Y, op.size[0]),
                (passes.SIZE_X, op.size[1]),
                (passes.STRIDE_Y, op.stride[0]),
                (passes.STRIDE_X, op.stride[1]),
                (passes.TOP, op.padding[0][0]),
                (passes.LEFT, op.padding[1][0]),
                (passes.ITEM, ITEMSIZE[op.dtype]),
                (passes.FLIP, _FLIP[op.dtype]),
                (passes.AVERAGE, 1 if op.kind == "average_pool2d" else 0),
                (passes.LOWEST, op.activation_min + passes.SIGNED),
                (passes.HIGHEST, op.activation_max + passes.SIGNED),
            ),
        )

    def run(self, sources, out):
        passes.pool(0, 0, sources[0], out, self.job)


def _steps(shape, item):
    """Bytes from one item of each of four dimensions to the next, 0 where there is one."""
    steps, step = [0, 0, 0, 0], item
    for axis in (3, 2, 1, 0):
        if shape[axis] > 1:
            steps[axis] = step
        step *= shape[axis]
    return steps


class Two(Plan):
    def __init__(self, op):
        item, flip = ITEMSIZE[op.dtype], _FLIP[op.dtype]
        a, b = _steps(op.a_shape, item), _steps(op.b_shape, item)
        job = _job(
            passes.TWO_ITEMS,
            (
                (passes.ITEM, item),
                (passes.FLIP, flip),
                (passes.ZERO_A, flip + op.a_zero_point + passes.SIGNED),
                (passes.ZERO_B, flip + op.b_zero_point + passes.SIGNED),
                (passes.ZERO_POINT, op.output_zero_point + passes.SIGNED),
                (passes.LOWEST, op.activation_min + passes.SIGNED),
                (passes.HIGHEST, op.activation_max + passes.SIGNED),
                (passes.FIRST, 10 if op.kind == "mul" else 0),
                (passes.MINUS, 1 if op.kind == "sub" else 0),
                (passes.B3, b[3]),
            ),
        )
        for n in range(4):
            job[passes.N0 + n] = op.out_shape4[n]
            job[passes.A0 + n] = a[n]
            if n < 3:
                job[passes.B0 + n] = b[n]
        at = passes.SCALES + 15 - 5 * len(op.scales)
        for n in range(len(op.scales)):
            multiplier, shift = op.scales[n]
            left = max(shift, 0) if op.kind == "mul" or n == 2 else op.room
            for value in (left,) + limbs(multiplier) + (max(-shift, 0),):
                job[at] = value
                at += 1
        self.job = job

    def run(self, sources, out):
        passes.two(0, 0, sources[0], sources[1], out, self.job)


class Lookup(Plan):
    def __init__(self, op):
        self.table, self.length, self.flip = op.table, op.output_length, _FLIP[op.dtype]

    def run(self, sources, out):
        passes.lookup(0, 0, sources[0], out, self.table, self.length, self.flip)


class Softmax(Plan):
    def __init__(self, op):
        self.table = op.table
        self.job = _job(
            passes.SOFTMAX_ITEMS,
            (
                (passes.ROWS, op.rows),
                (passes.CLASSES, op.classes),
                (passes.CUT, 32 if sys.maxsize > 0x7FFFFFFF else 0),
                (passes.LINE, 1515870810),
                (passes.SLOPE, 1010580540),
                (passes.ONE, 0x7FFFFFFF),
            ),
        )

    def run(self, sources, out):
        passes.softmax(0, 0, sources[0], out, self.table, self.job)


class Moves(Plan):
    def __init__(self, op):
        item = ITEMSIZE[op.dtype]
        self.bytes = 0 if op.value is None else op.output_length * item
        value = op.value or 0
        self.low, self.high = value & 255, (value >> 8 if item == 2 else value) & 255
        self.moves = []
        for source, first, target, counts, inner, wide, run in op.moves:
            values = tuple(counts) + tuple([n * item for n in tuple(inner) + tuple(wide) + (first, target, run)])
            self.moves.append((source, array("i", values)))

    def run(self, sources, out):
        if self.bytes:
            passes.fill(0, 0, out, self.bytes, self.low, self.high)
        for move in self.moves:  # a list: taking a pair apart allocates nothing
            passes.move(0, 0, sources[move[0]], out, move[1])


PLANS = {
    "max_pool2d": Pool,
    "average_pool2d": Pool,
    "add": Two,
    "sub": Two,
    "mul": Two,
    "lookup": Lookup,
    "softmax": Softmax,
    "pad": Moves,
    "concatenate": Moves,
    "expand": Moves,
}
