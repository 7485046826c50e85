"""Which kernel family and which packing a layer gets, and the plan that comes of it."""

from .thumb_asm import ARMV7EM, LEVELS

TABLE_MOST = 49152  # bytes of packed weights where no budget is given


def families(level, wide=False):
    """The families of a level, and their classes, the faster first; only these are imported.

    wide  those for accumulators of 64 bits
    """
    if level < ARMV7EM:
        from . import conv_v6m, filters_v6m

        return (filters_v6m, filters_v6m.Lanes), (conv_v6m, conv_v6m.Swar)
    if wide:
        from . import wide_dsp

        return ((wide_dsp, wide_dsp.Smlald),)
    from . import conv_dsp, filters_dsp

    return (filters_dsp, filters_dsp.Planes), (conv_dsp, conv_dsp.Smlad)


def select(spec, level, budget=None):
    """(module, class, compact) for a layer on a core, or a str saying why there is none.

    level   of thumb_asm.py
    budget  most bytes of packed weights and constants; None: TABLE_MOST for `fast` packing, any for the last one
    """
    if level not in LEVELS:
        raise ValueError("level: %r, wanted one of %s" % (level, " ".join(map(str, LEVELS))))
    reason = None
    tried = families(level, spec.wide)
    if spec.taps == spec.stride[0] > spec.kernel_shape[0] == 1:  # imported where it may be of use
        from . import rows

        tried = ((rows, rows.Rows),) + tried
    for module, made in tried:
        refusal = module.refuses(spec)
        if refusal:
            reason = refusal
            continue
        packings = module.packings(spec)
        for compact in packings:
            size = module.table_bytes(spec, compact)
            if size <= (TABLE_MOST if budget is None else budget) or (budget is None and compact == packings[-1]):
                return module, made, compact
        reason = "a budget of %d bytes, where the smallest packing takes %d" % (budget, size)
    return reason


class Plan:
    """A layer as machine code: `.code`, `.table`, and what backends/__init__.py asks of a plan but run().

    raises ValueError with select()'s reason
    """

    typed = False

    def __init__(self, spec, level, budget=None):
        found = select(spec, level, budget)
        if isinstance(found, str):
            raise ValueError("spec: no machine code of level %s (%s), wanted another" % (level, found))
        code = found[1](spec, level, found[2])
        self.code = code.code
        self.table = code.table
        self.packing = "compact" if found[2] else "fast"
        self.scratch_bytes = code.scratch_bytes
        self.weight_bytes = len(code.table)
        self.code_bytes = len(code.code)
