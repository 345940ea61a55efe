"""User data of the futures: order updates, collateral, funding, and what the venue does with our position by itself."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND, WIRE_ERRORS, MalformedFrame
from mmd.exchanges.binance.order_messages import SIDES, STATUSES, OrderNames
from mmd.types.instrument import Instrument, atoms
from mmd.types.orders import Balance, BalanceReport, ExternalBalanceChange, Fill, ForcedTrade, OrderUpdate

KEY_EXPIRED = "listenKeyExpired"
FUNDING = "FUNDING_FEE"
"""Told instead of the event's kind where an account update is a funding payment: it names no symbol, so the account is asked."""
FORCED_PREFIXES = ("autoclose-", "adl_autoclose", "settlement_autoclose-")
"""Client ids of orders that the venue places on our position."""
CALCULATED = "CALCULATED"
TRADED_REASONS = frozenset({"ORDER", FUNDING})


class _Kind(msgspec.Struct, gc=False):
    e: str


class _Order(msgspec.Struct, gc=False):
    s: str
    c: str
    S: str
    q: float
    p: float
    x: str
    X: str
    i: int
    l: float  # noqa: E741 (the venue's name)
    z: float
    L: float
    T: int
    t: int
    m: bool
    n: str | None = None
    N: str | None = None


class _OrderEvent(msgspec.Struct, gc=False):
    o: _Order


class _BalanceLine(msgspec.Struct, gc=False):
    a: str
    wb: str
    bc: str = "0"


class _Account(msgspec.Struct, gc=False):
    m: str
    B: list[_BalanceLine] = []


class _AccountEvent(msgspec.Struct, gc=False):
    E: int
    a: _Account


_KIND = msgspec.json.Decoder(_Kind)
_ORDER = msgspec.json.Decoder(_OrderEvent, strict=False)
_ACCOUNT = msgspec.json.Decoder(_AccountEvent, strict=False)


class UsdmUserDataDecoder:
    """Decodes the raw frames of a user data stream. Orders of symbols we do not trade are counted in `foreign`."""

    def __init__(self, instruments: Mapping[str, Instrument], names: OrderNames) -> None:
        self._instruments = instruments
        self._names = names
        self.foreign = 0

    def decode(self, frame: bytes, receive_ns: int) -> tuple[str, tuple[Event, ...]]:
        """The venue's name of the event (or `FUNDING`), and what it means to us. Raises `MalformedFrame`."""
        try:
            kind = _KIND.decode(frame).e
            if kind == "ORDER_TRADE_UPDATE":
                return kind, self._order(_ORDER.decode(frame).o, receive_ns)
            if kind == "ACCOUNT_UPDATE":
                return self._account(_ACCOUNT.decode(frame), receive_ns)
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame("user data event", frame, error) from error
        return kind, ()

    def _order(self, order: _Order, receive_ns: int) -> tuple[Event, ...]:
        instrument = self._instruments.get(order.s)
        if instrument is None:
            self.foreign += 1
            return ()
        if order.x == CALCULATED or order.c.startswith(FORCED_PREFIXES):
            return (ForcedTrade(receive_ns, order.s, f"{order.c} {order.S} {order.q:g} {order.x}"),)
        if order.S not in SIDES or order.X not in STATUSES:
            raise ValueError(f"side {order.S!r}, status {order.X!r}")
        self._names.remember(order.i, order.c)
        update = OrderUpdate(
            receive_ns,
            order.s,
            order.c,
            order.i,
            SIDES[order.S],
            round(order.p * instrument.ticks_per_unit),
            round(order.q * instrument.lots_per_unit),
            round(order.z * instrument.lots_per_unit),
            STATUSES[order.X],
            order.T * NANOSECONDS_PER_MILLISECOND,
        )
        if order.x != "TRADE":
            return (update,)
        fill = Fill(
            receive_ns,
            order.s,
            order.t,
            order.c,
            order.i,
            SIDES[order.S],
            round(order.L * instrument.ticks_per_unit),
            round(order.l * instrument.lots_per_unit),
            atoms(order.n or "0"),
            order.N or "",
            order.m,
            order.T * NANOSECONDS_PER_MILLISECOND,
        )
        return (fill, update)

    def _account(self, event: _AccountEvent, receive_ns: int) -> tuple[str, tuple[Event, ...]]:
        lines, reason = event.a.B, event.a.m
        balances = tuple([Balance(line.a, atoms(line.wb), 0) for line in lines])
        events: list[Event] = [BalanceReport(receive_ns, event.E * NANOSECONDS_PER_MILLISECOND, balances)]
        if reason not in TRADED_REASONS:
            changes = [(line.a, atoms(line.bc)) for line in lines]
            events.extend(ExternalBalanceChange(receive_ns, asset, change) for asset, change in changes if change)
        return FUNDING if reason == FUNDING else "ACCOUNT_UPDATE", tuple(events)
