"""The second act of the demo: a network reads digits that it never saw, on the host and on a real MicroPython."""

from __future__ import annotations

from ucorr_host import simulate

from ..pictures.picture import Act, Tile
from ..shipped import digits

RUNS = (("micropython", "viper"), ("cpython", "portable"))
COLUMNS, ZOOM, GAP = 30, 5, 12  # of the sheet, where 360 digits fill twelve rows as wide as the photographs
PAPER = 248  # its grey

Run = tuple[int, str, str, float, bool]  # MACs, target, backend, milliseconds, whether all outputs are equal


def read_digits() -> tuple[list[Run], Act, str]:
    """All held-out digits on every target: its runs, the digits with what MicroPython read below, and a sentence.

    MACs and milliseconds are of one image. The sentence starts with "wrong" where an output of MicroPython is not the
    reference's.
    """
    network = digits.network()
    images, labels = digits.held_out()
    x = digits.integers(images)
    expected = network.run(x)
    runs: list[Run] = []
    for target, backend in RUNS:
        result = simulate(network, x, target, backend=backend)
        same = (result.output == expected).all(axis=1)
        equal = bool(same.all()) and {layer.backend for layer in result.layers} == {backend}
        macs = sum(layer.macs for layer in result.layers)
        milliseconds = sum(layer.microseconds or 0 for layer in result.layers) / 1000
        runs.append((macs, target, backend, milliseconds, equal))
        if target == "micropython":
            identical, read = int(same.sum()), result.output.argmax(axis=1)
    right = int((read == labels).sum())
    tiles = [
        Tile(str(found) if found == label else f"{found}, not {label}", PAPER - image[..., 0], wrong=found != label)
        for found, label, image in zip(read, labels, digits.STEPS * images, strict=True)
    ]
    count = f"{right} of {len(x)} digits that the network never saw"
    said = f"read {count}; {identical} of {len(x)} outputs of MicroPython are the reference's, byte for byte"
    title = f"MicroPython reads {count}"
    return runs, Act(title, tiles, COLUMNS, ZOOM, GAP, centred=True), said if identical == len(x) else f"wrong: {said}"
