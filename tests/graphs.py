"""Drawn .tflite graphs: one operator of a kind, or several in a row with branches; scales leave outputs spread.

A Grower adds operators to a Model. Structure is drawn by Hypothesis, so that it shrinks; weights and inputs come from a
drawn seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from operator_cases import CASES
from oracle import Model

SPREAD = 74.0  # standard deviation of int8 drawn evenly; of int16 it is 256 times that
UNARY = ("RELU", "RELU6", "LEAKY_RELU", "QUANTIZE")
TABLES = ("RELU_N1_TO_1", "HARD_SWISH", "LOGISTIC", "TANH")
BINARY = ("ADD", "SUB", "MUL")
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
MOVES = ("PAD", "PADV2", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "CONCATENATION")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
WIDE = (*WEIGHTED, *BINARY, *POOLS, *MOVES, *UNARY, "MEAN")  # what is there for int16
GROWN = {name: grow for case in CASES.values() for name, grow in case.grown.items()}
ALL = (*WIDE, *TABLES, "SOFTMAX", *GROWN)


@dataclass(frozen=True)
class Value:
    """A tensor of the model under construction."""

    number: int
    shape: tuple[int, ...]
    scale: np.float32
    zero_point: int


@dataclass
class Grower:
    """A graph that grows; values are its activations so far."""

    draw: Any
    dtype: Any
    rng: np.random.Generator
    dying: bool = False  # whether each layer with weights has channels without
    model: Model = field(default_factory=Model)
    values: list[Value] = field(default_factory=list)

    @property
    def spread(self) -> float:
        return SPREAD * (256 if self.dtype == np.int16 else 1)

    def zero_point(self) -> int:
        if self.dtype == np.int16:
            return 0
        return self.draw(st.one_of(st.integers(-60, 60), st.integers(-128, 127)))

    def activation(self) -> int:
        return self.draw(st.sampled_from([0, 0, 0, 1, 2, 3]))

    def tensor(self, shape: Any, scale: Any, zero_point: int | None = None) -> Value:
        zero_point = self.zero_point() if zero_point is None else zero_point
        scale = np.float32(scale)
        value = Value(self.model.tensor(shape, self.dtype, None, scale, zero_point), tuple(shape), scale, zero_point)
        self.values.append(value)
        return value

    def input(self, shape: tuple[int, ...]) -> Value:
        return self.tensor(shape, 2.0 ** self.draw(st.floats(-7, -3)) * (1 if self.dtype == np.int8 else 2**-8))

    def constant(self, shape: Any, dtype: Any, most: int, dead: Any = None, **words: Any) -> int:
        """Drawn ints; those of `dead` are all `dead_value`."""
        data = self.rng.integers(-most, most + 1, shape).astype(dtype)
        if dead is not None:
            data[dead[0]] = dead[1]
        return self.model.tensor(shape, dtype, data, **words)

    def ints(self, values: Any) -> int:
        array = np.array(values, np.int32)
        return self.model.tensor(array.shape, np.int32, array)

    def stretch(self) -> float:
        return 2.0 ** self.draw(st.floats(-1, 1))

    # Operators: each adds itself to a value and gives its output

    def weighted(self, name: str, x: Value) -> Value:
        draw = self.draw
        words: dict[str, Any] = {"FusedActivationFunction": self.activation()}
        if name == "FULLY_CONNECTED":
            kernel_shape: tuple[int, ...] = (draw(st.integers(1, 5)), math.prod(x.shape[1:]))
            out_shape: tuple[int, ...] = (1, kernel_shape[0])
            taps, axis, options = kernel_shape[1], 0, "FullyConnectedOptions"
        else:
            height, width, depth = x.shape[1:]
            same = draw(st.booleans())
            size = tuple(draw(st.integers(1, min(4, n) if not same else 4)) for n in (height, width))
            stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
            words |= {"Padding": 0 if same else 1, "StrideH": stride[0], "StrideW": stride[1]}
            taps = size[0] * size[1] * depth
            outputs, axis = draw(st.integers(1, 6)), 0
            if name == "TRANSPOSE_CONV":
                options, kernel_shape = "TransposeConvOptions", (outputs, *size, depth)
                if same:
                    spans = [
                        n * step - draw(st.integers(0, step - 1))
                        for n, step in zip((height, width), stride, strict=True)
                    ]
                else:
                    spans = [(n - 1) * step + k for n, step, k in zip((height, width), stride, size, strict=True)]
            else:
                dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2)]))
                extent = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
                if not same and (extent[0] > height or extent[1] > width):
                    dilation, extent = (1, 1), list(size)
                words |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]}
                if name == "CONV_2D":
                    groups = draw(st.sampled_from([n for n in (1, 1, 2, 3) if depth % n == 0]))
                    options, kernel_shape = "Conv2DOptions", (outputs * groups, *size, depth // groups)
                    taps //= groups
                else:
                    words["DepthMultiplier"] = times = draw(st.integers(1, 2))
                    options, kernel_shape, axis = "DepthwiseConv2DOptions", (1, *size, depth * times), 3
                    taps //= depth
                spans = [
                    -(-n // step) if same else (n - e) // step + 1
                    for n, step, e in zip((height, width), stride, extent, strict=True)
                ]
            out_shape = (1, *spans, kernel_shape[axis])
        channels = kernel_shape[axis]
        per_channel = self.dying or draw(st.booleans())
        scales = (2.0 ** self.rng.uniform(-9, -7, channels if per_channel else 1)).astype(np.float32)
        # a channel that training gave up: no weights, a tiny scale, a bias near 2**30
        dead, usual = None, float(scales.mean())
        if self.dying or (per_channel and draw(st.integers(0, 3)) == 0):
            dead = self.rng.random(channels) < 0.4
            dead[0] |= self.dying
            scales[dead] *= np.float32(2.0**-24)
        four_bits = dead is None and self.dtype == np.int8 and name != "TRANSPOSE_CONV" and draw(st.integers(0, 7)) == 0
        kernel_words: dict[str, Any] = {"scales": scales, "axis": axis}
        if four_bits:
            flat = self.rng.integers(-7, 8, math.prod(kernel_shape))
            padded = np.append(flat, 0)[: (len(flat) + 1) // 2 * 2] & 15
            kernel = self.model.tensor(
                kernel_shape,
                np.int8,
                (padded[::2] | padded[1::2] << 4).astype(np.uint8),
                type_name="INT4",
                **kernel_words,
            )
            weights = 4.0
        else:
            none = None if dead is None else ((Ellipsis, dead) if axis == 3 else dead, 0)
            kernel = self.constant(kernel_shape, np.int8, 127, none, **kernel_words)
            weights = SPREAD
        wide = self.dtype == np.int16
        # LiteRT's CONV_2D refuses to go without a bias; its int16 DEPTHWISE_CONV_2D takes int64 alone.
        bias = -1
        if name == "CONV_2D" or draw(st.booleans()):
            short = not wide or (name != "DEPTHWISE_CONV_2D" and draw(st.booleans()))
            most = max(1, int(self.spread * weights * math.sqrt(taps)))
            far = None if dead is None else (dead, draw(st.sampled_from([-1, 1])) * (2**30 - most))
            bias = self.constant((channels,), np.int32 if short else np.int64, most, far, scales=x.scale * scales)
            if wide and name != "DEPTHWISE_CONV_2D":
                words["QuantizedBiasType"] = 2 if short else 4
        elif wide and name != "DEPTHWISE_CONV_2D":
            words["QuantizedBiasType"] = 4
        scale = float(x.scale) * usual * weights * math.sqrt(taps) * self.stretch()
        out = self.tensor(out_shape, scale)
        inputs = [x.number, kernel, bias]
        if name == "TRANSPOSE_CONV":
            inputs = [self.ints(out_shape), kernel, x.number, bias]
        self.model.operator(name, inputs[:-1] if bias < 0 else inputs, [out.number], options, **words)
        return out

    def pool(self, name: str, x: Value) -> Value:
        draw = self.draw
        same = draw(st.booleans())
        size = tuple(draw(st.integers(1, 4 if same else min(4, n))) for n in x.shape[1:3])
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        spans = [
            -(-n // step) if same else (n - k) // step + 1
            for n, step, k in zip(x.shape[1:3], stride, size, strict=True)
        ]
        out = self.tensor((1, *spans, x.shape[3]), x.scale, x.zero_point)
        self.model.operator(
            name, [x.number], [out.number], "Pool2DOptions",
            Padding=0 if same else 1, StrideH=stride[0], StrideW=stride[1],
            FilterHeight=size[0], FilterWidth=size[1], FusedActivationFunction=self.activation(),
        )  # fmt: skip
        return out

    def mean(self, x: Value) -> Value:
        rank = len(x.shape)
        axes = self.draw(st.lists(st.integers(1 - rank, rank - 1).filter(bool), min_size=1, max_size=2))
        keep = self.draw(st.booleans())
        shape = np.empty(x.shape, bool).any(axis=tuple({axis % rank for axis in axes}), keepdims=keep).shape
        out = self.tensor(shape, float(x.scale) * 2.0 ** self.draw(st.floats(-2, 1)))
        self.model.operator("MEAN", [x.number, self.ints(axes)], [out.number], "ReducerOptions", KeepDims=keep)
        return out

    def binary(self, name: str, a: Value, others: list[Value] | None = None) -> Value:
        same = [value for value in (others or []) if value.shape == a.shape]
        kinds = ["constant", "constant", "itself"] + ["another"] * 5 * bool(same)
        kind = self.draw(st.sampled_from(kinds))
        if kind == "another":
            b = self.draw(st.sampled_from(same))
            number, scale = b.number, b.scale
        elif kind == "itself":
            number, scale = a.number, a.scale
        else:
            shape = tuple(self.draw(st.sampled_from([1, n])) for n in a.shape)
            shape = shape[self.draw(st.integers(0, len(shape) - 1)) :]
            scale = np.float32(float(a.scale) * self.stretch())
            limit = np.iinfo(self.dtype).max
            number = self.constant(shape, self.dtype, limit, scales=scale, zero_points=self.zero_point())
        real = float(a.scale) * float(scale) * self.spread if name == "MUL" else max(float(a.scale), float(scale))
        out = self.tensor(a.shape, real * self.stretch())
        inputs = [a.number, number]
        if self.draw(st.booleans()):
            inputs.reverse()
        words: dict[str, Any] = {"FusedActivationFunction": self.activation()}
        if name != "MUL":
            words["PotScaleInt16"] = False
        self.model.operator(name, inputs, [out.number], f"{name.title()}Options", **words)
        return out

    def single(self, name: str, x: Value) -> Value:
        fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)}
        scale, zero_point = fixed.get(name, (float(x.scale) * self.stretch(), None))
        if name in fixed:
            zero_point = fixed[name][1]
        out = self.tensor(x.shape, scale, zero_point)
        words: dict[str, Any] = {}
        options = {"LEAKY_RELU": "LeakyReluOptions", "SOFTMAX": "SoftmaxOptions"}.get(name)
        if name == "LEAKY_RELU":
            words["Alpha"] = self.draw(st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0]))
        if name == "SOFTMAX":
            words["Beta"] = self.draw(st.sampled_from([1.0, 1.0, 0.5, 2.0]))
        self.model.operator(name, [x.number], [out.number], options, **words)
        return out

    def move(self, name: str, x: Value, others: list[Value] | None = None) -> Value:
        draw, rank = self.draw, len(x.shape)
        if name in ("PAD", "PADV2"):
            padding = [(0, 0)] + [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(rank - 1)]
            out = self.tensor([n + sum(pad) for n, pad in zip(x.shape, padding, strict=True)], x.scale, x.zero_point)
            inputs = [x.number, self.ints(padding)]
            if name == "PADV2":
                value = np.array([draw(st.integers(-128, 127))], self.dtype)
                inputs.append(self.model.tensor((1,), self.dtype, value, x.scale, x.zero_point))
            self.model.operator(name, inputs, [out.number], f"{name.title().replace('v', 'V')}Options")
        elif name == "CONCATENATION":
            parts = [x] + [x for _ in range(draw(st.integers(0, 2)))]
            parts += [v for v in others or [] if (v.scale, v.zero_point, v.shape) == (x.scale, x.zero_point, x.shape)][
                :2
            ]
            axis = draw(st.integers(1, rank - 1))
            shape = [n * (len(parts) if n_axis == axis else 1) for n_axis, n in enumerate(x.shape)]
            out = self.tensor(shape, x.scale, x.zero_point)
            axis -= draw(st.sampled_from([0, rank]))
            numbers = [part.number for part in parts]
            self.model.operator(name, numbers, [out.number], "ConcatenationOptions", Axis=axis)
        elif name == "RESHAPE":
            shape = draw(st.sampled_from([(1, math.prod(x.shape)), (1, x.shape[1], -1), (1, 1, *x.shape[1:])]))
            whole = [n if n > 0 else math.prod(x.shape) // x.shape[1] for n in shape]
            out = self.tensor(whole, x.scale, x.zero_point)
            self.model.operator(
                name, [x.number, self.ints(shape)], [out.number], "ReshapeOptions", NewShape=list(shape)
            )
        else:
            axis = draw(st.integers(1, rank))
            longer = self.tensor((*x.shape[:axis], 1, *x.shape[axis:]), x.scale, x.zero_point)
            self.model.operator("EXPAND_DIMS", [x.number, self.ints([axis])], [longer.number], "ExpandDimsOptions")
            if name == "EXPAND_DIMS":
                return longer
            out = self.tensor(x.shape, x.scale, x.zero_point)
            self.model.operator(name, [longer.number], [out.number], "SqueezeOptions", SqueezeDims=[axis])
        return out

    def grow(self, name: str, x: Value, others: list[Value] | None = None) -> Value:
        """Add an operator to a value."""
        if name in WEIGHTED:
            return self.weighted(name, x)
        if name in POOLS:
            return self.pool(name, x)
        if name in BINARY:
            return self.binary(name, x, others)
        if name in MOVES:
            return self.move(name, x, others)
        if name in GROWN:
            return GROWN[name](self, x)
        return self.mean(x) if name == "MEAN" else self.single(name, x)


def fits(name: str, x: Value) -> bool:
    """Whether an operator can follow a value."""
    if name in (*POOLS, "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        return len(x.shape) == 4
    if name == "SQUEEZE" or name == "EXPAND_DIMS":
        return len(x.shape) < 5
    if name in ("RESHAPE", "MEAN", "PAD", "PADV2", *BINARY, *GROWN):
        return 2 <= len(x.shape) <= 4
    return len(x.shape) >= 2


@st.composite
def graphs(
    draw: Any, names: tuple[str, ...] = ALL, count: Any = 1, dtype: Any = np.int8, dying: bool = False
) -> tuple[bytes, NDArray[Any]]:
    """(model, input): `count` (an int or a strategy) operators of some names, joined at random; dying as Grower's."""
    grower = Grower(draw, dtype, np.random.default_rng(draw(st.integers(0, 2**32 - 1))), dying)
    first = grower.input((1, draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 6))))
    ends = [first]
    made: list[Value] = []
    for _ in range(count if isinstance(count, int) else draw(count)):
        x = made[-1] if made and draw(st.integers(0, 3)) else draw(st.sampled_from(ends + made))
        fitting = [name for name in names if fits(name, x) and math.prod(x.shape) < 4096]
        if not fitting:
            break
        made.append(grower.grow(draw(st.sampled_from(fitting)), x, made))
    limits = np.iinfo(dtype)
    data = grower.rng.integers(limits.min, limits.max + 1, first.shape).astype(dtype)
    if draw(st.integers(0, 9)) == 0:
        data[...] = draw(st.sampled_from([limits.min, limits.max, 0]))
    outputs = [made[-1].number] if made else [first.number]
    return grower.model.build([first.number], outputs), data
