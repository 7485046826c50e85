"""Bad input is refused in one sentence that names the argument, the same on CPython and MicroPython."""

from __future__ import annotations

import inspect
import re

import pytest
import ucorr
from ucorr_host.targets.simulator import ask

LAYER = "layer = ucorr.Correlate2D([[1, 2], [3, 4]], (3, 4), dtype={dtype!r}, out_dtype={out!r}, backend={backend!r})\n"
X8, OUT8, X16 = "array('b', bytes(12))", "array('b', bytes(6))", "array('h', bytes(24))"

# what is called with what: (dtype, out_dtype, x, out, exception, words of the message)
BUFFERS = [
    ("b", "b", "bytes(11)", OUT8, "ValueError", "x: 11 bytes, wanted 12"),
    ("b", "b", "bytes(13)", OUT8, "ValueError", "x: 13 bytes, wanted 12"),
    ("b", "b", "b''", OUT8, "ValueError", "x: 0 bytes, wanted 12"),
    ("b", "b", X8, "bytearray(7)", "ValueError", "out: 7 bytes, wanted 6"),
    ("b", "b", X8, "bytes(6)", "TypeError", "out: bytes that can't be written"),
    ("b", "b", X8, "memoryview(bytes(6))", "TypeError", "out: memoryview that can't be written"),
    ("b", "b", "array('h', bytes(12))", OUT8, "TypeError", "x: items of 2 bytes, wanted 1"),
    ("h", "b", "array('i', bytes(24))", OUT8, "TypeError", "x: items of 4 bytes, wanted 2"),
    ("h", "i", X16, "array('h', bytes(24))", "TypeError", "out: items of 2 bytes, wanted 4"),
    ("b", "i", X8, "array('f', [0.0] * 6)", "TypeError", "out: array, wanted a buffer of integers"),
    ("b", "b", "[0] * 12", OUT8, "TypeError", "x: list, wanted a buffer"),
    ("b", "b", "'a' * 12", OUT8, "TypeError", "x: str, wanted a buffer"),
    ("b", "b", "None", OUT8, "TypeError", "x: NoneType, wanted a buffer"),
    ("b", "b", X8, "12", "TypeError", "out: int, wanted a buffer"),
    ("h", "b", "memoryview(bytearray(25))[1:]", OUT8, "ValueError", "x: starts at address"),
    ("b", "h", X8, "memoryview(bytearray(13))[1:]", "ValueError", "out: starts at address"),
    ("b", "i", X8, "memoryview(bytearray(26))[2:]", "ValueError", "out: starts at address"),
]

SHARED = [
    "whole = bytearray(18); x = memoryview(whole)[:12]; out = memoryview(whole)[11:17]",
    "whole = bytearray(18); x = memoryview(whole)[5:17]; out = memoryview(whole)[:6]",
    "whole = bytearray(12); x = whole; out = memoryview(whole)[3:9]",
]

