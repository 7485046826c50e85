"""Stock firmware on emulated cores: deployed by mpremote, equal to the reference, refused before it faults.

A test that kills its board tells the registers and the layer; the next test gets a fresh one.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from commands import command
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import op_problems, problems
from test_buffers import CHANGE, LAYERS, start
from test_stream import LOCKED, OUTPUTS
from ucorr_host.problems.named import everything, layers, named
from ucorr_host.problems.weighted import Problem
from ucorr_host.targets.micropython import TargetError
from ucorr_host.targets.simulator import ask
from ucorr_tools.qemu import targets
from ucorr_tools.qemu.emulator import Emulator

BACKENDS = {"qemu-m0-plain": ["portable"]}
BACKENDS["qemu-rv32"] = ["viper", "portable"]
EMITTERS = {"qemu-m0-plain": [], "qemu-rv32": ["viper", "native", "asm_rv32"]}
ARCHITECTURES = {
    "qemu-m0": "armv6m",
    "qemu-m0-plain": None,
    "qemu-m3": "armv7em",  # what the QEMU port says of every ARMv7-M without floating point
    "qemu-m4": "armv7emsp",
    "qemu-m7": "armv7emdp",
    "qemu-m33": "armv7emsp",
    "qemu-rv32": "rv32imc",
}
GENERATOR_HEAP = 44 * 1024  # bytes that the code generator, its kernels and its backend take
PACKAGE_HEAP = 17 * 1024  # bytes that the imported package may take on a Cortex-M0, from .mpy files
LAYERS_HEAP = 31 * 1024  # with its layers
USED = "import gc\ngc.collect()\nprint(gc.mem_alloc())"
GENERATOR = f"import ucorr\nfrom ucorr.backends import probe\n{USED}\nprobe('thumb')\n{USED}"


def run(rig: Any, problem: Problem, backend: str, **more: Any) -> Any:
    """The problem's output on the board, by the backend asked for, all guard bytes intact."""
    rig.make_room(problem, backend)
    answer, data = rig.session.ask(problem.message(backend, **more), problem.payload())
    assert answer["backend"] == backend
    assert answer["guards_intact"]
    return np.frombuffer(data, np.dtype(problem.out_dtype)).reshape(answer["out_shape"])


# Deployed by the commands that a user types


@pytest.mark.parametrize("form", ["source", "mpy"])
def test_the_commands_deploy_and_verify(rig, form):
    """From source, which the board compiles, on every backend; from .mpy files on the fastest one: later tests run them
    on all."""
    rig.close()
    with Emulator(rig.machine) as emulator:
        board = emulator.connect()
        probed = board.probe()
        board.close()
        told = command("ucorr", "info", "--resume", "--json", "--port", emulator.port)
        assert json.loads(told.stdout)["emitters"] == probed["emitters"]
        words = ["--mpy"] if form == "mpy" else []
        deployed = command("ucorr", "deploy", "--resume", "--json", "--port", emulator.port, *words)
        assert deployed.returncode == 0, deployed.stderr
        whole = command("mpremote", "connect", emulator.port, "resume", "exec", "import ucorr")
        assert whole.returncode == 0, whole.stdout + whole.stderr
        if form == "mpy":
            generator = command("mpremote", "connect", emulator.port, "resume", "exec", GENERATOR)
        ran = BACKENDS.get(rig.machine.target, ["thumb", "viper", "portable"])
        if form == "mpy":
            ran = ran[:1]
        elif rig.small:  # which as source has no room for the generator besides
            ran = ["viper", "portable"]
        words = [word for name in ran for word in ("--backend", name)]
        verified = command("ucorr", "verify", "--resume", "--json", "--port", emulator.port, *words)
        with emulator.connect() as board:
            board.soft_reset()
            emulator.mount(board)
            before = int(board.exec(USED))
            imported = int(board.exec(f"import ucorr\n{USED}")) - before
            heap = int(board.exec(f"ucorr.Layer\n{USED}")) - before
    assert verified.returncode == 0, verified.stdout + verified.stderr
    told = json.loads(verified.stdout)
    core = rig.machine.core
    assert [row["problem"] for row in told["rows"] if not row["equal"]] == []
    assert told["backends"] == dict.fromkeys(ran, "ok")
    assert len(told["rows"]) == sum(problem.taken_by(name, core) for problem in everything() for name in ran)
    assert probed["arch"] == ARCHITECTURES[rig.machine.target]
    assert probed["emitters"] == EMITTERS.get(rig.machine.target, ["viper", "native", "asm_thumb"])
    rig.seen |= {name: probed[name] for name in ("machine", "micropython", "mpy", "arch", "emitters", "free_heap")}
    rig.seen[f"package_heap_{form}"] = heap
    if ran == ["thumb"]:
        first, second = map(int, generator.stdout.split())
        rig.seen["generator_heap_mpy"] = second - first
        assert second - first < GENERATOR_HEAP
    if form == "mpy" and rig.machine.name == "m0":
        assert imported < PACKAGE_HEAP
        assert heap < LAYERS_HEAP


