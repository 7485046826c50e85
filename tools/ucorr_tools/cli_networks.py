"""The commands of `ucorr` that take a network: convert and run; and what info tells of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

CORES = "any, cortex-m0plus, cortex-m3, cortex-m4, cortex-m7 or cortex-m33"
TOP = 5  # classes that run shows
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")
core_option = click.option("--core", default="any", show_default=True, metavar="CORE", help=f"{CORES}.")
budget_option = click.option(
    "--budget", type=click.IntRange(0), metavar="BYTES", help="The most that packed weights may take."
)


def network_info(model: str, core: str, budget: int | None, picture: str | None) -> tuple[dict[str, Any], str]:
    """(plain values, text) of a .tflite model as a board would have it; writes the memory plan's picture if asked."""
    from ucorr_host import load_tflite, summary
    from ucorr_host.compile import compile

    told = summary.report(compile(load_tflite(model), core, budget))
    if picture:
        from .memory_picture import draw

        draw(told, picture)
    return told, summary.text(told)


@click.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.argument("output", type=click.Path(dir_okay=False))
@core_option
@budget_option
@click.option("--labels", type=click.Path(dir_okay=False), help="Text file, a class per line.")
@json_option
def convert(model: str, output: str, core: str, budget: int | None, labels: str | None, as_json: bool) -> None:
    """Compile MODEL, a .tflite file, into OUTPUT, one file for a board.

    CORE any keeps weights as they are, and a board packs them when it loads the file; a Cortex-M gets its machine code.
    """
    from ucorr_host import load_tflite, summary
    from ucorr_host.compile import compile

    from .deploy_model import labelled

    compiled = compile(labelled(load_tflite(model), labels), core, budget)
    Path(output).write_bytes(compiled.to_bytes())
    told = summary.report(compiled)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(
        f"{output}: {told['file_bytes']:,} bytes for {core}, {told['macs']:,} MACs,"
        f" arena {told['arena_bytes']:,}, scratch {told['scratch_bytes']:,} bytes"
    )


@click.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.argument("input", type=click.Path(dir_okay=False))
@click.option("--output", type=click.Path(dir_okay=False), help="Write the integers of the output, a .npy file.")
@click.option("--target", metavar="TARGET", help="Run it there as well, as of simulate, and compare every byte.")
@json_option
def run(model: str, input: str, output: str | None, target: str | None, as_json: bool) -> None:
    """Run MODEL, a .tflite file, on INPUT: what LiteRT's reference kernels compute, to the bit.

    INPUT is a .npy file of the model's integers, or of real numbers, one sample or many; or a picture of the input's
    size, whose pixels are taken as they are, less 128 where the input is signed.
    """
    import numpy as np
    from ucorr_host import load_tflite

    network = load_tflite(model)
    require_one(network, model)
    x = read_integers(input, network)
    found = np.asarray(network.run(x))
    if output:
        np.save(output, found)
    real = network.dequantize_output(found)
    rows = real.reshape(-1, real.shape[-1])
    told = {"output": found.tolist(), "real": real.tolist(), "classes": rows.argmax(1).tolist()}
    there, text = on_target(network, x, found, target) if target else ({}, "")
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
    if target and not there["equal"]:
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


def require_one(network: Any, path: str) -> None:
    """Nothing, or ValueError for a network that has not one input and one output."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(f"{path}: several inputs or outputs, wanted one of each")


def read_integers(path: str, network: Any) -> Any:
    """Integers that Network.run takes, one sample or many, from a file of them, of real numbers, or a picture.
    raises ValueError, OSError"""
    from ucorr_host.network import samples_of

    tensor = network.tensors[network.inputs[0]]
    x = read_input(path, tensor)
    if x.dtype.kind == "f":
        x = network.quantize_input(x)
    try:
        samples_of(tensor, x)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return x


def read_input(path: str, tensor: Any) -> Any:
    """An array file, or a picture as integers of the tensor's shape. raises ValueError, OSError"""
    import numpy as np

    if path.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    from .picture import grey, read

    if len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3) or tensor.dtype.itemsize != 1:
        raise ValueError(f"{path}: a picture for an input of shape {tensor.shape}, wanted a .npy file")
    picture = read(path)
    pixels = picture if tensor.shape[3] == 3 else grey(picture)[..., None]
    if pixels.shape != tensor.shape[1:]:
        height, width = tensor.shape[1:3]
        raise ValueError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, wanted {width}x{height}")
    signed = 128 if tensor.dtype == np.int8 else 0
    return (pixels.astype(np.int16) - signed).astype(tensor.dtype)[None]
