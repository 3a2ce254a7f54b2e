# SPDX-License-Identifier: MIT
"""With a checkout of OpenEmbedded-Core at hand: its real classes and BitBake proper on every board's layers.

OE_CORE_DIR names the checkout (wrynose); beside it lie `bitbake` (2.18) and `meta-rauc` (wrynose), or BITBAKE_DIR and
META_RAUC_DIR name them. OpenEmbedded-Core's own recipes are masked, except the two that ours build on: seconds, not
minutes. The whole parse is `kas shell build/<board>/rendered/yocto/kas.yml -c "bitbake -p"`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import paths, rendering, yocto

OE_CORE = Path(os.environ.get("OE_CORE_DIR", ""))
BITBAKE = Path(os.environ.get("BITBAKE_DIR", OE_CORE.parent / "bitbake"))
META_RAUC = Path(os.environ.get("META_RAUC_DIR", OE_CORE.parent / "meta-rauc"))

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif("OE_CORE_DIR" not in os.environ, reason="OE_CORE_DIR names no checkout of OpenEmbedded-Core"),
]

LOCAL_CONF = """
MACHINE = "{machine}"
DISTRO = "cyclone-capture"
CONF_VERSION = "2"
BB_NO_NETWORK = "1"
BB_NUMBER_PARSE_THREADS = "2"
BBMASK = "{oe_core}/meta/recipes-(?!kernel/make-mod-scripts|bsp/u-boot/u-boot_) {meta_rauc}/recipes"
# sanity.bbclass refuses root, and looks for tools that only a build needs
INHERIT:remove = "sanity uninative"
"""


def bitbake(build: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{BITBAKE}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
        "LC_ALL": "en_US.UTF-8",
        "BBPATH": str(build),
        "BUILDDIR": str(build),
    }
    command = [sys.executable, str(BITBAKE / "bin" / "bitbake"), *arguments]
    done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(params=boards.names())
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A build folder for one board."""
    name: str = request.param
    rendering.write(boards.load(name), tmp_path / "rendered")
    layers = [
        OE_CORE / "meta",
        META_RAUC,
        paths.ROOT / "layers" / "meta-cyclone-capture",
        tmp_path / "rendered" / yocto.LAYER,
    ]
    for layer in layers:
        assert (layer / "conf" / "layer.conf").is_file(), f"no layer at {layer}"
    conf = tmp_path / "build" / "conf"
    conf.mkdir(parents=True)
    (conf / "local.conf").write_text(LOCAL_CONF.format(machine=name, oe_core=OE_CORE, meta_rauc=META_RAUC))
    (conf / "bblayers.conf").write_text(
        f'BBPATH = "${{TOPDIR}}"\nBBFILES ?= ""\nBBLAYERS = "{" ".join(map(str, layers))}"\n'
    )
    return conf.parent


def test_all_recipes_parse_and_the_card_is_found(build: Path) -> None:
    said = bitbake(build, "-p")
    assert re.search(r"[1-9]\d* \.bb files complete .*, 0 errors", said), said
    warnings = [line for line in said.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert [line for line in warnings if "BBFILE_PATTERN_rauc" not in line] == []
    image = next((build.parent / "rendered").rglob("capture-image.bb"))
    values = dict(re.findall(r'^(\w+)="(.*)"$', bitbake(build, "-e", "-b", str(image)), re.MULTILINE))
    assert values["WKS_FULL_PATH"].endswith(f"/{values['MACHINE']}.wks")
    assert "systemd-boot" not in values["DEPENDS"]
