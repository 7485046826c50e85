"""The version of ucorr, told once: packaging, `ucorr.info()` and the deploy manifest read it here."""

__version__ = "0.2.0"
