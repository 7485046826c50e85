"""What the papers say is so: every block of README and docs runs, files and targets exist, tables were made.

A block of commands runs line by line, in a folder that has the files it names and with a MicroPython behind a
pseudo terminal as the board. What it needs beyond that (QEMU, a package index, make) is checked without being run, as
is the demo, which has a test of its own. A block of Python runs on the MicroPython of the host, or on CPython where it
imports NumPy. A block of text is what the example before it prints.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import ucorr
from commands import command, here
from PIL import Image
from serial_board import SerialBoard
from ucorr_host import load_tflite
from ucorr_host.forecast.boards import BOARDS
from ucorr_host.forecast.estimate import PACKAGE_FILES
from ucorr_host.targets.micropython import executable, package_dir
from ucorr_host.targets.simulator import targets
from ucorr_host.tflite.operators import OPERATORS
from ucorr_tools.bench import tables
from ucorr_tools.boards.deploy import cross_compile, package_files
from ucorr_tools.pictures.picture import photograph
from ucorr_tools.shipped import digits

ROOT = Path(__file__).resolve().parent.parent
BUG = ".github/ISSUE_TEMPLATE/bug.md"
DATA = "tools/ucorr_tools/data/README.md"
PAPERS = ["README.md", BUG, DATA, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
TEXT = {paper: (ROOT / paper).read_text(encoding="utf-8") for paper in PAPERS}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = {paper: BLOCK.findall(text) for paper, text in TEXT.items()}
COMMANDS = [paper for paper in PAPERS if any(not language for language, _ in BLOCKS[paper])]
PROGRAMS = [
    pytest.param(paper, code, id=f"{Path(paper).stem}-{n}")
    for paper in PAPERS
    for n, (language, code) in enumerate(BLOCKS[paper])
    if language == "python"
]
PORTS = re.compile(r"/dev/tty\w+|\bPORT\b")
MAKEFILE = (ROOT / "Makefile").read_text()


def test_blocks_are_of_three_kinds():
    assert {language for blocks in BLOCKS.values() for language, _ in blocks} == {"", "python", "text"}
    assert all(text.count("```") == 2 * len(BLOCKS[paper]) for paper, text in TEXT.items())


def prepared(folder, monkeypatch):
    """A folder with the files that the papers' commands name."""
    monkeypatch.chdir(folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    photo = Image.fromarray(photograph()).crop((32, 32, 64, 56))
    for name in ("photo.jpg", "photo.png", "blurred.png"):
        photo.save(folder / name)
    digits.network().save(folder / "digits.ucorr")


@pytest.mark.parametrize(("paper", "code"), PROGRAMS)
def test_a_program_runs(paper, code, tmp_path, monkeypatch):
    prepared(tmp_path, monkeypatch)
    if "numpy" in code:
        done = command("python", "-c", code)
    else:
        environment = {**os.environ, "MICROPYPATH": str(package_dir().parent)}
        done = subprocess.run([executable(), "-c", code], capture_output=True, text=True, timeout=60, env=environment)
        assert command("python", "-c", code).returncode == 0  # the same on CPython
    assert (done.returncode, done.stderr) == (0, "")
    promised = re.findall(r"^print\(.*\)  # ((?:\(|Correlate).*?\))(?:: .*)?$", code, re.MULTILINE)
    assert [line for line in done.stdout.splitlines() if line in promised] == promised
    if "save_tflite" in code:
        assert 0 < float(done.stdout) < 0.5  # labels by chance
        assert (tmp_path / "net.ucorr").stat().st_size > 500
        assert load_tflite(tmp_path / "net.tflite").tensors
    if "profile()" in code:
        first, second = done.stdout.splitlines()
        assert re.match(r"\d 0\.00390625 \{.*'arena': 768", first)
        assert second.count("'viper'") == 4


def test_the_first_program_of_the_readme_is_short_and_says_what_it_prints():
    program = BLOCKS["README.md"][1][1]
    assert len([line for line in program.splitlines() if line]) <= 12
    assert "  # (30, 38, 100): y, x, value" in program


def known(words):
    """A command that is not run here: what it names exists. Others are no commands."""
    tool, *rest = words
    if tool == "make":
        assert set(rest) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    elif tool == "pip":
        (wanted,) = re.fullmatch(r"install \.\[([\w,]+)\]", " ".join(rest)).groups()
        extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert set(wanted.split(",")) <= set(extras)
    elif words[:2] == ["ucorr", "demo"]:
        assert "def test_the_demo_finds" in (ROOT / "tests" / "test_cli.py").read_text()
    else:
        target = rest[rest.index("--target") + 1]
        assert tool == "ucorr"
        assert target.startswith("qemu-")
        assert target in targets()
        assert here(rest[0], "--help").returncode == 0


@pytest.mark.parametrize("paper", COMMANDS)
def test_the_commands_run(paper, tmp_path, monkeypatch):
    prepared(tmp_path, monkeypatch)
    place = "/sd" if "/sd/lib" in TEXT[paper] else "/"
    board = SerialBoard(tmp_path / "board", place=place).start()
    monkeypatch.setenv("UCORR_PORT", board.port)
    monkeypatch.setenv("PATH", f"{Path(executable()).parent}{os.pathsep}{os.environ['PATH']}")
    try:
        if "ucorr deploy" not in TEXT[paper] and "ucorr verify" in TEXT[paper]:
            assert here("deploy").returncode == 0
        said = ""
        for language, block in BLOCKS[paper]:
            if language == "text":
                assert said == block, paper
            for line in block.splitlines() if not language else ():
                words = shlex.split(PORTS.sub(board.port, line), comments=True)
                if (
                    words[0] in ("make", "pip")
                    or words[:2] == ["ucorr", "demo"]
                    or any(word.startswith("qemu-") for word in words)
                ):
                    known(words)
                    continue
                assert words[0] in ("ucorr", "mpremote", "python"), line
                done = here(*words[1:]) if words[0] == "ucorr" else command(*words)
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                said = done.stdout.replace("\r\n", "\n") if "examples/" in line else said
    finally:
        board.kill()


def test_the_commands_and_targets_that_a_sentence_names_exist():
    for paper, text in TEXT.items():
        for name in set(re.findall(r"`ucorr (\w+)", text)):
            assert here(name, "--help").returncode == 0, paper
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("paper", [*PAPERS, "DESIGN.md", "CONTRIBUTING.md"])
def test_the_files_that_a_paper_names_exist(paper):
    text = (ROOT / paper).read_text(encoding="utf-8")
    links = [name.partition("#") for name in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in name]
    assert [name for name, _, _ in links if not ((ROOT / paper).parent / name).exists()] == []
    for name, _, part in links:
        if part:
            titles = re.findall(r"^#+ (.*)$", ((ROOT / paper).parent / name).read_text(encoding="utf-8"), re.MULTILINE)
            assert part in [title.lower().replace(" ", "-") for title in titles]
    named = re.findall(r"`((?:firmware|host|tests|tools)/[\w./]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_is_at_most_120_columns_wide(paper):
    assert [line for line in TEXT[paper].splitlines() if len(line) > 120] == []


def test_the_pages_name_every_layer_and_operator_there_is():
    named = re.findall(r"`(?:ucorr\.)?(\w+)[`(]", TEXT["docs/layers.md"])
    assert set(ucorr.__all__) - {"Layer", "__version__", "info", "load"} <= set(named)
    table = TEXT["docs/networks.md"].partition("| operators |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"[A-Z][A-Z_0-9]+", table)) == sorted(OPERATORS)


def test_the_package_is_as_large_as_the_pyboards_page_says():
    files, _ = cross_compile(package_files(), "armv7emsp", 6 | 3 << 8)
    size, page = sum(map(len, files.values())), TEXT["docs/first-steps-pyboard.md"]
    assert "only 112 kB of flash" in page
    assert size > 112 * 1024
    assert abs(size - 1000 * int(re.search(r"takes some (\d+) kB", page)[1])) < 5000


def test_the_memory_of_each_board_is_what_forecast_knows():
    table = TEXT["docs/boards.md"].partition("| heap | flash |")[2].partition("\n\n")[0]
    told = set(re.findall(r"\| ([\d,]+) \| ([\d,]+) \|", table))
    kilobytes = [(round(board.heap_bytes / 1000), round(board.flash_bytes / 1000)) for board in BOARDS.values()]
    assert told == {(f"{heap:,}", f"{flash:,}") for heap, flash in kilobytes}
    assert f"takes up to {-(-PACKAGE_FILES // 1000)} kB of flash" in TEXT["docs/boards.md"]


def test_the_readme_is_a_screen_and_a_half():
    assert len(TEXT["README.md"].splitlines()) <= 100
    assert (ROOT / "docs" / "picture.png").stat().st_size < 200_000


def test_the_changelog_begins_with_this_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == ucorr.__version__


@pytest.mark.parametrize("paper", tables.PAPERS)
def test_the_tables_of_a_paper_were_made(paper):
    names = re.findall(r"<!-- (.*?) begins -->", TEXT[paper])
    assert sorted(names) == sorted(tables.PAPERS[paper])
    for name in names:
        made = TEXT[paper].partition(f"<!-- {name} begins -->")[2].partition(f"<!-- {name} ends -->")[0]
        assert re.search(r"\d", made), name


def test_the_tables_show_every_layer():
    text = TEXT["docs/benchmarks.md"]
    table = text.partition("<!-- bench begins -->")[2].partition("<!-- bench ends -->")[0]
    assert re.findall(r"^\| ([a-i]): ", table, re.MULTILINE) == list("abcdefghi")
    first = TEXT["README.md"].partition("<!-- layers begins -->")[2].partition("<!-- layers ends -->")[0]
    assert first.count("\n| ") == 11


def test_the_readme_says_no_more_than_its_table():
    """1.7 to 4.4 times: the least and the greatest of CMSIS-NN's column over ucorr's."""
    rows = re.findall(r"^\| .* \| ([\d.]+) \| \*\*([\d.]+)\*\* \|$", TEXT["README.md"], re.MULTILINE)
    ratios = [float(theirs) / float(ours) for theirs, ours in rows]
    said = re.search(r"<!-- compiled begins -->(.*) to (.*)<!--", TEXT["README.md"])
    assert len(ratios) == len(tables.MADE_FOR)
    assert abs(min(ratios) - float(said[1])) < 0.06
    assert abs(max(ratios) - float(said[2])) < 0.06


def test_the_factor_of_each_network_follows_from_the_figures_beside_it():
    row = r"^\| ([\w ]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d. to]+) \| ([\d. to]+) \|$"
    found = re.findall(row, TEXT["docs/networks.md"], re.MULTILINE)
    assert len(found) == 2
    for name, macs, rate, measured, estimated, factor in found:
        silicon = 120e6 / float(rate) / int(macs.replace(",", ""))
        assert abs(silicon - float(measured)) < 0.006
        bounds = [silicon / float(cycles) for cycles in reversed(estimated.split(" to "))]
        assert [f"{bound:.2f}" for bound in bounds] == factor.split(" to ")
        (wanted,) = [row[2] for row in tables.NETWORKS.values() if row[0].startswith(name)]
        assert sorted({float(value) for value in factor.split(" to ")}) == sorted(set(wanted))
