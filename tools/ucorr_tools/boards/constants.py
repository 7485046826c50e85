"""Numbers of the package's modules written where they are used, before mpy-cross.

MicroPython looks a name up each time, and a .mpy file holds the name of all that it imports. Its const() folds names
within a file; this does it across files, so that a constant has one home in the source and none on the board. Names in
capitals that a file binds once, to whole numbers known ahead, are folded; what a function is called and what it
does stay.
"""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import Any

_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]*")


class _Module:
    """A file's tree, the constants and the modules of the package that its names stand for."""

    def __init__(self, path: str, tree: ast.Module, others: dict[str, _Module | ast.Module]) -> None:
        self.tree = tree
        self.names: dict[str, int] = {}
        self.modules: dict[str, _Module] = {}
        bound = _bound(tree)
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                for alias in node.names:
                    name = alias.asname or alias.name
                    home = _module(others, _path(path, node, ()))
                    module = _module(others, _path(path, node, (alias.name,)))
                    if home and alias.name in home.names and bound.count(name) == 1:
                        self.names[name] = home.names[alias.name]
                    elif module and bound.count(name) == 1:
                        self.modules[name] = module
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
                several = isinstance(target, ast.Tuple)
                values = self._values(node.value) if several else [self.value(node.value)]
                for name, value in zip(_names(target), values, strict=False):
                    if value is not None and bound.count(name) == 1 and _CAPITALS.fullmatch(name):
                        self.names[name] = value

    def value(self, node: ast.expr) -> int | None:
        """The value of an expression of numbers and constants, or None."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.modules.get(node.value.id)
            return module.names.get(node.attr) if module else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
            left, right = self.value(node.left), self.value(node.right)
            if left is not None and right is not None:
                return left + right if isinstance(node.op, ast.Add) else left * right
        return None

    def _values(self, node: ast.expr) -> list[int | None]:
        """The numbers of a tuple or a range()."""
        if isinstance(node, ast.Tuple):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            limits = [self.value(argument) for argument in node.args]
            known = [limit for limit in limits if limit is not None]
            if len(known) == len(limits):
                return list(range(*known))
        return []


def _names(target: ast.expr) -> list[str]:
    """What an assignment binds; names alone, else nothing."""
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [node.id for node in targets if isinstance(node, ast.Name)]
    return names if len(names) == len(targets) else []


def _bound(tree: ast.Module) -> list[str]:
    """Every name that something in a file binds, as often as it does."""
    bound = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.append(node.id)
        elif isinstance(node, ast.arg):
            bound.append(node.arg)
        elif isinstance(node, ast.alias):
            bound.append(node.asname or node.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.append(node.name)
        elif isinstance(node, ast.Global):
            bound += 2 * node.names
    return bound


def _path(path: str, node: ast.ImportFrom, more: tuple[str, ...]) -> str:
    """The file that a relative import of a file means."""
    folder = PurePosixPath(path)
    for _ in range(node.level):
        folder = folder.parent
    parts = (node.module.split(".") if node.module else []) + list(more)
    return folder.joinpath(*parts).with_suffix(".py").as_posix() if parts else ""


def _module(others: dict[str, Any], path: str) -> _Module | None:
    """A file of the package, read when it is first asked for; None if there is none, or it is being read."""
    if isinstance(others.get(path), ast.Module):
        tree = others.pop(path)
        others[path] = _Module(path, tree, others)
    return others.get(path)


class _Fold(ast.NodeTransformer):
    """Writes a module's numbers where its names are, and leaves out what nothing uses then.

    inner  whether the names are of no use outside of the package
    """

    def __init__(self, module: _Module, *, inner: bool) -> None:
        self.module, self.inner = module, inner

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._number(node) if isinstance(node.ctx, ast.Load) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        return self._number(node)

    def _number(self, node: ast.expr) -> ast.expr:
        value = self.module.value(node)
        return node if value is None else ast.Constant(value)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        node.names = [alias for alias in node.names if (alias.asname or alias.name) not in self.module.names]
        return node if node.names else None

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        self.generic_visit(node)
        names = _names(node.targets[0])
        unused = names and set(names) <= self.module.names.keys()
        return None if unused and (self.inner or all(name[0] == "_" for name in names)) else node


def folded(files: dict[str, bytes]) -> dict[str, bytes]:
    """A package, {path: source}, with its numbers in place of their names; what is no Python stays as it is, and so
    do names without underscore that stand in a module of the outer package."""
    modules: dict[str, Any] = {}
    for path, source in files.items():
        try:
            modules[path] = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
    trees = {path: module for path in list(modules) if (module := _module(modules, path))}
    made = dict(files)
    for path, module in trees.items():
        if module.names and PurePosixPath(path).name != "__init__.py":  # which has the names for others
            made[path] = ast.unparse(_Fold(module, inner="/" in path).visit(module.tree)).encode()
    return made
