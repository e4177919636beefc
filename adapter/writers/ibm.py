"""IBM System/360 double precision, the number format of SAS transport files, from and to IEEE float64.

Layout (SAS TS-140, "The Record Layout of a Data Set in SAS Transport (XPORT) Format"): one sign bit, a 7-bit power of
16 in excess 64, a 56-bit fraction below the point; value = (-1)^sign x fraction/2^56 x 16^(exponent - 64). A normal
number has a non-zero first hex digit, so 53 to 56 significant bits: every float64 in range fits exactly, always.
A missing value is its code byte ('.', '_' or 'A' to 'Z') followed by seven zero bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.errors import WriteError

_SIGN = np.uint64(1 << 63)
_FRACTION = np.uint64((1 << 52) - 1)
_HIDDEN = np.uint64(1 << 52)
_INFINITY = np.uint64(0x7FF << 52)
# float64 patterns (sign removed) of 16^-65 and 16^63, the first normal IBM number and the first one too large
_LEAST = np.uint64((1023 - 260) << 52)
_BEYOND = np.uint64((1023 + 252) << 52)
_MISSING = np.uint64(ord(".") << 56)
_MISSING_CODES = np.array([ord(c) for c in "._ABCDEFGHIJKLMNOPQRSTUVWXYZ"], dtype=np.uint64) << np.uint64(56)


def ibm_from_float(values: NDArray[np.float64], *, what: str = "value", first_row: int = 1) -> NDArray[np.uint64]:
    """Return IBM doubles as an array of dtype '>u8' (its bytes are the file's bytes) of the same length as `values`.

    NaN becomes the SAS missing value '.', and both zeros become 0. Numbers IBM cannot hold are an error, never a
    silent change: infinities, magnitudes of 16^63 (7.2e75) or more, and non-zero magnitudes below 16^-65 (5.4e-79).
    `what` and `first_row` (number of the first value) only name the place in the message of the WriteError.
    """
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
    magnitude = bits & ~_SIGN
    # 1075 - 52 = 1023 and 16 = 2^4: with e the biased exponent, the value is 1.f x 2^(e-1023), the fraction must be
    # shifted left by (e+1) mod 4 and the excess-64 power of 16 is floor((e+1)/4) - 191.
    power = (magnitude >> np.uint64(52)) + np.uint64(1)
    words = ((bits & _FRACTION) | _HIDDEN) << (power & np.uint64(3))
    words |= ((power >> np.uint64(2)) - np.uint64(191)) << np.uint64(56)
    words |= bits & _SIGN
    normal = (magnitude - _LEAST) < (_BEYOND - _LEAST)  # wraps round below _LEAST, so one comparison tests both ends
    if not normal.all():
        zero, missing = magnitude == 0, magnitude > _INFINITY
        bad = ~(normal | zero | missing)
        if bad.any():
            at = int(bad.argmax())
            raise WriteError(
                f"{what}, row {first_row + at}: {float(values[at])!r} cannot be written as an IBM double; "
                "expected 0, a missing value, or a magnitude from 5.4e-79 (16^-65) to below 7.2e75 (16^63)"
            )
        words[zero] = 0
        words[missing] = _MISSING
    return words.astype(">u8")


def float_from_ibm(words: NDArray[np.uint64] | NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return float64 from IBM doubles: an n x 8 uint8 array as in the file, or n integers (dtype '>u8' or native).

    All 28 SAS missing codes become NaN. Fractions of more than 53 bits are rounded to nearest even, as float64 does.
    """
    if words.dtype == np.uint8:
        words = np.ascontiguousarray(words).view(">u8")[..., 0]
    native = words.astype(np.uint64)
    fraction = (native & np.uint64((1 << 56) - 1)).astype(np.float64)
    exponent = ((native >> np.uint64(56)) & np.uint64(0x7F)).astype(np.int32) * 4 - (64 * 4 + 56)
    values = np.ldexp(fraction, exponent) * np.where(native & _SIGN, -1.0, 1.0) + 0.0  # + 0.0: no negative zero
    values[np.isin(native, _MISSING_CODES)] = np.nan
    return values
