# SPDX-License-Identifier: MIT
"""Orchestrator of Cyclone Capture: from a board file to a firmware image, and from the image to a verdict."""
