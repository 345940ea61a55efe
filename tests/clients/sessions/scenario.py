"""The session itself: the same steps, in the same order, for every client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from client import BookWatch, Client, Places
from raw_account import RawAccount
from steps import Record

BOOK_UPDATES = 2000
BOOK_MATCHES = 10
DEADLINE_SECONDS = 150.0
SNAPSHOT_PAUSE_SECONDS = 0.05
ATTEMPTS = 10
TICK, LOT, MIN_NOTIONAL = Decimal("0.01"), Decimal("0.00001"), Decimal(5)
UNKNOWN_ORDER = "999999999"


async def until(what: str, check: Callable[[], bool], seconds: float = 15.0) -> None:
    """Waits for it. Raises AssertionError that says what did not come."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not check():
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.02)


async def error_of(doing: Awaitable[object], kind: type[Exception]) -> Exception:
    """What it raises. Raises AssertionError when it goes through."""
    try:
        done = await doing
    except kind as error:
        return error
    raise AssertionError(f"was not refused: {done}")


async def run_book(client: Client, record: Record, exchange: RawAccount) -> None:
    """Thousands of updates, and every snapshot taken at an update id the client had must equal the client's book there."""
    if not record.supports("book"):
        return
    async with record.step("book") as detail:
        watch, enough = BookWatch(), asyncio.Event()
        task = asyncio.create_task(client.watch_book(watch, enough))
        snapshots: dict[int, dict[str, dict[Decimal, Decimal]]] = {}
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        try:
            while watch.updates < BOOK_UPDATES or len(snapshots.keys() & watch.books.keys()) < BOOK_MATCHES:
                if task.done():
                    task.result()
                    raise AssertionError("the client left its book")
                assert asyncio.get_running_loop().time() < deadline, (
                    f"{watch.updates} updates, {len(snapshots.keys() & watch.books.keys())} snapshots at the same update id"
                )
                if watch.updates:
                    update_id, sides = await asyncio.to_thread(exchange.snapshot, client.symbol)
                    snapshots[update_id] = sides
                await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)
        finally:
            enough.set()
            await asyncio.wait([task], timeout=5)
            task.cancel()
        matches = sorted(snapshots.keys() & watch.books.keys())
        for update_id in matches:
            for side in ("bids", "asks"):
                theirs = watch.books[update_id][side]
                for price, quantity in snapshots[update_id][side].items():
                    assert theirs.get(price) == quantity, f"{side} {price} at {update_id}: {theirs.get(price)} is not {quantity}"
                assert len(theirs) >= len(snapshots[update_id][side]), f"{side} at {update_id}"
        detail.append(f"{BOOK_UPDATES:,} updates and more; {BOOK_MATCHES} snapshots and more at one update id, all equal")


