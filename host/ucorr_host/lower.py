"""A Network as the steps that a board has: few kinds, one sample, every shape and padding explicit.

A step of kind "layer" is a Spec (firmware/ucorr/spec.py) and so runs on every backend; as much as possible becomes one:

    dense            a 1x1 layer on rows that are pixels; the double of FULLY_CONNECTED becomes a multiplier that is
                     rounded once (quantize.once_multiplier proves that the bits are the same)
    mean             n rows of one column summed by a kernel of n ones, step by step of n rows
    average pool     of a whole image: the same, with a multiplier of 1/n that rounds halves away from zero
    transposed conv  the input spread by the stride ("expand"), then an ordinary layer with the flipped kernel
    rescale          a 1x1 layer with weight 1; leaky relu: its two halves, added

A pad in front of layers becomes their padding. A reshape is no step: its output is its input's buffer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Network, Node, Tensor
from .quantize import once_multiplier
from .reference.pools import mean_multiplier

Ints = NDArray[Any]
TYPECODES = {"int8": "b", "uint8": "B", "int16": "h"}
WEIGHTED = ("conv2d", "dense", "depthwise_conv2d", "transpose_conv2d")  # whose layers' products are counted as MACs
IN_PLACE = ("add", "sub", "mul", "lookup")  # item by item: the output may lie on an input of its shape
ADDING = 1 << 30  # the multiplier 1/2 of a scale over twice itself


@dataclass(frozen=True)
class Step:
    """One step: reads and writes are buffers, by number; a constant among the reads is an array.

    kind  of FIELDS in firmware/ucorr/format.py; op: what the node was that it came of
    """

    kind: str
    reads: tuple[int | Ints, ...]
    writes: int
    words: dict[str, Any]
    op: str

    @property
    def buffers(self) -> tuple[int, ...]:
        """The buffers among the reads."""
        return tuple(read for read in self.reads if isinstance(read, int))


@dataclass(frozen=True)
class Lowered:
    """steps, and the tensor that each buffer first is; inputs and outputs are buffers."""

    steps: tuple[Step, ...]
    buffers: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def lower(network: Network) -> Lowered:
    """The network's steps. raises ValueError naming the node that no board can run"""
    return _Lowering(network).run()


class _Lowering:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.buffers: list[Tensor] = []
        self.place: dict[int, int] = {}  # tensor -> buffer
        self.steps: list[Step] = []

    def run(self) -> Lowered:
        network = self.network
        inputs = tuple(self.buffer(number) for number in network.inputs)
        nodes = _without_pads(network)
        for node in nodes:
            if node.op == "reshape":
                self.place[node.output] = self.place[node.inputs[0]]
                continue
            try:
                LOWER[node.op](self, node)
            except ValueError as error:
                name = network.tensors[node.output].name
                raise ValueError(f"{node.op} that makes {name!r}: {error}") from None
        outputs = tuple(self.place[number] for number in network.outputs)
        return Lowered(tuple(self.steps), tuple(self.buffers), inputs, outputs)

    def tensor(self, number: int) -> Tensor:
        return self.network.tensors[number]

    def buffer(self, number: int) -> int:
        """A new buffer for a tensor."""
        self.place[number] = self.add_buffer(self.tensor(number))
        return self.place[number]

    def add_buffer(self, tensor: Tensor) -> int:
        self.buffers.append(tensor)
        return len(self.buffers) - 1

    def read(self, number: int) -> int | Ints:
        return self.network.constants[number] if number in self.network.constants else self.place[number]

    def add(self, kind: str, node: Node, **words: Any) -> None:
        reads = tuple(self.read(number) for number in node.inputs)
        self.steps.append(Step(kind, reads, self.buffer(node.output), words, node.op))

    def layer(self, node: Node, reads: int | Ints, writes: int, **words: Any) -> None:
        self.steps.append(Step("layer", (reads,), writes, words, node.op))