C1 = "ucorr.Correlate1D([1, 2, 3], 8{})"
C2 = "ucorr.Correlate2D([[1, 2], [3, 4]], (5, 6){})"
CONV = "ucorr.Conv2D([[[[1, 2]]], [[[3, 4]]]], (5, 6){})"
DENSE = "ucorr.Dense([[1, 2], [3, 4]]{})"
MAKING = [
    (C2.format(", dtype='f'"), "ValueError", "dtype: 'f', wanted one of b B h H"),
    (C2.format(", dtype='i'"), "ValueError", "dtype: 'i', wanted"),
    (C2.format(", out_dtype='q'"), "ValueError", "out_dtype: 'q', wanted"),
    (C2.format(", padding='full'"), "ValueError", "padding: 'full', wanted"),
    (C2.format(", padding=3"), "TypeError", "padding: 3, wanted"),
    (C2.format(", padding=((1, -1), (0, 0))"), "ValueError", "padding: -1, wanted 0.."),
    (C2.format(", padding=((5, 0), (0, 0)), border='reflect'"), "ValueError", "padding: (5, 0), wanted less"),
    (C2.format(", border='wrap'"), "ValueError", "border: 'wrap', wanted one of constant edge reflect"),
    (C2.format(", border_value=200"), "ValueError", "border_value: 200, wanted -128..127"),
    (C2.format(", stride=0"), "ValueError", "stride: 0, wanted 1.."),
    (C2.format(", stride=1.5"), "TypeError", "stride: 1.5, wanted"),
    (C2.format(", dilation=(1, 0)"), "ValueError", "dilation: 0, wanted 1.."),
    (C2.format(", dilation=(5, 1)"), "ValueError", "kernel: spans 6 with dilation, wanted at most the padded size 5"),
    (C2.format(", pitch=5"), "ValueError", "pitch: 5, wanted 6.."),
    (
        "ucorr.Correlate2D([[1, 1]], (1 << 24, 1 << 24))",
        "ValueError",
        "shape: 281474976710656 items, wanted at most 268435456",
    ),
    ("ucorr.Correlate2D([[1]], (1 << 20, 3), pitch=1 << 24)", "ValueError", "shape: 17592169267203 items, wanted"),
    (
        "ucorr.Correlate2D([[1]], (9, 9), padding=((65535, 9), (0, 65535)))",
        "ValueError",
        "shape: an output of 4296605832 items, wanted at most 268435456",
    ),
    (
        "ucorr.Correlate2D([[1], [1], [1], [1]], (9, 9), dilation=(65535, 1), padding='same')",
        "ValueError",
        "padding: 'same' is 98303 on a side, wanted at most 65535",
    ),
    (C2.format(", bias=[1, 2]"), "ValueError", "bias: 2 values, wanted one or 1"),
    (C2.format(", bias=1 << 31"), "ValueError", "bias: 2147483648, wanted"),
    (C2.format(", bias=0.5"), "TypeError", "bias: 0.5, wanted integers"),
    (C2.format(", input_zero_point=-129"), "ValueError", "input_zero_point: -129, wanted -128..127"),
    (C2.format(", out_dtype='b', output_zero_point=128"), "ValueError", "output_zero_point: 128, wanted -128..127"),
    (C2.format(", out_dtype='b', shift=-32"), "ValueError", "shift: -32, wanted -31..30"),
    (C2.format(", out_dtype='b', shift=31"), "ValueError", "shift: 31, wanted -31..30"),
    (C2.format(", out_dtype='b', multiplier=-1"), "ValueError", "multiplier: -1, wanted 0..2147483647"),
    (C2.format(", out_dtype='b', multiplier=1 << 31"), "ValueError", "multiplier: 2147483648, wanted"),
    (C2.format(", out_dtype='b', multiplier=float('nan')"), "TypeError", "multiplier: nan, wanted integers"),
    (C2.format(", out_dtype='b', multiplier=1 << 30, shift=22"), "ValueError", "can reach"),
    (C2.format(", out_dtype='i', shift=-1"), "ValueError", "out_dtype: 'i' holds the exact accumulator"),
    (
        C2.format(", out_dtype='b', activation_min=5, activation_max=4"),
        "ValueError",
        "activation_min: 5, wanted at most",
    ),
    (C2.format(", out_dtype='b', activation_max=300"), "ValueError", "activation_max: 300, wanted -128..127"),
    (C2.format(", accumulator='int16'"), "ValueError", "accumulator: 'int16', wanted one of int32 int64"),
    (C2.format(", rounding='down'"), "ValueError", "rounding: 'down', wanted one of double single"),
    (
        C2.format(", out_dtype='b', shift=-3, rounding='single'"),
        "ValueError",
        "rounding: 'single', wanted 'double' without",
    ),
    (
        C2.format(", out_dtype='b', multiplier=1 << 30, accumulator='int64', rounding='single'"),
        "ValueError",
        "rounding: 'single', wanted 'double' without a multiplier or with an int64 accumulator",
    ),
    (C2.format(", backend='fast'"), "ValueError", "backend: 'fast', wanted one of"),
    (C2.format(", typo=1"), "TypeError", "argument"),
    ("ucorr.Correlate2D([[1, 2], [3]], (5, 6))", "ValueError", "kernel: rows of shapes"),
    ("ucorr.Correlate2D([], (5, 6))", "ValueError", "kernel: an empty sequence"),
    ("ucorr.Correlate2D([1, 2], (5, 6))", "ValueError", "kernel: shape (2,), wanted 2 dimensions"),
    ("ucorr.Correlate2D(bytes(6), (5, 6), kernel_shape=(2, 2))", "ValueError", "kernel_shape: (2, 2), wanted"),
    ("ucorr.Correlate2D([['a', 1]], (5, 6))", "TypeError", "kernel: 'a'"),
    ("ucorr.Correlate2D('ab', (5, 6))", "TypeError", "kernel: 'ab', wanted ints or floats"),
    ("ucorr.Correlate2D([[40000]], (5, 6))", "ValueError", "kernel: 40000, wanted -32768..32767"),
    ("ucorr.Correlate2D([[float('nan')]], (5, 6))", "ValueError", "kernel: nan, wanted finite"),
    ("ucorr.Correlate2D([[float('inf')]], (5, 6))", "ValueError", "kernel: inf, wanted finite"),
    ("ucorr.Correlate2D([[0.5]], (5, 6), out_dtype='b', shift=-3)", "ValueError", "shift: -3, wanted None"),
    ("ucorr.Correlate2D([[1]] * 6, (5, 6))", "ValueError", "kernel: spans 6"),
    ("ucorr.Correlate2D([[1]], (5, 0))", "ValueError", "shape: 0, wanted 1.."),
    ("ucorr.Correlate2D([[1]], 'ab')", "TypeError", "shape: 'ab', wanted"),
    (
        "ucorr.Correlate2D([[32767] * 4], (1, 4), dtype='h')",
        "ValueError",
        "out_dtype: 'i', but an accumulator can reach",
    ),
    (C1.format(", padding=(1, 2, 3)"), "TypeError", "padding: (1, 2, 3), wanted"),
    (C1.format(", stride=(1, 1)"), "TypeError", "stride: (1, 1), wanted an integer"),
    ("ucorr.Correlate1D([1, 2, 3], 2)", "ValueError", "kernel: spans 3"),
    (CONV.format(", groups=3"), "ValueError", "groups: 3, wanted a divisor"),
    (CONV.format(", shift=[1, 2, 3], out_dtype='b'"), "ValueError", "shift: 3 values, wanted one or 2"),
    (CONV.format(", kernel_zero_point=128"), "ValueError", "kernel_zero_point: 128, wanted -128..127"),
    ("ucorr.Conv2D([[[[128]]]], (5, 6))", "ValueError", "kernel: 128, wanted -128..127"),
    ("ucorr.Conv2D([[1, 2]], (5, 6))", "ValueError", "kernel: shape (1, 2), wanted 4 dimensions"),
    ("ucorr.DepthwiseConv2D([[[[1, 2, 3]]]], (5, 6, 2))", "ValueError", "kernel: 3 output channels, wanted a multiple"),
    ("ucorr.DepthwiseConv2D([[[[1]]], [[[1]]]], (5, 6, 1))", "ValueError", "kernel: first dimension 2, wanted 1"),
    ("ucorr.DepthwiseConv2D([[[[1, 2]]]], (5, 6))", "TypeError", "shape: (5, 6), wanted"),
    (DENSE.format(", dtype='h', out_dtype='h', multiplier=1 << 30, shift=8"), "ValueError", "shift: 8, wanted -31..7"),
    ("ucorr.Dense([[-129]])", "ValueError", "kernel: -129, wanted -128..127"),
]

