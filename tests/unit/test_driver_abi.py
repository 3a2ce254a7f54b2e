# SPDX-License-Identifier: MIT
"""The driver's whole interface: no structure needs padding, and the test programs' copy of it is the header's."""

from __future__ import annotations

import ctypes
import re

import pytest

from tests.emulated.on_board import device
from tests.unit.test_ring import HEADER, defined, request, size_of

pytestmark = pytest.mark.unit

STRUCTURES = {
    "info": device.Info,
    "setup": device.Setup,
    "start": device.Start,
    "end": device.End,
    "block": device.Block,
    "batch": device.Batch,
    "statistics": device.Statistics,
    "status": device.Status,
    "sync": device.Sync,
    "user": device.Buffer,
}
REQUESTS = {
    "INFO": device.INFO,
    "START": device.START,
    "STOP": device.STOP_NOW,
    "DEQUEUE": device.DEQUEUE,
    "ENQUEUE": device.ENQUEUE,
    "STATISTICS": device.STATISTICS,
    "SETUP": device.SETUP,
    "END": device.END,
    "SYNC": device.SYNC,
    "REGISTER": device.REGISTER,
    "UNREGISTER": device.UNREGISTER,
}
NUMBERS = {
    "BLOCK_SHORT": device.SHORT,
    "OVERFLOW_DROP_NEWEST": device.DROP_NEWEST,
    "OVERFLOW_STOP": device.STOP,
    "OVERFLOW_OVERWRITE_OLDEST": device.OVERWRITE_OLDEST,
    "SETUP_FORWARD_ONLY": device.FORWARD_ONLY,
    "SETUP_TAI": device.TAI,
    "SETUP_USER": device.USER,
    "START_LIMIT": device.LIMIT,
    "END_DRAIN": device.DRAIN,
    "END_ABORT": device.ABORT,
    "USER_ONCE": device.ONCE,
    "STATE_OVERFLOW": device.OVERFLOW,
    "STATE_COMPLETE": device.COMPLETE,
}


def test_all_structures_and_requests_are_here() -> None:
    assert set(re.findall(r"^struct capture_ring_(\w+) \{", HEADER, re.MULTILINE)) == set(STRUCTURES)
    assert set(re.findall(r"^#define CAPTURE_RING_IOC_(\w+)", HEADER, re.MULTILINE)) == set(REQUESTS)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_has_the_headers_size(name: str) -> None:
    assert ctypes.sizeof(STRUCTURES[name]) == size_of(f"capture_ring_{name}")


@pytest.mark.parametrize("name", REQUESTS)
def test_request_is_the_headers(name: str) -> None:
    assert REQUESTS[name] == request(f"CAPTURE_RING_IOC_{name}")


@pytest.mark.parametrize("name", NUMBERS)
def test_number_is_the_headers(name: str) -> None:
    assert defined(f"CAPTURE_RING_{name}") == NUMBERS[name]