def _without_pads(network: Network) -> list[Node]:
    """The nodes, each pad of zero points in rows and columns that layers alone read being their padding."""
    readers: dict[int, list[Node]] = {}
    for node in network.nodes:
        for number in node.inputs:
            readers.setdefault(number, []).append(node)
    padded: dict[int, Node] = {}
    nodes = []
    for node in network.nodes:
        if node.op == "pad" and _can_fuse(node, readers.get(node.output, [])) and node.output not in network.outputs:
            padded[node.output] = node
        elif node.inputs and node.inputs[0] in padded:
            pad = padded[node.inputs[0]]
            added = pad.words["padding"][1:3]
            padding = tuple(
                (own[0] + more[0], own[1] + more[1]) for own, more in zip(node.words["padding"], added, strict=True)
            )
            nodes.append(Node(node.op, pad.inputs, node.output, {**node.words, "padding": padding}))
        else:
            nodes.append(node)
    return nodes


def _can_fuse(pad: Node, readers: list[Node]) -> bool:
    padding = pad.words["padding"]
    return (
        bool(readers)
        and len(padding) == 4
        and padding[0] == padding[3] == (0, 0)
        and all(
            node.op in ("conv2d", "depthwise_conv2d") and node.words["input_zero_point"] == pad.words["value"]
            for node in readers
        )
    )


def _image(x: Tensor) -> tuple[int, ...]:
    """(height, width, channels)"""
    if x.shape[0] != 1:
        raise ValueError(f"{x.name!r} has shape {x.shape}, wanted a batch of 1")
    return x.shape[1:]


def _typecodes(x: Tensor, out: Tensor) -> dict[str, str]:
    return {"dtype": TYPECODES[str(x.dtype)], "out_dtype": TYPECODES[str(out.dtype)]}


def _scale(words: dict[str, Any]) -> dict[str, Any]:
    """The words of a layer's output that Spec shares with the reference."""
    names = ("multiplier", "shift", "input_zero_point", "output_zero_point", "activation_min", "activation_max")
    return {name: words[name] for name in names if name in words}


def _accumulator(x: Tensor, bias: Ints | None) -> str:
    narrow = x.dtype.itemsize == 1 or (bias is not None and bias.dtype == np.int32)
    return "int32" if narrow else "int64"


def _conv(lowering: _Lowering, node: Node) -> None:
    x, out, words = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.words
    kernel, groups = words["kernel"], words.get("groups", 1)
    if node.op == "depthwise_conv2d":
        groups = x.shape[-1]
        kernel = np.moveaxis(kernel, 3, 0).reshape(-1, *kernel.shape[1:3], 1)
    lowering.layer(
        node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=_image(x), kernel=kernel,
        stride=words["stride"], dilation=words["dilation"], padding=words["padding"], groups=groups, bias=words["bias"],
        accumulator=_accumulator(x, words["bias"]), **_typecodes(x, out), **_scale(words),
    )  # fmt: skip


def _dense(lowering: _Lowering, node: Node) -> None:
    x, out, words = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.words
    if x.dtype != np.int8:
        raise ValueError(f"{x.dtype} data, wanted int8: LiteRT's FULLY_CONNECTED multiplies by doubles")
    kernel, zero = words["kernel"], words.get("kernel_zero_point", 0)
    bias = words["bias"] if words["bias"] is not None else np.zeros(len(kernel), np.int32)
    limits = np.iinfo(x.dtype)
    ends = limits.min - words["input_zero_point"], limits.max - words["input_zero_point"]
    weights = kernel.astype(np.int64) - zero
    up, down = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    lowest, highest = bias + up * ends[0] + down * ends[1], bias + up * ends[1] + down * ends[0]  # equation 7
    pairs = [
        once_multiplier(
            factor, int(low), int(high), words["output_zero_point"], words["activation_min"], words["activation_max"]
        )
        for factor, low, high in zip(words["factor"], lowest, highest, strict=True)
    ]
    multiplier, shift = (np.array(part) for part in zip(*pairs, strict=True))
    lowering.layer(
        node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=(x.shape[0], 1, x.shape[1]),
        kernel=kernel[:, None, None, :], kernel_zero_point=zero, bias=words["bias"], rounding="once",
        **_typecodes(x, out), **_scale({**words, "multiplier": multiplier, "shift": shift}),
    )  # fmt: skip