class Trading:
    """The steps that trade."""

    def __init__(self, client: Client, record: Record, other: RawAccount) -> None:
        self.client, self.record, self.other = client, record, other
        self.made: list[str] = []
        self.filled: set[str] = set()

    async def far(self, side: str) -> Decimal:
        """A price at which nothing fills: two in a hundred from the touch."""
        bid, ask = await asyncio.to_thread(self.other.touch)
        price = bid * Decimal("0.98") if side == "BUY" else ask * Decimal("1.02")
        return price.quantize(TICK)

    async def place_far(self, side: str = "BUY", quantity: str = "0.01") -> str:
        order_id = await self.client.place(side, Decimal(quantity), await self.far(side))
        self.made.append(order_id)
        return order_id

    async def expect(self, order_id: str, status: str, **values: Decimal) -> None:
        """The client's query says so."""
        order = await self.client.order(order_id)
        assert order.status == status, order
        for name, value in values.items():
            assert getattr(order, name) == value, order

    async def post_only(self) -> None:
        if not self.record.supports("post_only"):
            return
        async with self.record.step("post_only"):
            price = await self.far("BUY")
            order_id = await self.client.place("BUY", Decimal("0.01"), price)
            self.made.append(order_id)
            await self.expect(order_id, "NEW", price=price, quantity=Decimal("0.01"), executed=Decimal(0))
            assert order_id in await self.client.open_orders()
            _, locked = (await self.client.balances())["USDT"]
            assert locked >= price * Decimal("0.01"), locked

    async def crossing(self) -> None:
        if not self.record.supports("crossing"):
            return
        async with self.record.step("crossing") as detail:
            before = await self.client.open_orders()
            _, ask = await asyncio.to_thread(self.other.touch)
            price = (ask * Decimal("1.01")).quantize(TICK)
            error = await error_of(self.client.place("BUY", Decimal("0.01"), price), self.client.refusal)
            assert "immediately match and take" in str(error), error
            detail.append(type(error).__name__)
            assert await self.client.open_orders() == before

    async def _met(self, side: str, quantity: Decimal, taken: Decimal) -> str | None:
        """A maker at the touch, met by the second account: the order's id, None when the market was quicker."""
        bid, ask = await asyncio.to_thread(self.other.touch)
        price, taker = (ask - TICK, "SELL") if side == "BUY" else (bid + TICK, "BUY")
        try:
            order_id = await self.client.place(side, quantity, price)
        except self.client.refusal:
            return None
        self.made.append(order_id)
        mine: set[int] = set()
        trades: set[int] = set()
        left = taken
        for _ in range(ATTEMPTS):
            # Others may stand before us at the same price.
            trades |= await asyncio.to_thread(self.other.take, taker, left, price)
            left = taken - (await self.client.order(order_id)).executed
            if left <= 0:
                break
        mine = {trade.trade_id for trade in await self.client.own_trades() if trade.order_id == order_id and trade.is_maker}
        self.filled.add(order_id)
        if mine & trades:
            return order_id
        if order_id in await self.client.open_orders():
            await self._cancelled(order_id)
        return None

    async def meet(self, side: str, quantity: Decimal, taken: Decimal) -> str:
        for _ in range(ATTEMPTS):
            order_id = await self._met(side, quantity, taken)
            if order_id is not None:
                return order_id
        raise AssertionError(f"the second account did not get to trade with the client in {ATTEMPTS} attempts")

    async def fill(self) -> None:
        async with self.record.step("fill"):
            quantity = Decimal("0.02")
            order_id = await self.meet("BUY", quantity, quantity)
            await self.expect(order_id, "FILLED", executed=quantity)
            assert order_id not in await self.client.open_orders()

    async def _cancelled(self, order_id: str) -> bool:
        """Cancel it; False when the market took all of it before."""
        try:
            await self.client.cancel(order_id)
        except Exception:
            if (await self.client.order(order_id)).status == "FILLED":
                return False
            raise
        return (await self.client.order(order_id)).status == "CANCELED"

    async def partial_fill(self) -> None:
        async with self.record.step("partial_fill"):
            quantity = Decimal(1)
            for _ in range(ATTEMPTS):
                order_id = await self.meet("SELL", quantity, Decimal("0.02"))
                order = await self.client.order(order_id)
                # The market may take the rest before we look, or before we cancel.
                if order.status == "FILLED":
                    continue
                assert order.status == "PARTIALLY_FILLED", order
                assert Decimal(0) < order.executed < order.quantity == quantity, order
                if await self._cancelled(order_id):
                    return
            raise AssertionError(f"the market took the rest {ATTEMPTS} times")

    async def amend(self) -> None:
        if not self.record.supports("amend"):
            return
        async with self.record.step("amend"):
            order_id = await self.place_far(quantity="0.05")
            await self.client.amend(order_id, Decimal("0.02"))
            await self.expect(order_id, "NEW", quantity=Decimal("0.02"))
            assert order_id in await self.client.open_orders()

    async def replace_both(self) -> None:
        async with self.record.step("replace_both"):
            old = await self.place_far()
            price = await self.far("BUY") - 1
            new = await self.client.cancel_replace(old, "STOP_ON_FAILURE", "BUY", Decimal("0.015"), price)
            self.made.append(new)
            await self.expect(old, "CANCELED")
            await self.expect(new, "NEW", price=price, quantity=Decimal("0.015"))

    async def replace_fails(self, step: str, mode: str, *, cancels: bool, places: bool, code: int) -> None:
        """One half fails, or both: the client raises, and the exchange stands as the outcome says."""
        if not self.record.supports(step):
            return
        async with self.record.step(step) as detail:
            if await self.client.open_orders():
                await self.client.cancel_all()
            old = await self.place_far() if cancels else UNKNOWN_ORDER
            _, ask = await asyncio.to_thread(self.other.touch)
            crosses = (ask * Decimal("1.01")).quantize(TICK)
            price = crosses if step in _NEW_ORDER_CROSSES else await self.far("BUY")
            error = await error_of(self.client.cancel_replace(old, mode, "BUY", Decimal("0.01"), price), Exception)
            assert self.client.failure_code(error) == code, error
            detail.append(f"{type(error).__name__} {code}")
            if cancels:
                await self.expect(old, "CANCELED")
            left = await self.client.open_orders()
            assert len(left) == places, left
            self.made.extend(left)

    async def replaces(self) -> None:
        if not self.record.supports("replace_both"):
            return
        await self.replace_both()
        stop, allow = "STOP_ON_FAILURE", "ALLOW_FAILURE"
        await self.replace_fails("replace_stop_cancel_fails", stop, cancels=False, places=False, code=-2022)
        await self.replace_fails("replace_stop_order_fails", stop, cancels=True, places=False, code=-2021)
        await self.replace_fails("replace_allow_cancel_fails", allow, cancels=False, places=True, code=-2021)
        await self.replace_fails("replace_allow_order_fails", allow, cancels=True, places=False, code=-2021)
        await self.replace_fails("replace_none", allow, cancels=False, places=False, code=-2022)

    async def cancels(self) -> None:
        async with self.record.step("cancel"):
            order_id = await self.place_far("SELL")
            await self.client.cancel(order_id)
            await self.expect(order_id, "CANCELED", executed=Decimal(0))
        if not self.record.supports("cancel_all"):
            return
        async with self.record.step("cancel_all"):
            ids = {await self.place_far("SELL"), await self.place_far("BUY"), await self.place_far("BUY")}
            assert ids <= await self.client.open_orders()
            await self.client.cancel_all()
            assert await self.client.open_orders() == set()
            for order_id in ids:
                await self.expect(order_id, "CANCELED")

    async def account(self) -> None:
        async with self.record.step("balances"):
            before = await self.client.balances()
            quantity = Decimal("0.02")
            order_id = await self.meet("BUY", quantity, quantity)
            after = await self.client.balances()
            price = (await self.client.order(order_id)).price
            # The maker's fee is 0 on the mock as it stands by default.
            assert after["BTC"][0] - before["BTC"][0] >= quantity, (before, after)
            assert sum(before["USDT"]) - sum(after["USDT"]) >= quantity * price, (before, after)
            assert after["BTC"][1] == after["USDT"][1] == 0, after
        if not self.record.supports("own_trades"):
            return
        async with self.record.step("own_trades"):
            trades = await self.client.own_trades()
            assert self.filled, "nothing was filled"
            for order_id in self.filled:
                of_order = [trade for trade in trades if trade.order_id == order_id]
                order = await self.client.order(order_id)
                assert sum(trade.quantity for trade in of_order) == order.executed, (order, of_order)
                assert all(trade.is_maker and trade.price == order.price for trade in of_order), (order, of_order)

    async def _place_and_cancel(
        self, step: str, doing: Callable[[str, Decimal, Decimal], Awaitable[tuple[object, object]]]
    ) -> None:
        if not self.record.supports(step):
            return
        async with self.record.step(step):
            placed, cancelled = await doing("BUY", Decimal("0.01"), await self.far("BUY"))
            assert placed.status == "NEW", placed
            assert placed.quantity == Decimal("0.01"), placed
            assert cancelled.status == "CANCELED", cancelled

    async def other_ways(self) -> None:
        await self._place_and_cancel("websocket_api", self.client.websocket_order)
        for kind in ("ed25519", "rsa"):

            async def doing(side: str, quantity: Decimal, price: Decimal, kind: str = kind) -> tuple[object, object]:
                return await self.client.with_key(kind, side, quantity, price)

            await self._place_and_cancel(kind, doing)

    async def user_data(self) -> None:
        """Every order the session made was announced, and every trade, each once."""
        if self.record.supports("order_events"):
            async with self.record.step("order_events") as detail:
                kinds = {"NEW", "CANCELED"} | ({"REPLACED"} if self.record.supports("amend") else set())
                await until(
                    "NEW of every order", lambda: {e.order_id for e in self.client.events if e.kind == "NEW"} >= set(self.made)
                )
                await until("each kind of event", lambda: {event.kind for event in self.client.events} >= kinds)
                detail.append(", ".join(sorted(kinds)))
        if self.record.supports("trade_events"):
            async with self.record.step("trade_events"):
                trades = [trade for trade in await self.client.own_trades() if trade.order_id in self.made]
                wanted = sorted((trade.order_id, trade.trade_id, trade.quantity) for trade in trades)
                assert wanted

                def seen() -> list[tuple[str, int | None, Decimal]]:
                    return sorted((e.order_id, e.trade_id, e.quantity) for e in self.client.events if e.kind == "TRADE")

                await until("the event of every trade, once", lambda: [e for e in seen() if e[0] in self.made] == wanted)


