"""The `ucorr` command: options in, one report or one sentence out.

Each command imports what it needs when it runs, so that `ucorr --help` is quick and
an extra that is missing concerns only the commands that use it. Exit status: 0
done, 1 failed (one sentence on stderr), 2 wrong usage. `UCORR_TRACEBACK=1` shows
where a failure came from.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from .boards import deploy, port_option, resume_option, verify
from .learn import learn
from .networks import (
    FILE,
    FileName,
    budget_option,
    convert,
    core_option,
    json_option,
    network_info,
    refuse_lost,
    run,
    tell,
)
from .profile import forecast, profile

PIPE_STATUS = 141  # 128 + SIGPIPE


class OneSentence(click.Group):
    """A group whose commands fail with one sentence: BoardError, TargetError, the OSError or ValueError of a wrong file
    or argument, and the MemoryError of one that asks for too much. Anything else is a defect and keeps its traceback.

    What a terminal's encoding lacks is shown as "?". Where the reader of stdout has gone away, as `head` does, the
    status is that of a process that SIGPIPE ends.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with one_sentence():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with one_sentence():
            return super().invoke(ctx)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Errors that a user can cause, as one sentence."""
    from ucorr_host import TargetError

    from ..boards.board import BoardError

    try:
        yield
    except BrokenPipeError:
        sys.exit(PIPE_STATUS)
    except (BoardError, TargetError, OSError, ValueError, MemoryError) as error:
        if os.environ.get("UCORR_TRACEBACK"):
            raise
        said = str(error).partition("\n")[0] or type(error).__name__
        raise click.ClickException(f"no memory: {said}" if isinstance(error, MemoryError) else said) from error


def print_table(rows: dict[str, Any]) -> None:
    """A dict as lines "name: value" with the values in one column."""
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        click.echo(f"{name + ':':<{width}}{value}")


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout, numbers to the right, as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for column, value in zip(columns, rows[0], strict=True):
        grid.add_column(column, justify="right" if value[:1].isdigit() else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    wanted = Console(width=1000).measure(grid).maximum
    Console(width=max(Console().width, wanted)).print(grid)


@click.group(cls=OneSentence, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ucorr")
def main() -> None:
    """Integer cross-correlation on MicroPython boards, bit for bit as on the host."""


main.add_command(convert)
main.add_command(deploy)
main.add_command(forecast)
main.add_command(learn)
main.add_command(profile)
main.add_command(run)
main.add_command(verify)


@main.command()
@click.argument("model", type=FILE, required=False)
@core_option
@budget_option
@click.option("--picture", type=FILE, metavar="FILE", help="Draw the memory plan, a picture.")
@port_option
@resume_option
@json_option
def info(
    model: str | None,
    core: str,
    budget: int | None,
    picture: str | None,
    port: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Tell what a board can do, or what MODEL, a .tflite file or digits, takes on one.

    Without either, what this host can.
    """
    if model is not None:
        refuse_lost("no MODEL", "--port", "--resume")
        told, text = network_info(model, core, budget, picture)
        click.echo(json.dumps(told, indent=1) if as_json else text)
        return
    refuse_lost("a MODEL", "--core", "--budget", "--picture")
    if not port:
        refuse_lost("--port PORT", "--resume")
    rows = board_info(port, resume) if port else host_info()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        print_table({name: readable(value) for name, value in rows.items()})


def board_info(port: str, resume: bool) -> dict[str, Any]:
    """Board.probe(), and what the board's own ucorr.info() says, or why it can't."""
    from ..boards.board import Board, BoardError
    from ..boards.resolve import resolved

    with Board(port, soft_reset=not resume) as board:
        rows = {**board.probe(), "package": resolved(board, "ucorr") or "none"}
        try:
            return {**rows, **board.eval("__import__('ucorr').info()")}
        except BoardError as error:
            if not error.traceback:
                raise
            return {**rows, "ucorr": f"none ({error.traceback.strip().splitlines()[-1]})"}


