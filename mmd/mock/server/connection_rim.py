"""Where a websocket meets the faults: its frames on their way out, the silence of a freeze, and ends without manners."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable

from aiohttp import web

from mmd.mock.faults import Delivery, FaultBoard, FrameLine

_LINGER_NONE = struct.pack("ii", 1, 0)


class ConnectionRim:
    """One websocket's. `channel` is `market` or `order_entry`. Its clock is the machine's, whatever the exchange's clock says."""

    def __init__(self, board: FaultBoard, channel: str, number: int) -> None:
        self.number = number
        self.channel = channel
        self.thawed = asyncio.Event()
        self.thawed.set()
        self._board = board
        self._line = FrameLine(board, channel, number)
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thaw_timer: asyncio.TimerHandle | None = None

    @property
    def clear(self) -> bool:
        """Whether a frame may go straight to the socket."""
        return not self._waiting and self._line.clear

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for their time."""
        return self._waiting_bytes

    def pass_on(self, frame: bytes, enqueue: Callable[[bytes], None]) -> None:
        """Give `enqueue` what becomes of the frame, now and later."""
        for delivery in self._line.pass_on(frame, time.time_ns()):
            self._waiting.append(delivery)
            self._waiting_bytes += len(delivery.frame)
        self._flush(enqueue)

    def later(self, frame: bytes, delay_ns: int, send: Callable[[bytes], None]) -> None:
        """Send one frame later, apart from the others."""
        asyncio.get_running_loop().call_later(delay_ns / 1e9, send, frame)

    def check_freeze(self) -> None:
        """Fall silent, or speak again, as the board says."""
        now_ns = time.time_ns()
        until_ns = self._board.frozen_until_ns(self.channel, self.number, now_ns)
        if self._thaw_timer is not None:
            self._thaw_timer.cancel()
            self._thaw_timer = None
        if until_ns > now_ns:
            self.thawed.clear()
            self._thaw_timer = asyncio.get_running_loop().call_later((until_ns - now_ns) / 1e9, self.thawed.set)
        else:
            self.thawed.set()

    def close(self) -> None:
        """The websocket has ended."""
        for timer in (self._timer, self._thaw_timer):
            if timer is not None:
                timer.cancel()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._board.forget_connection(self.number)

    def _flush(self, enqueue: Callable[[bytes], None]) -> None:
        now_ns = time.time_ns()
        while self._waiting and self._waiting[0].due_ns <= now_ns:
            frame = self._waiting.popleft().frame
            self._waiting_bytes -= len(frame)
            enqueue(frame)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            delay = (self._waiting[0].due_ns - now_ns) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay, self._flush, enqueue)


def break_off(request: web.Request, *, reset: bool) -> None:
    """End a connection without a word: by a TCP reset, or by closing TCP without a close frame (what clients call 1006)."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        transport.abort()
    else:
        transport.close()
