"""The server on the target: answer_to() makes a layer or network from a message, runs it and returns the answer.

This file is read as text and executed under MicroPython (and imported under CPython), so
it uses only what both have. A message, and an answer, is a JSON object and some bytes.
"""

import gc
import sys
from array import array

import ucorr

try:
    from time import ticks_diff, ticks_us

    clock = ("microseconds", ticks_us, ticks_diff)
except ImportError:
    try:  # CPython
        from time import perf_counter_ns

        clock = ("microseconds", lambda: perf_counter_ns() // 1000, lambda end, start: end - start)
    except ImportError:  # a firmware without a clock; a caller that has a timer sets `clock` to (unit, read, elapsed)
        clock = ("microseconds", lambda: None, lambda end, start: None)

try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    def heap_unlock():
        pass


MICROPYTHON = sys.implementation.name == "micropython"
GUARD = 16  # bytes around every buffer
GUARD_BYTE = 0xA5
ITEMSIZE = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4}
_kept = (None, None, None)  # a message that said "keep", its layer, what making it took


def heap_used():
    """Bytes of the heap in use after collecting garbage; 0 on CPython, which doesn't report them."""
    if not hasattr(gc, "mem_alloc"):
        return 0
    gc.collect()
    return gc.mem_alloc()


def make(message, kernel):
    """The layer that a message describes; "Spec" stands for one given by its fields."""
    options = dict(message["options"])
    args = list(message["args"])
    backend = message.get("backend")
    if message["layer"] == "Spec":
        if kernel is not None:
            options["weights"] = kernel
        budget = options.pop("budget", None)
        return ucorr.Layer(ucorr.Spec(**options), backend, budget)
    if kernel is not None:
        args[0] = kernel
    if message["layer"] == "Softmax":
        args[0] = array("i", args[0])
    return getattr(ucorr, message["layer"])(*args, backend=backend, **options)


def made(message, payload):
    """(layer, what making it took, where the input begins in payload)."""
    global _kept
    size = message.get("kernel_bytes", 0)
    if _kept[0] == message:
        return _kept[1], _kept[2], size
    _kept = (None, None, None)
    kernel = None
    if size:
        view = memoryview(payload)[:size]
        kernel = array("b", view if MICROPYTHON else bytes(view))  # MicroPython wraps bytes over 127, as wanted
    # modules are there for all layers: they are no part of what one takes
    getattr(ucorr, "Layer" if message["layer"] == "Spec" else message["layer"])
    if message.get("backend"):
        ucorr.backends.state(message["backend"])
    used = heap_used() if message.get("heap") else 0
    unit, now, elapsed = clock
    start = now()
    layer = make(message, kernel)
    told = {"prepare_" + unit: elapsed(now(), start)}
    del kernel
    if message.get("heap"):
        told["heap_bytes"] = heap_used() - used
    if message.get("keep"):
        _kept = (message, layer, told)
    return layer, told, size


def framed(length, offset, payload=None):
    """A bytearray of guard bytes with a view of `length` bytes starting `offset` after the guard."""
    first = GUARD + offset
    whole = bytearray(first + length + GUARD)
    whole[:first] = bytes([GUARD_BYTE]) * first
    whole[-GUARD:] = bytes([GUARD_BYTE]) * GUARD
    view = memoryview(whole)[first : first + length]
    if payload is not None:
        view[:] = payload
    return whole, view


def solve(message, payload):
    """Run a layer once on payload, then `repeat` times more for the clock.

    message  layer, args, options, backend; kernel_bytes (so much of payload, in front, is the int8
             kernel or weights), offset (bytes that both views start off their guard), repeat
             (timed runs), locked (the timed runs happen under heap_lock()), keep (the same message
             will come again: keep the layer), heap (measure what the layer takes, which collects
             garbage twice)
    payload  the input's bytes, or those of several inputs
    returns  (answer, output bytes); the answer has backend, out_shape, kernel, shift,
             worst_error, sizes, the best time of a run and the time to make the layer in the
             clock's unit, the heap kept by the layer in bytes (where it was asked for) and whether all
             guard bytes are intact
    """
    layer, told, at = made(message, payload)
    spec = getattr(layer, "spec", layer)  # a layer without weights is its own
    offset = message.get("offset", 0)
    inputs = []
    for length in getattr(spec, "lengths", (None,)):
        step = ITEMSIZE[spec.dtype]
        data = memoryview(payload)[at:] if length is None else memoryview(payload)[at : at + length * step]
        at += len(data)
        before, x = framed(len(data), offset * step, data)
        inputs.append((data, before, x))
    first, second = inputs[0][2], None
    if message["layer"] == "Concatenate":
        first = tuple([x for _, _, x in inputs])
    elif len(inputs) == 2:
        second = inputs[1][2]
    size = ITEMSIZE[spec.out_dtype]
    after, out = framed(spec.output_length * size, offset * size)

    def call():
        if second is None:
            layer(first, out)
        else:
            layer(first, second, out)

    call()
    unit, now, elapsed = clock
    best = None
    for _ in range(message.get("repeat", 0)):
        start = now()  # outside of the lock: a board's timer may pass its small ints
        if message.get("locked"):
            heap_lock()
        try:
            call()
        finally:
            if message.get("locked"):
                heap_unlock()
        took = elapsed(now(), start)
        if took is not None and (best is None or took < best):
            best = took
    untouched = framed_well(after, out)
    for data, before, x in inputs:
        untouched = untouched and x == data and framed_well(before, x)
    answer = {
        "backend": layer.backend,
        "out_shape": list(layer.out_shape),
        "macs": spec.macs,
        "scratch_bytes": layer.scratch_bytes,
        "weight_bytes": layer.weight_bytes,
        "code_bytes": getattr(layer.plan, "code_bytes", None),
        "packing": getattr(layer.plan, "packing", None),
        unit: best,
        "guards_intact": untouched,
    }
    answer.update(told)
    if message.get("tell"):
        answer["kernel"] = list(layer.kernel)
        answer["shift"] = None if layer.shift is None else list(layer.shift)
        answer["worst_error"] = layer.worst_error
    return answer, out


