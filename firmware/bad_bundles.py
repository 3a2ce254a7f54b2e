# SPDX-License-Identifier: MIT
"""Bundles that no board may take: cut off, altered, signed by the wrong one, or made of the wrong things.

`KINDS` says how each is made from a good bundle, and what is said of it. The tests offer every one, and so does
`./inv bench --only=bad_bundles_tried`, to the same check that `deploy` makes with the board's keyring.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware import bundle, inspection, keys, signing, tool
from firmware.bundle import SIZE_BYTES, Inputs
from firmware.errors import ToolError, UserError
from firmware.fit import RELEASE
from firmware.signing import Signer
from firmware.tree import Tree

HUGE_BYTES = 256 << 10
MORE = "[image.bootloader]\nfilename=rootfs.ext4\n\n"
FLIPS = (0.0005, 0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.9)  # of the bundle's length: content and its hash tree
PAST = (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
FUTURE = (datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC))


@dataclass(frozen=True)
class Workshop:
    """What bad bundles are made from: the good one, what it was made of, and a folder for the new ones."""

    inputs: Inputs
    good: Path
    folder: Path

    def edited(self, name: str, edit: Callable[[bytearray], None]) -> Path:
        """The good bundle with its bytes changed."""
        content = bytearray(self.good.read_bytes())
        edit(content)
        made = self.folder / f"{name}.raucb"
        made.write_bytes(content)
        return made

    def packed(self, name: str, manifest: str = "", signer: Signer | None = None) -> Path:
        """A bundle that is made and signed anew."""
        made, content = self.folder / f"{name}.raucb", self.folder / f"{name}.content"
        content.mkdir()
        (content / "manifest.raucm").write_text(manifest or self.manifest())
        shutil.copyfile(self.inputs.rootfs, content / "rootfs.ext4")
        signing.bundle(signer or self.inputs.signer, content, made, bundle.COMPRESSION, self.folder / "log")
        shutil.rmtree(content)
        return made

    def manifest(self, old: str = "", new: str = "") -> str:
        """The good bundle's manifest, one text replaced."""
        return bundle.manifest_text(self.inputs.board, self.inputs.version).replace(old, new)

    def resigned(self, name: str, by: keys.Keys) -> Path:
        """The good bundle with a signature by other keys, which rauc itself may refuse to make."""
        content = self.good.read_bytes()
        old = self.folder / f"{name}.old"
        old.write_bytes(bundle.read_signature(self.good))
        openssl = [tool.need("openssl", "openssl"), "cms", "-binary"]
        manifest = self.folder / f"{name}.manifest"
        tool.capture([*openssl, "-verify", "-noverify", "-inform", "DER", "-in", str(old), "-out", str(manifest)])
        sign = ["-sign", "-nosmimecap", "-nodetach", "-outform", "DER", "-signer", str(by.certificate)]
        tool.capture([*openssl, *sign, "-inkey", str(by.key), "-in", str(manifest), "-out", str(old)])
        signature = old.read_bytes()
        made = self.folder / f"{name}.raucb"
        made.write_bytes(content[: self.signature] + signature + len(signature).to_bytes(SIZE_BYTES, "big"))
        return made

    def new_folder(self, name: str) -> Path:
        """A folder for keys."""
        folder = self.folder / f"{name}.keys"
        folder.mkdir()
        return folder

    @property
    def signature(self) -> int:
        """Where the signature of the good bundle begins."""
        return self.good.stat().st_size - SIZE_BYTES - len(bundle.read_signature(self.good))


Edit = Callable[[bytearray], None]


@dataclass(frozen=True)
class Kind:
    """One kind: how it is made, and a part of what must be said of it (a pattern)."""

    make: Callable[[Workshop], Path]
    said: str = "no board would take it"


def _edited(name: str, edit: Callable[[bytearray, int], None]) -> Kind:
    """Bytes changed by `edit(content, begin of the signature)`."""
    return Kind(lambda shop: shop.edited(name, lambda content: edit(content, shop.signature)))


def _cut(share: float) -> Kind:
    def edit(content: bytearray, _signature: int) -> None:
        del content[int(len(content) * share) :]

    return _edited(f"cut-{share:g}", edit)


def _replaced(name: str, begin: int | None, end: int | None, new: bytes) -> Kind:
    def edit(content: bytearray, _signature: int) -> None:
        content[begin:end] = new

    return _edited(name, edit)


def _flip(name: str, place: Callable[[int, int], int]) -> Kind:
    """One bit flipped at `place(begin of the signature, end of the bundle)`."""

    def edit(content: bytearray, signature: int) -> None:
        content[place(signature, len(content))] ^= 0x10

    return _edited(f"flip-{name}", edit)


def _flip_content(share: float) -> Kind:
    return _flip(f"{share:g}", lambda signature, _end: int(signature * share))


def _size(size: int) -> Kind:
    return _replaced(f"size-{size}", -SIZE_BYTES, None, size.to_bytes(SIZE_BYTES, "big"))


