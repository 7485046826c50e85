"""A network of our own: 8x8 handwritten digits, trained by train_digits.py, with the images it never saw.

The package ships what came out: data/digits.tflite, the int8 network, and data/digits.npz, the float weights and the
held-out images; data/README.md names where they come from.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr_host import FloatNetwork, Network, load_tflite
from ucorr_host.training import float_network as layers

DATA = files("ucorr_tools") / "data"
LABELS = tuple("0123456789")
GREATEST = 16  # of a pixel, 0 being paper
STEPS = 15  # integers from one grey to the next: x = 15 * pixel - 128
WEIGHTS = ("kernel1", "bias1", "kernel2", "bias2", "kernel3", "bias3")  # names in digits.npz


def network() -> Network:
    """The int8 network: int8 (1, 8, 8, 1) of integers() -> int8 (1, 10), softmax of the classes "0" to "9"."""
    return replace(load_tflite((DATA / "digits.tflite").read_bytes()), labels=LABELS)


def float_network(weights: list[NDArray[Any]] | None = None) -> FloatNetwork:
    """The network before it was quantised, of pixels / GREATEST; or the same layers with other weights.

    8x8x1 - conv 3x3, relu - 8x8x8 - conv 3x3 with stride 2, relu - 4x4x16 - dense - 10 - softmax: 25,600 products
    """
    if weights is None:
        with (DATA / "digits.npz").open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            weights = [arrays[name] for name in WEIGHTS]
    kernel1, bias1, kernel2, bias2, kernel3, bias3 = weights
    row = (
        layers.Conv2D(kernel1, bias1, "relu", 1, "same"),
        layers.Conv2D(kernel2, bias2, "relu", 2, "same"),
        layers.Dense(kernel3, bias3),
        layers.Softmax(),
    )
    return FloatNetwork((8, 8, 1), row, LABELS)


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(images (360, 8, 8, 1) of pixels 0..16, labels (360,)) that neither training nor calibration saw."""
    with (DATA / "digits.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return arrays["images"], arrays["labels"]


def integers(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixels 0..16 as the network's input, without rounding."""
    return (STEPS * images.astype(np.int16) - 128).astype(np.int8)
