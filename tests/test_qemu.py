"""The emulated boards as far as a machine without QEMU can tell: names, builds that can't be, tables."""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import entry_points

import pytest
from commands import assert_one_sentence, command
from ucorr_host.cores import EMULATED
from ucorr_host.targets.simulator import targets
from ucorr_tools.bench import tables
from ucorr_tools.pictures.picture import photograph, save
from ucorr_tools.qemu import firmware
from ucorr_tools.qemu.firmware import BOARDS, BuildError
from ucorr_tools.qemu.machines import MACHINES


def test_every_machine_is_a_target_and_has_a_folder():
    assert set(entry_points(group="ucorr.targets").names) == {*MACHINES}
    assert targets() == ["cpython", "micropython", *sorted([*MACHINES, *EMULATED])]
    folders = {path.parent.name for path in BOARDS.glob("*/mpconfigboard.mk")}
    assert folders == {machine.folder for machine in MACHINES.values()}
    assert all(set(MACHINES) >= {name, *tables.OTHERS, *tables.CORES} for name in [tables.COUNTED])
    assert {tables.GENERATED, tables.SMALL} <= set(EMULATED)


@pytest.fixture
def image(tmp_path):
    save(photograph()[40:60, 30:54], tmp_path / "in.png")
    return str(tmp_path / "in.png")


def test_a_board_that_was_not_built_is_one_sentence_with_the_remedy(tmp_path, image):
    environment = {**os.environ, "UCORR_CACHE": str(tmp_path / "cache")}
    result = command("ucorr", "simulate", image, "sobel-x", "--target", "qemu-m4", env=environment)
    assert_one_sentence(result, "no firmware for qemu-m4: run `make boards`")


def test_an_unknown_target_is_one_sentence_with_the_known_ones(image):
    assert_one_sentence(
        command("ucorr", "simulate", image, "sobel-x", "--target", "qemu-m5"), "'qemu-m5', wanted one of", "qemu-m33"
    )


