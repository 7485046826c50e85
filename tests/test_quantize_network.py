"""Float networks: what they compute, what becomes of them in int8, and that LiteRT and boards agree with it."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction

import float_networks as drawn
import numpy as np
import pytest
import reference_steps
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle import litert
from ucorr_host import FloatNetwork, Network, load_tflite, quantize_network, reference
from ucorr_host.networks.compile import compile
from ucorr_host.networks.graph import Node, Tensor, quantized
from ucorr_host.quantize import quantize_multiplier, single_rounding_multiplier
from ucorr_host.tflite import save_tflite, to_tflite
from ucorr_host.training import float_network as layers
from ucorr_host.training.quantize_network import Histogram, dense_factor, least_error_range, scale_of

RULES = st.sampled_from(["minmax", "mse"])

# The float network


@given(st.data())
def test_float_layers_of_integers_are_the_references(data):
    """Sums of small integers are exact in floats, so the layers have to agree in every bit."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kind = data.draw(st.sampled_from(["Conv2D", "DepthwiseConv2D", "Dense", "MaxPool2D", "AveragePool2D"]))
    shape = tuple(data.draw(st.integers(*ends)) for ends in ((2, 7), (2, 7), (1, 3)))
    layer = drawn.drawn_layer(data.draw, rng, kind, [shape])
    x = rng.integers(-9, 10, (2, *shape))
    if kind in ("MaxPool2D", "AveragePool2D"):
        words = {"stride": layer.size if layer.stride is None else layer.stride, "padding": layer.padding}
        found = layer.run(x.astype(float))
        if kind == "MaxPool2D":
            expected = reference.max_pool2d(x, layer.size, **words)
        else:  # the reference rounds: of sums that every count divides nothing is rounded
            x *= 5040
            found, expected = layer.run(x.astype(float)), reference.average_pool2d(x, layer.size, **words)
            found = np.rint(found)  # the quotient of floats is a whole number but for its last bit
        assert_array_equal(found, expected)
        return
    kernel = rng.integers(-9, 10, layer.kernel.shape)
    bias = rng.integers(-9, 10, layer.bias.shape)
    words = {name: getattr(layer, name) for name in ("stride", "padding", "dilation") if hasattr(layer, name)}
    made = type(layer)(kernel, bias, "relu6", **words)
    op = {"Conv2D": reference.conv2d, "DepthwiseConv2D": reference.depthwise_conv2d, "Dense": reference.dense}[kind]
    expected = op(x.reshape(2, -1) if kind == "Dense" else x, kernel, bias, **words)
    assert_array_equal(made.run(x.astype(float)), np.clip(expected, 0, 6))


def test_a_residual_adds_an_earlier_output():
    row = (layers.Reshape((4,)), layers.Softmax(), layers.Add(-1), layers.Add(1, "relu"))
    with pytest.raises(ValueError, match=r"^layers\[2\]: of: -1, whose output is \(2, 2, 1\), wanted one of shape"):
        FloatNetwork((2, 2, 1), row)
    net = FloatNetwork((4,), (row[1], layers.Add(0, "none"), layers.Add(-1, "relu")))
    x = np.array([[0.0, 1.0, -5.0, 2.0]])
    soft = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(net.run(x), np.maximum(2 * soft + x, 0), rtol=1e-14)  # exp is not exact
    rows = layers.Softmax().run(np.array([[[0.0, 1.0, -5.0, 2.0], [7.0] * 4]]))
    np.testing.assert_allclose(rows, [[soft[0], [0.25] * 4]], rtol=1e-14)


# In int8


@settings(max_examples=100)
@given(drawn.float_networks(), RULES)
def test_litert_and_the_file_have_the_same_bits(problem, rule):
    net, samples = problem
    made = quantize_network(net, samples, ranges=rule)
    model = to_tflite(made)
    x = np.random.default_rng(0).integers(-128, 128, (3, *made.tensors[0].shape)).astype(np.int8)
    expected = np.stack([litert(model, sample)[0] for sample in x])
    assert_array_equal(made.run(x), expected)
    assert_array_equal(load_tflite(model).run(x), expected)


