# SPDX-License-Identifier: MIT
"""`python3 -m cyclone_capture`: the same as `cyclone-capture`, for who has its folder but not on the PATH."""

import sys

from .cli import main

sys.exit(main())
