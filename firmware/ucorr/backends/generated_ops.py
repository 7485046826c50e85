"""The backend for machine code of operators without weights, as generated.py is for layers with weights."""

from array import array

from ..buffers import typed
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
        made = select(op, self.core).Kernel(op, self.core)
        return (Limited if made.check else Plan)(op, made, self.code)


class Plan:
    """An operator of two inputs as machine code; the second input is passed where a layer passes its scratch."""

    typed = False
    packing = None
    scratch_bytes = 0

    def __init__(self, op, made, code):
        self.weight_bytes, self.code_bytes = made.weight_bytes, made.code_bytes
        self.call = code(made.code, made.table)

    def run(self, sources, out):
        self.call.run(sources[0], out, sources[1])


class Limited(Plan):
    """An operator whose items have a limit, which code of its own looks for: it sets a flag."""

    def __init__(self, op, made, code):
        Plan.__init__(self, op, made, code)
        self.op = op
        self.flag = array("i", [0])
        self.check = code(made.check, made.table)
        self.code_bytes += len(made.check)

    def run(self, sources, out):
        self._check("a", sources[0])
        self._check("b", sources[1])
        self.call.run(sources[0], out, sources[1])

    def _check(self, name, x):
        flag = self.flag
        flag[0] = 0
        self.check.run(x, flag, x)
        if flag[0]:
            self.op.check_limit(name, typed(x, self.op.dtype, self.op.length))
