"""`python -m ucorr_tools.qemu`: install what the emulated boards need and build their firmware."""

import sys

from .firmware import BuildError, build_all

try:
    build_all()
except (BuildError, OSError) as error:
    sys.exit(f"Error: {error}")
