"""Every record survives the journal; no key and no signature gets into it."""

from __future__ import annotations

import contextlib
import math
import typing
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmd.exchanges import adapter
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.signing import HmacSigner
from mmd.exchanges.binance_usdm.encode import UsdmRequestEncoder
from mmd.journal.codec import OutboundHash, RecordDecoder, RecordEncoder, without_signature
from mmd.journal.errors import JournalError
from mmd.journal.records import CODES, COMMANDS, EVENTS, SessionBegin, Unreadable
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.trader.commands import Command
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, Side
from mmd.types.orders import AmendOrder, CancelOrder, ModifyOrder, PlaceOrder, QueryOrder, ReplaceOrder

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
STAND_INS = {SwapNetworks, ChallengeNetworks}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """A value of a field's type, within what a journal can hold."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(anything(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[anything(one) for one in inner])
    if origin in (typing.Union, UnionType):
        return st.one_of(*[anything(one) for one in inner])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(hint, **{name: anything(kind) for name, kind in typing.get_type_hints(hint).items()})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**63 - 1),
        str: st.text(max_size=8),
        bytes: st.binary(max_size=16),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        Decimal: st.decimals(allow_nan=False, allow_infinity=False),
        type(None): st.none(),
    }
    return simple[hint]


STRUCTS = sorted(
    (kind for kind in CODES if issubclass(kind, msgspec.Struct) and kind is not SessionBegin), key=lambda kind: CODES[kind]
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("kind", STRUCTS, ids=[kind.__name__ for kind in STRUCTS])
@given(data=st.data())
def test_every_kind_of_record_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    records = data.draw(st.lists(anything(kind), min_size=1, max_size=3))
    assert RecordDecoder().decode(RecordEncoder().encode(records)) == records


def test_what_networks_said_and_took_comes_back_to_the_last_bit() -> None:
    said = [("BTCUSDT", 0.1 + 0.2, -1e-300, math.inf), 35_328, b'{"id":1}']
    assert RecordDecoder().decode(RecordEncoder().encode(said)) == said
    symbol, *outputs = RecordDecoder().decode(RecordEncoder().encode([("BTCUSDT", math.nan, math.nan, math.nan)]))[0]
    assert symbol == "BTCUSDT"
    assert all(math.isnan(output) for output in outputs)


def test_codes_are_given_once_and_to_everything_that_reaches_or_leaves_the_core() -> None:
    assert len(set(CODES.values())) == len(CODES)
    trader = Trader(TraderConfig(session="t", quoting=QuotingSettings(strategy="fixed")), {"BTCUSDT": BTC})
    assert set(trader._handlers) - STAND_INS <= EVENTS
    assert set(typing.get_args(adapter.Event)) <= EVENTS
    assert set(typing.get_args(Command)) == COMMANDS


def test_what_no_journal_can_hold_is_told_as_text_and_an_unknown_code_refused() -> None:
    assert RecordDecoder().decode(RecordEncoder().encode([{1, 2}])) == [Unreadable("set", "{1, 2}")]
    with pytest.raises(JournalError, match="kind 9999"):
        RecordDecoder().decode(msgspec.msgpack.encode([(9999, None)]))


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_records_are_an_error_of_ours(content: bytes) -> None:
    with contextlib.suppress(JournalError):
        RecordDecoder().decode(content)


WIRES = (
    (RequestEncoder, (PlaceOrder, ReplaceOrder, AmendOrder, CancelOrder, QueryOrder)),
    (UsdmRequestEncoder, (PlaceOrder, ModifyOrder, CancelOrder, QueryOrder)),
)
COMMANDS_OF_ORDERS = (
    PlaceOrder(1, "mmd-a-1", "BTCUSDT", Side.BUY, 2_816_547, 12),
    PlaceOrder(1, "mmd-a-2", "BTCUSDT", Side.SELL, 2_816_547, 12, False),
    ReplaceOrder(1, "mmd-a-1", "mmd-a-3", "BTCUSDT", Side.BUY, 2_816_540, 12),
    AmendOrder(1, "mmd-a-3", "mmd-a-4", "BTCUSDT", 5),
    ModifyOrder(1, "mmd-a-4", "BTCUSDT", Side.SELL, 2_816_540, 12),
    CancelOrder(1, "mmd-a-4", "BTCUSDT"),
    QueryOrder(1, "mmd-a-4", "BTCUSDT"),
)


@pytest.mark.parametrize(("wire", "kinds"), WIRES, ids=["spot", "futures"])
def test_a_request_without_signature_and_key_is_what_an_encoder_without_key_makes(wire: Any, kinds: tuple[type, ...]) -> None:
    instruments = {"BTCUSDT": BTC}
    signing = wire(instruments, api_key="the-key", recv_window_ms=2000, signer=HmacSigner("the-secret"))
    plain = wire(instruments, api_key="", recv_window_ms=2000, signer=None)
    for command in COMMANDS_OF_ORDERS:
        if isinstance(command, kinds):
            signed = signing.encode(command, 77, 1_700_000_000_000)
            assert b"signature" in signed
            assert b"the-key" in signed
            assert without_signature(signed) == plain.encode(command, 77, 1_700_000_000_000)


def test_the_hash_covers_commands_and_requests_and_their_order_but_no_event() -> None:
    place, cancel = COMMANDS_OF_ORDERS[0], COMMANDS_OF_ORDERS[5]

    def digest(*records: Any) -> str:
        encoder = RecordEncoder()
        encoder.encode(records)
        return encoder.outbound.hexdigest()

    assert digest(place, cancel) == digest(BatchEnd(1), place, BatchEnd(2), cancel)
    assert digest(place, cancel) != digest(cancel, place)
    assert digest(place, b'{"id":1}') != digest(place, b'{"id":2}')
    assert digest(b'{"id":1,"signature":"a"}') == digest(b'{"id":1,"signature":"b"}')
    assert OutboundHash().hexdigest() == digest()
