"""One emulated board: start it, mount its disk, connect to it, and report its registers when it dies.

QEMU runs under -icount: every instruction takes the same time of the board's clock, so that the board's own timer
counts instructions, the same number in every run. Where BOARDS of them run, the next one waits until one ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import subprocess
import time
from typing import IO

from ucorr_host.targets.children import Child

from ..boards.board import Board, BoardError
from .firmware import cache, firmware
from .machines import DISK_BYTES, SHIFT, Machine

START_SECONDS = 20
BOARDS = max(2, os.cpu_count() or 1)  # that run on this machine at a time
WAIT_SECONDS = 900  # for the end of another one
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
        self._child: Child | None = None
        self._monitor: socket.socket | None = None
        self._greeted = False  # whether the monitor's first prompt was read
        self._lock: IO[str] | None = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> Emulator:
        """Power on; returns self once the port exists. Waits for another board to end where BOARDS run."""
        try:
            return self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> Emulator:
        elf = firmware(self.machine)
        self._lock = _turn()
        self._monitor, theirs = socket.socketpair(socket.AF_UNIX)
        words = [
            *self.machine.qemu,
            *("-kernel", str(elf), "-nographic", "-serial", "pty", "-semihosting"),
            *("-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "monitor"),
            *("-icount", f"shift={SHIFT},sleep=off"),
        ]
        with theirs:
            try:
                self._child = Child(
                    words,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            except OSError as error:
                raise BoardError(f"{self.machine.target}: {words[0]} can't be started ({error.strerror})") from error
        process = self._child.process
        assert process is not None
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line.decode(errors="replace")
            found = re.search(r"redirected to (/dev/\S+)", said)
            if found:
                self.port = found[1]
                return self
        raise BoardError(f"{self.machine.target}: QEMU ended before it had a port ({said.strip()})")

    def close(self) -> None:
        """Power off; a second call does nothing. In a forked process: only close its copies of the pipes."""
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
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
        return self._child is not None and self._child.running

    def death(self, board: Board) -> str:
        """What a board that answers no more says of itself: its fault handler's registers, or else QEMU's."""
        fault = FAULT.search(board.last_words())
        if fault:
            return f"{fault[1].rstrip(':')}\n{fault[2].strip()}"
        if not self.running:
            return "QEMU ended"
        return f"no fault was reported; registers now:\n{self.registers()}"

    def registers(self) -> str:
        """The core's registers as QEMU's monitor says them."""
        assert self._monitor is not None
        self._monitor.settimeout(5)
        try:
            if not self._greeted:
                _until_prompt(self._monitor)
                self._greeted = True
            self._monitor.sendall(b"info registers\n")
            said = _until_prompt(self._monitor)
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


def _turn() -> IO[str]:
    """Hold one of the machine-wide rights to run a board; BoardError when others keep all of them."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        for number in range(BOARDS):
            file = (cache() / f"board-{number}.lock").open("a")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            file.close()
        if time.monotonic() > deadline:
            raise BoardError(f"{BOARDS} emulated boards have run for {WAIT_SECONDS} s, wanted one of them to end")
        time.sleep(0.2)
