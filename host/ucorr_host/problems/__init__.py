"""Test cases: a layer, its input and the output of the reference."""
