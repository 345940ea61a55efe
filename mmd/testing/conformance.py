"""The conformance suite: what any `ExchangeAdapter` must pass, step by step, on a venue that its author's harness can provoke.

One step is one fresh venue with one adapter on it:

    @pytest.mark.parametrize("step", STEPS, ids=str)
    async def test_conformance(step: Step) -> None:
        await step.run(MyHarness())
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from mmd.testing import order_steps, steps
from mmd.testing.session import Session
from mmd.testing.venue import VenueHarness

PASSED = "passed"


class Step(msgspec.Struct, frozen=True):
    """One thing an adapter must do. `needs` names the capability without which `without` is run instead (see `Session.claims`)."""

    name: str
    what: str
    check: Callable[[Session], Awaitable[None]]
    needs: str = ""
    without: Callable[[Session], Awaitable[None]] | None = None
    instead: str = ""
    """What the other check shows, for the table."""

    def __str__(self) -> str:
        return self.name

    async def run(self, venue: VenueHarness) -> str:
        """Start the venue, run the step, stop everything. Returns what the table says; raises AssertionError or TimeoutError."""
        async with venue:
            session = Session(venue)
            try:
                result = PASSED
                await session.adapter.load_instruments()
                if self.needs and not session.claims(self.needs):
                    assert self.without is not None, f"{self.name} cannot be left out"
                    await self.without(session)
                    result = f"not claimed: {self.instead}"
                else:
                    await self.check(session)
            finally:
                await session.adapter.close()
            assert not session.recorder.failures, session.recorder.failures
        return result


STEPS: tuple[Step, ...] = (
    Step("connect", "instruments first, then market data, clock and order entry", steps.connect),
    Step("sync", "the book equals the venue's through changes on both sides", steps.sync),
    Step("place", "a resting order, as the venue itself lists it", order_steps.place),
    Step("take", "an immediate order trades and leaves nothing behind", order_steps.take),
    Step(
        "reject_post_only",
        "a post-only order that would take is refused for certain",
        order_steps.reject_post_only,
        "post_only",
        order_steps.refuse_all_post_only,
        "every post-only order is refused by the adapter",
    ),
    Step("reject_filter", "an order below the venue's filters is refused for certain", order_steps.reject_filter),
    Step(
        "amend",
        "less quantity, same order, same place in the queue",
        order_steps.amend,
        "cancel_replace",
        order_steps.refuse_amend,
        "an amend is refused and the order stands",
    ),
    Step(
        "replace",
        "the old order goes before the new one comes; none comes for one that is gone",
        order_steps.replace,
        "cancel_replace",
        order_steps.refuse_replace,
        "a replacement is refused, both halves, and the order stands",
    ),
    Step(
        "modify",
        "another price and quantity, same order; one that would take is not left there",
        order_steps.modify,
        "modify",
        order_steps.refuse_modify,
        "a modification is refused and the order stands",
    ),
    Step("cancel", "a cancel is confirmed; one of an unknown order is refused", order_steps.cancel),
    Step("query", "an order's state, and that there is no such order, with the query's time", order_steps.query),
    Step("fill", "fills partly and wholly, each once, with trade id and maker flag; balances follow", order_steps.fill),
    Step(
        "unknown_outcome",
        "no answer, or a cut line: unknown, then found by a query",
        steps.unknown_outcome,
        "remote_orders",
        steps.no_unknown_outcome,
        "orders are answered with the line held and cut",
    ),
    Step("not_written", "while the line is down nothing is claimed about an order", steps.not_written, "remote_orders",
         steps.no_unknown_outcome, "orders are answered with the line held and cut"),
    Step("reconnect", "down is told, up again by itself, the book anew, the fill between found", steps.reconnect),
    Step("reconcile", "balances, all open orders (others' too), trades after an id with our names", steps.reconcile),
    Step(
        "rate_limit",
        "until when is told, every order has its outcome, the venue agrees",
        steps.rate_limit,
        "remote_orders",
        steps.no_rate_limit,
        "there is no limit to meet",
    ),
    Step(
        "clock_skew",
        "two hours off from the start, then a jump: measured, refused for certain, mended",
        steps.clock_skew,
        "remote_orders",
        steps.no_clock_skew,
        "no timestamp is sent",
    ),
    Step("audit", "our open orders by prefix, listed and cancelled while the adapter does not run", steps.audit),
    Step("close", "nothing is delivered after the end", steps.close),
)  # fmt: skip
