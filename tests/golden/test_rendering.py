# SPDX-License-Identifier: MIT
"""What is rendered: refusals first, then the promises of `write`, then the golden files."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from firmware import board as boards
from firmware import layout, paths, render, rendering, yocto
from firmware.errors import UserError
from firmware.recipe import Recipe, load_all

pytestmark = pytest.mark.golden

EXPECTED = Path(__file__).parent / "expected"
SUFFIX = ".golden"  # so that no linter takes an expected file for a source
BOARD = boards.load(boards.DEFAULT_BOARD)


def recipe(**changes: Any) -> Recipe:
    fields = {"name": "some-recipe", "summary": "One", "version": "1.0", "licence": "MIT", "kind": "files"}
    return Recipe.model_validate({**fields, **changes})


def use_templates(monkeypatch: pytest.MonkeyPatch, **templates: str) -> None:
    loader = jinja2.DictLoader({name.replace("__", "."): text for name, text in templates.items()})
    monkeypatch.setattr(render._environment, "loader", loader)
    monkeypatch.setattr(render._environment, "cache", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ok\n{{ nonsense }}\n", r"templates/t\.j2: 'nonsense' is undefined"),
        ("{{ board.nonsense }}", r"templates/t\.j2: .*no attribute 'nonsense'"),
        ("ok\n{% for %}", r"templates/t\.j2:2: "),
        ("{% include 'other.j2' %}", r"no template templates/other\.j2"),
    ],
)
def test_broken_template_is_named(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    use_templates(monkeypatch, t__j2=text)
    with pytest.raises(UserError, match=said):
        render.text("t.j2", BOARD)


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(UserError, match=r"unknown engine 'buildroot' \(valid: debian, yocto\)"):
        rendering.render_all(BOARD, "buildroot")


def test_exactly_one_overlay() -> None:
    with pytest.raises(UserError, match=r"kind 'overlay': none \(valid: exactly one\)"):
        rendering.render_all(BOARD, recipes=[])
    with pytest.raises(UserError, match=r"kind 'overlay': one, two \(valid: exactly one\)"):
        rendering.render_all(BOARD, recipes=[recipe(name=name, kind="overlay") for name in ("one", "two")])


def test_exactly_one_configuration_of_rauc() -> None:
    with pytest.raises(UserError, match=r"render /etc/rauc/system\.conf: none \(valid: exactly one\)"):
        rendering.render_all(BOARD, recipes=[recipe(kind="overlay")])


def test_recipe_without_its_source_is_refused() -> None:
    with pytest.raises(UserError, match=r"recipes/some-recipe/recipe\.yaml: files: no .*/no-such-file"):
        yocto.view(recipe(files=[{"from": "no-such-file", "to": "/usr/bin/x"}]))


def test_links_beside_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    mixed = tmp_path / "recipes/some-recipe/mixed"
    mixed.mkdir(parents=True)
    (mixed / "link").symlink_to("/dev/null")
    (mixed / "file").touch()
    with pytest.raises(UserError, match=r"recipes/some-recipe/mixed: links beside files \(valid: "):
        yocto.view(recipe(files=[{"from": "mixed", "to": "/etc"}]))


def test_a_folder_of_links_becomes_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "LICENSES").mkdir()
    (tmp_path / "LICENSES/MIT.txt").touch()
    folder = tmp_path / "recipes/some-recipe/masked"
    folder.mkdir(parents=True)
    for name in ("b.service", "a.service"):
        (folder / name).symlink_to("/dev/null")
    view = yocto.view(recipe(files=[{"from": "masked", "to": "/etc/systemd/system"}]))
    assert view.links == (yocto.Links("${sysconfdir}/systemd/system", "/dev/null", ("a.service", "b.service")),)
    assert view.sources == ("MIT.txt",)


def test_licence_without_its_text_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(UserError, match=r"no text of licence 'MIT' \(valid: put it in .*LICENSES/MIT\.txt"):
        yocto.view(recipe())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib/systemd/system/a.service", "${systemd_system_unitdir}/a.service"),
        ("/usr/lib/captured/a.py", "${nonarch_libdir}/captured/a.py"),
        ("/usr/library", "${prefix}/library"),
        ("/etc/rauc/system.conf", "${sysconfdir}/rauc/system.conf"),
        ("/data/x", "/data/x"),
    ],
)
def test_target_folders_become_variables(path: str, expected: str) -> None:
    assert yocto.target_path(path) == expected


@pytest.fixture
def three_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    texts = {"a/one": "1\n", "a/two": "2\n", "three": "3\n"}
    monkeypatch.setattr(rendering, "render_all", lambda _board: dict(texts))
    return texts


def test_what_cannot_be_rendered_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(_board: object) -> dict[str, str]:
        raise UserError("broken")

    monkeypatch.setattr(rendering, "render_all", fail)
    with pytest.raises(UserError):
        rendering.write(BOARD, tmp_path / "rendered")
    assert not (tmp_path / "rendered").exists()


@pytest.mark.parametrize("evil", ["../outside", "a/../../outside", "/{tmp}/outside", "link/outside", "folder", "", "."])
def test_a_listing_that_points_elsewhere_deletes_nothing(
    three_files: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, evil: str
) -> None:
    (tmp_path / "outside").write_text("mine")
    target = tmp_path / "rendered"
    target.mkdir()
    (target / "link").symlink_to(tmp_path)
    (target / "folder").mkdir()
    (target / rendering.LISTING).write_text(evil.format(tmp=tmp_path) + "\n")
    rendering.write(BOARD, target)
    assert (tmp_path / "outside").read_text() == "mine"


def test_only_what_changed_is_written(three_files: dict[str, str], tmp_path: Path) -> None:
    assert len(rendering.write(BOARD, tmp_path)) == 3 + 1  # and the bitstream
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert rendering.write(BOARD, tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    (tmp_path / "three").write_text("edited by hand")
    assert rendering.write(BOARD, tmp_path) == [tmp_path / "three"]


def test_stale_files_go_and_foreign_ones_stay(
    three_files: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rendering.write(BOARD, tmp_path)
    (tmp_path / "a" / "foreign").write_text("mine")
    monkeypatch.setattr(rendering, "render_all", lambda _board: {"new": "n\n"})
    rendering.write(BOARD, tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"a/foreign", "new", rendering.FABRIC, rendering.LISTING}
    assert not (tmp_path / "a/one").exists()


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_renders_the_same(seed: str) -> None:
    script = (
        "from firmware import board, rendering\n"
        f"texts = rendering.render_all(board.load({BOARD.name!r}))\n"
        "print(repr(texts), end='')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == repr(rendering.render_all(BOARD))


def test_an_engine_gets_its_files_only() -> None:
    debian, both = rendering.render_all(BOARD, "debian"), rendering.render_all(BOARD)
    yocto_only = rendering.render_all(BOARD, "yocto")
    assert {*debian} | {*yocto_only} == {*both}
    assert not [name for name in debian if name.startswith("yocto/")]
    assert not [name for name in yocto_only if name.startswith("debian/")]


def test_card_is_where_the_layout_says() -> None:
    texts = rendering.render_all(BOARD, "yocto")
    lines = texts[f"{yocto.LAYER}/files/wic/{BOARD.name}.wks.in"].splitlines()
    parts = [line.split() for line in lines if line.startswith("part ")]
    assert len(parts) == len(layout.PARTITIONS)
    for words, partition in zip(parts, layout.PARTITIONS, strict=True):
        assert words[words.index("--offset") + 1] == f"{partition.offset // 1024}K"
        assert words[words.index("--fixed-size") + 1] == f"{partition.size // 1024}K"
        assert f"--system-id={partition.type:#x}" in words
    sector = (layout.BOOT.offset + layout.U_BOOT_OFFSET) // layout.SECTOR_BYTES
    assert f"CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR={sector:#x}\n" in texts["yocto/u-boot-2026.cfg"]


def test_every_template_is_in_the_table() -> None:
    folder = paths.ROOT / "templates"
    named = {row.template for row in rendering.TABLE} | {"yocto/recipe.bb.j2", "report/acceptance.html.j2"}
    named |= {item.template for known in load_all() for item in known.rendered}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.j2")} == named


@pytest.mark.parametrize("name", boards.names())
def test_golden_files(name: str, request: pytest.FixtureRequest) -> None:
    rendered, folder = rendering.render_all(boards.load(name)), EXPECTED / name
    if request.config.getoption("--update-golden"):
        _replace(folder, rendered)
    expected = {
        path.relative_to(folder).as_posix().removesuffix(SUFFIX): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    differences = [
        "".join(
            difflib.unified_diff(
                expected.get(path, "").splitlines(True),
                rendered.get(path, "").splitlines(True),
                f"expected/{name}/{path}",
                "rendered now",
            )
        )
        for path in sorted({*expected, *rendered})
        if expected.get(path) != rendered.get(path)
    ]
    assert not differences, (
        "\n".join(differences)
        + "\nIf this is meant: pytest tests/golden --update-golden, and read the difference in git"
    )


def _replace(folder: Path, texts: dict[str, str]) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
    for name, text in texts.items():
        path = folder / (name + SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
