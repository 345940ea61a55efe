"""The life of one order, as tables.

Theory of operation
-------------------
An order is in one of nine states plus one for an amend in flight. It is moved by *triggers*, of which there are two kinds.

What **we** do (`SEND_CANCEL`, `SEND_AMEND`) is ours to get right: where a table has no entry for it, the attempt proves a bug of
ours and `transition` raises `OrderStateError`.

What **happens to us** (all other triggers) has an entry in every state, because a venue's messages come late, twice and out of
order, and none of that is an error: an acknowledgement after the fill it overtook, an update of an order that is long over, the
refusal of a cancel that lost the race against a fill.

Four rules shape the entries:

1. *Unknown is a state, not a failure.* A request without an answer leaves its order UNKNOWN, where it counts against every
   limit in full. Only the venue's word about that very order leads out of it.
2. *A refused cancel says nothing.* "Unknown order sent" may mean filled, cancelled or never arrived: the order becomes UNKNOWN and
   a query decides. It is never dropped.
3. *NOT_FOUND kills only an UNKNOWN order*, and the tracker raises that trigger only with a proof (see `tracker`). Anywhere else
   it contradicts what we know, and the query decides.
4. *The end is the end*, with two exceptions, both towards caution. FILLED outranks the other ends. And an order that was
   REJECTED or NEVER_EXISTED but turns up alive comes back as UNKNOWN: it must count again.

A state says what may still trade; how much of it is at risk is `TrackedOrder.at_risk_lots`.

  sent ─▶ PENDING_NEW ──ACCEPTED, OPEN──▶ LIVE ──SEND_AMEND──▶ PENDING_AMEND ──AMENDED──▶ LIVE
                                          LIVE, PENDING_NEW, PENDING_AMEND, UNKNOWN ──SEND_CANCEL──▶ PENDING_CANCEL
  PENDING_* ──LOSE, CANCEL_REJECTED──▶ UNKNOWN ◀──UNLISTED, CANCEL_REJECTED, NOT_FOUND── LIVE
                                       UNKNOWN ──OPEN, ACCEPTED, AMENDED──▶ LIVE
                                       UNKNOWN ──NOT_FOUND──▶ NEVER_EXISTED
  any that can trade ──FILLED, CANCELED, EXPIRED──▶ FILLED, CANCELLED, EXPIRED;  not acknowledged ──REJECTED──▶ REJECTED
"""

from __future__ import annotations

from enum import Enum