def host_info() -> dict[str, Any]:
    """Versions of what computes here, and each backend's state."""
    import numpy
    import ucorr

    return {"python": platform.python_version(), "numpy": numpy.__version__, **ucorr.info()}


def readable(value: Any) -> str:
    """A value of a report for a person: None is "unknown", a list is comma separated."""
    if value is None:
        return "unknown"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


@main.command()
@click.option(
    "--output",
    type=FILE,
    metavar="FILE",
    default="ucorr-demo.png",
    show_default=True,
    help="Where the contact sheet goes.",
)
@json_option
def demo(output: str, as_json: bool) -> None:
    """Filter a photograph and read digits on a real MicroPython, and compare every bit with NumPy."""
    from dataclasses import asdict

    from ..demo.image import demo as run_demo

    rows, said, good = run_demo(output)
    if as_json:
        click.echo(json.dumps({"rows": [asdict(row) for row in rows], "said": said, "good": good}, indent=1))
    else:
        show_table(
            "A photograph and a network on every target, against the NumPy reference",
            ["problem", "kernel to output", "MACs", "target", "backend", "ms", "equal"],
            [
                [
                    row.problem,
                    row.shape,
                    f"{row.macs:,}",
                    row.target,
                    row.backend,
                    f"{row.milliseconds:.2f}",
                    "yes" if row.equal else "NO",
                ]
                for row in rows
            ],
        )
        for sentence in said:
            click.echo(sentence)
        click.echo(f"contact sheet: {output}")
    if not good:
        raise click.ClickException("an output differs from the reference")


