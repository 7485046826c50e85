"""The desk side of ucorr: the NumPy reference, quantisation, and the simulator."""

from . import reference
from .micropython import TargetError
from .quantize import quantize_kernel, quantize_multiplier
from .simulator import Result, simulate

__all__ = ["Result", "TargetError", "quantize_kernel", "quantize_multiplier", "reference", "simulate"]
