"""A signal in blocks: the outputs of the whole signal, however it is cut, on every backend."""

from __future__ import annotations

import numpy as np
import pytest
import ucorr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from ucorr.fixedpoint import LIMITS
from ucorr_host import reference
from ucorr_host.targets.simulator import ask

RUN = """
layer = ucorr.Correlate1D({kernel}, {length}, backend={backend!r}, stream=True, **{options!r})
answer = []
for again in range(2):  # the second time after reset()
    outputs, at = [], 0
    for size in {cuts}:
        block = array({dtype!r}, {x}[at:at + size])
        out = array({out_dtype!r}, [0] * (size // {stride}))
        layer(block, out)
        outputs += list(out)
        at += size
    answer.append(outputs)
    layer.reset()
thumb = ucorr.backends.probe("thumb")  # here, the reason why there is none
answer += [layer.backend, thumb if isinstance(thumb, str) else thumb.refuses(layer.spec)]
"""


@st.composite
def streams(draw):
    """(kernel, options, most samples of a block, samples, cuts)"""
    dtype = draw(st.sampled_from("bBhH"))
    lo, hi = LIMITS[dtype]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = rng.integers(-128, 128, draw(st.sampled_from([1, 2, 3, 8, 17])))
    options = {"dtype": dtype, "stride": draw(st.integers(1, 3)), "dilation": draw(st.sampled_from([1, 1, 2]))}
    options["out_dtype"] = draw(st.sampled_from("bhi" if dtype in "bB" else "bh"))
    if options["out_dtype"] != "i":
        options["shift"] = draw(st.integers(-16, -4))
    options["border_value"] = draw(st.sampled_from([0, lo, hi]))
    stride = options["stride"]
    length = stride * draw(st.integers(1, 12))
    cuts = [stride * n for n in draw(st.lists(st.integers(1, length // stride), min_size=1, max_size=9))]
    cuts += draw(st.sampled_from([[], [length] * 3]))  # what a microphone does
    return kernel, options, length, rng.integers(lo, hi, sum(cuts), np.int64, endpoint=True), cuts


@pytest.mark.parametrize(
    ("target", "backend"),
    [
        ("cpython", "portable"),
        ("micropython", "portable"),
        ("micropython", "viper"),
        ("cortex-m0plus", None),
        ("cortex-m4", None),
    ],
)
@given(stream=streams())
def test_blocks_give_the_outputs_of_the_whole_signal(target, backend, stream):
    kernel, options, length, x, cuts = stream
    source = "from array import array\n" + RUN.format(
        kernel=kernel.tolist(), backend=backend, x=x.tolist(), length=length, cuts=cuts, options=options, **options
    )
    outcome = ask({"attempt": source, "name": "stream"}, b"", target)[0]["outcome"]
    assert outcome[0] == "ok", outcome
    first, second, ran, refused = outcome[1]
    words = {**options, "out_dtype": np.dtype(options["out_dtype"])}
    words["padding"] = ((len(kernel) - 1) * words["dilation"], 0)
    expected = reference.correlate1d(x.astype(np.dtype(words.pop("dtype"))), kernel, border="constant", **words)
    assert_array_equal(np.array(first), expected)
    assert_array_equal(np.array(second), expected)
    assert ran == (backend or ("portable" if refused else "thumb"))  # machine code wherever there is some
    assert target != "cortex-m4" or not refused


LOCKED = """
import micropython
from array import array
layer = ucorr.Correlate1D([1, 2, 3], 8, dtype="h", out_dtype="h", shift=-2, stream=True, backend={backend!r})
block, out = array("h", range(8)), array("h", [0] * 8)
def again(times):
    for n in range(times):
        layer(block, out)
again(1)
micropython.heap_lock()
again(3)
micropython.heap_unlock()
answer = list(out)
"""
OUTPUTS = [5, 3, 2, 4, 5, 7, 8, 10]


def test_whole_blocks_allocate_nothing():
    message = {"attempt": LOCKED.format(backend="viper"), "name": "locked"}
    assert ask(message, b"", "micropython")[0]["outcome"] == ["ok", OUTPUTS]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"padding": "same"}, "stream: padding 'same' and length 8, wanted 'valid' and a multiple of the stride 1"),
        ({"stride": 3}, "stream: padding 'valid' and length 8, wanted 'valid' and a multiple of the stride 3"),
    ],
)
def test_what_a_stream_can_not_be_is_told(options, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        ucorr.Correlate1D([1, 2, 3], 8, stream=True, **options)


@pytest.mark.parametrize(
    ("x", "out", "error", "sentence"),
    [
        (np.zeros(10, np.int16), np.zeros(4, np.int32), ValueError, "x: 20 bytes, wanted 1 to 8 samples of dtype 'h'"),
        (np.zeros(3, np.int16), np.zeros(1, np.int32), ValueError, "a multiple of the stride 2"),
        (np.zeros(8, np.int16), np.zeros(3, np.int32), ValueError, "out: 12 bytes, wanted 16"),
        (np.zeros(4, np.int16), np.zeros(4, np.int32), ValueError, "out: 16 bytes, wanted 8"),
        (np.zeros(8, np.float32), np.zeros(4, np.int32), TypeError, "x: ndarray, wanted a buffer of integers"),
    ],
)
def test_a_block_that_is_refused_leaves_the_stream_as_it_was(x, out, error, sentence):
    layer = ucorr.Correlate1D([1, 1], 8, dtype="h", stride=2, stream=True, backend="portable")
    first, after = np.zeros(4, np.int32), np.zeros(4, np.int32)
    layer(np.arange(8, dtype=np.int16), first)
    with pytest.raises(error, match=sentence):
        layer(x, out)
    layer(np.arange(8, dtype=np.int16), after)
    assert after.tolist() == [7, 3, 7, 11]