_NEW_ORDER_CROSSES = {"replace_stop_order_fails", "replace_allow_order_fails", "replace_none"}


async def run_session(make: Callable[[Places, str], Client], arguments: dict[str, dict[str, object]], report: Path) -> None:
    """The whole session; the record is written whatever happens."""
    watched = make(Places(**arguments["watched"]), "BTCUSDT")
    client = make(Places(**arguments["traded"]), "BTCUSDT")
    record = Record(client.unsupported)
    try:
        exchange = RawAccount(watched.places.rest, "K2", "S2", "BTCUSDT")
        await run_book(watched, record, exchange)
        other = RawAccount(client.places.rest, "K2", "S2", "BTCUSDT")
        trading = Trading(client, record, other)
        async with record.step("markets"):
            await client.open()
            market = await client.market()
            assert (market.tick_size, market.base, market.quote) == (TICK, "BTC", "USDT"), market
            assert market.lot_size in (LOT, None), market
            assert market.min_notional in (MIN_NOTIONAL, None), market
        if record.outcomes["markets"]["outcome"] != "passed":
            return
        await trading.post_only()
        await trading.crossing()
        await trading.fill()
        await trading.partial_fill()
        await trading.amend()
        await trading.replaces()
        await trading.cancels()
        await trading.account()
        await trading.other_ways()
        await trading.user_data()
        if record.supports("types"):
            async with record.step("types"):
                complaints = watched.complaints + client.complaints
                assert not complaints, "\n".join(complaints)
    finally:
        record.write(report, ", ".join(version(name) for name in client.distributions))
        await watched.close()
        await client.close()


def main(make: Callable[[Places, str], Client]) -> None:
    """`python CLIENT_session.py ARGUMENTS.json REPORT.json`."""
    arguments, report = (Path(argument) for argument in sys.argv[1:3])
    asyncio.run(run_session(make, json.loads(arguments.read_text()), report))
