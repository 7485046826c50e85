"""What the papers say is so: examples run, commands and targets exist, versions agree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import ucorr
from commands import command
from ucorr_host import load_tflite
from ucorr_host.micropython import executable, package_dir
from ucorr_tools import digits

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BOARD, DESK, NETWORK, OWN, BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_board_example_says_what_its_comments_promise():
    assert len([line for line in BOARD.splitlines() if line]) <= 12
    program = f"import sys\nsys.path.append({str(package_dir().parent)!r})\n{BOARD}"
    done = subprocess.run([executable(), "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.splitlines()[0], done.stderr) == ("(30, 38, 100)", "")
    assert done.stdout.splitlines()[1].startswith("viper ")


@pytest.mark.parametrize("example", [BOARD, DESK, BOARD + BLOCKS], ids=["board", "desk", "blocks"])
def test_the_examples_run_on_the_desk(example):
    done = command("python", "-c", example)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_a_network_runs_on_micropython(tmp_path):
    digits.network().save(tmp_path / "digits.ucorr")
    program = f"import sys\nsys.path.append({str(package_dir().parent)!r})\n{NETWORK}"
    done = subprocess.run([executable(), "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert re.match(r"\d 0\.00390625 \{.*'arena': 768", first)
    assert second.count("'viper'") == 4


def test_the_example_of_a_network_of_ones_own_runs(tmp_path):
    done = command("python", "-c", OWN, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert 0 < float(done.stdout) < 0.5  # labels by chance
    assert (tmp_path / "net.ucorr").stat().st_size > 500
    assert load_tflite(tmp_path / "net.tflite").tensors


def test_the_commands_and_targets_that_the_readme_names_exist():
    for name in set(re.findall(r"^ucorr (\w+)", README, re.MULTILINE)):
        assert command("ucorr", name, "--help").returncode == 0
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= set(targets)


@pytest.mark.parametrize("paper", ["README.md", "DESIGN.md"])
def test_the_files_that_a_paper_names_exist(paper):
    text = (ROOT / paper).read_text(encoding="utf-8")
    named = re.findall(r"\]\(([\w./]+)\)", text) + re.findall(r"`((?:firmware|host|tests|tools)/[\w./]+)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_changelog_begins_with_this_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == ucorr.__version__


def test_the_table_was_made_and_shows_every_layer():
    table = README.partition("<!-- bench begins -->")[2].partition("<!-- bench ends -->")[0]
    assert re.findall(r"^\| ([a-i]): ", table, re.MULTILINE) == list("abcdefghi")