def drop():
    """Drop the layer kept by a "keep" message: in a function of its own, since a running frame keeps references."""
    global _kept
    if hasattr(_kept[1], "close"):
        _kept[1].close()
    _kept = (None, None, None)


def solve_network(message, payload):
    """Run a network on one input; then, to profile it, step by step.

    message  network (bytes of its file, in front in payload) or path (of its file on the target), digest (of the file),
             backend, weights, locked (a run happens under heap_lock()), profile (whether to), target (which of several
             cores that this process emulates: their files may be the same)
    returns  (answer, output bytes); the answer has the steps as [name, output shape, MACs, time, backend],
             the memory, labels, and what loading took
    """
    global _kept
    size = 0 if "path" in message else message["network"]
    key = {name: message.get(name) for name in ("digest", "backend", "weights", "target")}
    if _kept[0] != key:
        drop()
        _, now, elapsed = clock
        source = message.get("path") or bytes(memoryview(payload)[:size])
        used = heap_used()
        start = now()
        net = ucorr.load(source, message.get("backend"), message.get("weights") or "auto")
        told = {"load": elapsed(now(), start), "heap_bytes": heap_used() - used}
        _kept = (key, net, told)
    _, net, told = _kept
    x = memoryview(payload)[size:]
    net.run(x)
    if message.get("locked") and net.weights != "stream":  # reading a file may allocate
        heap_lock()
        try:
            net.run(x)
        finally:
            heap_unlock()
    answer = {"memory": net.memory(), "labels": net.labels, "steps": [], "unit": clock[0]}
    answer.update(told)
    out = bytes(net.output)
    if message.get("profile"):
        answer["steps"] = net.profile(x, clock[1:])
    return answer, out


def framed_well(whole, view):
    """Whether all bytes before and after a view, which starts `offset` after the first guard, are guard bytes."""
    rest = len(whole) - len(view)
    first = rest - GUARD  # guard and offset
    return whole[:first] == bytes([GUARD_BYTE]) * first and whole[-GUARD:] == bytes([GUARD_BYTE]) * GUARD


def attempt(source):
    """Execute source; ("ok", the value of `answer`) or (name of the exception, its message)."""
    names = {"ucorr": ucorr, "array": array, "sys": sys, "answer": None}
    try:
        exec(source, names)
    except Exception as error:
        return type(error).__name__, str(error)
    return "ok", names["answer"]


def answer_to(message, payload):
    """(answer, bytes) for one message of any kind; an exception becomes an answer too."""
    try:
        if "attempt" in message:
            return {"outcome": attempt(message["attempt"])}, b""
        if "network" in message:
            return solve_network(message, payload)
        return solve(message, payload)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error), "traceback": trace(error)}, b""


def trace(error):
    """The traceback of an exception as text."""
    import io

    text = io.StringIO()
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, text)
    else:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__, file=text)
    return text.getvalue()


def serve(reader, writer):
    """Answer messages until the reader ends. A frame: two 4-byte lengths, the question's number, JSON, bytes."""
    import json

    while True:
        head = reader.read(12)
        if not head or len(head) < 12:
            return
        size = int.from_bytes(head[:4], "little")
        message = json.loads(reader.read(size))
        payload = reader.read(int.from_bytes(head[4:8], "little"))
        answer, data = answer_to(message, payload)
        text = json.dumps(answer).encode()
        writer.write(len(text).to_bytes(4, "little") + len(data).to_bytes(4, "little") + head[8:])
        writer.write(text)
        writer.write(data)
        if hasattr(writer, "flush"):
            writer.flush()
