"""User data events: executions, balances, and changes of balance that no trade made."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND, WIRE_ERRORS, MalformedFrame
from mmd.exchanges.binance.order_messages import SIDES, STATUSES, OrderNames
from mmd.types.instrument import Instrument, atoms
from mmd.types.orders import Balance, BalanceReport, ExternalBalanceChange, Fill, OrderUpdate

STREAM_ENDED = "eventStreamTerminated"
SERVER_SHUTDOWN = "serverShutdown"


class _Kind(msgspec.Struct, gc=False):
    e: str


class _Execution(msgspec.Struct, gc=False):
    E: int
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
    C: str = ""


class _BalanceLine(msgspec.Struct, gc=False):
    a: str
    f: str
    l: str  # noqa: E741 (the venue's name)


class _AccountPosition(msgspec.Struct, gc=False):
    E: int
    B: list[_BalanceLine]


class _BalanceUpdate(msgspec.Struct, gc=False):
    a: str
    d: str


_KIND = msgspec.json.Decoder(_Kind)
_EXECUTION = msgspec.json.Decoder(_Execution, strict=False)
_POSITION = msgspec.json.Decoder(_AccountPosition)
_BALANCE_UPDATE = msgspec.json.Decoder(_BalanceUpdate)


class UserDataDecoder:
    """Decodes the `event` objects of a user data subscription. Executions of symbols we do not trade are counted in `foreign`."""

    def __init__(self, instruments: Mapping[str, Instrument], names: OrderNames) -> None:
        self._instruments = instruments
        self._names = names
        self.foreign = 0

    def decode(self, event: msgspec.Raw | bytes, receive_ns: int) -> tuple[str, tuple[Event, ...]]:
        """The venue's name of the event, and what it means to us (nothing for kinds we do not use). Raises `MalformedFrame`."""
        try:
            kind = _KIND.decode(event).e
            if kind == "executionReport":
                return kind, self._execution(_EXECUTION.decode(event), receive_ns)
            if kind == "outboundAccountPosition":
                position = _POSITION.decode(event)
                balances = tuple([Balance(line.a, atoms(line.f), atoms(line.l)) for line in position.B])
                return kind, (BalanceReport(receive_ns, position.E * NANOSECONDS_PER_MILLISECOND, balances),)
            if kind == "balanceUpdate":
                update = _BALANCE_UPDATE.decode(event)
                return kind, (ExternalBalanceChange(receive_ns, update.a, atoms(update.d)),)
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame("user data event", bytes(event), error) from error
        return kind, ()

    def _execution(self, report: _Execution, receive_ns: int) -> tuple[Event, ...]:
        instrument = self._instruments.get(report.s)
        if instrument is None:
            self.foreign += 1
            return ()
        if report.S not in SIDES or report.X not in STATUSES:
            raise ValueError(f"side {report.S!r}, status {report.X!r}")
        client_order_id, replaced = report.c, ""
        if report.x == "CANCELED" and report.C:
            # `c` names the cancel request; the order that died is named in `C`.
            client_order_id = report.C
        elif report.x == "REPLACED":
            replaced = report.C
        self._names.remember(report.i, client_order_id)
        update = OrderUpdate(
            receive_ns,
            report.s,
            client_order_id,
            report.i,
            SIDES[report.S],
            round(report.p * instrument.ticks_per_unit),
            round(report.q * instrument.lots_per_unit),
            round(report.z * instrument.lots_per_unit),
            STATUSES[report.X],
            report.T * NANOSECONDS_PER_MILLISECOND,
            replaced,
        )
        if report.x != "TRADE":
            return (update,)
        return (_fill(report, instrument, client_order_id, receive_ns), update)


def _fill(report: _Execution, instrument: Instrument, client_order_id: str, receive_ns: int) -> Fill:
    return Fill(
        receive_ns,
        report.s,
        report.t,
        client_order_id,
        report.i,
        SIDES[report.S],
        round(report.L * instrument.ticks_per_unit),
        round(report.l * instrument.lots_per_unit),
        atoms(report.n or "0"),
        report.N or "",
        report.m,
        report.T * NANOSECONDS_PER_MILLISECOND,
    )
