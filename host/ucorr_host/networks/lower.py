"""lower(), which turns a Graph into the steps of a board: few kinds, one sample, explicit shapes and paddings.

A step of kind "layer" is a Spec (firmware/ucorr/spec.py) and so runs on every backend; as much as possible becomes one:

    dense            a 1x1 layer on rows that are pixels; the double of FULLY_CONNECTED becomes a multiplier with
                     single rounding (quantize.single_rounding_multiplier proves that the bits are the same), or, where
                     31 bits have none, thresholds of exact accumulators
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

from ..quantize import single_rounding_multiplier, thresholds_of
from ..reference.pools import mean_multiplier
from .dead_channels import harmless
from .graph import Graph, Node, Tensor
from .operators import BY_KIND, from_end, image_of, typecode

Ints = NDArray[Any]
WEIGHTED = ("conv2d", "dense", "depthwise_conv2d", "transpose_conv2d")  # whose layers' products are counted as MACs
ADDING = 1 << 30  # the multiplier 1/2 of a scale over twice itself


@dataclass(frozen=True)
class Step:
    """One step: reads and writes are buffers, by number; a constant among the reads is an array.

    kind   of a row of firmware/ucorr/format.py or of an operator's class; options: its options
    op     the op of the graph's node that became this step
    """

    kind: str
    reads: tuple[int | Ints, ...]
    writes: int
    options: dict[str, Any]
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


def lower(network: Graph) -> Lowered:
    """The network's steps. raises ValueError naming the node that no board can run"""
    return _Lowering(network).run()


class _Lowering:
    def __init__(self, network: Graph) -> None:
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
            name = network.tensors[node.output].name
            if node.op not in LOWER:
                raise ValueError(
                    f"{node.op} that makes {name!r}: no operator of a board, wanted one of {' '.join(LOWER)}"
                )
            try:
                LOWER[node.op](self, node)
            except ValueError as error:
                raise ValueError(f"{node.op} that makes {name!r}: {error}") from None
            except KeyError as error:
                raise ValueError(f"{node.op} that makes {name!r}: no {error.args[0]}, wanted all options") from None
        for number in network.outputs:
            if number not in self.place:
                raise ValueError(f"output {network.tensors[number].name!r}: no node makes it, wanted one that does")
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

    def add(self, kind: str, node: Node, **options: Any) -> None:
        reads = tuple(self.read(number) for number in node.inputs)
        self.steps.append(Step(kind, reads, self.buffer(node.output), options, node.op))

    def layer(self, node: Node, reads: int | Ints, writes: int, **options: Any) -> None:
        self.steps.append(Step("layer", (reads,), writes, harmless(options), node.op))


def _without_pads(network: Graph) -> list[Node]:
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
            added = pad.options["padding"][1:3]
            padding = tuple(
                (own[0] + more[0], own[1] + more[1]) for own, more in zip(node.options["padding"], added, strict=True)
            )
            nodes.append(Node(node.op, pad.inputs, node.output, {**node.options, "padding": padding}))
        else:
            nodes.append(node)
    return nodes


def _can_fuse(pad: Node, readers: list[Node]) -> bool:
    padding = pad.options["padding"]
    return (
        bool(readers)
        and len(padding) == 4
        and padding[0] == padding[3] == (0, 0)
        and all(
            node.op in ("conv2d", "depthwise_conv2d") and node.options["input_zero_point"] == pad.options["value"]
            for node in readers
        )
    )


def _typecodes(x: Tensor, out: Tensor) -> dict[str, str]:
    return {"dtype": typecode(x), "out_dtype": typecode(out)}


