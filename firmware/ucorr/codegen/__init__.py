"""Machine code for Cortex-M, written for the exact shape of a layer.

From the bottom up: thumb_asm.py encodes instructions; scale.py turns sums into outputs;
walk.py, fill.py and planes.py bring the input into scratch; conv.py and filters.py are
the two families of kernels; plan.py chooses between them. DESIGN.md, 5, says why.

A family has refuses(spec, level), table_bytes() and a class that makes `.code` and
`.table`, two bytearrays, for f(x, out, scratch, table): four addresses in r0 to r3, the
last two at whole words. The code keeps r4 to r11 and returns to lr.
"""
