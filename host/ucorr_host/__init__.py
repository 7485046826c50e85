"""The desk side of ucorr: the NumPy reference and the simulator."""
