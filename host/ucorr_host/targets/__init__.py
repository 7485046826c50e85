"""Where code runs: CPython, MicroPython on the PC, emulated cores; board_side.py answers messages on every target."""
