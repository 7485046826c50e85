"""The command `ucorr`."""
