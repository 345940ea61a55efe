"""The adapter on the mock exchange over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mmd.mock.server import MockConfig, MockExchange
from mmd.types.market import Side
from tests.integration.adapter.venue_room import ASK_TICKS, BID_TICKS, Room, make_room


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """A market of two resting orders in which nothing moves by itself."""
    async with MockExchange(MockConfig(market="none", accounts={"K1": "S1", "K2": "S2"})) as exchange:
        room = await make_room(exchange)
        room.background(Side.BUY, BID_TICKS, 100_000)
        room.background(Side.SELL, ASK_TICKS, 100_000)
        try:
            yield room
        finally:
            await room.close()
        assert not room.recorder.failures


@pytest.fixture
async def lively_room() -> AsyncIterator[Room]:
    """A simulated market."""
    async with MockExchange(MockConfig(seed=7)) as exchange:
        room = await make_room(exchange)
        try:
            yield room
        finally:
            await room.close()
        assert not room.recorder.failures
