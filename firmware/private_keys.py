# SPDX-License-Identifier: MIT
"""Private keys in a file system: there must be none in an image, since whoever has the image has them.

A key in PEM (RFC 7468; OpenSSH's too) is found by its header and what follows it, wherever its file lies. Libraries
carry headers as well, and GnuTLS even keys, for its self-tests; there bytes that are no text stand before them. A file
of text is text from the begin of its block on.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from firmware.ext4 import BLOCK_BYTES
from firmware.file_system import FileSystem

KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\r?\n(?:[A-Za-z0-9+/=]{16}|Proc-Type:)")
TEXT = frozenset((*b"\t\n\f\r", *range(0x20, 0x7F), *range(0x80, 0x100)))  # of any encoding that has ASCII in it


def faults(image: Path, begin: int, end: int) -> list[str]:
    """Path of each file that holds a private key, in the file system from byte `begin` of `image` to `end`."""
    place = FileSystem(image, begin)
    return sorted({place.owner(at - begin) for at in _places(image, begin, end)})


def _places(image: Path, begin: int, end: int) -> Iterator[int]:
    with image.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as content:
        for found in KEY.finditer(content, begin, end):
            at = found.start()
            if TEXT.issuperset(content[at - (at - begin) % BLOCK_BYTES : at]):
                yield at