class OrderState(Enum):
    """Where an order is in its life, as far as we know."""

    PENDING_NEW = "pending_new"
    """Sent, not answered."""
    LIVE = "live"
    """Resting at the venue."""
    PENDING_AMEND = "pending_amend"
    """Resting; a change of its quantity or price is in flight. The larger quantity and the keener price count."""
    PENDING_CANCEL = "pending_cancel"
    """A cancel (or the cancelling half of a replace) is in flight. It can still trade."""
    UNKNOWN = "unknown"
    """A request about it has no answer, or an answer that proves nothing. Counts in full."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    NEVER_EXISTED = "never_existed"
    """The venue, asked late enough, knows no such order."""

    is_terminal: bool
    """Whether nothing more can trade."""
    is_pending: bool
    """Whether an answer of the venue is awaited."""

    # The enumeration's own hash is a Python call, and the tables below are looked into several times an order.
    __hash__ = object.__hash__


class OrderTrigger(Enum):
    """What moves an order."""

    # ours
    SEND_CANCEL = "send_cancel"
    SEND_AMEND = "send_amend"
    # the venue's, and the world's
    LOSE = "lose"
    """The outcome of a request in flight is not known: no answer in time, connection lost, 5xx."""
    ACCEPTED = "accepted"
    """The placement was acknowledged."""
    OPEN = "open"
    """The venue shows the order as NEW or PARTIALLY_FILLED."""
    TRADED = "traded"
    """A fill that does not complete the order."""
    AMENDED = "amended"
    """The venue shows the order open as an amend made it: under the new id, or with the new price and quantity."""
    UNLISTED = "unlisted"
    """A complete list of open orders, asked for after this one was sent, lacks it."""
    CANCEL_REJECTED = "cancel_rejected"
    """A cancel or amend was refused."""
    NOT_FOUND = "not_found"
    """A query, sent late enough to prove it, found no such order."""
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    __hash__ = object.__hash__


class OrderStateError(RuntimeError):
    """We did something that an order in this state does not allow: a bug of ours."""


_S = OrderState
_T = OrderTrigger

OPEN_STATES = frozenset({_S.PENDING_NEW, _S.LIVE, _S.PENDING_AMEND, _S.PENDING_CANCEL, _S.UNKNOWN})
TERMINAL_STATES = frozenset(_S) - OPEN_STATES
PENDING_STATES = frozenset({_S.PENDING_NEW, _S.PENDING_AMEND, _S.PENDING_CANCEL})
for _state in _S:
    _state.is_terminal = _state in TERMINAL_STATES
    _state.is_pending = _state in PENDING_STATES
OUR_TRIGGERS = frozenset({_T.SEND_CANCEL, _T.SEND_AMEND})
VENUE_TRIGGERS = frozenset(_T) - OUR_TRIGGERS

# The venue's last words on an order that can still trade, whatever state it is in.
_ENDS = {
    _T.FILLED: _S.FILLED,
    _T.CANCELED: _S.CANCELLED,
    _T.EXPIRED: _S.EXPIRED,
}

# A placement once acknowledged cannot be refused: who says so leaves us in doubt.
_ENDS_OR_DOUBT = {**_ENDS, _T.REJECTED: _S.UNKNOWN}

TRANSITIONS: dict[OrderState, dict[OrderTrigger, OrderState]] = {
    _S.PENDING_NEW: {
        _T.SEND_CANCEL: _S.PENDING_CANCEL,
        _T.LOSE: _S.UNKNOWN,
        _T.ACCEPTED: _S.LIVE,
        _T.OPEN: _S.LIVE,
        _T.AMENDED: _S.LIVE,
        # A fill before the acknowledgement: the answer is still to come, or will be missed and asked for.
        _T.TRADED: _S.PENDING_NEW,
        _T.UNLISTED: _S.PENDING_NEW,
        _T.CANCEL_REJECTED: _S.UNKNOWN,
        _T.NOT_FOUND: _S.UNKNOWN,
        **_ENDS,
        _T.REJECTED: _S.REJECTED,
    },
    _S.LIVE: {
        _T.SEND_CANCEL: _S.PENDING_CANCEL,
        _T.SEND_AMEND: _S.PENDING_AMEND,
        # What was lost is the answer to a query, or to a placement that the stream has since confirmed.
        _T.LOSE: _S.LIVE,
        _T.ACCEPTED: _S.LIVE,
        _T.OPEN: _S.LIVE,
        _T.AMENDED: _S.LIVE,
        _T.TRADED: _S.LIVE,
        _T.UNLISTED: _S.UNKNOWN,
        _T.CANCEL_REJECTED: _S.UNKNOWN,
        _T.NOT_FOUND: _S.UNKNOWN,
        **_ENDS_OR_DOUBT,
    },
    _S.PENDING_AMEND: {
        _T.SEND_CANCEL: _S.PENDING_CANCEL,
        _T.LOSE: _S.UNKNOWN,
        _T.ACCEPTED: _S.PENDING_AMEND,
        _T.OPEN: _S.PENDING_AMEND,
        _T.AMENDED: _S.LIVE,
        _T.TRADED: _S.PENDING_AMEND,
        _T.UNLISTED: _S.PENDING_AMEND,
        _T.CANCEL_REJECTED: _S.UNKNOWN,
        _T.NOT_FOUND: _S.UNKNOWN,
        **_ENDS_OR_DOUBT,
    },
    _S.PENDING_CANCEL: {
        # Repeated by whoever wants to be sure.
        _T.SEND_CANCEL: _S.PENDING_CANCEL,
        _T.LOSE: _S.UNKNOWN,
        # Shown open while the cancel is in flight: true when it was said, and no answer to the cancel.
        _T.ACCEPTED: _S.PENDING_CANCEL,
        _T.OPEN: _S.PENDING_CANCEL,
        _T.AMENDED: _S.PENDING_CANCEL,
        _T.TRADED: _S.PENDING_CANCEL,
        _T.UNLISTED: _S.PENDING_CANCEL,
        _T.CANCEL_REJECTED: _S.UNKNOWN,
        _T.NOT_FOUND: _S.UNKNOWN,
        **_ENDS,
        # Cancelled before the placement was answered, and the placement was refused.
        _T.REJECTED: _S.REJECTED,
    },
    _S.UNKNOWN: {
        _T.SEND_CANCEL: _S.PENDING_CANCEL,
        _T.LOSE: _S.UNKNOWN,
        _T.ACCEPTED: _S.LIVE,
        _T.OPEN: _S.LIVE,
        _T.AMENDED: _S.LIVE,
        # A fill may be old news by the time it is booked: it does not say that the rest still stands.
        _T.TRADED: _S.UNKNOWN,
        _T.UNLISTED: _S.UNKNOWN,
        _T.CANCEL_REJECTED: _S.UNKNOWN,
        _T.NOT_FOUND: _S.NEVER_EXISTED,
        **_ENDS,
        _T.REJECTED: _S.REJECTED,
    },
    _S.FILLED: dict.fromkeys(VENUE_TRIGGERS, _S.FILLED),
    _S.CANCELLED: {**dict.fromkeys(VENUE_TRIGGERS, _S.CANCELLED), _T.FILLED: _S.FILLED},
    _S.EXPIRED: {**dict.fromkeys(VENUE_TRIGGERS, _S.EXPIRED), _T.FILLED: _S.FILLED},
    _S.REJECTED: {
        **dict.fromkeys(VENUE_TRIGGERS, _S.REJECTED),
        **dict.fromkeys((_T.ACCEPTED, _T.OPEN, _T.AMENDED, _T.TRADED), _S.UNKNOWN),
        **_ENDS,
    },
    _S.NEVER_EXISTED: {
        **dict.fromkeys(VENUE_TRIGGERS, _S.NEVER_EXISTED),
        **dict.fromkeys((_T.ACCEPTED, _T.OPEN, _T.AMENDED, _T.TRADED), _S.UNKNOWN),
        **_ENDS,
        _T.REJECTED: _S.REJECTED,
    },
}


def transition(state: OrderState, trigger: OrderTrigger) -> OrderState:
    """The state after `trigger`. Raises `OrderStateError` for an action of ours that the state does not allow."""
    try:
        return TRANSITIONS[state][trigger]
    except KeyError:
        raise OrderStateError(f"an order that is {state.value} does not allow {trigger.value}") from None
