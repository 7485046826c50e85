"""The commands of `ucorr` that work on boards, one after the other: deploy and verify."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource
from ucorr.backends import NAMES

from .networks import FILE, json_option


def port_given(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """The port or ports as given. raises ValueError for an empty one: a script's unset variable must not mean
    that no board is wanted"""
    name, ports = "--port", (value,) if isinstance(value, str) else value or ()
    if isinstance(param.envvar, str) and ctx.get_parameter_source(param.name or "") != ParameterSource.COMMANDLINE:
        name, ports = param.envvar, (os.environ.get(param.envvar, "unset"),)
    for port in ports:
        if not port.strip():
            raise ValueError(f"{name}: {port!r}, wanted the name of a serial port, such as /dev/ttyACM0")
    return value


port_option = click.option(
    "--port", envvar="UCORR_PORT", callback=port_given, metavar="PORT", help="Serial port of the board, or $UCORR_PORT."
)
ports_option = click.option(
    "--port", "ports", multiple=True, envvar="UCORR_PORT", callback=port_given, metavar="PORT",
    help="Serial port of the board, or $UCORR_PORT; repeat it for several boards.",
)  # fmt: skip
resume_option = click.option(
    "--resume", is_flag=True, help="Don't soft-reset the board first; what is in its memory stays."
)


def on_boards(
    command: str, ports: tuple[str, ...], resume: bool, work: Callable[[Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What work(board) says of each board, one after the other, or {"port", "error"} of one that failed."""
    from ..boards.board import Board, BoardError

    if not ports:
        raise click.UsageError(f"{command} needs --port PORT, or UCORR_PORT in the environment.")
    rows: list[dict[str, Any]] = []
    for port in ports:
        try:
            with Board(port, soft_reset=not resume) as board:
                rows.append({"port": port, **work(board)})
        except BoardError as error:
            if len(ports) == 1:
                raise
            rows.append({"port": port, "error": str(error)})
    return rows


def finish(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print the rows of boards, with the port of each where there are several; exit with status 1 if one failed."""
    if as_json:
        told: Any = {"boards": rows}
        if len(rows) == 1:
            told = {name: value for name, value in rows[0].items() if name not in ("port", "error")}
        click.echo(json.dumps(told, indent=2))
    errors = [f"{row['port']}: {row['error']}" for row in rows if "error" in row]
    if errors and len(rows) == 1:
        raise click.ClickException(rows[0]["error"])
    if errors:
        raise click.ClickException(f"{len(errors)} of {len(rows)} boards failed: " + "; ".join(errors))


class copy_progress:
    """`with copy_progress() as progress:` a bar on stderr that progress(what, done, total) moves; nothing
    appears before the first call, nor where stderr is no terminal."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True)
        )
        self.bar.disable = not self.bar.console.is_terminal
        self.bar.start()
        return self.update

    def update(self, what: str, done: int, total: int) -> None:
        if not self.bar.tasks:
            self.bar.add_task(what, total=total)
        self.bar.update(self.bar.tasks[0].id, description=what, completed=done)

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()