@settings(max_examples=100)
@given(drawn.float_networks(), RULES)
def test_whatever_is_quantised_compiles_and_computes_the_same(problem, rule):
    net, samples = problem
    made = quantize_network(net, samples, ranges=rule)
    x = np.random.default_rng(1).integers(-128, 128, made.tensors[0].shape).astype(np.int8)
    for core in ("any", "cortex-m4"):
        assert_array_equal(reference_steps.run(compile(made, core), x), made.run(x))


@given(drawn.float_networks(("Conv2D", "DepthwiseConv2D", "Dense")))
def test_a_layer_is_as_near_as_its_roundings_allow(problem):
    net, samples = problem
    net = FloatNetwork(net.input_shape, net.layers[:1])
    made = quantize_network(net, samples, ranges="minmax")
    (node,), layer = [node for node in made.nodes if node.op != "reshape"], net.layers[0]
    source, out = made.tensors[0], made.tensors[node.output]
    ints = made.quantize_input(samples[:, None])
    x = source.scale * (ints[:, 0].astype(float) - source.zero_point)
    real = net.run(x)
    # each weight is off by half its step at most, the bias by half of its own; doubled, for a bias that asked for
    # coarser weights has no part in it; one step of the output for rounding it and for its multiplier
    factors = node.options.get("factor")
    if factors is None:
        factors = node.options["multiplier"] * 2.0 ** (node.options["shift"] - 31)
    scales = np.array(factors) * out.scale / source.scale
    ones = type(layer)(np.ones_like(layer.kernel), None, **_geometry(layer))
    slack = ones.run(np.abs(x)) * scales / 2 + source.scale * scales / 2
    found = out.scale * (made.run(ints)[:, 0].astype(float) - out.zero_point)
    low, high = out.scale * (-128 - out.zero_point), out.scale * (127 - out.zero_point)
    assert np.all(np.abs(found - np.clip(real, low, high)) <= slack * (1 + 1e-6) + out.scale)


def _geometry(layer):
    return {name: getattr(layer, name) for name in ("stride", "padding", "dilation") if hasattr(layer, name)}


@settings(max_examples=50)
@given(drawn.float_networks(), RULES)
def test_the_integers_follow_the_specification(problem, rule):
    net, samples = problem
    made = quantize_network(net, samples, ranges=rule)
    for tensor in made.tensors:
        assert tensor.dtype == np.int8
        assert tensor.scale == np.float32(tensor.scale)
        assert -128 <= tensor.zero_point <= 127  # so 0.0 is an integer
        assert tensor.shape[0] == 1
    for node in made.nodes:
        x, out = made.tensors[node.inputs[0]], made.tensors[node.output]
        if node.op in ("max_pool2d", "average_pool2d", "reshape"):
            assert (x.scale, x.zero_point) == (out.scale, out.zero_point)
        if node.op == "softmax":
            assert (out.scale, out.zero_point) == (1 / 256, -128)
        if "kernel" in node.options:
            assert node.options["kernel"].dtype == np.int8
            assert node.options["kernel"].min() >= -127
            assert node.options["bias"].dtype == np.int32


@given(st.floats(2.0**-24, 0.5), st.integers(-128, 127))
@example(2.0**-21.9, 0)  # no 31 bits round as this double does
@example(129 * 2.0**-26, 127)  # nor as this one, of which accumulators are halfway
def test_a_dense_factor_has_a_multiplier_on_the_board(real, zero_point):
    pair, most = quantize_multiplier(real), (1 << 30) - 1
    multiplier, shift = single_rounding_multiplier(dense_factor(*pair), -most, most, zero_point, -128, 127)
    assert (multiplier | 1, shift) == (pair[0] | 1, pair[1])
    np.testing.assert_allclose(dense_factor(*pair), real, rtol=2.0**-29)  # 31 bits, the last of them odd


