"""Other networks in a running daemon: swapped in and rolled back over HTTP while it quotes; what must not serve changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp

from mmd.exchanges.settings import LIVE_CONFIRMATION
from mmd.mock.server import MockConfig, MockExchange
from tests.integration.daemon.test_daemon_on_mock import Running, daemon_on, settings_for

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"


def renamed(folder: Path, name: str, stage: str = "none") -> Path:
    copy = Path(shutil.copytree(SHIPPED, folder / name))
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "name": name, "stage": stage}))
    return copy


async def state(running: Running) -> Any:
    return (await running.ask("GET", "/state"))[1]


async def quoting_on_the_network(running: Running) -> None:
    await running.quoting()
    while True:
        symbol = (await state(running))["trader"]["symbols"][0]
        if symbol["quote"] is not None and symbol["quote"]["source"] == "neural":
            return


async def test_networks_are_swapped_and_rolled_back_while_quoting(tmp_path: Path) -> None:
    other = renamed(tmp_path, "other")
    config = MockConfig(symbols=("BTCUSDT",), speed=20.0)
    async with (
        MockExchange(config) as venue,
        daemon_on(venue, tmp_path / "state", quoting={"strategy": "neural"}, networks={"bundle": str(SHIPPED)}) as running,
    ):
        await quoting_on_the_network(running)
        before = await state(running)
        assert before["networks"]["current"]["name"] == "quote-v1"
        assert before["networks"]["previous"] is None

        status, document = await running.ask("POST", "/models", use=str(other))
        assert (status, document["current"]["name"], document["previous"]["name"]) == (200, "other", "quote-v1")
        await quoting_on_the_network(running)
        after = await state(running)
        assert after["networks"]["swaps"] == 1
        assert not after["trader"]["halt"]["halted"]
        assert after["trader"]["pause_counts"] == before["trader"]["pause_counts"], "a swap pauses nothing"

        async with aiohttp.ClientSession(await running.url()) as session, session.get("/metrics") as answer:
            assert 'mmd_networks_info{digest="' in (metrics := await answer.text())
            assert 'name="other"' in metrics

        status, document = await running.ask("POST", "/models", challenger=str(SHIPPED))
        assert (status, document["challenger"]["name"]) == (200, "quote-v1")
        while not (shadow := (await state(running))["trader"]["shadow"]) or not shadow[1]["quotes"]:
            assert not running.task.done()
        assert [(line["who"], line["bundle"]) for line in shadow] == [("champion", "other"), ("challenger", "quote-v1")]
        assert (await running.ask("POST", "/models", challenger="none"))[1]["challenger"] is None

        status, document = await running.ask("POST", "/models", rollback=True)
        assert (status, document["current"]["name"], document["previous"]["name"]) == (200, "quote-v1", "other")
        await quoting_on_the_network(running)
        assert (await running.leave()).exit_code == 0


async def test_what_must_not_serve_leaves_the_old_networks_at_work(tmp_path: Path) -> None:
    poisoned = renamed(tmp_path, "poisoned")
    (poisoned / "step_int8.tflite").write_bytes(b"\0" * 1000)
    config = MockConfig(symbols=("BTCUSDT",), speed=20.0)
    async with (
        MockExchange(config) as venue,
        daemon_on(venue, tmp_path / "state", quoting={"strategy": "neural"}, networks={"bundle": str(SHIPPED)}) as running,
    ):
        await quoting_on_the_network(running)
        for body, wanted, why in (
            ({"use": str(poisoned)}, 409, "SHA-256"),
            ({"use": "nowhere"}, 409, "no bundle at"),
            ({"rollback": True}, 409, "nothing to roll back to"),
            ({}, 400, "say one of"),
            ({"use": "a", "rollback": True}, 400, "say one of"),
        ):
            status, document = await running.ask("POST", "/models", **body)
            assert (status, why in document["error"]) == (wanted, True), document
        now = await state(running)
        assert (now["networks"]["current"]["name"], now["networks"]["swaps"]) == ("quote-v1", 0)
        await quoting_on_the_network(running)
        await running.leave()


async def test_a_daemon_without_networks_takes_none(tmp_path: Path) -> None:
    async with MockExchange(MockConfig(symbols=("BTCUSDT",))) as venue, daemon_on(venue, tmp_path) as running:
        await running.quoting()
        status, document = await running.ask("POST", "/models", use=str(SHIPPED))
        assert status == 409
        assert "quotes without networks" in document["error"]
        assert (await running.ask("GET", "/models"))[1] == {"current": None, "previous": None, "challenger": None, "swaps": 0}
        await running.leave()


async def test_live_an_unpromoted_bundle_is_not_swapped_in(tmp_path: Path) -> None:
    promoted, unpromoted = renamed(tmp_path, "promoted", "live"), renamed(tmp_path, "unpromoted", "paper")
    async with MockExchange(MockConfig(symbols=("BTCUSDT",))) as venue:
        exchange = settings_for(venue, tmp_path).exchange.model_dump(exclude_unset=True)
        live = {**exchange, "profile": "live", "live_confirmation": LIVE_CONFIRMATION, "announcements": False}
        quoting, networks = {"strategy": "neural"}, {"bundle": str(promoted)}
        async with daemon_on(venue, tmp_path / "state", exchange=live, quoting=quoting, networks=networks) as running:
            status, document = await running.ask("POST", "/models", use=str(unpromoted))
            assert status == 409
            assert "is at stage paper, but mode live asks for stage live" in document["error"]
            assert (await state(running))["networks"]["current"]["name"] == "promoted"
            await running.leave()
