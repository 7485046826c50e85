"""Drawn float networks with samples: one to five layers, weights and samples of a drawn seed and spread.

Some channels are zeros, some weights far smaller or larger than the others, some biases far beyond what the products
come to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from ucorr_host import FloatNetwork
from ucorr_host.training import float_network as layers

ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")
IMAGE = ("Conv2D", "Conv2D", "DepthwiseConv2D", "MaxPool2D", "AveragePool2D", "Add")
ENDS = ("GlobalAverage", "Dense", "Softmax", "Reshape")


@st.composite
def float_networks(draw: Any, kinds: tuple[str, ...] = (*IMAGE, *ENDS)) -> tuple[FloatNetwork, NDArray[Any]]:
    """(network, samples (n, *input_shape))"""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape: tuple[int, ...] = tuple(draw(st.integers(1, n)) for n in (7, 7, 4))
    spread = 10.0 ** draw(st.integers(-3, 3))
    samples = (rng.normal(size=(draw(st.integers(1, 6)), *shape)) + draw(st.sampled_from([0, 0, 3]))) * spread
    row: list[Any] = []
    shapes = [shape]
    for _ in range(draw(st.integers(1, 5))):
        here = [kind for kind in kinds if len(shapes[-1]) == 3 or kind in ("Dense", "Softmax", "Add")]
        row.append(drawn_layer(draw, rng, draw(st.sampled_from(here)), shapes))
        shapes = list(FloatNetwork(shape, tuple(row)).shapes)
    return FloatNetwork(shape, tuple(row)), samples


def drawn_layer(draw: Any, rng: np.random.Generator, kind: str, shapes: list[tuple[int, ...]]) -> Any:
    shape = shapes[-1]
    activation = draw(st.sampled_from(ACTIVATIONS))
    if kind == "Add":
        return layers.Add(
            draw(st.sampled_from([n - 1 for n, other in enumerate(shapes) if other == shape])), activation
        )
    if kind == "Dense":
        return layers.Dense(*weights(draw, rng, (draw(st.integers(1, 5)), int(np.prod(shape))), 0), activation)
    if kind == "Reshape":
        return layers.Reshape((shape[0] * shape[2], shape[1], 1) if draw(st.booleans()) else (int(np.prod(shape)),))
    if kind in ("GlobalAverage", "Softmax"):
        return getattr(layers, kind)()
    padding = draw(st.sampled_from(["valid", "same"]))
    size = tuple(draw(st.integers(1, 3 if padding == "same" else min(3, n))) for n in shape[:2])
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    if kind in ("MaxPool2D", "AveragePool2D"):
        return getattr(layers, kind)(size, draw(st.sampled_from([stride, None])), padding)
    dilation = (2, 1) if padding == "same" and draw(st.booleans()) else (1, 1)
    if kind == "DepthwiseConv2D":
        kernel = weights(draw, rng, (1, *size, shape[2] * draw(st.integers(1, 2))), 3)
    else:
        kernel = weights(draw, rng, (draw(st.integers(1, 5)), *size, shape[2]), 0)
    return getattr(layers, kind)(*kernel, activation, stride, padding, dilation)


def weights(draw: Any, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> tuple[Any, Any]:
    """(kernel, bias)"""
    kernel, bias = rng.normal(size=shape), rng.normal(size=shape[axis])
    channels = np.moveaxis(kernel, axis, 0)
    kind = draw(st.sampled_from(["even"] * 4 + ["no bias", "zeros", "far apart", "biased"]))
    if kind == "no bias":
        return kernel, None
    if kind == "zeros":
        channels[0] = 0
        bias[0] = draw(st.sampled_from([0.0, 1.0]))
    if kind == "far apart":
        channels *= 10.0 ** rng.integers(-12, 4, shape[axis]).reshape(-1, *[1] * (kernel.ndim - 1))
    if kind == "biased":
        bias *= 10.0 ** draw(st.integers(3, 12))
    return kernel, bias
