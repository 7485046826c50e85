"""The backend for machine code of operators without weights, as generated.py is for layers with weights."""

from ..codegen.operators import select


class Backend:
    """A backend, with the contract of backends/__init__.py, for one core; parameters as generated.Backend's."""

    def __init__(self, core, code):
        self.core, self.code = core, code

    def refuses(self, op, budget=None):
        """None, or why there is no machine code for an operator on this core."""
        found = select(op, self.core)
        return found if isinstance(found, str) else None

    def prepare(self, op, budget=None):
        """The plan of an operator: its code, ready to run."""
        return Plan(select(op, self.core).Kernel(op, self.core), self.code)


class Plan:
    """An operator of two inputs as machine code; the second input is passed where a layer passes its scratch."""

    typed = False
    packing = None
    scratch_bytes = 0

    def __init__(self, made, code):
        self.weight_bytes, self.code_bytes = made.weight_bytes, made.code_bytes
        self.call = code(made.code, made.table)

    def run(self, sources, out):
        self.call.run(sources[0], out, sources[1])
