"""Machine code for Cortex-M, written for the exact shape of a layer.

From the bottom up: thumb_asm.py, thumb1.py and thumb2.py encode instructions; scale_*.py
turn sums into outputs; walk.py, fill_*.py and planes_dsp.py bring the input into scratch;
conv.py has the loops around the kernels of conv_*.py and wide_dsp.py, filters_*.py are the
filters of single channels; plan.py chooses. Files that end in _dsp are for cores with the DSP
extension, those in _v6m for all others. DESIGN.md, 5, says why.

A family has refuses(spec), packings(spec), table_bytes(spec, compact) and a class that
makes `.code` and `.table`, two bytearrays, for f(x, out, scratch, table): four addresses
in r0 to r3, the last two at whole words. The code keeps r4 to r11 and returns to lr.
"""