def _transpose_conv(lowering: _Lowering, node: Node) -> None:
    x, out, words = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.words
    kernel, stride = words["kernel"], words["stride"]
    pads = tuple(
        (span - 1 - before, span - 1 - after)
        for span, (before, after) in zip(kernel.shape[1:3], words["padding"], strict=True)
    )
    spans = [(extent - 1) * step + 1 + sum(pad) for extent, step, pad in zip(x.shape[1:3], stride, pads, strict=True)]
    spread = Tensor(f"{x.name} spread", (1, *spans, x.shape[3]), x.dtype, x.scale, x.zero_point)
    between = lowering.add_buffer(spread)
    reads = (lowering.read(node.inputs[0]),)
    spreading = {"shape": _image(x), "stride": stride, "padding": pads, "value": x.zero_point}
    spreading["dtype"] = TYPECODES[str(x.dtype)]
    lowering.steps.append(Step("expand", reads, between, spreading, node.op))
    lowering.layer(
        node, between, lowering.buffer(node.output), input_shape=spread.shape[1:], kernel=kernel[:, ::-1, ::-1],
        bias=words["bias"], accumulator=_accumulator(x, words["bias"]), **_typecodes(x, out), **_scale(words),
    )  # fmt: skip


def _sum_of_rows(lowering: _Lowering, node: Node, outer: int, n: int, inner: int, **words: Any) -> None:
    """A layer that sums n items at a distance of `inner`, `outer` times: rows of `inner` columns, n by n."""
    x, out = lowering.tensor(node.inputs[0]), lowering.tensor(node.output)
    lowering.layer(
        node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=(outer * n, inner, 1),
        kernel=np.ones((1, n, 1, 1), np.int8), stride=(n, 1), accumulator="int32", **_typecodes(x, out), **words,
    )  # fmt: skip


def _mean(lowering: _Lowering, node: Node) -> None:
    x, words = lowering.tensor(node.inputs[0]), node.words
    rank = len(x.shape)
    axes = [axis + rank for axis in words["axis"] if x.shape[axis] > 1]
    first, end = (axes[0], axes[-1] + 1) if axes else (0, 0)
    if any(x.shape[axis] > 1 for axis in range(first, end) if axis not in axes):
        raise ValueError(f"axes {words['axis']}, wanted neighbours")
    sizes = [math.prod(x.shape[begin:stop]) for begin, stop in ((0, first), (first, end), (end, rank))]
    multiplier, shift = mean_multiplier(words["multiplier"], words["shift"], sizes[1])
    _sum_of_rows(lowering, node, *sizes, **_scale({**words, "multiplier": multiplier, "shift": shift}))


