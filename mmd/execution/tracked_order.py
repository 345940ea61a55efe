"""One order of ours and what we know of it."""

from __future__ import annotations

import msgspec

from mmd.execution.order_state import OrderState
from mmd.types.market import Side

LIVE = OrderState.LIVE


class TrackedOrder(msgspec.Struct, eq=False, gc=False):
    """One order of ours. Only the tracker writes to it; everybody else reads.

    `filled_lots` is what the venue says was filled, `booked_lots` what we have seen as fills, trade by trade. `sent_ns` is when it
    was placed, `request_ns` when the newest request about it was sent, `changed_ns` when its state last changed.
    """

    client_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    sent_ns: int
    request_ns: int
    changed_ns: int
    ordered_ns: int
    """When the newest request was sent that could bring it into being under one of its ids: placement or amend."""
    clock_offset_ns: int | None = None
    """The largest offset of the venue's clock seen since it was sent; None before the first measurement."""
    state: OrderState = OrderState.PENDING_NEW
    exchange_order_id: int = 0
    filled_lots: int = 0
    booked_lots: int = 0
    booked_trade_ids: frozenset[int] = frozenset()
    former_client_order_ids: tuple[str, ...] = ()
    acknowledged: bool = False
    """The venue has shown at least once that it knows this order."""
    adopted: bool = False
    """Found at the venue, not sent by this session."""
    wants_cancel: bool = False
    """A cancel was sent: should the order turn out to be open after all, it is cancelled again."""
    amend_client_order_id: str = ""
    """The id it bears if an unanswered amend succeeded; empty when none is in doubt."""
    amend_lots: int = 0
    amend_refused: bool = False
    """The venue has refused to amend it: what must shrink is replaced."""
    modify_price_ticks: int = 0
    """Price that it has if an unanswered modification succeeded, 0 where none is in doubt. `price_ticks` and `lots` then hold
    the worse of old and new: the keener price, the larger quantity."""
    modify_lots: int = 0
    unmodified: tuple[int, int] = (0, 0)
    """Price and quantity from before that modification."""
    queries_sent: int = 0
    next_query_ns: int = 0
    cancels_sent: int = 0
    next_cancel_ns: int = 0
    not_founds: int = 0
    amend_not_founds: int = 0
    counted_lots: int = 0
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
        return self.state is LIVE and not self.wants_cancel

    @property
    def remaining_lots(self) -> int:
        """What is left to trade of an open order, by the more advanced of the venue's word and our bookings."""
        filled, booked = self.filled_lots, self.booked_lots
        left = self.lots - (filled if filled > booked else booked)
        return left if left > 0 else 0

    @property
    def at_risk_lots(self) -> int:
        """Lots that may yet change our position: an open order's all, a finished one's filled part, less what we booked."""
        may_trade = self.filled_lots if self.state.is_terminal else self.lots
        left = may_trade - self.booked_lots
        return left if left > 0 else 0

    def __repr__(self) -> str:
        return (
            f"<TrackedOrder {self.client_order_id} {self.symbol} {self.side.name} {self.lots} lots at {self.price_ticks} ticks, "
            f"{self.state.value}, filled {self.filled_lots}, booked {self.booked_lots}>"
        )