def test_missing_packages_are_named_to_who_is_not_root(monkeypatch):
    monkeypatch.setattr(firmware.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(firmware.os, "geteuid", lambda: 1000)
    packages = firmware.missing_packages()
    assert {"qemu-system-arm", "gcc-arm-none-eabi", "gcc-riscv64-unknown-elf"} <= set(packages)
    with pytest.raises(BuildError, match=r"the boards need Debian's packages qemu-system-arm .*: install them, or run"):
        firmware.install(packages)


def test_a_source_that_is_no_micropython_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROPYTHON_DIR", str(tmp_path))
    with pytest.raises(BuildError, match=r"MICROPYTHON_DIR: .* has no ports/qemu"):
        firmware.source()


def test_without_a_debian_mirror_the_remedy_is_a_clone(monkeypatch, tmp_path):
    monkeypatch.setenv("UCORR_CACHE", str(tmp_path))
    monkeypatch.delenv("MICROPYTHON_DIR", raising=False)
    monkeypatch.setattr(firmware, "DEBIAN_SOURCES", tmp_path / "none")
    with pytest.raises(BuildError, match="clone MicroPython and set MICROPYTHON_DIR"):
        firmware.source()


def test_a_build_that_fails_tells_its_last_line_and_its_log(monkeypatch, tmp_path):
    monkeypatch.setenv("UCORR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "ports/qemu").mkdir(parents=True)
    (tmp_path / "ports/qemu/Makefile").write_text("all:\n\t@echo no such compiler; false\n")
    told = r"building the firmware of qemu-m0 failed \(make\S* \*\*\* .*Error 1\); all of it is in \S+M0\.log"
    with pytest.raises(BuildError, match=told):
        firmware.build(MACHINES["qemu-m0"], tmp_path)
    with pytest.raises(BuildError, match="no firmware for qemu-m0"):
        firmware.firmware(MACHINES["qemu-m0"])


def test_a_firmware_is_built_once_and_again_when_its_board_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("UCORR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "ports/qemu").mkdir(parents=True)
    (tmp_path / "ports/qemu/Makefile").write_text("all:\n\tmkdir -p $(BUILD); echo $(BOARD) > $(BUILD)/firmware.elf\n")
    machine = MACHINES["qemu-m3"]
    assert firmware.build(machine, tmp_path)
    assert firmware.firmware(machine).read_text() == "M3\n"
    assert not firmware.build(machine, tmp_path)
    monkeypatch.setattr(firmware, "_digest", lambda folder: "another")
    assert firmware.build(machine, tmp_path)


def results():
    """What a run of every bench and of the boards' tests would have written, with made-up figures."""
    row = {"layer": "a", "name": "made up", "macs": 100, "instructions": 2000, "instructions_per_mac": 20.0}
    row |= {"scratch_bytes": 64, "backend": "viper", "verified": True}
    slow = {**row, "instructions": 90_000, "instructions_per_mac": 900.0}
    main = [row, {**slow, "backend": "naive"}, {**slow, "backend": "portable"}]
    unknown = {**row, "instructions_per_mac": None, "instructions": None}
    made = [{"target": name, "rows": [unknown]} for name in tables.OTHERS]
    made += [{"target": tables.COUNTED, "rows": main}]
    code = {
        **row,
        "backend": "thumb",
        "code_bytes": 1000,
        "weight_bytes": 512,
        "instructions": 100,
        "cycles_per_mac": 1.4,
    }
    fast = {**code, "packing": "fast", "instructions_per_mac": 1.0}
    compact = {**code, "packing": "compact", "instructions_per_mac": 1.5}
    grey = {**fast, "layer": "k", "name": "3x3 grey 9x9"}
    refused = {**dict.fromkeys(fast), "layer": "j", "name": "a signal", "backend": "thumb", "verified": False}
    made += [{"target": tables.GENERATED, "rows": [fast, compact, refused, grey]}]
    made += [{"target": tables.SMALL, "rows": [{**fast, "instructions_per_mac": 2.04}, refused, grey]}]
    made += [{"target": "host", "reference": [{"name": "reference", "milliseconds": 1.5}]}]
    board = {"target": "qemu-m0", "micropython": "1.25.0", "arch": None, "named": 25, "drawn": 100}
    board |= {
        "free_heap": 130_000,
        "package_heap_mpy": 20_000,
        "layer_heap": 1500,
        "backends": {"viper": "no emitter", "portable": "ok"},
    }
    totals = {"macs": 1_000_000, "instructions": 900_000, "cycles": 1_234_000}
    profile = {"totals": totals, "arena_bytes": 4096, "scratch_bytes": 640}
    for model in tables.NETWORKS:
        made += [{"model": model, "target": core, **profile} for core in (tables.GENERATED, tables.SMALL)]
    return [*made, {"boards": [{**board, "target": name} for name in MACHINES]}]


def test_the_tables_are_made_from_the_results(tmp_path):
    for n, result in enumerate(results()):
        (tmp_path / f"{n}.json").write_text(json.dumps(result))
    (tmp_path / "docs").mkdir()
    for paper, names in tables.PAPERS.items():
        (tmp_path / paper).write_text("".join(f"<!-- {name} begins -->old<!-- {name} ends -->\n" for name in names))
    tables.main(str(tmp_path), *map(str, sorted(tmp_path.glob("*.json"))))
    readme, bench, boards, networks = ((tmp_path / paper).read_text() for paper in tables.PAPERS)
    assert "old" not in readme + bench + boards + networks
    assert "<!-- compiled begins -->4.8 to 4.8<!-- compiled ends -->" in readme
    assert "| made up | 20.0 | 4.82 | **1.00** |" in readme
    assert "| a: made up | 100 | 900 | 900 | 20.0 | **1.00** | 1.40 | 4.82 | 6.68 |" in bench
    assert "| a | 1.50 | 1,000 | 512 or 512 | 64 |" in bench
    assert "<!-- compiled small begins -->5.0 to 5.0<!-- compiled small ends -->" in bench
    assert "| a | – | **2.04** | 1.40 | 10.2 | – | 1,000 | 512 | 64 |" in bench
    assert "| a signal | – | – | – | – | – | – | – | – |" in bench
    assert "| 3x3 on 9x9 | 1.00 | 1.40 | 1,000 | 64 | 1.00 | 1.40 | 1,000 | 64 |" in bench
    assert "| layer | Cortex-M4 | Cortex-M0 | Cortex-M3 | Cortex-M7 | Cortex-M33 | RV32IMAC |" in bench
    assert "| scratch | M0+: per MAC | cycles | code, bytes | scratch |" in bench
    assert "| a | 20.0 | – | – | – | – | – |" in bench
    assert "The reference: 1.5 ms." in bench
    line = "| keyword spotting, MLPerf Tiny | 1,000,000 | 0.90 | **1.23** | 1.62 | 5.18 | 4,096 | 640 |"
    assert line in networks
    line = "| image classification, MLPerf Tiny | 1,000,000 | 0.90 | **1.23** | 1.59 to 1.84 | 97.4 | 4,096 | 640 |"
    assert line in networks
    assert "the factor counted: keyword spotting, MLPerf Tiny (3.2 times),\nimage" in networks
    assert "| 8x8 digits, ours | 1,000,000 | 0.90 | **1.23** | – | – | 4,096 | 640 |" in networks
    assert "| `qemu-m0` | Cortex-M0 | 1.25.0 | bytecode | portable | 25 equal | 100 equal |" in boards
    assert "| `qemu-m0` | 130,000 | 20,000 | – | 1,500 |" in boards


def test_a_missing_result_is_named(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(results()[0]))
    with pytest.raises(
        ValueError,
        match=r"no result of cortex-m4 cortex-m0plus .* the board qemu-m0 .* qemu-rv32: run `make bench-table`",
    ):
        tables.main(str(tmp_path), str(tmp_path / "one.json"))


def test_bench_measures_layers_on_a_process_and_leaves_unknown_fields_null():
    result = command("ucorr", "bench", "--layers", "e", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["target"] == "micropython"
    assert [row["backend"] for row in told["rows"]] == ["viper", "naive", "portable"]
    for row in told["rows"]:
        assert row["verified"]
        assert (row["layer"], row["macs"], row["scale"], row["dtype"]) == ("e", 72_000, "tflite", "b")
        assert row["nanoseconds_per_mac"] > 0
        assert row["instructions"] is row["cycles_per_mac"] is row["code_bytes"] is None
    human = command("ucorr", "bench", "--layers", "e", "--backend", "viper")
    assert re.fullmatch(r"e  depthwise 3x3x64 25x5 +viper +\d+\.\d\d ns/MAC\n", human.stdout)


def test_bench_refuses_what_it_does_not_know():
    result = command("ucorr", "bench", "--layers", "az", "--backend", "tumb")
    assert result.returncode == 2
    assert "unknown layer or backend: z tumb" in result.stderr
    result = command("ucorr", "bench", "--layers", "a", "--backend", "thumb")
    assert_one_sentence(result, "micropython runs no machine code of ucorr's, wanted another backend than thumb")
