"""Imports go one way, tools to host to firmware, and no module or folder of them imports one that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import ucorr
import ucorr_host
import ucorr_tools

PACKAGES = {package.__name__: Path(package.__file__).parent for package in (ucorr, ucorr_host, ucorr_tools)}
ALLOWED = {"ucorr": {"ucorr"}, "ucorr_host": {"ucorr", "ucorr_host"}, "ucorr_tools": set(PACKAGES)}
LINES = 450  # of a module; viper's stages are one function each


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module."""
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *parts[: -1 if file.stem == "__init__" else None]]), file


@cache
def imports() -> dict[str, set[str]]:
    """{module: the modules that it imports anywhere in it}"""
    files = dict(modules())
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = module.split(".")[: len(module.split(".")) - node.level + (file.stem == "__init__")]
                base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module or ""
                named = {f"{base}.{name.name}" for name in node.names}
                names |= (named & files.keys()) or {base}
        found[module] = names & files.keys() - {module}
    return found


def folder(module: str) -> str:
    """The folder of a module; a folder's __init__.py, which stands for all of it, and what lies in a package alone are
    by themselves."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else module


def test_no_module_imports_one_that_imports_it():
    list(TopologicalSorter(imports()).static_order())


@pytest.mark.parametrize("package", ["ucorr_host", "ucorr_tools"])
def test_no_folder_imports_one_that_imports_it(package):
    folders: dict[str, set[str]] = {}
    for module, names in imports().items():
        if module.startswith(f"{package}."):
            inner = {folder(name) for name in names if name.startswith(f"{package}.")}
            folders.setdefault(folder(module), set()).update(inner - {folder(module)})
    assert len(folders) > 6
    list(TopologicalSorter(folders).static_order())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_arrow_points_back(package):
    for module, names in imports().items():
        if module.split(".")[0] == package:
            assert {name.split(".")[0] for name in names} <= ALLOWED[package], module


def test_no_module_is_long():
    long = [module for module, file in modules() if len(file.read_text(encoding="utf-8").splitlines()) > LINES]
    assert [module for module in long if not module.startswith("ucorr.backends.viper")] == []
