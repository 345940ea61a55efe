"""Why an order was sent: the session is lived again up to it, and the core is asked; then its fate is read from the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mmd.journal.reader import SessionJournal
from mmd.quoting.quote import Quote
from mmd.replay.errors import ReplayError
from mmd.replay.limits import Checked, CheckLine, check_lines, look
from mmd.replay.session import Predictions, ReplayedSession
from mmd.replay.turns import Turn, turns
from mmd.risk.reasons import DenialReason
from mmd.trader.desk import SymbolDesk
from mmd.trader.reporting import predictions
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    Fill,
    ModifyOrder,
    OrderAccepted,
    OrderUpdate,
    PlaceOrder,
    ReplaceOrder,
)

LEVELS = 12
BUY = Side.BUY
Sent = PlaceOrder | ReplaceOrder | AmendOrder | ModifyOrder


class BookLevel(msgspec.Struct, frozen=True):
    """`ours` is what of the quantity is ours, as far as we know."""

    price: float
    quantity: float
    ours: float


class Part(msgspec.Struct, frozen=True):
    """So many ticks of the price came from this."""

    name: str
    ticks: float
    price_after: float
    """Where the price stood once this was added, quote units."""


class Head(msgspec.Struct, frozen=True):
    """A network's word and the gate's: `refusal` is empty where it was used."""

    network: str
    outputs: dict[str, float]
    refusal: str


class FateLine(msgspec.Struct, frozen=True):
    """What was heard of the order later."""

    seconds: float
    text: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in quote units, quantities in base units."""

    session: str
    client_order_id: str
    exchange_order_id: int
    symbol: str
    side: str
    price: float
    quantity: float
    what: str
    """How it came about: placed, in the place of which order, or a change of a standing one."""
    sent_ns: int
    seconds: float
    """Since the session's start."""
    record: int
    bid: float
    ask: float
    bid_quantity: float
    ask_quantity: float
    position: float
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    features: dict[str, float]
    heads: tuple[Head, ...]
    predictions: Predictions
    source: str
    """Which quoter made the quote, and why if it is a fallback."""
    quoted_bid: float
    quoted_ask: float
    fair: float
    parts: tuple[Part, ...]
    """From the mid to the order's price."""
    attribution_ticks: dict[str, float]
    withheld: str
    checks: tuple[CheckLine, ...]
    fate: tuple[FateLine, ...]


