"""Every decoder of bytes from outside, by name: it returns, or raises the error that its documentation names. Nothing else, ever.

A target takes bytes and says nothing; what it raises is a broken contract. `SEEDS` are true examples to start from.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from mmd.daemon.checkpoint import CheckpointError, CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import HeartbeatError, read_heartbeat
from mmd.daemon.settings_sources import SettingsError, load_settings
from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.binance.account_view import AccountView
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame
from mmd.exchanges.binance.exchange_info import instruments_of
from mmd.exchanges.binance.order_messages import OrderNames
from mmd.exchanges.binance.replies import ReplyDecoder, decode_envelope, order_budgets, retry_after_ms
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import NoSigner
from mmd.exchanges.binance.user_data import UserDataDecoder
from mmd.exchanges.binance_usdm.exchange_info import perpetuals_of
from mmd.exchanges.binance_usdm.user_data import UsdmUserDataDecoder
from mmd.inference.card import decode_card
from mmd.inference.errors import BundleError
from mmd.journal.codec import RecordDecoder, RecordEncoder, without_signature
from mmd.journal.errors import JournalError
from mmd.journal.reader import SessionJournal
from mmd.journal.segments import segment_path
from mmd.mock.instruments import listed
from mmd.recording.recording import LineError, RecordingError, parse_line, read_lines, recognise
from mmd.types.control import Timer
from mmd.types.market import Side
from mmd.types.orders import AmendOrder, CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder

INSTRUMENTS = {instrument.symbol: instrument for instrument in listed(("BTCUSDT", "ETHUSDT"))}
BTC = "BTCUSDT"
NOW_NS = 1_700_000_000_000_000_000
COMMANDS = (
    PlaceOrder(NOW_NS, "mmd-e-1", BTC, Side.BUY, 6_000_000, 100),
    CancelOrder(NOW_NS, "mmd-e-1", BTC),
    ReplaceOrder(NOW_NS, "mmd-e-1", "mmd-e-2", BTC, Side.BUY, 6_000_000, 100),
    AmendOrder(NOW_NS, "mmd-e-1", "mmd-e-2", BTC, 50),
    QueryOrder(NOW_NS, "mmd-e-1", BTC),
)
_SCRATCH = tempfile.TemporaryDirectory(prefix="mmd-fuzz-")
FOLDER = Path(_SCRATCH.name)
_FRAMES = FrameDecoder(INSTRUMENTS)

Target = Callable[[bytes], None]


def market_frame(data: bytes) -> None:
    with suppress(MalformedFrame):
        _FRAMES.decode(data, NOW_NS)


def depth_snapshot(data: bytes) -> None:
    with suppress(MalformedFrame):
        _FRAMES.decode_snapshot(BTC, data, NOW_NS)


def websocket_api_reply(data: bytes) -> None:
    replies = ReplyDecoder(INSTRUMENTS, OrderNames())
    try:
        envelope = decode_envelope(data)
    except MalformedFrame:
        return
    order_budgets(envelope, NOW_NS)
    for command in COMMANDS:
        with suppress(MalformedFrame):
            replies.outcome(command, envelope, 1, NOW_NS)
    if envelope.error is not None:
        with suppress(MalformedFrame):
            retry_after_ms(envelope.error)


def user_data(data: bytes) -> None:
    with suppress(MalformedFrame):
        UserDataDecoder(INSTRUMENTS, OrderNames()).decode(data, NOW_NS)


def usdm_user_data(data: bytes) -> None:
    with suppress(MalformedFrame):
        UsdmUserDataDecoder(INSTRUMENTS, OrderNames()).decode(data, NOW_NS)


class _Answers:
    """REST that answers with these bytes, whatever it is asked."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def now_ns(self) -> int:
        return NOW_NS

    async def get_signed(self, *_: Any) -> bytes:
        return self._body


class _Clock:
    def timestamp_ms(self, our_ns: int) -> int:
        return our_ns // 1_000_000


def account_replies(data: bytes) -> None:
    rest, clock = cast(RestClient, _Answers(data)), cast(VenueClock, _Clock())
    view = AccountView(rest, NoSigner(), clock, INSTRUMENTS, OrderNames())
    for asked in (view._balances(), view._open_orders(BTC), view._trades_page(BTC, {}), view._look_up(BTC, 1)):
        with suppress(MalformedFrame, VenueError):
            _drive(asked)


def _drive(work: Coroutine[Any, Any, Any]) -> None:
    """Nothing in it waits."""
    with suppress(StopIteration):
        work.send(None)


def exchange_info(data: bytes) -> None:
    for read in (instruments_of, perpetuals_of):
        with suppress(AdapterError):
            read(data, (BTC,))


