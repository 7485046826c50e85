"""A data set through a network: the same result however it is split, and wherever its parts run."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from ucorr_host import FloatNetwork, Network, evaluate, quantize_network
from ucorr_host.networks.graph import Node, Tensor
from ucorr_host.training import float_network as layers

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(50, 6, 5, 2))
NETWORK = quantize_network(
    FloatNetwork(
        (6, 5, 2),
        (
            layers.Conv2D(RNG.normal(size=(4, 3, 3, 2)), RNG.normal(size=4), "relu"),
            layers.Dense(RNG.normal(size=(3, 48))),
        ),
    ),
    SAMPLES,
)
X = NETWORK.quantize_input(SAMPLES)
LABELS = RNG.integers(0, 3, 50)


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    # "spawn": a fork of a process with threads, as BLAS has them, may hang
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@given(st.integers(1, 50), st.integers(1, 60))
def test_the_split_does_not_matter(count, batch):
    found = evaluate(NETWORK, X[:count], LABELS[:count], batch=batch)
    assert_array_equal(found.outputs, NETWORK.run(X[:count]), strict=True)
    assert_array_equal(found.classes, found.outputs.argmax(axis=1))
    assert found.correct == (found.outputs.argmax(axis=1) == LABELS[:count]).sum()
    assert found.accuracy == found.correct / count


@settings(max_examples=30)
@given(count=st.integers(1, 50), batch=st.integers(1, 60))
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_where_the_parts_run_does_not_matter(request, kind, count, batch):
    found = evaluate(NETWORK, X[:count], LABELS[:count], executor=request.getfixturevalue(kind), batch=batch)
    expected = evaluate(NETWORK, X[:count], LABELS[:count], batch=count)
    assert_array_equal(found.outputs, expected.outputs, strict=True)
    assert_array_equal(found.classes, expected.classes, strict=True)
    assert (found.correct, found.accuracy) == (expected.correct, expected.accuracy)


def test_every_part_goes_to_the_executor():
    class Counting(ThreadPoolExecutor):
        parts = 0

        def map(self, function, networks, parts):
            parts = list(parts)
            self.parts += len(parts)
            return super().map(function, networks, parts)

    with Counting(2) as pool:
        evaluate(NETWORK, X, executor=pool, batch=8)
        assert pool.parts == 7  # 50 in eights


def test_samples_may_be_real_and_have_their_leading_one():
    expected = evaluate(NETWORK, X).outputs
    assert expected.shape == (50, 3)
    assert_array_equal(evaluate(NETWORK, SAMPLES).outputs, expected)
    assert_array_equal(evaluate(NETWORK, X[:, None]).outputs, expected)
    assert evaluate(NETWORK, X).correct is None
    assert evaluate(NETWORK, X).accuracy is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_sample_is_a_sample_where_the_output_has_rows(count):
    """Network.run takes (1, 4) for the input itself, and gives its two rows; of many samples it gives many."""
    tensors = tuple(Tensor(name, shape, np.dtype(np.int8), 1.0, 0) for name, shape in (("x", (1, 4)), ("y", (2, 2))))
    network = Network(tensors, (Node("reshape", (0,), 1, {"shape": (2, 2)}),), (0,), (1,))
    x = np.arange(4 * count, dtype=np.int8).reshape(count, 4)
    for batch in (1, 2, 3):
        assert_array_equal(evaluate(network, x, batch=batch).outputs, x.reshape(count, 2, 2))
    assert evaluate(network, x).classes.tolist() == [3] * count


def test_the_first_of_equal_outputs_is_the_class():
    network = Network(
        (Tensor("x", (1, 3), np.dtype(np.int8), 1.0, 0),) * 2,
        (Node("reshape", (0,), 1, {"shape": (1, 3)}),),
        (0,),
        (1,),
    )
    assert evaluate(network, np.array([[5, 7, 7], [1, 1, 0]], np.int8)).classes.tolist() == [1, 0]


def test_networks_pickle():
    again = pickle.loads(pickle.dumps(NETWORK))
    assert again.tensors == NETWORK.tensors
    assert_array_equal(again.run(X), NETWORK.run(X))


TWO = Network(NETWORK.tensors, NETWORK.nodes, NETWORK.inputs, NETWORK.outputs * 2)


@pytest.mark.parametrize(
    ("arguments", "words", "error", "message"),
    [
        ((None, X), {}, TypeError, "network: NoneType, wanted a Network"),
        ((TWO, X), {}, ValueError, "network: 1 inputs and 2 outputs, wanted one of each"),
        ((NETWORK, X), {"batch": 0}, ValueError, "batch: 0, wanted 1"),
        ((NETWORK, X), {"batch": 2.5}, TypeError, "batch: 2.5, wanted an integer"),
        ((NETWORK, X[:0]), {}, ValueError, "x: no samples, wanted at least one"),
        ((NETWORK, X[..., :1]), {}, ValueError, r"x: shape \(50, 6, 5, 1\), wanted samples of shape \(1, 6, 5, 2\)"),
        ((NETWORK, X.astype(np.int16)), {}, TypeError, "x: dtype int16, wanted int8 or floats"),
        ((NETWORK, X, LABELS[:-1]), {}, ValueError, r"labels: shape \(49,\), wanted \(50,\), one per sample"),
        ((NETWORK, X, LABELS + 0.5), {}, TypeError, "labels: dtype float64, wanted integers"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments, words, error, message):
    with pytest.raises(error, match=f"^{message}") as caught:
        evaluate(*arguments, **words)
    assert "\n" not in str(caught.value)
