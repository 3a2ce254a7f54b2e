# SPDX-License-Identifier: MIT
"""Checking the fabric's test patterns, across blocks and across gaps, at gigabytes a second (NumPy).

Patterns as docs/interfaces.md, "Fabric registers", defines them; 32-bit little-endian words.

* counter: in a block without the gap flag every word must be the one before plus 1. In a block with the flag, steps
  forward are words that the source dropped: they are summed. A step backward is corruption everywhere.
* ramp: two 16-bit samples a word, the first in the low half, 0 to 65535 and over again. A word whose halves do not
  belong together is corrupt. In a block with the flag a step is words that the source dropped; their number is known
  but for a multiple of the period, 32768 words.
* prbs31: x[n] = x[n-28] ^ x[n-31] on all bits. In a block with the flag, a word that breaks it while the next word
  holds is a drop, whose size can't be told; a broken word that breaks the next one too is corruption.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError

WORD_BYTES = 4
PRBS31_FIRST_WORD = 0x0000000E  # 32 new bits behind the seed 0x7fffffff
RAMP_WORDS = 1 << 15  # after which it starts over
_HALF = 1 << 31

Words = npt.NDArray[np.uint32]


class Checker(ABC):
    """Checks a stream, block by block. `corrupt`: wrong words; `missing_bytes`: dropped words seen, in bytes."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.corrupt = 0
        self.missing_bytes = 0

    def check(self, payload: Any, gap: bool, first: bool) -> None:
        """Check a block (a buffer); `gap`: words may be missing in it; `first`: the stream begins with it."""
        whole = len(payload) // WORD_BYTES
        if whole * WORD_BYTES != len(payload):
            self.corrupt += 1  # no source makes part of a word
        if whole:
            self._check(np.frombuffer(payload, dtype="<u4", count=whole), gap, first)

    @abstractmethod
    def _check(self, words: Words, gap: bool, first: bool) -> None:
        """Check at least one word."""


class Nothing(Checker):
    """Any contents will do."""

    def _check(self, words: Words, gap: bool, first: bool) -> None:
        pass


class Counter(Checker):
    """Words 0, 1, 2, ... modulo 2^32."""

    def __init__(self) -> None:
        """A reader that joins late takes the first word as it comes."""
        super().__init__()
        self._next: int | None = None
        self._ramp: Words = np.empty(0, np.uint32)
        self._offset: Words = np.empty(0, np.uint32)
        self._wrong: npt.NDArray[np.bool_] = np.empty(0, np.bool_)

    def _check(self, words: Words, gap: bool, first: bool) -> None:
        if len(self._ramp) < len(words):
            self._ramp = np.arange(len(words), dtype=np.uint32)
            self._offset = np.empty(len(words), np.uint32)
            self._wrong = np.empty(len(words), np.bool_)  # made once: the kernel clears new memory each time
        offset = np.subtract(words, self._ramp[: len(words)], out=self._offset[: len(words)])
        expected = self._next if self._next is not None else 0 if first else int(offset[0])
        differs = np.not_equal(offset, np.uint32(expected), out=self._wrong[: len(words)])
        wrong = int(np.count_nonzero(differs))
        begin = expected
        if wrong and gap:
            begin = self._follow_steps(offset, expected)
        elif wrong:
            self.corrupt += wrong
            if len(offset) > 1 and offset[-1] == offset[-2]:  # the rest is in step again: go on from there
                begin = int(offset[-1])
        self._next = (begin + len(words)) % (1 << 32)

    def _follow_steps(self, offset: Words, expected: int) -> int:
        """Judge the steps in a block with gaps; the offset with which to go on."""
        steps = np.diff(offset, prepend=np.uint32(expected))
        forward = steps < _HALF
        backward = int(np.count_nonzero(~forward))
        if backward:
            self.corrupt += backward
            return int(offset[-1])
        self.missing_bytes += int(steps.sum(dtype=np.uint64)) * WORD_BYTES
        return int(offset[-1])


class Ramp(Checker):
    """16-bit samples 0, 1, 2, ... modulo 2^16, two a word."""

    def __init__(self) -> None:
        """A reader that joins late takes the first word as it comes."""
        super().__init__()
        self._next: int | None = None

    def _check(self, words: Words, gap: bool, first: bool) -> None:
        low, high = words & np.uint32(0xFFFF), words >> np.uint32(16)
        torn = (low % 2 != 0) | (high != (low | np.uint32(1)))
        self.corrupt += int(np.count_nonzero(torn))
        numbers = (low >> np.uint32(1))[~torn]  # of the words in their period
        offset = (numbers - np.flatnonzero(~torn)) % RAMP_WORDS
        if not len(offset):
            self._next = None if self._next is None else (self._next + len(words)) % RAMP_WORDS
            return
        expected = self._next if self._next is not None else 0 if first else int(offset[0])
        if gap:
            steps = np.diff(offset, prepend=expected) % RAMP_WORDS
            self.missing_bytes += int(steps.sum()) * WORD_BYTES
        else:
            self.corrupt += int(np.count_nonzero(offset != expected))
        self._next = int(offset[-1] + len(words)) % RAMP_WORDS


class Prbs31(Checker):
    """The pseudo-random sequence x^31 + x^28 + 1, most significant bit first."""

    def __init__(self) -> None:
        """A reader that joins late takes the first word as it comes."""
        super().__init__()
        self._last: np.uint32 | None = None

    def _check(self, words: Words, gap: bool, first: bool) -> None:
        if self._last is None:
            self.corrupt += int(first and not gap and int(words[0]) != PRBS31_FIRST_WORD)
            chain = words
        else:
            chain = np.concatenate((np.array([self._last], np.uint32), words))
        self._last = chain[-1].copy()
        before, now = chain[:-1], chain[1:]
        wanted = ((now >> np.uint32(28)) | (before << np.uint32(4))) ^ (
            (now >> np.uint32(31)) | (before << np.uint32(1))
        )
        broken = np.flatnonzero(wanted != now)
        zeros = int(np.count_nonzero(words == 0))  # holds the recurrence, but 31 zeros in a row never come
        self.corrupt += zeros
        if not len(broken):
            return
        if gap:
            alone = np.ones(len(broken), dtype=bool)
            near = np.diff(broken) == 1
            alone[:-1] &= ~near
            alone[1:] &= ~near
            self.corrupt += int(np.count_nonzero(~alone))
        else:
            self.corrupt += len(broken)


CHECKERS: dict[str, type[Checker]] = {"counter": Counter, "prbs31": Prbs31, "ramp": Ramp, "none": Nothing}


def checker(pattern: str) -> Checker:
    """A new checker. Raises UserError: no such pattern."""
    if pattern not in CHECKERS:
        raise UserError(f"unknown pattern {pattern!r} (valid: {', '.join(CHECKERS)})")
    return CHECKERS[pattern]()
