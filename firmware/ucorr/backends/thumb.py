"""Thumb: machine code that codegen writes for the shape of a layer, on stock firmware of Cortex-M boards."""

from . import thumb_code  # fails, with the reason, where machine code can't run

# isort: split
from . import generated

_backend = generated.Backend(thumb_code.CORE, thumb_code.Code)
refuses, prepare = _backend.refuses, _backend.prepare
