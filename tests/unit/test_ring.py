# SPDX-License-Identifier: MIT
# ruff: noqa: D102, D107  # stand-ins: their names say what they do
"""The driver's interface in Python is the header's, and a device that is not the image's is refused."""

from __future__ import annotations

import errno
import fcntl
import re
import struct
from pathlib import Path

import pytest
from captured import abi, record, ring
from captured.errors import DeviceError

from firmware import paths

pytestmark = pytest.mark.unit

HEADER = (paths.ROOT / "recipes/capture-ring/include/uapi/capture_ring.h").read_text()
FABRIC = 0xCC5A0001


def defined(name: str) -> int:
    match = re.search(rf"#define {name}\s+(\(1 << (\d+)\)|\d+)", HEADER)
    assert match, name
    return 1 << int(match[2]) if match[2] else int(match[1])


def size_of(name: str) -> int:
    """Size of a structure in the header; also shows that nothing in it needs padding."""
    body = re.search(rf"struct {name} \{{\n(.*?)\n\}};", HEADER, re.DOTALL)
    assert body, name
    total, largest = 0, 1
    for line in body[1].splitlines():
        match = re.fullmatch(r"\s*(__u32|__u64|struct \w+) \w+(?:\[(\w+)\])?;", line)
        assert match, line
        one = {"__u32": 4, "__u64": 8}.get(match[1]) or size_of(match[1].split()[1])
        align = min(one, 8) if match[1].startswith("__") else 8
        assert total % align == 0, f"{name}: {line} would be padded"
        count = int(match[2]) if match[2] and match[2].isdigit() else defined(match[2]) if match[2] else 1
        total, largest = total + one * count, max(largest, align)
    assert total % largest == 0
    return total


def request(name: str) -> int:
    """Request number by asm-generic/ioctl.h."""
    match = re.search(rf"#define {name}\s+_(IO|IOR|IOW|IOWR)\('C', (0x\w+)(?:, struct (\w+))?\)", HEADER)
    assert match, name
    direction = {"IO": 0, "IOW": 1, "IOR": 2, "IOWR": 3}[match[1]]
    return direction << 30 | (size_of(match[3]) if match[3] else 0) << 16 | ord("C") << 8 | int(match[2], 16)


@pytest.mark.parametrize("name", ["INFO", "START", "STOP", "DEQUEUE", "ENQUEUE", "STATISTICS"])
def test_request_number_is_the_headers(name: str) -> None:
    assert getattr(abi, f"IOC_{name}") == request(f"CAPTURE_RING_IOC_{name}")


def test_flags_patterns_and_sizes_are_the_headers() -> None:
    assert defined("CAPTURE_RING_ABI") == abi.ABI
    assert defined("CAPTURE_RING_BATCH") == abi.BATCH
    assert defined("CAPTURE_RING_BLOCK_GAP") == record.FLAG_GAP
    assert defined("CAPTURE_RING_BLOCK_ERROR") == record.FLAG_ERROR
    names = re.findall(r"^#define CAPTURE_RING_PATTERN_(\w+)", HEADER, re.MULTILINE)
    assert {name.lower(): defined(f"CAPTURE_RING_PATTERN_{name}") for name in names} == abi.PATTERNS
    assert size_of("capture_ring_block") == abi.BLOCK.size


class Driver:
    """Answers ioctl as the driver would."""

    def __init__(self) -> None:
        self.fabric, self.abi = FABRIC, 1
        self.waiting: list[tuple[int, ...]] = []
        self.enqueued: list[list[int]] = []
        self.error = 0

    def ioctl(self, _fd: int, number: int, data: bytearray) -> int:
        if number == abi.IOC_INFO:
            data[:] = abi.INFO.pack(self.abi, self.fabric, 4096, 2, 8192, 0, 65536)
            return 0
        if self.error:
            raise OSError(self.error, "said the driver")
        if number == abi.IOC_DEQUEUE:
            assert bytes(data[4:]) == bytes(len(data) - 4), "reserved fields must be zero"
            struct.pack_into("=I", data, 0, len(self.waiting))
            for place, block in enumerate(self.waiting):
                abi.BLOCK.pack_into(data, 16 + 40 * place, *block)
        if number == abi.IOC_ENQUEUE:
            count = struct.unpack_from("=I", data)[0]
            self.enqueued.append([abi.BLOCK.unpack_from(data, 16 + 40 * place)[0] for place in range(count)])
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    fake = Driver()
    monkeypatch.setattr(fcntl, "ioctl", fake.ioctl)
    return fake


@pytest.fixture
def device(tmp_path: Path) -> str:
    path = tmp_path / "capture0"
    path.write_bytes(bytes(8192))
    return str(path)


def test_missing_device_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"none: No such file"):
        ring.DeviceRing(str(tmp_path / "none"), FABRIC)


def test_other_fabric_is_refused(driver: Driver, device: str) -> None:
    driver.fabric = 0xBAD
    with pytest.raises(DeviceError, match=r"id is 0xbad \(valid: 0xcc5a0001\)"):
        ring.DeviceRing(device, FABRIC)


def test_other_abi_is_refused(driver: Driver, device: str) -> None:
    driver.abi = 9
    with pytest.raises(DeviceError, match=r"ABI is 9 \(valid: 1\)"):
        ring.DeviceRing(device, FABRIC)


def test_blocks_come_as_the_driver_says_and_go_back_in_batches(driver: Driver, device: str) -> None:
    with_device = ring.DeviceRing(device, FABRIC)
    driver.waiting = [(1, 1, 4096, 0, 5, 99, 512), (0, 0, 4096, 0, 6, 100, 0)]
    assert with_device.dequeue() == [ring.Filled(1, 1, 4096, 5, 99, 512), ring.Filled(0, 0, 4096, 6, 100, 0)]
    assert len(with_device.dequeue()) == 2  # the buffer is used again: reserved fields are zero all the same
    with_device.enqueue(list(range(20)))
    assert driver.enqueued == [list(range(16)), list(range(16, 20))]
    assert len(with_device.memory) == 8192
    assert with_device.memory.readonly
    with_device.close()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENODATA])
def test_no_block_waiting_is_no_error(driver: Driver, device: str, number: int) -> None:
    opened = ring.DeviceRing(device, FABRIC)
    driver.error = number
    assert opened.dequeue() == []
    opened.close()


def test_device_that_goes_away_is_an_error_of_the_device(driver: Driver, device: str) -> None:
    opened = ring.DeviceRing(device, FABRIC)
    driver.error = errno.ENODEV
    with pytest.raises(DeviceError, match="said the driver"):
        opened.dequeue()
    opened.close()


def test_closing_with_a_view_alive_keeps_the_view(driver: Driver, device: str) -> None:
    opened = ring.DeviceRing(device, FABRIC)
    view = opened.memory[:16]
    opened.close()
    assert bytes(view) == bytes(16)
