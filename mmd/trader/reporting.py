"""The trader's account of itself: floats and texts for people and metrics, made only when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mmd.execution.hypothetical import HypotheticalQuotes
from mmd.inference.gate import PredictionGate
from mmd.inference.refusals import GateRefusal
from mmd.quoting.prediction import ABSENT
from mmd.quoting.quote import Quote
from mmd.trader.desk import SymbolDesk
from mmd.trader.watched import WatchedSymbol
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import Side
from mmd.types.orders import Fill
from mmd.types.report import FillLine, OrderLine, QuoteLine, ShadowLine, SymbolReport, TraderReport, WatchedReport

if TYPE_CHECKING:
    from mmd.trader.core import Trader

QUOTE_NETWORK = "quote"
LADDER_LEVELS = 10
ADVERSE_HORIZON = "1s"
"""Until when the market's way counts as adverse selection; later it is the inventory's."""


def build_report(trader: Trader, now_ns: int) -> TraderReport:
    """Money in quote units, prices in quote units, quantities in base units."""
    safeguards = trader.safeguards
    symbols = tuple(symbol_report(trader, desk, now_ns) for desk in trader.desks.values())
    refusals = gate_refusals(trader)
    pauses = tuple(sorted(f"{reason.value}:{symbol or 'all'}" for reason, symbol in safeguards.pauses.active))
    return TraderReport(
        time_ns=now_ns,
        mode=trader.config.mode,
        session=trader.config.session,
        halt=safeguards.latch.record,
        pauses=pauses,
        symbols=symbols,
        open_orders=tuple(
            OrderLine(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                side=order.side.name,
                price=float(trader.desks[order.symbol].instrument.price(order.price_ticks)),
                quantity=float(trader.desks[order.symbol].instrument.quantity(order.lots - order.filled_lots)),
                state=order.state.value,
                age_ns=now_ns - order.sent_ns,
            )
            for order in trader.tracker.all_open()
            if order.symbol in trader.desks
        ),
        ticks=sum(line.ticks for line in symbols),
        steps=sum(line.steps for line in symbols),
        quotes=sum(line.quotes for line in symbols),
        orders_sent=trader.orders.orders_sent,
        fills=sum(line.fills for line in symbols),
        sequence_gaps=sum(line.sequence_gaps for line in symbols),
        resyncs=sum(line.resyncs for line in symbols),
        pnl=sum(line.pnl for line in symbols),
        fees=sum(line.fees for line in symbols),
        funding=sum(line.funding for line in symbols),
        loss_used=safeguards.loss_used,
        drawdown=safeguards.drawdown,
        risk_denials={reason.value: count for reason, count in safeguards.checks.denials.items() if count},
        pause_counts={reason.value: count for reason, count in safeguards.pauses.counts.items() if count},
        rejections=dict(trader.account_events.rejections),
        gate_refusals=refusals.get(QUOTE_NETWORK, {}),
        network_refusals=refusals,
        reconciliations=dict(trader.accounts.counts),
        limits_used=safeguards.limits_used(trader.tracker, now_ns),
        limits=safeguards.limits(),
        exposure=safeguards.exposure_atoms(trader.tracker) / ATOMS_PER_UNIT,
        order_commands=dict(trader.orders.commands),
        orders_accepted=trader.account_events.accepted,
        watched=tuple(watched_report(watched, now_ns) for watched in trader.watched.values()),
        signals=trader.signals.lines(now_ns),
        flatten=trader.flattening.report(now_ns),
        shadow=tuple(line for desk in trader.desks.values() for line in shadow_lines(trader, desk)),
    )


def symbol_report(trader: Trader, desk: SymbolDesk, now_ns: int) -> SymbolReport:
    """One symbol."""
    book, ledger, instrument, watch = desk.book, desk.ledger, desk.instrument, desk.watch
    tick = float(instrument.tick_size)
    unrealised = (desk.unrealised_atoms() or 0) / ATOMS_PER_UNIT
    realised, fees = ledger.realised_atoms / ATOMS_PER_UNIT, ledger.fees_quote_atoms / ATOMS_PER_UNIT
    funding, mark = ledger.funding_atoms / ATOMS_PER_UNIT, desk.mark_price
    position = ledger.position_atoms / ATOMS_PER_UNIT
    pnl, symbol = realised + unrealised - fees + funding, instrument.symbol
    captured, drift = trader.markouts.captured_and_drift(symbol, ADVERSE_HORIZON)
    unit = instrument.notional_atoms / ATOMS_PER_UNIT
    parts = {"spread": captured * unit, "adverse_selection": drift * unit, "fees": -fees, "funding": funding}
    return SymbolReport(
        symbol=symbol,
        book_valid=book.valid,
        invalid_reason=book.invalid_reason,
        bid=book.bid_ticks * tick,
        ask=book.ask_ticks * tick,
        mid=0.5 * (book.bid_ticks + book.ask_ticks) * tick,
        quote=None if desk.quote is None else quote_line(desk.quote, instrument),
        position=position,
        average_cost=ledger.average_cost_ticks * tick,
        realised=realised,
        unrealised=unrealised,
        fees=fees,
        funding=funding,
        mark=None if mark is None else mark.mark_ticks * tick,
        funding_rate=None if mark is None else mark.funding_rate,
        next_funding_ns=0 if mark is None else mark.next_funding_ns,
        pnl=pnl,
        pnl_parts={**parts, "inventory": pnl - sum(parts.values())},
        against=trader.markouts.against(symbol),
        presence_seconds=trader.orders.presence.seconds(symbol),
        fills=desk.fills,
        steps=desk.steps,
        ticks=desk.ticks,
        quotes=desk.quotes,
        sequence_gaps=book.gaps,
        resyncs=book.resyncs,
        data_age_ns=now_ns - book.receive_ns if book.receive_ns else 0,
        feed_lag_ns=desk.feed_lag.lag_ns or 0,
        markouts_bps=trader.markouts.mean_bps(symbol),
        features=dict(zip(desk.perception.stream.features.NAMES, desk.perception.stream.features.values, strict=True)),
        predictions=predictions(desk),
        drift=desk.perception.drift_psi(),
        calibration={} if watch is None else {"price_change.slope": desk.rescale, **watch.calibration.measures()},
        distributions={} if watch is None else watch.calibration.quantiles(),
        attribution={} if watch is None else watch.shares(),
        bids=ladder(desk, Side.BUY),
        asks=ladder(desk, Side.SELL),
        recent_fills=tuple(fill_line(fill, instrument) for fill in desk.recent_fills),
    )


def ladder(desk: SymbolDesk, side: Side) -> tuple[tuple[float, float], ...]:
    """Price and quantity of the best levels."""
    instrument = desk.instrument
    return tuple(
        (round(ticks / instrument.ticks_per_unit, instrument.price_decimals), lots / instrument.lots_per_unit)
        for ticks, lots in desk.book.levels(side, LADDER_LEVELS)
    )


def fill_line(fill: Fill, instrument: Instrument) -> FillLine:
    """One trade of ours."""
    return FillLine(
        time_ns=fill.exchange_ns,
        trade_id=fill.trade_id,
        side=fill.side.name,
        price=float(instrument.price(fill.price_ticks)),
        quantity=float(instrument.quantity(fill.lots)),
        is_maker=fill.is_maker,
    )


def watched_report(watched: WatchedSymbol, now_ns: int) -> WatchedReport:
    """One reference symbol."""
    book, tick = watched.book, float(watched.instrument.tick_size)
    return WatchedReport(
        symbol=watched.instrument.symbol,
        book_valid=book.valid,
        invalid_reason=book.invalid_reason,
        bid=book.bid_ticks * tick,
        ask=book.ask_ticks * tick,
        ticks=watched.ticks,
        steps=watched.steps,
        sequence_gaps=book.gaps,
        resyncs=book.resyncs,
        data_age_ns=now_ns - book.receive_ns if book.receive_ns else 0,
        feed_lag_ns=watched.feed_lag.lag_ns or 0,
        features=dict(zip(watched.stream.features.NAMES, watched.stream.features.values, strict=True)),
    )


def shadow_lines(trader: Trader, desk: SymbolDesk) -> list[ShadowLine]:
    """Champion and challenger beside each other; nothing where there is no challenger."""
    challenger = desk.challenger
    if challenger is None:
        return []
    champion = "" if trader.bundle is None else trader.bundle.card.name
    return [
        _shadow_line(desk.instrument.symbol, "champion", champion, challenger.champion, desk.perception.gate),
        _shadow_line(desk.instrument.symbol, "challenger", challenger.bundle.card.name, challenger.own, challenger.gate),
    ]


def _shadow_line(
    symbol: str, who: Literal["champion", "challenger"], bundle: str, quotes: HypotheticalQuotes, gate: PredictionGate | None
) -> ShadowLine:
    passed, refused = (0, 0) if gate is None else (gate.passed, sum(gate.refusals.values()))
    return ShadowLine(symbol, who, bundle, quotes.quotes, quotes.fills, quotes.markouts_bps(), passed, refused)


def predictions(desk: SymbolDesk) -> dict[str, float]:
    """The heads' newest outputs, the gate's score, and the running regression's factor; empty without a network."""
    perception = desk.perception
    if perception.predictor is None or perception.gate is None:
        return {}
    said = perception.prediction
    found = {
        "price_change": said.price_change,
        "optimal_spread": said.optimal_spread,
        "position_signal": said.position_signal,
        "usable": float(said.usable),
        "out_of_range_score": perception.gate.score,
        "rescale": desk.rescale,
    }
    if said.order_flow_refusal != ABSENT:
        found |= {"p_up": said.p_up, "order_flow_usable": float(not said.order_flow_refusal)}
    if said.adverse_refusal != ABSENT:
        found |= {
            "p_adverse_bid": said.p_adverse_bid,
            "p_adverse_ask": said.p_adverse_ask,
            "adverse_selection_usable": float(not said.adverse_refusal),
        }
    if said.risk_refusal != ABSENT:
        found |= {"risk": said.risk, "risk_usable": float(not said.risk_refusal)}
    if said.cross_refusal != ABSENT:
        found |= {"cross_move": said.cross_move, "cross_asset_usable": float(not said.cross_refusal)}
    return found


