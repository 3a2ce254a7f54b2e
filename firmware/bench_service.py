# SPDX-License-Identifier: MIT
"""Figures of the capture service for `./inv bench`: ratios, each of two measurements in one run of one machine.

* what the service in Python costs in guest instructions from ring to socket, against the same loop in C (cost.c);
* recording to the card against fio's sequential writing, by the guest's clock: the emulated card is made as slow as a
  real one, and the processor as slow as the board's (`RECORD_SHIFT`), else this computer would be measured; the best
  of some tries each, as all that disturbs makes it slower;
* streaming and recording at once, at 60 % of what the slower of both can do;
* the receiver on this computer, verifying, against iperf3 on the same link;
* memory and descriptors of the service over a long capture.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware import admission, armhf, bench_receive, cost, engine, paths, reach, receiver
from firmware.bench_cost import PER_MIB, Figure, Group
from firmware.choice import Choice
from firmware.emulator import Emulator
from firmware.errors import TargetError
from firmware.execution import Execution
from firmware.faults import Faults
from firmware.known_hosts import KnownHosts
from firmware.ssh import Target
from firmware.trend import trend

MIB = cost.MIB
CARD_BLOCK_NS = 50_000  # for 512 bytes: 10 MB/s, a class 10 card's promise
RECORD_BYTES = 96 * MIB
RECORD_SHIFT = 1  # 2 ns an instruction, both CPUs in turns: two Cortex-A9 at 800 MHz reach that with 0.31 a cycle
FEW, MANY, REPEATS = 8, 40, 3
BOTH_SHARE, BOTH_SECONDS = 0.6, 30
SOAK_SECONDS, SOAK_LOOK_SECONDS = 3600, 10
PAGE_KIB = 4  # memory grows by whole pages: no slope is surer than one of them in the time that was looked at
SOAK_RATE = 2 * MIB
SECONDS = 600.0

# On the board: sends a request when a byte comes from this computer (or at once), then looks until all is done.
ASK = """
import json, socket, sys, time
request, trigger = json.loads(sys.argv[1]), sys.argv[2:]
control = socket.socket(socket.AF_UNIX)
control.connect("/run/captured/control.sock")
lines = control.makefile("rwb")
def ask(what):
    lines.write(json.dumps(what).encode() + b"\\n")
    lines.flush()
    return json.loads(lines.readline())
if trigger:
    peer = socket.create_connection((trigger[0], int(trigger[1])))
    peer.recv(1)
begin, peak = time.monotonic(), 0
said = ask(request)
if trigger or not said["ok"]:
    print(json.dumps(said))
    sys.exit()
while True:
    time.sleep(0.1)
    status = ask({"command": "status"})
    peak = max(peak, status["ring"]["blocks_done"] + status["ring"]["blocks_user"])
    if status["state"] == "idle":
        break
