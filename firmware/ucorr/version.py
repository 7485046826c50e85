"""The version of ucorr: packaging, `ucorr.info()` and the deploy manifest read it here."""

__version__ = "0.3.0"
