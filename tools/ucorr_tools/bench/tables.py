"""Make the tables of README and docs from the JSON of verified runs.

    python -m ucorr_tools.bench.tables . FILE.json...

The files are what `ucorr bench --json` and `ucorr profile --json` print for each target, and what the tests of the
emulated boards write. Each table is between its markers, <!-- NAME begins --> and <!-- NAME ends -->, in the pages
that PAPERS names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ucorr.backends import NAMES

from ..qemu.machines import MACHINES

COUNTED = "qemu-m4"  # the board on which all backends are compared
GENERATED, SMALL = "cortex-m4", "cortex-m0plus"  # the cores on which generated code is counted
OTHERS = ("qemu-m0", "qemu-m3", "qemu-m7", "qemu-m33", "qemu-rv32")
CORES = {
    "qemu-m0": "Cortex-M0",
    "qemu-m0-plain": "Cortex-M0, no emitter",
    "qemu-m3": "Cortex-M3",
    "qemu-m4": "Cortex-M4",
    "qemu-m7": "Cortex-M7",
    "qemu-m33": "Cortex-M33",
    "qemu-rv32": "RV32IMAC",
}

ALIKE = "\0"  # what follows it in a column's name keeps two columns of one title apart

# Instructions per MAC of compiled C kernels on a Cortex-M4 and a Cortex-M0+, exact TFLite rounding, counted in
# Unicorn beforehand:
# CMSIS-NN commit 99f736a by gcc 12 -O3; TinyMaix -Os, which emlearn-micropython ships.
PEERS = {
    "CMSIS-NN": dict(zip("abcdefghi", (4.82, 2.32, 1.85, 2.09, 8.33, 3.46, 23.0, 48.3, 1.95), strict=True)),
    "TinyMaix": dict(zip("abcdefghi", (6.68, 4.85, 4.29, 3.88, 18.7, 5.22, 23.4, 14.7, 4.06), strict=True)),
}
SMALL_PEER = dict(zip("abcdefghi", (10.2, 7.26, 6.38, 6.92, 31.1, 8.36, 28.8, 60.6, 6.12), strict=True))  # CMSIS-NN

MADE_FOR = "abcdefi"  # the layers that CMSIS-NN is made for: g and h are filters of an image, not layers of a network

# Networks: what they are called; inferences a second of the fastest submission to MLPerf Tiny for a Cortex-M4
# (github.com/mlcommons/tiny_results_v1.2, closed/STMicroelectronics/results/NUCLEO_L4R5ZI, 120 MHz) and a Cortex-M0+
# (the same, closed/bosch/results/NUCLEO_G0B1RE_int8, 64 MHz), each from TASK/performance/results.txt; and the least and
# the greatest factor from estimated cycles to those of silicon, which docs/networks.md derives.
NETWORKS: dict[str, tuple[str, dict[str, float], tuple[float, float] | None]] = {
    "kws_ref_model": ("keyword spotting, MLPerf Tiny", {"cortex-m4": 23.155, "cortex-m0plus": 2.107}, (1.31, 1.31)),
    "pretrainedResnet_quant": (
        "image classification, MLPerf Tiny", {"cortex-m4": 6.056, "cortex-m0plus": 0.657}, (1.29, 1.49),
    ),
    "digits": ("8x8 digits, ours", {}, None),
}  # fmt: skip
PUBLISHED_HZ = {"cortex-m4": 120e6, "cortex-m0plus": 64e6}

# What each paper has of the tables.
PAPERS = {
    "README.md": ("layers", "compiled"),
    "docs/benchmarks.md": ("bench", "sizes", "host", "small", "images", "viper", "compiled", "compiled small"),
    "docs/boards.md": ("boards", "heap"),
    "docs/networks.md": ("networks", "networks small"),
}


def by_layer(result: dict[str, Any], backend: str) -> dict[str, dict[str, Any]]:
    """{letter: row} of one backend."""
    return {row["layer"]: row for row in result["rows"] if row["backend"] == backend}


def per_mac(row: dict[str, Any]) -> str:
    """Instructions per MAC for a table: three digits, or a dash where the layer did not run."""
    return digits(row["instructions_per_mac"])


def digits(value: float | None) -> str:
    """A number in three digits, or a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def whole(value: int | None) -> str:
    """A count with its thousands apart, or a dash for None."""
    return "–" if value is None else f"{value:,}"