@given(
    st.fractions(Fraction(1, 4096), 8, max_denominator=4096), st.integers(-1000, 1000), st.integers(0, 1000),
    st.integers(-128, 127), st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
)  # fmt: skip
@example(Fraction(1, 6), 3, 0, 0, (-128, 127))  # one accumulator, halfway: the nearest 31 bits are just under 1/6
@example(Fraction(1, 6), -3, 0, 0, (-128, 127))
@example(Fraction(1, 1 << 40), 1 << 30, 1, 5, (-128, 127))  # 31 bits and the shift stand for nothing but 0
def test_a_multiplier_that_is_rounded_once_divides_every_accumulator_of_its_range(
    factor, lowest, count, zero_point, ends
):
    low, high = sorted(ends)
    multiplier, shift = single_rounding_multiplier(factor, lowest, lowest + count, zero_point, low, high)
    acc = list(range(lowest, lowest + count + 1))
    words = {"output_zero_point": zero_point, "activation_min": low, "activation_max": high}
    found = reference.requantize(acc, multiplier, shift, rounding="single", **words)
    rounded = [math.floor(abs(value * factor) + Fraction(1, 2)) * (1 if value > 0 else -1) for value in acc]
    assert_array_equal(found, np.clip(np.array(rounded) + zero_point, low, high))


@pytest.mark.parametrize("kind", ["add", "mean", "dense"])
def test_outputs_that_cancel_are_no_finer_than_their_sums(kind):
    """All outputs next to 0: scales as fine as that would want factors past what accumulators allow."""
    x = np.ones((1, 4, 4, 1))
    x[0, ::2] = -1 - 1e-12
    row = {
        "add": (layers.Conv2D([[[[1e-12 - 1]]]]), layers.Add(-1)),
        "mean": (layers.GlobalAverage(),),
        "dense": (layers.Dense(np.ones((1, 16))),),
    }
    made = quantize_network(FloatNetwork((4, 4, 1), row[kind]), x, ranges="minmax")
    samples = np.random.default_rng(0).integers(-128, 128, (5, 1, 4, 4, 1)).astype(np.int8)
    found = made.run(samples)
    assert_array_equal(found, np.stack([litert(to_tflite(made), sample)[0] for sample in samples]))
    for core in ("any", "cortex-m4"):
        assert_array_equal(np.stack([reference_steps.run(compile(made, core), sample) for sample in samples]), found)


def test_integers_worked_out_by_hand():
    """Inputs -1..1.55 at a step of 0.01 and zero point -28; weights of 1 and 0.5 at most; outputs 0..2.55 at 0.01."""
    net = FloatNetwork((2,), (layers.Dense([[1.0, -0.25], [0.5, 0.5]], [0.5, 0.0], "relu"),))
    made = quantize_network(net, [[-1.0, 1.55], [1.55, -2.0], [1.55, 1.55]], ranges="minmax", input_range=(-1, 1.55))
    assert [round(tensor.scale, 9) for tensor in made.tensors] == [0.01, 0.01]
    assert [tensor.zero_point for tensor in made.tensors] == [-28, -128]
    (node,) = made.nodes
    assert node.options["kernel"].tolist() == [[127, -32], [127, 127]]
    assert node.options["bias"].tolist() == [6350, 0]  # 0.5 / (0.01 / 127)
    np.testing.assert_allclose(node.options["factor"], [1 / 127, 0.5 / 127], rtol=1e-6)  # scales are float32
    # (x - -28) is 100 and 40: 127 * 100 - 32 * 40 + 6350 = 17770 and 127 * 140 = 17780
    assert made.run(np.array([[72, 12]], np.int8)).tolist() == [[round(17770 / 127) - 128, 70 - 128]]


@pytest.mark.parametrize(
    ("low", "high", "least", "expected"),
    [
        (0.0, 255.0, 0.0, (1.0, -128)),
        (5.0, 255.0, 0.0, (1.0, -128)),
        (-255.0, -5.0, 0.0, (1.0, 127)),
        (-127.5, 127.5, 0.0, (1.0, 0)),
        (-1.0, 254.0, 0.0, (1.0, -127)),
        (0.0, 0.0, 0.0, (1.0, -128)),
        (0.0, 0.0, 0.5, (0.5, -128)),
        (-2.0, 2.0, 1.0, (1.0, -126)),
    ],
)
def test_scale_of_a_range(low, high, least, expected):
    assert scale_of(low, high, least) == expected


