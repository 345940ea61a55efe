"""The stream behind the operator's page over real sockets: what it sends, who may have it, and what becomes of a slow reader."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog
from pydantic import SecretStr

from mmd.daemon.control import ControlServer
from mmd.daemon.control_access import MOST_SESSIONS, SESSION_SECONDS, BrowserSessions
from mmd.daemon.control_api import StreamMessage
from mmd.daemon.event_tail import EVENTS, KEPT, EventTail
from mmd.daemon.logs import configure_logging
from mmd.daemon.page import feed
from mmd.daemon.settings import ControlSettings, LoggingSettings
from mmd.daemon.state_document import StateDocument
from tests.unit.daemon.tiny_core import Desk

TOKEN = "0123456789abcdef0123"
DEADLINE = 20.0


@asynccontextmanager
async def port_of(desk: Desk, **settings: Any) -> AsyncIterator[tuple[ControlServer, aiohttp.ClientSession]]:
    server = ControlServer(ControlSettings(port=0, **settings), desk.sources)
    await server.start()
    # Cookies of an address without a name are kept only on request.
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield server, session
    await server.stop()


async def until(what: str, holds: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not holds():  # noqa: ASYNC110 (what is waited for tells nobody)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {DEADLINE} s for {what}") from None


async def messages(stream: aiohttp.ClientWebSocketResponse, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """The next so many of a kind; each that comes fits the published types."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            text = await stream.receive_str()
            msgspec.json.decode(text, type=StreamMessage)
            document = msgspec.json.decode(text)
            if document["kind"] == kind:
                found.append(document)
    return found


async def test_the_stream_says_what_state_says(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session), session.ws_connect("/stream") as stream:
        assert (await messages(stream, "history"))[0]["points"] == {}
        pushed = (await messages(stream, "state"))[0]["state"]
        async with session.get("/state") as response:
            asked = await response.json()
        assert set(pushed) == set(asked) == {field.name for field in msgspec.structs.fields(StateDocument)}
        assert pushed["trader"]["symbols"] == asked["trader"]["symbols"]
        await session.post("/halt", json={"reason": "drill", "actor": "page"})
        while not pushed["trader"]["halt"]["halted"]:
            pushed = (await messages(stream, "state"))[0]["state"]
        assert pushed["trader"]["halt"]["reason"] == "drill"
        assert pushed["trader"]["halt"]["actor"] == "page"


