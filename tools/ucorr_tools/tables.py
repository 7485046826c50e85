"""Make the README's tables from the JSON of verified runs: `python -m ucorr_tools.tables README.md FILE.json...`

The files are what `ucorr bench --json` and `ucorr profile --json` print for each target, and what the tests of the
emulated boards write. Each table stands between its markers, <!-- NAME begins --> and <!-- NAME ends -->.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ucorr.backends import NAMES

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

# Networks: what they are called, and milliseconds on a Cortex-M4 of 120 MHz (NUCLEO-L4R5ZI, measured) of the fastest
# submission to MLPerf Tiny 1.1, Plumerai's (github.com/mlcommons/tiny_results_v1.1, closed/plumerai/README.md).
NETWORKS: dict[str, tuple[str, float | None]] = {
    "kws_ref_model": ("keyword spotting, MLPerf Tiny", 47.78),
    "pretrainedResnet_quant": ("image classification, MLPerf Tiny", 167.76),
    "digits": ("8x8 digits, ours", None),
}
PUBLISHED_KHZ = 120_000


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


def instructions(benches: dict[str, dict[str, Any]]) -> str:
    """The table of instructions per MAC on a Cortex-M4, every backend and compiled C."""
    viper, naive, portable = (by_layer(benches[COUNTED], name) for name in ("viper", "naive", "portable"))
    rows = []
    for letter, row in viper.items():
        cells = {"layer": f"{letter}: {row['name']}", "MACs": whole(row["macs"]), "bytecode": per_mac(portable[letter])}
        cells |= {"naive viper": per_mac(naive[letter]), "`viper`": per_mac(row)}
        rows.append(cells | generated(benches[GENERATED], letter, {name: PEERS[name][letter] for name in PEERS}))
    return markdown(rows, words=1)


def small(benches: dict[str, dict[str, Any]]) -> str:
    """The table of instructions per MAC on a Cortex-M0+; viper is that of the emulated Cortex-M0."""
    rows = []
    for letter, row in by_layer(benches["qemu-m0"], "viper").items():
        cells = {"layer": letter, "`viper`": per_mac(row)}
        rows.append(cells | generated(benches[SMALL], letter, {"CMSIS-NN": SMALL_PEER[letter]}))
    return markdown(rows, words=1)


def generated(bench: dict[str, Any], letter: str, peers: dict[str, float]) -> dict[str, str]:
    """The cells of generated code for a layer, in both packings, and of others' kernels for the same layer."""
    rows = {row["packing"]: row for row in bench["rows"] if row["verified"] and row["layer"] == letter}
    fast, compact = rows.get("fast", {}), rows.get("compact", {})
    best = fast or compact
    return {
        "`thumb`": f"**{per_mac(best)}**",
        "cycles": digits(best["cycles_per_mac"]),
        "compact": digits(compact.get("instructions_per_mac")),
        **{name: digits(figure) for name, figure in peers.items()},
        "code, bytes": f"{best['code_bytes']:,}",
        "weights": " or ".join(f"{row['weight_bytes']:,}" for row in (fast, compact) if row),
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
                cells[f"{core}: instructions/MAC"] = per_mac(one)
                cells[f"cycles{ALIKE}{core}"] = digits(one["cycles_per_mac"])
                cells[f"code, bytes{ALIKE}{core}"] = whole(one["code_bytes"])
                cells[f"scratch{ALIKE}{core}"] = whole(one["scratch_bytes"])
            rows.append(cells)
    return markdown(rows, words=1)


def networks(profiles: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The table of whole networks on both cores; profiles by model and target."""
    rows = []
    for model, (name, published) in NETWORKS.items():
        macs = profiles[model, GENERATED]["totals"]["macs"]
        cells = {"network": name, "MACs": whole(macs), "arena": whole(profiles[model, GENERATED]["arena_bytes"])}
        for core, target in (("M4", GENERATED), ("M0+", SMALL)):
            totals = profiles[model, target]["totals"]
            cells[f"{core}: instructions/MAC"] = digits(totals["instructions"] / macs)
            cells[f"cycles{ALIKE}{core}"] = f"**{digits(totals['cycles'] / macs)}**"
            cells[f"scratch{ALIKE}{core}"] = whole(profiles[model, target]["scratch_bytes"])
        cells["published, M4: cycles"] = digits(published and published * PUBLISHED_KHZ / macs)
        rows.append(cells)
    return markdown(rows, words=1)


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
    least = f"{min(ratios):,.0f}" if min(ratios) >= 10 else f"{min(ratios):.1f}"
    return f"{least} to {max(ratios):,.0f}"


def desk(result: dict[str, Any]) -> str:
    """A sentence for each figure of the desk."""
    sentences = []
    for row in result["reference"]:
        sentence = f"The {row['name']}: {row['milliseconds']:.2g} ms"
        if row.get("scipy_milliseconds"):
            sentence += f", {row['ratio']:.1f} times as fast as `scipy.signal.correlate`"
        sentences.append(sentence + ".")
    return "\n".join(sentences)


def boards(seen: list[dict[str, Any]]) -> str:
    """What ran where."""
    rows = [
        {
            "target": f"`{row['target']}`",
            "core": CORES[row["target"]],
            "firmware": f"MicroPython {row['micropython']}",
            ".mpy": row["arch"] or "bytecode",
            "backends": ", ".join(name for name in NAMES if row["backends"].get(name) == "ok"),
            "named problems": f"{row['named']} equal",
            "drawn problems": f"{row['drawn']} equal",
            "free heap": f"{row['free_heap']:,}",
            "ucorr takes": f"{row['package_heap_mpy']:,}",
            "`thumb` takes": f"{row['generator_heap_mpy']:,}" if "generator_heap_mpy" in row else "–",
            "a 3x3 layer": f"{row['layer_heap']:,}",
        }
        for row in seen
    ]
    return markdown(rows, words=5)


def written(text: str, name: str, content: str) -> str:
    """The text with content between a pair of markers; ValueError when they are not there."""
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no {begin} and {end} to write between")
    return before + begin + content + end + after


def main(readme: str, *files: str) -> None:
    """Put every table into a Markdown file; ValueError or OSError says what is missing."""
    results = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    profiles = {(result["model"], result["target"]): result for result in results if "model" in result}
    benches = {result["target"]: result for result in results if "target" in result and "model" not in result}
    seen = [result["boards"] for result in results if "boards" in result]
    missing = [name for name in (GENERATED, SMALL, COUNTED, *OTHERS, "desk") if name not in benches]
    missing += [
        f"{model} on {core}" for model in NETWORKS for core in (GENERATED, SMALL) if (model, core) not in profiles
    ]
    missing += [] if seen else ["boards"]
    if missing:
        raise ValueError(f"no result of {' '.join(missing)}: run `make bench-table`")
    text = Path(readme).read_text(encoding="utf-8")
    text = written(text, "bench", f"\n{instructions(benches)}\n\n{desk(benches['desk'])}\n")
    text = written(text, "images", f"\n{images(benches)}\n")
    text = written(text, "viper", f"\n{viper(benches)}\n")
    portable = by_layer(benches[COUNTED], "portable")
    bytecode = {letter: row["instructions_per_mac"] for letter, row in portable.items()}
    text = written(text, "bytecode", spread(benches[GENERATED], bytecode))
    text = written(text, "compiled", spread(benches[GENERATED], PEERS["CMSIS-NN"]))
    text = written(text, "small", f"\n{small(benches)}\n")
    text = written(text, "compiled small", spread(benches[SMALL], SMALL_PEER))
    text = written(text, "networks", f"\n{networks(profiles)}\n")
    text = written(text, "boards", f"\n{boards(seen[-1])}\n")
    Path(readme).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"Error: {error}")
