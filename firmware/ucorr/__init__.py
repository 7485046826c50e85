"""ucorr: integer cross-correlation for MicroPython boards and, unchanged, CPython.

A layer is made once from a kernel and sizes, then called with any two buffers:

    edge = ucorr.Correlate2D([[1, -1]], (96, 96), dtype="B", out_dtype="h")
    edge(frame, out)

The same files give the same bits on every backend; `info()` says which of them
run here.
"""

from .heap import Tidy, forget

forget(("ucorr.heap",))  # drop what an earlier import loaded before it ran out of memory
with Tidy():
    from . import backends
    from .spec import Spec  # layers and networks share it: imported now, it is allocated at the low end of the heap
    from .version import __version__

# Layers without weights, each class before its file in ops/: one flat tuple, which takes the least room in the heap.
# The order is that of their numbers in the files of networks, so that a new one comes last.
OPERATORS = (
    "MaxPool2D", "windows",
    "AveragePool2D", "windows",
    "Add", "elementwise",
    "Sub", "elementwise",
    "Mul", "elementwise",
    "Lookup", "tables",
    "Softmax", "softmax",
    "Pad", "moves",
    "Concatenate", "moves",
    "Expand", "moves",
    "Thresholds", "tables",
    "PReLU", "elementwise",
    "CrossCorrelate", "correlation",
)  # fmt: skip

__all__ = ["Conv2D", "Correlate1D", "Correlate2D", "Dense", "DepthwiseConv2D", "Layer", "Spec", "__version__", "info"]
__all__ += ["load", "peak", "peak_lag", "peaks"] + [OPERATORS[_n] for _n in range(0, len(OPERATORS), 2)]


def __getattr__(name):
    """The public name, or the module of the package, imported at its first use so that it takes no heap before."""
    known = name in __all__
    if not name or name[0] == "_":
        raise AttributeError("module 'ucorr' has no attribute %r" % name)
    where = name
    if name in OPERATORS and known:
        where = "ops." + OPERATORS[OPERATORS.index(name) + 1]
    elif known:
        where = "network" if name == "load" else "maxima" if name[:4] == "peak" else "layers"
    try:
        with Tidy():
            # not `from . import network`, which would ask here for "network"
            module = __import__("ucorr." + where, None, None, (name,))
    except ImportError:
        if known:  # the package is complete, so the file system failed to read a file that exists
            raise
        raise AttributeError("module 'ucorr' has no attribute %r" % name)
    return getattr(module, name) if known else module


def info():
    """{"ucorr": version, backend name: "ok" or the reason why it can't run here, or not now, ...}"""
    told = {"ucorr": __version__}
    backends.state("viper")  # first: compiling it needs the most free memory
    for name in backends.NAMES:
        told[name] = backends.state(name)
    return told