def _average_pool(lowering: _Lowering, node: Node) -> None:
    x, words = lowering.tensor(node.inputs[0]), node.words
    n, most = words["size"][0] * words["size"][1], 1 << 8 * x.dtype.itemsize - 1
    # Sums up to most * n are off by most * n * n / 2**31 of a step, which has to stay under half of one.
    if words["size"] == _image(x)[:2] and not any(map(any, words["padding"])) and 1 < n * n < (1 << 30) // most:
        # a little over 1/n: halves go up, and below zero, where adding a half and rounding down is not enough, past it
        scale = {"multiplier": (1 << 31) // n + 1, "shift": 0, **_scale(words)}
        _sum_of_rows(lowering, node, 1, n, x.shape[3], **scale)
        return
    _pool(lowering, node)


def _pool(lowering: _Lowering, node: Node) -> None:
    words = {name: node.words[name] for name in ("size", "stride", "padding", "activation_min", "activation_max")}
    x = lowering.tensor(node.inputs[0])
    lowering.add(node.op, node, shape=_image(x), dtype=TYPECODES[str(x.dtype)], **words)


def _two(lowering: _Lowering, node: Node) -> None:
    a, b = (lowering.tensor(number) for number in node.inputs)
    out = lowering.tensor(node.output)
    shapes = _few_dimensions(a.shape, b.shape)
    lowering.add(node.op, node, a_shape=shapes[0], b_shape=shapes[1], dtype=TYPECODES[str(out.dtype)], **node.words)


def _few_dimensions(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of as many dimensions, neighbours that repeat alike made one: at most 4 are left, or ValueError."""
    pairs: list[tuple[int, int]] = []
    for m, n in zip(a, b, strict=True):
        if (m, n) == (1, 1):
            continue
        if pairs and (pairs[-1][0] == 1, pairs[-1][1] == 1) == (m == 1, n == 1):
            pairs[-1] = pairs[-1][0] * m, pairs[-1][1] * n
        else:
            pairs.append((m, n))
    if len(pairs) > 4:
        raise ValueError(f"shapes {a} and {b}, wanted ones that repeat in at most 4 stretches")
    pairs = pairs or [(1, 1)]
    return tuple(m for m, _ in pairs), tuple(n for _, n in pairs)


def _lookup(lowering: _Lowering, node: Node) -> None:
    x = lowering.tensor(node.inputs[0])
    lowering.add("lookup", node, length=x.size, dtype=TYPECODES[str(x.dtype)], table=node.words["table"])


def _rescale(lowering: _Lowering, node: Node) -> None:
    x, out, words = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.words
    shared = {
        "input_shape": (1, x.size, 1), "kernel": np.ones((1, 1, 1, 1), np.int8), "accumulator": "int32",
        **_typecodes(x, out), **_scale(words),
    }  # fmt: skip
    source = lowering.read(node.inputs[0])
    if words.get("negative_multiplier") is None:
        lowering.layer(node, source, lowering.buffer(node.output), **shared)
        return
    zero = words["output_zero_point"]
    above, below = lowering.add_buffer(out), lowering.add_buffer(out)
    lowering.layer(node, source, above, **{**shared, "activation_min": zero})
    factor = {"multiplier": words["negative_multiplier"], "shift": words["negative_shift"]}
    lowering.layer(node, source, below, **{**shared, **factor, "activation_max": zero})
    exact: dict[str, Any] = {
        "a_multiplier": ADDING,
        "a_shift": 0,
        "b_multiplier": ADDING,
        "b_shift": 0,
        "multiplier": ADDING,
    }
    exact |= {"shift": -13, "a_zero_point": zero, "b_zero_point": zero, "output_zero_point": zero}
    exact |= {"a_shape": (x.size,), "b_shape": (x.size,), "dtype": TYPECODES[str(out.dtype)]}
    limits = np.iinfo(out.dtype)
    exact |= {"activation_min": int(limits.min), "activation_max": int(limits.max)}
    made = lowering.buffer(node.output)
    lowering.steps.append(Step("add", (above, below), made, exact, node.op))


def _softmax(lowering: _Lowering, node: Node) -> None:
    x = lowering.tensor(node.inputs[0])
    lowering.add("softmax", node, shape=(x.size // x.shape[-1], x.shape[-1]), **node.words)


def _pad(lowering: _Lowering, node: Node) -> None:
    x = lowering.tensor(node.inputs[0])
    padding = ((0, 0),) * (len(x.shape) - len(node.words["padding"])) + tuple(node.words["padding"])
    dtype = TYPECODES[str(x.dtype)]
    lowering.add("pad", node, shape=x.shape, padding=padding, value=node.words["value"], dtype=dtype)


def _concatenate(lowering: _Lowering, node: Node) -> None:
    parts = [lowering.tensor(number) for number in node.inputs]
    axis = node.words["axis"]
    outer = math.prod(parts[0].shape[:axis])
    lengths = tuple(part.size // outer for part in parts)
    lowering.add("concatenate", node, outer=outer, lengths=lengths, dtype=TYPECODES[str(parts[0].dtype)])


LOWER: dict[str, Callable[[_Lowering, Node], None]] = {
    "add": _two,
    "average_pool2d": _average_pool,
    "concatenate": _concatenate,
    "conv2d": _conv,
    "dense": _dense,
    "depthwise_conv2d": _conv,
    "lookup": _lookup,
    "max_pool2d": _pool,
    "mean": _mean,
    "mul": _two,
    "pad": _pad,
    "rescale": _rescale,
    "softmax": _softmax,
    "sub": _two,
    "transpose_conv2d": _transpose_conv,
}
