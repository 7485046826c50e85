"""What `ucorr verify` found out about boards, as JSON or as one HTML page to attach to a bug report.

A page is complete in itself: no scripts, nothing loaded from elsewhere, everything that a board said escaped.
"""

from __future__ import annotations

import contextlib
import json
import platform
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy
import ucorr

from .. import files
from .board import Board, BoardError
from .deploy import MANIFEST, manifest_digests
from .resolve import resolved
from .verify import Row

FORMATS = (".json", ".html")

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
th, td { text-align: left; padding: 0.15rem 0.9rem 0.15rem 0; border-bottom: 1px solid #8886; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.bad { font-weight: bold; color: #d22; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
"""


def facts(board: Board) -> dict[str, Any]:
    """What a board is, and the files of the package on it: {"board": Board.probe(), "ucorr": version, "files": rows}.

    A file's row says the SHA-256 that the board computes and whether the board's manifest lists the same one.
    """
    version, where = board.eval("__import__('ucorr').__version__"), resolved(board, "ucorr") or ""
    root = where.rpartition("/")[0]
    try:
        listed = manifest_digests(board.read(f"{root}/{MANIFEST}"))
    except BoardError:
        listed = {}
    there, rows = board.tree(root), []
    for name in sorted(set(there) - {MANIFEST} | set(listed)):
        digest = None
        with contextlib.suppress(ValueError):  # a name that has no UTF-8, which can be listed but not asked for
            digest = board.sha256(f"{root}/{name}")
        state = "equal" if digest == listed.get(name) else "differs"
        state = "not in the manifest" if name not in listed else state if name in there else "missing"
        rows.append({"name": name, "sha256": digest, "manifest": state})
    return {"board": board.probe(), "ucorr": version, "folder": root, "files": rows}


def whole(boards: list[dict[str, Any]]) -> dict[str, Any]:
    """A report of boards, each {"port", "error"} or {"port", "backends", "rows", and what facts() says}."""
    host = {"ucorr": ucorr.__version__, "python": platform.python_version(), "numpy": numpy.__version__}
    return {"host": {**host, "system": platform.platform()}, "boards": boards}


def write(report: dict[str, Any], path: str | Path) -> None:
    """Write a report as its file name's ending says, .json or .html; ValueError for another."""
    if not str(path).endswith(FORMATS):
        raise ValueError(f"{path}: a report ends in {' or '.join(FORMATS)}")
    text = json.dumps(report, indent=1) if str(path).endswith(".json") else page(report)
    files.write(path, f"{text}\n".encode(errors="backslashreplace"))  # names may have bytes that are no UTF-8


def rows_of(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows of verify() as JSON can hold them."""
    return [asdict(row) for row in rows]


def page(report: dict[str, Any]) -> str:
    """A report as one HTML page."""
    parts = [f"<!doctype html><html lang='en'><meta charset='utf-8'><title>ucorr verify</title><style>{STYLE}</style>"]
    parts += ["<h1>ucorr verify</h1>", "<h2>Host</h2>", pairs(report["host"])]
    for board in report["boards"]:
        parts.append(f"<h2>Board on {text(board['port'])}</h2>")
        if "error" in board:
            parts.append(f"<p class='bad'>{text(board['error'])}</p>")
        if "rows" in board:
            parts += section(board)
    return "\n".join(parts) + "\n</html>"


def section(board: dict[str, Any]) -> list[str]:
    """What a page says of a board that answered."""
    wrong = sum(not row["equal"] for row in board["rows"])
    right = len(board["rows"]) - wrong
    problems = [
        [row["problem"], row["backend"], row["macs"], row["microseconds"], "equal" if row["equal"] else row["said"]]
        for row in board["rows"]
    ]
    hashes = [[row["name"], row["sha256"], row["manifest"]] for row in board["files"]]
    return [
        f"<p{' class=bad' if wrong else ''}>{right} of {len(board['rows'])} equal the reference bit for bit.</p>",
        pairs({**board["board"], "ucorr": f"{board['ucorr']} in {board['folder']}"}),
        "<h3>Backends</h3>",
        pairs(board["backends"]),
        "<h3>Problems</h3>",
        table(["problem", "backend", "MACs", "microseconds", "result"], problems, good=("equal",)),
        "<h3>Files</h3>",
        table(["file", "SHA-256 on the board", "manifest"], hashes, good=("equal",)),
    ]


def text(value: Any) -> str:
    """A value for a page."""
    if value is None:
        return "unknown"
    if isinstance(value, (list, tuple)):
        return escape(", ".join(map(str, value)) or "none")
    return escape(str(value))


def pairs(values: dict[str, Any]) -> str:
    """A dict as a table of names and values."""
    rows = "".join(
        f"<tr><th scope='row'>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def table(titles: list[str], rows: list[list[Any]], good: tuple[str, ...]) -> str:
    """A table whose last column says how it went; what is not good stands out."""
    lines = ["<table><tr>" + "".join(f"<th scope='col'>{text(title)}</th>" for title in titles) + "</tr>"]
    for *cells, state in rows:
        line = "".join(f"<td{' class=number' if isinstance(cell, int) else ''}>{text(cell)}</td>" for cell in cells)
        lines.append(f"<tr>{line}<td{'' if state in good else ' class=bad'}>{text(state)}</td></tr>")
    return "".join([*lines, "</table>"])