def _manifest(name: str, old: str, new: str, said: str) -> Kind:
    return Kind(lambda shop: shop.packed(name, shop.manifest(old, new)), said)


def _foreign(shop: Workshop) -> Path:
    return shop.packed("foreign", signer=Signer.of(keys.make(shop.new_folder("foreign"), "Somebody else")))


def _pretender(shop: Workshop) -> Path:
    """Signed by a key whose certificate says that it is of our authority, and is not."""
    return shop.resigned("pretender", keys.make(shop.new_folder("pretender")))


def _at_another_time(name: str, valid: keys.Validity) -> Kind:
    def make(shop: Workshop) -> Path:
        authority = keys.Keys(shop.inputs.signer.authority.parent)
        return shop.resigned(name, keys.issue(shop.new_folder(name), authority, valid))

    return Kind(make)


def _huge(shop: Workshop) -> Path:
    """A manifest beyond what RAUC reads, soundly signed; rauc makes it, and then does not take it itself."""
    with contextlib.suppress(ToolError):
        shop.packed("huge", shop.manifest("description=", "description=" + "x" * HUGE_BYTES))
    return shop.folder / "huge.raucb"


def _misfit(shop: Workshop) -> Path:
    """Soundly signed, with the release file of another fabric."""
    edits = Tree(shop.inputs.epoch)
    edits.file(RELEASE, json.dumps({**bundle.read_release(shop.inputs.rootfs), "fabric_id": 1}))
    return bundle.variant(shop.inputs, shop.folder / "misfit", edits)


def _swapped(shop: Workshop) -> Path:
    """The content of one bundle with the signature of another, both signed by the right key."""
    other = shop.packed("other", shop.manifest("description=", "description=another, ")).read_bytes()
    size = int.from_bytes(other[-SIZE_BYTES:], "big")

    def edit(content: bytearray) -> None:
        content[shop.signature :] = other[-SIZE_BYTES - size :]

    return shop.edited("swapped", edit)


KINDS: dict[str, Kind] = {
    "empty": _replaced("empty", None, None, b""),
    "a text": _replaced("text", None, None, b"text" * 5000),
    "one byte": _replaced("byte", 1, None, b""),
    "shorter than a signature's size": _replaced("seven", 7, None, b""),
    "zeros in the first block": _replaced("zeros", 0, 4096, bytes(4096)),
    **{f"cut off at {share:.0%}": _cut(share) for share in (0.01, 0.5, 0.99)},
    "last byte missing": _replaced("last", -1, None, b""),
    "first byte missing": _replaced("first", 0, 1, b""),
    "a block missing": _replaced("block", 8192, 12288, b""),
    "a block more": _replaced("more", 8192, 8192, bytes(4096)),
    **{f"bit flipped at {share:.2%}": _flip_content(share) for share in FLIPS},
    "bit flipped where the signature begins": _flip("begin", lambda signature, _end: signature),
    "bit flipped within the signature": _flip("within", lambda signature, end: (signature + end) // 2),
    "bit flipped where the signature ends": _flip("end", lambda _signature, end: end - SIZE_BYTES - 1),
    "something behind it": _replaced("behind", 1 << 62, None, b"more than eight bytes"),
    "signature of no size": _size(0),
    "signature of another size": _size(100),
    "signature larger than the bundle": _size(1 << 40),
    "signature of a negative size": _size((1 << 64) - 1),
    "no signature": Kind(lambda shop: bundle.strip_signature(shop.good, shop.folder / "bare.raucb")),
    "signature of another bundle": Kind(_swapped),
    "foreign signer": Kind(_foreign),
    "signer of a false authority": Kind(_pretender),
    "expired certificate": _at_another_time("expired", PAST),
    "certificate that is not valid yet": _at_another_time("future", FUTURE),
    "plain format": _manifest("plain", "format=verity", "format=plain", "format plain .valid: verity, crypt"),
    "another board's": _manifest("board", "cyclone-capture-", "cyclone-capture-not-", "the bundle is for .*valid: "),
    "more than one image": _manifest(
        "image", "[image.rootfs]", MORE + "[image.rootfs]", "images .*valid: rootfs alone"
    ),
    "huge manifest": Kind(_huge),
    "parts that do not fit": Kind(_misfit, "parts do not fit each other:(.|\n)*fabric id"),
}


def offer_all(shop: Workshop) -> tuple[int, list[str]]:
    """Offer every kind to the check of `deploy`: how many there are, and the names of those that passed it."""
    accepted = []
    for name, kind in KINDS.items():
        made = kind.make(shop)
        try:
            inspection.inspect(made, shop.inputs.signer.authority)
            accepted.append(name)
        except UserError as error:
            if not re.search(kind.said, str(error)):
                accepted.append(f"{name} (refused for another reason: {error})")
        made.unlink()
    return len(KINDS), accepted
