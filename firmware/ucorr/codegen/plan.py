"""select(), which returns the kernel and the packing for a layer or every refusal, and Plan, which assembles it."""

from . import module

TABLE_MOST = 49152  # bytes of packed weights where no budget is given


def kernels(core, spec):
    """The modules of the kernels that a layer is offered to, the faster first; only these are imported."""
    folder = module(core)
    names = folder.INT64 if spec.wide else folder.KERNELS
    if spec.taps == spec.stride[0] > spec.kernel_shape[0] == 1:  # imported where it may be of use
        names = ("row_sum",) + names
    return [module(core, name) for name in names]


def select(spec, core, budget=None):
    """(module of the kernel, compact) for a layer on a core, or a str saying why there is none, each reason once.

    core    of cores.py
    budget  most bytes of packed weights and constants; None: TABLE_MOST for `fast` packing, any for the last one
    """
    reasons = []
    for kernel in kernels(core, spec):
        reason = kernel.refuses(spec)
        if not reason:
            packings = kernel.packings(spec)
            for compact in packings:
                size = kernel.table_bytes(spec, compact)
                if size <= (TABLE_MOST if budget is None else budget) or (budget is None and compact == packings[-1]):
                    return kernel, compact
            reason = "a budget of %d bytes, where the smallest packing takes %d" % (budget, size)
        if reason not in reasons:
            reasons.append(reason)
    return "; ".join(reasons)


class Plan:
    """A layer as machine code: `.code`, `.table`, and what backends/__init__.py asks of a plan but run().

    raises ValueError with select()'s reason
    """

    typed = False

    def __init__(self, spec, core, budget=None):
        found = select(spec, core, budget)
        if isinstance(found, str):
            raise ValueError("spec: no machine code for a %s (%s), wanted another" % (core.name, found))
        kernel, compact = found
        made = kernel.Kernel(spec, core, compact)
        self.code = made.code
        self.table = made.table
        self.packing = "compact" if compact else "fast"
        self.scratch_bytes = made.scratch_bytes
        self.weight_bytes = len(made.table)
        self.code_bytes = len(made.code)
