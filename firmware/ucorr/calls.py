"""Calls, the base class of layers and operators: checks the buffers of a call; one call runs at a time.

The buffers of the last two calls are remembered. A call with one of these sets compares only the address and the
length of each buffer; it allocates nothing.
"""

from . import buffers

try:
    from _thread import allocate_lock
except ImportError:
    allocate_lock = None


def _refuse():
    raise RuntimeError("call: came while another one runs, wanted one at a time (both would use one memory)")


_OUTCOMES = _refuse, bool  # index 0: refuse, 1: go on (bool() does nothing)

# `with busy:` is a block that one caller at a time is in; a second one does not wait, it gets a RuntimeError. No branch
# lies before the block: MicroPython raises a KeyboardInterrupt at branches, and busy would stay taken.

if allocate_lock:

    class Busy:
        def __init__(self):
            self._lock = allocate_lock()

        def __enter__(self):
            _OUTCOMES[self._lock.acquire(0)]()

        def __exit__(self, kind, error, trace):
            self._lock.release()

else:  # without threads only a callback interrupts a call, and it ends before the call goes on

    class Busy:
        def __init__(self):
            self._free = True

        def __enter__(self):
            free = self._free
            self._free = False
            _OUTCOMES[free]()

        def __exit__(self, kind, error, trace):
            self._free = True


class Calls:
    """A layer, or an operator without weights, that can be called. A subclass has _compute(inputs, out).

    problem  shapes and dtypes that buffers.check() compares the buffers with
    plan     of a backend; backends/__init__.py has the contract
    """

    def _bind_calls(self, problem, plan):
        self._problem, self.plan = problem, plan
        self._calls = ()
        self._busy = Busy()

    def __repr__(self):
        """Class, shapes, dtypes, backend, bytes; lengths in place of a shape for an operator without input_shape."""
        p = self._problem
        what = type(self).__name__, getattr(p, "input_shape", p.lengths), p.dtype, self.out_shape, p.out_dtype
        memory = self.backend, self.weight_bytes, self.scratch_bytes
        return "%s(%r %s -> %r %s, %s, weights %d bytes, scratch %d)" % (what + memory)

    def _call(self, first, second, out):
        """Check and compute: one input, two, or a tuple of them as the first. The caller is in _busy."""
        for call in self._calls:
            if call[0] is first and call[1] is second and call[2] is out and not buffers.moved(call[3]):
                self._compute(call[4], call[5])
                return out
        inputs, target = self._checked(first, second, out)
        self._compute(inputs, target)
        return out

    def _checked(self, first, second, out):
        """(inputs, output) as the plan wants them. A separate method: a comprehension's variables are allocated."""
        problem = self._problem
        inputs, names = (first,), ("x",)
        if isinstance(first, tuple):
            inputs = tuple(first)  # its items alone: a subclass may give others by number
            names = ["parts[%d]" % n for n in range(len(inputs))]
            if len(inputs) != len(problem.lengths):
                raise TypeError("parts: %d buffers, wanted %d" % (len(inputs), len(problem.lengths)))
        elif second is not None:
            inputs, names = (first, second), ("a", "b")
        buffers.check(problem, inputs, names, out)
        marks = buffers.marks(inputs + (out,))
        target = out
        if self.plan.typed:
            inputs = [buffers.typed(x, problem.dtype, length) for x, length in zip(inputs, problem.lengths)]
            target = buffers.typed(out, problem.out_dtype, problem.output_length)
            if second is first:
                inputs[1] = inputs[0]
        self._calls = self._calls[-1:] + ((first, second, out, marks, inputs, target),)
        return inputs, target
