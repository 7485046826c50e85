"""Commands of this environment as a user types them, and how one has to fail."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from ucorr_tools.cli.main import main

BIN = Path(sys.executable).parent


def command(*arguments, **options):
    return subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]], capture_output=True, text=True, timeout=120, **options
    )


def here(*arguments, **options):
    """`ucorr` within this process, which is quicker: the same as a command() gives."""
    result = CliRunner().invoke(main, [*map(str, arguments)], prog_name="ucorr", **options)
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def assert_one_sentence(result, *words):
    """A command that failed as a command should."""
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr
