"""What completion knows of ucorr is what ucorr has: names, parameters, defaults; print(layer) says what a layer is."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
from pathlib import Path

import pytest
import ucorr
from commands import command
from ucorr.network import Network
from ucorr_host.targets.micropython import executable, package_dir
from ucorr_tools.boards.deploy import package_files
from ucorr_tools.shipped import digits

PACKAGE = Path(package_dir())
STUBS = {name: ast.parse((PACKAGE / f"{name}.pyi").read_text()) for name in ("__init__", "network")}
NOT_OF_A_FILTER = {"groups"}
NOT_OF_DENSE = {"stride", "dilation", "padding", "border", "border_value", "groups", "pitch"}
SCALE = {"multiplier", "shift"}


def top(stub, kind):
    """{name: node} of a kind in a stub."""
    return {node.name: node for node in STUBS[stub].body if isinstance(node, kind)}


CLASSES = {name: node for name, node in top("__init__", ast.ClassDef).items() if name[0] != "_"}


def method(node, name):
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def parameters(node):
    """([(name, default, ...)] by position, {name: default} by keyword alone) of a stub's function, without self."""
    args = node.args
    defaults = [ast.literal_eval(value) for value in args.defaults]
    names = [arg.arg for arg in args.args]
    pairs = list(zip(names, [inspect.Parameter.empty] * (len(names) - len(defaults)) + defaults, strict=True))
    options = {
        arg.arg: inspect.Parameter.empty if value is None else ast.literal_eval(value)
        for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    }
    return [pair for pair in pairs if pair[0] != "self"], options


def real(function):
    """The same of a function, and whether it takes further keywords."""
    found = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    pairs = [(one.name, one.default) for one in found if one.kind == one.POSITIONAL_OR_KEYWORD]
    return pairs, any(one.kind == one.VAR_KEYWORD for one in found)


def test_the_stubs_name_what_the_package_has():
    functions = top("__init__", ast.FunctionDef)
    imported = [alias.asname for n in STUBS["__init__"].body if isinstance(n, ast.ImportFrom) for alias in n.names]
    assert {*CLASSES, *functions, *filter(None, imported)} == set(ucorr.__all__)
    for name, node in functions.items():
        assert parameters(node) == (real(getattr(ucorr, name))[0], {})
    assert parameters(top("network", ast.FunctionDef)["load"]) == (real(ucorr.load)[0], {})


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_takes_the_parameters_that_its_stub_names(name):
    pairs, options = parameters(method(CLASSES[name], "__init__"))
    real_pairs, more = real(getattr(ucorr, name).__init__)
    assert pairs == real_pairs
    known = dict(real(ucorr.Spec.__init__)[0])
    own = {"input_shape", "kernel_shape", "weights", *dict(pairs)}
    if not more:
        assert options == {}
    elif issubclass(getattr(ucorr, name), ucorr.Layer):
        assert options.pop("budget") is None
        left = {"Dense": NOT_OF_DENSE, "Conv2D": set()}.get(name, NOT_OF_A_FILTER)
        wanted = {option: value for option, value in known.items() if option not in own | left}
        if name.startswith("Correlate"):
            wanted["border_value"] = 0
        assert options == wanted
    else:
        sides = {"Mul": ("",), "PReLU": ("a_", "")}.get(name, ("a_", "b_", ""))
        wanted = {side + option for side in sides for option in SCALE}
        assert set(options) == wanted
        # sums go without scales
        assert set(options.values()) == {... if name in ("Add", "Sub") else inspect.Parameter.empty}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_methods_that_its_stub_names(name):
    bases = top("__init__", ast.ClassDef)
    node = CLASSES[name]
    while node is not None:
        for one in node.body:
            if isinstance(one, ast.FunctionDef):
                found = inspect.getattr_static(getattr(ucorr, name), one.name)
                if not isinstance(found, property):
                    assert one.name == "__init__" or parameters(one)[0] == real(found)[0]
        node = bases.get(node.bases[0].id) if node.bases else None


def stub_attributes(node):
    return {one.target.id for one in node.body if isinstance(one, ast.AnnAssign)}


