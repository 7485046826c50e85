"""What runs beside ucorr on the target: make a layer from a message, run it, answer.

This file is read as text and executed under MicroPython (and imported under CPython), so
it keeps to what both have. A message is a JSON object and some bytes, both ways.
"""

import gc
import sys
from array import array

import ucorr

try:
    from time import ticks_diff, ticks_us
except ImportError:  # CPython
    from time import perf_counter_ns

    def ticks_us():
        return perf_counter_ns() // 1000

    def ticks_diff(end, start):
        return end - start


try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    def heap_unlock():
        pass


GUARD = 16  # bytes around every buffer
GUARD_BYTE = 0xA5
ITEMSIZE = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4}
_last = (None, None, 0)  # the message whose layer is kept, the layer, the heap it takes


def heap_used():
    """Bytes of the heap in use, garbage collected; 0 on CPython, which doesn't tell."""
    if not hasattr(gc, "mem_alloc"):
        return 0
    gc.collect()
    return gc.mem_alloc()


def make(message):
    """The layer that a message describes; "Spec" stands for one given by its fields."""
    options = dict(message["options"])
    backend = message.get("backend")
    if message["layer"] == "Spec":
        return ucorr.Layer(ucorr.Spec(**options), backend)
    return getattr(ucorr, message["layer"])(*message["args"], backend=backend, **options)


def framed(length, offset, payload=None):
    """A bytearray of guard bytes with a view of `length` bytes starting `offset` after the guard."""
    whole = bytearray(bytes([GUARD_BYTE]) * (2 * GUARD + offset + length))
    view = memoryview(whole)[GUARD + offset : GUARD + offset + length]
    if payload is not None:
        view[:] = payload
    return whole, view


def solve(message, payload):
    """Run a layer once on payload, then `repeat` times more for the clock.

    message  layer, args, options, backend; offset (bytes that both views start off their
             guard), repeat (timed runs), locked (the timed runs happen under heap_lock())
    payload  the input's bytes
    returns  (answer, output bytes); the answer tells backend, out_shape, kernel, shift,
             worst_error, sizes, the best time of a run in microseconds, the heap kept by
             the layer in bytes (MicroPython) and whether all guard bytes are intact
    """
    global _last
    if _last[0] != message:
        _last = (None, None, 0)
        used = heap_used()
        layer = make(message)
        heap = heap_used() - used
        _last = (message, layer, heap)
    _, layer, heap = _last
    spec = layer.spec
    offset = message.get("offset", 0)
    before, x = framed(len(payload), offset * ITEMSIZE[spec.dtype], payload)
    size = ITEMSIZE[spec.out_dtype]
    after, out = framed(spec.output_length * size, offset * size)
    layer(x, out)
    best = None
    for _ in range(message.get("repeat", 0)):
        if message.get("locked"):
            heap_lock()
        try:
            start = ticks_us()
            layer(x, out)
            took = ticks_diff(ticks_us(), start)
        finally:
            if message.get("locked"):
                heap_unlock()
        best = took if best is None else min(best, took)
    result = bytes(out)
    untouched = framed(len(payload), offset * ITEMSIZE[spec.dtype], payload)[0] == before
    out[:] = bytes([GUARD_BYTE]) * len(result)
    untouched = untouched and after == bytes([GUARD_BYTE]) * len(after)
    answer = {
        "backend": layer.backend,
        "out_shape": list(layer.out_shape),
        "macs": spec.macs,
        "scratch_bytes": layer.scratch_bytes,
        "weight_bytes": layer.weight_bytes,
        "heap_bytes": heap,
        "microseconds": best,
        "guards_intact": untouched,
    }
    if message.get("tell"):
        answer["kernel"] = list(layer.kernel)
        answer["shift"] = None if layer.shift is None else list(layer.shift)
        answer["worst_error"] = layer.worst_error
    return answer, result


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
    """Answer messages until the reader ends. A frame: two 4-byte lengths, JSON, bytes."""
    import json

    while True:
        head = reader.read(8)
        if not head or len(head) < 8:
            return
        size = int.from_bytes(head[:4], "little")
        message = json.loads(reader.read(size))
        payload = reader.read(int.from_bytes(head[4:], "little"))
        answer, data = answer_to(message, payload)
        text = json.dumps(answer).encode()
        writer.write(len(text).to_bytes(4, "little") + len(data).to_bytes(4, "little"))
        writer.write(text)
        writer.write(data)
        if hasattr(writer, "flush"):
            writer.flush()
