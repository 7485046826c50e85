"""Emulated boards: MicroPython's own firmware for real instruction sets, in QEMU, on a serial line.

    machines.py   the boards: core, QEMU machine, where the disk lies, which timer counts instructions
    boards/       what MicroPython's build system needs to make the firmware of each
    firmware.py   fetch MicroPython's source, build the firmware into a cache outside the repository
    emulator.py   one running board: a port for mpremote, and its registers when it dies
    targets.py    the boards as targets of `simulate` and `bench`

The firmware is unpatched. It has what the RP2040's has (native emitters, inline assembler, littlefs), and no clock.
An idle prompt keeps a core of the host busy, so no more boards run at a time than emulator.BOARDS.
"""
