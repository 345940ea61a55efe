"""`mmd run` in mode live, with every address on the mock exchange: what it refuses, and what it takes to be let through."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mmd.daemon.mock_child import MockChild
from mmd.exchanges.settings import LIVE_CONFIRMATION
from mmd.inference.bundle import write_card
from mmd.inference.card import Stage, decode_card
from tests.acceptance.processes import clean_environment, free_port

BUNDLE = Path("models/quote-v1")


class Room:
    """`mmd mock`, and `mmd run` on it for two seconds."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder = folder
        self._urls = urls

    def run(self, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(
            PYTHONPATH=str(Path.cwd()),
            MMD_MODE="live",
            MMD_EXCHANGE__REST_URL=self._urls["rest"],
            MMD_EXCHANGE__STREAM_URL=self._urls["stream"],
            MMD_EXCHANGE__WEBSOCKET_API_URL=self._urls["websocket_api"],
            MMD_EXCHANGE__API_KEY="K1",
            MMD_EXCHANGE__API_SECRET="S1",
            MMD_CONTROL__PORT=str(free_port()),
            MMD_STATE_DIR=str(self.folder / "state"),
            **settings,
        )
        command = [sys.executable, "-m", "mmd.cli", "run", "--seconds", "2", "--json"]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def bundle(self, stage: Stage) -> str:
        copied = self.folder / f"bundle-{stage}"
        shutil.copytree(BUNDLE, copied)
        card = decode_card((copied / "card.json").read_bytes(), "the copy")
        write_card(copied, msgspec.structs.replace(card, stage=stage))
        return str(copied)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with MockChild(["--symbols", "BTCUSDT"], log_file=tmp_path / "mock.log") as venue:
        yield Room(tmp_path, venue.urls)


def test_live_trades_only_confirmed_and_promoted(room: Room) -> None:
    confirmed = {"MMD_EXCHANGE__LIVE_CONFIRMATION": LIVE_CONFIRMATION}
    paper = room.bundle("paper")
    below = room.run(**confirmed, MMD_NETWORKS__BUNDLE=paper)
    assert below.returncode == 1
    assert "is at stage paper, but mode live asks for stage live" in below.stderr
    assert "mmd promote" in below.stderr
    promoted = room.run(**confirmed, MMD_NETWORKS__BUNDLE=room.bundle("live"))
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["ticks"] > 0
    assert "UNPROMOTED" not in promoted.stderr


def test_a_strategy_without_networks_must_be_named_too(room: Room) -> None:
    settings = {"MMD_EXCHANGE__LIVE_CONFIRMATION": LIVE_CONFIRMATION, "MMD_QUOTING__STRATEGY": "fixed"}
    refused = room.run(**settings)
    assert refused.returncode == 1
    assert "mode live needs a promoted bundle, and strategy fixed uses none" in refused.stderr
    named = room.run(**settings, MMD_NETWORKS__ACCEPT_UNPROMOTED="fixed", MMD_GUARD__REQUIRED="false")
    assert named.returncode == 0, named.stderr
    assert "TRADING LIVE WITHOUT A PROMOTED BUNDLE" in named.stderr
    assert json.loads(named.stdout)["orders_sent"] > 0


def test_live_sends_nothing_without_a_guard(room: Room) -> None:
    named = {"MMD_QUOTING__STRATEGY": "fixed", "MMD_NETWORKS__ACCEPT_UNPROMOTED": "fixed"}
    unguarded = room.run(MMD_EXCHANGE__LIVE_CONFIRMATION=LIVE_CONFIRMATION, **named)
    assert unguarded.returncode == 0, unguarded.stderr
    summary = json.loads(unguarded.stdout)
    assert summary["orders_sent"] == 0
    assert summary["pauses"]["guard_lost"] == 1
