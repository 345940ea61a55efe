"""What a venue can do, as data on its adapter. The conformance suite checks that what is stated is true."""

from __future__ import annotations

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Stated by each adapter. Whatever is not claimed is refused with an event, never passed over in silence.

    Every adapter places, cancels and queries orders and gathers reconciliations; these flags say what more there is. How one order
    takes another's place is stated by each instrument (`Instrument.replacement`).
    """

    post_only: bool = True
    """A post-only order that would take is refused by the venue. Without: the adapter refuses every post-only order itself."""
    remote_orders: bool = True
    """Orders travel to a venue: outcomes can be unknown, requests limited, timestamps refused. Without: they never leave us."""
    countdown_cancel: bool = False
    """The venue cancels our orders when we fall silent (a dead-man's switch), and the adapter keeps it from firing."""
    short_positions: bool = False
    """A position may be below zero."""
    pushed_user_data: bool = True
    """Fills and order updates come over a stream. Without: the adapter asks for them at a bounded rate, so they come later."""
