"""Operators without weights: pools, sums and products, tables, softmax, pads and other copies of items.

Each is made once from shapes and integers, checked like a layer with weights, and then called
with buffers: op(x, out), op(a, b, out) for two inputs, op(parts, out) for Concatenate. A call
with the same buffers again allocates nothing; one call runs at a time, as for any layer. Scales are integers made on
the host; ucorr_host.reference has the same functions under the same names.

An operator's class is its row; everything else that depends on the operator is derived from it:

    kind        its name in a network's steps
    fields      its record in a network's file, as format.py describes records; a field is an attribute of the layer, or
                an option as it was given
    first       the fields that the class takes by position, after a table
    only_table  fields that tell a table's size alone; table_bytes(fields, most) is that size, in a file of `most` bytes
    runs        "file.Class" of its plan: Class of portable_ops.py, and of viper_<file>.py, in backends
    in_place    whether the output may be written over an input of its size

The place in ucorr.OPERATORS gives its number in a file, and the file here that holds it: no other is imported for it.

A backend reads an operator's attributes: `kind`, `dtype`, `lengths` of its inputs, `out_shape`, `output_length`, and
those of its class.
"""

from .. import OPERATORS, backends
from ..arguments import integer, size_of
from ..calls import Calls
from ..fixedpoint import LIMITS

FIRST_NUMBER = 3  # of the operators in a file: format.py has two other kinds of steps


def named(name):
    """The class of an operator, by its public name; its file is imported."""
    file = OPERATORS[OPERATORS.index(name) + 1]
    return getattr(__import__(__name__ + "." + file, None, None, (name,)), name)


def numbered(number):
    """The class of an operator, by its number in a file."""
    return named(OPERATORS[2 * (number - FIRST_NUMBER)])


def four(shape):
    """A shape of up to four dimensions with ones in front, so that it has four."""
    return (1,) * (4 - len(shape)) + shape


class Op(Calls):
    """A layer without weights, bound to a backend.

    raises TypeError or ValueError naming the argument, what came and what was wanted, before any pointer is taken
    """

    family = "_ops"  # of backends/__init__.py
    in_place = False
    only_table = ()
    exact_length = True
    scratch_bytes = macs = 0

    def _bind(self, dtype, lengths, out_shape, backend):
        self.dtype = self.out_dtype = dtype
        self.lengths = lengths
        self.out_shape = out_shape
        self.output_length = size_of(out_shape)
        self.backend, plan = backends.choose(self, backend)
        self._bind_calls(self, plan)
        self.weight_bytes = plan.weight_bytes

    def __call__(self, x, out):
        with self._busy:
            return self._call(x, None, out)

    def _compute(self, inputs, out):
        self.plan.run(inputs, out)

    def _range(self, lowest, highest):
        """Set the activation range; None is the dtype's end."""
        lo, hi = LIMITS[self.dtype]
        self.activation_min = lo if lowest is None else integer("activation_min", lowest, lo, hi)
        self.activation_max = hi if highest is None else integer("activation_max", highest, lo, hi)
        if self.activation_min > self.activation_max:
            raise ValueError(
                "activation_min: %d, wanted at most activation_max %d" % (self.activation_min, self.activation_max)
            )
