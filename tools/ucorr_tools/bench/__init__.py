"""Benchmarks: layers and networks, counted and verified, and the tables that are made from them."""
