"""The files of a board, by commands written here.

A string that becomes code on a board, be it a path, a name or source, goes through literal(); no helper of mpremote's
builds code from one.
"""

import ast
import contextlib
import errno
import hashlib
import os
from pathlib import PurePosixPath
from typing import Any

EXEC_SECONDS = 60.0
CHUNK = 512  # bytes of a file per command: the command, up to four times that, must fit a small heap
DIRECTORY = 0x4000  # of st_mode, on every port

# names as bytes: some file systems hold ones that are no UTF-8
LIST = """
import os
for entry in os.ilistdir({path}):
    print((bytes(entry[0], 'utf8'), entry[1], entry[3] if len(entry) > 3 else 0), end=',')
"""

KINDS = """
import os
for path in {paths}:
    try:
        print(os.stat(path)[0], end=',')
    except OSError:
        print(None, end=',')
"""

HASH = """
import hashlib
h = hashlib.sha256()
buf = memoryview(bytearray({chunk}))
with open({path}, 'rb') as f:
    n = f.readinto(buf)
    while n:
        h.update(buf[:n])
        n = f.readinto(buf)
print(h.digest())
"""


class BoardError(Exception):
    """What went wrong, in one sentence.

    traceback  the board's own text when code raised there, else ""
    errno      the board's OSError number when a file operation failed there, else None
    """

    def __init__(self, message, traceback="", errno=None):
        super().__init__(message)
        self.traceback = traceback
        self.errno = errno


def literal(value):
    """`value` as an expression that MicroPython reads as the same: a str, bytes, a finite number, a bool, None, or a
    tuple, list or dict of them.

    raises  ValueError for a str that has no UTF-8, TypeError for another type
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        return f"({''.join(literal(item) + ', ' for item in value)})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if value is None or type(value) in (bool, int, float, bytes):
        return repr(value)
    raise TypeError(f"value: a {type(value).__name__}, wanted plain values for a board")


def _text(text):
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!a}: has no UTF-8, wanted a name that a board can hold") from None
    if text.isprintable():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    # firmware without Unicode has only the escape \xNN, which it takes for a byte
    return repr(text) if text.isascii() else f"str({data!r}, 'utf8')"


def board_path(path, name):
    """An absolute path of a board without superfluous slashes; `name` is what it was given as.

    raises  ValueError for another
    """
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or "." in parts or "\0" in path:
        raise ValueError(f"{name}: {path!a}, wanted an absolute path on the board, such as /lib")
    literal(path)
    return "/" + "/".join(filter(None, parts))


class Files:
    """What a Board, which runs code and has a port, does with files. Paths are absolute; all raise BoardError."""

    port: str
    exec: Any
    exec_checked: Any
    eval: Any

    def _on_files(self, doing, code, run=None):
        """The output of code that works on files; the board's OSError becomes a sentence with its number."""
        try:
            return (run or self.exec)(code, doing=doing)
        except BoardError as error:
            if error.errno is None:
                raise
            reason = os.strerror(error.errno)
            raise BoardError(f"the board on {self.port}: {doing} failed: {reason}", errno=error.errno) from None

    def _plain(self, text, doing):
        """The value of what a command printed."""
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise BoardError(f"the board on {self.port}: {doing} answered {text.strip()!r}") from None

    def listdir(self, path):
        """{name: size, None for a directory} of a directory; {} if there is none. A byte of a name that is no UTF-8
        is a lone surrogate, as in the names of files here."""
        doing = f"listing {path}"
        try:
            said = self._on_files(doing, LIST.format(path=literal(path)))
        except BoardError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV):
                raise
            return {}
        entries = self._plain(f"[{said}]", doing)
        try:
            return {
                name.decode(errors="surrogateescape"): None if mode & DIRECTORY else size
                for name, mode, size in entries
            }
        except (AttributeError, TypeError, ValueError):
            raise BoardError(f"the board on {self.port}: {doing} answered {said.strip()!r}") from None

    def walk(self, path):
        """{path below `path`: size, None for a directory} of everything there, at any depth."""
        found = {}
        for name, size in self.listdir(path).items():
            found[name] = size
            if size is None:
                found.update({f"{name}/{below}": n for below, n in self.walk(f"{path.rstrip('/')}/{name}").items()})
        return found

    def tree(self, path):
        """walk() without the directories."""
        return {name: size for name, size in self.walk(path).items() if size is not None}

    def kinds(self, paths):
        """{path: "file", "directory", or None where there is nothing}."""
        paths = list(paths)
        doing = f"looking at {paths[0]}"
        modes = self._plain(f"[{self._on_files(doing, KINDS.format(paths=literal(paths)))}]", doing)
        if len(modes) != len(paths):
            raise BoardError(f"the board on {self.port}: {doing} answered for {len(modes)} paths of {len(paths)}")
        return {
            path: None if mode is None else "directory" if mode & DIRECTORY else "file"
            for path, mode in zip(paths, modes, strict=True)
        }

    def read(self, path, count=None):
        """The bytes of a file, the first `count` if given, fewer where it is shorter."""
        doing, data = f"reading {path}", bytearray()
        self._on_files(doing, f"f = open({literal(path)}, 'rb')\nr = f.read")
        while count is None or len(data) < count:
            part = self._plain(self._on_files(doing, f"print(r({CHUNK}))"), doing)
            if not part:
                break
            data += part
        self._on_files(doing, "f.close()")
        return bytes(data[:count])

    def write(self, path, data, progress=None):
        """Write `data`, bytes, to a file. progress(bytes done, bytes in all) after each chunk. A failure
        leaves a file that is to be removed."""
        doing = f"writing {path}"
        self._on_files(doing, f"f = open({literal(path)}, 'wb')\nw = f.write", self.exec_checked)
        try:
            for at in range(0, len(data), CHUNK):
                self._on_files(doing, f"w({literal(bytes(data[at : at + CHUNK]))})")
                if progress:
                    progress(min(at + CHUNK, len(data)), len(data))
            self._on_files(doing, "f.close()")
        except BoardError as error:
            if error.errno is not None or error.traceback:
                with contextlib.suppress(BoardError):
                    self.exec("f.close()")
            raise

    def sha256(self, path):
        """Hex digest of a file, computed on the board where its firmware can; None if it can't be read."""
        doing = f"reading {path}"
        try:
            return self._plain(self._on_files(doing, HASH.format(path=literal(path), chunk=CHUNK)), doing).hex()
        except BoardError as error:
            if error.errno is not None:
                return None
            if not error.traceback.rstrip().rpartition("\n")[2].startswith(("ImportError", "AttributeError")):
                raise
        return hashlib.sha256(self.read(path)).hexdigest()  # a firmware without it

    def remove(self, path):
        """Remove a file."""
        self._on_files(f"removing {path}", f"import os\nos.remove({literal(path)})", self.exec_checked)

    def makedirs(self, path):
        """Make a directory and its parents; returns the ones that were missing, outermost first."""
        parts = [path, *map(str, PurePosixPath(path).parents)][:-1][::-1]
        made = [part for part, kind in self.kinds(parts).items() if kind is None] if parts else []
        for part in made:
            self._on_files(f"making {part}", f"import os\nos.mkdir({literal(part)})", self.exec_checked)
        return made

    def free(self, path="/"):
        """(bytes free, bytes per block) of the file system at a path; None where the board can't report it."""
        try:
            _, block, blocks, free = self.eval(f"__import__('os').statvfs({literal(path)})")[:4]
        except BoardError as error:
            if not error.traceback:
                raise
            return None
        # LFS2 counts blocks in use twice when nearly full, and the difference wraps
        return (0 if free > blocks else free) * block, block