# Equal to the reference


def test_drawn_problems_equal_the_reference_on_every_backend(rig):
    """Where compiled code runs, the second call does under heap_lock()."""
    count = settings.default.max_examples // 2
    ran = 0

    @settings(max_examples=count)
    @given(problem=problems(), offset=st.integers(0, 3))
    def check(problem, offset):
        nonlocal ran
        for backend in rig.backends:
            if problem.taken_by(backend, rig.session.core):
                locked = {} if backend == "portable" else {"repeat": 1, "locked": True}
                got = run(rig, problem, backend, offset=offset, **locked)
                assert_array_equal(got, problem.expected(), strict=True)
                ran += 1

    check()
    assert ran >= count * len([name for name in rig.backends if name != "thumb"])
    rig.seen |= {"drawn": ran, "backends": rig.session.backends}


def test_drawn_problems_without_weights_equal_the_reference_on_every_backend(rig):
    @settings(max_examples=settings.default.max_examples // 2)
    @given(problem=op_problems(), offset=st.integers(0, 3))
    def check(backends, problem, offset):
        for backend in backends:
            assert_array_equal(run(rig, problem, backend, offset=offset), problem.expected(), strict=True)

    names = [name for name in rig.backends if name != "thumb"]
    for backends in [[name] for name in names] if rig.small else [names]:
        check(backends)


def note_equal(rig: Any) -> None:
    rig.seen["named"] = rig.seen.get("named", 0) + 1


@pytest.mark.parametrize("problem", everything(), ids=lambda problem: problem.name)
@pytest.mark.parametrize("backend", ["viper", "thumb"])
def test_a_call_on_compiled_code_allocates_nothing(rig, problem, backend):
    if backend in rig.backends and problem.taken_by(backend, rig.session.core):
        assert_array_equal(run(rig, problem, backend, repeat=2, locked=True), problem.expected())
        note_equal(rig)


def test_a_signal_in_whole_blocks_allocates_nothing(rig):
    for backend in rig.backends:
        message = {"attempt": LOCKED.format(backend=backend), "name": "stream"}
        # on ARMv6-M machine code leaves 16-bit data to viper
        if backend == "thumb" and rig.session.core in ("cortex-m0plus", "cortex-m3"):
            continue
        assert rig.session.ask(message, b"")[0]["outcome"] == ["ok", OUTPUTS]


ALLOCATING = {
    "signal",
    "signal floats",
    "signal pair",
    "conv int16",
    "softmax",
    "thresholds",
    "lags",
    "lags normalized",
}  # sums past 2**30, int16 data with a multiplier, products of 32 bits, items of 32 bits


@pytest.mark.parametrize("problem", everything(), ids=lambda problem: problem.name)
def test_a_call_on_portable_allocates_only_where_sums_leave_small_ints(rig, problem):
    if problem.name in ALLOCATING:
        with pytest.raises(TargetError, match="MemoryError"):
            run(rig, problem, "portable", repeat=2, locked=True)
    else:
        assert_array_equal(run(rig, problem, "portable", repeat=2, locked=True), problem.expected())
        note_equal(rig)


def test_a_float_kernel_becomes_the_integers_of_the_host(rig):
    rng = np.random.default_rng(3)
    for spread in (1e-9, 0.01, 1.0, 700.0):
        problem = Problem(
            "floats", "Correlate2D", rng.normal(0, spread, (5, 5)), (6, 6), {"dtype": "b"}, np.zeros((6, 6), np.int8)
        )
        host = problem.make()
        answer, _ = rig.session.ask(problem.message("portable", tell=True), problem.payload())
        assert (answer["kernel"], answer["shift"]) == (list(host.kernel), list(host.shift))


def test_a_layer_takes_less_heap_than_its_image(rig):
    problem = layers()["g"]  # 3x3 on 96x96 bytes
    fastest = rig.backends[0]
    if rig.small:
        rig.young()  # a heap in one piece, with one backend in it
    answer, _ = rig.session.ask(problem.message(fastest, heap=True), problem.payload())
    assert answer["scratch_bytes"] < answer["heap_bytes"] < problem.x.size / 2
    rig.seen["layer_heap"] = answer["heap_bytes"]


# Refused before it faults


@pytest.mark.parametrize(("dtype", "size"), [("h", 2), ("H", 2)])
def test_misaligned_data_is_refused(rig, dtype, size):
    source = f"layer = ucorr.Correlate1D([1, 2], 4, dtype={dtype!r})\n"
    source += "layer(memoryview(bytearray(16))[1:9], array('i', bytes(12)))"
    kind, said = rig.session.ask({"attempt": source}, b"")[0]["outcome"]
    assert kind == "ValueError"
    assert "x: starts at address" in said
    assert f"wanted a multiple of {size}" in said


def test_a_misaligned_output_is_refused(rig):
    source = "layer = ucorr.Dense([[1, 2]])\nlayer(bytearray(2), memoryview(bytearray(9))[1:5])"
    kind, said = rig.session.ask({"attempt": source}, b"")[0]["outcome"]
    assert (kind, "out: starts at address" in said) == ("ValueError", True)


# Buffers as tests/test_buffers.py has them, where a wrong address is a fault and addresses pass 2**30

# the same for every layer: each buffer moves, is cut, grows
EVENTS = [(0, "move"), (0, "fill"), (-1, "move"), (0, "shorter"), (0, "longer"), (-1, "longer"), (0, "move")]
NAMES = [name for name in LAYERS if name != "network"]  # whose file as text takes half of a small heap


@pytest.mark.parametrize("name", NAMES)
def test_a_buffer_that_changes_is_read_as_it_is_or_refused(rig, name):
    """On each backend: the buffer's old place is junk by the time of the call."""
    if rig.small and name != "filter":  # with all backends in it there is no room for more kinds
        return
    if rig.small:
        assert rig.young().backends
    for backend in rig.backends:
        if backend == "thumb" and name not in ("filter", "conv"):
            continue
        source = start(name, backend) + f"events = {EVENTS!r}\n" + CHANGE
        kind, said = rig.session.ask({"attempt": source, "name": name}, b"")[0]["outcome"]
        assert kind == "ok", said
        named = [LAYERS[name][3][0] if which == 0 else "out" for which, _ in EVENTS]
        wanted = [
            n if action in ("shorter", "longer") else "equal" for n, (_, action) in zip(named, EVENTS, strict=True)
        ]
        assert [word for _, word in said] == wanted, (backend, said)


UNALIGNED = """
answer = []
raw = bytes(array("i", [0x7FFFFFFF >> n // 8 for n in range(256)]))
for off in range(4):
    table = memoryview(bytes(off) + raw)[off:]
    out = bytearray(9)
    ucorr.Softmax(table, 9, backend={backend!r})(bytes(range(9)), out)
    answer.append(bytes(out))
answer = [len(answer), len(set(answer))]
"""


def test_a_table_may_lie_anywhere(rig):
    for backend in rig.backends:
        if backend != "thumb":
            message = {"attempt": UNALIGNED.format(backend=backend)}
            assert rig.session.ask(message, b"")[0]["outcome"] == ["ok", [4, 1]]


# What a death tells

REGISTERS = {"qemu-rv32": ("MEPC=", "mepc")}  # in the fault handler's words, in QEMU's; else R15


def poison(session: Any, body: str) -> Problem:
    """Make the board's Dense run `body`; returns a problem that uses it."""
    source = f"import machine\ndef poisoned(*args, **options):\n    {body}\nucorr.Dense = poisoned"
    assert session.ask({"attempt": source}, b"")[0]["outcome"][0] == "ok"
    return next(problem for problem in named() if problem.layer == "Dense")


def test_a_fault_tells_registers_and_layer_and_the_next_message_gets_a_board(rig):
    session = rig.session
    nowhere = {"rv32": "0x20", "m0": "0x60000000", "m0-plain": "0x60000000"}.get(rig.machine.name, "0xfffffff0")
    problem = poison(session, f"machine.mem32[{nowhere}]")
    with pytest.raises(TargetError, match=rf"^Dense dense ended {rig.machine.target}: ") as caught:
        session.ask(problem.message("portable"), problem.payload())
    assert "exception caught\n" in str(caught.value).lower()
    assert REGISTERS.get(rig.machine.target, ("R15:",))[0] in str(caught.value)
    assert not session.alive
    backend = rig.backends[0]
    assert_array_equal(run(rig, problem, backend), problem.expected())


def test_a_hang_tells_registers_and_layer(rig, monkeypatch):
    problem = poison(rig.session, "while True: pass")
    monkeypatch.setattr(targets, "SECONDS", 1.0)
    with pytest.raises(TargetError, match=rf"^Dense dense ended {rig.machine.target}: .* longer than 1 s") as caught:
        rig.session.ask(problem.message("portable"), problem.payload())
    assert REGISTERS.get(rig.machine.target, ("", "R15="))[1] in str(caught.value)
    assert not rig.session.emulator._child.process.poll()


# Instructions, counted by the board's own timer

LOOP = """
import micropython
@micropython.{assembler}
def turn({first}):
    label(LOOP)
    {step}
    {branch}
@micropython.viper
def ticks(turns) -> int:
    start = int(now())
    turn(turns)
    return int(now()) - start
def by_clock(turns):
    unit, read, elapsed = clock
    start = read()
    turn(turns)
    return elapsed(read(), start)
"""
THUMB_LOOP = LOOP.format(assembler="asm_thumb", first="r0", step="sub(r0, r0, 1)", branch="bne(LOOP)")
RISCV_LOOP = LOOP.format(assembler="asm_rv32", first="a0", step="addi(a0, a0, -1)", branch="bne(a0, zero, LOOP)")


def test_a_loop_of_known_length_proves_the_counter(rig):
    if not rig.machine.timer:
        assert rig.machine.target == "qemu-m0-plain"
        return
    rig.close()  # a soft reset leaves the timer; a new board's is a small int, whose return always costs the same
    rig.young()
    board = rig.session.board
    board.exec(rig.machine.timer)
    board.exec(RISCV_LOOP if rig.machine.name == "rv32" else THUMB_LOOP)

    def instructions(turns, by="ticks"):
        return board.eval(f"{by}({turns})") * rig.machine.instructions_per_tick

    instructions(1)
    base = instructions(1)
    for turns in (10, 1000, 100_000):
        counted = instructions(turns) - base
        assert abs(counted - 2 * (turns - 1)) <= 2 * rig.machine.instructions_per_tick  # both reads round to a tick
        assert abs(instructions(turns, "by_clock") - 2 * turns) < 500  # read from bytecode, as a benchmark does
    assert abs(instructions(1000) - instructions(1000)) <= rig.machine.instructions_per_tick


MEASURE = """
from array import array
from ucorr.backends.thumb_code import RETURN
plan, spec = _kept[1].plan, _kept[1].spec
jobs = plan.call.job, RETURN.job  # the layer's code, and code that returns at once
x, out = bytearray(spec.input_length), bytearray(spec.output_length)
def measured(job):
    unit, read, elapsed = clock
    plan.call.job = job
    start = read()
    plan.run(x, out, _kept[1]._scratch)
    return elapsed(read(), start)
"""


@pytest.mark.parametrize(("letter", "small"), [("a", "conv"), ("e", "depthwise"), ("h", "blur edge")])
def test_generated_code_takes_what_the_emulated_core_counts(rig, letter, small):
    if "thumb" not in rig.backends:
        return
    problem, core = layers()[letter], rig.machine.core
    if rig.small:
        assert rig.young().backends
        problem = next(problem for problem in named() if problem.name == small)
    problem = dataclasses.replace(problem, x=np.zeros_like(problem.x))  # what measured() gives it
    rig.session.ask(problem.message("thumb", keep=True), problem.payload())
    board = rig.session.board
    board.exec(MEASURE)
    whole, empty = (min(board.eval(f"measured(jobs[{n}])") for _ in range(3)) for n in (0, 1))
    ticks = whole - empty
    counted = ask(problem.message("thumb", repeat=1), problem.payload(), core)[0]["instructions"]
    assert abs(ticks * rig.machine.instructions_per_tick / counted - 1) < 0.01
