"""Commands to request bytes of the WebSocket API, from templates: whatever an order's numbers do not change is written once.

A template holds a request twice: as the text that is signed (parameters sorted by name, joined raw) and as JSON. In a session
that was logged on (Ed25519) requests carry neither key nor signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from mmd.exchanges.adapter import OrderCommand
from mmd.exchanges.binance.signing import Signer
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import AmendOrder, CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder

_SIDE_TEXTS = {Side.BUY: "BUY", Side.SELL: "SELL"}
_UNQUOTED: Final = frozenset({"timestamp", "recvWindow"})
_OPEN: Final = "\0"
"""Stands for a value; no venue has it in a parameter."""
TemplateValues: TypeAlias = "tuple[str, ...]"


class FixedPointText:
    """Writes whole steps (ticks or lots) as the decimal text of the venue, by integer arithmetic alone."""

    __slots__ = ("_decimals", "_form", "_scale", "_units")

    def __init__(self, instrument: Instrument, *, of_price: bool) -> None:
        step = instrument.tick_size if of_price else instrument.lot_size
        self._decimals = instrument.price_decimals if of_price else instrument.quantity_decimals
        self._scale = 10**self._decimals
        self._units = int(step * self._scale)
        self._form = f"%d.%0{self._decimals}d"

    def __call__(self, steps: int) -> str:
        """The text of `steps`, which must not be negative."""
        return self._form % divmod(steps * self._units, self._scale) if self._decimals else str(steps * self._units)


class RequestTemplate:
    """One request with its variable parameters left open. `variables` is sorted by name, as the parameters are."""

    __slots__ = ("_body", "_is_signed", "_payload")

    def __init__(self, method: str, constants: Mapping[str, str], variables: tuple[str, ...], *, signed: bool) -> None:
        if tuple(sorted(variables)) != variables:
            raise ValueError(f"variables of {method} must be sorted by name: {variables}")
        values = {**constants, **dict.fromkeys(variables, _OPEN)}
        ordered = [(name, values[name]) for name in sorted(values)]
        fields = [f'"{name}":{value}' if name in _UNQUOTED else f'"{name}":"{value}"' for name, value in ordered]
        if signed:
            fields.append(f'"signature":"{_OPEN}"')
        self._is_signed = signed
        # What is constant stands at even places of both lists, what is open at odd ones. To be joined they are quicker than a
        # format that is read through each time.
        self._payload = _pieces("&".join(f"{name}={value}" for name, value in ordered))
        self._body = _pieces('{"id":' + _OPEN + ',"method":"' + method + '","params":{' + ",".join(fields) + "}}")

    def payload(self, values: TemplateValues) -> str:
        """What is signed. Raises `ValueError` where the values are not as many as the variables."""
        pieces = self._payload
        pieces[1::2] = values
        return "".join(pieces)

    def render(self, request_id: str, values: TemplateValues, signer: Signer | None) -> bytes:
        """The whole request. Raises `ValueError` where the values are not as many as the variables."""
        pieces = self._body
        if signer is None or not self._is_signed:
            pieces[1::2] = (request_id, *values)
        else:
            pieces[1::2] = (request_id, *values, signer.sign(self.payload(values).encode()))
        return "".join(pieces).encode()


def _pieces(text: str) -> list[str]:
    """A text with openings as constants and places to fill by turns."""
    first, *rest = text.split(_OPEN)
    return [first, *(piece for constant in rest for piece in (_OPEN, constant))]


class _SymbolTemplates:
    """The requests about one symbol."""

    def __init__(self, instrument: Instrument, common: Mapping[str, str], *, signed: bool) -> None:
        self.price_text = FixedPointText(instrument, of_price=True)
        self.quantity_text = FixedPointText(instrument, of_price=False)
        about = {**common, "symbol": instrument.symbol}
        order = ("newClientOrderId", "price", "quantity", "timestamp")
        self.place: dict[tuple[Side, bool], RequestTemplate] = {}
        self.replace: dict[Side, RequestTemplate] = {}
        for side, side_text in _SIDE_TEXTS.items():
            new = {**about, "side": side_text, "newOrderRespType": "ACK"}
            post_only = {**new, "type": "LIMIT_MAKER"}
            immediate = {**new, "type": "LIMIT", "timeInForce": "IOC"}
            self.place[side, True] = RequestTemplate("order.place", post_only, order, signed=signed)
            self.place[side, False] = RequestTemplate("order.place", immediate, order, signed=signed)
            replacing = {**post_only, "cancelReplaceMode": "STOP_ON_FAILURE"}
            self.replace[side] = RequestTemplate(
                "order.cancelReplace", replacing, ("cancelOrigClientOrderId", *order), signed=signed
            )
        named = ("origClientOrderId", "timestamp")
        self.cancel = RequestTemplate("order.cancel", about, named, signed=signed)
        self.query = RequestTemplate("order.status", about, named, signed=signed)
        amended = ("newClientOrderId", "newQty", "origClientOrderId", "timestamp")
        self.amend = RequestTemplate("order.amend.keepPriority", about, amended, signed=signed)


class RequestEncoder:
    """Encodes the order commands of the given instruments.

    With `signer` each request is signed for `api_key`; without, the session is taken to be logged on. Pure: the same command,
    id and timestamp always give the same bytes.
    """

    def __init__(self, instruments: Mapping[str, Instrument], *, api_key: str, recv_window_ms: int, signer: Signer | None) -> None:
        self._signer = signer
        self._recv_window_ms = recv_window_ms
        common = {"recvWindow": str(recv_window_ms)}
        if signer is not None:
            common["apiKey"] = api_key
        self._symbols = {
            symbol: _SymbolTemplates(instrument, common, signed=signer is not None) for symbol, instrument in instruments.items()
        }

    def encode(self, command: OrderCommand, request_id: int, timestamp_ms: int) -> bytes:
        """The request as it goes over the wire. Raises `KeyError` for a symbol that is not ours."""
        template, values = self._parts(command, str(timestamp_ms))
        return template.render(str(request_id), values, self._signer)

    def payload(self, command: OrderCommand, timestamp_ms: int) -> str:
        """The parameters as they are signed: the whole of a request but its id and signature."""
        template, values = self._parts(command, str(timestamp_ms))
        return template.payload(values)

    def _parts(self, command: OrderCommand, timestamp: str) -> tuple[RequestTemplate, TemplateValues]:
        symbol = self._symbols[command.symbol]
        if type(command) is ReplaceOrder:
            values = (
                command.cancel_client_order_id,
                command.client_order_id,
                symbol.price_text(command.price_ticks),
                symbol.quantity_text(command.lots),
                timestamp,
            )
            return symbol.replace[command.side], values
        if type(command) is PlaceOrder:
            price, quantity = symbol.price_text(command.price_ticks), symbol.quantity_text(command.lots)
            return symbol.place[command.side, command.post_only], (command.client_order_id, price, quantity, timestamp)
        if type(command) is CancelOrder:
            return symbol.cancel, (command.client_order_id, timestamp)
        if isinstance(command, AmendOrder):
            quantity = symbol.quantity_text(command.lots)
            return symbol.amend, (command.new_client_order_id, quantity, command.client_order_id, timestamp)
        if isinstance(command, QueryOrder):
            return symbol.query, (command.client_order_id, timestamp)
        raise TypeError(f"no request of the WebSocket API carries out {type(command).__name__}")


def session_logon(request_id: str, *, api_key: str, recv_window_ms: int, signer: Signer, timestamp_ms: int) -> bytes:
    """Authenticates the connection (Ed25519 keys only)."""
    return _signed_request("session.logon", request_id, api_key, recv_window_ms, signer, timestamp_ms)


def subscribe_user_data_signed(request_id: str, *, api_key: str, recv_window_ms: int, signer: Signer, timestamp_ms: int) -> bytes:
    """Subscribes to user data on a connection without session."""
    return _signed_request("userDataStream.subscribe.signature", request_id, api_key, recv_window_ms, signer, timestamp_ms)


def subscribe_user_data(request_id: str) -> bytes:
    """Subscribes to user data on a connection that was logged on."""
    return f'{{"id":"{request_id}","method":"userDataStream.subscribe"}}'.encode()


def _signed_request(method: str, request_id: str, api_key: str, recv_window_ms: int, signer: Signer, timestamp_ms: int) -> bytes:
    constants = {"apiKey": api_key, "recvWindow": str(recv_window_ms)}
    template = RequestTemplate(method, constants, ("timestamp",), signed=True)
    return template.render(f'"{request_id}"', (str(timestamp_ms),), signer)
