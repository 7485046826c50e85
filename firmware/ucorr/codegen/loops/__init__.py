"""The loops around the kernels, shared by all instruction sets, and the parts of tables that they share."""