@given(
    st.sampled_from(["normal", "laplace", "heavy", "uniform", "relu"]),
    st.integers(0, 999),
    st.integers(-6, 6),
)
def test_the_least_error_range_has_no_more_error_than_the_whole(kind, seed, exponent):
    rng = np.random.default_rng(seed)
    # heavy tails, but not Cauchy's, where a handful of values has all the error and no average holds
    drawn = (
        rng.standard_t(3, size=4000) if kind == "heavy" else getattr(rng, {"relu": "normal"}.get(kind, kind))(size=4000)
    )
    values = np.asarray(drawn) * 10.0**exponent
    values = np.maximum(values, 0) if kind == "relu" else values
    low, high = least_error_range(histogram_of(values[None]))
    # 4,000 roundings are noise of power scale**2 / 12 only on average: two such sums differ by a few percent
    assert squared_error(values, low, high) <= squared_error(values, values.min(), values.max()) * 1.06


def histogram_of(samples):
    histogram = Histogram(float(samples.min()), float(samples.max()))
    histogram.add(samples)
    return histogram


def squared_error(values, low, high):
    scale, zero_point = scale_of(low, high)
    steps = quantized(values, Tensor("", values.shape, np.dtype(np.int8), scale, zero_point)).astype(float)
    return float(((scale * (steps - zero_point) - values) ** 2).mean())


def test_the_least_error_range_is_the_least_of_all_pairs_of_edges():
    """Of 40,000 normal values and 4 far ones; two pairs of edges apart the model's own sums decide."""
    values = np.random.default_rng(5).normal(size=40000)
    values[:4] = -8, 8, 9, 10
    histogram = histogram_of(values[None])
    low, high = least_error_range(histogram)
    best = squared_error(values, low, high)
    assert values.min() < low < -3
    assert 3 < high < values.max()
    ends = histogram.edges[(histogram.edges > 2)]
    errors = [squared_error(values, -m, n) for m in ends for n in ends]
    assert best <= min(errors) * 1.02  # of 40,000 roundings the power is known to a percent or two


def test_every_sample_counts_alike():
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(6, 50))
    one, other = histogram_of(samples), Histogram(float(samples.min()), float(samples.max()))
    for part in (samples[:1], samples[1:]):
        other.add(part)
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-12)  # sums of floats in another order
    np.testing.assert_allclose(one.sums[:, 2].sum(), samples.size, rtol=1e-12)
    times = Histogram(100 * one.ends[0], 100 * one.ends[1])
    times.add(samples * [[100], [1], [1], [1], [1], [1]])
    np.testing.assert_allclose(times.sums[:, 2].sum(), samples.size, rtol=1e-12)
    samples = rng.normal(size=(400, 50))
    samples[0, 0] = 1e5  # beside it all other values would be 0
    low, high = least_error_range(histogram_of(samples))
    assert -6 < low < -2
    assert 2 < high < 6
    zeros = Histogram(-1.0, 1.0)
    zeros.add(np.zeros((2, 5)))
    assert not zeros.sums.any()


def test_far_values_cost_minmax_more_than_the_clipping_rule(capsys):
    """One pixel of one of 400 images is forty times as bright."""
    rng = np.random.default_rng(0)
    net = FloatNetwork(
        (8, 8, 3),
        (
            layers.Conv2D(rng.normal(size=(8, 3, 3, 3)), rng.normal(size=8), "relu", 1, "same"),
            layers.Conv2D(rng.normal(size=(8, 3, 3, 8)), rng.normal(size=8), "relu", 2),
            layers.GlobalAverage(),
            layers.Dense(rng.normal(size=(5, 8))),
        ),
    )
    samples = rng.normal(size=(400, 8, 8, 3))
    samples[7, 3, 3] *= 40
    fresh = rng.normal(size=(100, 8, 8, 3))
    noise = {}
    for rule in ("minmax", "mse"):
        made = quantize_network(net, samples, ranges=rule)
        real = net.run(fresh)
        off = made.dequantize_output(made.run(made.quantize_input(fresh))) - real
        noise[rule] = 10 * np.log10((real**2).sum() / (off**2).sum())
    with capsys.disabled():
        print(f"\nsignal over quantisation noise: {noise['minmax']:.1f} dB minmax, {noise['mse']:.1f} dB mse")
    assert noise["mse"] > noise["minmax"] + 6  # a bit's worth