def test_what_is_made_has_the_attributes_that_the_stubs_name():
    classes = top("__init__", ast.ClassDef)
    layer = ucorr.Conv2D([[[[1]]]], (4, 4))
    of_call = stub_attributes(classes["_Call"])
    assert all(hasattr(layer, name) for name in of_call | stub_attributes(classes["Layer"]))
    assert all(hasattr(layer.spec, name) for name in stub_attributes(classes["Spec"]))
    assert all(hasattr(ucorr.MaxPool2D(2, (4, 4, 1)), name) for name in of_call)
    from ucorr_host.networks.compile import compile

    net = ucorr.load(compile(digits.network()).to_bytes())
    assert all(hasattr(net, name) for name in stub_attributes(top("network", ast.ClassDef)["Network"]))
    for one in top("network", ast.ClassDef)["Network"].body:
        if isinstance(one, ast.FunctionDef):
            assert parameters(one)[0] == real(getattr(Network, one.name))[0]


RIGHT = """
import ucorr
pool = ucorr.MaxPool2D(2, (8, 8, 3), stride=2)
conv = ucorr.Conv2D([[[[1]]]], (8, 8), stride=(2, 2), padding="same", dtype="b", budget=1000)
pool(bytes(192), bytearray(48))
net = ucorr.load("digits.ucorr", weights="stream")
name: str = net.labels[ucorr.peak(net.run())[1]] + conv.backend + ucorr.info()["thumb"]
"""
WRONG = """
import ucorr
ucorr.MaxPool2D(2, (8, 8, 3), strides=2)
ucorr.Conv2D([[[[1]]]], (8, 8), padding="some")
ucorr.Sobel
"""


def test_mypy_knows_the_names_and_options(tmp_path):
    options = ("--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache"))
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
    for text, errors in ((RIGHT, 0), (WRONG, 3)):
        (tmp_path / "program.py").write_text(text)
        done = command("mypy", *options, str(tmp_path / "program.py"), env=environment)
        assert done.stdout.count("error:") == errors, done.stdout


def test_no_stub_reaches_a_board():
    assert {path.name for path in PACKAGE.rglob("*") if path.suffix in (".pyi", ".typed")} == {
        "__init__.pyi",
        "network.pyi",
        "py.typed",
    }
    assert {Path(name).suffix for name in package_files()} == {".py"}
    assert ".pyi" not in (PACKAGE.parent.parent / "package.json").read_text()
    assert "py.typed" not in (PACKAGE.parent.parent / "package.json").read_text()


PRINTED = """
import ucorr
print(ucorr.Correlate2D([[1, 2], [3, 4]], (9, 9), dtype="B", out_dtype="b", shift=-3, backend="portable"))
print(ucorr.MaxPool2D(2, (8, 8, 3), stride=2, backend="portable"))
print(ucorr.load("digits.ucorr", backend="portable"))
"""


def test_a_layer_says_what_it_is(tmp_path):
    digits.network().save(tmp_path / "digits.ucorr")
    environment = {**os.environ, "MICROPYPATH": str(PACKAGE.parent)}
    there = subprocess.run(
        [executable(), "-c", PRINTED], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60
    )
    here = command("python", "-c", PRINTED, cwd=tmp_path)
    assert (there.stderr, here.stderr) == ("", "")
    filter_, pool, net = there.stdout.splitlines()
    assert filter_ == "Correlate2D((9, 9, 1) B -> (8, 8) b, portable, weights 4 bytes, scratch 16)"
    assert pool == "MaxPool2D((192,) b -> (4, 4, 3) b, portable, weights 0 bytes, scratch 0)"
    assert net.startswith("Network((1, 8, 8, 1) b -> (1, 10) b, 4 steps, {")
    assert here.stdout.splitlines()[:2] == [filter_, pool]
    for layer in (
        ucorr.Mul((8, 3), multiplier=1 << 30, shift=0),
        ucorr.Add((2,), **{s + o: 0 for s in ("a_", "b_", "") for o in SCALE}),
    ):
        assert str(layer).startswith(type(layer).__name__)


def test_a_network_of_the_host_prints_its_nodes():
    first, *nodes = str(digits.network()).splitlines()
    assert first == "Network of 5 nodes: 1x8x8x1 int8 -> 1x10 int8"
    assert nodes[0] == "  conv2d   1x8x8x1 int8 -> 1x8x8x8 int8"
    assert [line.split()[0] for line in nodes] == ["conv2d", "conv2d", "reshape", "dense", "softmax"]
