"""Exposure is never under-counted, and in the end we agree with the venue, whatever the lines between us did."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.execution.order_state import OrderState
from mmd.execution.settings import ExecutionSettings
from mmd.execution.tracker import OrderTracker
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    ClockSync,
    Fill,
    ModifyOrder,
    OrderChannelStatus,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
)
from tests.property.execution.unreliable_venue import MS, SYMBOL, UnreliableVenue

START = 1_700_000_000_000 * MS


class Story:
    """We, the venue, and the lines between. Every step is checked."""

    def __init__(self, clock_error_ms: int) -> None:
        self.clock_error_ms = clock_error_ms
        self.venue = UnreliableVenue(START, offset_ms=250)
        self.tracker = OrderTracker(ExecutionSettings(), prefix="mmd", session_epoch="e1")
        self.delivered: set[int] = set()
        self.reports: list[ReconciliationReport] = []
        self._measure_clock()

    def _measure_clock(self) -> None:
        self.offset_ms = self.venue.offset_ms + self.clock_error_ms
        self.tracker.on_event(ClockSync(self.venue.now_ns, self.offset_ms * MS, 0))

    def tell(self, event: object) -> None:
        """The tracker hears something."""
        if isinstance(event, Fill):
            self.delivered.add(event.trade_id)
        self.tracker.on_event(event)

    def send(self, command: PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder) -> None:
        self.tracker.on_sent(command)
        self.venue.in_flight.append((command.decided_ns // MS + self.offset_ms, command))

    # ---- steps

    def step(self, kind: str, index: int, lots: int) -> None:
        venue, tracker, now = self.venue, self.tracker, self.venue.now_ns
        side = Side.BUY if index % 2 else Side.SELL
        working = tracker.working(SYMBOL)
        order = working[index % len(working)] if working else None
        if kind == "place" and len(working) < 2:
            self.send(PlaceOrder(now, tracker.next_client_order_id(), SYMBOL, side, 100, lots))
        elif kind == "cancel" and order:
            self.send(CancelOrder(now, order.client_order_id, SYMBOL))
        elif kind == "replace" and order and len(working) < 4:
            name = tracker.next_client_order_id()
            self.send(ReplaceOrder(now, order.client_order_id, name, SYMBOL, order.side, 101, lots))
        elif kind == "amend" and order and order.is_settled and order.lots > 1:
            name = tracker.next_client_order_id()
            self.send(AmendOrder(now, order.client_order_id, name, SYMBOL, max(1, min(lots, order.lots - 1))))
        elif kind == "modify" and order and order.is_settled and not order.amend_refused:
            self.send(ModifyOrder(now, order.client_order_id, SYMBOL, order.side, 98 + index, order.booked_lots + lots))
        elif kind == "arrive" and venue.in_flight:
            venue.process(index)
        elif kind == "lose_request" and venue.in_flight:
            venue.in_flight.pop(index % len(venue.in_flight))
        elif kind == "give_up" and venue.in_flight:
            # The adapter says so, and the request may arrive all the same.
            _, command = venue.in_flight[index % len(venue.in_flight)]
            self.tell(OutcomeUnknown(now, SYMBOL, command.client_order_id, "503"))
        elif kind == "reply" and venue.replies:
            self.tell(venue.replies.pop(index % len(venue.replies)))
        elif kind == "lose_reply" and venue.replies:
            venue.replies.pop(index % len(venue.replies))
        elif kind == "stream" and venue.stream:
            self.tell(venue.stream.pop(0))
        elif kind == "disconnect":
            venue.stream.clear()
            venue.replies.clear()
            self.tell(OrderChannelStatus(now, False))
        elif kind == "connect":
            self.tell(OrderChannelStatus(now, True))
        elif kind == "match":
            venue.match(index, lots)
        elif kind == "take_report":
            self.reports.append(venue.report())
        elif kind == "read_report" and self.reports:
            self.read(self.reports.pop(index % len(self.reports)))
        elif kind == "wait":
            venue.now_ns += (1, 50, 600, 2_100)[index % 4] * MS
            self.send_due()
        elif kind == "clock":
            self.clock_error_ms = -self.clock_error_ms // 2
            self._measure_clock()

    def send_due(self) -> None:
        for command in self.tracker.due(self.venue.now_ns):
            self.send(command)

    def read(self, report: ReconciliationReport) -> None:
        self.tell(report)
        for trade in report.trades:
            self.tell(trade)

    def check(self) -> None:
        for side in Side:
            truth = self.venue.true_exposure(side, self.delivered)
            assert self.tracker.at_risk_lots(SYMBOL, side) >= truth, (side, truth, self.tracker.every_order())

    def settle(self) -> None:
        """The lines mend, everything is to be cancelled: a minute later nothing of ours is left anywhere."""
        venue = self.venue
        self.tell(OrderChannelStatus(venue.now_ns, True))
        for round_number in range(150):
            venue.now_ns += 500 * MS
            self.send_due()
            for cancel in self.tracker.cancel_all(venue.now_ns):
                self.send(cancel)
            while venue.in_flight:
                venue.process(0)
            while venue.stream:
                self.tell(venue.stream.pop(0))
            while venue.replies:
                self.tell(venue.replies.pop(0))
            if round_number % 10 == 0:
                self.read(venue.report())
            self.check()


ALWAYS = ("place", "arrive", "reply", "stream", "wait")
SOMETIMES = (
    *("cancel", "replace", "amend", "modify", "modify", "match", "lose_request", "lose_reply", "give_up"),
    *("disconnect", "connect", "take_report", "read_report", "clock"),
)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Each story is told of a few kinds of steps only: rare conjunctions turn up far sooner than when all happen in all."""
    kinds = [*ALWAYS, *draw(st.lists(st.sampled_from(SOMETIMES), min_size=1, max_size=5))]
    step = st.tuples(st.sampled_from(kinds), st.integers(0, 7), st.integers(1, 9))
    return draw(st.lists(step, min_size=25, max_size=60))


@settings(max_examples=600, deadline=None)
@given(steps=stories(), clock_error_ms=st.integers(-1_500, 900))
def test_exposure_is_never_under_counted_and_the_end_agrees(steps: list[tuple[str, int, int]], clock_error_ms: int) -> None:
    story = Story(clock_error_ms)
    for kind, index, lots in steps:
        story.step(kind, index, lots)
        story.check()
    story.settle()
    assert [order for order in story.venue.orders if order.status.is_open] == []
    assert story.tracker.all_open() == []
    assert all(story.tracker.at_risk_lots(SYMBOL, side) == 0 for side in Side)
    assert {trade.trade_id for trade in story.venue.trades} == story.delivered
    for order in story.venue.orders:
        tracked = story.tracker.find(order.name)
        assert tracked is not None
        assert tracked.booked_lots == order.filled
        expected = OrderState.FILLED if order.filled == order.lots else OrderState.CANCELLED
        assert tracked.state is expected
