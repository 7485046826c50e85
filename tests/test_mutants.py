"""Each mistake a kernel is prone to, made on purpose in a copy of the package, is caught by a named test.

A mutant is one replaced line. The copy stands before the installed package on the path, so the
test below runs on it, on the host and in the MicroPython process alike, and has to fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ucorr
import ucorr_host
from operator_cases import CASES

BACKENDS = "test_backends.py::test_named_problem_equals_the_reference"
PORTABLE, VIPER = "ucorr/backends/portable.py", "ucorr/backends/viper.py"
STAGES = "ucorr/backends/viper_stages.py"
CODEGEN = "ucorr/codegen/"
CONV, TABLE, ROWS = (CODEGEN + f"loops/{name}.py" for name in ("conv", "table", "rows"))
CONV_V7M, REQUANTIZE = CODEGEN + "armv7em/conv.py", CODEGEN + "armv7em/requantize.py"
DEPTHWISE, ROW_PAIRS = CODEGEN + "armv7em/depthwise.py", CODEGEN + "armv7em/pack_row_pairs.py"
CONV_V6M = CODEGEN + "armv6m/conv.py"
REQUANTIZE_V6M, DEPTHWISE_V6M = CODEGEN + "armv6m/requantize.py", CODEGEN + "armv6m/depthwise.py"
EMULATED, ON_CORE = "test_emulated.py::test_named_problem_equals_the_reference", "-cortex-m4]"
ON_M0 = "-cortex-m0plus]"
LARGE = "test_large.py::test_a_large_layer_equals_the_reference_in_machine_code"
FIXEDPOINT, SPEC = "ucorr/fixedpoint.py", "ucorr/spec.py"
LAYERS, SCALING, CHECKS = (f"ucorr_host/reference/{name}.py" for name in ("layers", "scaling", "checks"))
LOOPS = "test_reference.py::test_a_named_problem_equals_nested_loops_of_python_ints"
RAMP = "test_reference.py::test_every_half_of_a_ramp_is_rounded_as_often_as_it_should"
RAMPS = "test_backends.py::test_rounding_once_for_twice_would_be_seen_and_twice_for_once"
ON_HOST, ON_VIPER = "-cpython/portable]", "-micropython/viper]"

# what is wrong, file, line, its replacement, the test that kills it
MUTANTS = [
    ("flipped kernel", PORTABLE, "acc += x[first + tap] * weights[k]",
     "acc += x[first + tap] * weights[len(taps) - 1 - k]", f"{BACKENDS}[sobel{ON_HOST}"),
    ("flipped kernel", VIPER, "source = ((o * kh + a) * kw + b) * depth",
     "source = ((o * kh + a) * kw + kw - 1 - b) * depth", f"{BACKENDS}[sobel{ON_VIPER}"),
    ("off by one", PORTABLE, "z = j * sx - left",
     "z = j * sx - left - 1", f"{BACKENDS}[sobel{ON_HOST}"),
    ("off by one", STAGES, "column = first + p", "column = first + p - 1",
     f"{BACKENDS}[sobel same{ON_VIPER}"),
    ("truncation", FIXEDPOINT, "return (value >> n) + ((value >> (n - 1)) & 1)", "return value >> n",
     "test_fixedpoint.py::test_rounding_shift_is_the_quotient_rounded_half_away_from_zero"),
    ("truncation", STAGES, "acc = (acc >> k) + ((acc >> (k - 1)) & 1)", "acc = acc >> k",
     f"{BACKENDS}[dense long{ON_VIPER}"),
    ("halves up", STAGES, "if k:  # fixedpoint.rounding_shift\n                acc += acc >> 31 & lowered",
     "if k:", f"{BACKENDS}[edge pair rounded{ON_VIPER}"),
    ("truncation", STAGES, "acc = ((acc >> right) + zero_point) >> 1",
     "acc = ((acc >> right) + zero_point - 1) >> 1", f"{BACKENDS}[sobel{ON_VIPER}"),
    ("halves up", STAGES, "acc = ((acc >> right) + zero_point) >> 1",
     "acc = (((acc - (acc >> 31)) >> right) + zero_point) >> 1", f"{BACKENDS}[sobel{ON_VIPER}"),
    ("truncation", STAGES, "acc = ((acc >> ptr32(w)[3]) + zero_point) >> 1",
     "acc = ((acc >> ptr32(w)[3]) + zero_point - 1) >> 1", f"{BACKENDS}[conv{ON_VIPER}"),
    ("single rounding", STAGES, "acc = (t + acc * m2 + 1024) >> 11",
     "acc = (t + acc * m2) >> 11", f"{BACKENDS}[depthwise{ON_VIPER}"),
    ("a block's last taps not zero", VIPER, "packed[n] = zero\n", "packed[n] = 1\n", f"{BACKENDS}[conv{ON_VIPER}"),
    ("rows not slid", STAGES, "job[BASE] = job[BASE] + job[SLIDE]", "job[BASE] = 0", f"{BACKENDS}[sobel{ON_VIPER}"),
    ("a 33rd bit", STAGES, "acc = (acc >> k) + ((acc >> (k - 1)) & 1)", "acc = ((acc >> (k - 1)) + 1) >> 1",
     "test_word_machine.py::test_a_drawn_problem_equals_the_reference_on_32_bits"),
    ("a column past the scratch", STAGES, "columns = (job[POSITIONS] - 1) * job[STRIDE_X] + job[EXTENT]",
     "columns = (job[POSITIONS] - 1) * job[STRIDE_X] + job[EXTENT] + 1",
     "test_word_machine.py::test_a_named_problem_equals_the_reference_on_32_bits[sobel exact]"),
    ("single rounding", PORTABLE,
     "acc = scale_high(acc, parts[o], parts[o + 1], parts[o + 2], parts[o + 3])",
     "acc = (acc * self.spec.multiplier[o // 4] + (1 << (30 - shift))) >> (31 - shift); shift = 0",
     f"{RAMPS}[near-cpython/portable]"),
    ("rounding twice", PORTABLE, "half_of(spec.rounding, shift)", "half_of('double', shift)",
     f"{BACKENDS}[dense single{ON_HOST}"),
    ("rounding twice", PORTABLE, "acc = rounding_shift(acc, -shift, self.single)", "acc = rounding_shift(acc, -shift)",
     f"{RAMPS}[near-cpython/portable]"),
    ("truncation", FIXEDPOINT, "rounding == \"single\" and shift < 0", "rounding == \"single\"",
     f"{BACKENDS}[conv single{ON_HOST}"),
    ("rounding twice", VIPER, "half_of(spec.rounding, shift)", "half_of('double', shift)",
     f"{BACKENDS}[conv single{ON_VIPER}"),
    ("rounding twice", VIPER, 'if spec.rounding == "single":', "if False:",
     f"{BACKENDS}[depthwise single{ON_VIPER}"),
    ("halves down", STAGES, "if k:  # fixedpoint.rounding_shift\n                acc += acc >> 31 & lowered",
     "if k:\n                acc += acc >> 31", f"{RAMPS}[far-micropython/viper]"),
    ("wrong zero point sign", PORTABLE, "- spec.input_zero_point * sum(", "+ spec.input_zero_point * sum(",
     f"{BACKENDS}[conv{ON_HOST}"),
    ("wrong zero point sign", VIPER,
     "start = (spec.bias[o] if spec.bias else 0) - (spec.input_zero_point + offset) * total",
     "start = (spec.bias[o] if spec.bias else 0) - (offset - spec.input_zero_point) * total",
     f"{BACKENDS}[conv{ON_VIPER}"),
    ("wrong output zero point sign", PORTABLE,
     "return clamp(acc, self.lowest, self.highest) + zero", "return clamp(acc, self.lowest, self.highest) - zero",
     f"{BACKENDS}[conv{ON_HOST}"),
    ("wrong pad side", SPEC, "(total // 2, total - total // 2)", "(total - total // 2, total // 2)",
     "test_backends.py::test_same_puts_the_odd_row_at_the_bottom[cpython/portable]"),
    ("padding of zeros", VIPER, "(stages.FILL, spec.border_value + offset)", "(stages.FILL, offset)",
     f"{BACKENDS}[conv{ON_VIPER}"),
    ("reflected edge repeated", SPEC, "return -index if index < 0 else 2 * (size - 1) - index",
     "return -index - 1 if index < 0 else 2 * size - 1 - index", f"{BACKENDS}[blur reflect{ON_VIPER}"),
    ("high half dropped", STAGES, "high += acc >> 16", "high += 0", f"{BACKENDS}[signal pair{ON_VIPER}"),
    ("flipped kernel", LAYERS, "return correlate2d(x, integers(\"kernel\", kernel, 2, exactly=True)[::-1, ::-1]",
     "return correlate2d(x, integers(\"kernel\", kernel, 2, exactly=True)",
     "test_reference.py::test_accumulators_equal_scipy"),
    ("truncation", SCALING, "return (value + ((1 << n) >> 1) - ((value < 0) & (n > 0))) >> n",
     "return value >> n", RAMP),
    ("halves up", SCALING, "- ((value < 0) & (n > 0))", "", RAMP),
    ("single rounding", SCALING, "return rounding_shift((value * multiplier + (1 << 30)) >> 31, n)",
     "return (value * multiplier + (1 << (30 + n))) >> (31 + n)", RAMP),
    ("wrong zero point sign", CHECKS, "return values.astype(np.int32) - zero_point",
     "return values.astype(np.int32) + zero_point", f"{LOOPS}[conv]"),
    ("wrong pad side", LAYERS, "return (total[0] // 2, total[0] - total[0] // 2)",
     "return (total[0] - total[0] // 2, total[0] // 2)", f"{LOOPS}[conv groups]"),
    ("halves up", REQUANTIZE, "asm.add(r, r, r, ASR, 31)", "asm.add(r, r, r, ASR, 31) if False else None",
     f"{EMULATED}[edge pair rounded{ON_CORE}"),
    ("truncation", REQUANTIZE, "(spec.output_zero_point << n) + (1 << n >> 1)", "spec.output_zero_point << n",
     f"{EMULATED}[sobel{ON_CORE}"),
    ("rounding twice", REQUANTIZE, "asm.smmul(r, r, a, not self.single)", "asm.smmul(r, r, a, True)",
     f"{EMULATED}[dense single{ON_CORE}"),
    ("halves down", REQUANTIZE, "if not self.single:\n                    asm.add(r, r, r, ASR, 31)",
     "if True:\n                    asm.add(r, r, r, ASR, 31)", f"{RAMPS}[near-cortex-m4/thumb]"),
    ("truncation", TABLE, "right = max(-shift, 1 if spec.rounding == \"single\" else 0)", "right = max(-shift, 0)",
     f"{EMULATED}[conv single{ON_CORE}"),
    ("sums not doubled", REQUANTIZE, "if not self.doubled:", "if self.doubled:", f"{EMULATED}[conv{ON_CORE}"),
    ("flipped kernel", CONV, "source = ((o * kh + a) * kw + b) * depth",
     "source = ((o * kh + a) * kw + kw - 1 - b) * depth", f"{EMULATED}[conv{ON_CORE}"),
    ("wrong zero point sign", TABLE, "- zero_point * total", "+ zero_point * total",
     f"{EMULATED}[conv zero points{ON_CORE}"),
    ("group forgotten", CONV, "asm.advance(X, spec.kernel_shape[3] * ITEMSIZE[spec.dtype])",
     "asm.advance(X, 0)", f"{EMULATED}[conv groups{ON_CORE}"),
    ("wrong pad side", ROWS, "left = min(spec.padding[1][0], columns)", "left = min(spec.padding[1][1], columns)",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m4]"),
    ("bytes in another order", CONV_V7M, "places = (0, 2, 1, 3)", "places = (0, 1, 2, 3)",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m4]"),
    ("scratch too small", CONV_V7M, "past = 2 * 4 * _UNROLLED", "past = -8", f"{EMULATED}[conv 1x1{ON_CORE}"),
    ("scratch too small", DEPTHWISE, "max(_SPARE, seen - self.columns)", "_SPARE",
     f"{LARGE}[an odd number of strided columns{ON_CORE}"),
    ("register lost", DEPTHWISE, "self.spare = self.temps[-1]", "self.spare = R12", f"{LARGE}[rows of 5 kB{ON_CORE}"),
    ("register lost", ROW_PAIRS, "asm.plus(R2, R9, rows.plane, R2)", "asm.plus(R2, R9, rows.plane)",
     f"{LARGE}[planes of 5 kB, three of them{ON_CORE}"),
    ("off by one row", DEPTHWISE, "shift = row * stride", "shift = row * stride + row", f"{EMULATED}[sobel{ON_CORE}"),
    ("flipped kernel", DEPTHWISE, "put(table, at, kernel[first * kw + b])",
     "put(table, at, kernel[first * kw + kw - 1 - b])", f"{EMULATED}[sobel{ON_CORE}"),
    ("reflected edge repeated", ROWS, "source_index(column - left, spec.input_shape[1], spec.border)",
     "max(0, min(spec.input_shape[1] - 1, column - left))", f"{EMULATED}[blur reflect{ON_CORE}"),
    ("high half dropped", CODEGEN + "armv7em/conv_int64.py", "words += [word, word >> 32][: self.each]",
     "words += [word, 0][: self.each]", f"{EMULATED}[conv int16{ON_CORE}"),
    ("halves away from zero", CODEGEN + "armv7em/conv_int64.py", "asm.plus(r, r, 1 + 2 * self.spec.output_zero_point)",
     "asm.plus(r, r, 2 * self.spec.output_zero_point)", f"{EMULATED}[conv int16{ON_CORE}"),
    ("borrow forgotten", CONV_V6M, "asm.adcs(self.upper[pair], r)", "asm.add(self.upper[pair], self.upper[pair], r)",
     f"{EMULATED}[conv{ON_M0}"),
    ("runs too long", CONV_V6M, "while run * most > 255 and run > 1 and not self._stay(taps, run)", "while False",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m0plus]"),
    ("borrow forgotten", DEPTHWISE_V6M, "asm.adcs(R7, R2)", "asm.add(R7, R7, R2)", f"{EMULATED}[sobel{ON_M0}"),
    ("runs too long", DEPTHWISE_V6M, "up[o] += max(k, 0)", "up[o] += 0",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m0plus]"),
    ("runs too long", DEPTHWISE_V6M, "128 * up[o] + 127 * down[o] > 32767", "128 * up[o] + 127 * down[o] > 32768",
     "test_emulated.py::test_sums_at_the_edge_of_16_bits_are_exact[64-DepthwiseConv2D]"),
    ("no doubt", REQUANTIZE_V6M, "self.limit = best << 32 - f", "self.limit = 0",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m0plus]"),
    ("rounding twice", REQUANTIZE_V6M, "_product(asm, not self.single)", "_product(asm, True)",
     f"{EMULATED}[conv single{ON_M0}"),
    ("halves down", REQUANTIZE_V6M, "if not self.single:\n            asm.shift(R2, R0, ASR, 31)",
     "if True:\n            asm.shift(R2, R0, ASR, 31)", f"{RAMPS}[near-cortex-m0plus/thumb]"),
    ("truncation", TABLE, "right = max(-shift, 1 if spec.rounding == \"single\" else 0)", "right = max(-shift, 0)",
     f"{EMULATED}[conv single{ON_M0}"),
    ("halves up", REQUANTIZE_V6M, "asm.sbcs(acc, R3)", "asm.sub(acc, acc, R3)",
     f"{EMULATED}[edge pair rounded{ON_M0}"),
    ("wrong pad side", ROWS, "left = min(spec.padding[1][0], columns)", "left = min(spec.padding[1][1], columns)",
     "test_emulated.py::test_generated_code_stays_within_its_instructions[cortex-m0plus]"),
    ("group forgotten", PORTABLE, "first += depth", "first += 0", f"{BACKENDS}[conv groups{ON_HOST}"),
    *(mutant for case in CASES.values() for mutant in case.mutants),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "line", "wrong", "killer"), [m[1:] for m in MUTANTS], ids=[f"{m[0]} in {m[1]}" for m in MUTANTS]
)
def test_the_mutant_is_killed(tmp_path, file, line, wrong, killer):
    copy_packages(tmp_path)
    source = (tmp_path / file).read_text()
    assert source.count(line) == 1, "the mutated line is not in the file once"
    (tmp_path / file).write_text(source.replace(line, wrong))
    # fails when the test passes on the mutant, and when it can't run at all
    assert run_test(tmp_path, killer) == pytest.ExitCode.TESTS_FAILED


def test_a_killer_passes_on_the_package_as_it_is(tmp_path):
    copy_packages(tmp_path)
    killers = {killer for *_, killer in MUTANTS}
    assert run_test(tmp_path, *killers) == pytest.ExitCode.OK


def copy_packages(path: Path) -> None:
    """The packages on which mutants are made, copied with their bytecode, which is as new as their files."""
    for package in (ucorr, ucorr_host):
        source = Path(package.__file__).parent
        shutil.copytree(source, path / source.name)


def run_test(path: Path, *names: str) -> int:
    """Exit status of pytest on some tests of this folder, the copied package first on the path."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *names]
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, timeout=120)
    return done.returncode
