"""Child, a process that ends when this one ends, however that happens, and that forked copies of this one do not use.

A child is the leader of a group of two: itself, and a shell that reads a pipe whose other end only this process holds.
The pipe ends when this process does, by whatever signal, and then the shell kills the group. Linux's PR_SET_PDEATHSIG
would not do: it fires when the thread that started the child ends, and wants Python code between fork and exec.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Sequence
from typing import Any

# $0 is the number of the pipe's end. The shell lets go of the child's pipes, whose end is how one hears that it ended.
WATCH = '{ read _; kill -9 0; } </dev/fd/"$0" >/dev/null 2>&1 & exec "$@"'


class Child:
    """A process, its standard streams unbuffered pipes in `process`; OSError when it can't be started.

    options  of subprocess.Popen
    """

    def __init__(self, command: Sequence[str], *, pass_fds: Sequence[int] = (), **options: Any) -> None:
        watched, ours = os.pipe()
        self._life = os.fdopen(ours, "wb", buffering=0)  # closed with this object, even one that is half made
        self._alien = False
        self.process: subprocess.Popen[bytes] | None = None
        _children.add(self)
        try:
            try:
                self.process = subprocess.Popen(
                    ["/bin/sh", "-c", WATCH, str(watched), *command],
                    bufsize=0,
                    pass_fds=(watched, *pass_fds),
                    start_new_session=True,  # so that a terminal's ctrl-C is this process's alone
                    **options,
                )
            finally:
                os.close(watched)
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> bool:
        """Whether the child is alive and was started by this process, not by the one that it was forked from."""
        return not self._alien and self.process is not None and self.process.poll() is None

    def close(self) -> None:
        """Kill the child and close its pipes. A second call does nothing."""
        if self.process is not None and not self._alien:
            if not self._life.closed:
                # as long as the shell lives the group's number is nobody else's; macOS denies it where all are zombies
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self._life.close()  # before the number is free, so that closing again after an exception kills no other
            self.process.wait()
        self._close_pipes()

    def leave(self) -> None:
        """In a forked process: close its copies of the pipes, or they would outlive the process that holds them."""
        self._alien = True
        if self.process is not None:
            self.process.returncode = 0  # there is nothing to wait for
        self._close_pipes()

    def _close_pipes(self) -> None:
        process = self.process
        for pipe in (self._life, *((process.stdin, process.stdout, process.stderr) if process else ())):
            if pipe is not None:
                pipe.close()


class Turns:
    """One thread's turn at a time: `with turns.lock:`. A forked process begins with a free lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        _turns.add(self)


_children: weakref.WeakSet[Child] = weakref.WeakSet()
_turns: weakref.WeakSet[Turns] = weakref.WeakSet()


def _forked() -> None:
    for child in list(_children):
        child.leave()
    for turns in list(_turns):
        turns.lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)
