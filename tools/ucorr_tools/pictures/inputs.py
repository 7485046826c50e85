"""What commands read for a network: integers from an array file or a picture."""

from __future__ import annotations

from typing import Any

import click
import numpy as np
from ucorr_host.networks.graph import samples_of

from ..files import ARRAYS, read_array
from .picture import grey, read


def require_one(network: Any, path: str) -> None:
    """Nothing, or ValueError for a network that has not one input and one output."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(f"{path}: several inputs or outputs, wanted one of each")


def read_integers(path: str, network: Any) -> Any:
    """Integers that Network.run takes, one sample or many, from a file of them, of real numbers, or a picture.
    raises ValueError, OSError"""
    tensor = network.tensors[network.inputs[0]]
    x = read_input(path, tensor)
    try:
        if x.dtype.kind == "f":
            x = network.quantize_input(x)
        samples_of(tensor, x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return x


def read_input(path: str, tensor: Any) -> Any:
    """An array file, or a picture as integers of the tensor's shape. raises ValueError, OSError"""
    if path.lower().endswith(ARRAYS):
        return read_array(path)
    if len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3) or tensor.dtype.itemsize != 1:
        raise ValueError(f"{path}: a picture for an input of shape {tensor.shape}, wanted a .npy file")
    picture = read_picture(path)
    pixels = picture if tensor.shape[3] == 3 else grey(picture)[..., None]
    if pixels.shape != tensor.shape[1:]:
        height, width = tensor.shape[1:3]
        raise ValueError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, wanted {width}x{height}")
    signed = 128 if tensor.dtype == np.int8 else 0
    return (pixels.astype(np.int16) - signed).astype(tensor.dtype)[None]


def read_picture(path: str) -> Any:
    """The uint8 pixels (height, width, 3) of an image file; what is not in them is reported on stderr."""
    pixels, notes = read(path)
    for note in notes:
        click.echo(note, err=True)
    return pixels
