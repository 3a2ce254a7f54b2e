# SPDX-License-Identifier: MIT
"""The stream's header: refuses what is none, and lays its fields out as the specification says."""

from __future__ import annotations

import struct

import pytest
from captured import record

pytestmark = pytest.mark.unit

HEADER = record.Header(record.FLAG_GAP, 1 << 20, 7, 123456789, 4096, 3)


@pytest.mark.parametrize(
    ("offset", "value", "named"),
    [
        (0, b"CCAQ", "magic is b'CCAQ'"),
        (4, b"\x02\x00", "version is 2"),
        (6, b"\x08\x00", "flags are 0x8"),
        (8, b"\x31\x00\x00\x00", "header_bytes is 49"),
        (12, b"\x01\x00\x00\x01", "payload_bytes is 16777217"),
        (6, b"\x04\x00", "payload_bytes is 1048576 in an end record"),
    ],
)
def test_wrong_field_is_named_with_what_is_valid(offset: int, value: bytes, named: str) -> None:
    data = bytearray(record.pack(HEADER))
    data[offset : offset + len(value)] = value
    with pytest.raises(ValueError, match="valid") as caught:
        record.unpack(data)
    assert named in str(caught.value)


def test_cut_off_header_is_refused() -> None:
    with pytest.raises(ValueError, match="cut off after 47 bytes"):
        record.unpack(record.pack(HEADER)[:-1])


def test_layout_is_the_specifications() -> None:
    expected = b"CCAP" + struct.pack("<HHIIQQQQ", 1, 1, 48, 1 << 20, 7, 123456789, 4096, 3)
    assert record.pack(HEADER) == expected
    assert len(expected) == record.HEADER_BYTES == 48


def test_header_survives_the_wire_at_its_limits() -> None:
    top = (1 << 64) - 1
    header = record.Header(record.FLAG_ERROR, record.MAX_PAYLOAD_BYTES, top, top, top, top)
    assert record.unpack(record.pack(header)) == header
