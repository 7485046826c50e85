"""The command `ucorr learn`: a kernel from two pictures."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from .networks import FILE, json_option


@click.command()
@click.argument("input", type=FILE)
@click.argument("output", type=FILE)
@click.option("--size", default="3x3", show_default=True, metavar="HxW", help="Of the kernel, rows by columns.")
@click.option("--bias", is_flag=True, help="Let a constant be added.")
@click.option(
    "--signed", is_flag=True, help="OUTPUT is drawn with 0 at mid grey, as ucorr filter draws signed results."
)
@click.option("--output", "path", type=FILE, help="Write the kernel, a file for ucorr filter.")
@json_option
def learn(input: str, output: str, size: str, bias: bool, signed: bool, path: str | None, as_json: bool) -> None:
    """Find the kernel that makes the picture OUTPUT of the picture INPUT, grey by grey.

    OUTPUT is as large as INPUT, or smaller by what a kernel of the size takes away. The kernel is printed as rows of
    integers after a line that says how `ucorr filter`, which takes them from a file, scales their sums. Only outputs
    whose window lies within INPUT are looked at.
    """
    import numpy as np
    from ucorr_host import learn_kernel

    from ..files import write
    from ..pictures.inputs import read_picture
    from ..pictures.picture import grey

    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", size)
    if not found:
        raise click.UsageError(f"--size: {size!r}, wanted rows x columns such as 5x5.")
    x, y = grey(read_picture(input)), grey(read_picture(output))
    if signed:
        y = (y.astype(np.int16) - 128).astype(np.int8)
    learned = learn_kernel(x, y, (int(found[1]), int(found[2])), bias=bias)
    text = kernel_text(learned, signed)
    if path:
        write(path, text.encode())
    if as_json:
        click.echo(json.dumps(told(learned)))
        return
    if not path:
        click.echo(text, nl=False)
    click.echo(f"# integers times 2**{learned.shift}, bias {learned.bias_ints * 2.0**learned.shift:g}")
    click.echo(
        f"# greatest error {learned.worst_error:g} grey levels, {learned.float_error:.3g} of the unrounded kernel"
    )
    if not learned.determined:
        click.echo(f"# the pictures determine {learned.rank} of {learned.unknowns} weights: the least of many kernels")


def kernel_text(learned: Any, signed: bool) -> str:
    """The text of a kernel file with which `ucorr filter` gives the outputs of the learned kernel."""
    from ..pictures.kernel_text import Scale, written

    padding = None if any(map(any, learned.padding)) else "valid"
    scale = Scale(learned.shift, None, signed or None, learned.bias_ints or None, padding)
    return written(learned.ints, scale)


def told(learned: Any) -> dict[str, Any]:
    """A Learned as plain values."""
    return {
        "kernel": learned.ints.tolist(),
        "shift": learned.shift,
        "bias": learned.bias_ints,
        "padding": [list(pair) for pair in learned.padding],
        "rank": learned.rank,
        "unknowns": learned.unknowns,
        "float_error": learned.float_error,
        "worst_error": learned.worst_error,
    }
