"""The arithmetic on plain ints equals exact rationals, and stays inside a board's small ints."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ucorr import fixedpoint

SMALL = 1 << 30
roundings = st.sampled_from(["double", "single"])
multipliers = st.one_of(st.integers(0, 2**31 - 1), st.integers(2**30, 2**31 - 1), st.just(2**31 - 1))


class SmallInt(int):
    """An int as a 32-bit board has it without the heap: leaving -2**30 .. 2**30 - 1 raises."""

    def __new__(cls, value: int) -> "SmallInt":
        if not -SMALL <= value < SMALL:
            raise OverflowError(f"{value} is a heap object on a board")
        return super().__new__(cls, value)


def _small(name):
    plain = getattr(int, name)

    def operation(self, *others):
        result = plain(self, *others)
        return SmallInt(result) if isinstance(result, int) else result

    return operation


for _name in ("add", "sub", "mul", "lshift", "rshift", "and", "or", "xor", "neg"):
    setattr(SmallInt, f"__{_name}__", _small(f"__{_name}__"))
    if _name != "neg":
        setattr(SmallInt, f"__r{_name}__", _small(f"__r{_name}__"))


def half_away(value: Fraction) -> int:
    """Nearest integer, halves away from zero, by exact rationals."""
    whole = floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 31))
def test_rounding_shift_is_the_quotient_rounded_half_away_from_zero(value, n):
    assert fixedpoint.rounding_shift(value, n) == half_away(Fraction(value, 2**n))


@given(st.integers(-(2**31) + 1, 2**31 - 1), multipliers)
def test_scale_high_is_the_high_half_of_the_doubled_product(value, multiplier):
    assert fixedpoint.scale_high(value, *fixedpoint.limbs(multiplier)) == floor(
        Fraction(value * multiplier, 2**31) + Fraction(1, 2)
    )


@example(SMALL - 1, 2**31 - 1, -1, 0, "double")
@example(SMALL - 1, 2**31 - 1, 0, 127, "single")
@given(st.integers(-SMALL + 1, SMALL - 1), multipliers, st.integers(-31, 0), st.integers(-128, 127), roundings)
def test_a_32_bit_requantisation_of_a_small_int_stays_a_small_int(acc, multiplier, shift, zero_point, rounding):
    limbs = [SmallInt(limb) for limb in fixedpoint.limbs(multiplier)]
    scaled = fixedpoint.scale_high(SmallInt(acc), *limbs, SmallInt(fixedpoint.half_of(rounding, shift)))
    shifted = fixedpoint.rounding_shift(scaled, -shift, rounding == "single")
    lo, hi = SmallInt(-128) - zero_point, SmallInt(127) - zero_point
    result = fixedpoint.clamp(shifted, lo, hi) + zero_point
    assert result == fixedpoint.requantize(acc, multiplier, shift, zero_point, rounding=rounding)


@given(st.integers(-SMALL, SMALL - 1), st.integers(0, 0x3FFFFFFF), st.integers(-31, 7))
def test_a_64_bit_requantisation_of_a_small_int_stays_a_small_int(acc, multiplier, shift):
    assert fixedpoint.requantize64(SmallInt(acc), SmallInt(multiplier), SmallInt(shift)) == half_up(
        acc, multiplier, shift
    )


def half_up(acc: int, multiplier: int, shift: int) -> int:
    """DESIGN.md's formula for 64-bit accumulators, on unbounded ints."""
    m16 = 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + 2**15) >> 16
    return max(-32768, min(32767, (acc * m16 + 2 ** (14 - shift)) >> (15 - shift)))


@given(st.integers(-(2**47) + 1, 2**47 - 1), multipliers, st.integers(-31, 7))
def test_requantize64_is_the_formula_for_every_accumulator_in_its_domain(acc, multiplier, shift):
    assert fixedpoint.requantize64(acc, multiplier, shift) == half_up(acc, multiplier, shift)


@given(st.integers(-(2**20), 2**20), multipliers, st.integers(-31, 10), st.integers(-128, 127))
def test_requantize_rounds_twice_then_adds_the_zero_point_then_clamps(acc, multiplier, shift, zero_point):
    value = acc * 2 ** max(shift, 0)
    high = floor(Fraction(value * multiplier, 2**31) + Fraction(1, 2))
    expected = max(-100, min(90, half_away(Fraction(high, 2 ** max(-shift, 0))) + zero_point))
    assert fixedpoint.requantize(acc, multiplier, shift, zero_point, -100, 90) == expected


@example(-(2**31) + 1, 2**31 - 1, -31, -128)
@example(2**30 + 1, 1, 0, 127)
@given(st.integers(-(2**31) + 1, 2**31 - 1), multipliers, st.integers(-31, 10), st.integers(-128, 127))
def test_requantize_once_adds_one_half_to_the_whole_product_and_rounds_down(acc, multiplier, shift, zero_point):
    left, n = max(shift, 0), max(-shift, 0)
    acc >>= left
    rounded = floor(Fraction(acc * 2**left * multiplier + 2 ** (30 + n), 2 ** (31 + n)))
    expected = max(-100, min(90, rounded + zero_point))
    assert fixedpoint.requantize(acc, multiplier, shift, zero_point, -100, 90, "single") == expected


@pytest.mark.parametrize(
    ("acc", "multiplier", "shift", "expected"),
    [
        (5, None, -1, 3),  # 2.5 goes away from zero
        (-5, None, -1, -3),
        (-3, None, -1, -2),
        (1, 1 << 30, 0, 1),  # 0.5 rounds up in the high half
        (-1, 1 << 30, 0, 0),  # and -0.5 up as well: gemmlowp's floor(. + 1/2)
        (-128, 2**31 - 1, 0, -128),
        (1000, None, 3, 127),
    ],
)
def test_halves_and_ends(acc, multiplier, shift, expected):
    assert fixedpoint.requantize(acc, multiplier, shift) == expected


def test_double_rounding_is_not_single_rounding():
    multiplier, shift = 3 << 29, -3
    ramp = range(-4000, 4000)
    twice, once = (
        [fixedpoint.requantize(acc, multiplier, shift, 0, -9999, 9999, rounding) for acc in ramp]
        for rounding in ("double", "single")
    )
    assert twice != once
    assert twice != [half_away(Fraction(acc * multiplier, 2 ** (31 - shift))) for acc in ramp]
