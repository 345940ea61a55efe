"""What becomes of one request: refused before it is carried out, answered with an error afterwards, answered late, or never."""

from __future__ import annotations

from typing import NamedTuple

from mmd.mock.faults.board import NS_PER_SECOND, ActiveFault, FaultBoard
from mmd.mock.faults.kinds import BackendTimeouts, DelayAcknowledgements, LoseAcknowledgements, RequestFault, ServerErrors

TIMEOUT_TEXT = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
SERVER_ERROR_TEXT = "An unknown error occurred while processing the request."
BAN_TEXT = "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates to avoid bans."
TOO_MUCH_TEXT = "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."


class PlannedError(NamedTuple):
    """An error instead of an answer. `retry_seconds` where the client is told when to come again."""

    status: int
    code: int
    message: str
    retry_seconds: float | None = None


class RequestPlan(NamedTuple):
    """What befalls a request. Without any field set it is served as ever."""

    refusal: PlannedError | None = None
    """Answered so, and not carried out."""
    error: PlannedError | None = None
    """Carried out, but answered so."""
    is_lost: bool = False
    """Carried out and never answered."""
    delay_ns: int = 0
    """Carried out, and answered so much later."""


UNHARMED = RequestPlan()


def plan_request(
    board: FaultBoard, channel: str, connection: int, operation: str, *, changes_orders: bool, now_ns: int
) -> RequestPlan:
    """Decide. `channel` is `rest` or `order_entry`; `connection` is 0 for REST; `changes_orders`: it places, changes or cancels."""
    ban = board.banned(channel, connection, now_ns)
    if ban is not None:
        status, until_ns = ban
        board.injected["rate_limit_ban"] += 1
        text = BAN_TEXT.format(until=until_ns // 1_000_000) if status == 418 else TOO_MUCH_TEXT
        return RequestPlan(refusal=PlannedError(status, -1003, text, (until_ns - now_ns) / NS_PER_SECOND))
    if connection and connection in board.spared:
        return UNHARMED
    plan = UNHARMED
    for active in board.request_faults:
        if not _chosen(active, channel, connection, operation, changes_orders, now_ns) or not board.strike(active, connection):
            continue
        plan = _with(plan, active, connection)
    return plan


def _chosen(active: ActiveFault, channel: str, connection: int, operation: str, changes_orders: bool, now_ns: int) -> bool:
    fault = active.fault
    assert isinstance(fault, RequestFault)
    if active.ends_ns is not None and active.ends_ns <= now_ns:
        return False
    if fault.channel not in ("all", channel) or fault.connection not in (None, connection):
        return False
    if fault.operations:
        return operation in fault.operations
    return changes_orders or isinstance(fault, ServerErrors)


def _with(plan: RequestPlan, active: ActiveFault, connection: int) -> RequestPlan:
    fault = active.fault
    if isinstance(fault, LoseAcknowledgements):
        return plan._replace(is_lost=True)
    if isinstance(fault, DelayAcknowledgements):
        return plan._replace(delay_ns=plan.delay_ns + round(fault.milliseconds * 1e6))
    assert isinstance(fault, ServerErrors | BackendTimeouts)
    code, text = (-1007, TIMEOUT_TEXT) if isinstance(fault, BackendTimeouts) else (-1000, SERVER_ERROR_TEXT)
    error = PlannedError(fault.status, code, text)
    executed = fault.executed == "yes" or (fault.executed == "random" and active.random(connection).random() < 0.5)
    return plan._replace(error=error) if executed else plan._replace(refusal=error)
