"""The commands of `ucorr` that take a network: convert and run; and what info says of one."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import click
from click.core import ParameterSource
from ucorr.codegen.cores import CORES

TOP = 5  # classes that run shows


class FileName(click.Path):
    """The name of a file. An empty one is refused: a script's unset variable must not mean that none is given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("empty, wanted the name of a file", param, ctx)
        return super().convert(value, param, ctx)


FILE = FileName(dir_okay=False)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")
core_option = click.option(
    "--core", default="any", show_default=True, metavar="CORE", help=f"any, {', '.join(core.name for core in CORES)}."
)
budget_option = click.option(
    "--budget", type=click.IntRange(0), metavar="BYTES", help="The most that packed weights may take."
)


def refuse_lost(wanted: str, *options: str) -> None:
    """Nothing, or wrong usage where the command line has one of the options, which would mean nothing."""
    context = click.get_current_context()
    names = {option: param.name for param in context.command.params for option in param.opts}
    given = context.get_parameter_source
    lost = [option for option in options if given(names[option] or "") == ParameterSource.COMMANDLINE]
    if lost:
        raise click.UsageError(f"{' and '.join(lost)}: wanted {wanted} beside it.")


def tell(notes: list[str]) -> None:
    """Notes on stderr, a line each, apart from what a command prints."""
    for note in notes:
        click.echo(note, err=True)


def network_info(model: str, core: str, budget: int | None, picture: str | None) -> tuple[dict[str, Any], str]:
    """(plain values, text) of a model as a board would have it; writes the memory plan's picture if asked."""
    from ucorr_host.networks import summary
    from ucorr_host.networks.compile import compile

    from ..shipped.models import load

    told = summary.report(compile(load(model), core, budget))
    if picture:
        from ..pictures.memory import draw

        draw(told, picture)
    return told, summary.text(told)


@click.command()
@click.argument("model", type=FILE)
@click.argument("output", type=FILE)
@core_option
@budget_option
@click.option("--labels", type=FILE, help="Text file, a class per line.")
@json_option
def convert(model: str, output: str, core: str, budget: int | None, labels: str | None, as_json: bool) -> None:
    """Compile MODEL, a .tflite file or digits, into OUTPUT, one file for a board.

    CORE any keeps weights as they are, and a board packs them when it loads the file; a Cortex-M gets its machine code.
    """
    from ucorr_host.networks import summary
    from ucorr_host.networks.compile import compile

    from ..boards.deploy_model import labelled
    from ..files import write
    from ..shipped.models import load

    compiled = compile(labelled(load(model), labels), core, budget)
    write(output, compiled.to_bytes())
    told = summary.report(compiled)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(
        f"{output}: {told['file_bytes']:,} bytes for {core}, {told['macs']:,} MACs,"
        f" arena {told['arena_bytes']:,}, scratch {told['scratch_bytes']:,} bytes\nSHA-256 {told['sha256']}"
    )


@click.command()
@click.argument("model", type=FILE)
@click.argument("input", type=FILE, required=False)
@click.option("--output", type=FILE, help="Write the integers of the output, a .npy file.")
@click.option("--target", metavar="TARGET", help="Run it there as well, as of simulate, and compare every byte.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="COUNT", help="Operations that a sample may take.  [default: 10**10]"
)
@json_option
def run(
    model: str, input: str | None, output: str | None, target: str | None, limit: int | None, as_json: bool
) -> None:
    """Run MODEL, a .tflite file or digits, on INPUT: what LiteRT's reference kernels compute, to the bit.

    INPUT is a .npy file of the model's integers, or of real numbers, one sample or many; or a picture of the input's
    size, whose pixels are taken as they are, less 128 where the input is signed. digits has images of its own.
    """
    import numpy as np
    from ucorr_host.networks import work

    from ..files import write
    from ..pictures.inputs import read_integers, require_one
    from ..shipped.models import load, shipped

    known = shipped(model)
    if input is None and known is None:
        raise click.UsageError("Missing argument 'INPUT'.")
    network = load(model)
    require_one(network, model)
    work.check(network, work.OPERATIONS if limit is None else limit, "; --limit raises it")
    x = known.samples() if known and input is None else read_integers(input or "", network)
    found = np.asarray(network.run(x))
    if output:
        buffer = BytesIO()
        np.save(buffer, found)
        write(output, buffer.getvalue())
    real = network.dequantize_output(found)
    rows = real.reshape(-1, real.shape[-1])
    told = {"output": found.tolist(), "real": real.tolist(), "classes": rows.argmax(1).tolist()}
    there, text = ({}, "") if target is None else on_target(network, x, found, target)
    if as_json:
        click.echo(json.dumps(told | there))
    else:
        for row in rows[:TOP]:
            best = np.argsort(-row, kind="stable")[:TOP]
            names = [network.labels[n] if n < len(network.labels) else f"class {n}" for n in best]
            click.echo("  ".join(f"{name} {row[n]:.4g}" for name, n in zip(names, best, strict=True)))
        if len(rows) > TOP:
            click.echo(f"... {len(rows)} rows in all")
        if text:
            click.echo(text)
    if there and not there["equal"]:
        raise click.ClickException(f"the output of {target} differs from the reference")


def on_target(network: Any, x: Any, expected: Any, target: str) -> tuple[dict[str, Any], str]:
    """(plain values, a line) of a run on a target. raises TargetError, and ValueError for an unknown target"""
    from dataclasses import asdict

    import numpy as np
    from ucorr_host import simulate

    result = simulate(network, x, target)
    equal = bool(np.array_equal(result.output, expected))
    backends = " and ".join(dict.fromkeys(layer.backend for layer in result.layers))
    text = f"{target}, on {backends}: {'equal, byte for byte' if equal else 'not equal'}"
    return {"target": target, "equal": equal, "layers": [asdict(layer) for layer in result.layers]}, text
