"""The generator of machine code for the exact shape of a layer: assemblers, loops, and a folder of kernels for each
instruction set.

    cores.py     the table of cores: instruction set, features, how code is called
    plan.py      which kernel and which packing a layer gets, with every refusal
    operators.py which kernel an operator without weights gets
    asm/         assembler.py (labels, branches, checks), thumb1.py and thumb2.py
    loops/       what every instruction set shares: rows of the input, the loops of a convolution, the table
    armv6m/      kernels for Cortex-M0, M0+ and M3
    armv7em/     kernels for Cortex-M4, M7 and M33, with the DSP extension

A folder of an instruction set has the same names as the others: conv and depthwise (kernels of layers with weights),
row_sum and add, pack_rows (the input into scratch), requantize (accumulators to outputs).

A kernel of a layer with weights has refuses(spec), packings(spec), table_bytes(spec, compact) and a class Kernel that
makes `.code` and `.table`, two bytearrays, for f(x, out, scratch, table): four addresses in r0 to r3, the last two at
whole words. The code keeps r4 to r11 and returns to lr. A kernel of an operator without weights has refuses(op) and a
class Kernel.
"""


def module(core, *name):
    """The module `name` in the folder of a core's instruction set, imported now; without a name, the package itself."""
    return __import__(".".join((__name__, core.isa) + name), None, None, ("KERNELS",))