class Explaining:
    """Of one order of one session; `run` once. Raises `JournalError`, `ReplayError`, and whatever the core raised."""

    def __init__(self, journal: SessionJournal, replayed: ReplayedSession, client_order_id: str) -> None:
        self._journal = journal
        self._replayed = replayed
        self._name = client_order_id
        self._checked: Checked | None = None
        self._exchange_id = 0
        self._found: Checked | None = None
        self._listen()

    def _listen(self) -> None:
        """Have the checks and the orders tell what they see: the core keeps none of it."""
        core = self._replayed.core
        checks, rate = core.safeguards.checks, core.safeguards.order_rate
        judge, send = checks.check, core.orders.send

        def check(view: Any, side: Side, price_ticks: int, lots: int, *, reduce_only: bool = False) -> DenialReason | None:
            denied = judge(view, side, price_ticks, lots, reduce_only=reduce_only)
            self._checked = look(view, rate, side, price_ticks, lots, denied, reduce_only)
            return denied

        def sent(command: Any) -> None:
            if sent_name(command) == self._name and self._found is None:
                self._found = None if isinstance(command, AmendOrder) else self._checked
            send(command)

        checks.check = check  # type: ignore[method-assign]
        core.orders.send = sent  # type: ignore[method-assign]

    def run(self, on_progress: Callable[[int], None] | None = None) -> Explanation:
        """Live up to the order, look, and read on."""
        explained: Explanation | None = None
        fate: list[FateLine] = []
        names = {self._name}
        for turn in turns(self._journal, on_progress):
            if turn.event is None:
                break
            if explained is not None:
                self._read_on(turn, names, explained, fate)
                continue
            commands = self._replayed.live_through(turn)
            for command in commands:
                if sent_name(command) == self._name:
                    explained = self._explain(turn, command)
        if explained is None:
            raise ReplayError(f"the replayed session never sends {self._name}: see whether it matches with mmd replay --verify")
        return msgspec.structs.replace(explained, fate=tuple(fate), exchange_order_id=self._exchange_id)

    # ---- the moment

    def _explain(self, turn: Turn, command: Sent) -> Explanation:
        desk = self._replayed.core.desks[command.symbol]
        instrument, quote = desk.instrument, desk.quote
        order = self._replayed.core.tracker.find(command.client_order_id)
        assert order is not None
        price_ticks = getattr(command, "price_ticks", order.price_ticks)
        parts = () if quote is None else price_parts(quote, order.side, instrument)
        return Explanation(
            session=self._journal.begin.session,
            client_order_id=self._name,
            exchange_order_id=0,
            symbol=command.symbol,
            side=order.side.name.lower(),
            price=_price(instrument, price_ticks),
            quantity=float(instrument.quantity(command.lots)),
            what=_what(command),
            sent_ns=command.decided_ns,
            seconds=(command.decided_ns - self._journal.begin.started_ns) / 1e9,
            record=turn.number,
            bid=_price(instrument, desk.book.bid_ticks),
            ask=_price(instrument, desk.book.ask_ticks),
            bid_quantity=float(instrument.quantity(desk.book.bid_lots)),
            ask_quantity=float(instrument.quantity(desk.book.ask_lots)),
            position=desk.ledger.position_atoms / 1e8,
            bids=self._levels(desk, Side.BUY),
            asks=self._levels(desk, Side.SELL),
            features=dict(zip(desk.perception.stream.features.NAMES, desk.perception.stream.features.values, strict=True)),
            heads=heads(desk),
            predictions=self._replayed.predictions,
            source="flattening" if quote is None else quote.source,
            quoted_bid=0.0 if quote is None or not quote.bid_lots else _price(instrument, quote.bid_ticks),
            quoted_ask=0.0 if quote is None or not quote.ask_lots else _price(instrument, quote.ask_ticks),
            fair=0.0 if quote is None else quote.fair_ticks * float(instrument.tick_size),
            parts=parts,
            attribution_ticks={} if quote is None else quote.attribution.as_dict(),
            withheld="" if quote is None else quote.withheld.strip(),
            checks=self._checks(instrument),
            fate=(),
        )

    def _checks(self, instrument: Instrument) -> tuple[CheckLine, ...]:
        """None for what only reduces an order: it passes always."""
        found = self._found
        return () if found is None else check_lines(found, self._replayed.core.safeguards.checks, instrument)

    def _levels(self, desk: SymbolDesk, side: Side) -> tuple[BookLevel, ...]:
        instrument = desk.instrument
        ours: dict[int, int] = {}
        for order in self._replayed.core.tracker.working(instrument.symbol, side):
            if sent_name_of(order) != self._name and order.acknowledged:
                ours[order.price_ticks] = ours.get(order.price_ticks, 0) + order.remaining_lots
        return tuple(
            BookLevel(
                _price(instrument, ticks),
                float(instrument.quantity(lots)),
                float(instrument.quantity(min(lots, ours.get(ticks, 0)))),
            )
            for ticks, lots in desk.book.levels(side, LEVELS)
        )

    # ---- what became of it

    def _read_on(self, turn: Turn, names: set[str], explained: Explanation, fate: list[FateLine]) -> None:
        instrument = self._replayed.core.desks[explained.symbol].instrument
        event = turn.event
        ours = {getattr(event, "client_order_id", ""), getattr(event, "replaced_client_order_id", "")} & names
        if ours:
            names.add(event.client_order_id)
            self._exchange_id = self._exchange_id or getattr(event, "exchange_order_id", 0)
            fate.append(FateLine((event.receive_ns - explained.sent_ns) / 1e9, _event_text(event, instrument)))
        for command in (*turn.commands, *turn.shell_commands):
            asked = getattr(command, "cancel_client_order_id", "") or getattr(command, "client_order_id", "")
            if asked in names and isinstance(command, CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder):
                seconds = (command.decided_ns - explained.sent_ns) / 1e9
                fate.append(FateLine(seconds, f"we asked: {_what(command) if not isinstance(command, CancelOrder) else 'cancel'}"))


