"""`mmd doctor` on a mock exchange: everything well, and each thing that may be wrong, told with what to do about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.daemon.doctor import LITTLE_ROOM_BYTES
from mmd.daemon.halt_file import HaltFile
from mmd.types.control import HaltRecord
from tests.acceptance.processes import World, free_port, world

BUNDLE = Path(__file__).parents[2] / "models" / "quote-v1"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("venue")) as system:
        system.start_mock("--futures", keep_state=False)
        yield system


def doctor(
    system: World, state: Path, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit code, and the findings by check."""
    base = f"127.0.0.1:{system.mock_port}"
    given = {
        "exchange.rest_url": f"http://{base}",
        "exchange.stream_url": f"ws://{base}",
        "exchange.websocket_api_url": f"ws://{base}/ws-api/v3",
        "exchange.api_key": "K1",
        "exchange.api_secret": "S1",
        "state_dir": str(state),
        "control.port": str(free_port()),
        "networks.bundle": str(BUNDLE),
        **settings,
    }
    monkeypatch.chdir(system.folder)
    arguments = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    document = json.loads(done.stdout)
    findings: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        findings.setdefault(finding["check"], []).append(finding)
        assert finding["status"] == "ok" or finding["remedy"], finding
    assert (done.exit_code == 1) == (document["status"] == "fail"), document
    return done.exit_code, findings


def bad(findings: dict[str, list[dict[str, Any]]]) -> set[tuple[str, str]]:
    return {(check, each["status"]) for check, lines in findings.items() for each in lines if each["status"] != "ok"}


def test_a_sound_installation(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, findings = doctor(venue, tmp_path / "state", monkeypatch, symbols="BTCUSDT,ETHUSDT")
    expected = set()
    if shutil.disk_usage(tmp_path).free < LITTLE_ROOM_BYTES:
        expected.add(("disk", "warn"))
    assert (code, bad(findings) - {("latency", "warn")} - {("bundle", "warn")}) == (0, expected), findings
    assert set(findings) == {
        "settings", "state folder", "disk", "halt latch", "checkpoint", "control port",
        "core", "runtime", "bundle", "latency", "clock",
        "filters", "keys", "balances", "fees",
    }  # fmt: skip
    assert len(findings["filters"]) == len(findings["fees"]) == 2
    assert {line["detail"].split()[1] for line in findings["balances"]} == {"BTC", "ETH", "USDT"}
    assert not list((tmp_path / "state").glob(".doctor*")), "it leaves nothing behind"


@pytest.mark.parametrize(
    ("settings", "wrong", "said"),
    [
        ({"exchange.api_secret": "wrong"}, ("keys", "fail"), "-1022"),
        ({"exchange.api_key": "nobody"}, ("keys", "fail"), "refused"),
        ({"exchange.api_secret": ""}, ("keys", "fail"), "no key to sign with"),
        ({"symbols": "BTCUSDT,NOPEUSDT"}, ("filters", "fail"), "NOPEUSDT"),
        ({"risk.max_order_notional": "1"}, ("filters", "fail"), "least order 5"),
        ({"exchange.rest_url": "http://127.0.0.1:1"}, ("venue", "fail"), "does not answer"),
        ({"networks.bundle": "/no/such/bundle"}, ("bundle", "fail"), "/no/such/bundle"),
        ({"networks.runtime": "tflite-runtime"}, ("runtime", "fail"), "tflite"),
        ({"recording.folder": "/proc/recordings"}, ("recording", "fail"), "/proc/recordings"),
        ({"risk.max_daily_loss": "-1"}, ("settings", "fail"), "max_daily_loss"),
        ({"risk.max_dayly_loss": "1"}, ("settings", "fail"), "did you mean"),
        ({"state_dir": "/proc/state"}, ("state folder", "fail"), "/proc/state"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_wrong_fails_and_says_what_to_do(
    venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], wrong: tuple[str, str], said: str
) -> None:
    code, findings = doctor(venue, tmp_path / "state", monkeypatch, **settings)
    assert code == 1
    assert wrong in bad(findings), findings
    assert any(said in line["detail"] for line in findings[wrong[0]]), findings[wrong[0]]


def test_a_spoilt_bundle_and_a_spoilt_checkpoint(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(BUNDLE, copy)
    graph = next(copy.glob("*.tflite"))
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(bytes(content))
    state = tmp_path / "state"
    state.mkdir()
    (state / "ledger.json").write_text("{}")
    code, findings = doctor(venue, state, monkeypatch, **{"networks.bundle": str(copy)})
    assert code == 1
    assert bad(findings) >= {("bundle", "fail"), ("checkpoint", "fail")}


def test_a_latched_halt_and_a_halt_file_are_warned_of(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir()
    HaltFile(state).write(HaltRecord(halted=True, reason="drill", actor="test", time_ns=1_700_000_000_000_000_000))
    (state / "HALT").write_text("stop")
    code, findings = doctor(venue, state, monkeypatch)
    assert code == 0
    assert [line["status"] for line in findings["halt latch"]] == ["warn", "warn"]
    assert "drill" in findings["halt latch"][1]["detail"]


def test_lines_for_people(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["doctor", "--set", "exchange.rest_url=http://127.0.0.1:1", "--set", f"state_dir={tmp_path}"])
    assert done.exit_code == 1
    assert "→" in done.output
    assert "fail venue" in done.output
    assert CliRunner().invoke(app, ["doctor", "--set", "nonsense"]).exit_code == 1


def test_the_futures_of_the_same_exchange(venue: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"ws://127.0.0.1:{venue.mock_port}"
    urls = {"exchange.stream_url": f"{base}/fstream", "exchange.websocket_api_url": f"{base}/ws-fapi/v1"}
    code, findings = doctor(venue, tmp_path / "futures", monkeypatch, venue="binance-usdm", **urls)
    assert code == 0, findings
    assert findings["mode"][0]["detail"] == "the account is in one-way mode"
    assert findings["balances"][0]["detail"] == "100000 USDT"
    assert "maker 2" in findings["fees"][0]["detail"]