async def test_whoever_comes_later_is_given_what_the_charts_need(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (_, session), session.ws_connect("/stream") as first:
        await messages(first, "state", 2)
        async with session.ws_connect("/stream") as second:
            points = (await messages(second, "history"))[0]["points"]["BTCUSDT"]
    assert len(points) >= 2
    assert points[0][1:] == [99.0, 101.0, None, None, -0.25, 0.75]


async def test_snapshots_are_made_only_while_somebody_is_connected(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    asked = 0
    report = desk.core.report

    def counted(now_ns: int) -> Any:
        nonlocal asked
        asked += 1
        return report(now_ns)

    desk.core.report = counted  # type: ignore[method-assign]
    async with port_of(desk) as (server, session):
        assert server._feed._timer is None
        async with session.ws_connect("/stream") as stream:
            await messages(stream, "state", 2)
            assert desk.sources.page.clients == 1
        await until("the connection to be forgotten", lambda: desk.sources.page.clients == 0)
        await until("the timer to run out", lambda: server._feed._timer is None)
        assert asked >= 2
        before = asked
        async with session.ws_connect("/stream") as stream:
            await messages(stream, "state")
        assert asked > before


async def test_a_slow_reader_is_cut_off_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "FRAME_SECONDS", 0.002)
    desk = Desk(tmp_path)
    line = desk.core.report(0).symbols[0]
    large = msgspec.structs.replace(line, features={f"feature_{number}": 0.5 for number in range(20_000)})
    report = desk.core.report
    desk.core.report = lambda now_ns: msgspec.structs.replace(report(now_ns), symbols=(large,))  # type: ignore[method-assign]
    async with port_of(desk) as (server, session):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", server.port))
        greeting = (
            f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await loop.sock_sendall(slow, greeting.encode())
        async with session.ws_connect("/stream", max_msg_size=0) as quick:
            await until("both to be connected", lambda: desk.sources.page.clients == 2 or desk.sources.page.dropped > 0)
            while desk.sources.page.dropped == 0:
                await messages(quick, "state")
            assert desk.sources.page.clients == 1
            await messages(quick, "state", 3)
        slow.close()


async def test_no_more_than_a_few_may_look(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (_, session):
        streams = [await session.ws_connect("/stream") for _ in range(feed.MOST_CLIENTS)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/stream")
        assert refused.value.status == 503
        await streams[0].close()
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    streams[0] = await session.ws_connect("/stream")
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.01)
        for stream in streams:
            await stream.close()


async def test_a_failed_core_is_told_and_not_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session), session.ws_connect("/stream") as stream:
        await messages(stream, "state")
        desk.dispatcher.failure = "the core raised ValueError"
        assert (await messages(stream, "failed"))[0]["failure"] == "the core raised ValueError"


async def test_a_web_page_of_another_site_gets_no_stream(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (server, session):
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "same-site"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect("/stream", headers=headers)
            assert refused.value.status == 403
        async with session.ws_connect("/stream", headers={"Origin": server.url}) as stream:
            await messages(stream, "state")


async def test_a_token_is_needed_and_opens_a_session_for_a_browser(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk, token=SecretStr(TOKEN)) as (server, session):
        own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/stream", headers=own)
        assert refused.value.status == 401
        for path in ("/", "/page/page.js", "/session"):
            async with session.get(path) as response:
                assert response.status == 200, path
        async with session.post("/login", json={"token": TOKEN + "x"}, headers=own) as response:
            assert response.status == 401
            assert not response.cookies
        async with session.post("/login", json={"token": TOKEN}, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403
        async with session.post("/login", json={"token": TOKEN}, headers=own) as response:
            assert response.status == 204
            cookie = response.cookies["mmd_session"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert TOKEN not in cookie.value
        async with session.get("/session") as response:
            document = await response.json()
            assert (document["token_needed"], document["logged_in"]) == (False, True)
        # By the cookie alone nobody says where the request comes from, and it counts for nothing.
        for headers in ({}, {"Origin": "http://127.0.0.1:3000"}, {"Sec-Fetch-Site": "same-site"}):
            async with session.post("/halt", headers=headers) as response:
                assert response.status == 403
        assert not desk.core.latch.halted
        async with session.ws_connect("/stream", headers=own) as stream:
            await messages(stream, "state")
            async with session.post("/halt", headers=own, json={"actor": "page"}) as response:
                assert response.status == 200
            async with session.post("/logout", headers=own) as response:
                assert response.status == 204
            async with asyncio.timeout(DEADLINE):
                while (await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert stream.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
        async with session.get("/state") as response:
            assert response.status == 401


async def test_a_program_has_the_stream_by_the_token(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with port_of(Desk(tmp_path), token=SecretStr(TOKEN)) as (_, session):
        stream = await session.ws_connect("/stream", headers=headers)
        await messages(stream, "state")
        await stream.close()


async def test_a_daemon_that_leaves_says_good_bye(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (server, session):
        stream = await session.ws_connect("/stream")
        await messages(stream, "state")
        stopping = asyncio.create_task(server.stop())
        async with asyncio.timeout(DEADLINE):
            while (await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            await stopping
        assert stream.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_the_page_lets_no_script_in_but_its_own(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (_, session):
        async with session.get("/") as response:
            policy = response.headers["Content-Security-Policy"]
            html = await response.text()
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "://" not in html
        async with session.get("/page/nothing.js") as response:
            assert response.status == 404
        async with session.get("/page/..%2fcontrol.py") as response:
            assert response.status == 404


async def test_without_the_library_everything_but_charts_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmd.daemon.page.routes.find_spec", lambda name: None)
    async with port_of(Desk(tmp_path)) as (_, session):
        async with session.get("/session") as response:
            assert (await response.json())["charts"] is None
        async with session.get("/") as response:
            assert "style-src 'self';" in response.headers["Content-Security-Policy"]


async def test_the_library_is_served_as_its_package_has_it(tmp_path: Path) -> None:
    import plotly

    shipped = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    async with port_of(Desk(tmp_path)) as (_, session):
        async with session.get("/session") as response:
            address = (await response.json())["charts"]
        async with session.get(address) as response:
            assert response.content_type == "text/javascript"
            assert "immutable" in response.headers["Cache-Control"]
            assert await response.read() == shipped.read_bytes()


async def test_log_entries_and_pauses_become_events(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers = []
    try:
        configure_logging(LoggingSettings(), ["hunter2hunter2"], console=False)
        async with port_of(desk) as (_, session), session.ws_connect("/stream") as stream:
            await messages(stream, "state")
            structlog.get_logger("mmd.test").warning("something odd", key_given="hunter2hunter2", count=3)
            desk.core.pauses = ("data_stale:BTCUSDT",)
            found: dict[str, Any] = {}
            while not {"something odd", "paused"} <= set(found):
                found = {event["text"]: event for event in (await messages(stream, "events"))[0]["events"]}
        assert found["something odd"]["detail"] == "key_given=***  count=3"
        assert found["something odd"]["level"] == "warning"
        assert found["paused"]["detail"] == "data_stale:BTCUSDT"
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**before)


def test_events_and_sessions_are_bounded() -> None:
    tail = EventTail()
    for number in range(KEPT + 5):
        tail.add("info", f"event {number}", "x" * 10_000)
    assert [event.number for event in tail] == list(range(6, KEPT + 6))
    assert all(len(event.detail) < 500 for event in tail)
    assert EVENTS is not tail
    now = 0.0
    sessions = BrowserSessions(lambda: now)
    names = [sessions.open() for _ in range(MOST_SESSIONS + 1)]
    assert [sessions.holds(name) for name in names] == [False] + [True] * MOST_SESSIONS
    sessions.end(names[1])
    assert not sessions.holds(names[1])
    now = SESSION_SECONDS
    assert not any(sessions.holds(name) for name in names)
