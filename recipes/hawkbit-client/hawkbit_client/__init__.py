# SPDX-License-Identifier: MIT
"""The board's side of hawkBit: configuration of rauc-hawkbit-updater, and the verdict on what it has installed."""
