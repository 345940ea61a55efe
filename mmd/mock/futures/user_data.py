"""User data of futures accounts: listen keys, and the engine's reports as `ORDER_TRADE_UPDATE` and `ACCOUNT_UPDATE`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from mmd.mock.engine import BalanceTransferred, EngineEvent, ExecutionType, OrderReport
from mmd.mock.futures.engine import FundingSettled, FuturesEngine
from mmd.mock.futures.replies import kind_and_time_in_force
from mmd.mock.server.errors import WireError
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.user_data import UserDataHub
from mmd.types.instrument import atoms_text

_NS_PER_SECOND = 1_000_000_000
_encode = msgspec.json.Encoder().encode


class FrameReader(Protocol):
    """A websocket that reads user data."""

    def send(self, payload: bytes) -> None:
        """Take one frame, at once."""


class ListenKey:
    """One account's key and whoever reads it."""

    __slots__ = ("account", "expires_ns", "readers", "text")

    def __init__(self, account: str, expires_ns: int) -> None:
        self.text = secrets.token_hex(32)
        self.account = account
        self.expires_ns = expires_ns
        self.readers: dict[FrameReader, bool] = {}
        """Each with whether its frames are wrapped in the combined form."""


class FuturesUserData(UserDataHub):
    """Every account has one listen key at most."""

    def __init__(self, engine: FuturesEngine, texts: Mapping[str, SymbolTexts], lifetime_seconds: float) -> None:
        super().__init__(engine, texts)
        self._futures = engine
        self._symbol_texts = texts
        self._lifetime_ns = int(lifetime_seconds * _NS_PER_SECOND)
        self._keys: dict[str, ListenKey] = {}

    def open_key(self, account: str, now_ns: int) -> str:
        """The account's listen key, made or prolonged."""
        key = next((each for each in self._keys.values() if each.account == account), None)
        if key is None:
            key = ListenKey(account, 0)
            self._keys[key.text] = key
        key.expires_ns = now_ns + self._lifetime_ns
        return key.text

    def prolong_key(self, account: str, now_ns: int) -> str:
        """Raises -1125 where the account has none."""
        if not any(key.account == account for key in self._keys.values()):
            raise WireError(-1125, "This listenKey does not exist.")
        return self.open_key(account, now_ns)

    def close_key(self, account: str) -> None:
        """Its readers hear nothing more."""
        for text in [key.text for key in self._keys.values() if key.account == account]:
            del self._keys[text]

    def expire_keys(self, now_ns: int) -> None:
        """Say `listenKeyExpired` on every key whose time is over."""
        for key in [each for each in self._keys.values() if each.expires_ns <= now_ns]:
            self._tell(key, {"e": "listenKeyExpired", "E": now_ns // NS_PER_MS, "listenKey": key.text})
            del self._keys[key.text]

    def attach(self, text: str, reader: FrameReader, *, combined: bool) -> bool:
        """`reader` reads the key from now on. False where there is no such key."""
        key = self._keys.get(text)
        if key is None:
            return False
        key.readers[reader] = combined
        return True

    def detach(self, reader: FrameReader) -> None:
        """It has gone."""
        for key in self._keys.values():
            key.readers.pop(reader, None)

    def on_operation(self, events: Sequence[EngineEvent]) -> None:
        """Send what one operation of the engine means to the accounts."""
        traded: dict[tuple[str, str], int] = {}
        for event in events:
            if isinstance(event, OrderReport):
                if event.trade is not None:
                    traded[event.account, event.symbol] = event.time_ns
                self._to_account(event.account, lambda event=event: self._order_update(event))
            elif isinstance(event, BalanceTransferred):
                reason = "DEPOSIT" if event.delta_atoms > 0 else "WITHDRAW"
                self._account_update(event.account, reason, event.asset, event.delta_atoms, event.time_ns, None)
        for (account, symbol), time_ns in traded.items():
            asset = self._futures.instruments[symbol].quote_asset
            self._account_update(account, "ORDER", asset, 0, time_ns, symbol)

    def on_funding(self, settled: FundingSettled) -> None:
        """In cross margin the venue tells the balance alone, without the position that it was paid for."""
        self._account_update(settled.account, "FUNDING_FEE", settled.asset, settled.amount_atoms, settled.time_ns, None)

    def _account_update(self, account: str, reason: str, asset: str, change_atoms: int, time_ns: int, symbol: str | None) -> None:
        def event() -> dict[str, Any]:
            wallet = next(each.total_atoms for each in self._futures.balances(account) if each.asset == asset)
            text = atoms_text(wallet)
            balances = [{"a": asset, "wb": text, "cw": text, "bc": atoms_text(change_atoms)}]
            positions = [] if symbol is None else [self._position(account, symbol)]
            return {
                "e": "ACCOUNT_UPDATE",
                "E": time_ns // NS_PER_MS,
                "T": time_ns // NS_PER_MS,
                "a": {"m": reason, "B": balances, "P": positions},
            }

        self._to_account(account, event)

    def _position(self, account: str, symbol: str) -> dict[str, str]:
        position, text = self._futures.position(account, symbol), self._symbol_texts[symbol]
        unit = text.instrument.notional_atoms
        return {
            "s": symbol,
            "pa": text.quantity(position.lots),
            "ep": f"{position.entry_ticks(unit) * float(text.instrument.tick_size):.8f}",
            "cr": atoms_text(position.realised_atoms),
            "up": atoms_text(position.unrealised_atoms(self._futures.mark_ticks(symbol), unit)),
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
            "ma": text.instrument.quote_asset,
        }

    def _order_update(self, report: OrderReport) -> dict[str, Any]:
        text, trade, time_ms = self._symbol_texts[report.symbol], report.trade, report.time_ns // NS_PER_MS
        kind, time_in_force = kind_and_time_in_force(report.order_type, report.time_in_force)
        execution = "EXPIRED" if report.execution_type == ExecutionType.TRADE_PREVENTION else report.execution_type
        order: dict[str, Any] = {
            "s": report.symbol,
            "c": report.original_client_order_id or report.client_order_id,
            "S": report.side.name,
            "o": kind,
            "f": time_in_force,
            "q": text.quantity(report.lots),
            "p": text.price(report.price_ticks),
            "ap": _average_price(text, report),
            "sp": "0",
            "x": execution,
            "X": report.status.value,
            "i": report.order_id,
            "l": text.quantity(trade.lots) if trade else "0",
            "z": text.quantity(report.executed_lots),
            "L": text.price(trade.price_ticks) if trade else "0",
            "T": time_ms,
            "t": trade.trade_id if trade else 0,
            "b": "0",
            "a": "0",
            "m": trade.is_maker if trade else False,
            "R": False,
            "wt": "CONTRACT_PRICE",
            "ot": kind,
            "ps": "BOTH",
            "cp": False,
            "rp": "0",
            "V": "EXPIRE_TAKER",
            "pm": "NONE",
            "gtd": 0,
        }
        if trade is not None:
            order["N"], order["n"] = trade.fee_asset, atoms_text(trade.fee_atoms)
            order["rp"] = atoms_text(self._futures.margin.realised_by_trade.get((report.account, report.symbol, trade.trade_id), 0))
        return {"e": "ORDER_TRADE_UPDATE", "E": time_ms, "T": time_ms, "o": order}

    def _to_account(self, account: str, event: Any) -> None:
        for key in self._keys.values():
            if key.account == account and key.readers:
                self._tell(key, event())

    def _tell(self, key: ListenKey, event: Mapping[str, object]) -> None:
        frame = _encode(event)
        for reader, combined in list(key.readers.items()):
            reader.send(b'{"stream":"%b","data":%b}' % (key.text.encode(), frame) if combined else frame)


def _average_price(text: SymbolTexts, report: OrderReport) -> str:
    if not report.executed_lots:
        return "0"
    average = report.quote_executed_atoms / (report.executed_lots * text.instrument.notional_atoms)
    return f"{average * float(text.instrument.tick_size):.8f}"
