"""Files onto a board: written to a temporary name, checked there by SHA-256, then renamed in one short command.

A board's file system replaces one file atomically and no more. The callers give the steps and so decide which files
appear together: deploy.py for the package, deploy_model.py for a network.
"""

import contextlib
import errno
import hashlib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from .board import Board, BoardError
from .board_files import literal

TEMPORARY = ".tmp"
READ_ONLY = (errno.EROFS, errno.ENODEV, errno.EPERM, errno.EACCES)

# (a, b) renames, (a,) removes, an empty directory where a ends in a slash; the first failure ends it
COMMIT = """
import os
root = {root}
for step in {steps}:
    if len(step) == 2:
        os.rename(root + step[0], root + step[1])
    elif step[0][-1] == '/':
        os.rmdir(root + step[0][:-1])
    else:
        os.remove(root + step[0])
"""

# removes what it can: files, directories with all in them, then directories that are empty
TIDY = """
import os
def remove(path):
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                remove(path + '/' + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass
for path in {paths}:
    remove(path)
for path in {directories}:
    try:
        os.rmdir(path)
    except OSError:
        pass
"""

Progress = Callable[[str, int, int], None]


def sha256(data: bytes) -> str:
    """The hex digest that Board.sha256 gives for a file of these bytes."""
    return hashlib.sha256(data).hexdigest()


def require_space(
    board: Board, path: str, files: Iterable[bytes], blocks: int, state: str = "nothing was changed"
) -> None:
    """Refuse what does not fit beside what is there, before anything is written: whole blocks for each file, and
    `blocks` more for entries and directories.

    path    of the file system
    state   what stands on the board, for the sentence of the error
    raises  BoardError
    """
    known = board.free(path)
    if known is None:
        return
    free, block = known
    need = block * (sum(-(-len(data) // block) for data in files) + blocks)
    if need > free:
        raise BoardError(
            f"the board on {board.port} has {free // 1024} KiB of flash free and deploying needs"
            f" {need // 1024} KiB beside what is there; {state}"
        )


def write_checked(
    board: Board,
    directory: str,
    files: dict[str, bytes],
    remains: list[str],
    state: str,
    progress: Progress,
    place: str = "",
) -> None:
    """Write files below a directory, an absolute path or "" for the root, and check each.

    remains  paths to remove after a failure, beside the directories that were made
    state    what then stands on the board, for the sentence of the error
    place    where the file system is, for it; the directory's parent if not given
    raises   BoardError
    """
    made: list[str] = []
    total, before = sum(map(len, files.values())), 0
    try:
        for parent in sorted({str(PurePosixPath(f"{directory}/{name}").parent) for name in files}):
            made += board.makedirs(parent)
        for name, data in files.items():
            what = name.removesuffix(TEMPORARY)
            board.write(
                f"{directory}/{name}",
                data,
                lambda done, _, what=what, before=before: progress(what, before + done, total),
            )
            before += len(data)
        for name, data in files.items():
            path = f"{directory}/{name}"
            if board.sha256(path) != sha256(data):
                raise BoardError(f"{path} arrived damaged on the board on {board.port}")
    except BaseException as error:
        if board.recover():
            tidy(board, remains, reversed(made))
        if isinstance(error, BoardError):
            raise _explained(error, board, place or str(PurePosixPath(directory).parent), state) from error
        raise


def _explained(error: BoardError, board: Board, place: str, state: str) -> BoardError:
    """A failure of write_checked, with the cause in plain words and what now stands on the board."""
    cause = str(error)
    if error.errno == errno.ENOSPC:
        cause = f"the flash of the board on {board.port} is full"
    elif error.errno in READ_ONLY:
        cause = f"the board on {board.port} has no writable file system at {place}"
    return BoardError(f"{cause}; {state}", error.traceback, error.errno)


def commit(board: Board, root: str, steps: list[tuple[str, ...]]) -> None:
    """Do steps on paths below root in one command, as COMMIT does. raises BoardError"""
    board.exec_checked(COMMIT.format(root=literal(root), steps=literal(tuple(steps))))


def tidy(board: Board, paths: Iterable[str], directories: Iterable[str] = ()) -> None:
    """Remove files, or directories with all in them, then directories that are empty; what can't be removed
    stays for the next deploy."""
    paths, directories = tuple(paths), tuple(directories)
    if paths or directories:
        with contextlib.suppress(BoardError):
            board.exec_checked(TIDY.format(paths=literal(paths), directories=literal(directories)))
