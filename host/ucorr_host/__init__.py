"""The host side of ucorr: the NumPy reference, quantisation, and the simulator."""

from . import reference
from .networks.network import Network
from .quantize import quantize_kernel, quantize_multiplier
from .targets.micropython import TargetError
from .targets.simulator import Result, simulate
from .tflite import load_tflite, save_tflite
from .training.evaluate import Evaluation, evaluate
from .training.float_network import FloatNetwork
from .training.learn import Learned, learn_kernel
from .training.quantize_network import quantize_network

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
