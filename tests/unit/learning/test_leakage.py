"""Leaks: no input knows the future, an input that does is caught, and shuffled labels leave nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.inference.runtime import LITERT, load_runtime
from mmd.learning.architecture import QuoteSizes
from mmd.learning.dataset import TEST, TRAIN, VALIDATION, Dataset
from mmd.learning.evaluation import by_series, ic, joined, serve
from mmd.learning.export import Form, export_step
from mmd.learning.leakage import leaking_columns
from mmd.learning.sessions import Integers, Rows, Session, SessionRecorder
from mmd.learning.sources import simulated_events
from mmd.learning.training import train
from mmd.market.feature_table import MARKET_NAMES
from mmd.recording.events import MarketEvent
from mmd.types.market import TouchUpdate
from tests.unit.learning.small_network import TRAINING, small_dataset

pytestmark = pytest.mark.training

SHARE = 3 / 4
PRICE_CLIMB = 40


def recorded(events: Sequence[MarketEvent]) -> Session:
    recorder = SessionRecorder("leak", "BTCUSDT", 1.0, min_rows=1)
    sessions = [session for event in events if (session := recorder.on_event(event)) is not None]
    last = recorder.finish()
    return sessions[0] if last is None else [*sessions, last][0]


def honest(events: Sequence[MarketEvent]) -> tuple[Integers, Rows]:
    session = recorded(events)
    return session.receive_ns, session.market


def peeking(events: Sequence[MarketEvent]) -> tuple[Integers, Rows]:
    """One column more: what the mid will have done a second later."""
    session = recorded(events)
    later = np.searchsorted(session.receive_ns, session.receive_ns + 1_000_000_000, side="right") - 1
    ahead = (session.mid_ticks[later] - session.mid_ticks)[:, None]
    return session.receive_ns, np.concatenate([session.market, ahead.astype(np.float32)], axis=1)


def averaging(events: Sequence[MarketEvent]) -> tuple[Integers, Rows]:
    """One column normalised by the deviation of the whole session: a leak that no shift of time shows."""
    session = recorded(events)
    rows = session.market.copy()
    rows[:, 5] = rows[:, 5] / (session.mid_ticks.std() or 1.0)
    return session.receive_ns, rows


@pytest.fixture(scope="module")
def past_and_futures() -> tuple[list[MarketEvent], list[list[MarketEvent]]]:
    events = list(simulated_events(2, 45.0, "BTCUSDT"))
    cut = int(len(events) * SHARE)
    past, future = events[:cut], events[cut:]

    def climbing(event: MarketEvent) -> MarketEvent:
        if not isinstance(event, TouchUpdate):
            return event
        higher = event.bid_ticks + PRICE_CLIMB, event.ask_ticks + PRICE_CLIMB
        return msgspec.structs.replace(event, bid_ticks=higher[0], ask_ticks=higher[1])

    return past, [future, [climbing(event) for event in future if isinstance(event, TouchUpdate)]]


def test_no_feature_knows_the_future(past_and_futures: tuple[list[MarketEvent], list[list[MarketEvent]]]) -> None:
    assert leaking_columns(honest, *past_and_futures) == set()


def test_a_feature_from_the_future_is_caught(past_and_futures: tuple[list[MarketEvent], list[list[MarketEvent]]]) -> None:
    assert leaking_columns(peeking, *past_and_futures) == {len(MARKET_NAMES)}
    assert leaking_columns(averaging, *past_and_futures) == {5}


def test_rows_that_come_or_go_with_the_future_are_told(past_and_futures: tuple[list[MarketEvent], list[list[MarketEvent]]]) -> None:
    past, futures = past_and_futures

    def thinned(events: Sequence[MarketEvent]) -> tuple[Integers, Rows]:
        times, rows = honest(events)
        step = 2 if len(events) > len(past) + len(futures[0]) - 5 else 1
        return times[::step], rows[::step]

    with pytest.raises(ValueError, match="number of rows"):
        leaking_columns(thinned, past, futures)
    with pytest.raises(ValueError, match="two"):
        leaking_columns(honest, past, futures[:1])


def shuffled(dataset: Dataset) -> Dataset:
    """Price labels of training and validation dealt anew among the rows of their session."""
    rng = np.random.default_rng(3)
    parts = {
        name: [
            replace(part, labels=replace(part.labels, price_change=rng.permutation(part.labels.price_change))) for part in of_split
        ]
        if name in (TRAIN, VALIDATION)
        else of_split
        for name, of_split in dataset.parts.items()
    }
    return replace(dataset, parts=parts)


@pytest.mark.timeout(400)
def test_shuffled_labels_give_chance_and_the_true_ones_do_not(tmp_path: Path) -> None:
    dataset = small_dataset()
    sizes = QuoteSizes(lstm_1=0, lstm_2=0, shared_1=32, shared_2=16, branch=8, skip=True)
    settings = TRAINING.model_copy(update={"epochs": 2, "learning_rate": 5e-3})
    ics = {}
    for name, data in (("true", dataset), ("shuffled", shuffled(dataset))):
        weights, _ = train(data, settings, tmp_path / name, sizes=sizes)
        session = load_runtime(LITERT).load(export_step(weights, Form.FLOAT32))
        served = by_series(serve(session, part, 20) for part in dataset.parts[TEST])
        ics[name] = float(np.mean([ic(joined(parts, "price"), joined(parts, "move")) for parts in served.values()]))
    assert ics["true"] > 0.4
    assert abs(ics["shuffled"]) < 0.15
