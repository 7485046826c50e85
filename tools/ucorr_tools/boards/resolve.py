"""Which file a board's `import` takes for a name, found without running a file of its user's.

The search is that of py/builtinimport.c: a module built into the firmware, then each entry of sys.path, in which a
directory comes before a source and a source before a compiled file.
"""

from .board import Board, BoardError
from .board_files import literal

FROZEN, BUILT_IN = ".frozen", "the firmware"
ENDINGS = ("", "/__init__.py", "/__init__.mpy", ".py", ".mpy")

# A module is the firmware's own where an import finds it with only ".frozen" in sys.path; a frozen one has a file.
FIRMWARE = """
import os, sys
def own(name):
    def forget():
        return {{key: sys.modules.pop(key) for key in list(sys.modules) if key.split('.')[0] == name}}
    known, path = forget(), sys.path[:]
    sys.path[:] = ['.frozen']
    try:
        return getattr(__import__(name), '__file__', '')
    except ImportError:
        return None
    except Exception:
        return name
    finally:
        sys.path[:] = path
        forget()
        sys.modules.update(known)
found = own({name}), sys.path, os.getcwd()
del own
"""


def search(board: Board, name: str) -> list[tuple[str, str | None]]:
    """(place, file or None) of each place that a board's `import` of a name looks into, in that order.

    A place is a directory, FROZEN or BUILT_IN. A directory without __init__ is a file that ends in a slash.
    raises BoardError
    """
    board.exec(FIRMWARE.format(name=literal(name)))
    own, path, start = board.eval("found")
    # "" and other relative entries count from the directory in which the board is
    places = [place if place == FROZEN else _joined(start, place) for place in path]
    modules = {place: _joined(place, name) for place in places if place != FROZEN}
    kinds = board.kinds(module + ending for module in modules.values() for ending in ENDINGS) if modules else {}

    def hit(place: str) -> str | None:
        if place == FROZEN:
            return own or None
        module = modules[place]
        whole = kinds[module] == "directory"
        for ending in ENDINGS[1:3] if whole else ENDINGS[3:]:
            if kinds[module + ending] == "file":
                return module + ending
        return module + "/" if whole else None

    built_in = [(BUILT_IN, name)] if own == "" else []
    return built_in + [(place, hit(place)) for place in places]


def _joined(*parts: str) -> str:
    """The absolute path of a board that the last of the parts is, seen from those before."""
    path = ""
    for part in parts:
        path = part if part.startswith("/") else f"{path}/{part}"
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def found_file(place: str, file: str) -> str:
    """A file of search(), for a person: its path, or that it is in the firmware."""
    return f"{file} in the firmware" if place in (FROZEN, BUILT_IN) else file


def resolved(board: Board, name: str) -> str | None:
    """The file that a board's `import` of a name takes; None: there is none. raises BoardError"""
    return next((found_file(place, file) for place, file in search(board, name) if file), None)


def require_found(board: Board, name: str, target: str, assumed: str | None = None) -> str | None:
    """The file that a board's `import` of a name takes, one of the package in a directory of the board; None where the
    import finds nothing, since the directory is not in sys.path.

    assumed  a file there that counts as the one
    raises   BoardError where the import takes a file from elsewhere
    """
    package = _joined(target, name)
    for place, file in search(board, name):
        if place == target and assumed:
            return assumed
        if file and file.startswith(f"{package}/__init__."):
            return file
        if file:
            raise BoardError(
                f"the board on {board.port} takes {found_file(place, file)} for `import {name}`, not {package}:"
                " remove or rename it"
            )
    return None
