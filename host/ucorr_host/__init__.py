"""The host side of ucorr: the NumPy reference, quantisation, and the simulator."""

from . import reference
from .evaluate import Evaluation, evaluate
from .float_network import FloatNetwork
from .learn import Learned, learn_kernel
from .micropython import TargetError
from .network import Network
from .quantize import quantize_kernel, quantize_multiplier
from .quantize_network import quantize_network
from .simulator import Result, simulate
from .tflite import load_tflite, save_tflite

__all__ = [
    "Evaluation",
    "FloatNetwork",
    "Learned",
    "Network",
    "Result",
    "TargetError",
    "evaluate",
    "learn_kernel",
    "load_tflite",
    "quantize_kernel",
    "quantize_multiplier",
    "quantize_network",
    "reference",
    "save_tflite",
    "simulate",
]