def test_batches_change_nothing():
    rng = np.random.default_rng(0)
    net = FloatNetwork((5, 5, 2), (layers.Conv2D(rng.integers(-3, 4, (3, 3, 3, 2)), None, "relu"),))
    samples = rng.integers(-9, 10, (20, 5, 5, 2))
    one, other = (quantize_network(net, samples, batch=batch) for batch in (3, 64))
    assert one.tensors == other.tensors
    assert_array_equal(one.nodes[0].options["bias"], other.nodes[0].options["bias"])


def test_labels_summary_and_files_of_a_quantised_network(tmp_path):
    net = FloatNetwork((4,), (layers.Dense(np.eye(2, 4)), layers.Softmax()), ("this", "that"))
    made = quantize_network(net, np.eye(4))
    assert made.labels == ("this", "that")
    assert "dense 4->2" in made.summary("cortex-m4")
    assert made.save(tmp_path / "net.ucorr") == (tmp_path / "net.ucorr").stat().st_size
    assert save_tflite(made, tmp_path / "net.tflite") == (tmp_path / "net.tflite").stat().st_size
    assert load_tflite(tmp_path / "net.tflite").tensors[0] == made.tensors[0]
    again = pickle.loads(pickle.dumps(made))
    assert_array_equal(again.run(np.eye(4, dtype=np.int8)), made.run(np.eye(4, dtype=np.int8)))


def test_softmax_of_next_to_nothing_is_even():
    made = quantize_network(FloatNetwork((4,), (layers.Softmax(),)), np.full((1, 4), 1e-9))
    x = np.array([[-128, 0, 5, 127]], np.int8)
    assert made.run(x).tolist() == [[64 - 128] * 4]
    assert_array_equal(load_tflite(to_tflite(made)).run(x), made.run(x))


