"""The admin endpoint `/mock/faults`: what is on, what has struck, switch on, clear, spare a connection. No part of Binance's API.

Open to this machine's loopback alone, unless an admin token is set: then to whoever sends it as `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aiohttp import web

from mmd.mock.faults import FaultBoard, FaultError, parse_fault
from mmd.mock.faults.kinds import KINDS
from mmd.mock.server.admin_guard import AdminGuard
from mmd.mock.server.connection import SocketConnection
from mmd.mock.server.fault_rim import FaultRim, Server
from mmd.types.decoding import UNREADABLE

PREFIX = "/mock/faults"


class FaultAdmin:
    """Serves the endpoint."""

    def __init__(self, server: Server, rim: FaultRim, guard: AdminGuard) -> None:
        self._server = server
        self._rim = rim
        self._guard = guard

    @property
    def routes(self) -> list[web.RouteDef]:
        """For the server's router."""
        return [
            web.get(PREFIX, self._guard.wrap(self._list)),
            web.post(PREFIX, self._guard.wrap(self._switch_on)),
            web.delete(PREFIX, self._guard.wrap(self._clear)),
            web.delete(PREFIX + "/{id:[0-9]+}", self._guard.wrap(self._clear)),
            web.post(PREFIX + "/connections/{id:[0-9]+}", self._guard.wrap(self._spare)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return _json(
            {
                "seed": self._rim.board.seed,
                "active": _active(self._rim.board),
                "injected": dict(self._rim.board.injected),
                "connections": [_connection(socket, self._rim.board) for socket in self._server.sockets("all")],
            }
        )

    async def _switch_on(self, request: web.Request) -> web.Response:
        try:
            values = msgspec.json.decode(await request.read())
        except UNREADABLE as error:
            return _json({"error": f"the body is no JSON: {error}"}, 400)
        if not isinstance(values, dict):
            return _json({"error": f"the body must be one object with a kind: {', '.join(KINDS)}"}, 400)
        try:
            fault = parse_fault(values)
            fault_id = self._rim.board.switch_on(fault, time.time_ns())
        except (FaultError, OverflowError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"id": fault_id, **fault.model_dump(mode="json", exclude_none=True)})

    async def _clear(self, request: web.Request) -> web.Response:
        given = request.match_info.get("id")
        kind = request.query.get("kind")
        if kind is not None and kind not in KINDS:
            return _json({"error": f"there is no fault {kind!r}; there are {', '.join(KINDS)}"}, 400)
        cleared = self._rim.board.clear(None if given is None else int(given), kind)
        if given is not None and not cleared:
            return _json({"error": f"no fault {given} is on"}, 404)
        self._rim.advance()
        return _json({"cleared": cleared})

    async def _spare(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        sockets = {socket.rim.number: socket for socket in self._server.sockets("all")}
        if number not in sockets:
            return _json({"error": f"there is no connection {number}; there are {', '.join(map(str, sockets)) or 'none'}"}, 404)
        body = await request.read()
        try:
            spared = bool(msgspec.json.decode(body, type=dict[str, bool]).get("spared", True)) if body else True
        except UNREADABLE as error:
            return _json({"error": f'the body must be {{"spared": true}} or {{"spared": false}}: {error}'}, 400)
        self._rim.board.spare(number, spared)
        self._rim.advance()
        return _json(_connection(sockets[number], self._rim.board))


def _active(board: FaultBoard) -> list[dict[str, Any]]:
    now_ns = time.time_ns()
    return [
        {
            "id": active.fault_id,
            **active.fault.model_dump(mode="json", exclude_none=True),
            **({} if active.ends_ns is None else {"ends_in_seconds": round((active.ends_ns - now_ns) / 1e9, 3)}),
            **({} if active.left is None else {"left": active.left}),
        }
        for active in board.active
    ]


def _connection(socket: SocketConnection, board: FaultBoard) -> dict[str, Any]:
    number = socket.rim.number
    return {
        "id": number,
        "channel": socket.rim.channel,
        "peer": socket.address,
        "path": socket.path,
        "spared": number in board.spared,
    }


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
