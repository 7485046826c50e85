"""Real numbers to integers: float networks, their quantisation and evaluation, kernels learned from examples."""
