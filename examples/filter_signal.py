"""Remove a buzz from a signal, block by block. After `ucorr deploy`: mpremote run examples/filter_signal.py

With a real sensor two lines change: (1) and (2).
"""

from array import array

import ucorr

BLOCK = 64  # samples that arrive at a time


def sample(n):  # (1) import machine; adc = machine.ADC(26)
    """Stand in for a converter: a slow triangle of +-5000 and a buzz of +-3000 on top."""
    return 100 * abs(n % 200 - 100) - 5000 + (3000 if n % 2 else -3000)


# Weights add up to 16 = 2**4, so the shift makes the output as large as the input. stream=True keeps the last
# samples of a block for the first outputs of the next: any cut into blocks gives the same output.
low_pass = ucorr.Correlate1D([1, 4, 6, 4, 1], BLOCK, dtype="h", out_dtype="h", shift=-4, stream=True)
block, smooth = array("h", bytes(2 * BLOCK)), array("h", bytes(2 * BLOCK))  # int16

for number in range(4):
    for n in range(BLOCK):
        block[n] = sample(BLOCK * number + n)  # (2) block[n] = adc.read_u16() - 32768, at even intervals
    low_pass(block, smooth)
    print(f"block {number}: raw {min(block)}..{max(block)}, smooth {min(smooth)}..{max(smooth)}")
