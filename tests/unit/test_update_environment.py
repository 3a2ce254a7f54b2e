# SPDX-License-Identifier: MIT
"""The canary of U-Boot's environment: what Linux does not see first, then a sound one."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import pytest

from firmware import board, boot_loader, layout, paths, render, uboot

sys.path.insert(0, str(paths.ROOT / "recipes" / "field-update"))

from field_update import environment, system

pytestmark = pytest.mark.unit

BOARD = board.load(board.DEFAULT_BOARD)
CONFIG, RAUC = render.text("update/fw_env.config.j2", BOARD), render.text("update/system.conf.j2", BOARD)
BUILT = uboot.variables(render.text("boot/environment.txt.j2", BOARD))
FIRST, SECOND = layout.ENVIRONMENT_OFFSETS


def copy(text: str = "a=1") -> bytes:
    """One copy as U-Boot saves it."""
    content = text.encode().ljust(layout.ENVIRONMENT_BYTES - environment.HEADER_BYTES, b"\0")
    return zlib.crc32(content).to_bytes(4, "little") + b"\1" + content


def examine(changes: dict[str, str | None] | None = None, card: dict[int, bytes] | None = None) -> environment.Finding:
    """The canary on a board whose slot A has just been booted; `changes` are made in its environment."""
    left = f"{layout.BOOT_ATTEMPTS - 1:x}"
    saved = {**BUILT, "BOOT_A_LEFT": left, "ethaddr": "02:00:00:00:00:01", **(changes or {})}
    printed = "".join(f"{name}={value}\n" for name, value in saved.items() if value is not None)
    content = {FIRST: copy(), SECOND: copy(), **(card or {})}

    def read(device: str, offset: int, size: int) -> bytes:
        assert (device, size) == (layout.CARD_DEVICE, layout.ENVIRONMENT_BYTES)
        return content[offset]

    return environment.examine(printed, CONFIG, RAUC, json.dumps(BUILT), "A", read)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"BOOT_A_LEFT": "3"}, "BOOT_A_LEFT is 3: U-Boot has not counted this boot there (valid: at most 2)"),
        ({"BOOT_A_LEFT": "zz"}, "BOOT_A_LEFT is 'zz' (valid: a hexadecimal number)"),
        ({"BOOT_A_LEFT": None}, "fw_printenv shows no BOOT_ORDER or no BOOT_A_LEFT"),
        ({"BOOT_ORDER": None}, "fw_printenv shows no BOOT_ORDER or no BOOT_A_LEFT"),
    ],
)
def test_environment_that_is_not_u_boots_is_wrong(changes: dict[str, str | None], said: str) -> None:
    (wrong,) = examine(changes).wrong
    assert wrong.startswith(said)


@pytest.mark.parametrize("at", [FIRST, SECOND])
@pytest.mark.parametrize("content", [b"\xff" * layout.ENVIRONMENT_BYTES, copy()[:-1] + b"x", bytes(4) + copy()[4:]])
def test_spoilt_copy_is_noted(at: int, content: bytes) -> None:
    found = examine(card={at: content})
    assert found.wrong == []
    assert found.noted == [f"the environment's copy at {at:#x} is not whole (valid: by the next save)"]


def test_script_of_another_u_boot_is_noted() -> None:
    found = examine({"bootcmd": "run something_else", "try_B": None})
    assert (found.wrong, found.noted) == ([], ["saved by another U-Boot than this version's: bootcmd, try_B"])


def test_sound_environment() -> None:
    assert examine() == ([], [])
    assert examine(card={SECOND: bytes(layout.ENVIRONMENT_BYTES)}) == ([], []), "a new card has one copy at first"
    assert examine({"BOOT_ORDER": "A B", "BOOT_A_LEFT": "0"}) == ([], [])


def test_slot_that_u_boot_has_passed_over_is_noted() -> None:
    (noted,) = examine({"BOOT_ORDER": "B A"}).noted
    assert noted.startswith("U-Boot tries slot B first, and has booted A")


def test_a_slot_without_the_built_environment_is_examined_all_the_same() -> None:
    assert environment.differences({"a": "1"}, "") == []


def test_the_build_puts_the_environment_beside_the_boot_loader() -> None:
    assert json.loads(boot_loader.environment_text(BUILT)) == BUILT


def test_renewal_brings_scripts_and_missing_names_and_leaves_settings() -> None:
    seen = {**BUILT, "boot_slot": "an older script", "recovery_seconds": "60", "ethaddr": "02:00:00:00:00:01"}
    seen |= {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "1", "identity_args": "x y", "mine": "my own"}
    del seen["verity_addr"]
    found = environment.renewal({**seen, "fdt_addr": "0x100"}, json.dumps(BUILT))
    assert found == {name: BUILT[name] for name in ("boot_slot", "fdt_addr", "verity_addr")}
    assert environment.renewal(BUILT, json.dumps(BUILT)) == {}
    assert environment.renewal({}, "") == {}


def test_every_line_of_the_environment_is_one_that_fw_setenv_reads() -> None:
    assert environment.renewal({}, json.dumps(BUILT))
    with pytest.raises(ValueError, match=r"boot_slot: too long for fw_setenv .valid: up to 1023 characters a line"):
        environment.renewal({}, json.dumps({"boot_slot": "x " * 512}))


@pytest.mark.parametrize("took", [True, False])
def test_environment_is_renewed_at_once_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: bool
) -> None:
    saved, scripts = {**BUILT, "boot_slot": "old script"}, list[str]()
    (tmp_path / "built").write_text(json.dumps(BUILT))

    def output(command: list[str]) -> str:
        if command[0] == "fw_setenv":
            scripts.append(Path(command[-1]).read_text())
            saved.update(environment.variables(scripts[-1]) if took else {})
        return "".join(f"{name}={value}\n" for name, value in saved.items())

    monkeypatch.setattr(environment, "BUILT", tmp_path / "built")
    monkeypatch.setattr(system, "SCRIPT", tmp_path / "script")
    monkeypatch.setattr(system, "output", output)
    if took:
        assert system.System().renew_environment() == ["boot_slot"]
        assert system.System().renew_environment() == []
        assert saved == BUILT
    else:
        with pytest.raises(system.Failure, match="fw_setenv has not written boot_slot"):
            system.System().renew_environment()
    assert scripts == [f"boot_slot={BUILT['boot_slot']}\n"]


def test_slot_without_an_environment_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "BUILT", tmp_path / "none")
    with pytest.raises(system.Failure, match=r"the environment cannot be renewed: .*none"):
        system.System().renew_environment()
