"""The desk side of ucorr: the NumPy reference, quantisation, and the simulator."""

from . import reference
from .micropython import TargetError
from .network import Network
from .quantize import quantize_kernel, quantize_multiplier
from .simulator import Result, simulate
from .tflite import load_tflite

__all__ = [
    "Network",
    "Result",
    "TargetError",
    "load_tflite",
    "quantize_kernel",
    "quantize_multiplier",
    "reference",
    "simulate",
]
