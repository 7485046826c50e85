"""Kernels for ARMv7E-M and ARMv8-M with the DSP extension: two products of 16 bits and their sum in an instruction."""

KERNELS = ("depthwise", "conv")  # the faster first
INT64 = ("conv_int64",)  # those for accumulators of 64 bits
