"""What `mmd doctor` asks of a Binance venue: is it there, how far, what time is it, what may we trade, who are we, what have we."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from mmd.daemon.doctor import Finding
from mmd.daemon.market_recording import RECORDED_VENUES
from mmd.daemon.settings import Settings
from mmd.exchanges.adapter import AdapterCounters, AdapterError, CredentialsError
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import signer_of
from mmd.recording.feed import MARKET_WIRES
from mmd.recording.instruments import SPOT, USD_M
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument, units

PINGS = 7
SLOW_MS = 250.0
CLOCK_OFF_MS = 500.0
_KEY_REMEDY = "set exchange.api_key and exchange.api_secret (or …_FILE) to a key of this venue that may trade and read"
_REMEDIES = {
    -1021: "let this machine's clock be kept by NTP (timedatectl set-ntp true)",
    -1022: "the secret does not belong to the key: set exchange.api_secret anew",
    -2008: _KEY_REMEDY,
    -2014: _KEY_REMEDY,
    -2015: "the key is unknown here, or its permissions or address list forbid this: check it at the venue",
}


async def venue_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Everything that needs the venue, in the order in which one thing needs the other."""
    market = RECORDED_VENUES.get(settings.venue)
    if market is None:
        yield Finding("venue", "warn", f"{settings.venue}: this program looks only at {', '.join(RECORDED_VENUES)}", "try mmd run")
        return
    surroundings = Surroundings(time.time_ns, EventOutlet(_never), Complaints(time.time_ns), AdapterCounters(), Tasks(_never))
    rest = RestClient(settings.exchange, surroundings, time_path=f"{MARKET_WIRES[market].api}/time")
    try:
        offset_ms: int | None = None
        async for finding, measured in _clock(rest, settings):
            offset_ms = measured if measured is not None else offset_ms
            yield finding
        if offset_ms is None:
            return
        instruments: Mapping[str, Instrument] = {}
        async for found, listed in _filters(rest, settings, market):
            instruments = listed
            yield found
        async for finding in _account(rest, settings, market, instruments, offset_ms):
            yield finding
    finally:
        await rest.close()


def _never(error: BaseException, where: str) -> None:
    raise AssertionError(f"nothing runs here that could fail: {where}") from error


