"""The backend for machine code that codegen generates for the shape of a layer: one Backend per core.

thumb.py makes the Backend of a Cortex-M board; the host makes one for each core that it emulates.
"""

from ..codegen import module
from ..codegen.plan import Plan, select


class Backend:
    """A backend, with the contract of backends/__init__.py, for one core.

    core  of codegen/cores.py
    code  class that calls machine code: code(code, table).run(x, out, scratch), three buffers
    """

    def __init__(self, core, code):
        self.core, self.code = core, code
        for name in module(core).KERNELS:  # imported while the heap is tidy
            module(core, name)

    def refuses(self, spec, budget=None):
        """None, or why there is no machine code for a layer on this core."""
        found = select(spec, self.core, budget)
        return found if isinstance(found, str) else None

    def prepare(self, spec, budget=None):
        """The plan of a layer: its code, ready to run."""
        plan = Plan(spec, self.core, budget)
        plan.call = self.code(plan.code, plan.table)
        plan.run = plan.call.run
        return plan
