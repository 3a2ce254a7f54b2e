# SPDX-License-Identifier: MIT
"""The second and third tier of the gates: our layers in real OpenEmbedded-Core, by BitBake proper.

`OE_MIRRORS` names a mirror, as `./inv mirror` fills it. The second tier masks OpenEmbedded-Core's recipes and takes
about a minute: every board parsed and run dry, yocto-check-layer. The mutations in it, and the third tier (nothing
masked), are slow.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import board as boards
from firmware import lock, openembedded, paths, provenance, release, rendering, yaml_file, yocto
from firmware.openembedded import RAUC, STATIC, BuildFolder
from tests.golden import tier_one
from tests.golden.mutations import GATES, GRAPH, MUTATIONS, POPULATE_LIC, SERVICE, Mutation
from tests.golden.tier_one import Tree

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(not os.environ.get(lock.MIRRORS), reason="OE_MIRRORS names no mirror of OpenEmbedded"),
]


TARGETS = release.TARGETS  # U-Boot, kernel and our packages among what they need
SEVERAL = ("de0-nano-soc", "de10-nano")  # the first is the default configuration
LOCKED = re.compile(r"^\s+(\S+:do_\w+):([0-9a-f]{64})", re.MULTILINE)


@pytest.fixture(scope="module")
def upstream() -> dict[str, Path]:
    folder = openembedded.mirror()
    assert folder is not None
    return openembedded.trees(folder)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered files of the default board."""
    folder = tmp_path_factory.mktemp("rendered")
    rendering.write(boards.load(boards.DEFAULT_BOARD), folder)
    return folder


@pytest.mark.parametrize("name", boards.names())
def test_board_runs_dry(name: str, upstream: dict[str, Path], tmp_path: Path) -> None:
    rendering.write(boards.load(name), tmp_path / "rendered")
    build = openembedded.masked(tmp_path / "build", upstream, name, tmp_path / "rendered" / yocto.LAYER)
    said = build.bitbake("-n", *TARGETS)
    assert said.status == 0, said.text
    assert said.complaints() == []
    assert re.search(r"[1-9]\d* \.bb files complete .*, 0 errors", said.text)
    assert "Tasks Summary: Attempted" in said.text


def of_several(folder: Path, upstream: dict[str, Path], masked: bool = True) -> BuildFolder:
    """For a run of two boards, with rendered files where a build has them."""
    layers = {}
    for name in SEVERAL:
        rendering.write(boards.load(name), folder / name / "rendered")
        layers[name] = folder / name / "rendered" / yocto.LAYER
    return openembedded.several(folder / "kas" / "build", upstream, layers, masked)