def settings_file(data: bytes) -> None:
    path = _file("mmd.toml", data)
    with suppress(SettingsError):
        load_settings(path, environment={}, directory=FOLDER)


def settings_environment(data: bytes) -> None:
    """Lines `NAME=value`, as an environment holds them."""
    lines = [line.partition("=") for line in data.decode("utf-8", "replace").replace("\0", "").split("\n")]
    environment = {f"MMD_{name.upper()}": value for name, _, value in lines}
    with suppress(SettingsError):
        load_settings(None, environment=environment, directory=FOLDER / "nowhere")


def dotenv_file(data: bytes) -> None:
    folder = FOLDER / "dotenv"
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_bytes(data)
    with suppress(SettingsError):
        load_settings(None, environment={}, directory=folder)


def bundle_card(data: bytes) -> None:
    with suppress(BundleError):
        decode_card(data, "card.json")


def recorded_line(data: bytes) -> None:
    with suppress(LineError):
        parse_line(data)


def recorded_file(data: bytes) -> None:
    """The bytes of a file, and a file of the bytes."""
    for content in (data, gzip.compress(data, 1)):
        path = _file("spot__btcusdt_20240101T000000Z.gz", content)
        with suppress(RecordingError):
            recognise(path)
        with suppress(RecordingError):
            for _ in read_lines(path, BTC):
                pass


def journal_chunk(data: bytes) -> None:
    without_signature(data)
    with suppress(JournalError):
        RecordDecoder().decode(data)


def journal_file(data: bytes) -> None:
    folder = FOLDER / "journal"
    folder.mkdir(exist_ok=True)
    segment_path(folder, 0).write_bytes(data)
    with suppress(JournalError):
        journal = SessionJournal(folder)
        for _ in journal.records():
            pass
        journal.end()


def checkpoint(data: bytes) -> None:
    _file("ledger.json", data)
    with suppress(CheckpointError):
        CheckpointFile(FOLDER, "account").read()


def halt_latch(data: bytes) -> None:
    """What cannot be read counts as halted: this one never raises."""
    _file("halt.json", data)
    record = HaltFile(FOLDER).read(NOW_NS)
    assert record is not None


def halt_request(data: bytes) -> None:
    """The operator's file may hold anything."""
    path = _file("HALT", data)
    assert HaltFile(FOLDER).operator_request()
    path.unlink()


def heartbeat(data: bytes) -> None:
    with suppress(HeartbeatError):
        read_heartbeat(_file("heartbeat", data))


def _file(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        market_frame, depth_snapshot, websocket_api_reply, user_data, usdm_user_data, account_replies, exchange_info,
        settings_file, settings_environment, dotenv_file, bundle_card, recorded_line, recorded_file, journal_chunk, journal_file,
        checkpoint, halt_latch, halt_request, heartbeat,
    )
}  # fmt: skip
"""Every decoder by its name."""

_ORDER = (
    b'"symbol":"BTCUSDT","orderId":7,"clientOrderId":"mmd-e-1","side":"BUY","status":"NEW","price":"60000.00",'
    b'"origQty":"0.00100","executedQty":"0.00000","time":1700000000000,"updateTime":1700000000000,"transactTime":1700000000000'
)
_EXECUTION = (
    b'{"e":"executionReport","E":1700000000000,"s":"BTCUSDT","c":"mmd-e-1","S":"BUY","q":"0.00100","p":"60000.00","C":"",'
    b'"x":"TRADE","X":"PARTIALLY_FILLED","i":7,"l":"0.00050","z":"0.00050","L":"60000.00","n":"0.00000050","N":"BTC",'
    b'"T":1700000000000,"t":9,"m":true}'
)
_USDM_ORDER = (
    b'{"e":"ORDER_TRADE_UPDATE","E":1700000000000,"o":{"s":"BTCUSDT","c":"mmd-e-1","S":"BUY","q":"0.001","p":"60000","x":"TRADE",'
    b'"X":"FILLED","i":7,"l":"0.001","z":"0.001","L":"60000","n":"0.01","N":"USDT","T":1700000000000,"t":9,"m":true,"ap":"60000"}}'
)
_LINE = (
    b'1700000000000000000 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":5,"u":6,'
    b'"b":[["60000.00","1.00000"]],"a":[["60000.01","0.00000"]]}}\n'
)
_FILTERS = (
    b'"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.00","tickSize":"0.01"},'
    b'{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},'
    b'{"filterType":"NOTIONAL","minNotional":"5"},{"filterType":"MIN_NOTIONAL","notional":"5"}]'
)

