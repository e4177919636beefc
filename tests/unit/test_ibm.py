"""IBM doubles: known bit patterns, an exact scalar conversion with fractions, and the ends of the range."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.errors import WriteError
from adapter.writers.ibm import float_from_ibm, ibm_from_float

LEAST, BEYOND = 2.0**-260, 2.0**252  # 16^-65 and 16^63


def naive(value: float) -> int:
    """The definition, in exact fractions: bring the magnitude into [1/16, 1) by powers of 16."""
    if value == 0:
        return 0
    fraction, power = Fraction(abs(value)), 64
    while fraction >= 1:
        fraction, power = fraction / 16, power + 1
    while fraction < Fraction(1, 16):
        fraction, power = fraction * 16, power - 1
    digits = fraction * 2**56
    assert digits.denominator == 1
    assert 0 <= power <= 127
    return (value < 0) << 63 | power << 56 | int(digits)


def exact(word: int) -> Fraction:
    sign = -1 if word >> 63 else 1
    return sign * Fraction(word & (1 << 56) - 1, 1 << 56) * Fraction(16) ** ((word >> 56 & 0x7F) - 64)


def one(value: float) -> int:
    return int(ibm_from_float(np.array([value]))[0])


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 0x4110000000000000),
        (-1.0, 0xC110000000000000),
        (-118.625, 0xC276A00000000000),  # 118.625 = 0x76.A
        (0.1, 0x401999999999999A),  # float64 0.1 = 0x1.999999999999Ap-4 = 0x0.1999999999999A
        (16.0, 0x4210000000000000),
        (255.9375, 0x42FFF00000000000),
        (LEAST, 0x0010000000000000),
        (math.nextafter(BEYOND, 0), 0x7FFFFFFFFFFFFFF8),  # 53 one bits
        (-math.nextafter(BEYOND, 0), 0xFFFFFFFFFFFFFFF8),
        (math.nan, 0x2E00000000000000),
        (-math.nan, 0x2E00000000000000),
    ],
)
def test_known_words(value: float, word: int) -> None:
    words = ibm_from_float(np.array([value]))
    assert words.dtype == np.dtype(">u8")
    assert words.tobytes() == word.to_bytes(8, "big")


in_range = st.one_of(
    st.floats(LEAST, BEYOND, exclude_max=True),
    st.floats(-BEYOND, -LEAST, exclude_min=True),
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) >= LEAST),
    st.integers(-(2**53), 2**53).map(float),
)


@given(st.lists(in_range, max_size=20))
@example([LEAST, math.nextafter(LEAST, 1), math.nextafter(BEYOND, 0), 2.0**53, 2.0**-259, 2.0**-258, 2.0**-257])
def test_every_float_in_range_is_exact_and_comes_back(values: list[float]) -> None:
    words = ibm_from_float(np.array(values, dtype=np.float64))
    assert [int(w) for w in words] == [naive(v) for v in values]
    assert [exact(int(w)) for w in words] == [Fraction(v) for v in values]
    assert float_from_ibm(words).tolist() == values
    assert float_from_ibm(words.view(np.uint8).reshape(-1, 8)).tolist() == values


@given(st.integers(0, 2**63 - 1))
def test_any_bit_pattern_is_converted_or_refused(bits: int) -> None:
    value = float(np.array([bits], dtype=np.uint64).view(np.float64)[0])
    if math.isnan(value):
        assert one(value) == 0x2E << 56
    elif value == 0 or LEAST <= value < BEYOND:
        assert one(value) == naive(value)
    else:
        with pytest.raises(WriteError):
            one(value)


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, BEYOND, -BEYOND, 1e80, 1.7e308, math.nextafter(LEAST, 0), -1e-79, 2.3e-308, 5e-324, -5e-324],
)
def test_numbers_ibm_cannot_hold_are_refused_with_value_and_row(value: float) -> None:
    values = np.array([1.0, 0.0, math.nan, value, math.inf])
    with pytest.raises(WriteError) as caught:
        ibm_from_float(values, what="XPT LB.LBSTRESN", first_row=101)
    assert f"XPT LB.LBSTRESN, row 104: {value!r} " in caught.value.message


def test_specials_in_between_do_not_disturb_their_neighbours() -> None:
    values = np.array([1.5, math.nan, 0.0, -2.5, -0.0, 1e-70])
    assert [int(w) for w in ibm_from_float(values)] == [naive(1.5), 0x2E << 56, 0, naive(-2.5), 0, naive(1e-70)]


def test_strided_and_empty_input() -> None:
    grid = np.arange(12.0).reshape(6, 2)
    assert float_from_ibm(ibm_from_float(grid[::2, 1])).tolist() == [1.0, 5.0, 9.0]
    assert ibm_from_float(np.array([], dtype=np.float64)).shape == (0,)
    assert float_from_ibm(np.empty((0, 8), dtype=np.uint8)).shape == (0,)


@pytest.mark.parametrize("code", "._ABCXYZ")
def test_every_missing_code_reads_as_nan(code: str) -> None:
    assert np.isnan(float_from_ibm(np.frombuffer(code.encode() + bytes(7), dtype=np.uint8).reshape(1, 8)))[0]


def test_a_number_whose_first_byte_is_a_missing_code_is_a_number() -> None:
    word = 0x2E10000000000000
    assert float_from_ibm(np.array([word], dtype=np.uint64))[0] == float(exact(word)) != 0


@given(st.integers(0, 2**64 - 1))
def test_words_of_56_bits_are_rounded_to_the_nearest_float(word: int) -> None:
    if word & (1 << 56) - 1 == 0:
        word |= 1
    assert float_from_ibm(np.array([word], dtype=np.uint64))[0] == float(exact(word))


def test_unnormal_zeros_read_as_plain_zero() -> None:
    zeros = float_from_ibm(np.array([0, 1 << 63, 0x42 << 56 | 1 << 63, 0x10 << 56], dtype=np.uint64))
    assert zeros.tolist() == [0, 0, 0, 0]
    assert not np.signbit(zeros).any()
