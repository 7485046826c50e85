"""What `ucorr demo` shows."""
