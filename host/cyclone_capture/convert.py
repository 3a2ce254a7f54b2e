# SPDX-License-Identifier: MIT
"""Recordings in other formats: NumPy's `.npy`, and WAV where it fits.

WAV has whole numbers of 8 (unsigned), 16 and 32 bits, one channel or two (I and Q), a whole rate, and less than 4 GiB.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .files import Recording

_CHUNK = 1 << 20
_WAV_BYTES = (1 << 32) - 1024


def convert(recording: Recording, target: Path) -> None:
    """Write `recording` as `target`, by its suffix. Raises UserError: it does not fit, or `target` exists."""
    writers = {".npy": _npy, ".wav": _wav}
    if target.suffix not in writers:
        raise UserError(f"{target}: unknown format (valid: {', '.join(writers)})")
    part = target.with_name(target.name + ".part")
    for there in (target, part):
        if there.exists():
            raise UserError(f"{there} exists (valid: a new name)")
    try:
        writers[target.suffix](recording, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)  # of what could not be written as a whole nothing is left


def _npy(recording: Recording, target: Path) -> None:
    samples = recording.samples
    with target.open("wb") as file:  # np.save would not say why it failed
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(samples))
        for first in range(0, len(samples), _CHUNK):
            file.write(samples[first : first + _CHUNK].tobytes())


def _wav(recording: Recording, target: Path) -> None:
    samples, rate = recording.samples, recording.rate
    one = samples.dtype["i"] if samples.dtype.names else samples.dtype
    fits = (one.kind == "i" and one.itemsize in (2, 4)) or (one.kind == "u" and one.itemsize == 1)
    if not fits:
        raise UserError(
            f"{recording.path}: samples of type {one} do not fit (valid: ri16, ri32, ru8, ci16, ci32; else .npy)"
        )
    frame = samples.dtype.itemsize
    if not rate or rate != int(rate) or rate * frame >= 1 << 32:
        said = f"a whole number of samples a second, less than {(1 << 32) // frame}"
        raise UserError(f"{recording.path}: the rate is {rate} (valid: {said}; else .npy)")
    if samples.nbytes > _WAV_BYTES:
        raise UserError(f"{recording.path}: {samples.nbytes} bytes (valid: at most {_WAV_BYTES}; else .npy)")
    with wave.open(str(target), "wb") as file:
        file.setnchannels(2 if samples.dtype.names else 1)
        file.setsampwidth(one.itemsize)
        file.setframerate(int(rate))
        for first in range(0, len(samples), _CHUNK):
            file.writeframes(_little(samples[first : first + _CHUNK]))


def _little(samples: npt.NDArray[Any]) -> bytes:
    return samples.astype(samples.dtype.newbyteorder("<")).tobytes()
