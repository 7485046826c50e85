"""MicroPython's WebAssembly builds under node: no native emitter, small ints of 31 bits, portable alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import problems
from ucorr_host.problems.named import everything
from ucorr_host.targets import board_side
from ucorr_host.targets.micropython import package_dir
from ucorr_tools.qemu.firmware import WEBASSEMBLY, webassembly


class Node:
    """A MicroPython in a node process, asked line by line."""

    def __init__(self, version: str) -> None:
        script = Path(__file__).with_name("webassembly.mjs")
        words = ["node", str(script), str(webassembly(version)), str(package_dir()), board_side.__file__]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, message: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([message, payload.hex()]) + "\n")
        self.process.stdin.flush()
        answer, data = json.loads(self.process.stdout.readline())
        return answer, bytes.fromhex(data)

    def solve(self, problem: Any, **more: Any) -> Any:
        answer, data = self.ask(problem.message(None, **more), problem.payload())
        assert "error" not in answer, answer
        assert answer["backend"] == "portable"
        assert answer["guards_intact"]
        return np.frombuffer(data, problem.expected().dtype).reshape(answer["out_shape"])


@pytest.fixture(scope="module", params=WEBASSEMBLY)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    node = Node(request.param)
    yield node
    node.process.communicate()


def test_it_has_no_emitter_and_says_so(node):
    outcome = node.ask({"attempt": "answer = ucorr.info()"})[0]["outcome"]
    assert outcome[0] == "ok"
    assert outcome[1]["viper"] == "SyntaxError: invalid micropython decorator"
    assert outcome[1]["portable"] == "ok"


@pytest.mark.parametrize("problem", everything(), ids=lambda problem: problem.name)
def test_a_named_problem_equals_the_reference(node, problem):
    assert_array_equal(node.solve(problem), problem.expected(), strict=True)


def test_drawn_problems_equal_the_reference(node):
    @settings(max_examples=settings.default.max_examples // 2)
    @given(problem=problems(), offset=st.integers(0, 3))
    def check(problem, offset):
        assert_array_equal(node.solve(problem, offset=offset), problem.expected(), strict=True)

    check()
