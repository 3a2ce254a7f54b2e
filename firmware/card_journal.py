# SPDX-License-Identifier: MIT
"""The journal of an emulated card: all that was written to it, in order, and the card as a power cut leaves it.

`recorded(path)` gives options of `Emulator`; from power-on on, the card model keeps each write in that file
(board/emulator/sdmmc_journal.c). `Journal(path).restore(card, cut)` then makes of a copy of the card, as it was at that
power-on, what it was behind any sector: whole, or half of the last sector new (`torn`).

An SD card has no write cache that its host could flush: a command that it has answered, and whose busy signal has
ended, is on the medium. So all commands before the one under way count, in their order. Of that one a card may have
programmed any sectors, in any order: with `scattered` a random half of them is there, also of those that would have
come later. A card that forgets what it has answered breaks the specification, and is not played here.
"""

from __future__ import annotations

import bisect
import os
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import UserError
from firmware.layout import SECTOR_BYTES, Partition

RECORD = struct.Struct("<QII")
BEGINS, ERASED = 1, 2
ERASED_BYTE = b"\xff"
HALF = SECTOR_BYTES // 2


@dataclass(frozen=True)
class Piece:
    """Sectors that came in one piece: `count` from `sector` on; `end`: sectors written up to its own last one.

    `begins`: the first of its command; `at`: where in the journal its data are, None: erased.
    """

    sector: int
    count: int
    end: int
    begins: bool
    at: int | None

    @property
    def start(self) -> int:
        """Sectors written before it."""
        return self.end - self.count

    def touches(self, place: Partition) -> bool:
        """Whether it writes into this partition."""
        return self.sector * SECTOR_BYTES < place.end and (self.sector + self.count) * SECTOR_BYTES > place.offset


@dataclass(frozen=True)
class PowerCut:
    """The power goes with the `sectors`-th sector of the journal, `torn` in the middle of it.

    `scattered`: of the command that this sector belongs to, a half has arrived that `chance` chooses; `torn` then means
    that one sector of the other half is half new.
    """

    sectors: int
    torn: bool = False
    scattered: bool = False
    chance: int = 0


def recorded(path: Path) -> dict[str, str]:
    """Options of `Emulator`: keep all that is written from power-on on in the file `path`."""
    return {"cyclone5_sdmmc__journal": str(path.absolute())}


class Journal:
    """What has been written, piece by piece; a last one that is cut short has not been written."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises UserError: it is no journal."""
        self.path, self.pieces = path, list[Piece]()
        size, at, end = path.stat().st_size, 0, 0
        with path.open("rb") as stream:
            while at + RECORD.size <= size:
                stream.seek(at)
                sector, count, flags = RECORD.unpack(stream.read(RECORD.size))
                if not count or flags & ~(BEGINS | ERASED):
                    raise UserError(f"{path}: no journal of a card (valid: written by an emulated board)")
                at += RECORD.size
                data = None if flags & ERASED else at
                at += 0 if data is None else count * SECTOR_BYTES
                if at > size:
                    break
                end += count
                self.pieces.append(Piece(sector, count, end, bool(flags & BEGINS), data))
        self.sectors = end

    def between(self, begin: int, end: int) -> list[Piece]:
        """The pieces behind the `begin`-th sector, up to the `end`-th."""
        return [piece for piece in self.pieces if piece.start >= begin and piece.end <= end]

    def restore(self, card: Path, cut: PowerCut) -> None:
        """Write to `card`, a copy from before the journal, what `cut` lets arrive. Raises UserError: no such sector."""
        if not 1 <= cut.sectors <= self.sectors:
            raise UserError(f"sector {cut.sectors} of the journal (valid: 1 to {self.sectors})")
        with card.open("r+b") as to, self.path.open("rb") as source:
            if cut.scattered:
                self._scatter(to.fileno(), source.fileno(), cut)
                return
            for piece in self.pieces[: self._piece(cut.sectors) + 1]:
                whole = min(piece.count, cut.sectors - cut.torn - piece.start)
                _put(to.fileno(), source.fileno(), piece, 0, whole * SECTOR_BYTES)
            if cut.torn:
                last = self.pieces[self._piece(cut.sectors)]
                _put(to.fileno(), source.fileno(), last, (cut.sectors - 1 - last.start) * SECTOR_BYTES, HALF)

    def command(self, sectors: int) -> tuple[int, int]:
        """Of the command that wrote the `sectors`-th sector: its first piece, and the one behind its last."""
        first = last = self._piece(sectors)
        while first and not self.pieces[first].begins:
            first -= 1
        last += 1
        while last < len(self.pieces) and not self.pieces[last].begins:
            last += 1
        return first, last

    def _piece(self, sectors: int) -> int:
        return bisect.bisect_left(self.pieces, sectors, key=lambda piece: piece.end)

    def _scatter(self, to: int, source: int, cut: PowerCut) -> None:
        first, last = self.command(cut.sectors)
        for piece in self.pieces[:first]:
            _put(to, source, piece, 0, piece.count * SECTOR_BYTES)
        places = [(piece, number) for piece in self.pieces[first:last] for number in range(piece.count)]
        chance = random.Random(cut.chance)  # noqa: S311  # repeatable on purpose
        chance.shuffle(places)
        arrived = len(places) // 2
        for piece, number in places[:arrived]:
            _put(to, source, piece, number * SECTOR_BYTES, SECTOR_BYTES)
        if cut.torn:
            piece, number = places[arrived]
            _put(to, source, piece, number * SECTOR_BYTES, HALF)


def at_share(pieces: Sequence[Piece], share: float) -> int:
    """The journal's number of the sector at `share` (0 to 1) of those of `pieces`. Raises UserError: there are none."""
    left = min(int(share * (total := sum(piece.count for piece in pieces))), total - 1)
    for piece in pieces:
        if left < piece.count:
            return piece.start + left + 1
        left -= piece.count
    raise UserError("nothing was written that could be cut (valid: a part of an upgrade that writes)")


def _put(to: int, source: int, piece: Piece, begin: int, count: int) -> None:
    """Write `count` bytes of a piece, from its byte `begin` on."""
    data = ERASED_BYTE * count if piece.at is None else os.pread(source, count, piece.at + begin)
    os.pwrite(to, data, piece.sector * SECTOR_BYTES + begin)
