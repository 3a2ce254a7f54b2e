# SPDX-License-Identifier: MIT
"""The release build's command, its failures with a kas of the test's own, and what becomes of its results."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from firmware import board as boards
from firmware import engine, layout, manifest, paths, release, release_results, verification, yocto_build
from firmware.errors import ToolError, UserError
from firmware.recipe import load_all
from firmware.release import Command, Wishes
from firmware.signing import Signer
from tests.emulated.waiting import until
from tests.unit import sound_image

pytestmark = pytest.mark.unit

BOARD = boards.load(boards.DEFAULT_BOARD)
OTHER = boards.load("de10-nano")
SIGNER = Signer(Path("/k/ca.pem"), "/k/cert.pem", "/k/key.pem")


@pytest.fixture(autouse=True)
def build_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")


def test_signer_that_bitbake_cannot_use_is_refused() -> None:
    signer = Signer(Path("/k/ca.pem"), "", "", command="sign-it")
    with pytest.raises(UserError, match="without CYCLONE_CAPTURE_SIGN_COMMAND"):
        release.command((BOARD,), Wishes(), "1", signer, {})


def test_root_is_refused_before_the_first_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(UserError, match="as an ordinary user"):
        release.prepare(release.command((BOARD,), Wishes(), "1", SIGNER, {}))
    assert not paths.BUILD.exists()


def test_unknown_target_is_refused() -> None:
    with pytest.raises(UserError, match=r"--target: no recipe 'capture-rin' \(valid: capture-image, .*capture-ring"):
        yocto_build.check_target("capture-rin")
    yocto_build.check_target("busybox")


def test_the_debian_engine_has_no_targets() -> None:
    with pytest.raises(UserError, match=r"valid: with --engine=yocto"):
        yocto_build.only((BOARD,), "debian", Wishes(target="captured"))


def test_command_names_files_target_and_log() -> None:
    made = release.command((BOARD,), Wishes(target="captured", debug=True), "1.0", SIGNER, {})
    kas, verb, target, files, *rest = made.argv
    assert (Path(kas).name, verb, target) == ("kas", "build", "--target=captured")
    rendered = paths.BUILD / BOARD.name / "rendered/yocto/kas.yml"
    assert files == f"{rendered}:{paths.ROOT}/layers/kas/debug.yml"
    assert rest == ["--", "--write-log", str(made.events)]
    assert made.environment["RAUC_KEY_FILE"] == "/k/key.pem"
    assert "BB_NO_NETWORK" not in made.environment


def test_one_bitstream_for_several_boards_is_refused() -> None:
    given = {"CYCLONE_CAPTURE_FABRIC": "/mine"}
    with pytest.raises(UserError, match=r"CYCLONE_CAPTURE_FABRIC is for one board \(valid: "):
        release.command((BOARD, OTHER), Wishes(), "1", SIGNER, given)
    release.command((BOARD,), Wishes(), "1", SIGNER, given)


def test_several_boards_are_one_command_however_they_are_given() -> None:
    made = release.command((OTHER, BOARD), Wishes(), "1.0", SIGNER, {"CYCLONE_CAPTURE_BOARDS": "sockit"})
    assert made == release.command((BOARD, OTHER), Wishes(), "1.0", SIGNER, {})
    _kas, verb, attest, *targets, files, _, _, events = made.argv
    assert (verb, attest) == ("build", "--provenance=mode=min")
    wanted = ["capture-image", "capture-bundle", "mc:de10-nano:capture-image", "mc:de10-nano:capture-bundle"]
    assert targets == [f"--target={one}" for one in wanted]
    rendered = [paths.BUILD / board.name / "rendered/yocto/kas.yml" for board in (OTHER, BOARD)]
    assert files == ":".join(map(str, [*rendered, paths.ROOT / "layers/kas/boards.yml"]))
    assert made.environment["CYCLONE_CAPTURE_BOARDS"] == "de10-nano"
    place = paths.BUILD / "de0-nano-soc_de10-nano/kas"
    assert (made.folder, events) == (place, str(place / "events.json"))


def test_target_of_several_boards_is_built_for_each() -> None:
    made = release.command((BOARD, OTHER), Wishes(target="u-boot"), "1.0", SIGNER, {})
    assert made.argv[2:4] == ["--target=u-boot", "--target=mc:de10-nano:u-boot"]


def test_targets_are_those_that_kas_knows() -> None:
    base = yaml.safe_load((paths.ROOT / "layers/kas/base.yml").read_text())
    assert (*base["target"],) == release.TARGETS


def test_vulnerabilities_are_those_of_what_is_shipped() -> None:
    for wishes in (Wishes("captured", cve=True), Wishes(debug=True, cve=True), Wishes(None, False, True, True)):
        with pytest.raises(UserError, match=r"--cve looks at the image that is shipped \(valid: without --target"):
            yocto_build.only((BOARD,), "yocto", wishes)
    made = release.command((BOARD,), Wishes(cve=True), "1.0", SIGNER, {})
    assert "--target=capture-image" in made.argv
    assert made.argv[-4].endswith(f":{paths.ROOT}/layers/kas/cve.yml")


def test_reports_on_vulnerabilities_are_put_where_reports_are(tmp_path: Path) -> None:
    place = release_results.deployed(BOARD, (BOARD,))
    with pytest.raises(ToolError, match=r"no .*capture-image-de0-nano-soc\.rootfs\.cve\.txt"):
        release_results.cve_reports((BOARD,))
    place.mkdir(parents=True)
    for theirs in ("cve.txt", "sbom-cve-check.yocto.json"):
        (place / f"capture-image-{BOARD.name}.rootfs.{theirs}").write_text(theirs)
    made = release_results.cve_reports((BOARD,))
    assert made == [paths.BUILD / BOARD.name / "reports" / name for name in ("cve.txt", "cve.json")]
    assert made[1].read_text() == "sbom-cve-check.yocto.json"


def test_time_of_an_image_is_its_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert int(engine.git_epoch()) > 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert engine.git_epoch() == "1"


def test_results_are_looked_for_where_bitbake_leaves_each_boards() -> None:
    place = paths.BUILD / "de0-nano-soc_de10-nano/kas/build"
    found = [release_results.deployed(board, (OTHER, BOARD)) for board in (BOARD, OTHER)]
    assert found == [
        place / "tmp/deploy/images/de0-nano-soc",
        place / "tmp-de10-nano/deploy/images/de10-nano",
    ]
    assert release_results.deployed(OTHER, (OTHER,)) == paths.BUILD / "de10-nano/kas/build/tmp/deploy/images/de10-nano"


def test_boards_share_sources_and_built_things_unless_the_user_says_where() -> None:
    names = ("DL_DIR", "SSTATE_DIR", "BB_HASHSERVE_DB_DIR")
    one, other = (release.command((board,), Wishes(), "1", SIGNER, {}).environment for board in (BOARD, OTHER))
    assert [one[name] for name in names] == [other[name] for name in names]
    assert one["BB_HASHSERVE_DB_DIR"] == one["SSTATE_DIR"] == f"{paths.BUILD}/yocto/sstate-cache"
    mine = release.command((BOARD,), Wishes(), "1", SIGNER, {"SSTATE_DIR": "/mine", "DL_DIR": "/mine"}).environment
    assert not {*names} & {*mine}


@pytest.mark.parametrize("several", [(BOARD,), (BOARD, OTHER)])
@pytest.mark.parametrize("wishes", [Wishes(), Wishes(target="captured"), Wishes(None, False, True)])
def test_kas_understands_the_command(wishes: Wishes, several: tuple[boards.Board, ...]) -> None:
    """Up to the first thing that it wants to read: its file is not there, or not in the checkout."""
    done = subprocess.run(
        release.command(several, wishes, "1.0", SIGNER, {}).argv, capture_output=True, text=True, check=False
    )
    assert "usage:" not in done.stderr
    assert "kas.yml" in done.stderr or "must belong to the same repository" in done.stderr


def test_mirror_of_another_user_is_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("KAS_PREMIRRORS", raising=False)
    monkeypatch.setenv("OE_MIRRORS", str(tmp_path / "mirror"))
    made = release.command((BOARD,), Wishes(), "1.0", SIGNER, {"OE_MIRRORS": str(tmp_path / "mirror")})
    release.prepare(made)
    settings = Path(made.environment["GITCONFIG_FILE"]).read_text()
    assert f"directory = {tmp_path}/mirror/rauc/meta-rauc.git\n" in settings


def test_environment_of_the_user_holds_and_a_mirror_means_no_network(tmp_path: Path) -> None:
    (tmp_path / "mirror/downloads").mkdir(parents=True)
    given = {"RAUC_KEY_FILE": "/mine", "OE_MIRRORS": str(tmp_path / "mirror")}
    made = release.command((BOARD,), Wishes(), "1.0", SIGNER, given)
    assert "RAUC_KEY_FILE" not in made.environment
    assert made.environment["BB_NO_NETWORK"] == "1"
    assert made.environment["SOURCE_MIRROR_URL"] == f"file://{tmp_path}/mirror/downloads"


def fake(folder: Path, script: str) -> Command:
    folder.mkdir(exist_ok=True)
    return Command([sys.executable, "-c", script], {}, folder)


def test_failure_before_bitbake_shows_the_end_of_kas_log(tmp_path: Path) -> None:
    made = fake(tmp_path / "kas", "print('fatal: commit is not there'); raise SystemExit(1)")
    with pytest.raises(ToolError, match=r"status 1.*\n *fatal: commit is not there\n.*kas\.log"):
        release.run(made)


KAS_LOG = """\
2026-11-30 09:58:14 - INFO     - Cloning repository bitbake
2026-11-30 09:58:14 - INFO     - Repository bitbake updated
2026-11-30 09:58:15 - ERROR    - {said}
2026-11-30 09:58:15 - ERROR    - Command "git" failed with error 128
"""


def test_commit_that_upstream_lacks_is_named(tmp_path: Path) -> None:
    wanted = f"{1:040x}"
    said = f'Command "/x/kas/bitbake$ git rev-parse --verify --end-of-options {wanted}^{{commit}}" failed:'
    text = KAS_LOG.format(said=said + "\nfatal: Needed a single revision")
    with pytest.raises(ToolError) as caught:
        release.run(fake(tmp_path / "kas", f"print({text!r}); raise SystemExit(2)"))
    _command, line, _log = str(caught.value).splitlines()
    assert line.strip() == (
        f"bitbake: https://git.openembedded.org/bitbake has no commit {wanted} (valid: one that it has; "
        "./inv lock --update takes the newest; or fill the mirror anew)"
    )


def test_of_kas_log_the_errors_are_shown(tmp_path: Path) -> None:
    text = KAS_LOG.format(said="Branch x cannot be found\nin repository bitbake")
    with pytest.raises(ToolError) as caught:
        release.run(fake(tmp_path / "kas", f"print({text!r}); raise SystemExit(2)"))
    assert [line.strip() for line in str(caught.value).splitlines()[1:-1]] == [
        "Branch x cannot be found",
        "in repository bitbake",
        'Command "git" failed with error 128',
    ]


def test_killed_build_is_one_error(tmp_path: Path) -> None:
    made = fake(tmp_path / "kas", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ToolError, match="status -9"):
        release.run(made)


def started(folder: Path) -> subprocess.Popen[bytes]:
    """Another process that builds in `folder`, when its kas, which does not end by itself, runs."""
    kas = "import time; time.sleep(600)"
    code = (
        "import sys; from pathlib import Path; from firmware import release\n"
        f"release.run(release.Command([sys.executable, '-c', {kas!r}], {{}}, Path({str(folder)!r})))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=paths.ROOT)
    mark = folder / "running"
    until(lambda: mark.is_file() and mark.read_text().endswith("\n"), 60.0)
    return child


def test_second_build_of_a_board_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    first = started(tmp_path)
    (tmp_path / "events.json").write_text("its")
    (kas,) = release.children(first.pid)
    try:
        with pytest.raises(UserError, match=rf"process {kas} builds in {tmp_path} \(valid: when it is done; or end it"):
            release.run(fake(tmp_path, "pass"))
        assert (tmp_path / "events.json").read_text() == "its"
    finally:
        os.killpg(kas, signal.SIGKILL)
        first.wait()
    assert release.run(fake(tmp_path, "pass")).failures == []


def test_kas_that_outlives_a_killed_build_is_named(tmp_path: Path) -> None:
    first = started(tmp_path)
    (kas,) = release.children(first.pid)
    first.kill()
    first.wait()
    try:
        with pytest.raises(UserError, match=rf"process {kas} builds in .*kill {kas}\)"):
            release.run(fake(tmp_path, "pass"))
    finally:
        os.killpg(kas, signal.SIGKILL)


def test_killed_server_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BitBake's client waits forever for a server that was killed; the server here says when it may be."""
    monkeypatch.setattr(release, "GRACE", 0.0)
    script = (
        "import os, pathlib, signal, subprocess, sys\n"
        "server = subprocess.Popen(['sleep', 'infinity'])\n"
        f"lock = pathlib.Path({str(tmp_path)!r}, 'kas/build/bitbake.lock')\n"
        "lock.parent.mkdir()\n"
        "lock.write_text(f'{server.pid}\\n')\n"
        "signal.pause()\n"
    )

    class Killed(release.Server):
        def gone_for(self, now: float) -> float:
            found = super().gone_for(now)
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            return found

    monkeypatch.setattr(release, "Server", Killed)
    with pytest.raises(ToolError, match=r"BitBake's server, process \d+, was killed"):
        release.run(fake(tmp_path / "kas", script))


