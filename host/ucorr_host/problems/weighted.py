"""Problem, a test case: a layer as a user makes it, an input, and the output that the reference gives.

The tests draw them, `ucorr verify` sends the named ones to a board, the demo makes its own
from a photograph. One place turns a board layer's options into a call of `reference`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import ucorr
from numpy.typing import NDArray
from ucorr.codegen.plan import select

from .. import cores, reference
from ..quantize import quantize_kernel

LAYERS = ("Correlate2D", "Correlate1D", "Conv2D", "DepthwiseConv2D", "Dense")
ONE_CHANNEL = ("Correlate2D", "Correlate1D")
# the name of a target's core, None where no machine code runs; evaluated there
CORE = "getattr(getattr(ucorr.backends.probe('thumb_code'), 'CORE', None), 'name', None)"
ONLY_BOARD = ("dtype", "pitch")  # options that the reference does not need


@dataclass(frozen=True)
class Problem:
    """One layer and one input.

    layer    name of a ucorr layer class
    kernel   ints or floats in the layer's own layout
    shape    what the class takes second: (height, width), length, (height, width, channels);
             None for Dense
    options  of the layer, by name
    x        integers of options["dtype"], one sample; with a pitch the frame from the window's
             first item on, flat or (height, pitch)
    """

    name: str
    layer: str
    kernel: NDArray[Any]
    shape: Any
    options: dict[str, Any]
    x: NDArray[Any]

    @property
    def out_dtype(self) -> str:
        """The output's typecode."""
        return str(self.options.get("out_dtype", "i"))

    def make(self, backend: str | None = None) -> Any:
        """The layer, made on the host."""
        return getattr(ucorr, self.layer)(*self._arguments(), backend=backend, **self.options)

    def message(self, backend: str | None, **more: Any) -> dict[str, Any]:
        """The message of board_side.py that makes and runs the layer."""
        return {
            "name": self.name,
            "layer": self.layer,
            "args": self._arguments(),
            "options": self.options,
            "backend": backend,
            **more,
        }

    def _arguments(self) -> list[Any]:
        return [self.kernel.tolist()] if self.shape is None else [self.kernel.tolist(), self.shape]

    def taken_by(self, backend: str, core: str | None) -> bool:
        """Whether a backend takes the layer, provided that the backend can run. `thumb` refuses some shapes; which ones
        depends on the core, named by CORE."""
        if backend != "thumb":
            return True
        return core is not None and not isinstance(select(self.make("portable").spec, cores.named(core)), str)

    def payload(self) -> bytes:
        """The input's bytes."""
        return np.ascontiguousarray(self.x).tobytes()

    def expected(self) -> NDArray[Any]:
        """What the reference computes, of the layer's out_shape and out_dtype."""
        given = {k: v for k, v in self.options.items() if k not in ONLY_BOARD and v is not None}
        out_dtype = given.get("out_dtype", "i")
        given["out_dtype"] = np.dtype(out_dtype)
        kernel = self.kernel
        if kernel.dtype.kind == "f":
            kernel, given = self._quantized(given)
        if out_dtype == "i":
            given.pop("shift", None)
        else:
            given.setdefault("shift", 0)
            if "accumulator" not in given:
                given["accumulator"] = "int64" if self.x.dtype.itemsize == 2 else "int32"
        bias = given.pop("bias", None)
        if bias is not None:
            bias = np.array(bias, np.int64)
        x = self._window()
        call = {
            "Correlate2D": reference.correlate2d,
            "Correlate1D": reference.correlate1d,
            "Conv2D": reference.conv2d,
            "DepthwiseConv2D": reference.depthwise_conv2d,
            "Dense": reference.dense,
        }[self.layer]
        return call(x, kernel, bias, **given)

    def _window(self) -> NDArray[Any]:
        """The image that a pitch cuts out of its frame; without a pitch the input itself."""
        pitch = self.options.get("pitch")
        if pitch is None:
            return self.x
        height, width = self.shape[:2]
        form = () if self.layer in ONE_CHANNEL else (channels_in(self),)
        items = np.ascontiguousarray(self.x).reshape(-1)
        rows = np.lib.stride_tricks.sliding_window_view(items, width * int(np.prod(form, dtype=int)))
        return rows[: (height - 1) * pitch + 1 : pitch].reshape(height, width, *form)

    def _quantized(self, given: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        """The ints that a float kernel becomes, channel by channel, and the shift they bring."""
        bits = 16 if self.layer in ONE_CHANNEL and self.x.dtype.itemsize == 2 else 8
        axis = {"DepthwiseConv2D": -1, "Conv2D": 0, "Dense": 0}.get(self.layer)
        channels = [self.kernel] if axis is None else list(np.moveaxis(self.kernel, axis, 0))
        parts = [quantize_kernel(channel, bits=bits) for channel in channels]
        kernel = parts[0][0] if axis is None else np.stack([ints for ints, _ in parts], axis=axis)
        shifts = [shift for _, shift in parts]
        return kernel, {**given, "shift": shifts[0] if axis is None else shifts}


def packed(message: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    """The same message with an int8 kernel as bytes in front of the payload: a board has no room for long lists.

    A Spec's weights likewise; other kernels stay where they are.
    """
    if "kernel_bytes" in message:  # packed already, or without a kernel
        return message, payload
    if message["layer"] == "Spec":
        kernel = np.array(message["options"]["weights"])
        slim = {**message, "options": {**message["options"], "weights": None}}
    else:
        kernel = np.array(message["args"][0])
        options = message["options"] if kernel.ndim == 1 else {**message["options"], "kernel_shape": kernel.shape}
        slim = {**message, "args": [None, *message["args"][1:]], "options": options}
    if kernel.dtype.kind != "i" or kernel.min() < -128 or kernel.max() > 127:
        return message, payload
    weights = kernel.astype(np.int8).tobytes()
    slim["kernel_bytes"] = len(weights)
    slim["kernel_digest"] = zlib.crc32(weights)  # distinguishes messages that are equal otherwise
    return slim, weights + payload


def channels_in(problem: Problem) -> int:
    """Input channels of a Conv2D or DepthwiseConv2D problem."""
    if problem.layer == "DepthwiseConv2D":
        return int(problem.shape[2])
    return int(problem.kernel.shape[-1]) * int(problem.options.get("groups", 1))
