"""The REST shell: HTTP requests to operations and back."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from mmd.mock.faults.request_plan import UNHARMED
from mmd.mock.server.errors import WireError
from mmd.mock.server.execution import Request, execute
from mmd.mock.server.fault_rim import FaultRim, wire_error
from mmd.mock.server.operations import Operation, OperationTable
from mmd.mock.server.parameters import parse_form
from mmd.mock.server.signatures import rest_payload
from mmd.mock.server.time_unit import in_microseconds, wants_microseconds
from mmd.mock.server.venue import Venue


class RestApi:
    """Serves every operation that has a REST route."""

    def __init__(self, venue: Venue, table: OperationTable, rim: FaultRim) -> None:
        self._venue = venue
        self._rim = rim
        self._table = table

    async def handle(self, request: web.Request) -> web.Response:
        """One HTTP request."""
        await self._rim.rest_thawed()
        path, _, query = request.raw_path.partition("?")
        body = (await request.read()).decode(errors="replace")
        address = request.remote or "unknown"
        headers: dict[str, str] = {}
        plan = UNHARMED
        try:
            microseconds = wants_microseconds(request.headers.get("X-MBX-TIME-UNIT"))
            operation = self._find(request.method, path)
            plan = self._rim.plan("rest", 0, operation.name, changes_orders=operation.changes_orders)
            if plan.refusal is not None:
                raise wire_error(plan.refusal, self._venue.server_ms())
            result, headers = self._run(operation, query, body, address, request.headers.get("X-MBX-APIKEY"))
            if plan.error is not None:
                raise wire_error(plan.error, self._venue.server_ms())
            status, payload = 200, msgspec.json.encode(result)
            payload = in_microseconds(payload) if microseconds else payload
        except WireError as error:
            status, payload = error.status, msgspec.json.encode(error.body())
            headers = retry_headers(error, self._venue.server_ms())
        if plan.is_lost:
            await self._rim.hold(request)
        if plan.delay_ns:
            await asyncio.sleep(plan.delay_ns / 1e9)
        used = str(self._venue.limiter.used_weight(address, self._venue.server_ms()))
        headers |= {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        return web.Response(status=status, body=payload, headers=headers, content_type="application/json", charset="UTF-8")

    def _find(self, method: str, path: str) -> Operation:
        operation = self._table.by_route.get((method, path))
        if operation is None:
            raise WireError(-1020, f"{method} {path} is not served by this exchange.", status=404)
        return operation

    def _run(
        self, operation: Operation, query: str, body: str, address: str, key_name: str | None
    ) -> tuple[object, dict[str, str]]:
        parameters = parse_form(query, body)
        parameters.refuse_unknown(operation.known_parameters)
        request = Request(address, parameters, key_name, lambda: rest_payload(query, body))
        result, account = execute(self._venue, operation, request)
        if not operation.counts_orders:
            return result, {}
        ten_seconds, day = self._venue.limiter.order_counts(account, self._venue.server_ms())
        return result, {"X-MBX-ORDER-COUNT-10S": str(ten_seconds), "X-MBX-ORDER-COUNT-1D": str(day)}


def retry_headers(error: WireError, now_ms: int) -> dict[str, str]:
    """`Retry-After` in seconds, for the refusals that have one."""
    if error.retry_at_ms is None:
        return {}
    return {"Retry-After": str(max(1, -(-(error.retry_at_ms - now_ms) // 1000)))}
