"""Documents with external signals, from the control port and from a file: taken whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mmd.daemon.signal_feed import SignalFeed, SignalSettings
from mmd.market.signals import ExternalSignal, SignalError
from tests.integration.daemon.test_control_port import port_of
from tests.unit.daemon.tiny_core import Desk

NOW_NS = 1_800_000_000_000_000_000


class Heard:
    def __init__(self, **settings: Any) -> None:
        self.signals: list[ExternalSignal] = []
        self.coming: asyncio.Queue[ExternalSignal] = asyncio.Queue()
        self.feed = SignalFeed(SignalSettings(**settings), dispatch=self.take, clock_ns=lambda: NOW_NS)

    def take(self, signal: ExternalSignal) -> None:
        self.signals.append(signal)
        self.coming.put_nowait(signal)


def test_a_document_brings_its_signals_with_their_life() -> None:
    heard = Heard(life_seconds=30)
    assert heard.feed.take({"news_sentiment": -0.4, "macro_risk": "0.2", "life_seconds": 600}) == 2
    assert heard.feed.take({"macro_risk": 1}) == 1
    assert [(s.name, s.value, s.life_ns) for s in heard.signals] == [
        ("news_sentiment", -0.4, 600 * 10**9),
        ("macro_risk", 0.2, 600 * 10**9),
        ("macro_risk", 1.0, 30 * 10**9),
    ]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "no signal in it"),
        ({"life_seconds": 5}, "no signal in it"),
        ({"news_sentiment": 0.1, "macro_risk": 7}, "from 0 to 1"),
        ({"news_sentiment": True}, "expected a number"),
        ({"news_sentiment": [0.1]}, "expected a number"),
        ({"newssentiment": 0.1}, "unknown field 'newssentiment'"),
        ({"news_sentiment": 0.1, "life_seconds": "soon"}, "expected a number"),
    ],
)
def test_of_a_document_that_makes_no_sense_nothing_counts(document: dict[str, Any], why: str) -> None:
    heard = Heard()
    with pytest.raises(SignalError, match=why):
        heard.feed.take(document)
    assert heard.signals == []
    assert heard.feed.refused == 1


async def test_a_file_is_read_each_time_it_is_written_and_lives_from_then(tmp_path: Path) -> None:
    file = tmp_path / "signals.json"
    heard = Heard(file=file, poll_seconds=0.005)
    watching = asyncio.create_task(heard.feed.watch_file())
    for number, value in enumerate((0.1, 0.2)):
        written_ns = NOW_NS - (10 - number) * 10**9
        fresh = tmp_path / "fresh"
        fresh.write_text(json.dumps({"macro_risk": value}))
        os.utime(fresh, ns=(written_ns, written_ns))
        fresh.replace(file)
        signal = await asyncio.wait_for(heard.coming.get(), 10)
        assert (signal.name, signal.value, signal.receive_ns) == ("macro_risk", value, written_ns)
    watching.cancel()


async def test_a_file_that_makes_no_sense_is_counted_once_and_the_next_one_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "signals.json"
    heard = Heard(file=file)
    await heard.feed._look(file)
    assert heard.feed.refused == 0, "no file is no mistake"
    for wrong in ("{", "[]", '{"macro_risk": 9}'):
        file.write_text(wrong)
        os.utime(file, ns=(NOW_NS, NOW_NS))
        before = heard.feed.refused
        heard.feed._written_ns = 0
        await heard.feed._look(file)
        await heard.feed._look(file)
        assert heard.feed.refused == before + 1, wrong
    file.write_text('{"macro_risk": 0.3}')
    await heard.feed._look(file)
    assert [signal.value for signal in heard.signals] == [0.3]


async def test_the_control_port_takes_them_and_says_what_is_wrong(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session):
        async with session.post("/signals", json={"news_sentiment": 0.5, "life_seconds": 60}) as answer:
            assert (answer.status, await answer.json()) == (200, {"taken": 1})
        async with session.post("/signals", json={"news_sentiment": 5}) as answer:
            assert answer.status == 400
            assert "from -1 to 1" in (await answer.json())["error"]
        async with session.get("/metrics") as answer:
            assert "mmd_signals_refused_total 1.0" in await answer.text()
    (event,) = [event for event in desk.core.events if isinstance(event, ExternalSignal)]
    assert (event.name, event.value) == ("news_sentiment", 0.5)