def gate_refusals(trader: Trader) -> dict[str, dict[str, int]]:
    """By network, predictions that were not used by the gate's reason, over all symbols. A network never refused is there too."""
    total: dict[str, dict[str, int]] = {}
    for desk in trader.desks.values():
        perception = desk.perception
        if perception.gate is None:
            continue
        _add(total.setdefault(QUOTE_NETWORK, {}), perception.gate.refusals)
        for seat in perception.seats:
            for network, counts in seat.refusals().items():
                _add(total.setdefault(network, {}), counts)
    return total


def _add(total: dict[str, int], counts: Mapping[GateRefusal, int]) -> None:
    for reason, count in counts.items():
        if count:
            total[reason.value] = total.get(reason.value, 0) + count


def quote_line(quote: Quote, instrument: Instrument) -> QuoteLine:
    """A quote in quote and base units."""
    tick, lot = float(instrument.tick_size), float(instrument.lot_size)
    return QuoteLine(
        bid=quote.bid_ticks * tick,
        ask=quote.ask_ticks * tick,
        bid_quantity=quote.bid_lots * lot,
        ask_quantity=quote.ask_lots * lot,
        fair=quote.fair_ticks * tick,
        spread=quote.spread_ticks * tick,
        confidence=quote.confidence,
        predicted_direction=quote.predicted_direction,
        source=quote.source,
        attribution_ticks=quote.attribution.as_dict(),
        size_share=quote.raw.size_share,
        refused=quote.refused,
    )