def markdown(rows: list[dict[str, str]], words: int) -> str:
    """Rows as a Markdown table; the first `words` columns to the left, numbers to the right."""
    titles = [title.partition(ALIKE)[0] for title in rows[0]]
    lines = [titles, ["---"] * words + ["---:"] * (len(titles) - words), *[list(row.values()) for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def layers(benches: dict[str, dict[str, Any]]) -> str:
    """The README's table: instructions per MAC on a Cortex-M4, in four columns."""
    rows = []
    for letter, row in by_layer(benches[COUNTED], "viper").items():
        cells = {"layer": row["name"], "viper": per_mac(row)}
        cells["CMSIS-NN"] = digits(PEERS["CMSIS-NN"][letter] if letter in MADE_FOR else None)
        rows.append(cells | {"ucorr": f"**{per_mac(fastest(benches[GENERATED], letter))}**"})
    return markdown(rows, words=1)


def instructions(benches: dict[str, dict[str, Any]]) -> str:
    """The table of instructions per MAC on a Cortex-M4, every backend and compiled C."""
    viper, naive, portable = (by_layer(benches[COUNTED], name) for name in ("viper", "naive", "portable"))
    rows = []
    for letter, row in viper.items():
        cells = {"layer": f"{letter}: {row['name']}", "MACs": whole(row["macs"]), "bytecode": per_mac(portable[letter])}
        cells |= {"naive viper": per_mac(naive[letter]), "`viper`": per_mac(row)}
        cells |= generated(benches[GENERATED], letter)
        rows.append(cells | {name: digits(PEERS[name][letter]) for name in PEERS})
    return markdown(rows, words=1)


def sizes(benches: dict[str, dict[str, Any]]) -> str:
    """The table of what machine code takes on a Cortex-M4."""
    letters = by_layer(benches[COUNTED], "viper")
    return markdown([{"layer": letter, **taken(benches[GENERATED], letter)} for letter in letters], words=1)


def small(benches: dict[str, dict[str, Any]]) -> str:
    """The table of instructions per MAC on a Cortex-M0+; viper is that of the emulated Cortex-M0."""
    rows = []
    for letter, row in by_layer(benches["qemu-m0"], "viper").items():
        cells = {"layer": letter, "`viper`": per_mac(row)}
        cells |= generated(benches[SMALL], letter) | {"CMSIS-NN": digits(SMALL_PEER[letter])}
        rows.append(cells | taken(benches[SMALL], letter))
    return markdown(rows, words=1)


def packings(bench: dict[str, Any], letter: str) -> dict[str, dict[str, Any]]:
    """{packing: row} of a layer's machine code."""
    return {row["packing"]: row for row in bench["rows"] if row["verified"] and row["layer"] == letter}


def fastest(bench: dict[str, Any], letter: str) -> dict[str, Any]:
    """The row of a layer's fastest machine code."""
    rows = packings(bench, letter)
    return rows.get("fast") or rows["compact"]


def generated(bench: dict[str, Any], letter: str) -> dict[str, str]:
    """The cells of a layer's fastest machine code: instructions and cycles per MAC."""
    best = fastest(bench, letter)
    return {"`thumb`": f"**{per_mac(best)}**", "cycles": digits(best["cycles_per_mac"])}


def taken(bench: dict[str, Any], letter: str) -> dict[str, str]:
    """The cells of what a layer's machine code takes, and of its instructions with compact weights."""
    rows, best = packings(bench, letter), fastest(bench, letter)
    kinds = [rows[packing] for packing in ("fast", "compact") if packing in rows]
    return {
        "compact": digits(rows.get("compact", {}).get("instructions_per_mac")),
        "code, bytes": f"{best['code_bytes']:,}",
        "weights": " or ".join(f"{row['weight_bytes']:,}" for row in kinds),
        "scratch": f"{best['scratch_bytes']:,}",
    }


def images(benches: dict[str, dict[str, Any]]) -> str:
    """The table of generated code for filters of grey images, and for a signal."""
    on_small = by_layer(benches[SMALL], "thumb")
    rows = []
    for row in benches[GENERATED]["rows"]:
        if " grey " in row["name"] or "signal" in row["name"]:
            cells = {"filter": row["name"].replace(" grey ", " on ")}
            for core, one in (("M4", row), ("M0+", on_small[row["layer"]])):
                cells[f"{core}: per MAC"] = per_mac(one)
                cells[f"cycles{ALIKE}{core}"] = digits(one["cycles_per_mac"])
                cells[f"code, bytes{ALIKE}{core}"] = whole(one["code_bytes"])
                cells[f"scratch{ALIKE}{core}"] = whole(one["scratch_bytes"])
            rows.append(cells)
    return markdown(rows, words=1)


def networks(profiles: dict[tuple[str, str], dict[str, Any]], core: str) -> str:
    """The table of whole networks on a core; profiles by model and target.

    Per MAC is over the MACs that were counted; where these are not all, their share is beside it.
    """
    rows = []
    for model, (name, published, factors) in NETWORKS.items():
        profile = profiles[model, core]
        totals = profile["totals"]
        counted = totals.get("counted_macs", totals["macs"])
        share = "" if counted == totals["macs"] else f" ({100 * counted / totals['macs']:.0f} %)"
        cycles = totals["cycles"] / counted
        likely = [digits(factor * cycles) for factor in sorted(set(factors))] if factors else ["–"]
        rate = published.get(core)
        rows.append(
            {
                "network": name,
                "MACs": whole(totals["macs"]),
                "instructions": digits(totals["instructions"] / counted) + share,
                "cycles": f"**{digits(cycles)}**{share}",
                "cycles x factor": " to ".join(likely),
                "published": digits(rate and PUBLISHED_HZ[core] / rate / totals["macs"]),
                "arena": whole(profile["arena_bytes"]),
                "scratch": whole(profile["scratch_bytes"]),
            }
        )
    return f"{markdown(rows, words=1)}\n\n{ahead(profiles, core)}"


def ahead(profiles: dict[tuple[str, str], dict[str, Any]], core: str) -> str:
    """A sentence: which networks are before the published figure even with the greatest factor, and by how much."""
    found = []
    for model, (name, published, factors) in NETWORKS.items():
        totals = profiles[model, core]["totals"]
        if core in published and factors:
            measured = PUBLISHED_HZ[core] / published[core] / totals["macs"]
            times = measured / (max(factors) * totals["cycles"] / totals.get("counted_macs", totals["macs"]))
            found += [f"{name} ({times:.1f} times)"] if times > 1 else []
    joined = ",\n".join(found) or "none"
    return f"Ahead of the published figure, the factor counted: {joined}."


def viper(benches: dict[str, dict[str, Any]]) -> str:
    """The table of the viper backend's instructions per MAC on every core."""
    counted = {CORES[name]: by_layer(benches[name], "viper") for name in (COUNTED, *OTHERS)}
    return markdown(
        [
            {"layer": letter, **{core: per_mac(rows[letter]) for core, rows in counted.items()}}
            for letter in by_layer(benches[COUNTED], "viper")
        ],
        words=1,
    )


def spread(bench: dict[str, Any], others: dict[str, float]) -> str:
    """The least and the greatest number of times that others ({letter: instructions per MAC}) need as many
    instructions as generated code."""
    fewest: dict[str, float] = {}
    for row in bench["rows"]:
        if row["layer"] in others:
            each = row["instructions_per_mac"]
            fewest[row["layer"]] = min(each, fewest.get(row["layer"], each))
    ratios = [others[letter] / fewest[letter] for letter in fewest]
    least, most = (f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}" for ratio in (min(ratios), max(ratios)))
    return f"{least} to {most}"


def made_for(peers: dict[str, float]) -> dict[str, float]:
    """Those of the layers that CMSIS-NN is made for."""
    return {letter: peers[letter] for letter in MADE_FOR}


def host(result: dict[str, Any]) -> str:
    """A sentence for each figure of the host."""
    sentences = []
    for row in result["reference"]:
        sentence = f"The {row['name']}: {row['milliseconds']:.2g} ms"
        if row.get("scipy_milliseconds"):
            sentence += f", {row['ratio']:.1f} times as fast as `scipy.signal.correlate`"
        sentences.append(sentence + ".")
    return "\n".join(sentences)


def boards(seen: list[dict[str, Any]]) -> str:
    """The table of the emulated boards: core, firmware, backends, test cases that were equal."""
    rows = [
        {
            "target": f"`{row['target']}`",
            "core": CORES[row["target"]],
            "MicroPython": row["micropython"],
            ".mpy": row["arch"] or "bytecode",
            "backends": ", ".join(name for name in NAMES if row["backends"].get(name) == "ok"),
            "test cases": f"{row['named']} equal",
            "drawn layers": f"{row['drawn']} equal",
        }
        for row in seen
    ]
    return markdown(rows, words=5)


def heap(seen: list[dict[str, Any]]) -> str:
    """The table of the heap on the emulated boards: free, and taken by the package, a backend and a layer, in bytes."""
    rows = [
        {
            "target": f"`{row['target']}`",
            "free heap": f"{row['free_heap']:,}",
            "ucorr takes": f"{row['package_heap_mpy']:,}",
            "`thumb` takes": f"{row['generator_heap_mpy']:,}" if "generator_heap_mpy" in row else "–",
            "a 3x3 layer": f"{row['layer_heap']:,}",
        }
        for row in seen
    ]
    return markdown(rows, words=1)


def written(text: str, name: str, content: str) -> str:
    """The text with content between a pair of markers; ValueError when they are not there."""
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no {begin} and {end} to write between")
    return before + begin + content + end + after


def main(root: str, *files: str) -> None:
    """Put every table into the papers in a folder; ValueError or OSError says what is missing."""
    results = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    profiles = {(result["model"], result["target"]): result for result in results if "model" in result}
    benches = {result["target"]: result for result in results if "target" in result and "model" not in result}
    seen = [result["boards"] for result in results if "boards" in result]
    missing = [name for name in (GENERATED, SMALL, COUNTED, *OTHERS, "host") if name not in benches]
    missing += [
        f"{model} on {core}" for model in NETWORKS for core in (GENERATED, SMALL) if (model, core) not in profiles
    ]
    rows = {row["target"] for row in seen[-1]} if seen else set()
    missing += [f"the board {name}" for name in MACHINES if name not in rows]
    if missing:
        raise ValueError(f"no result of {' '.join(missing)}: run `make bench-table`")
    blocks = {
        "layers": layers(benches),
        "bench": instructions(benches),
        "sizes": sizes(benches),
        "host": host(benches["host"]),
        "small": small(benches),
        "images": images(benches),
        "viper": viper(benches),
        "networks": networks(profiles, GENERATED),
        "networks small": networks(profiles, SMALL),
        "boards": boards(seen[-1]),
        "heap": heap(seen[-1]),
    }
    made = {name: f"\n{content}\n" for name, content in blocks.items()}
    made["compiled"] = spread(benches[GENERATED], made_for(PEERS["CMSIS-NN"]))
    made["compiled small"] = spread(benches[SMALL], made_for(SMALL_PEER))
    for paper, names in PAPERS.items():
        text = Path(root, paper).read_text(encoding="utf-8")
        for name in names:
            text = written(text, name, made[name])
        Path(root, paper).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"Error: {error}")
