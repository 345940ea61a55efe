"""The control port over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from mmd.daemon.control import ControlError, ControlServer
from mmd.daemon.control_client import ControlClient, NoDaemon
from mmd.daemon.settings import ControlSettings
from mmd.mock.server.tls import self_signed
from mmd.types.control import HaltRequest
from mmd.types.market import BatchEnd
from mmd.types.orders import CancelOrder
from tests.unit.daemon.tiny_core import Desk, cancelled

TOKEN = "0123456789abcdef0123"


@asynccontextmanager
async def port_of(desk: Desk, **settings: Any) -> AsyncIterator[tuple[ControlServer, aiohttp.ClientSession]]:
    server = ControlServer(ControlSettings(port=0, **settings), desk.sources)
    await server.start()
    async with aiohttp.ClientSession(server.url) as session:
        yield server, session
    await server.stop()


def answer_cancels(desk: Desk, after: Callable[[], None] | None = None) -> None:
    """The venue confirms every cancel on the loop's next turn."""

    def send(command: Any) -> None:
        desk.sent.append(command)
        if isinstance(command, CancelOrder):
            asyncio.get_running_loop().call_soon(desk.dispatcher, cancelled(command.client_order_id))

    desk.dispatcher._send = send


async def test_halt_answers_with_the_record_once_the_orders_are_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")
    desk.core.add_order("mmd-a-2")
    answer_cancels(desk)
    async with port_of(desk) as (_, session), session.post("/halt", json={"reason": "drill"}) as response:
        assert response.status == 200
        document = await response.json()
    assert document["halted"] is True
    assert document["record"]["reason"] == "drill"
    assert document["record"]["actor"] == "http"
    assert document["open_orders"] == 2
    assert document["still_open"] == 0
    assert document["confirmed_gone"] is True
    assert document["latched_on_disk"] is True
    assert desk.halt_file.read(0) == desk.core.latch.record


async def test_halt_answers_202_while_orders_may_live_and_several_may_wait(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")
    fourth_halt: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count(event: HaltRequest) -> tuple[()]:
        if sum(isinstance(event, HaltRequest) for event in desk.core.events) == 4:
            fourth_halt.set_result(None)
        return ()

    desk.core.answers[HaltRequest] = count
    async with port_of(desk, halt_wait_seconds=20.0) as (_, session):
        async with session.post("/halt?wait=0.05", json={"reason": "drill"}) as response:
            assert response.status == 202
            document = await response.json()
            assert document["confirmed_gone"] is False
            assert document["still_open"] == 1
        waiting = [asyncio.create_task(session.post("/halt")) for _ in range(3)]
        await asyncio.wait_for(fourth_halt, 5)
        desk.dispatcher(cancelled("mmd-a-1"))
        for answer in await asyncio.gather(*waiting):
            assert answer.status == 200
            assert (await answer.json())["record"]["reason"] == "drill"
            answer.release()


@pytest.mark.parametrize(
    "request_of",
    [
        {},
        {"data": b"{not json", "headers": {"Content-Type": "application/json"}},
        {"data": b"[1,2]", "headers": {"Content-Type": "application/json"}},
        {"data": b"\xff\xfe", "headers": {"Content-Type": "text/plain"}},
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"json": {"reason": "   ", "wait": "soon"}},
        {"json": {"reason": None, "actor": "root"}},
        {"data": b"{" + b"x" * 200_000, "headers": {"Content-Type": "application/json"}},
    ],
)
async def test_a_halt_is_never_refused_over_a_formality(tmp_path: Path, request_of: dict[str, Any]) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session), session.post("/halt", **request_of) as response:
        assert response.status == 200
    assert desk.core.latch.halted
    assert desk.core.latch.record.reason == "operator request"
    assert desk.core.latch.record.actor == "http"


@pytest.mark.parametrize("request_of", [{"json": {"reason": "why"}}, {"data": {"reason": "why"}}, {"params": {"reason": "why"}}])
async def test_the_reason_may_come_as_json_form_or_query(tmp_path: Path, request_of: dict[str, Any]) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session):
        async with session.post("/halt", **request_of) as response:
            assert (await response.json())["record"]["reason"] == "why"
        async with session.post("/resume", **request_of) as response:
            assert response.status == 200
            assert (await response.json())["halted"] is False


async def test_resume_needs_a_reason_and_a_halt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session):
        async with session.post("/resume", json={"reason": "mended"}) as response:
            assert response.status == 409
        await session.post("/halt")
        async with session.post("/resume") as response:
            assert response.status == 400
            assert "needs a reason" in (await response.json())["error"]
        assert desk.core.latch.halted
        async with session.post("/resume", json={"reason": "mended"}) as response:
            assert response.status == 200
    assert not desk.core.latch.halted


async def test_halting_by_get_does_not_exist(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session), session.get("/halt") as response:
        assert response.status == 405
    assert not desk.core.latch.halted


async def test_ready_says_why_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session):
        async with session.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "why": []})
        desk.core.pauses = ("data_stale:BTCUSDT",)
        async with session.get("/readyz") as response:
            assert response.status == 503
            assert (await response.json())["why"] == ["paused: data_stale:BTCUSDT"]
        await session.post("/halt", json={"reason": "drill"})
        async with session.get("/readyz") as response:
            assert "halted by http: drill" in (await response.json())["why"]
        async with session.get("/healthz") as response:
            assert response.status == 200


