"""The exchange's state files under crash after crash, without sockets: as short as ever, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmd.mock.engine import MatchingEngine, NewOrder, OrderType, TimeInForce
from mmd.mock.instruments import listed
from mmd.mock.server import state_store
from mmd.mock.server.state_store import StateStore
from mmd.types.instrument import atoms
from mmd.types.market import Side

HISTORY = 20
CRASHES = 100


class Life:
    """One process: what it finds in the directory, and orders that it takes. It ends without a word."""

    def __init__(self, directory: Path, interval: float = 1_000.0) -> None:
        self.store = StateStore(directory, interval)
        saved = self.store.load()
        instruments = listed(("BTCUSDT",))
        if saved is None:
            self.engine = MatchingEngine(instruments, history_limit=HISTORY)
            self.engine.open_account("K1", {"USDT": atoms("1000000"), "BTC": atoms("10")})
        else:
            self.engine = MatchingEngine.restore(saved, instruments, history_limit=HISTORY)

    def begin(self) -> Life:
        self.store.begin(self.engine)
        return self

    def place(self, client_order_id: str) -> int:
        new = NewOrder("K1", "BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1_000_000, 100, 0, client_order_id)
        order, events = self.engine.place(new, 1)
        self.store.record(self.engine, events)
        return order.order_id

    def cancel(self, client_order_id: str) -> None:
        _, events = self.engine.cancel("K1", "BTCUSDT", client_order_id=client_order_id, now_ns=2)
        self.store.record(self.engine, events)

    def crash(self) -> None:
        self.store.abandon()


def journal_bytes(directory: Path) -> int:
    return max(path.stat().st_size for path in directory.glob("journal-*"))


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_a_hundred_crashes_lose_nothing_and_make_no_file_longer(tmp_path: Path) -> None:
    life = Life(tmp_path).begin()
    life.place("kept")
    sizes: list[int] = []
    ids = [0]
    for crash in range(CRASHES):
        ids.append(life.place(f"order-{crash}"))
        life.cancel(f"order-{crash}")
        life.crash()
        life = Life(tmp_path).begin()
        assert [order.client_order_id for order in life.engine.open_orders("K1")] == ["kept"]
        newest = life.engine.find_order("K1", "BTCUSDT", client_order_id=f"order-{crash}")
        assert newest.order_id == ids[-1] > ids[-2]
        assert len(list(tmp_path.glob("journal-*"))) == 1
        sizes.append(size(tmp_path))
    # Ids grow by some digits; the history is full after its limit.
    assert sizes[-1] < sizes[HISTORY] * 1.2
    assert len(life.engine.orders("K1", "BTCUSDT")) == HISTORY + 1


def test_a_crash_before_the_first_checkpoint_of_a_start_keeps_what_the_journals_hold(tmp_path: Path) -> None:
    life = Life(tmp_path).begin()
    life.place("kept")
    life.crash()
    for _ in range(5):
        # It dies after it has turned to a new journal, and before its checkpoint is on disk.
        doomed = Life(tmp_path)
        doomed.store._rotate(doomed.engine, clean=False)
        doomed.place(f"more-{_}")
        doomed.crash()
    life = Life(tmp_path).begin()
    names = {order.client_order_id for order in life.engine.open_orders("K1")}
    assert names == {"kept", *(f"more-{n}" for n in range(5))}
    assert len(list(tmp_path.glob("journal-*"))) == 1


async def test_a_long_journal_is_due_for_a_checkpoint_whatever_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "_JOURNAL_BYTES", 2_000)
    life = Life(tmp_path).begin()
    longest = 0
    for number in range(50):
        life.place(f"order-{number}")
        life.cancel(f"order-{number}")
        longest = max(longest, journal_bytes(tmp_path))
        await life.store.checkpoint_if_due(life.engine)
    assert 2_000 <= longest < 4_000
    life.crash()
    assert len(Life(tmp_path).engine.orders("K1", "BTCUSDT")) == HISTORY