@click.command()
@ports_option
@click.option("--mpy", is_flag=True, help="Deploy compiled .mpy files: less memory and time to import.")
@click.option(
    "--target",
    default="/lib",
    show_default=True,
    metavar="PATH",
    help="Directory on the board, an absolute path; /flash/lib where it starts in /flash.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be done; write nothing.")
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    help="Also a network, a .tflite file, one that convert wrote, or digits, and a main.py that runs it.",
)
@click.option("--labels", type=FILE, metavar="FILE", help="The model's classes, one per line.")
@click.option(
    "--force",
    is_flag=True,
    help="Remove files in the package's directory that are not ucorr's; with --model, replace a main.py that is there.",
)
@resume_option
@json_option
def deploy(
    ports: tuple[str, ...],
    model: str | None,
    labels: str | None,
    force: bool,
    resume: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Copy the package ucorr to a board, or to several, files that differ only; with --model a network too.

    A .tflite file is compiled for the core that the board says. A main.py that is there already is kept, and files in
    the package's directory that are not ucorr's.
    """
    from ..boards.board_files import board_path
    from ..boards.deploy_model import read_model, told

    if model is None and labels is not None:
        raise click.UsageError("--labels go with --model FILE.")
    board_path(words["target"], "--target")
    network = None if model is None else read_model(model, labels)

    def copy(board: Any) -> dict[str, Any]:
        with copy_progress() as progress:
            return told(board, network, force, progress=progress, **words)

    rows = on_boards("deploy", ports, resume, copy)
    for row in rows:
        summary = row.pop("summary", "")
        if not as_json and summary:
            click.echo(summary if len(rows) == 1 else f"{row['port']}: {summary}")
    finish(rows, as_json)


@click.command()
@ports_option
@click.option("--report", "path", type=FILE, metavar="FILE", help="Write all that was found out, as .json or .html.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(NAMES),
    help="These only, for a board that has no room for all at once; may be repeated.",
)
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    help="Instead of the named problems, the network of this .tflite file, or digits, which deploy --model put there.",
)
@click.option(
    "--input",
    "given",
    type=FILE,
    metavar="FILE",
    help="With --model: its input, as run takes it; a few random ones otherwise.",
)
@click.option("--file", metavar="PATH", help="With --model: where it lies on the board, if not where deploy puts it.")
@resume_option
@json_option
def verify(
    ports: tuple[str, ...],
    path: str | None,
    backends: tuple[str, ...],
    model: str | None,
    given: str | None,
    file: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Run the named test cases on a board, or on several, and compare every bit with the reference; or a network."""
    from ..boards import report
    from ..boards.board import BoardError
    from ..boards.resolve import resolved
    from ..boards.verify import verify as run_verify

    if path and not path.endswith(report.FORMATS):
        raise click.UsageError(f"--report takes a file that ends in {' or '.join(report.FORMATS)}.")
    of_model = given is not None or file is not None
    if (path or backends) if model is not None else of_model:
        raise click.UsageError("--input and --file go with --model FILE, --report and --backend without it.")
    if model is not None:
        from ..boards.verify_model import model_check

        work = model_check(model, given, file, None if as_json else click.echo)
        finish(on_boards("verify", ports, resume, work), as_json)
        return

    def tell(row: Any) -> None:
        time = "" if row.microseconds is None else f"{row.microseconds / 1000:.2f} ms"
        click.echo(f"{row.problem:<20}{row.backend:<10}{time:>12}  {'equal' if row.equal else row.said}")

    def check(board: Any) -> dict[str, Any]:
        if len(ports) > 1 and not as_json:
            click.echo(f"{board.port}:")
        states, rows = run_verify(board, progress=None if as_json else tell, names=backends)
        found = {"package": resolved(board, "ucorr"), "backends": states, "rows": report.rows_of(rows)}
        wrong = sum(not row.equal for row in rows)
        ran = {row.backend for row in rows}
        idle = [f"{name} ({states[name]})" for name in backends or ({} if rows else states) if name not in ran]
        if not as_json:
            for name, state in states.items():
                if state != "ok":
                    click.echo(f"no {name} here: {state}")
            click.echo(f"ucorr is {found['package']}")
            click.echo(f"{len(rows) - wrong} of {len(rows)} equal the reference bit for bit")
        if path:
            found |= report.facts(board)
        errors = [f"{wrong} of {len(rows)} problems failed on the board"] if wrong else []
        errors += [f"nothing ran on {' or '.join(idle)}"] if idle else []
        return {**found, "error": "; ".join(errors)} if errors else found

    try:
        boards = on_boards("verify", ports, resume, check)
    except BoardError as error:
        if path and ports:
            try:
                report.write(report.whole([{"port": ports[0], "error": str(error)}]), path)
            except OSError as unwritten:
                raise BoardError(f"{error}; no report: {unwritten}") from error
        raise
    try:
        if path:
            report.write(report.whole(boards), path)
    finally:  # what was found out is reported, report or not
        finish(boards, as_json)
