"""ucorr: integer cross-correlation for MicroPython boards and, unchanged, CPython.

A layer is made once from a kernel and sizes, then called with any two buffers:

    edge = ucorr.Correlate2D([[1, -1]], (96, 96), dtype="B", out_dtype="h")
    edge(frame, out)

The same files give the same bits on every backend; `info()` tells which of them
run here.
"""

from .heap import Tidy

with Tidy():
    from .backends import NAMES, probe
    from .layers import Conv2D, Correlate1D, Correlate2D, Dense, DepthwiseConv2D, Layer, peak
    from .spec import Spec
    from .version import __version__

__all__ = [
    "Add",
    "AveragePool2D",
    "Concatenate",
    "Conv2D",
    "Correlate1D",
    "Correlate2D",
    "Dense",
    "DepthwiseConv2D",
    "Expand",
    "Layer",
    "Lookup",
    "MaxPool2D",
    "Mul",
    "Pad",
    "Softmax",
    "Spec",
    "Sub",
    "__version__",
    "info",
    "load",
    "peak",
]


def __getattr__(name):
    """Layers without weights and networks take room in the heap only where they are used."""
    if name not in __all__:
        raise AttributeError("module 'ucorr' has no attribute %r" % name)
    with Tidy():
        # not `from . import ops`, which would ask here for "ops"
        module = __import__("ucorr.network" if name == "load" else "ucorr.ops", None, None, (name,))
        return getattr(module, name)


def info():
    """{"ucorr": version, backend name: "ok" or the reason why it can't run here, ...}"""
    told = {"ucorr": __version__}
    probe("viper")  # compiling it takes most room at once
    for name in NAMES:
        module = probe(name)
        told[name] = module if isinstance(module, str) else "ok"
    return told