on_both = pytest.mark.parametrize("target", ["cpython", "micropython"])


def outcome(source: str, target: str) -> list[str]:
    """[name of the exception or "ok", its message or the value of `answer`]."""
    answer, _ = ask({"attempt": source}, b"", target)
    return list(answer["outcome"])


@on_both
@pytest.mark.parametrize(("dtype", "out_dtype", "x", "out", "exception", "words"), BUFFERS)
@pytest.mark.parametrize("backend", ["portable", "viper"])
def test_a_wrong_buffer_is_refused(target, backend, dtype, out_dtype, x, out, exception, words):
    backend = "portable" if target == "cpython" else backend
    source = LAYER.format(dtype=dtype, out=out_dtype, backend=backend) + f"layer({x}, {out})"
    name, message = outcome(source, target)
    assert (name, message[: len(words)]) == (exception, words)


@on_both
@pytest.mark.parametrize("buffers", SHARED)
def test_buffers_that_share_memory_are_refused(target, buffers):
    source = LAYER.format(dtype="b", out="b", backend=None) + buffers + "\nlayer(x, out)"
    assert outcome(source, target) == ["ValueError", "out: shares memory with x, wanted a buffer of its own"]


@on_both
@pytest.mark.parametrize(("source", "exception", "words"), MAKING)
def test_a_wrong_argument_is_refused_when_the_layer_is_made(target, source, exception, words):
    name, message = outcome(source, target)
    assert name == exception
    assert words in message
    assert "\n" not in message


def test_the_attributes_that_a_spec_tells_are_there():
    spec = ucorr.Spec((3, 4, 2), (2, 2, 2, 2), range(16), padding="same")
    told = inspect.getdoc(ucorr.Spec).split("Further attributes: ")[1]
    names = [re.split(r"[ ,]", part)[0] for part in re.split(r";\s", told.split(" (nominal")[0])]
    assert {"out_shape", "padding", "bound", "kind", "taps", "macs"} < set(names)
    assert [name for name in names if not hasattr(spec, name)] == []
    assert spec.padding == ((0, 1), (0, 1))


@on_both
def test_a_buffer_that_grew_since_the_last_call_is_checked_again(target):
    source = LAYER.format(dtype="B", out="B", backend=None) + (
        "x = bytearray(12); out = bytearray(6)\nlayer(x, out)\nx.append(1)\nlayer(x, out)"
    )
    refused = {
        "cpython": ["BufferError", "Existing exports of data: object cannot be re-sized"],  # the layer's view holds it
        "micropython": ["ValueError", "x: 13 bytes, wanted 12 (12 items of dtype 'B')"],
    }
    assert outcome(source, target) == refused[target]


@on_both
def test_good_buffers_of_every_kind_are_taken_and_out_is_returned(target):
    source = LAYER.format(dtype="b", out="h", backend=None) + (
        "results = []\n"
        "for x in (bytes(range(12)), bytearray(range(12)), array('b', range(12)), memoryview(bytes(range(12)))):\n"
        "    for out in (array('h', bytes(12)), bytearray(12), memoryview(array('h', bytes(12)))):\n"
        "        assert layer(x, out) is out\n"
        "        results.append(bytes(out))\n"
        "answer = [len(results), len(set(results))]"
    )
    assert outcome(source, target) == ["ok", [12, 1]]
