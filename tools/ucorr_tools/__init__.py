"""What a person runs: the `ucorr` command and its parts."""
