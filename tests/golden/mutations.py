# SPDX-License-Identifier: MIT
"""Mistakes in our layers, one a row: the table of the mutation tests (`test_mutations.py`, `test_openembedded.py`).

`old` becomes `new` in the one file that `file` matches; with `moved`, the file goes there instead. `first` is the
part of the first tier that catches it (parser, lint, gates) with a word of what it says, `None` when none does;
`second` the part of the second tier that does: BitBake proper with OpenEmbedded-Core's classes, when it makes the graph
of tasks of image and bundle or runs the task populate_lic of the service, or the gates over what it evaluates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.golden.tier_one import Tree

DRIVER = "rendered/yocto/meta-board/recipes-capture/capture-ring/*.bb"
SERVICE = "rendered/yocto/meta-board/recipes-capture/captured/*.bb"
OVERLAY = "rendered/yocto/meta-board/recipes-capture/fpga-overlay/*.bb"
IMAGE = "rendered/yocto/meta-board/recipes-capture/images/capture-image.bb"
MACHINE = "rendered/yocto/meta-board/conf/machine/*.conf"
LAYER = "rendered/yocto/meta-board/conf/layer.conf"
CARD = "rendered/yocto/meta-board/files/wic/*.wks.in"
GRAPH, POPULATE_LIC, GATES = "graph", "populate_lic", "gates"
SECTION = 'SECTION = "base"\n'


@dataclass(frozen=True)
class Mutation:
    """One mistake."""

    name: str
    file: str
    old: str
    new: str
    first: tuple[str, str] | None
    moved: str = ""
    second: str = GRAPH

    def make(self, tree: Tree) -> Path:
        """Make the mistake in `tree`; returns the changed file."""
        (path,) = tree.folder.glob(self.file)
        text = path.read_text()
        assert self.old in text, f"{self.name}: {self.old!r} is not in {path}"
        path.write_text(text.replace(self.old, self.new, 1))
        if self.moved:
            target = path.parent / self.moved / path.name
            target.parent.mkdir()
            path = path.rename(target)
        return path


PYTHON = "python do_odd() {\n    if:\n}\naddtask odd\n"
NEEDS = "    python3-core "

MUTATIONS = (
    # those of which the first try is known: what they cost, and who sees them
    Mutation("quote", SERVICE, SECTION, 'SECTION = "base\n', ("parser", "unparsed line")),
    Mutation("old-append", DRIVER, "do_install:append()", "do_install_append()", ("parser", "do_install_append")),
    Mutation("old-override", SERVICE, "RDEPENDS:${PN}", "RDEPENDS_${PN}", ("lint", "RDEPENDS_"), second=GATES),
    Mutation("shell", SERVICE, "    install -d", "    if install -d", ("parser", "do_install")),
    Mutation("python-task", SERVICE, SECTION, SECTION + PYTHON, ("parser", "SyntaxError")),
    Mutation("source", SERVICE, "file://systemd", "file://systemb", ("parser", "no such file")),
    Mutation("class", SERVICE, "capture_sources systemd", "capture_sources systemb", ("parser", "systemb")),
    Mutation(
        "checksum",
        SERVICE,
        "    file://systemd",
        "    https://example.org/a.tar.xz \\\n    file://systemd",
        ("parser", "no SRC_URI[sha256sum]"),
        second=POPULATE_LIC,
    ),
    Mutation("workdir", SERVICE, 'S = "${UNPACKDIR}"', 'S = "${WORKDIR}"', ("gates", "outside UNPACKDIR")),
    Mutation("spelling", SERVICE, "SRC_URI = ", "SRC_URi = ", ("lint", "SRC_URi"), second=POPULATE_LIC),
    Mutation("spacing", SERVICE, SECTION, 'SECTION= "base"\n', ("parser", "whitespace"), second=POPULATE_LIC),
    Mutation("inline-python", SERVICE, SECTION, 'SECTION = "${@d.getVa(1)}"\n', ("parser", "getVa")),
    Mutation("require", SERVICE, SECTION, "require no-such.inc\n", ("parser", "no-such.inc")),
    Mutation(
        "addtask",
        SERVICE,
        SECTION,
        "do_odd() {\n    :\n}\naddtask odd after do_instal\n",
        ("gates", "do_instal,"),
        second=GATES,
    ),
    Mutation("no-licence", SERVICE, 'LICENSE = "MIT"\n', "", ("gates", "no LICENSE")),
    Mutation("licence-text", SERVICE, ";md5=", ";md5=0", ("gates", "has the checksum"), second=POPULATE_LIC),
    Mutation(
        "licence-name",
        SERVICE,
        'LICENSE = "MIT"',
        'LICENSE = "MIT-ish"',
        ("gates", "no SPDX name"),
        second=POPULATE_LIC,
    ),
    Mutation("needs", SERVICE, "python3-core", "python3-asyncioo", ("gates", "nobody provides 'python3-asyncioo'")),
    # ten more
    Mutation("overlay", OVERLAY, '"overlay.dtso"', '"overlay.dtbo"', ("gates", "would be skipped"), second=GATES),
    Mutation("card-folder", CARD, "", "", ("gates", "looks in files/wic only"), moved="../../wic", second=GATES),
    Mutation(
        "card-depends",
        MACHINE,
        "WKS_FILE_DEPENDS = ",
        "WKS_FILE_DEPEND = ",
        ("gates", "WKS_FILE_DEPENDS is not"),
        second=GATES,
    ),
    Mutation(
        "card-plugin",
        CARD,
        "--source rawcopy",
        "--source bootimg-partition",
        ("gates", "no source plug-in"),
        second=GATES,
    ),
    Mutation("card-type", CARD, "--system-id=0xa2", "--system-id=0xa3", ("gates", "--system-id 0xa3"), second=GATES),
    Mutation("depends", OVERLAY, 'S = "', 'DEPENDS += "dtx-native"\nS = "', ("gates", "nobody provides 'dtx-native'")),
    Mutation("series", LAYER, '"wrynose"', '"scarthgap"', ("gates", "(valid: wrynose)")),
    Mutation("image", IMAGE, "    captured ", "    captureb ", ("gates", "nobody provides 'captureb'")),
    Mutation(
        "machine", MACHINE, "require conf/machine/include/arm", "require conf/include/arm", ("parser", "tune-cort")
    ),
    Mutation(
        "revision",
        SERVICE,
        "    file://systemd",
        "    git://example.org/a.git;protocol=https;branch=main \\\n    file://systemd",
        ("gates", "SRCREV is"),
    ),
)


def names() -> Iterator[str]:
    """The mistakes' names."""
    return (mutation.name for mutation in MUTATIONS)