ONE = FloatNetwork((4,), (layers.Dense(np.ones((1, 4))),))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: quantize_network([], np.ones((1, 4))), TypeError, "network: list, wanted a FloatNetwork"),
        (
            lambda: quantize_network(ONE, np.ones((1, 4)), ranges="best"),
            ValueError,
            "ranges: 'best', wanted one of mse",
        ),
        (lambda: quantize_network(ONE, np.ones(4)), ValueError, "samples: 1 dimensions, wanted 2"),
        (lambda: quantize_network(ONE, np.ones((0, 4))), ValueError, "samples: shape .0, 4., wanted finite numbers"),
        (lambda: quantize_network(ONE, np.full((1, 4), np.nan)), ValueError, "samples: shape .1, 4., wanted finite"),
        (lambda: quantize_network(ONE, np.ones((1, 5))), ValueError, "samples: shape .1, 5., wanted samples of shape"),
        (lambda: quantize_network(ONE, [["a"] * 4]), TypeError, "samples: dtype <U1, wanted real numbers"),
        (lambda: quantize_network(ONE, np.ones((1, 4)), batch=0), ValueError, "batch: 0, wanted 1"),
        (
            lambda: quantize_network(ONE, np.ones((1, 4)), input_range=(1, 1)),
            ValueError,
            r"input_range: \(1, 1\), wanted \(least, greatest\)",
        ),
        (
            lambda: quantize_network(ONE, np.full((1, 4), 1e30)),
            ValueError,
            "samples: values in 0..1e.30, wanted a range",
        ),
        (
            lambda: quantize_network(FloatNetwork((16385,), (layers.Dense(np.ones((1, 16385))),)), np.ones((1, 16385))),
            ValueError,
            r"layers\[0\]: kernel: 16385 products for an output, wanted at most 16384",
        ),
        (lambda: layers.Dense(np.ones(4)), ValueError, "kernel: 1 dimensions, wanted 2"),
        (lambda: layers.Dense(np.ones((2, 4)), np.ones(3)), ValueError, r"bias: shape \(3,\), wanted \(2,\), one per"),
        (lambda: layers.Dense(np.ones((2, 4)), None, "gelu"), ValueError, "activation: 'gelu', wanted one of"),
        (lambda: FloatNetwork((), (layers.Softmax(),)), ValueError, r"input_shape: \(\), wanted 1 to 8 dimensions"),
        (lambda: FloatNetwork((4,), ()), ValueError, r"layers: 0 on \(4,\), wanted one or more"),
        (lambda: FloatNetwork((4,), ("relu",)), TypeError, r"layers\[0\]: str, wanted a layer of float_network"),
        (
            lambda: FloatNetwork((5,), (layers.Dense(np.ones((1, 4))),)),
            ValueError,
            r"layers\[0\]: kernel: 4 inputs, wanted the 5 items of \(5,\)",
        ),
        (
            lambda: FloatNetwork((5, 5, 2), (layers.Conv2D(np.ones((1, 3, 3, 1))),)),
            ValueError,
            r"layers\[0\]: kernel: 1 input channels, wanted 2",
        ),
        (
            lambda: FloatNetwork((5, 5, 2), (layers.DepthwiseConv2D(np.ones((1, 3, 3, 3))),)),
            ValueError,
            r"layers\[0\]: kernel: shape \(1, 3, 3, 3\), wanted \(1, height, width, a multiple of 2\)",
        ),
        (
            lambda: FloatNetwork((2, 5, 1), (layers.Conv2D(np.ones((1, 3, 3, 1))),)),
            ValueError,
            r"layers\[0\]: kernel: spans 3 with dilation, wanted at most the padded size 2",
        ),
        (
            lambda: FloatNetwork((4,), (layers.GlobalAverage(),)),
            ValueError,
            r"layers\[0\]: input of shape \(4,\), wanted",
        ),
        (
            lambda: FloatNetwork((5, 5, 2), (layers.MaxPool2D(1, 1, ((1, 0), (0, 0))),)),
            ValueError,
            r"layers\[0\]: padding: .*, wanted less than the size \(1, 1\)",
        ),
        (
            lambda: FloatNetwork((4,), (layers.Reshape((3,)),)),
            ValueError,
            r"layers\[0\]: shape: \(3,\), wanted one of the 4",
        ),
        (lambda: FloatNetwork((4,), (layers.Add(0),)), ValueError, r"layers\[0\]: of: 0, wanted -1"),
        (lambda: ONE.run(np.ones((1, 5))), ValueError, r"x: shape \(1, 5\), wanted samples of shape \(4,\)"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(call, error, message):
    with pytest.raises(error, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda node: Node("sub", node.inputs * 2, node.output), "network: a node 'sub', wanted one of add"),
        (
            lambda node: Node(node.op, node.inputs, node.output, {**node.options, "activation_max": 3}),
            "network: .* within",
        ),
    ],
)
def test_what_the_writer_can_not_write_it_says(change, message):
    made = quantize_network(ONE, np.eye(4))
    other = Network(made.tensors, (change(made.nodes[0]),), made.inputs, made.outputs)
    with pytest.raises(ValueError, match=f"^{message}"):
        to_tflite(other)


def test_the_writer_says_what_padding_and_constants_it_has_no_way_for():
    layer = layers.Conv2D(np.ones((1, 2, 2, 1)), None, "none", 1, ((1, 1), (1, 1)))
    made = quantize_network(FloatNetwork((3, 3, 1), (layer,)), np.ones((1, 3, 3, 1)))
    with pytest.raises(ValueError, match=r"^network: padding \(\(1, 1\), \(1, 1\)\), wanted that of 'same' or 'valid'"):
        to_tflite(made)
    with pytest.raises(ValueError, match=r"^network: 1 constants, wanted none"):
        to_tflite(Network(made.tensors, made.nodes, made.inputs, made.outputs, {0: np.zeros(1, np.int8)}))
