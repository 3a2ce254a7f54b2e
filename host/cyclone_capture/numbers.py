# SPDX-License-Identifier: MIT
"""SigMF datatypes as NumPy's: `ru32_le` is `<u4`, `ci16_le` is pairs of `<i2`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError

_DATATYPE = re.compile(r"([rc])([fiu])(8|16|32|64)(?:_(le|be))?")


def dtype(datatype: str) -> np.dtype[Any]:
    """NumPy's type of one sample; a complex integer has the fields `i` and `q`. Raises UserError."""
    found = _DATATYPE.fullmatch(datatype)
    size = int(found[3]) // 8 if found else 0
    if found is None or (size > 1) != bool(found[4]) or (found[2] == "f" and size < 4):
        raise UserError(f"datatype {datatype!r} (valid: SigMF's, such as ru32_le, ri16_le, cf32_le, ci16_le, ru8)")
    order = {"le": "<", "be": ">", None: "|"}[found[4]]
    one = np.dtype(f"{order}{found[2]}{size}")
    if found[1] == "r":
        return one
    if found[2] == "f":
        return np.dtype(f"{order}c{2 * size}")
    return np.dtype([("i", one), ("q", one)])


def plain(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples to calculate with: float64, or complex128 of complex ones."""
    if samples.dtype.names:
        return samples["i"].astype(np.float64) + 1j * samples["q"].astype(np.float64)
    return samples.astype(np.complex128 if samples.dtype.kind == "c" else np.float64)