def _scale(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a layer's output that Spec shares with the reference."""
    names = ("multiplier", "shift", "input_zero_point", "output_zero_point", "activation_min", "activation_max")
    return {name: options[name] for name in names if name in options}


def _accumulator(x: Tensor, bias: Ints | None) -> str:
    narrow = x.dtype.itemsize == 1 or (bias is not None and bias.dtype == np.int32)
    return "int32" if narrow else "int64"


def _conv(lowering: _Lowering, node: Node) -> None:
    x, out, options = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.options
    kernel, groups = options["kernel"], options.get("groups", 1)
    if node.op == "depthwise_conv2d":
        groups = x.shape[-1]
        kernel = np.moveaxis(kernel, 3, 0).reshape(-1, *kernel.shape[1:3], 1)
    lowering.layer(
        node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=image_of(x), kernel=kernel,
        stride=options["stride"], dilation=options["dilation"], padding=options["padding"], groups=groups,
        bias=options["bias"],
        accumulator=_accumulator(x, options["bias"]), **_typecodes(x, out), **_scale(options),
    )  # fmt: skip


def _dense(lowering: _Lowering, node: Node) -> None:
    x, out, options = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.options
    kernel, zero = options["kernel"], options.get("kernel_zero_point", 0)
    if "factor" not in options:  # an integer scale is a layer's own
        lowering.layer(
            node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=(x.shape[0], 1, x.shape[1]),
            kernel=kernel[:, None, None, :], kernel_zero_point=zero, bias=options.get("bias"),
            rounding=options.get("rounding", "double"),
            accumulator=options.get("accumulator") or _accumulator(x, options.get("bias")),
            **_typecodes(x, out), **_scale(options),
        )  # fmt: skip
        return
    if x.dtype != np.int8:
        raise ValueError(f"{x.dtype} data, wanted int8: LiteRT's FULLY_CONNECTED multiplies by doubles")
    bias = options["bias"] if options["bias"] is not None else np.zeros(len(kernel), np.int32)
    limits = np.iinfo(x.dtype)
    ends = limits.min - options["input_zero_point"], limits.max - options["input_zero_point"]
    weights = kernel.astype(np.int64) - zero
    up, down = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    lowest, highest = bias + up * ends[0] + down * ends[1], bias + up * ends[1] + down * ends[0]  # equation 7
    reach = int(max(-lowest.min(), highest.max()))
    if reach >= (1 << 31) - 1:
        raise ValueError(f"bias and weights: an accumulator can reach {reach}, wanted less than 2**31 - 1")
    layer = {
        "input_shape": (x.shape[0], 1, x.shape[1]), "kernel": kernel[:, None, None, :], "kernel_zero_point": zero,
        "bias": options["bias"],
    }  # fmt: skip
    output = options["output_zero_point"], options["activation_min"], options["activation_max"]
    pairs = _multipliers(options["factor"], lowest, highest, output)
    if pairs is not None:
        scale = {**options, "multiplier": pairs[0], "shift": pairs[1]}
        lowering.layer(
            node, lowering.read(node.inputs[0]), lowering.buffer(node.output), rounding="single",
            **layer, **_typecodes(x, out), **_scale(scale),
        )  # fmt: skip
        return
    sums = lowering.add_buffer(Tensor(f"{out.name} sums", (x.shape[0], len(kernel)), np.dtype(np.int32), 1.0, 0))
    more = {"dtype": typecode(x), "out_dtype": "i", "input_zero_point": options["input_zero_point"]}
    lowering.layer(node, lowering.read(node.inputs[0]), sums, **layer, **more)
    factors = options["factor"][:1] if len(set(options["factor"])) == 1 else options["factor"]
    table = [thresholds_of(factor, int(lowest.min()), int(highest.max()), *output) for factor in factors]
    options = {"channels": len(kernel), "rows": x.shape[0], "sets": len(table), "least": output[1]}
    options["table"] = [threshold for one in table for threshold in one]
    lowering.steps.append(Step("thresholds", (sums,), lowering.buffer(node.output), options, node.op))


def _multipliers(
    factors: list[float], lowest: Ints, highest: Ints, output: tuple[int, int, int]
) -> tuple[Ints, Ints] | None:
    """(multiplier, shift) of each channel; None where one has none of 31 bits, or accumulators exceed 32 bits."""
    pairs = []
    for factor, low, high in zip(factors, lowest, highest, strict=True):
        try:
            pairs.append(single_rounding_multiplier(factor, int(low), int(high), *output))
        except ValueError:
            return None
        if max(-int(low), int(high)) << max(pairs[-1][1], 0) >= 1 << 31:
            return None
    multiplier, shift = zip(*pairs, strict=True)
    return np.array(multiplier), np.array(shift)


def _transpose_conv(lowering: _Lowering, node: Node) -> None:
    x, out, options = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.options
    kernel, stride = options["kernel"], options["stride"]
    pads = tuple(
        (span - 1 - before, span - 1 - after)
        for span, (before, after) in zip(kernel.shape[1:3], options["padding"], strict=True)
    )
    spans = [(extent - 1) * step + 1 + sum(pad) for extent, step, pad in zip(x.shape[1:3], stride, pads, strict=True)]
    spread = Tensor(f"{x.name} spread", (1, *spans, x.shape[3]), x.dtype, x.scale, x.zero_point)
    between = lowering.add_buffer(spread)
    reads = (lowering.read(node.inputs[0]),)
    spreading = {"shape": image_of(x), "stride": stride, "padding": pads, "value": x.zero_point}
    spreading["dtype"] = typecode(x)
    lowering.steps.append(Step("expand", reads, between, spreading, node.op))
    lowering.layer(
        node, between, lowering.buffer(node.output), input_shape=spread.shape[1:], kernel=kernel[:, ::-1, ::-1],
        bias=options["bias"], accumulator=_accumulator(x, options["bias"]), **_typecodes(x, out), **_scale(options),
    )  # fmt: skip


def _sum_of_rows(lowering: _Lowering, node: Node, outer: int, n: int, inner: int, **options: Any) -> None:
    """A layer that sums n items at a distance of `inner`, `outer` times: rows of `inner` columns, n by n."""
    x, out = lowering.tensor(node.inputs[0]), lowering.tensor(node.output)
    lowering.layer(
        node, lowering.read(node.inputs[0]), lowering.buffer(node.output), input_shape=(outer * n, inner, 1),
        kernel=np.ones((1, n, 1, 1), np.int8), stride=(n, 1), accumulator="int32", **_typecodes(x, out), **options,
    )  # fmt: skip


def _mean(lowering: _Lowering, node: Node) -> None:
    x, options = lowering.tensor(node.inputs[0]), node.options
    rank = len(x.shape)
    axes = [axis + rank for axis in sorted(from_end(options["axis"])) if x.shape[axis] > 1]
    first, end = (axes[0], axes[-1] + 1) if axes else (0, 0)
    if any(x.shape[axis] > 1 for axis in range(first, end) if axis not in axes):
        raise ValueError(f"axes {options['axis']}, wanted neighbours")
    sizes = [math.prod(x.shape[begin:stop]) for begin, stop in ((0, first), (first, end), (end, rank))]
    multiplier, shift = mean_multiplier(options["multiplier"], options["shift"], sizes[1])
    _sum_of_rows(lowering, node, *sizes, **_scale({**options, "multiplier": multiplier, "shift": shift}))


def _average_pool(lowering: _Lowering, node: Node) -> None:
    x, options = lowering.tensor(node.inputs[0]), node.options
    n, most = options["size"][0] * options["size"][1], 1 << 8 * x.dtype.itemsize - 1
    # Sums up to most * n are off by most * n * n / 2**31 of a step, which has to stay under half of one.
    if options["size"] == image_of(x)[:2] and not any(map(any, options["padding"])) and 1 < n * n < (1 << 30) // most:
        # a little over 1/n: halves go up, and below zero, where adding a half and rounding down is not enough, past it
        scale = {"multiplier": (1 << 31) // n + 1, "shift": 0, **_scale(options)}
        _sum_of_rows(lowering, node, 1, n, x.shape[3], **scale)
        return
    _operator(lowering, node)


def _rescale(lowering: _Lowering, node: Node) -> None:
    x, out, options = lowering.tensor(node.inputs[0]), lowering.tensor(node.output), node.options
    shared = {
        "input_shape": (1, x.size, 1), "kernel": np.ones((1, 1, 1, 1), np.int8), "accumulator": "int32",
        **_typecodes(x, out), **_scale(options),
    }  # fmt: skip
    source = lowering.read(node.inputs[0])
    if options.get("negative_multiplier") is None:
        lowering.layer(node, source, lowering.buffer(node.output), **shared)
        return
    zero = options["output_zero_point"]
    above, below = lowering.add_buffer(out), lowering.add_buffer(out)
    lowering.layer(node, source, above, **{**shared, "activation_min": zero})
    factor = {"multiplier": options["negative_multiplier"], "shift": options["negative_shift"]}
    lowering.layer(node, source, below, **{**shared, **factor, "activation_max": zero})
    exact: dict[str, Any] = {
        "a_multiplier": ADDING,
        "a_shift": 0,
        "b_multiplier": ADDING,
        "b_shift": 0,
        "multiplier": ADDING,
    }
    exact |= {"shift": -13, "a_zero_point": zero, "b_zero_point": zero, "output_zero_point": zero}
    exact |= {"a_shape": (x.size,), "b_shape": (x.size,), "dtype": typecode(out)}
    limits = np.iinfo(out.dtype)
    exact |= {"activation_min": int(limits.min), "activation_max": int(limits.max)}
    made = lowering.buffer(node.output)
    lowering.steps.append(Step("add", (above, below), made, exact, node.op))


def _operator(lowering: _Lowering, node: Node) -> None:
    """The layer without weights that a node is."""
    lower = BY_KIND[node.op].lower
    assert lower is not None
    tensors = [lowering.tensor(number) for number in (node.output, *node.inputs)]
    lowering.add(node.op, node, **lower(node.options, *tensors))


_LAYERS: dict[str, Callable[[_Lowering, Node], None]] = {
    "average_pool2d": _average_pool,
    "conv2d": _conv,
    "dense": _dense,
    "depthwise_conv2d": _conv,
    "mean": _mean,
    "rescale": _rescale,
    "transpose_conv2d": _transpose_conv,
}
LOWER = dict(sorted(({kind: _operator for kind, row in BY_KIND.items() if row.lower} | _LAYERS).items()))
