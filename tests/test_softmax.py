"""The table of a Softmax on a board, and the reference's own: two programs, one answer."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from ucorr_host.networks.softmax import exponentials
from ucorr_host.reference.elementwise import softmax_table


@example(0, 0)
@example((1 << 31) - 1, 31)
@example(1 << 30, 26)
@given(st.integers(0, (1 << 31) - 1), st.integers(0, 31))
def test_the_table_is_the_one_that_the_reference_computes(multiplier, shift):
    assert exponentials(multiplier, shift) == softmax_table(multiplier, shift).tolist()


def test_the_table_is_the_exponential_function():
    real = 0.05  # beta * input scale; 2**31 * 0.8 * 2**(22 - 31) is 0.05 * 2**26
    found = np.array(exponentials(round(0.05 * 2**26 / 2**22 * 2**31), 22)) / 2**31
    np.testing.assert_allclose(found, np.exp(-real * np.arange(256)), atol=2**-20)  # 26 bits of each exponent
