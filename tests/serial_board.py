"""A real MicroPython that looks like a board on a serial port, for tests of what talks to boards.

The unix port of MicroPython runs behind a pseudo terminal. What it lacks to be a
board is added here: a flash of its own (LFS2 in an image file, mounted at '/', so
that the host's files are out of reach), `sys.path` as on a board, boot.py, and a
soft reset that comes back (the unix port ends at ctrl-D; it is started again).
`MICROPYTHON=path` picks another binary.
"""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest

BLOCK = 4096
RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
PROMPT = b">>> "
MOUNTED = b"the flash is mounted"

# What a board's frozen _boot.py does.
BOOT = """
import os, struct, sys, vfs
class Flash:
    def __init__(self, path, blocks, journal):
        self.file = open(path, 'r+b')
        self.blocks = blocks
        self.journal = journal and open(journal, 'ab')
    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * {block} + offset)
        self.file.readinto(buf)
    def writeblocks(self, block, buf, offset=0):
        self.file.seek(block * {block} + offset)
        self.file.write(buf)
        if self.journal:
            self.journal.write(struct.pack('<II', block * {block} + offset, len(buf)) + buf)
    def ioctl(self, op, arg):
        if op == 6:
            self.writeblocks(arg, bytes([255]) * {block})
        return {{4: self.blocks, 5: {block}}}.get(op, 0)
flash = Flash({flash!r}, {blocks}, {journal!r})
try:
    lfs = vfs.VfsLfs2(flash, mtime={mtime})
except OSError:
    vfs.VfsLfs2.mkfs(flash)
    lfs = vfs.VfsLfs2(flash, mtime={mtime})
vfs.umount('/')
vfs.mount(lfs, {place!r})
os.chdir({place!r})
sys.path[:] = ['', '.frozen'] + {path}
del Flash, flash, lfs
print('the flash is mounted', end='')
if 'boot.py' in os.listdir():
    exec(open('boot.py').read())
"""


def micropython():
    """The MicroPython binary: $MICROPYTHON, or the one installed beside this Python."""
    return os.environ.get("MICROPYTHON") or str(Path(sys.executable).with_name("micropython"))


