# SPDX-License-Identifier: MIT
"""Field update on the board; `cli` is its manual. Python standard library only."""
