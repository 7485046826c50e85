"""The table of cores. A core is an instruction set with its features: one row here, one in the host's cores.py.

Code asks a core for a feature (`core.dsp`), never for its name. A core's machine code may be that of another one: cores
with the same number run the same code, and a network's file holds that number.
"""


class Core:
    """
    name    as `compile` and `simulate` take it
    isa     the instruction set of its machine code
    number  of that code in a network's file (format.py), 1..; 0 is a file without
    arches  sys.implementation._mpy >> 10 & 15 of its firmware, as MicroPython's docs/reference/mpyfiles numbers them:
            4 armv6m, 5 armv7m, 6 armv7em, 7 armv7emsp, 8 armv7emdp
    part    bits 4 to 15 of CPUID, from its Technical Reference Manual; None: all that no other row lists
    dsp     has the DSP extension: products of 16-bit pairs
    entry   added to the address of code when it is called: 1, the Thumb state
    """

    def __init__(self, name, isa, number, arches, part=None, dsp=False, entry=1):
        self.name, self.isa, self.number, self.arches, self.part = name, isa, number, arches, part
        self.dsp, self.entry = dsp, entry


CORES = (
    Core("cortex-m0plus", "armv6m", 6, (4,)),
    # without the DSP extension a Cortex-M0's code is the best for it; its firmware may say armv7em
    Core("cortex-m3", "armv6m", 6, (5, 6), 0xC23),
    Core("cortex-m4", "armv7em", 8, (6, 7, 8), dsp=True),
    Core("cortex-m7", "armv7em", 8, (6, 7, 8), 0xC27, dsp=True),
    Core("cortex-m33", "armv7em", 8, (6, 7, 8), 0xD21, dsp=True),
)


def detect(arch, part):
    """The core of a board, or None where the table has none for it.

    arch  number of its firmware's architecture
    part  function that reads the part of CPUID; called where several cores have that architecture
    """
    those = [core for core in CORES if arch in core.arches]
    number = part() if len(those) > 1 else None
    found = None
    for core in those:
        if core.part == number:
            return core
        if core.part is None or number is None:  # the one for all other parts, or the only one
            found = core
    return found