class Terminal:
    """A raw pseudo terminal: `.end` is ours, `.port` names the other side, which is kept open."""

    def __init__(self):
        self.end, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.end, False)
        self.port = os.ttyname(self.slave)

    def drop_slave(self):
        """Close our hold on the other side: its last user leaving is then an end of file."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def close(self):
        self.drop_slave()
        os.close(self.end)


def take(end):
    """What can be read from `end` now; b"" once the other side is gone."""
    try:
        return os.read(end, 4096)
    except OSError:
        return b""


class SerialBoard:
    """A board whose flash is `state`/flash.img: `.start()`, `.kill()` (it vanishes), `.start()` again.

    state         directory, made if missing
    flash_blocks  size of the flash in blocks of 4096 bytes
    journal       a file that gets all that is written to the flash: address and length, 32 bits each, bytes
    place         where the flash is mounted and the board starts: "/", or "/flash" as on an STM32
    mtime         whether files keep the time of their last change; without, equal writes make equal flashes
    .port         what to give to mpremote while the board runs; a new one after each start
    """

    def __init__(self, state, flash_blocks=256, journal=None, mtime=True, place="/"):
        self.state = Path(state)
        self.state.mkdir(parents=True, exist_ok=True)
        self.flash = self.state / "flash.img"
        self.blocks = flash_blocks
        self.journal = journal and str(journal)
        self.mtime = mtime
        self.place = place
        if not self.flash.exists():
            self.flash.write_bytes(b"\xff" * (BLOCK * flash_blocks))
        self.port = None
        self.thread = None

    def start(self):
        """Power on; returns self once the board's prompt stands."""
        self.host = Terminal()
        self.port = self.host.port
        self.stop_read, self.stop_write = os.pipe()
        self.to_host, self.to_child = bytearray(), bytearray()
        self.raw = False
        self.stopping = False
        self.ready, self.replugged = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"board on {self.port}", daemon=True)
        self.thread.start()
        if not self.ready.wait(20):
            self.kill()
            raise RuntimeError(f"{micropython()} shows no prompt")
        return self

    def kill(self):
        """The board vanishes: its process is killed and its port hung up. Twice is once."""
        if self.thread is None:
            return
        os.write(self.stop_write, b"x")
        self.thread.join()
        self.thread = None
        os.close(self.stop_read)
        os.close(self.stop_write)

    def restart(self, flash=None):
        """kill() and start(), with `flash`, bytes, as the content of the flash."""
        self.kill()
        if flash is not None:
            self.flash.write_bytes(flash)
        return self.start()

    def replug(self):
        """Pull the cable and plug it in again: the port is hung up, the board runs on behind another one."""
        self.replugged.clear()
        os.write(self.stop_write, b"r")
        assert self.replugged.wait(20)

    def _run(self):
        self._spawn()
        try:
            while self._boot():
                while self._carry():
                    pass
                self._reap()
                if self.stopping:
                    return
                self.to_host += b"MPY: soft reboot\r\n"
                self._spawn()
        finally:
            self._reap()
            self.host.close()

    def _spawn(self):
        self.line = Terminal()
        boot = self.state / "_boot.py"
        words = {"flash": str(self.flash), "blocks": self.blocks, "journal": self.journal, "mtime": self.mtime}
        words |= {"place": self.place, "path": ["/lib"] if self.place == "/" else [self.place, f"{self.place}/lib"]}
        boot.write_text(BOOT.format(block=BLOCK, **words))
        self.busy, self.tail = False, b""
        self.child = subprocess.Popen(
            [micropython(), "-i", str(boot)],
            stdin=self.line.slave,
            stdout=self.line.slave,
            stderr=self.line.slave,
            cwd=self.state,
            start_new_session=True,
        )
        self.line.drop_slave()

    def _reap(self):
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait()
            self.child = None
            self.line.close()

    def _told(self):
        """Do what kill() or replug() ask for; True when the board is to go on."""
        if os.read(self.stop_read, 1) == b"x":
            self.stopping = True
        else:
            self.host.close()
            self.host = Terminal()
            self.port = self.host.port
            self.to_host.clear()
            self.replugged.set()
        return not self.stopping

    def _boot(self):
        """Take the child to the prompt its host expects; False when stopped. Input waits meanwhile:
        the child discards what comes before its prompt."""
        seen = self._until(PROMPT)
        if seen is None:
            return False
        before, mounted, after = seen.partition(MOUNTED)
        if not mounted:
            return False  # the board's files would be those of the host
        seen = before + after
        if self.raw:
            os.write(self.line.end, b"\x01")
            banner = self._until(RAW_BANNER)
            if banner is None:
                return False
            seen = RAW_BANNER
        self.to_host += seen
        self.ready.set()
        return True

    def _until(self, ending):
        seen = b""
        while not seen.endswith(ending):
            ready = select.select([self.line.end, self.stop_read], [], [])[0]
            if self.stop_read in ready:
                if not self._told():
                    return None
                continue
            got = take(self.line.end)
            if not got:
                return None
            seen += got
        return seen

    def _carry(self):
        """Move bytes both ways once; False when the child ended or the board is to stop. A side that
        takes nothing holds back the other, and nothing is dropped."""
        line, host = self.line.end, self.host.end
        reads = [self.stop_read]
        if not self.to_host:
            reads.append(line)
        if not self.to_child:
            reads.append(host)
        writes = [end for end, waiting in ((host, self.to_host), (line, self.to_child)) if waiting]
        readable, writable, _ = select.select(reads, writes, [])
        if self.stop_read in readable:
            return self._told()
        for end, waiting in ((host, self.to_host), (line, self.to_child)):
            if end in writable:
                del waiting[: os.write(end, waiting)]
        if host in readable:
            self._typed(take(host))
        if line in readable:
            got = take(line)
            self.to_host += got
            self.tail = (self.tail + got)[-2:]
            self.busy &= self.tail != b"\x04>"
            return bool(got)
        return True

    def _typed(self, got):
        """What the host sent: follow the raw REPL's state by its control characters. The unix port reads
        ctrl-C at its prompt only, so that running code gets the signal instead."""
        if self.busy and b"\x03" in got and self._interrupted():
            got = got[got.index(b"\x03") + 1 :]
        if got[-1:] in (b"\x01", b"\x02"):
            self.raw = got[-1:] == b"\x01"
        self.busy |= self.raw and got[-1:] == b"\x04"
        self.to_child += got

    def _interrupted(self):
        """Send the child the signal, if it runs code: at its prompt, where it has no handler, it would die of
        it. It stands still while that is looked up."""
        os.kill(self.child.pid, signal.SIGSTOP)
        if not os.WIFSTOPPED(os.waitpid(self.child.pid, os.WUNTRACED)[1]):
            return False
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        caught = int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[1], 16)
        runs = bool(caught >> signal.SIGINT - 1 & 1)
        if runs:
            os.kill(self.child.pid, signal.SIGINT)
        os.kill(self.child.pid, signal.SIGCONT)
        return runs


@pytest.fixture(name="serial_board")
def serial_board_fixture(tmp_path):
    """A started SerialBoard with 1 MB of empty flash."""
    board = SerialBoard(tmp_path / "board").start()
    yield board
    board.kill()


class MutePort:
    """A port without MicroPython behind it: says `noise` for ever, or nothing when it is b""."""

    def __init__(self, noise=b""):
        self.terminal = Terminal()
        self.port = self.terminal.port
        self.noise = noise
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        os.write(self.stop_write, b"x")
        self.thread.join()
        for end in (self.stop_read, self.stop_write):
            os.close(end)
        self.terminal.close()

    def _run(self):
        end = self.terminal.end
        while True:
            readable, writable, _ = select.select([self.stop_read, end], [end] if self.noise else [], [])
            if self.stop_read in readable:
                return
            if end in readable:
                take(end)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    os.write(end, self.noise)
