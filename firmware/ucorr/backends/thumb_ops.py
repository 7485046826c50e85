"""Thumb: machine code of the operators without weights that codegen has kernels for; viper runs the others."""

from . import thumb_code  # fails, with the reason, where machine code can't run

# isort: split
from . import generated_ops

_backend = generated_ops.Backend(thumb_code.CORE, thumb_code.Code)
refuses, prepare = _backend.refuses, _backend.prepare