SEEDS: dict[str, tuple[bytes, ...]] = {
    "market_frame": (
        b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"60000.00","B":"1.0","a":"60000.01","A":"2.0"}}',
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":1,"p":"60000.00","q":"0.1",'
        b'"T":1700000000000,"m":true,"M":true}}',
        _LINE.partition(b" ")[2].strip(),
        b'{"stream":"btcusdt@depth@0ms","data":{"E":1,"s":"BTCUSDT","U":5,"u":6,"pu":4,"b":[],"a":[]}}',
        b'{"stream":"btcusdt@markPrice@1s","data":{"E":1,"s":"BTCUSDT","p":"60000.1","r":"0.0001","T":1700000000000}}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
        b'{"result":null,"id":1}',
    ),
    "depth_snapshot": (b'{"lastUpdateId":9,"bids":[["60000.00","1.0"]],"asks":[["60000.01","2.0"]]}',),
    "websocket_api_reply": (
        b'{"id":1,"status":200,"result":{%b},"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,'
        b'"limit":100,"count":3}]}' % _ORDER,
        b'{"id":1,"status":200,"result":{"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","cancelResponse":{%b},'
        b'"newOrderResponse":{%b}}}' % (_ORDER, _ORDER),
        b'{"id":1,"status":200,"result":{"transactTime":1,"amendedOrder":{%b,"qty":"0.1"}}}' % _ORDER,
        b'{"id":1,"status":409,"error":{"code":-2021,"msg":"x","data":{"cancelResult":"FAILURE","newOrderResult":"NOT_ATTEMPTED",'
        b'"cancelResponse":{"code":-2011,"msg":"Unknown order sent."},"newOrderResponse":null}}}',
        b'{"id":1,"status":418,"error":{"code":-1003,"msg":"banned","data":{"retryAfter":1700000000000}}}',
        b'{"id":1,"status":400,"error":{"code":-2013,"msg":"Order does not exist."}}',
        b'{"event":%b}' % _EXECUTION,
    ),
    "user_data": (
        _EXECUTION,
        b'{"e":"outboundAccountPosition","E":1,"B":[{"a":"BTC","f":"1.0","l":"0.5"}]}',
        b'{"e":"balanceUpdate","a":"BTC","d":"-0.00000001"}',
    ),
    "usdm_user_data": (
        _USDM_ORDER,
        b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"FUNDING_FEE","B":[{"a":"USDT","wb":"10","cw":"10","bc":"-0.1"}],"P":[]}}',
    ),
    "account_replies": (
        b'{"balances":[{"asset":"BTC","free":"1.00000000","locked":"0.5"}]}',
        b"[{%b}]" % _ORDER,
        b"{%b}" % _ORDER,
        b'[{"id":9,"orderId":7,"price":"60000.00","qty":"0.00100","time":1700000000000,"isBuyer":true,"isMaker":true,'
        b'"commission":"0.00000100","commissionAsset":"BTC"}]',
    ),
    "exchange_info": (
        b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","contractType":"PERPETUAL",'
        b'"marginAsset":"USDT",%b}]}' % _FILTERS,
    ),
    "settings_file": (
        b'mode = "mock"\nsymbols = ["BTCUSDT"]\n[risk]\nmax_order_notional = 100\n[quoting]\nstrategy = "fixed"\n',
        b'[exchange]\nrest_url = "http://127.0.0.1:9080"\n[process]\ntimer_interval_ms = 50\n',
    ),
    "settings_environment": (
        b'RISK__MAX_ORDER_NOTIONAL=100\nSYMBOLS=["BTCUSDT"]\nCONTROL__PORT=8780',
        b"EXCHANGE__API_KEY_FILE=/etc/hosts",
    ),
    "dotenv_file": (b'MMD_RISK__MAX_ORDER_NOTIONAL=100\nMMD_SYMBOLS=["BTCUSDT"]\n# a remark\nMMD_MODE="mock"\n',),
    "bundle_card": (b'{"format_version":1,"name":"x","version":"1","stage":"backtest","files":{}}',),
    "recorded_line": (_LINE, b'1700000000000000 {"lastUpdateId":9,"bids":[],"asks":[]}'),
    "recorded_file": (_LINE * 3, gzip.compress(_LINE * 3)),
    "journal_chunk": (RecordEncoder().encode([Timer(NOW_NS)]), RecordEncoder().encode(list(COMMANDS))),
    "journal_file": (b"mmdj" + bytes(40),),
    "checkpoint": (msgspec.json.encode({"version": 1, "account": "account", "sha256": "0" * 64, "document": {"version": 1}}),),
    "halt_latch": (
        b'{"version":1,"record":{"halted":true,"reason":"x","actor":"cli","time_ns":1,"realised_atoms":0,"unrealised_atoms":0}}',
    ),
    "halt_request": (b"lunch", b"\xff\xfe"),
    "heartbeat": (b"mmdh" + bytes(28),),
}
"""True examples, to begin with."""
