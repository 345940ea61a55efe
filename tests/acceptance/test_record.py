"""`mmd record` as a process: how it ends, what a crash and a disk that refuses leave behind, and recording beside trading."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.recording.recording import Recording, read_lines
from tests.acceptance.processes import MMD, Process, World, clean_environment, wait_until, world

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("venue")) as system:
        system.start_mock(keep_state=False)
        yield system


def urls(system: World) -> list[str]:
    base = f"127.0.0.1:{system.mock_port}"
    return ["--rest-url", f"http://{base}", "--stream-url", f"ws://{base}", "--min-free-mb", "0"]


def recorded_lines(folder: Path) -> int:
    return sum(1 for path in folder.glob("*.gz") for _ in read_lines(path))


def start(system: World, folder: Path, *extra: str) -> Process:
    recorder = Process(["record", "--out", str(folder), *urls(system), *extra], clean_environment(), system.folder, "record")
    system.processes.append(recorder)
    return recorder


def test_sigterm_ends_a_recording_with_everything_on_disk(venue: World, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    recorder = start(venue, folder, "--symbols", "BTCUSDT,ETHUSDT", "--segment-seconds", "1", "--json")
    wait_until("three files", lambda: len(list(folder.glob("*.gz"))) >= 6)
    assert recorder.terminate() == 0
    summary = json.loads(recorder.output.read_text().splitlines()[-1])
    status = summary["status"]
    assert status["frames"] + status["snapshots"] == recorded_lines(folder)
    assert status["bytes_written"] == sum(path.stat().st_size for path in folder.glob("*.gz"))
    assert (status["dropped"], status["lost"], status["malformed"], summary["problem"]) == (0, 0, 0, "")
    recording = Recording([folder])
    assert set(recording.instruments) == {"BTCUSDT", "ETHUSDT"}
    kinds = {(line.symbol, line.kind) for line in recording.lines()}
    assert kinds == {(symbol, kind) for symbol in recording.instruments for kind in ("", "trade", "bookTicker", "depth@100ms")}


def test_what_a_killed_recorder_flushed_can_be_read_and_a_new_one_adds_to_it(venue: World, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    recorder = start(venue, folder)
    wait_until("lines on disk", lambda: folder.is_dir() and recorded_lines(folder) > 50)
    before = recorded_lines(folder)
    recorder.child.send_signal(signal.SIGKILL)
    recorder.child.wait(10)
    torn = recorded_lines(folder)
    assert torn >= before
    again = start(venue, folder, "--seconds", "2")
    assert again.child.wait(60) == 0
    assert len(list(folder.glob("*.gz"))) == 2
    assert recorded_lines(folder) > torn
    lines = list(Recording([folder]).lines())
    assert [line.receive_ns for line in lines] == sorted(line.receive_ns for line in lines)


def test_a_disk_that_refuses_ends_the_recording_loudly_and_keeps_what_it_took(venue: World, tmp_path: Path) -> None:
    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))

    done = subprocess.run(
        [*MMD, "record", "--out", "recorded", "--symbols", "BTCUSDT,ETHUSDT", *urls(venue)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        preexec_fn=small_disk,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the recording in recorded ends here: File too large" in done.stderr
    assert recorded_lines(tmp_path / "recorded") > 20


def test_what_cannot_be_recorded_is_said_at_once(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, code, said in (
        (["--symbols", "DOGEBTC"], 1, "DOGEBTC"),
        (["--market", "options"], 2, "expected spot or usdm"),
        (["--symbols", ","], 2, "names no symbol"),
        (["--profile", "moon"], 2, "profile"),
        (["--market", "usdm", "--symbols", "DOGEBTC"], 1, "DOGEBTC"),
        (["--out", "/proc/nowhere"], 1, "cannot record into /proc/nowhere"),
        (["--rest-url", "http://127.0.0.1:1"], 1, "is the venue up"),
    ):
        done = CliRunner().invoke(app, ["record", "--out", "recorded", *urls(venue), *arguments])
        assert (done.exit_code, said in done.output) == (code, True), done.output


def test_a_trading_daemon_records_what_it_trades_on(tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    with world(tmp_path) as system:
        system.start_mock(keep_state=False)
        _trade_and_record(system, folder)


def _trade_and_record(venue: World, folder: Path) -> None:
    daemon = venue.start_daemon(MMD_RECORDING__FOLDER=str(folder), MMD_RECORDING__MIN_FREE_BYTES="0")
    wait_until("two-sided quotes", venue.quoting)
    wait_until("lines on disk", lambda: recorded_lines(folder) > 100)
    metrics = venue.control("GET", "/metrics")
    assert "mmd_recording_failed 0.0" in metrics
    ticks = venue.report()["ticks"]
    assert daemon.terminate() == 0
    lines = list(Recording([folder]).lines())
    assert sum(1 for line in lines if line.kind) >= ticks
    assert sum(1 for line in lines if not line.kind) == 1
