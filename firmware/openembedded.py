# SPDX-License-Identifier: MIT
"""OpenEmbedded at hand: the upstream layers at the lock's commits, a build folder with ours, and BitBake run in it.

For checks only; the release build goes through kas (`firmware/release.py`). `OE_MIRRORS` names a mirror as
`./inv mirror` fills it: a folder with the repositories of `layers/upstream.yml` below their hosts' paths
(`openembedded-core`, `bitbake`, `rauc/meta-rauc.git`). `trees` unpacks each at its commit into the user's cache.

A masked build folder parses OpenEmbedded-Core's classes and configuration but only the few of its recipes that ours
build on (seconds in place of minutes); what else is depended on counts as provided when it is in the list of names
(`firmware/names.py`), so that an unknown name is still an error.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from firmware import gates, lock, names, paths, release, tool, yaml_file
from firmware.errors import ToolError, UserError

CORE, BITBAKE, RAUC = "openembedded-core", "bitbake", "meta-rauc"
STATIC = paths.ROOT / "layers" / "meta-cyclone-capture"
STUBS = paths.ROOT / "layers" / "meta-masked"
# Recipes of OpenEmbedded-Core that are parsed in a masked build folder: those that ours append to or share work with.
KEPT = r"kernel/make-mod-scripts|kernel/linux/linux-dummy|bsp/u-boot/u-boot_"
# What is ours to provide, or a kept recipe's, or a stub's: it must not count as provided.
OURS = re.compile(r"u-boot|kernel|linux-dummy|make-mod-scripts|virtual/(kernel|bootloader|dtb|fakeroot)")
SDK = "(packagegroup-cross-canadian|meta-environment-extsdk)-.*"  # their names end with the machine's
BASE = """\
CONF_VERSION = "2"
BB_NO_NETWORK = "1"
# sanity.bbclass refuses root, and looks for tools that only a build needs
INHERIT:remove = "sanity uninative"
"""
MASKED = """\
BBMASK = "{core}/meta/recipes-(?!{kept}) {rauc}/recipes"
ASSUME_PROVIDED += "{names}"
PREFERRED_PROVIDER_virtual/fakeroot-native = "masked-fakeroot-native"
# a setscene task cannot depend on what counts as provided
USERADDSETSCENEDEPS:forcevariable = ""
"""


@dataclass(frozen=True)
class Said:
    """What BitBake (or a script of OpenEmbedded-Core's) printed, and its exit status."""

    status: int
    text: str

    def complaints(self) -> list[str]:
        """Its warnings and errors; a bare "Summary:" is none."""
        return [
            line for line in self.text.splitlines() if re.match(r"(WARNING|ERROR): (?!.*BBFILE_PATTERN_rauc)", line)
        ]


def mirror() -> Path | None:
    """The folder that OE_MIRRORS names, or None. Raises UserError when it is no folder."""
    given = os.environ.get(lock.MIRRORS)
    if not given:
        return None
    if not Path(given).is_dir():
        raise UserError(f"{lock.MIRRORS}: no folder {given!r} (valid: a mirror as ./inv mirror fills it)")
    return Path(given).resolve()


def path_of(layer: lock.Layer) -> str:
    """Where a mirror has the layer's repository, below its folder."""
    return urlsplit(layer.url).path.lstrip("/")


def repository(layer: lock.Layer, folder: Path) -> Path:
    """The layer's repository in the mirror `folder`. Raises UserError when it has none."""
    path = path_of(layer)
    if not (folder / path).is_dir():
        raise UserError(f"{folder} has no {path} (valid: a mirror as ./inv mirror fills it)")
    return folder / path


def trees(folder: Path, known: Iterable[lock.Layer] | None = None) -> dict[str, Path]:
    """Each upstream layer's files at its commit, by its name. Raises UserError: a commit that the mirror lacks."""
    found = {}
    for layer in lock.layers() if known is None else known:
        found[layer.name] = tree = paths.cache() / "layers" / f"{layer.name}-{layer.commit}"
        if not tree.is_dir():
            _unpack(layer, repository(layer, folder), tree)
    return found


def _unpack(layer: lock.Layer, repository: Path, tree: Path) -> None:
    tree.parent.mkdir(parents=True, exist_ok=True)
    git = ["git", "-c", "safe.directory=*", "-C", str(repository)]
    with tempfile.TemporaryDirectory(prefix=".layer-", dir=tree.parent) as scratch:
        archive, partial = Path(scratch) / "tree.tar", Path(scratch) / "tree"
        try:
            tool.capture([*git, "archive", f"--output={archive}", layer.commit])
        except ToolError as error:
            raise UserError(
                f"{repository} has no commit {layer.commit} of {layer.name} "
                f"(valid: fill the mirror anew, or move layers/{lock.LOCK})"
            ) from error
        partial.mkdir()
        tool.capture(["tar", "-xf", archive, "-C", partial])
        if not tree.is_dir():  # another process may have been faster
            partial.rename(tree)


class BuildFolder:
    """A folder in which BitBake runs over OpenEmbedded-Core and the `layers` given."""

    def __init__(self, folder: Path, upstream: Mapping[str, Path], layers: Iterable[Path], conf: str) -> None:
        """Write its configuration: `conf` is local.conf behind `BASE`. Raises UserError when a layer is none."""
        self.folder, self._upstream = folder, upstream
        wanted = [upstream[CORE] / "meta", *layers]
        for layer in wanted:
            if not (layer / "conf" / "layer.conf").is_file():
                raise UserError(f"no layer at {layer} (valid: a folder with conf/layer.conf)")
        (folder / "conf").mkdir(parents=True, exist_ok=True)
        (folder / "conf" / "local.conf").write_text(BASE + conf, encoding="utf-8")
        listing = " ".join(map(str, wanted))
        (folder / "conf" / "bblayers.conf").write_text(
            f'BBPATH = "${{TOPDIR}}"\nBBFILES ?= ""\nBBLAYERS = "{listing}"\n', encoding="utf-8"
        )

    def bitbake(self, *arguments: str) -> Said:
        """Run BitBake; its server ends with it."""
        return self.script(self._upstream[BITBAKE] / "bin" / "bitbake", *arguments)

    def evaluate(self, layers: Iterable[Path]) -> tuple[gates.Parsed, ...]:
        """What BitBake makes of the recipes of `layers`, and of those that they append to, for `firmware/gates.py`.

        Raises ToolError: it cannot parse them.
        """
        program = Path(__file__).with_name("recipes_collect.py")
        said = self.script(program, gates.READS.pattern, *map(str, layers))
        lines = [line for line in said.text.splitlines() if line.startswith("{")]
        if said.status or not lines:
            raise ToolError([program.name], said.status, said.text[-2000:])
        return gates.parsed(json.loads(lines[-1]))

    def environment(self) -> dict[str, str]:
        """What BitBake finds its folder, its library and its programs by."""
        bitbake, core = self._upstream[BITBAKE], self._upstream[CORE]
        return {
            "PATH": f"{core}/scripts:{bitbake}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": f"{bitbake}/lib",
            "LC_ALL": "en_US.UTF-8",
            "BBPATH": str(self.folder),
            "BUILDDIR": str(self.folder),
        }

    def script(self, program: Path, *arguments: str) -> Said:
        """Run a Python program of BitBake's or OpenEmbedded-Core's in the build folder's environment."""
        done = subprocess.run(  # noqa: S603  # argv, no shell
            [sys.executable, str(program), *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout + done.stderr)


def masked_conf(upstream: Mapping[str, Path]) -> str:
    """The part of local.conf that masks what is not ours."""
    known = names.load()
    every = sorted(name for name in {*known.providers, *known.packages} if not OURS.match(name))
    joined = "|".join(re.escape(name).replace("\\-", "-") for name in every)
    split = "|".join(rule.strip("^$") for rule in known.dynamic if not rule.startswith("^kernel"))
    wanted = f"^(nativesdk-.*|{SDK}|{split}|({joined})(-native|-cross-.*|-dev)?)$"
    return MASKED.format(core=upstream[CORE], rauc=upstream[RAUC], kept=KEPT, names=wanted)


def masked(
    folder: Path, upstream: Mapping[str, Path], machine: str, rendered: Path, static: Path = STATIC
) -> BuildFolder:
    """A masked build folder for `machine` whose board layer is `rendered`."""
    conf = f'MACHINE = "{machine}"\nDISTRO = "cyclone-capture"\n{masked_conf(upstream)}'
    return BuildFolder(folder, upstream, [upstream[RAUC], static, STUBS, rendered], conf)


def several(
    folder: Path, upstream: Mapping[str, Path], rendered: Mapping[str, Path], masked: bool = True
) -> BuildFolder:
    """A build folder for a run of the boards of `rendered` (name -> board layer), as `layers/kas/boards.yml` says.

    The first is the default configuration, each other one the multiconfig of its name.
    """
    first, *others = rendered
    conf = f'CYCLONE_CAPTURE_BOARDS = "{" ".join(others)}"\nMACHINE ??= "{first}"\nDISTRO = "cyclone-capture"\n'
    conf += masked_conf(upstream) if masked else ""
    conf += yaml_file.read(paths.ROOT / release.SEVERAL)["local_conf_header"]["boards"]
    stubs = [STUBS] if masked else []
    return BuildFolder(folder, upstream, [upstream[RAUC], STATIC, *stubs, *rendered.values()], conf)


def check_layer(
    folder: Path,
    upstream: Mapping[str, Path],
    machine: str,
    layer: Path,
    needs: Iterable[Path],
    unmasked: bool = False,
) -> Said:
    """Run yocto-check-layer over `layer`; `needs` are the layers that it depends on.

    The build folder holds none of ours and is for a machine of OpenEmbedded-Core's, as the program wants it.
    """
    conf = 'MACHINE = "qemuarm"\n'
    if not unmasked:
        conf += 'PREFERRED_PROVIDER_virtual/kernel:qemuarm = "linux-dummy"\n' + masked_conf(upstream)
    build = BuildFolder(folder, upstream, [] if unmasked else [STUBS], conf)
    program = upstream[CORE] / "scripts" / "yocto-check-layer"
    wanted = ["--no-auto-dependency", "--machines", machine, "--dependency", *map(str, needs), "--", str(layer)]
    return build.script(program, *wanted)
