# SPDX-License-Identifier: MIT
"""The capture service: takes blocks from the driver's ring and hands the same pages to its sinks (docs/service.md)."""