@pytest.fixture(scope="module")
def both(upstream: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """One for all tests: BitBake parses both boards once."""
    return of_several(tmp_path_factory.mktemp("several"), upstream)


OF_BOTH = [f"{prefix}{target}" for prefix in ("", f"mc:{SEVERAL[1]}:") for target in TARGETS]


def test_several_boards_run_dry_each_with_its_own_layer(both: BuildFolder) -> None:
    place, said = both.folder.parents[1], both.bitbake("-n", *OF_BOTH)
    assert said.status == 0, said.text
    assert said.complaints() == []
    for name, prefix in zip(SEVERAL, ("", f"mc:{SEVERAL[1]}:"), strict=True):
        ran = set(re.findall(rf" \({prefix}{place}/([^/]+)/rendered/\S+/(\w[\w-]*)_[^/]*\.bb:do_", said.text))
        assert {board for board, _recipe in ran} == {name}
        assert {"captured", "fpga-overlay", "capture-ring", "capture-bundle"} <= {recipe for _board, recipe in ran}


@pytest.mark.parametrize("number", range(len(SEVERAL)))
def test_each_of_several_boards_is_configured_as_alone(number: int, both: BuildFolder) -> None:
    """Machine, device tree, files and folders of its own: BitBake's last word on the recipe of the overlay."""
    place, name = both.folder.parents[1], SEVERAL[number]
    said = both.bitbake("-e", f"mc:{name}:fpga-overlay" if number else "fpga-overlay").text
    values = dict(re.findall(r'^(?:export )?(\w+)="(.*)"$', said, re.MULTILINE))
    board = boards.load(name)
    assert (values["MACHINE"], values["KERNEL_DEVICETREE"]) == (name, f"intel/socfpga/{board.device_tree}.dtb")
    assert values["TMPDIR"] == str(both.folder / (f"tmp-{name}" if number else "tmp"))
    rendered = {word for word in values["FILESPATH"].split(":") if "/rendered/" in word}
    assert {str(Path(word).relative_to(place)).partition("/")[0] for word in rendered} == {name}
    assert values["CYCLONE_CAPTURE_FABRIC"] == f"{place}/{name}/rendered/fabric"


def shared_and_own(build: BuildFolder) -> tuple[set[str], set[str]]:
    """Tasks (`recipe:task`) of both boards' images: those with one signature, run once for both, and the others."""
    said = build.bitbake("-S", "lockedsigs", "capture-image", f"mc:{SEVERAL[1]}:capture-image")
    assert said.status == 0, said.text
    found: dict[str, list[str]] = {}
    for name, digest in LOCKED.findall((build.folder / "locked-sigs.inc").read_text()):
        found.setdefault(name, []).append(digest)
    twice = {name: digests for name, digests in found.items() if len(digests) == len(SEVERAL)}
    shared = {name for name, digests in twice.items() if len({*digests}) == 1}
    return shared, {*twice} - shared


def test_several_boards_share_what_depends_on_none(both: BuildFolder) -> None:
    shared, own = shared_and_own(both)
    assert {f"field-update:do_{task}" for task in ("compile", "install", "package", "package_write_ipk")} <= shared
    wanted = {"capture-image:do_rootfs", "fpga-overlay:do_compile", "linux-capture:do_compile", "u-boot:do_compile"}
    assert wanted | {"base-system:do_install", "captured:do_install", "capture-ring:do_compile"} <= own


@pytest.mark.parametrize("name", boards.names())
def test_gates_accept_what_bitbake_evaluates(name: str, upstream: dict[str, Path], tmp_path: Path) -> None:
    tree = tier_one.plant(tmp_path / "tree", name)
    build = openembedded.masked(tmp_path / "build", upstream, name, tree.layers[1], tree.static)
    recipes = build.evaluate(tree.layers)
    assert {"capture-image", "capture-bundle", "u-boot", "captured"} <= {recipe.get("PN") for recipe in recipes}
    assert tree.violations_of(recipes) == []


def test_card_is_found_and_drags_nothing_in(upstream: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    build = openembedded.masked(tmp_path / "build", upstream, boards.DEFAULT_BOARD, rendered / yocto.LAYER)
    values = dict(re.findall(r'^(\w+)="(.*)"$', build.bitbake("-e", "capture-image").text, re.MULTILINE))
    assert values["WKS_FULL_PATH"].endswith(f"/{boards.DEFAULT_BOARD}.wks")
    assert "systemd-boot" not in values["DEPENDS"]


@pytest.mark.parametrize("which", [STATIC.name, *boards.names()])
def test_layer_passes_the_projects_own_check(which: str, upstream: dict[str, Path], tmp_path: Path) -> None:
    """The static layer beside the default board's, and the layer of each board."""
    name = boards.DEFAULT_BOARD if which == STATIC.name else which
    rendering.write(boards.load(name), tmp_path / "rendered")
    board = tmp_path / "rendered" / yocto.LAYER
    layer, needs = (STATIC, [board, upstream[RAUC]]) if which == STATIC.name else (board, [STATIC, upstream[RAUC]])
    said = openembedded.check_layer(tmp_path / "build", upstream, name, layer, needs)
    assert said.status == 0, said.text
    assert " ... PASS" in said.text
    assert "FAIL" not in said.text


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_second_tier_catches_mutation(mutation: Mutation, upstream: dict[str, Path], tmp_path: Path) -> None:
    tree = tier_one.plant(tmp_path / "tree", boards.DEFAULT_BOARD)
    mutation.make(tree)
    build = openembedded.masked(tmp_path / "build", upstream, tree.board, tree.layers[1], tree.static)
    part, said = caught(mutation, build, tree)
    print(f"{mutation.name} | {part} | {said[0] if said else 'nothing'}")
    assert part == mutation.second, said
    if part == GATES:
        assert mutation.first is not None
        assert mutation.first[1] in "\n".join(said)


def caught(mutation: Mutation, build: BuildFolder, tree: Tree) -> tuple[str, list[str]]:
    """The first part of the second tier that complains, and its complaints."""
    if said := build.bitbake("-g", *TARGETS).complaints():
        return GRAPH, said
    if mutation.file == SERVICE and (said := build.bitbake("-c", "populate_lic", "captured").complaints()):
        return POPULATE_LIC, said
    return GATES, tree.violations_of(build.evaluate(tree.layers))


def signatures(build: BuildFolder) -> dict[str, str]:
    """Hash of each task that the image depends on, by `recipe:task`."""
    said = build.bitbake("-S", "lockedsigs", "capture-image")
    assert said.status == 0, said.text
    text = (build.folder / "locked-sigs.inc").read_text()
    return dict(LOCKED.findall(text))


def test_a_changed_line_in_the_driver_touches_the_drivers_tasks_only(upstream: dict[str, Path], tmp_path: Path) -> None:
    tree = tier_one.plant(tmp_path / "tree", boards.DEFAULT_BOARD)
    (tree.folder / "recipes").unlink()
    shutil.copytree(paths.ROOT / "recipes", tree.folder / "recipes", symlinks=True)
    build = openembedded.masked(tmp_path / "build", upstream, tree.board, tree.layers[1], tree.static)
    before = signatures(build)
    with (tree.folder / "recipes/capture-ring/src/core.c").open("a") as stream:
        stream.write("/* changed */\n")
    after = signatures(build)
    assert {*before} == {*after}
    changed = {name.partition(":")[0] for name in before if before[name] != after[name]}
    assert changed == {"capture-ring", "capture-image"}
    assert {"captured", "linux-capture", "u-boot"} <= {name.partition(":")[0] for name in before} - changed


def test_signatures_do_not_depend_on_the_place_of_the_build(upstream: dict[str, Path], tmp_path: Path) -> None:
    """Else two checkouts could not share what they have built. OpenEmbedded-Core's image tasks name their TOPDIR."""
    found = []
    for place in ("one", "another/and/deeper"):
        tree = tier_one.plant(tmp_path / place / "tree", boards.DEFAULT_BOARD)
        build = openembedded.masked(tmp_path / place / "build", upstream, tree.board, tree.layers[1], tree.static)
        found.append(signatures(build))
    differ = {name.partition(":")[0] for name in found[0] if found[0][name] != found[1][name]}
    assert differ == {"capture-image"}


def test_key_ring_counts_by_what_is_in_it(upstream: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    build = openembedded.masked(tmp_path / "build", upstream, boards.DEFAULT_BOARD, rendered / yocto.LAYER)
    found = []
    for name, content in (("a.pem", "one"), ("b.pem", "one"), ("b.pem", "another")):
        (tmp_path / name).write_text(content)
        with (build.folder / "conf" / "local.conf").open("a") as stream:
            stream.write(f'RAUC_KEYRING_FILE = "{tmp_path}/{name}"\n')
        found.append(signatures(build))
    assert found[0] == found[1]
    changed = {name for name in found[2] if found[2][name] != found[1][name]}
    assert "capture-image:do_rootfs" in changed
    assert {name.partition(":")[0] for name in changed} == {"capture-image"}


def test_image_carries_resolved_board_and_lock(upstream: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    """The function that the image's recipe ends up with, run by a shell."""
    build = openembedded.masked(tmp_path / "build", upstream, boards.DEFAULT_BOARD, rendered / yocto.LAYER)
    said = build.bitbake("-e", "capture-image").text
    values = dict(re.findall(r'^(?:export )?(\w+)="(.*)"$', said, re.MULTILINE))
    assert "capture_provenance" in values["ROOTFS_POSTPROCESS_COMMAND"].split()
    function = re.search(r"^capture_provenance\(\) \{$.*?^\}$", said, re.MULTILINE | re.DOTALL)
    assert function is not None
    script = function[0].replace(values["IMAGE_ROOTFS"], str(tmp_path / "slot")) + "\ncapture_provenance\n"
    subprocess.run(["/bin/sh", "-ec", script], check=True)
    texts = [(tmp_path / "slot" / name[1:]).read_text() for name in (provenance.BOARD_FILE, provenance.LOCK_FILE)]
    assert provenance.faults(boards.DEFAULT_BOARD, "yocto", *texts) == []


def test_image_has_the_commits_time_and_nothing_random(
    upstream: dict[str, Path], rendered: Path, tmp_path: Path
) -> None:
    found = []
    for place, version in (("one", "1"), ("two", "1"), ("three", "2")):
        build = openembedded.masked(tmp_path / place, upstream, boards.DEFAULT_BOARD, rendered / yocto.LAYER)
        with (build.folder / "conf" / "local.conf").open("a") as stream:
            stream.write(f'CYCLONE_CAPTURE_EPOCH = "1796000000"\nCYCLONE_CAPTURE_VERSION = "{version}"\n')
        said = build.bitbake("-e", "capture-image").text
        values = dict(re.findall(r'^(?:export )?(\S+)="(.*)"$', said, re.MULTILINE))
        assert values["REPRODUCIBLE_TIMESTAMP_ROOTFS"] == "1796000000"
        slot, data = values["CYCLONE_CAPTURE_SLOT_UUID"], values["CYCLONE_CAPTURE_DATA_UUID"]
        assert re.search(rf"^\s+oe_mkext234fs ext4 -b .* -U {slot} -E hash_seed={slot}$", said, re.MULTILINE)
        assert f" --fsuuid={data} " in said  # the card's description, filled in
        found.append((slot, data))
    assert found[0] == found[1]
    assert len({*found[0], *found[2]}) == 4


@pytest.mark.parametrize("network", [True, False])
def test_vulnerabilities_are_looked_up_when_asked(network: bool, upstream: dict[str, Path], tmp_path: Path) -> None:
    """With a network by OpenEmbedded-Core's own fragment: the newest databases. Without, what a mirror holds."""
    rendering.write(boards.load(boards.DEFAULT_BOARD), tmp_path / "rendered")
    layer = tmp_path / "rendered" / yocto.LAYER
    build = openembedded.masked(tmp_path / "build", upstream, boards.DEFAULT_BOARD, layer)
    fragment = yaml_file.read(paths.ROOT / release.CVE)["local_conf_header"]["cve"]
    with (build.folder / "conf" / "local.conf").open("a") as stream:
        stream.write(f'{fragment}\nBB_NO_NETWORK = "{int(not network)}"\n')
    said = build.bitbake("-e", "capture-image").text
    values = dict(re.findall(r'^(?:export )?(\S+)="(.*)"$', said, re.MULTILINE))
    assert "sbom-cve-check" in values["IMAGE_CLASSES"].split()
    assert values["SPDX_INCLUDE_VEX"] == "all"
    assert ("core/yocto/sbom-cve-check" in values["OE_FRAGMENTS"].split()) is network
    assert ("${AUTOREV}" in said) is network
    if not network:
        said = build.bitbake("-n", "capture-image").text
        assert re.search(r"capture-image\.bb:do_sbom_cve_check\)", said), said


@pytest.mark.slow
def test_devtool_takes_driver_and_service(upstream: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    """With the checkout as source tree (externalsrc), so that an engineer's changes are built where they are made."""
    build = openembedded.masked(tmp_path / "build", upstream, boards.DEFAULT_BOARD, rendered / yocto.LAYER)
    devtool = upstream[openembedded.CORE] / "scripts" / "devtool"
    for name in ("capture-ring", "captured"):
        said = build.script(devtool, "modify", "-n", name, str(paths.ROOT / "recipes" / name))
        assert said.status == 0, said.text
        (append,) = (build.folder / "workspace" / "appends").glob(f"{name}_*.bbappend")
        assert f'EXTERNALSRC:pn-{name} = "{paths.ROOT}/recipes/{name}"' in append.read_text()
    said = build.bitbake("-n", "capture-ring", "captured")
    assert said.status == 0, said.text
    assert said.complaints() == []


def whole(folder: Path, upstream: dict[str, Path], rendered: Path) -> BuildFolder:
    """A build folder in which nothing is masked."""
    conf = f'MACHINE = "{boards.DEFAULT_BOARD}"\nDISTRO = "cyclone-capture"\n'
    return BuildFolder(folder, upstream, [upstream[RAUC], STATIC, rendered / yocto.LAYER], conf)


@pytest.mark.slow
def test_everything_parses_and_runs_dry(upstream: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    build = whole(tmp_path / "build", upstream, rendered)
    for arguments in (["-p"], ["-n", *TARGETS]):
        said = build.bitbake(*arguments)
        assert said.status == 0, said.text
        assert said.complaints() == []
        print("\n".join(said.text.splitlines()[-6:]))


@pytest.mark.slow
def test_board_layer_passes_the_projects_own_check_unmasked(
    upstream: dict[str, Path], rendered: Path, tmp_path: Path
) -> None:
    layer, needs = rendered / yocto.LAYER, [STATIC, upstream[RAUC]]
    said = openembedded.check_layer(tmp_path / "b", upstream, boards.DEFAULT_BOARD, layer, needs, unmasked=True)
    assert said.status == 0, said.text
    print("\n".join(said.text.splitlines()[-30:]))