async def test_state_tells_of_trader_and_process(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.dispatcher(BatchEnd(time.time_ns()))
    async with port_of(desk) as (_, session), session.get("/state") as response:
        document = await response.json()
    assert document["trader"]["symbols"][0]["position"] == -0.25
    assert document["trader"]["halt"]["halted"] is False
    assert document["adapter"]["frames"] == 11
    assert document["process"]["pid"] > 0
    assert document["ready"] is True


async def test_metrics_can_be_parsed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session), session.get("/metrics") as response:
        assert response.content_type == "text/plain"
        families = {family.name for family in text_string_to_metric_families(await response.text())}
    assert "mmd_halted" in families


async def test_a_web_page_of_another_site_cannot_halt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (server, session):
        for headers in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "null"},
        ):
            async with session.post("/halt", headers=headers) as response:
                assert response.status == 403
        assert not desk.core.latch.halted
        async with session.post("/halt", headers={"Origin": server.url, "Sec-Fetch-Site": "same-origin"}) as response:
            assert response.status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8780", "127.0.0.1.evil.example", "localhost.evil.example"])
async def test_a_name_bound_to_this_address_is_not_answered(tmp_path: Path, host: str) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (_, session):
        for method, path in (("GET", "/state"), ("POST", "/halt"), ("GET", "/metrics")):
            async with session.request(method, path, headers={"Host": host}) as response:
                assert response.status == 403
    assert not desk.core.latch.halted


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:8780"])
async def test_loopback_names_are_answered(tmp_path: Path, host: str) -> None:
    async with port_of(Desk(tmp_path)) as (_, session), session.get("/state", headers={"Host": host}) as response:
        assert response.status == 200


async def test_with_a_token_nothing_but_health_goes_without(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk, token=SecretStr(TOKEN)) as (_, session):
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}, {"Authorization": "Bearer é"}):
            for method, path in (("GET", "/state"), ("POST", "/halt"), ("GET", "/metrics"), ("GET", "/readyz")):
                async with session.request(method, path, headers=headers) as response:
                    assert response.status == 401
        async with session.get("/healthz") as response:
            assert response.status == 200
        assert not desk.core.latch.halted
        async with session.post("/halt", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
            assert response.status == 200


async def test_a_failed_core_is_still_told_to_halt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.answers[BatchEnd] = lambda event: 1 // 0  # type: ignore[return-value]
    desk.dispatcher(BatchEnd(1))
    async with port_of(desk) as (_, session):
        async with session.post("/halt", json={"reason": "drill"}) as response:
            assert response.status == 202
            document = await response.json()
            assert document["halted"] is True
            assert "ZeroDivisionError" in document["record"]["reason"]
        async with session.get("/readyz") as response:
            assert response.status == 503


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk) as (server, _):
        second = ControlServer(ControlSettings(port=server.port), desk.sources)
        with pytest.raises(ControlError, match=rf"127\.0\.0\.1:{server.port} cannot be opened"):
            await second.start()


async def test_the_client_speaks_to_the_port(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    async with port_of(desk, token=SecretStr(TOKEN)) as (server, _):
        client = ControlClient(ControlSettings(port=server.port, token=SecretStr(TOKEN)))
        reply = await asyncio.to_thread(client.halt, "drill", wait_seconds=1.0)
        assert (reply.status, reply.document["record"]["actor"]) == (200, "cli")
        assert (await asyncio.to_thread(client.state)).document["trader"]["halt"]["reason"] == "drill"
        assert (await asyncio.to_thread(client.resume, "over")).status == 200
        stranger = ControlClient(ControlSettings(port=server.port))
        assert (await asyncio.to_thread(stranger.state)).status == 401
    with pytest.raises(NoDaemon, match="no daemon answers"):
        await asyncio.to_thread(client.state)


async def test_with_a_certificate_it_speaks_https_and_the_client_trusts_that_one_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other", "127.0.0.1")
    secret = {"token": SecretStr(TOKEN)}
    async with port_of(desk, tls_certificate=certificate, tls_key=key, **secret) as (server, _):
        assert server.url.startswith("https://")
        client = ControlClient(ControlSettings(port=server.port, tls_certificate=certificate, tls_key=key, **secret))
        assert (await asyncio.to_thread(client.halt, "drill", wait_seconds=1.0)).status == 200
        deceived = ControlClient(ControlSettings(port=server.port, tls_certificate=other, tls_key=key, **secret))
        with pytest.raises(NoDaemon, match="CERTIFICATE_VERIFY_FAILED"):
            await asyncio.to_thread(deceived.state)
        plain = ControlClient(ControlSettings(port=server.port, **secret))
        with pytest.raises(NoDaemon):
            await asyncio.to_thread(plain.state)


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, "127.0.0.1")
    server = ControlServer(ControlSettings(port=0, tls_certificate=certificate, tls_key=certificate), Desk(tmp_path).sources)
    with pytest.raises(ControlError, match=r"tls_certificate .* cannot be used"):
        await server.start()


def test_what_other_machines_can_reach_needs_token_and_tls() -> None:
    with pytest.raises(ValidationError, match="set token as well"):
        ControlSettings(host="0.0.0.0")
    with pytest.raises(ValidationError, match="in the clear"):
        ControlSettings(host="0.0.0.0", token=SecretStr(TOKEN))
    with pytest.raises(ValidationError, match="go together"):
        ControlSettings(tls_certificate=Path("c.pem"))
    assert ControlSettings(host="0.0.0.0", token=SecretStr(TOKEN), plain_http=True).plain_http
