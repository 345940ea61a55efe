"""State machines of hypothesis: the latch over crashes and full disks, the ledger over streams and lists, one order's life, and a
book kept from two streams. Each beside a plain model of what must be true."""

from __future__ import annotations

import json
from random import Random
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmd.daemon.halt_file import HaltFile
from mmd.execution.ledger import PositionLedger, balance_changes
from mmd.execution.order_state import OPEN_STATES, OrderState, OrderTrigger, transition
from mmd.market.book import OrderBook
from mmd.risk.latch import HaltLatch
from mmd.simulation.disk import SimulatedDisk, disks_in_memory
from mmd.types.control import HaltRecord
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Side, TouchUpdate
from mmd.types.orders import Fill
from tests.property.test_book import Exchange

INSTRUMENT = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001")
QUICK = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Latch(RuleBasedStateMachine):
    """In memory and on disk: what was written once outlives everything until somebody resumes."""

    def __init__(self) -> None:
        super().__init__()
        self.store = SimulatedDisk(Random(1))
        self.disk_is_full = False
        self.store.full = lambda: self.disk_is_full
        self.now = 0
        self.written: HaltRecord | None = None
        self._start()

    def _file(self) -> HaltFile:
        return HaltFile(cast(Any, self.store.directory))

    def _start(self) -> None:
        self.latch = HaltLatch(self._file().read(self.now))

    def _write(self, record: HaltRecord) -> None:
        with disks_in_memory():
            try:
                self._file().write(record)
            except OSError:
                return
        self.written = record

    @rule(reason=st.sampled_from(["", "loss", "a person"]))
    def halt(self, reason: str) -> None:
        self.now += 1
        was = self.latch.record
        record = self.latch.halt(reason, "core", self.now)
        assert self.latch.halted
        assert (record is None) is was.halted
        if record is None:
            assert self.latch.record is was
        else:
            assert record.reason
            self._write(record)

    @precondition(lambda self: self.latch.halted)
    @rule()
    def resume(self) -> None:
        self.now += 1
        self._write(self.latch.resume("looked into", "cli", self.now))
        assert not self.latch.halted

    @rule()
    def another_process_latches(self) -> None:
        self.now += 1
        record = HaltRecord(halted=True, reason="silent", actor="guard", time_ns=self.now)
        file = self._file()
        with disks_in_memory():
            try:
                standing = file.latch(record)
            except OSError:
                return
        # The first cause is kept.
        assert standing == (self.written if self.written is not None and self.written.halted else record)
        self.written = standing

    @rule(full=st.booleans())
    def room_on_disk(self, full: bool) -> None:
        self.disk_is_full = full

    @rule(power=st.booleans())
    def crash(self, power: bool) -> None:
        if power:
            self.store.lose_power()
        self._start()

    @invariant()
    def what_lies_there_is_what_was_written(self) -> None:
        assert self._file().read(self.now) == self.written


