# SPDX-License-Identifier: MIT
"""The board's package `captured` is importable in the tests, by the loader that the host's receiver uses."""

from __future__ import annotations

from firmware import wire

assert wire.HEADER_BYTES
