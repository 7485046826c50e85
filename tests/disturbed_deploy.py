"""A deploy, disturbed at one of its steps. A step is one write to the port."""

import contextlib
import os
import signal as signals
import sys
from unittest import mock

from ucorr_tools.boards import deploy as deploying
from ucorr_tools.boards.board import _Line
from ucorr_tools.cli import main as cli


@contextlib.contextmanager
def at_step(number, before=None, after=None):
    """Ahead of the write `number` to a port call before(line, data), which returns what is written in place of
    the data, and after it after(). Yields the list of the writes so far, as they were meant."""
    real, seen = _Line.write, []

    def write(line, data):
        seen.append(bytes(data))
        now = len(seen) == number + 1
        real(line, before(line, bytes(data)) if now and before else data)
        if now and after:
            after()

    with mock.patch.object(_Line, "write", write):
        yield seen


def signalled_command(port, package, number, signal, output):
    """The command `ucorr deploy` in a process of its own, which sends itself a signal at a step; `output` is
    a file for what it prints."""
    signals.signal(signals.SIGINT, signals.default_int_handler)  # which a job in the background ignores
    end = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(end, 1)
    os.dup2(end, 2)
    with (
        mock.patch.object(deploying, "package_files", return_value=package),
        at_step(number, after=lambda: os.kill(os.getpid(), signal)),
    ):
        sys.exit(cli.main(["deploy", "--port", port]))
