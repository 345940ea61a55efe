"""The commands in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmd.daemon.mock_child import MockChild, MockChildError

MMD = [sys.executable, "-m", "mmd.cli"]
PATIENCE_SECONDS = 30.0


def environment(**extra: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MMD_")}
    return {**own, **extra}


def mmd(*arguments: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MMD, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(Path.cwd()), **extra),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_daemon(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    with MockChild(["--symbols", "BTCUSDT"], log_file=folder / "mock.log") as venue:
        command = [*MMD, "run"]
        for name in ("rest", "stream", "websocket_api"):
            command += ["--set", f"exchange.{name}_url={venue.urls[name]}"]
        variables = environment(
            PYTHONPATH=str(Path.cwd()),
            MMD_EXCHANGE__API_KEY="K1",
            MMD_EXCHANGE__API_SECRET="S1",
            MMD_CONTROL__PORT=str(port),
            MMD_QUOTING__STRATEGY="fixed",
        )
        with (folder / "daemon.log").open("w") as errors:
            daemon = subprocess.Popen(command, cwd=folder, env=variables, stdout=errors, stderr=errors, text=True)
        try:
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.kill()
            daemon.wait()


def wait_for_status(folder: Path, port: int, code: int) -> subprocess.CompletedProcess[str]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = mmd("status", folder=folder, MMD_CONTROL__PORT=str(port))
        if answer.returncode == code:
            return answer
        assert time.monotonic() < deadline, (answer, (folder / "daemon.log").read_text()[-3000:])


def test_a_demo_ends_with_one_summary_object(tmp_path: Path) -> None:
    # The networks would still be warming up after three seconds.
    plain = ("--set", "quoting.strategy=fixed")
    done = mmd("demo", "--seconds", "3", "--json", "--speed", "3", "--symbols", "BTCUSDT,ETHUSDT", *plain, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["open_orders_at_exit"] == 0
    assert summary["quotes"] > 0
    assert set(summary["position"]) == {"BTCUSDT", "ETHUSDT"}
    for key in [
        "ticks",
        "steps",
        "orders_sent",
        "fills",
        "markout_1s_bps",
        "pnl",
        "fees",
        "sequence_gaps",
        "resyncs",
        "risk_denials",
        "pauses",
        "halted",
        "stage_us",
        "attribution",
    ]:
        assert key in summary
    assert set(summary["tick_to_quote_us"]) == {"p50", "p99", "p999", "n"}
    assert not list(tmp_path.iterdir())


def test_halt_status_and_resume_of_a_running_daemon(tmp_path: Path) -> None:
    port = free_port()
    control = {"MMD_CONTROL__PORT": str(port)}
    with running_daemon(tmp_path, port) as daemon:
        answer = wait_for_status(tmp_path, port, 0)
        assert "BTCUSDT" in answer.stdout
        halted = mmd("halt", "--reason", "drill", folder=tmp_path, **control)
        assert (halted.returncode, halted.stderr) == (0, "")
        assert "halted by cli: drill" in halted.stdout
        shown = mmd("status", "--json", folder=tmp_path, **control)
        assert shown.returncode == 3
        assert json.loads(shown.stdout)["trader"]["halt"]["actor"] == "cli"
        assert "HALTED by cli: drill" in mmd("status", folder=tmp_path, **control).stdout
        assert mmd("resume", folder=tmp_path, **control).returncode == 2
        assert mmd("resume", "it is over", folder=tmp_path, **control).returncode == 0
        again = mmd("resume", "it is over", folder=tmp_path, **control)
        assert again.returncode == 1
        assert "not halted" in again.stderr
        second = mmd("run", folder=tmp_path, MMD_EXCHANGE__API_KEY="K1", MMD_EXCHANGE__API_SECRET="S1", MMD_CONTROL__PORT="0")
        assert second.returncode == 1
        assert f"in use by process {daemon.pid}" in second.stderr
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE_SECONDS) == 0
    assert "S1" not in (tmp_path / "daemon.log").read_text().split()


def test_without_a_daemon_the_commands_say_so(tmp_path: Path) -> None:
    port = str(free_port())
    for command in (["halt"], ["resume", "x"], ["status"]):
        answer = mmd(*command, folder=tmp_path, MMD_CONTROL__PORT=port)
        assert answer.returncode == 4
        assert f"no daemon answers on 127.0.0.1:{port}" in answer.stderr
    assert "HALT" in mmd("halt", folder=tmp_path, MMD_CONTROL__PORT=port).stderr


def test_wrong_settings_are_named_and_nothing_starts(tmp_path: Path) -> None:
    answer = mmd("run", "--set", "risk.max_daly_loss=5", folder=tmp_path, MMD_CONTROL__PROT="1")
    assert answer.returncode == 1
    assert "did you mean risk.max_daily_loss?" in answer.stderr
    assert "did you mean MMD_CONTROL__PORT?" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert mmd("run", "--set", "nonsense", folder=tmp_path).returncode == 2


def test_real_money_needs_a_second_word_and_is_not_advertised(tmp_path: Path) -> None:
    keys = {"MMD_EXCHANGE__API_KEY": "K1", "MMD_EXCHANGE__API_SECRET": "S1"}
    for answer in (
        mmd("run", folder=tmp_path, MMD_MODE="live", **keys),
        mmd("run", "--set", "mode=live", folder=tmp_path, **keys),
        mmd("run", folder=tmp_path, MMD_EXCHANGE__PROFILE="live", MMD_EXCHANGE__LIVE_CONFIRMATION="yes", **keys),
    ):
        assert answer.returncode == 1
        assert "needs a second setting: exchange.live_confirmation" in answer.stderr
        assert "To look without risk use mode paper, testnet or demo" in answer.stderr
        assert "Traceback" not in answer.stderr
    assert not list(tmp_path.iterdir())
    assert "MODE=live" not in mmd("run", "--help", folder=tmp_path).stdout


def test_without_keys_or_venue_it_says_what_to_set(tmp_path: Path) -> None:
    answer = mmd("run", folder=tmp_path)
    assert answer.returncode == 1
    assert "MMD_EXCHANGE__API_SECRET_FILE" in answer.stderr
    keys = {"MMD_EXCHANGE__API_KEY": "K1", "MMD_EXCHANGE__API_SECRET": "S1", "MMD_CONTROL__PORT": "0"}
    answer = mmd("run", "--set", f"exchange.rest_url=http://127.0.0.1:{free_port()}", folder=tmp_path, **keys)
    assert answer.returncode == 1
    assert "cannot read the instruments BTCUSDT" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_mock_of_a_killed_demo_dies_with_it(tmp_path: Path) -> None:
    child = MockChild([], log_file=tmp_path / "mock.log")
    child.__enter__()
    process = child._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert process.stdout is not None
    process.stdout.close()


def test_a_mock_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(MockChildError, match="FOOBAR"), MockChild(["--symbols", "FOOBAR"], log_file=tmp_path / "mock.log"):
        pass


def test_every_command_helps_with_examples(tmp_path: Path) -> None:
    assert mmd("version", folder=tmp_path).stdout.strip() == "0.1.0"
    overview = mmd("--help", folder=tmp_path).stdout
    for command in ("run", "demo", "mock", "halt", "resume", "status", "version"):
        assert f"\n  {command}" in overview
        assert "Example" in mmd(command, "--help", folder=tmp_path).stdout