class Ledger(RuleBasedStateMachine):
    """Fills told by a stream that loses, repeats and disorders, and by the exchange's list; checkpoints at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = PositionLedger(INSTRUMENT)
        self.fills: list[Fill] = []
        self.booked: set[int] = set()
        self.kept = self.ledger.state()
        self.kept_booked: set[int] = set()

    @rule(
        side=st.sampled_from(Side),
        price=st.integers(1, 10**7),
        lots=st.integers(1, 10**5),
        fee=st.integers(-50, 50),
        asset=st.sampled_from(["BTC", "USDT", "BNB"]),
    )
    def trade(self, side: Side, price: int, lots: int, fee: int, asset: str) -> None:
        number = len(self.fills) + 1
        self.fills.append(Fill(number, "BTCUSDT", number, "mmd-e-1", 1, side, price, lots, fee, asset, True, number))

    @precondition(lambda self: self.fills)
    @rule(data=st.data())
    def stream(self, data: st.DataObject) -> None:
        fill = data.draw(st.sampled_from(self.fills))
        assert self.ledger.book(fill) is (fill.trade_id not in self.booked)
        self.booked.add(fill.trade_id)

    @rule()
    def compare_with_the_list(self) -> None:
        after = self.ledger.reconciled_trade_id
        for fill in self.fills:
            if fill.trade_id > after and not self.ledger.seen(fill.trade_id):
                assert self.ledger.book(fill)
                self.booked.add(fill.trade_id)
        assert self.booked == {fill.trade_id for fill in self.fills}
        if self.fills:
            self.ledger.reconciled_to(self.fills[-1].trade_id)

    @rule()
    def checkpoint(self) -> None:
        self.kept = json.loads(json.dumps(self.ledger.state()))
        self.kept_booked = set(self.booked)

    @rule()
    def restart(self) -> None:
        self.ledger = PositionLedger(INSTRUMENT)
        self.ledger.restore(self.kept)
        self.booked = set(self.kept_booked)

    @invariant()
    def position_and_cash_are_what_was_booked(self) -> None:
        base = quote = 0
        for fill in self.fills:
            if fill.trade_id in self.booked:
                changes = balance_changes(fill, INSTRUMENT)
                base += changes.get("BTC", 0)
                quote += changes.get("USDT", 0)
        assert (self.ledger.position_atoms, self.ledger.cash_atoms) == (base, quote)


class OrderLife(RuleBasedStateMachine):
    """One order: what the exchange truly holds, and what we believe by its messages, late, repeated or lost."""

    def __init__(self) -> None:
        super().__init__()
        self.state = OrderState.PENDING_NEW
        self.is_open = False
        self.over: OrderTrigger | None = None
        self.said: list[OrderTrigger] = []

    @precondition(lambda self: not self.is_open and self.over is None)
    @rule()
    def arrives(self) -> None:
        self.is_open = True
        self.said += [OrderTrigger.ACCEPTED, OrderTrigger.OPEN]

    @precondition(lambda self: not self.is_open and self.over is None)
    @rule()
    def is_refused(self) -> None:
        self.over = OrderTrigger.REJECTED
        self.said.append(OrderTrigger.REJECTED)

    @precondition(lambda self: self.is_open)
    @rule(end=st.sampled_from([OrderTrigger.FILLED, OrderTrigger.CANCELED, OrderTrigger.EXPIRED]))
    def ends(self, end: OrderTrigger) -> None:
        self.is_open, self.over = False, end
        self.said.append(end)

    @precondition(lambda self: self.is_open)
    @rule()
    def trades(self) -> None:
        self.said.append(OrderTrigger.TRADED)

    @precondition(lambda self: self.state in OPEN_STATES)
    @rule()
    def we_cancel(self) -> None:
        self.state = transition(self.state, OrderTrigger.SEND_CANCEL)

    @rule(what=st.sampled_from([OrderTrigger.LOSE, OrderTrigger.CANCEL_REJECTED, OrderTrigger.UNLISTED]))
    def nothing_is_known(self, what: OrderTrigger) -> None:
        was = self.state
        self.state = transition(was, what)
        # No silence, no refusal of a cancel and no list ends an order, or brings one back.
        assert (self.state in OPEN_STATES) is (was in OPEN_STATES)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def we_hear(self, data: st.DataObject) -> None:
        """Anything that was ever said, in any order, as often as it likes."""
        self.state = transition(self.state, data.draw(st.sampled_from(self.said)))

    @invariant()
    def what_can_trade_counts(self) -> None:
        if self.is_open:
            assert self.state in OPEN_STATES
        if self.state is OrderState.FILLED:
            assert self.over is OrderTrigger.FILLED


class BookSync(RuleBasedStateMachine):
    """Diffs and touches that are lost, late or repeated, snapshots of any age, disconnects: valid means true."""

    @initialize(futures=st.booleans())
    def begin(self, futures: bool) -> None:
        self.exchange = Exchange(futures)
        self.book = OrderBook("BTCUSDT")
        self.diffs: list[DepthUpdate] = []
        self.touches: list[TouchUpdate] = []
        self.snapshots: list[DepthSnapshot] = []
        self.now = 1

    @rule(side=st.sampled_from(Side), price=st.integers(90, 110), lots=st.integers(0, 5))
    def change(self, side: Side, price: int, lots: int) -> None:
        self.exchange.change(side, price, lots)
        bids, asks = self.exchange.sides()
        if bids and asks:
            self.touches.append(TouchUpdate("BTCUSDT", 0, 0, self.exchange.update_id, *bids[0], *asks[0]))

    @rule()
    def diff(self) -> None:
        diff = self.exchange.diff()
        if diff is not None:
            self.diffs.append(diff)

    @rule()
    def snapshot(self) -> None:
        bids, asks = self.exchange.sides()
        self.snapshots.append(DepthSnapshot("BTCUSDT", 0, self.exchange.update_id, tuple(bids), tuple(asks)))

    @precondition(lambda self: self.diffs)
    @rule(back=st.integers(0, 2))
    def hear_diff(self, back: int) -> None:
        self.book.on_depth_update(self.diffs[max(0, len(self.diffs) - 1 - back)])

    @precondition(lambda self: self.touches)
    @rule(back=st.integers(0, 3))
    def hear_touch(self, back: int) -> None:
        self.book.on_touch_update(self.touches[max(0, len(self.touches) - 1 - back)])

    @precondition(lambda self: self.snapshots)
    @rule(back=st.integers(0, 2))
    def hear_snapshot(self, back: int) -> None:
        self.book.on_depth_snapshot(self.snapshots[max(0, len(self.snapshots) - 1 - back)])

    @rule()
    def disconnect(self) -> None:
        self.book.invalidate("cut")
        assert not self.book.valid

    @invariant()
    def valid_means_true(self) -> None:
        book = self.book
        if not book.valid:
            return
        assert book.touch_update_id >= book.update_id > NO_UPDATE_ID
        bids, asks = self.exchange.history[book.touch_update_id]
        assert (book.bid_ticks, book.bid_lots) == bids[0]
        assert (book.ask_ticks, book.ask_lots) == asks[0]
        assert book.bid_ticks < book.ask_ticks


TestLatch = Latch.TestCase
TestLedger = Ledger.TestCase
TestOrderLife = OrderLife.TestCase
TestBookSync = BookSync.TestCase
for _case in (TestLatch, TestLedger, TestOrderLife, TestBookSync):
    _case.settings = QUICK
