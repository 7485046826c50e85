"""The `ucorr` command: what it prints, writes and returns."""

import json
import os
import re
import sys

import numpy as np
import pytest
from commands import assert_one_sentence, command
from PIL import Image
from serial_board import serial_board_fixture  # noqa: F401
from ucorr_host import reference
from ucorr_host.problems.named import everything, named
from ucorr_tools.boards.board import Board
from ucorr_tools.boards.deploy import MANIFEST, deploy, package_files, version_of
from ucorr_tools.boards.verify import verify
from ucorr_tools.demo.digits import read_digits
from ucorr_tools.pictures.filters import FILTERS
from ucorr_tools.pictures.picture import grey, photograph, save, visible
from ucorr_tools.shipped import digits


def test_deploy_reports_in_json(serial_board):
    result = command("ucorr", "deploy", "--json", "--port", serial_board.port)
    report = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(report["copied"]) == {*package_files(), MANIFEST}


def test_info_tells_what_the_board_can_do(serial_board):
    result = command("ucorr", "info", "--json", "--port", serial_board.port)
    told = json.loads(result.stdout)
    assert result.returncode == 0
    assert {"viper", "native"} <= set(told["emitters"])
    assert (told["platform"], told["ucorr"].split(" (")[0]) == (sys.platform, "none")
    assert 0 < told["free_flash"] <= 254 * 4096
    assert told["free_heap"] > 0
    human = command("ucorr", "info", "--port", serial_board.port)
    assert human.returncode == 0
    assert re.search(r"^emitters: +viper, native$", human.stdout, re.MULTILINE)


def test_info_without_a_port_tells_what_the_host_can_do():
    result = command("ucorr", "info", "--json")
    told = json.loads(result.stdout)
    assert (result.returncode, told["ucorr"], told["portable"]) == (0, version_of(package_files()), "ok")


@pytest.mark.parametrize("arguments", [("deploy",), ("deploy", "--baud", "9600"), ("nonsense",)])
def test_wrong_usage_is_status_2(arguments):
    environment = {name: value for name, value in os.environ.items() if name != "UCORR_PORT"}
    result = command("ucorr", *arguments, env=environment)
    assert result.returncode == 2
    assert "Usage: ucorr" in result.stderr


def test_a_missing_port_is_status_1_and_one_sentence():
    assert_one_sentence(command("ucorr", "deploy", "--port", "/dev/nowhere"), "there is no port /dev/nowhere")


