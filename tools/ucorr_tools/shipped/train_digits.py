"""Train a small network on scikit-learn's 8x8 digits, quantise it, and write the files that the package ships.

    python -m ucorr_tools.shipped.train_digits [folder]

Everything is here: the layers' gradients, Adam, the loop. It needs NumPy and scikit-learn: pip install 'ucorr[train]'.
The seed is fixed, but another NumPy or BLAS rounds differently and gives other weights of the same quality; so the
files are shipped, not made anew.

Of the 1,797 images every fifth is held out, 360 in all, and seen by neither the training nor the calibration. The same
writers are in both parts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr_host import FloatNetwork, Network, evaluate, quantize_network, save_tflite

from .digits import GREATEST, STEPS, WEIGHTS, float_network, integers

Floats = NDArray[Any]
EPOCHS, BATCH, RATE, DECAY = 60, 32, 2e-3, 1e-4
SHAPES = ((8, 3, 3, 1), (16, 3, 3, 8), (10, 256))  # of the kernels of float_network()
CALIBRATION = 200  # images of the training part that show the ranges


def data() -> tuple[Floats, Floats, Floats, Floats]:
    """(training images, their labels, held-out images, their labels): uint8 (n, 8, 8, 1) of 0..16, int64 (n,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.images.astype(np.uint8)[..., None], digits.target.astype(np.int64)
    held = np.arange(len(x)) % 5 == 0
    return x[~held], y[~held], x[held], y[held]


def gradients(net: FloatNetwork, x: Floats, labels: Floats) -> list[Floats]:
    """Of the mean cross-entropy, by each kernel and bias in turn.

    A relu lets a gradient through where its output is above 0. A convolution is patches times kernel, so its kernel's
    gradient is patches times gradient, and its input's is spread back window by window.
    """
    values = list(net.values(x))
    first, second, dense, _ = net.layers
    g = (values[4] - np.eye(10)[labels]) / len(x)  # of softmax and cross-entropy together
    found = [g.T @ values[2].reshape(len(x), -1), g.sum(0)]
    g = (g @ dense.kernel).reshape(values[2].shape)
    for layer, before, after in ((second, values[1], values[2]), (first, values[0], values[1])):
        g = g * (after > 0)
        patches = layer.windows(before)  # (n, rows, columns, channels, 3, 3)
        found[:0] = [np.tensordot(g, patches, ((0, 1, 2), (0, 1, 2))).transpose(0, 2, 3, 1), g.sum((0, 1, 2))]
        if layer is second:
            g = _spread_back(layer, g, before.shape)
    return found


def _spread_back(layer: Any, g: Floats, shape: tuple[int, ...]) -> Floats:
    """The gradient of a layer's input of a shape, from that of its output; padded below and on the right alone."""
    step, size = layer.stride, layer.kernel.shape[1]
    padded = np.zeros((shape[0], shape[1] + size, shape[2] + size, shape[3]))
    rows, columns = g.shape[1] * step, g.shape[2] * step
    for a, b in np.ndindex(size, size):
        padded[:, a : a + rows : step, b : b + columns : step] += g @ layer.kernel[:, a, b]
    return padded[:, : shape[1], : shape[2]]


def train(x: Floats, labels: Floats, epochs: int, seed: int = 0) -> FloatNetwork:
    """Adam on batches in an order of the seed; the rate falls to 0 along a cosine."""
    rng = np.random.default_rng(seed)
    weights: list[Floats] = []
    for shape in SHAPES:  # He's initialisation: a relu halves the variance
        weights += [rng.normal(0, np.sqrt(2 * shape[0] / np.prod(shape)), shape), np.zeros(shape[0])]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    real = x / GREATEST
    steps = epochs * (len(x) // BATCH)
    for step in range(steps):
        if step % (len(x) // BATCH) == 0:
            order = rng.permutation(len(x))
        some = order[step * BATCH % (len(x) // BATCH * BATCH) :][:BATCH]
        rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2
        for w, g, m, s in zip(
            weights, gradients(float_network(weights), real[some], labels[some]), means, squares, strict=True
        ):
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            ahead = m / (1 - 0.9 ** (step + 1)) / (np.sqrt(s / (1 - 0.999 ** (step + 1))) + 1e-8)
            w -= rate * (ahead + DECAY * w * (w.ndim > 1))
    return float_network([w.astype(np.float32) for w in weights])


def quantized(net: FloatNetwork, x: Floats, ranges: str = "mse") -> Network:
    """The int8 network; a pixel's 17 values are integers without rounding."""
    known = (0.0, 255 / STEPS / GREATEST)
    return quantize_network(net, x[:CALIBRATION] / GREATEST, ranges=ranges, input_range=known)


def float_accuracy(net: FloatNetwork, x: Floats, labels: Floats) -> float:
    return float((net.run(x / GREATEST).argmax(1) == labels).mean())


def signal_to_noise(net: FloatNetwork, made: Network, x: Floats) -> float:
    """Power of the float network's outputs over that of their difference to the integers', in dB."""
    real = net.run(x / GREATEST)
    noise = made.dequantize_output(evaluate(made, integers(x)).outputs) - real
    return float(10 * np.log10((real**2).sum() / (noise**2).sum()))


def main(folder: str) -> None:
    x, labels, held, held_labels = data()
    net = train(x, labels, EPOCHS)
    print(f"held out, float:         {float_accuracy(net, held, held_labels):7.2%}")
    for rule in ("minmax", "mse"):
        made = quantized(net, x, rule)
        accuracy = evaluate(made, integers(held), held_labels).accuracy
        print(f"held out, int8, {rule:<8} {accuracy:7.2%}, {signal_to_noise(net, made, held):.1f} dB over its noise")
    named: dict[str, Any] = {"images": held, "labels": held_labels.astype(np.uint8)}
    named |= dict(zip(WEIGHTS, (array.astype(np.float32) for array in arrays(net)), strict=True))
    path = Path(folder)
    np.savez_compressed(path / "digits.npz", **named)
    size = save_tflite(made, path / "digits.tflite")
    print(f"{path / 'digits.tflite'}: {size:,} bytes; {path / 'digits.npz'}")


def arrays(net: FloatNetwork) -> list[Floats]:
    """The kernels and biases, one after the other."""
    return [array for layer in net.layers[:3] for array in (layer.kernel, layer.bias)]


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
