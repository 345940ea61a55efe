"""The admin endpoint and `mmd mock fault`: who may switch faults, what they are told, and what a mistake is answered with."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from pydantic import SecretStr
from typer.testing import CliRunner

from mmd.cli import app
from mmd.mock.faults.kinds import KINDS
from mmd.mock.server import MockConfig, MockExchange
from tests.integration.faults.conftest import Stage, received


async def ask(stage: Stage, method: str, path: str = "", body: Any = None, **headers: str) -> tuple[int, Any]:
    url = f"{stage.exchange.rest_url}/mock/faults{path}"
    async with stage.http.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_switch_on_list_and_clear(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    status, told = await ask(stage, "POST", body={"kind": "drop_frames", "count": 5, "seconds": 60})
    assert (status, told["id"], told["kind"]) == (200, 1, "drop_frames")
    lost, seen = stage.move(), None
    status, told = await ask(stage, "GET")
    (active,) = told["active"]
    assert (active["id"], active["left"]) == (1, 4)
    assert 50 < active["ends_in_seconds"] <= 60
    assert told["injected"] == {"drop_frames": 1}
    (connection,) = told["connections"]
    assert (connection["channel"], connection["path"], connection["spared"]) == ("market", "/ws/btcusdt@bookTicker", False)
    assert await ask(stage, "DELETE", "/1") == (200, {"cleared": [1]})
    assert (await ask(stage, "DELETE", "/1"))[0] == 404
    seen = stage.move()
    assert lost not in await received(socket, seen)


async def test_clear_by_kind_and_all(stage: Stage) -> None:
    for kind in ("drop_frames", "delay_frames", "drop_frames", "freeze"):
        await ask(stage, "POST", body={"kind": kind})
    assert await ask(stage, "DELETE", "?kind=drop_frames") == (200, {"cleared": [1, 3]})
    assert await ask(stage, "DELETE") == (200, {"cleared": [2, 4]})
    # What was frozen answers again at once.
    assert (await stage.alice.public("GET", "ping"))[0] == 200


async def test_a_connection_can_be_spared(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    assert (await ask(stage, "POST", "/connections/1"))[1]["spared"] is True
    await ask(stage, "POST", body={"kind": "drop_frames"})
    sent = stage.move()
    assert await received(socket, sent) == [sent]
    assert (await ask(stage, "POST", "/connections/1", body={"spared": False}))[1]["spared"] is False
    status, told = await ask(stage, "POST", "/connections/9")
    assert (status, told["error"]) == (404, "there is no connection 9; there are 1")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"kind": "drop_frame"}, "there is no fault 'drop_frame' (did you mean 'drop_frames'?); there are drop_frames, "),
        ({"seconds": 1}, "a fault needs a kind: drop_frames, "),
        (
            {"kind": "freeze", "second": 1},
            "freeze has no 'second' (did you mean 'seconds'?); it has kind, seconds, connection, channel",
        ),
        ({"kind": "drop_frames", "probability": 1.5}, "drop_frames: probability: Input should be less than or equal to 1"),
        ({"kind": "rate_limit_ban", "status": 404}, "rate_limit_ban: status: Input should be 418 or 429"),
        ([1], "the body must be one object"),
    ],
)
async def test_mistakes_are_answered_with_what_is_allowed(stage: Stage, body: Any, text: str) -> None:
    status, told = await ask(stage, "POST", body=body)
    assert status == 400
    assert told["error"].startswith(text)
    assert stage.exchange.faults.active == []


async def test_only_this_machine_may_switch_faults_and_no_web_page(stage: Stage) -> None:
    assert (await ask(stage, "GET", Host="mock.example.com"))[0] == 403
    assert (await ask(stage, "POST", body={"kind": "restart"}, Origin="http://evil.example"))[0] == 403
    assert stage.struck("restart") == 0


async def test_with_a_token_only_who_has_it(http: aiohttp.ClientSession) -> None:
    config = MockConfig(market="none", symbols=("BTCUSDT",), admin_token=SecretStr("secret"))
    async with MockExchange(config) as exchange:
        stage = Stage(exchange, http)
        assert (await ask(stage, "GET"))[0] == 401
        assert (await ask(stage, "GET", Authorization="Bearer wrong"))[0] == 401
        assert (await ask(stage, "GET", Authorization="Bearer secret", Host="mock.example.com"))[0] == 200


async def mmd(*arguments: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mmd.cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_the_command_line(stage: Stage) -> None:
    url = ("--url", stage.exchange.rest_url)
    code, out, _ = await mmd("mock", "fault", "on", "drop_frames", "probability=0.5", "frames=depth,trade", *url)
    assert (code, out) == (0, "fault 1: drop_frames probability=0.5 channel=all frames=depth,trade\n")
    (active,) = stage.exchange.faults.active
    assert active.fault.frames == ("depth", "trade")
    code, out, _ = await mmd("mock", "fault", "list", *url)
    assert "fault 1: drop_frames probability=0.5" in out
    code, out, _ = await mmd("mock", "fault", "clear", *url)
    assert (code, out) == (0, "cleared: 1\n")


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(app, ["mock", "fault", "on", "drop_frames", "probabilty=0.5"])
    assert result.exit_code == 2
    assert "did you mean 'probability'?" in result.output
    result = run(app, ["mock", "fault", "on", "freeze", "5"])
    assert result.exit_code == 2
    assert "not of the form NAME=VALUE" in result.output
    result = run(app, ["mock", "fault", "list", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 4
    assert "start one with `mmd mock`" in result.output
    scenario = tmp_path / "wrong.toml"
    scenario.write_text('[[fault]]\nat = 1\nkind = "freeze"\n\nsecond = 3\n')
    result = run(app, ["mock", "--port", "0", "--scenario", str(scenario)])
    assert result.exit_code == 1
    assert "wrong.toml, line 5: freeze has no 'second' (did you mean 'seconds'?); it has at, kind, seconds" in result.output


def test_every_kind_is_told_with_its_parameters() -> None:
    result = CliRunner().invoke(app, ["mock", "fault", "kinds"])
    assert result.exit_code == 0
    assert all(f"\n{kind}: " in "\n" + result.output for kind in KINDS)


async def test_a_scenario_of_the_command_line_runs(tmp_path) -> None:
    scenario = tmp_path / "cut.toml"
    scenario.write_text('[[fault]]\nat = 0.5\nkind = "server_shutdown"\ngrace_seconds = 0\n')
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mmd.cli", "mock", "--port", "0", "--scenario", str(scenario), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        line = (await asyncio.wait_for(child.stdout.readline(), 20)).decode()
        stream = dict(word.split("=", 1) for word in line.split() if "=" in word)["stream"]
        async with websockets.connect(f"{stream}/ws") as socket:
            assert json.loads(await asyncio.wait_for(socket.recv(), 20))["e"] == "serverShutdown"
    finally:
        child.terminate()
        await child.wait()