@pytest.mark.parametrize("name", ["bench", "demo", "convert", "deploy", "filter", "info", "run", "simulate", "verify"])
def test_every_command_has_help(name):
    result = command("ucorr", name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: ucorr {name}")
    assert name in command("ucorr", "--help").stdout


@pytest.fixture
def image(tmp_path):
    """A picture file, 24x20, cut from the photograph."""
    path = tmp_path / "in.png"
    save(photograph()[40:60, 30:54], path)
    return path


@pytest.mark.parametrize("name", FILTERS)
def test_filter_writes_what_the_reference_computes(tmp_path, image, name):
    output = tmp_path / "new" / "out.png"
    result = command("ucorr", "filter", str(image), name, str(output), "--padding", "valid", "--stride", "2")
    assert (result.returncode, result.stderr) == (0, "")
    kernel, right, signed = FILTERS[name]
    expected = reference.correlate2d(
        grey(photograph()[40:60, 30:54]), kernel, stride=2, shift=-right, out_dtype=np.int8 if signed else np.uint8
    )
    with Image.open(output) as picture:
        np.testing.assert_array_equal(np.asarray(picture), visible(expected))


@pytest.mark.parametrize(
    ("text", "words", "out"),
    [
        ("1 2 1\n2 4 2\n1 2 1\n", ["--shift", "-4"], np.uint8),
        ("-0.5 0.5\n", ["--signed"], np.int8),
        ("-1 0 1\n", [], np.uint8),
    ],
)
def test_simulate_takes_a_kernel_from_a_text_file(tmp_path, image, text, words, out):
    kernel = tmp_path / "kernel.txt"
    kernel.write_text(text)
    for target, backend in (("cpython", "portable"), ("micropython", "viper")):
        result = command("ucorr", "simulate", str(image), str(kernel), "--target", target, "--json", *words)
        told = json.loads(result.stdout)
        assert result.returncode == 0
        assert (told["equal"], told["backend"], told["out_shape"]) == (True, backend, [20, 24])
    output = tmp_path / "out.png"
    result = command("ucorr", "filter", str(image), str(kernel), str(output), *words)
    assert (result.returncode, f"24x20 {np.dtype(out)}" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [("sobel", "kernel: 'sobel', wanted a file or one of sobel-x"), ("README.md", "README.md is no table of numbers")],
)
def test_what_is_no_kernel_is_one_sentence(tmp_path, image, kernel, words):
    (tmp_path / "README.md").write_text("# no numbers\nat all\n")
    assert_one_sentence(command("ucorr", "filter", str(image), kernel, str(tmp_path / "o.png"), cwd=tmp_path), words)


def test_what_is_no_image_is_one_sentence(tmp_path):
    (tmp_path / "in.png").write_text("no image")
    assert_one_sentence(
        command("ucorr", "filter", str(tmp_path / "in.png"), "sobel-x", str(tmp_path / "o.png")),
        "in.png can't be read as an image",
    )


def test_a_missing_micropython_is_one_sentence_with_the_remedy(tmp_path, image):
    environment = {**os.environ, "MICROPYTHON": str(tmp_path / "none")}
    assert_one_sentence(
        command("ucorr", "simulate", str(image), "sobel-x", env=environment), "none is no executable file"
    )


def test_the_demo_finds_the_patch_and_every_bit_equal(tmp_path):
    sheet = tmp_path / "sheet.png"
    result = command("ucorr", "demo", "--output", str(sheet), "--json")
    told = json.loads(result.stdout)
    assert result.returncode == 0
    assert told["good"]
    runs = {}
    for row in told["rows"]:
        runs.setdefault(row["problem"], []).append((row["target"], row["backend"]))
    everywhere = [("micropython", "viper"), ("micropython", "portable"), ("cpython", "portable")]
    assert runs.pop("digits network") == [everywhere[0], everywhere[2]]
    assert list(runs.values()) == [everywhere] * 12
    assert all(row["equal"] for row in told["rows"])
    assert [sentence.split()[0] for sentence in told["said"]] == ["found"] * 4 + ["read"]
    assert told["said"][-1] == (
        "read 357 of 360 digits that the network never saw;"
        " 360 of 360 outputs of MicroPython are the reference's, byte for byte"
    )
    with Image.open(sheet) as picture:
        assert min(picture.size) > 800


DIFFERENT = {
    "filters": """
from ucorr_host.problems.weighted import Problem
right = Problem.expected
def expected(self):
    out = right(self).copy()
    out.flat[7] ^= 1
    return out
Problem.expected = expected
""",
    "network": """
from ucorr_host import Network
right = Network.run
def run(self, x):
    out = right(self, x).copy()
    out[-1, 3] ^= 1
    return out
Network.run = run
""",
}


@pytest.mark.parametrize("part", DIFFERENT)
def test_a_demo_that_differs_in_one_bit_is_status_1(tmp_path, part):
    quick = "demo.matched_filters = lambda image: []\ndemo.filters = lambda image: []\ndemo.PANS = ()\n"
    run = f"cli.main(['demo', '--output', {str(tmp_path / 'sheet.png')!r}])\n"
    names = "from ucorr_tools.cli import main as cli\nfrom ucorr_tools.demo import image as demo\n"
    result = command("python", "-c", f"{names}{DIFFERENT[part]}{quick}{run}")
    assert_one_sentence(result, "differs from the reference")
    assert (" 359 of 360 outputs of MicroPython are" in result.stdout) == (part == "network")


def test_the_sheet_marks_the_digits_that_were_read_wrong():
    _, act, _ = read_digits()
    images, labels = digits.held_out()
    wrong = [tile for tile in act.tiles if tile.wrong]
    assert [tile.caption for tile in wrong] == ["9, not 5", "9, not 1", "8, not 9"]
    assert len(act.tiles) == len(images) == 360
    right = [(tile.caption, str(label)) for tile, label in zip(act.tiles, labels, strict=True) if not tile.wrong]
    assert [caption for caption, _ in right] == [label for _, label in right]


ON_LINUX = {"thumb": "NotImplementedError: not a Cortex-M board", "viper": "ok", "portable": "ok"}


def test_verify_runs_every_named_problem_on_every_backend_of_the_board(serial_board):
    assert command("ucorr", "deploy", "--mpy", "--port", serial_board.port).returncode == 0
    result = command("ucorr", "verify", "--json", "--port", serial_board.port)
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["backends"] == ON_LINUX
    ran = [(row["problem"], row["backend"]) for row in told["rows"] if row["equal"]]
    assert ran == [(problem.name, backend) for problem in everything() for backend in ("viper", "portable")]
    assert all(row["microseconds"] > 0 for row in told["rows"])


def test_verify_tells_what_the_reference_does_not_want(serial_board):
    files = package_files()
    wrong = files["backends/portable.py"].replace(b"* weights[k]", b"* -weights[k]")
    assert wrong != files["backends/portable.py"]
    with Board(serial_board.port) as board:
        deploy(board, package={**files, "backends/portable.py": wrong})
    result = command("ucorr", "verify", "--port", serial_board.port)
    assert result.returncode == 1
    assert re.search(r"^sobel +viper .* equal$", result.stdout, re.MULTILINE)
    assert re.search(r"^sobel +portable .* differs from the reference$", result.stdout, re.MULTILINE)
    whole = 2 * len(everything())
    assert f"{whole - len(named())} of {whole} equal the reference bit for bit" in result.stdout


def test_verify_of_a_board_without_ucorr_names_the_remedy(serial_board):
    assert_one_sentence(command("ucorr", "verify", "--port", serial_board.port), "run `ucorr deploy` first")


def test_verify_leaves_a_board_with_a_corrupted_package_in_one_sentence(serial_board):
    with Board(serial_board.port) as board:
        deploy(board)
        board.write("/lib/ucorr/spec.py", b"garbage(")
    assert_one_sentence(command("ucorr", "verify", "--port", serial_board.port), "can't import ucorr (SyntaxError")


def test_verify_can_run_problems_of_ones_own(serial_board):
    with Board(serial_board.port) as board:
        deploy(board)
        backends, rows = verify(board, named()[:1])
    assert (set(backends), [row.equal for row in rows]) == ({"thumb", "viper", "portable"}, [True, True])
