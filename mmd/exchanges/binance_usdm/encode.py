"""Commands to request bytes of the futures' WebSocket API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mmd.exchanges.adapter import OrderCommand
from mmd.exchanges.binance.encode import FixedPointText, RequestEncoder, RequestTemplate, TemplateValues
from mmd.exchanges.binance.signing import Signer
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import CancelOrder, ModifyOrder, PlaceOrder, QueryOrder

_SIDE_TEXTS = {Side.BUY: "BUY", Side.SELL: "SELL"}


class _SymbolTemplates:
    """The requests about one symbol."""

    ORDER: ClassVar = ("newClientOrderId", "price", "quantity", "timestamp")
    MODIFICATION: ClassVar = ("origClientOrderId", "price", "quantity", "timestamp")

    def __init__(self, instrument: Instrument, common: Mapping[str, str], *, signed: bool) -> None:
        self.price_text = FixedPointText(instrument, of_price=True)
        self.quantity_text = FixedPointText(instrument, of_price=False)
        about = {**common, "symbol": instrument.symbol}
        self.place: dict[tuple[Side, bool], RequestTemplate] = {}
        self.modify: dict[Side, RequestTemplate] = {}
        for side, text in _SIDE_TEXTS.items():
            new = {**about, "side": text, "type": "LIMIT", "newOrderRespType": "ACK"}
            for post_only in (True, False):
                limit = {**new, "timeInForce": "GTX" if post_only else "IOC"}
                self.place[side, post_only] = RequestTemplate("order.place", limit, self.ORDER, signed=signed)
            self.modify[side] = RequestTemplate("order.modify", {**about, "side": text}, self.MODIFICATION, signed=signed)
        named = ("origClientOrderId", "timestamp")
        self.cancel = RequestTemplate("order.cancel", about, named, signed=signed)
        self.query = RequestTemplate("order.status", about, named, signed=signed)


class UsdmRequestEncoder(RequestEncoder):
    """See `RequestEncoder`. Knows neither `AmendOrder` (nothing changes here and keeps its place) nor `ReplaceOrder`."""

    def __init__(self, instruments: Mapping[str, Instrument], *, api_key: str, recv_window_ms: int, signer: Signer | None) -> None:
        super().__init__({}, api_key=api_key, recv_window_ms=recv_window_ms, signer=signer)
        common = {"recvWindow": str(recv_window_ms)}
        if signer is not None:
            common["apiKey"] = api_key
        self._contracts = {
            symbol: _SymbolTemplates(instrument, common, signed=signer is not None) for symbol, instrument in instruments.items()
        }

    def _parts(self, command: OrderCommand, timestamp: str) -> tuple[RequestTemplate, TemplateValues]:
        symbol = self._contracts[command.symbol]
        if isinstance(command, PlaceOrder):
            price, quantity = symbol.price_text(command.price_ticks), symbol.quantity_text(command.lots)
            return symbol.place[command.side, command.post_only], (command.client_order_id, price, quantity, timestamp)
        if isinstance(command, ModifyOrder):
            price, quantity = symbol.price_text(command.price_ticks), symbol.quantity_text(command.lots)
            return symbol.modify[command.side], (command.client_order_id, price, quantity, timestamp)
        if isinstance(command, CancelOrder):
            return symbol.cancel, (command.client_order_id, timestamp)
        if isinstance(command, QueryOrder):
            return symbol.query, (command.client_order_id, timestamp)
        raise TypeError(f"no request of the futures' WebSocket API carries out {type(command).__name__}")