def deploy(folder: Path, without: str = "") -> None:
    folder.mkdir()
    for name in {*release_results.wanted(BOARD).values()} - {without}:
        (folder / name).write_bytes(b"U-Boot 2026.01-capture (Jan 01 2026)" if name.endswith("sfp") else name.encode())


def test_results_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    bundle = f"capture-bundle-{BOARD.name}.raucb"
    deploy(tmp_path / "deploy", without=bundle)
    with pytest.raises(ToolError, match=rf"has no {bundle}"):
        release_results.collect(BOARD, tmp_path / "deploy")


def test_slot_without_its_release_file_is_refused(tmp_path: Path) -> None:
    deploy(tmp_path / "deploy")
    with pytest.raises(ToolError):
        release_results.kernel_release(release_results.collect(BOARD, tmp_path / "deploy"))


def test_image_that_is_not_sound_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(tmp_path / "deploy")
    with pytest.raises(ToolError, match=rf"bitbake\n.*\.img has \d+ bytes \(valid: {layout.IMAGE_BYTES}"):
        release_results.publish_results(BOARD, tmp_path / "deploy", load_all(), "1.0", "abc", "wrynose")
    assert not manifest.folder(BOARD.name, "yocto").exists()


def test_results_are_published_like_the_debian_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(tmp_path / "deploy")
    made_image = sound_image.make_image(tmp_path)
    made_image.rename(tmp_path / "deploy" / release_results.wanted(BOARD)[f"{BOARD.name}.img"])
    (tmp_path / "deploy" / release.U_BOOT_CONFIG).write_text(sound_image.bitbake_config())
    monkeypatch.setattr(release_results, "kernel_release", lambda _folder: "6.12.80-capture")
    made = release_results.publish_results(BOARD, tmp_path / "deploy", load_all(), "1.0", "abc", "wrynose")
    assert made == manifest.load_built(BOARD.name, "yocto")
    assert (made.u_boot, made.kernel) == ("2026.01-capture", "6.12.80-capture")
    assert made.sources[0].suite == "wrynose"
    verification.require(made.path("image"), verification.built_config(made))
    assert verification.built_config(made) == sound_image.bitbake_config()
