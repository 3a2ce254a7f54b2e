# SPDX-License-Identifier: MIT
"""Print, as JSON, every name that the recipes of a build folder provide; run by `firmware/names.py` inside BitBake."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Parse everything and print `providers`, `packages` and `dynamic` (patterns of packages made at build time)."""
    import bb.tinfoil  # type: ignore[import-untyped]

    with bb.tinfoil.Tinfoil() as tinfoil:
        tinfoil.prepare(quiet=2)
        provides = tinfoil.run_command("getRecipeProvides")
        found = {
            "providers": sorted({name for names in provides.values() for name in names}),
            "packages": sorted({*tinfoil.run_command("getRecipePackages")} | {*tinfoil.run_command("getRProviders")}),
            "dynamic": sorted({*tinfoil.run_command("getRecipePackagesDynamic")}),
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