def find_order(journal: SessionJournal, order_id: str) -> str:
    """The client id of an order given by its own or by the exchange's id, as in `12` or `BTCUSDT:12`.

    Exchanges count each symbol's orders by themselves; of one that was amended the last name counts. Raises `ReplayError` where the
    session has none, or one of several symbols.
    """
    symbol, _, number = order_id.rpartition(":")
    wanted = int(number) if number.isdecimal() else 0
    symbols: dict[str, str] = {}
    found: dict[str, str] = {}
    for record in journal.records():
        name = sent_name(record)
        if name == order_id:
            return order_id
        if name:
            symbols[name] = record.symbol
        if wanted and isinstance(record, OrderAccepted | OrderUpdate) and record.exchange_order_id == wanted:
            found[symbols.get(record.client_order_id, "")] = record.client_order_id
    chosen = [name for own, name in found.items() if symbol in ("", own)]
    if len(chosen) > 1:
        raise ReplayError(f"session {journal.begin.session} has an order {number} of each: name one, such as {min(found)}:{number}")
    if not chosen:
        raise ReplayError(f"session {journal.begin.session} sent no order {order_id}")
    return chosen[0]


def sent_name(command: Any) -> str:
    """The client id that a command gives or changes; empty for any other record."""
    if isinstance(command, AmendOrder):
        return command.new_client_order_id
    return command.client_order_id if isinstance(command, PlaceOrder | ReplaceOrder | ModifyOrder) else ""


def sent_name_of(order: Any) -> str:
    """The client id under which an order stands."""
    name: str = order.client_order_id
    return name


def heads(desk: SymbolDesk) -> tuple[Head, ...]:
    """Each network's newest word and the gate's. Empty without networks."""
    if desk.perception.predictor is None:
        return ()
    said, known = desk.perception.prediction, predictions(desk)
    quote = Head(
        "quote",
        {name: known[name] for name in ("price_change", "optimal_spread", "position_signal", "out_of_range_score", "rescale")},
        "" if said.usable else said.refusal,
    )
    beside = (
        ("order_flow", {"p_up": said.p_up}, said.order_flow_refusal),
        ("adverse_selection", {"p_adverse_bid": said.p_adverse_bid, "p_adverse_ask": said.p_adverse_ask}, said.adverse_refusal),
        ("risk", {"risk": said.risk}, said.risk_refusal),
        ("cross_asset", {"cross_move": said.cross_move}, said.cross_refusal),
    )
    return (quote, *(Head(*each) for each in beside))


def price_parts(quote: Quote, side: Side, instrument: Instrument) -> tuple[Part, ...]:
    """From the mid to the side's price, each part signed as it moved that price, ticks."""
    said, away = quote.attribution, -side.sign
    adverse, clamped = (said.adverse_bid, said.clamp_bid) if side is BUY else (said.adverse_ask, said.clamp_ask)
    moves = (
        ("microprice", said.microprice),
        ("price_head", said.price_head),
        ("order_flow", said.order_flow),
        ("cross_asset", said.cross_asset),
        ("inventory", said.skew - said.position_head),
        ("position_head", said.position_head),
        ("half_spread", away * (said.half_spread - said.spread_head)),
        ("spread_head", away * said.spread_head),
        ("adverse_selection", away * adverse),
        ("rounding and post-only", clamped),
    )
    at, tick = said.mid, float(instrument.tick_size)
    parts = [Part("mid", at, at * tick)]
    for part, value in moves:
        at += value
        parts.append(Part(part, value, at * tick))
    return tuple(parts)


def _price(instrument: Instrument, ticks: int) -> float:
    return float(instrument.price(ticks))


def _what(command: Any) -> str:
    if isinstance(command, ReplaceOrder):
        return f"in the place of {command.cancel_client_order_id}"
    if isinstance(command, AmendOrder):
        return f"{command.client_order_id} reduced"
    if isinstance(command, ModifyOrder):
        return "a standing order changed"
    return "placed" if command.post_only else "placed to take at once"


def _event_text(event: Any, instrument: Instrument) -> str:
    if isinstance(event, Fill):
        how = "made" if event.is_maker else "took"
        return f"filled: {how} {instrument.quantity(event.lots)} at {instrument.price(event.price_ticks)}, trade {event.trade_id}"
    if isinstance(event, OrderAccepted):
        return f"accepted as {event.exchange_order_id}"
    if isinstance(event, OrderUpdate):
        return f"{event.status.value.lower()} at the venue, filled {instrument.quantity(event.filled_lots)}"
    detail = getattr(event, "message", "") or getattr(event, "detail", "")
    return f"{type(event).__name__}: {detail}"
