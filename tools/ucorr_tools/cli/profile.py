"""The commands that report what a network takes: profile measures it on a target, forecast estimates it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .boards import port_given
from .networks import FILE, json_option, refuse_lost

COLUMNS = ("layer", "output", "MACs", "instructions", "cycles", "µs", "per MAC", "weights", "backend")


@click.command()
@click.argument("model", type=FILE)
@click.option("--target", metavar="TARGET", default="cortex-m4", show_default=True, help="As of simulate.")
@click.option("--port", callback=port_given, metavar="PORT", help="Serial port of a board, instead of a target.")
@click.option("--input", "path", type=FILE, help="A .npy file, as run takes it; else random.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random input.")
@click.option("--picture", type=FILE, metavar="FILE", help="Draw the bars, a picture.")
@json_option
def profile(
    model: str, target: str, port: str | None, path: str | None, seed: int, picture: str | None, as_json: bool
) -> None:
    """Tell what each layer of MODEL, a .tflite file or digits, takes on a target or a board.

    The output is compared with the reference byte for byte first. Emulated cores (cortex-m4 ...) count machine code,
    emulated boards (qemu-m4 ...) everything; a MicroPython process and a real board tell microseconds. A board needs
    `ucorr deploy` before; MODEL is compiled for it, and its file is there only while it is measured.
    """
    from ucorr_host.networks import work

    from ..bench import profiling
    from ..pictures.inputs import read_integers, require_one
    from ..shipped.models import load

    if port is not None:
        refuse_lost("no --port", "--target")
    if path is not None:
        refuse_lost("no --input", "--seed")
    network = load(model)
    work.check(network)
    require_one(network, model)
    x = read_integers(path, network) if path else network.random_input(seed)
    if port:
        from ..boards.board import Board

        with Board(port, soft_reset=True) as board:
            told = profiling.on_board(network, x, board)
    else:
        told = profiling.on_target(network, x, target)
    if picture:
        from ..bench.profile_picture import draw

        draw(told, picture)
    told = {"model": Path(model).stem, **told}
    click.echo(json.dumps(told, indent=1) if as_json else text(told))


def text(told: dict[str, Any]) -> str:
    """A profiling.told() for people: a line for each step, the totals, then what the figures leave out."""
    cells = [list(COLUMNS)]
    for row in (*told["rows"], {"layer": "total", "shape": [], "backend": "", **told["totals"]}):
        figures = [row[name] for name in ("macs", "instructions", "cycles", "microseconds", "per_mac", "weight_bytes")]
        shown = ["–" if n is None else f"{n:.2f}" if isinstance(n, float) else f"{n:,}" for n in figures]
        cells.append([row["layer"], "x".join(map(str, row["shape"])), *shown, row["backend"]])
    units = [n for n, name in enumerate(("instructions", "cycles", "microseconds"), 3)
             if told["totals"][name] is None]  # fmt: skip
    cells = [[cell for n, cell in enumerate(row) if n not in units] for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    last = len(widths) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if n in (0, 1, last) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    per = "ns" if told["unit"] == "microseconds" else told["unit"]
    lines.append(f"equal to the reference byte for byte on {told['target']}; per MAC: {per}")
    return "\n".join(lines + told["notes"])


@click.command()
@click.argument("model", type=FILE)
@click.option("--board", metavar="BOARD", required=True, help="pico, pico2, pyboard, teensy41 or esp32.")
@json_option
def forecast(model: str, board: str, as_json: bool) -> None:
    """Estimate what MODEL, a .tflite file or digits, takes on a BOARD that is not at hand: memory and time.

    Heap and flash under stock MicroPython, whether weights stay in memory or have to be streamed, the layer that needs
    most, milliseconds per inference. Figures of boards come from manuals and sources, which --json names; status 1
    where the network does not fit.
    """
    from ucorr_host.forecast.boards import board as board_of
    from ucorr_host.forecast.estimate import forecast as estimate
    from ucorr_host.networks import work

    from ..shipped.models import load

    row, network = board_of(board), load(model)
    work.check(network)
    found = estimate(network, row)
    if as_json:
        click.echo(json.dumps({**asdict(found), "fits": found.fits, "figures": asdict(row)}, indent=1))
    else:
        click.echo("\n".join(found.sentences))
    if not found.fits:
        what = "heap" if found.verdict == "no" else "flash"
        raise click.ClickException(f"{model}: does not fit the {what} of {board}")
