"""select(), which returns the kernel for an operator without weights."""

from . import module

KERNELS = {"add": "add", "sub": "add", "cross_correlate": "correlation"}  # by an operator's kind


def select(op, core):
    """The module of the kernel for an operator on a core, or a str saying why there is none."""
    if op.kind not in KERNELS:
        return "machine code is for sums, differences and cross-correlations"
    kernel = module(core, KERNELS[op.kind])
    return kernel.refuses(op) or kernel
