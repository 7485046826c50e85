"""Two versions of a small package to deploy, and what of them stands on a board."""

from ucorr_tools.boards.board import BoardError
from ucorr_tools.boards.transfer import TEMPORARY


def made_up(version, *extra):
    """A small package whose whole() tells the version of each of its modules: a mixture would show."""
    number = f'VERSION = "{version}"\n'.encode()
    files = {
        "__init__.py": b"from . import a, version\nfrom .sub import b\n"
        b"def whole():\n    return version.__version__, a.VERSION, b.VERSION, OWN\n" + f'OWN = "{version}"\n'.encode(),
        "version.py": f'__version__ = "{version}"\n'.encode(),
        "a.py": number,
        "sub/__init__.py": b"",
        "sub/b.py": number,
    }
    return {**files, **dict.fromkeys(extra, number)}


OLD = made_up("1", "gone.py", "left/__init__.py")
NEW = made_up("2", "fresh.py")
OLD_WHOLE, NEW_WHOLE = ("1",) * 4, ("2",) * 4

REFUSALS = "ImportError: this ucorr is half deployed", "ImportError: no module named 'ucorr'"
FORGET = """
import sys
for name in [name for name in sys.modules if name.split('.')[0] == 'ucorr']:
    del sys.modules[name]
"""


def whole(board):
    """What the deployed package says of itself after a soft reset."""
    board.soft_reset()
    return board.eval("__import__('ucorr').whole()")


def whole_or_refused(board):
    """As whole(); None where the import says that the package is half deployed or that there is none."""
    board.soft_reset()
    return imported_anew(board)


def imported_anew(board):
    """As whole_or_refused(), in the heap as it is: what was imported before is forgotten."""
    board.exec(FORGET)
    try:
        return board.eval("__import__('ucorr').whole()")
    except BoardError as error:
        if not any(words in error.traceback for words in REFUSALS):
            raise
        return None


def temporaries(board):
    return [name for name in board.tree("/") if name.endswith(TEMPORARY)]
