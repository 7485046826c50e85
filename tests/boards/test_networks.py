"""Networks on stock firmware: the bytes of the host, from a file that was deployed, with weights in RAM or streamed."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.testing import assert_array_equal
from test_network import mutant
from ucorr_host import load_tflite
from ucorr_host.networks.compile import compile
from ucorr_host.networks.network import Network
from ucorr_tools.shipped import digits

MODELS = ["digits"]
if os.environ.get("UCORR_MODELS"):
    MODELS.append("kws_ref_model")
# M0 and M3 have 137 kB of heap, which the code generator would share with the network: its file brings the code
WITH_CODE = ("qemu-m0", "qemu-m3", "qemu-m4", "qemu-m7", "qemu-m33")


def model(name: str) -> tuple[Network, Any]:
    """(network, two samples)"""
    if name == "digits":
        return digits.network(), digits.integers(digits.held_out()[0][:2])
    network = load_tflite(Path(os.environ["UCORR_MODELS"]) / f"{name}.tflite")
    shape = network.tensors[network.inputs[0]].shape
    return network, np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)


@pytest.fixture
def session(rig):
    """A young board, on which nothing has been imported that a network does not need."""
    return rig.young()


def message(file: bytes, **words: Any) -> dict[str, Any]:
    return {"network": len(file), "digest": zlib.crc32(file), "locked": True, "profile": True, **words}


@pytest.mark.parametrize("name", MODELS)
def test_a_network_gives_the_bytes_of_the_host(rig, session, name):
    target = rig.machine.target
    network, x = model(name)
    core = rig.machine.core
    file = compile(network, core).to_bytes()
    if name != "digits" and core == "any":  # takes minutes without machine code, and twice the memory
        return
    for weights in ("auto", "stream") if core != "any" else ("auto",):
        locked = target != "qemu-m0-plain"  # portable's softmax allocates
        for sample, expected in zip(x, network.run(x), strict=True):
            answer, data = session.ask(message(file, weights=weights, locked=locked), file + sample.tobytes())
            assert data == expected.tobytes()
        ran = {step[4] for step in answer["steps"]}
        if core != "any":
            assert ran == {"thumb", "viper"}
        assert answer["memory"]["weights"] in ("ram", "stream")
        assert answer["memory"]["weights"] == "stream" or weights != "stream"
    if rig.machine.timer:
        assert all(step[3] > 0 for step in answer["steps"])


CROWDED = """
import gc
ucorr.load("/model.ucorr", None, "stream").run(bytes(64))  # what a network needs is imported now
gc.collect()
room = []
try:
    while True:
        room.append(bytearray(512))
except MemoryError:
    room.pop()  # a slice takes room, too
    del room[-11:]
gc.collect()
try:
    ucorr.load("/model.ucorr", None, {weights!r})
except MemoryError as error:
    room = None  # a sentence takes room, too
    said = str(error)
print(said)
"""


@pytest.mark.parametrize("weights", ["ram", "stream", "auto"])
def test_a_network_that_does_not_fit_tells_what_it_needs_and_what_there_is(rig, session, weights):
    if rig.machine.target not in WITH_CODE:
        return
    session.board.write("/model.ucorr", compile(digits.network(), rig.machine.core).to_bytes())
    said = session.board.exec(CROWDED.format(weights=weights))
    assert re.match(r"model: .*\b\d+ bytes, there are \d+ in all$", said.strip()), said


TRY = """
def tried(patches):
    told = []
    for patch in patches:
        kept = [(at, data[at]) for at, _ in patch]
        for at, value in patch:
            data[at] = value
        try:
            ucorr.load(data).run(x)
            told.append("ran")
        except Exception as error:
            told.append(type(error).__name__)
        for at, value in kept:
            data[at] = value
    return told
"""


def test_no_mutant_of_a_file_is_worse_than_an_error(rig, session):
    if rig.machine.target != "qemu-m4":
        return
    network, x = model("digits")
    file, board, rng = compile(network, "any").to_bytes(), session.board, np.random.default_rng(0)
    board.exec(TRY)
    board.send("data", file)
    board.send("x", x[0].tobytes())
    told = []
    for _ in range(settings.default.max_examples // 50):
        mutants = [mutant(rng, file) for _ in range(50)]
        patches = [
            [(at, new) for at, (old, new) in enumerate(zip(file, one, strict=True)) if old != new] for one in mutants
        ]
        told += board.eval(f"tried({patches!r})", seconds=600)
    assert set(told) <= {"ran", "ValueError", "MemoryError"}
    assert len(told) / 10 < told.count("ran") < len(told)
    answer, out = session.ask(message(file), file + x[0].tobytes())
    assert_array_equal(np.frombuffer(out, np.int8), network.run(x)[0].reshape(-1))
    assert answer["memory"]["arena"] == 768
