"""One emulated board, alive: started, given a disk, asked, and told about when it dies.

QEMU runs under -icount: every instruction takes the same time of the board's clock, so that the board's own timer
counts instructions, the same number in every run. A second board waits until the first one is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from ..board import Board, BoardError
from .firmware import cache, firmware
from .machines import DISK_BYTES, SHIFT, Machine

START_SECONDS = 20
WAIT_SECONDS = 900  # for the board of another process
FAULT = re.compile(r"(\w+ exception caught:|MACHINE EXCEPTION CAUGHT:)(.*)", re.DOTALL)

# A disk in memory that the firmware does not use, as a block device of littlefs; it outlives a soft reset.
DISK = """
import os, sys, uctypes, vfs
class Disk:
    def __init__(self, address, size):
        self.memory = memoryview(uctypes.bytearray_at(address, size))
        self.blocks = size // 512
    def readblocks(self, block, buf, offset=0):
        at = 512 * block + offset
        buf[:] = self.memory[at : at + len(buf)]
    def writeblocks(self, block, buf, offset=0):
        at = 512 * block + offset
        self.memory[at : at + len(buf)] = buf
    def ioctl(self, op, arg):
        return {{4: self.blocks, 5: 512}}.get(op, 0)
try:
    vfs.umount('/')
except OSError:
    pass
disk = Disk({address}, {size})
try:
    files = vfs.VfsLfs2(disk)
except OSError:
    vfs.VfsLfs2.mkfs(disk)
    files = vfs.VfsLfs2(disk)
vfs.mount(files, '/')
os.chdir('/')
if '/lib' not in sys.path:
    sys.path.append('/lib')
del Disk, disk, files
"""


class Emulator:
    """A running board. `with Emulator(machine) as emulator:` or start() and close().

    port   the serial port, for mpremote and Board
    raises BuildError without firmware, BoardError when QEMU does not come up
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.port = ""
        self._process: subprocess.Popen[str] | None = None
        self._lock: IO[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> Emulator:
        """Power on; returns self once the port exists. Waits for another process's board to end."""
        elf = firmware(self.machine)
        self._lock = _only_board()
        self._folder = tempfile.TemporaryDirectory(prefix="ucorr-qemu-")
        words = [
            *self.machine.qemu,
            *("-kernel", str(elf), "-nographic", "-serial", "pty", "-semihosting"),
            *("-monitor", f"unix:{self._folder.name}/monitor,server=on,wait=off"),
            *("-icount", f"shift={SHIFT},sleep=off"),
        ]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            self.close()
            raise BoardError(f"{self.machine.target}: {words[0]} can't be started ({error.strerror})") from error
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            found = re.search(r"redirected to (/dev/\S+)", line)
            if found:
                self.port = found[1]
                return self
        self.close()
        raise BoardError(f"{self.machine.target}: QEMU ended before it had a port ({said.strip()})")

    def close(self) -> None:
        """Power off. Twice is once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def connect(self) -> Board:
        """The board over its port, its disk mounted and /lib on the path."""
        board: Board | None = None

        def gone() -> bool:
            return not self.running or (board is not None and FAULT.search(board.last_words()) is not None)

        board = Board(self.port, gone=gone)
        try:
            self.mount(board)
        except BaseException:
            board.close()
            raise
        return board

    def mount(self, board: Board) -> None:
        """Mount the disk, as a board's boot does: a soft reset forgets that, not what is on it."""
        board.exec(DISK.format(address=self.machine.disk, size=DISK_BYTES))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def death(self, board: Board) -> str:
        """What a board that answers no more says of itself: its fault handler's registers, or else QEMU's."""
        fault = FAULT.search(board.last_words())
        if fault:
            return f"{fault[1].rstrip(':')}\n{fault[2].strip()}"
        if not self.running:
            return "QEMU ended"
        return f"no fault was reported; registers now:\n{self.registers()}"

    def registers(self) -> str:
        """The core's registers as QEMU's monitor tells them."""
        assert self._folder is not None
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(5)
            try:
                monitor.connect(f"{self._folder.name}/monitor")
                _until_prompt(monitor)
                monitor.sendall(b"info registers\n")
                said = _until_prompt(monitor)
            except OSError as error:
                return f"(QEMU's monitor does not answer: {error})"
        return said.partition("\n")[2].rpartition("\n")[0].replace("\r", "").strip()


def _until_prompt(monitor: socket.socket) -> str:
    said = b""
    while not said.endswith(b"(qemu) "):
        part = monitor.recv(4096)
        if not part:
            break
        said += part
    return said.decode(errors="replace")


def _only_board() -> IO[str]:
    """Hold the machine-wide right to run a board; BoardError when another process keeps it."""
    path: Path = cache() / "board.lock"
    file = path.open("a")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        if time.monotonic() > deadline:
            file.close()
            raise BoardError(f"another process has kept an emulated board for {WAIT_SECONDS} s")
        time.sleep(0.2)


def _die_with_parent() -> None:
    """In the child: be killed when this process ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