async def _clock(rest: RestClient, settings: Settings) -> AsyncIterator[tuple[Finding, int | None]]:
    """Latency and clock offset by several pings; the quickest tells the offset (venue's less ours, ms)."""
    trips: list[tuple[int, int]] = []
    try:
        # The first one opens the connection and is not counted.
        for _ in range(PINGS + 1):
            sent_ns, venue_ms, received_ns = await rest.server_time()
            trips.append((received_ns - sent_ns, venue_ms - (sent_ns + received_ns) // 2_000_000))
    except VenueError as error:
        remedy = "is it up (mock: mmd mock)? are mode, exchange.rest_url and the network right?"
        yield Finding("venue", "fail", f"{settings.exchange.rest_url} does not answer: {error}", remedy), None
        return
    trips = sorted(trips[1:])
    quickest, median = trips[0][0] / 1e6, trips[len(trips) // 2][0] / 1e6
    detail = f"{settings.exchange.rest_url} answers; round trip {quickest:.1f} ms at best, {median:.1f} ms in the middle of {PINGS}"
    slow = median > SLOW_MS
    yield Finding("latency", "warn" if slow else "ok", detail, "run nearer to the venue: quotes will be late" if slow else ""), None
    offset_ms = trips[0][1]
    detail = (
        f"the venue's clock is {abs(offset_ms)} ms {'ahead of' if offset_ms >= 0 else 'behind'} ours, within {quickest / 2:.0f} ms"
    )
    off = abs(offset_ms) > CLOCK_OFF_MS
    remedy = "let NTP keep this machine's clock; mmd corrects for it, but times in logs and recordings will be off" if off else ""
    yield Finding("clock", "warn" if off else "ok", detail, remedy), offset_ms


async def _filters(rest: RestClient, settings: Settings, market: str) -> AsyncIterator[tuple[Finding, Mapping[str, Instrument]]]:
    wire = MARKET_WIRES[market]
    symbols = (*settings.symbols, *settings.reference_symbols)
    listed = ",".join(f'"{symbol}"' for symbol in symbols)
    try:
        body = await rest.get(f"{wire.api}/exchangeInfo", {"symbols": f"[{listed}]"} if wire.lists_by_symbol else {})
        instruments = wire.instruments(body, symbols)
    except (VenueError, AdapterError) as error:
        yield Finding("filters", "fail", f"{', '.join(symbols)}: {error}", "mend symbols and reference_symbols"), {}
        return
    limit = settings.risk.max_order_notional
    for symbol, instrument in instruments.items():
        least = units(instrument.min_notional_atoms)
        detail = (
            f"{symbol}: tick {instrument.tick_size:f}, lot {instrument.lot_size:f}, least order {least:f} {instrument.quote_asset}"
        )
        if symbol in settings.symbols and least > limit:
            remedy = f"raise risk.max_order_notional ({limit}) above it, or nothing can be quoted"
            yield Finding("filters", "fail", detail, remedy), instruments
        else:
            yield Finding("filters", "ok", detail), instruments


async def _account(
    rest: RestClient, settings: Settings, market: str, instruments: Mapping[str, Instrument], offset_ms: int
) -> AsyncIterator[Finding]:
    api = MARKET_WIRES[market].api
    try:
        signer = signer_of(settings.exchange)
    except CredentialsError as error:
        yield Finding("keys", "fail", str(error), _KEY_REMEDY)
        return
    if not settings.exchange.api_key:
        yield Finding("keys", "fail", "no exchange.api_key is set", _KEY_REMEDY)
        return

    async def ask(path: str, parameters: Mapping[str, str]) -> Any:
        whole = path if path.startswith("/") else f"{api}/{path}"
        return msgspec.json.decode(await rest.get_signed(whole, parameters, signer, time.time_ns() // 10**6 + offset_ms))

    try:
        account = await ask("account" if market == SPOT else "/fapi/v3/account", {})
    except VenueError as error:
        yield Finding("keys", "fail", f"refused: {error}", _REMEDIES.get(error.code, _KEY_REMEDY))
        return
    except UNREADABLE as error:
        yield Finding("keys", "fail", f"the account cannot be read: {error}", "is the venue's URL right?")
        return
    may_trade = account.get("canTrade", True)
    yield Finding(
        "keys",
        "ok" if may_trade else "fail",
        "the account can be read" + ("" if may_trade else ", but it may not trade"),
        "" if may_trade else "let the key trade, at the venue",
    )
    quoted = [instruments[symbol] for symbol in settings.symbols if symbol in instruments]
    if market == USD_M:
        yield await _position_mode(ask)
    for finding in _balances(account, market, quoted):
        yield finding
    for instrument in quoted:
        yield await _fees(ask, account, market, instrument)


async def _position_mode(ask: Any) -> Finding:
    try:
        hedged = bool((await ask("positionSide/dual", {}))["dualSidePosition"])
    except (VenueError, KeyError, TypeError, *UNREADABLE) as error:
        return Finding(
            "mode", "warn", f"the position mode was not told ({type(error).__name__} {error})", "look it up at the venue"
        )
    if hedged:
        return Finding("mode", "fail", "the account is in hedge mode", "close the positions and set one-way mode at the venue")
    return Finding("mode", "ok", "the account is in one-way mode")


def _balances(account: Mapping[str, Any], market: str, quoted: list[Instrument]) -> list[Finding]:
    if market == SPOT:
        held = {line["asset"]: Decimal(line["free"]) + Decimal(line["locked"]) for line in account.get("balances", ())}
    else:
        held = {line["asset"]: Decimal(line.get("walletBalance", "0")) for line in account.get("assets", ())}
    findings = []
    for asset in dict.fromkeys(asset for each in quoted for asset in _needed(each, market)):
        amount = held.get(asset, Decimal(0))
        remedy = "" if amount else "fund it, or one side cannot be quoted"
        findings.append(Finding("balances", "ok" if amount else "warn", f"{amount.normalize():f} {asset}", remedy))
    return findings


def _needed(instrument: Instrument, market: str) -> tuple[str, ...]:
    return (instrument.base_asset, instrument.quote_asset) if market == SPOT else (instrument.quote_asset,)


async def _fees(ask: Any, account: Mapping[str, Any], market: str, instrument: Instrument) -> Finding:
    """What a maker pays, who is all we want to be."""
    symbol = instrument.symbol
    try:
        if market == SPOT:
            rates = account.get("commissionRates", {})
            maker, taker = Decimal(rates["maker"]), Decimal(rates["taker"])
        else:
            answer = await ask("commissionRate", {"symbol": symbol})
            maker, taker = Decimal(answer["makerCommissionRate"]), Decimal(answer["takerCommissionRate"])
    except (VenueError, KeyError, TypeError, InvalidOperation, *UNREADABLE) as error:
        return Finding("fees", "warn", f"{symbol}: not told ({type(error).__name__} {error})", "look them up at the venue")
    detail = f"{symbol}: maker {maker * 10_000:f} bps, taker {taker * 10_000:f} bps"
    if maker > 0:
        return Finding("fees", "warn", detail, "each side's half-spread must earn at least the maker's fee, else every fill loses")
    return Finding("fees", "ok", detail)