print(json.dumps({"ok": True, "seconds": time.monotonic() - begin, "peak": peak, "status": status}))
"""
# On the board: anonymous memory in KiB and descriptors of the service, again and again.
LOOK = """
pid=$(systemctl show -P MainPID captured)
while sleep {seconds}; do
    memory=$(sed -n 's/^RssAnon:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/$pid/status)
    echo $(cut -d. -f1 /proc/uptime) $memory $(ls /proc/$pid/fd | wc -l)
done
"""


@dataclass(frozen=True)
class Running:
    """An emulated board with the release image, on and answering."""

    emulator: Emulator
    faults: Faults
    target: Target

    @property
    def stream(self) -> tuple[str, int]:
        """Where this computer, let in, takes the stream."""
        admission.admit(self.target)
        return reach.LOOPBACK, self.emulator.stream_port

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait until the service is idle: seconds, peak of blocks in use, status. TargetError."""
        command = ["python3", "-c", ASK, json.dumps(request)]
        found: dict[str, Any] = json.loads(self.target.output(command, sudo=True, timeout=SECONDS))
        if not found["ok"]:
            raise TargetError(self.target.name, f"{request}: {found['error']}")
        return found


@contextmanager
def booted(choice: Choice, shift: int | None = None) -> Iterator[Running]:
    """The board, with a fresh card; off behind the block. With `shift` an instruction takes 2**shift ns."""
    with tempfile.TemporaryDirectory(prefix="service-") as name:
        folder = Path(name)
        known, path = KnownHosts(folder / "known_hosts"), folder / "card.img"
        reach.make_card(engine.build(choice.board, choice.engine), path, known)
        machine = Emulator(choice.board, path, folder)
        machine.start(icount=shift, sleep=shift is not None)
        try:
            target = Target(reach.LOOPBACK, machine.ssh_port, known=known)
            reach.wait_until_up(reach.Reach(target, (reach.LOOPBACK, machine.stream_port), machine.console_log))
            with target:
                yield Running(machine, Faults(machine), target)
        finally:
            machine.stop()


class ServiceMeter:
    """Instructions of the running service from ring to socket, as `cost.Meter` has those of cost.c."""

    def __init__(self, machine: Emulator, target: Target) -> None:
        """The service runs, and the board counts."""
        self._execution, self._target = Execution(machine), target
        self._address = (reach.LOOPBACK, machine.stream_port)

    def per_mib(self) -> float:
        """Instructions a MiB: the smallest of some differences of many and few blocks."""
        found = [self.run(MANY) - self.run(FEW) for _ in range(REPEATS)]
        return float(min(found)) / (MANY - FEW)

    def run(self, blocks: int) -> int:
        """Instructions of one capture of so many MiB. Raises TargetError: it did not arrive whole."""
        with socket.create_server((reach.LOOPBACK, 0)) as listener, receiver.Receiver(*self._address, "none") as reader:
            request = {"command": "start", "bytes": blocks * MIB, "clients": 1}
            trigger = [cost.HOST_FROM_BOARD, str(listener.getsockname()[1])]
            said: list[str] = []
            runner = threading.Thread(target=lambda: said.append(self._start(request, trigger)))
            runner.start()
            listener.settimeout(cost.SECONDS)
            peer = listener.accept()[0]
            with peer, self._execution.cost() as spent:
                peer.sendall(b"!")
                seen = reader.run()
            runner.join()
        if not seen.whole or seen.bytes != blocks * MIB:
            raise TargetError(self._target.name, f"the service's stream: {seen}; {''.join(said)}")
        return spent.instructions

    def _start(self, request: dict[str, object], trigger: list[str]) -> str:
        command = ["python3", "-c", ASK, json.dumps(request), *trigger]
        return self._target.run(command, sudo=True, timeout=cost.SECONDS).stdout


def instructions(choice: Choice) -> dict[str, float]:
    """What the service costs against C."""
    with cost.booted(choice.board) as (machine, target):
        in_c = cost.Meter(machine, target).per_mib(cost.ZEROCOPY)
        target.output(["systemctl", "start", "captured"], sudo=True, timeout=SECONDS)
        admission.admit(target)
        service = ServiceMeter(machine, target).per_mib()
    return {"insn_per_mib_service": service, "insn_per_mib_service_c": in_c, "python_vs_c_insn_ratio": service / in_c}


def fio_mib_per_second(target: Target, size: int) -> float:
    """fio's sequential writing of a file on the card, 1 MiB at a time, past the page cache, synced at the end."""

    job = ["--name=write", "--rw=write", "--bs=1M", "--direct=1", "--ioengine=psync", "--end_fsync=1"]
    where = ["--filename=/data/fio", f"--size={size}", "--output-format=json"]
    said = target.output(armhf.install(target, "fio").command("fio", *job, *where), sudo=True, timeout=SECONDS)
    target.output(["rm", "/data/fio"], sudo=True)
    written: dict[str, Any] = json.loads(said[said.index("{") :])["jobs"][0]
    return size / MIB / (float(written["job_runtime"]) / 1000)


def recording(choice: Choice) -> dict[str, float]:
    """Recording against fio, one behind the other, the best of each; then both sinks at once."""
    with booted(choice, RECORD_SHIFT) as board:
        board.faults.card.slow(CARD_BLOCK_NS)
        fio = record = 0.0
        for number in range(REPEATS):
            fio = max(fio, fio_mib_per_second(board.target, RECORD_BYTES))
            record = max(record, record_mib_per_second(board, f"alone-{number}"))
        stream = _stream_mib_per_second(board)
        both = _both(board, BOTH_SHARE * min(record, stream))
    return {"record_vs_fio_ratio": record / fio, **both}


def record_mib_per_second(board: Running, name: str) -> float:
    """The service records a capture, from the request to the published file, which is then removed. TargetError."""
    took = board.ask(command="record", start=True, name=name, bytes=RECORD_BYTES)
    last = took["status"]["disk"]["last"]
    if last["error"] or last["written"] != RECORD_BYTES or last["gaps"]:
        raise TargetError(board.target.name, f"recording: {last}")
    board.target.output(["sh", "-c", f"rm /data/captured/recordings/{name}.*"], sudo=True)
    return RECORD_BYTES / MIB / float(took["seconds"])


def _stream_mib_per_second(board: Running) -> float:
    with receiver.Receiver(*board.stream, "none") as reader, ThreadPoolExecutor() as pool:
        asked = pool.submit(board.ask, command="start", bytes=RECORD_BYTES, clients=1)
        seen = reader.run()
        took = asked.result()
    if not seen.whole:
        raise TargetError(board.target.name, f"stream: {seen}")
    return RECORD_BYTES / MIB / float(took["seconds"])


def _both(board: Running, rate: float) -> dict[str, float]:
    size = int(rate * BOTH_SECONDS) * MIB
    request = {"command": "record", "start": True, "name": "both", "bytes": size, "rate": int(rate * MIB)}
    with receiver.Receiver(*board.stream, "counter") as reader, ThreadPoolExecutor() as pool:
        asked = pool.submit(board.ask, **request)
        seen = reader.run()
        found = asked.result()
    status = found["status"]
    gaps = seen.gaps + seen.corrupt + status["disk"]["last"]["gaps"] + status["gaps"] + (not seen.whole)
    return {"stream_and_record_gaps": gaps, "stream_and_record_ring_share": found["peak"] / status["device"]["blocks"]}


def soak(choice: Choice, seconds: int = SOAK_SECONDS) -> dict[str, float]:
    """Memory and descriptors of the service while it streams and records; each look goes to build/reports/soak.csv."""
    with booted(choice) as board:
        settings = b"[disk]\nrotate_bytes = 33554432\nkeep_files = 4\n"
        board.target.put(settings, "/data/captured/captured.toml", sudo=True)
        board.target.output(["capturectl", "reload"], sudo=True)
        size = seconds * SOAK_RATE
        with receiver.Receiver(*board.stream, "counter") as reader:
            rows: list[tuple[int, int, int]] = []
            order = [f"--bytes={size}", f"--rate={SOAK_RATE}"]
            board.target.output(["capturectl", "record", "--start", *order], sudo=True)
            looker = threading.Thread(target=_look, args=(board.target, seconds, rows))
            looker.start()
            seen = reader.run()
            looker.join()
        if not seen.whole:
            raise TargetError(board.target.name, f"soak: {seen}")
    looks = paths.BUILD / "reports" / "soak.csv"
    looks.parent.mkdir(parents=True, exist_ok=True)
    looks.write_text("uptime_s,anonymous_kib,descriptors\n" + "".join(f"{a},{m},{f}\n" for a, m, f in rows), "utf-8")
    return soaked(rows)


def _look(target: Target, seconds: int, rows: list[tuple[int, int, int]]) -> None:
    script = f"timeout {seconds} sh -c '{{}}' || true"
    look = LOOK.format(seconds=SOAK_LOOK_SECONDS).replace("'", "'\\''")
    said = target.output(["sh", "-c", script.format(look)], sudo=True, timeout=2.0 * seconds)
    for line in said.splitlines():
        at, memory, files = map(int, line.split())
        rows.append((at, memory, files))


def soaked(rows: list[tuple[int, int, int]]) -> dict[str, float]:
    """Figures of looks (uptime in seconds, KiB, descriptors): the trend is the second half's.

    In the first one the allocators touch their arenas' pages, each once, until they have what the service works in:
    that is no growth that goes on, and `soak_settling_kib`.
    """
    half = (rows[0][0] + rows[-1][0]) / 2
    late = [(at / 3600, memory) for at, memory, _files in rows if at >= half]
    found = trend(late)
    files = [count for _at, _memory, count in rows]
    return {
        "soak_minutes": (rows[-1][0] - rows[0][0]) / 60,
        "soak_settling_kib": late[0][1] - rows[0][1],
        "soak_rss_slope_kib_per_h": found.slope,
        "soak_rss_slope_error_kib_per_h": max(found.error, PAGE_KIB / (late[-1][0] - late[0][0])),
        "soak_fd_growth": max(files[-5:]) - max(files[:5]),
    }


RATIO = "ratio"
GROUPS = (
    Group(
        {
            "insn_per_mib_service": Figure(PER_MIB, "the service's stream, ring to socket, zero copy"),
            "insn_per_mib_service_c": Figure(PER_MIB, "the same loop in C (cost.c, zerocopy), same board, same run"),
            "python_vs_c_insn_ratio": Figure(RATIO, "of these two; goal: at most 1.15"),
        },
        instructions,
    ),
    Group(
        {
            "record_vs_fio_ratio": Figure(
                RATIO, "recording, checksum included, against fio on a card of 10 MB/s; >= 0.95"
            ),
            "stream_and_record_gaps": Figure(
                "gaps", "streamed and recorded at 60 % of the slower sink's limit; goal: 0"
            ),
            "stream_and_record_ring_share": Figure(RATIO, "most of the ring in use then; goal: below 0.5"),
        },
        recording,
    ),
    Group(
        {
            "receive_vs_iperf_ratio": Figure(
                RATIO, "receiver, verifying, against iperf3, at a pace of 1 Gbit/s; >= 0.9"
            ),
            "receive_vs_iperf_loopback_ratio": Figure(RATIO, "the same on loopback without a pace"),
            "receive_mib_per_s": Figure("MiB/s", "the receiver there, verifying a counter"),
        },
        bench_receive.receiving,
    ),
    Group(
        {
            "soak_minutes": Figure("min", "stream and record at 2 MiB/s, files of 32 MiB, four kept"),
            "soak_settling_kib": Figure("KiB", "growth of the service's anonymous memory in the first half"),
            "soak_rss_slope_kib_per_h": Figure("KiB/h", "its trend in the second half; goal: within twice the error"),
            "soak_rss_slope_error_kib_per_h": Figure(
                "KiB/h", "standard error of that trend, at least a page in its time"
            ),
            "soak_fd_growth": Figure("descriptors", "more at the end than at the begin"),
        },
        soak,
        long=True,
    ),
)
