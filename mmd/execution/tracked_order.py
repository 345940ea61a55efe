"""One order of ours and what we know of it."""

from __future__ import annotations

from mmd.execution.order_state import OrderState
from mmd.types.market import Side


class TrackedOrder:
    """One order of ours. Only the tracker writes to it; everybody else reads.

    `filled_lots` is what the venue says was filled, `booked_lots` what we have seen as fills, trade by trade. `sent_ns` is when it
    was placed, `request_ns` when the newest request about it was sent, `changed_ns` when its state last changed.
    """

    __slots__ = (
        "acknowledged",
        "adopted",
        "amend_client_order_id",
        "amend_lots",
        "amend_not_founds",
        "amend_refused",
        "booked_lots",
        "booked_trade_ids",
        "cancels_sent",
        "changed_ns",
        "client_order_id",
        "clock_offset_ns",
        "counted_lots",
        "exchange_order_id",
        "filled_lots",
        "former_client_order_ids",
        "lots",
        "modify_lots",
        "modify_price_ticks",
        "next_cancel_ns",
        "next_query_ns",
        "not_founds",
        "ordered_ns",
        "price_ticks",
        "queries_sent",
        "request_ns",
        "sent_ns",
        "side",
        "state",
        "symbol",
        "unmodified",
        "wants_cancel",
    )

    def __init__(self, client_order_id: str, symbol: str, side: Side, price_ticks: int, lots: int, sent_ns: int) -> None:
        self.client_order_id = client_order_id
        self.former_client_order_ids: list[str] = []
        self.symbol = symbol
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots
        self.exchange_order_id = 0
        self.state = OrderState.PENDING_NEW
        self.filled_lots = 0
        self.booked_lots = 0
        self.booked_trade_ids: set[int] = set()
        self.sent_ns = sent_ns
        self.request_ns = sent_ns
        self.ordered_ns = sent_ns
        """When the newest request was sent that could bring it into being under one of its ids: placement or amend."""
        self.changed_ns = sent_ns
        self.acknowledged = False
        """The venue has shown at least once that it knows this order."""
        self.adopted = False
        """Found at the venue, not sent by this session."""
        self.wants_cancel = False
        """A cancel was sent: should the order turn out to be open after all, it is cancelled again."""
        self.amend_client_order_id = ""
        """The id it bears if an unanswered amend succeeded; empty when none is in doubt."""
        self.amend_lots = 0
        self.amend_refused = False
        """The venue has refused to amend it: what must shrink is replaced."""
        self.modify_price_ticks = 0
        """Price that it has if an unanswered modification succeeded, 0 where none is in doubt. `price_ticks` and `lots` then hold
        the worse of old and new: the keener price, the larger quantity."""
        self.modify_lots = 0
        self.unmodified = (0, 0)
        """Price and quantity from before that modification."""
        self.clock_offset_ns: int | None = None
        """The largest offset of the venue's clock seen since it was sent; None before the first measurement."""
        self.queries_sent = 0
        self.next_query_ns = 0
        self.cancels_sent = 0
        self.next_cancel_ns = 0
        self.not_founds = 0
        self.amend_not_founds = 0
        self.counted_lots = 0
        """What the running total of at-risk lots holds for this order."""

    @property
    def is_open(self) -> bool:
        """Whether it can still trade, as far as we know: live, pending, cancelling and unknown."""
        return not self.state.is_terminal

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can trade."""
        return self.state.is_terminal

    @property
    def is_settled(self) -> bool:
        """Whether it rests at the venue with nothing in flight and no cancel outstanding."""
        return self.state is OrderState.LIVE and not self.wants_cancel

    @property
    def remaining_lots(self) -> int:
        """What is left to trade of an open order, by the more advanced of the venue's word and our bookings."""
        return max(0, self.lots - max(self.filled_lots, self.booked_lots))

    @property
    def at_risk_lots(self) -> int:
        """Lots that may yet change our position: an open order's all, a finished one's filled part, less what we booked."""
        may_trade = self.lots if self.is_open else self.filled_lots
        return max(0, may_trade - self.booked_lots)

    def __repr__(self) -> str:
        return (
            f"<TrackedOrder {self.client_order_id} {self.symbol} {self.side.name} {self.lots} lots at {self.price_ticks} ticks, "
            f"{self.state.value}, filled {self.filled_lots}, booked {self.booked_lots}>"
        )
