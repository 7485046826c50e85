"""Machine code for Cortex-M, written for the exact shape of a layer."""
