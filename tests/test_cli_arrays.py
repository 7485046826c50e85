"""Arrays of the command line: what run and profile take, that both take the same, and where a number is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import assert_one_sentence, here
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from ucorr_tools.shipped import digits

DIGITS = str(digits.DATA / "digits.tflite")
SHAPE = (1, 8, 8, 1)


def both(path):
    """What run and profile say of an input that neither takes, one sentence."""
    results = [here("run", DIGITS, path), here("profile", DIGITS, "--target", "cpython", "--input", path)]
    for result in results:
        assert_one_sentence(result, str(path))
    assert results[0].stderr == results[1].stderr
    return results[0].stderr


@settings(max_examples=30)
@given(
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.tuples(*(st.integers(0, n - 1) for n in (3, *SHAPE))),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_what_is_no_number_is_an_error_with_its_place(tmp_path_factory, value, place, dtype):
    path = tmp_path_factory.getbasetemp() / "nan.npy"
    x = np.random.default_rng(0).random((3, *SHAPE)).astype(dtype)
    x[place] = value
    np.save(path, x)
    assert f"{value} at {place}, wanted finite numbers" in both(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.int32])
def test_integers_of_another_dtype_are_refused(tmp_path, dtype):
    np.save(tmp_path / "x.npy", np.zeros(SHAPE, dtype))
    assert f"dtype {np.dtype(dtype)}, wanted int8" in both(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.npy", "can't be read as an array: No data left in file"),
        ("text.npy", "can't be read as an array"),
        ("short.npy", "can't be read as an array"),
        ("huge.npy", "can't be read as an array"),
        ("object.npy", "can't be read as an array: Object arrays cannot be loaded"),
        ("words.npy", "dtype <U1, wanted integers or real numbers"),
        ("complex.npy", "dtype complex128, wanted integers or real numbers"),
        ("bool.npy", "dtype bool, wanted integers or real numbers"),
        ("none.npy", "shape (0, 8, 8, 1), wanted at least one number"),
        ("two.npz", "can't be read as an array: 2 arrays, wanted one"),
        ("missing.npy", "No such file or directory"),
        ("shape.npy", "shape (8, 8), wanted (1, 8, 8, 1)"),
    ],
)
def test_what_is_no_array_is_one_sentence(tmp_path, name, words):
    path = tmp_path / name
    made = {
        "words": np.full(SHAPE, "x"),
        "complex": np.zeros(SHAPE, complex),
        "bool": np.zeros(SHAPE, bool),
        "none": np.zeros((0, *SHAPE[1:]), np.int8),
        "shape": np.zeros((8, 8), np.int8),
        "short": np.zeros(SHAPE, np.int8),
    }.get(path.stem)
    if made is not None:
        np.save(path, made)
    elif name == "object.npy":
        np.save(path, np.array([None]), allow_pickle=True)
    elif name == "two.npz":
        np.savez(path, a=np.zeros(2), b=np.zeros(2))
    elif name != "missing.npy":
        path.write_bytes(b"text" if name == "text.npy" else b"")
    if name == "short.npy":
        path.write_bytes(path.read_bytes()[:-5])
    if name == "huge.npy":
        head = b"{'descr': '|i1', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00v\x00" + head)
    assert words in both(path)


def test_npz_files_and_both_orders_are_taken(tmp_path):
    x = digits.integers(digits.held_out()[0][:3])
    expected = digits.network().run(x)
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    np.savez_compressed(tmp_path / "x.npz", x)
    tensor = digits.network().tensors[digits.network().inputs[0]]
    np.save(tmp_path / "swapped.NPY.npy", (tensor.scale * (x.astype(float) - tensor.zero_point)).astype(">f8"))
    (tmp_path / "swapped.NPY.npy").rename(tmp_path / "swapped.NPY")
    for name in ("x.npy", "x.npz", "swapped.NPY"):
        output = tmp_path / "out"  # as it is named: nothing is added
        result = here("run", DIGITS, tmp_path / name, "--output", output, "--json")
        assert json.loads(result.stdout)["output"] == expected.tolist()
        assert_array_equal(np.load(output), expected, strict=True)