def geometry(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that filter and simulate share: which image, which kernel, how it moves, what outputs mean."""
    for option in (
        click.option("--bias", type=int, help="Added to each sum before it is scaled."),
        click.option("--signed/--unsigned", default=None, help="Outputs -128..127, 0 at mid grey; or 0..255."),
        click.option("--divide", type=click.IntRange(1), help="Divide each sum, rounded to nearest."),
        click.option("--shift", type=click.IntRange(-31, 30), help="Multiply each sum by 2**SHIFT."),
        click.option("--border", type=click.Choice(["constant", "edge", "reflect"]), default="edge", show_default=True),
        click.option("--padding", type=click.Choice(["valid", "same"]), show_default="same"),
        click.option("--dilation", type=click.IntRange(1), default=1, show_default=True),
        click.option("--stride", type=click.IntRange(1), default=1, show_default=True),
        click.argument("kernel"),
        click.argument("image", type=FileName(exists=True, dir_okay=False)),
    ):
        command = option(command)
    return command


def filter_of(image: str, kernel: str, words: dict[str, Any]) -> Any:
    """The filters.Filter of an image file's grey; notes on what was made of either go to stderr."""
    from ..pictures.filters import image_filter
    from ..pictures.inputs import read_picture
    from ..pictures.kernel_text import Scale
    from ..pictures.picture import grey

    said = Scale(**{name: words[name] for name in ("shift", "divide", "signed", "bias", "padding")})
    geometry = {name: words[name] for name in ("stride", "dilation", "border")}
    found = image_filter(kernel, grey(read_picture(image)), said, **geometry)
    if found.worst_error:
        tell([f"{kernel}: weights rounded to 8 bits, by {found.worst_error:.3g} at most"])
    return found


@main.command("filter")
@geometry
@click.argument("output", type=FILE)
def filter_(image: str, kernel: str, output: str, **words: Any) -> None:
    """Filter the grey of IMAGE with KERNEL and write the result to OUTPUT, in the format of its suffix.

    KERNEL is a name (sobel-x, sobel-y, gaussian, sharpen, laplacian, edge-pair, identity) or a text file
    with a row of numbers per line; numbers with a decimal point or an exponent make a float kernel. A file's sums are
    grey levels as they are, unless an option or a line "# ucorr filter --signed --shift -3" in the file says how they
    are scaled; a name brings its scale. Levels outside of 0..255 are clipped and counted; signed ones are drawn with 0
    at mid grey.
    """
    from ..pictures.picture import save

    made = filter_of(image, kernel, words)
    result, clipped = made.problem.expected(), made.clipped()
    tell(save(result, output))
    text = f"{output}: {result.shape[1]}x{result.shape[0]} {result.dtype}, {result.min()}..{result.max()}"
    click.echo(text + (f", {clipped} of {result.size} pixels clipped" if clipped else ""))


@main.command()
@geometry
@click.option(
    "--target",
    metavar="TARGET",
    default="micropython",
    show_default=True,
    help="cpython, micropython, cortex-m4 ..., or qemu-m4 ...",
)
@click.option("--backend", default=None, help="Force a backend; the fastest otherwise.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Timed runs; the best counts.")
@json_option
def simulate(
    image: str, kernel: str, target: str, backend: str | None, repeat: int, as_json: bool, **words: Any
) -> None:
    """Filter the grey of IMAGE with KERNEL on a target and compare every bit with the reference."""
    import numpy as np
    from ucorr_host.targets.simulator import simulate as run_simulation

    problem = filter_of(image, kernel, words).problem
    result = run_simulation(problem.make(), problem.x, target, backend=backend, repeat=repeat)
    (layer,) = result.layers
    equal = bool(np.array_equal(result.output, problem.expected()))
    told = {
        "target": target,
        "backend": layer.backend,
        "out_shape": list(layer.shape),
        "macs": layer.macs,
        "microseconds": layer.microseconds,
        "instructions": layer.instructions,
        "equal": equal,
    }
    if as_json:
        click.echo(json.dumps(told, indent=1))
    else:
        print_table({name.replace("_", " "): readable(value) for name, value in told.items()})
    if not equal:
        raise click.ClickException("the output differs from the reference")


@main.command()
@click.option("--target", metavar="TARGET", default="micropython", show_default=True, help="As of simulate, or host.")
@click.option("--layers", default="abcdefghi", show_default=True, help="Letters of the layers, a to s.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="thumb, viper, naive or portable; repeatable. All there are if not given.",
)
@json_option
def bench(target: str, layers: str, backends: tuple[str, ...], as_json: bool) -> None:
    """Measure named layers on a target; each result is verified first.

    An emulated core (cortex-m4 ...: generated code alone) or board (qemu-m4 ...) counts instructions. A MicroPython
    process gives times, of which only ratios say something. host times the NumPy reference beside scipy. naive is a
    viper loop as one writes it first.
    """
    from ucorr_host.targets.simulator import targets

    from ..bench import layers as benchmarks

    if target != "host" and target not in targets():
        raise click.UsageError(f"--target: {target!r}, wanted host or one of {' '.join(targets())}")
    unknown = sorted(set(layers) - set(benchmarks.LETTERS)) + sorted(set(backends) - set(benchmarks.BACKENDS))
    if unknown:
        raise click.UsageError(f"unknown layer or backend: {' '.join(unknown)}")
    if not layers:
        raise click.UsageError("--layers: none, wanted letters from a to s")
    if target == "host":
        refuse_lost("another target", "--layers", "--backend")
        result = benchmarks.host()
        click.echo(json.dumps(result, indent=1) if as_json else "\n".join(map(str, result["reference"])))
        return

    def tell(row: dict[str, Any]) -> None:
        instructions, nanoseconds = row["instructions_per_mac"], row["nanoseconds_per_mac"]
        figure = row["reason"] or ""
        if instructions is not None:
            figure = f"{instructions:10.2f} instructions/MAC"
        elif nanoseconds is not None:
            figure = f"{nanoseconds:10.2f} ns/MAC"
        click.echo(f"{row['layer']}  {row['name']:<26}{row['backend']:<10}{figure}  {row['packing'] or ''}".rstrip())

    result = benchmarks.bench(target, layers, backends or None, None if as_json else tell)
    if as_json:
        click.echo(json.dumps(result, indent=1))
