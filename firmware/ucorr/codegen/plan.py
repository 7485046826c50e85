"""Which kernel family and which packing a layer gets, and the plan that comes of it."""

from . import conv, filters

TABLE_MOST = 49152  # bytes of packed weights where no budget is given


def select(spec, level, budget=None):
    """(family, compact) for a layer on a core, or a str saying why there is none.

    level   of thumb_asm.py
    budget  most bytes of packed weights and constants; None: TABLE_MOST for `fast` packing, any for `compact`
    """
    few = spec.kernel_shape[0] // spec.groups < 4
    reason = filters.refuses(spec, level) if few else "four or more outputs of one input channel"
    if reason is None and (budget is None or filters.table_bytes(spec) <= budget):
        return filters, False
    reason = conv.refuses(spec, level)
    if reason:
        return reason
    if conv.table_bytes(spec, False) <= (TABLE_MOST if budget is None else budget):
        return conv, False
    if conv.is_small(spec):
        bytes_ = conv.table_bytes(spec, True)
        if budget is None or bytes_ <= budget:
            return conv, True
    elif budget is None:
        return conv, False
    else:
        bytes_ = conv.table_bytes(spec, False)
    return "a budget of %d bytes, where the smallest packing takes %d" % (budget, bytes_)


class Plan:
    """A layer as machine code: `.code`, `.table`, and what backends/__init__.py asks of a plan but run()."""

    typed = False

    def __init__(self, spec, level, budget=None):
        family, compact = select(spec, level, budget)
        made = filters.Filters(spec, level) if family is filters else conv.Conv(spec, level, compact)
        self.code = made.code
        self.table = made.table
        self.packing = "compact" if compact else "fast"
        self.family = family.__name__.split(".")[-1]
        self.scratch_bytes = made.scratch_bytes
        self.weight_bytes = len(made.table)
        self.code_bytes = len(made.code)
