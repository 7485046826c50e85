"""Kernels for ARMv6-M: products of 32 bits, r0 to r7 for most instructions, no DSP extension."""

KERNELS = ("depthwise", "conv")  # the faster first
INT64 = KERNELS  # those for accumulators of 64 bits, which they refuse
