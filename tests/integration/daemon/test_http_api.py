"""The published description of the control port against the real server: every operation, every status that it names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from mmd.daemon import control
from mmd.daemon.control_api import OPERATIONS, Operation, StreamMessage, openapi, openapi_json
from mmd.daemon.page import feed
from mmd.types.report import FlattenReport, TraderReport
from tests.integration.daemon.test_control_port import answer_cancels, port_of
from tests.unit.daemon.tiny_core import Desk

TOKEN = "0123456789abcdef0123"
DESCRIPTION = openapi()
STATUSES = [(operation, status) for operation in OPERATIONS for status in operation.all_answers]

Prepare = Callable[[Desk, pytest.MonkeyPatch], None]


def an_open_order(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.core.add_order("mmd-a-1")


def orders_that_go(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.core.add_order("mmd-a-1")
    answer_cancels(desk)


def halted(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.dispatcher.halt("drill", "http")


def paused(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.core.pauses = ("data_stale:BTCUSDT",)


def flattened(outcome: str) -> Prepare:
    def prepare(desk: Desk, patch: pytest.MonkeyPatch) -> None:
        report = desk.core.report

        def with_outcome(now_ns: int) -> TraderReport:
            flatten = FlattenReport(outcome, {"BTCUSDT": -0.25}, 0.0, "")  # type: ignore[arg-type]
            return msgspec.structs.replace(report(now_ns), flatten=flatten)

        patch.setattr(desk.core, "report", with_outcome)

    return prepare


def failed(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    desk.dispatcher.failure = "the core raised ValueError"


def crowded(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(feed, "MOST_CLIENTS", 0)


def swapping(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    """Swaps succeed: what the switch itself does is tested where it lives."""

    async def use(folder: Path) -> None:
        return None

    patch.setattr(desk.sources.networks, "use", use)


CASES: dict[tuple[str, int], tuple[dict[str, Any], Prepare | None]] = {
    ("halt", 200): ({"json": {"reason": "drill", "actor": "page", "wait": 20}}, orders_that_go),
    ("halt", 202): ({"json": {"wait": 0}}, an_open_order),
    ("flatten", 200): ({"json": {"seconds": 0}}, flattened("flat")),
    ("flatten", 202): ({"data": {"seconds": "0"}}, flattened("deadline")),
    ("flatten", 409): ({}, failed),
    ("resume", 200): ({"json": {"reason": "mended"}}, halted),
    ("resume", 400): ({}, halted),
    ("resume", 409): ({"json": {"reason": "mended"}}, None),
    ("take_signals", 200): ({"json": {"news_sentiment": -0.4, "life_seconds": 60}}, None),
    ("take_signals", 400): ({"json": {"news_sentiment": -4}}, None),
    ("use_networks", 200): ({"json": {"use": "some"}}, swapping),
    ("use_networks", 400): ({}, None),
    ("use_networks", 409): ({"json": {"use": "none-such"}}, None),
    ("networks", 200): ({}, None),
    ("state", 200): ({}, None),
    ("stream", 400): ({}, None),
    ("stream", 503): ({"headers": {"Upgrade": "websocket", "Connection": "Upgrade"}}, crowded),
    ("healthz", 200): ({}, None),
    ("readyz", 200): ({}, None),
    ("readyz", 503): ({}, paused),
    ("metrics", 200): ({}, None),
    ("index", 200): ({}, None),
    ("page_file", 200): ({"name": "page.js"}, None),
    ("page_file", 404): ({"name": "none.js"}, None),
    ("session", 200): ({}, None),
    ("log_in", 204): ({"json": {"token": TOKEN}}, None),
    ("log_in", 401): ({"json": {"token": "x"}}, None),
    ("log_out", 204): ({}, None),
}


def fits(document: Any, schema: dict[str, Any], where: str = "") -> None:
    """The part of JSON Schema that the description uses; an object holds nothing that is not described."""
    if "$ref" in schema:
        fits(document, DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]], where)
    elif "anyOf" in schema:
        errors = []
        for choice in schema["anyOf"]:
            try:
                fits(document, choice, where)
                return
            except AssertionError as error:
                errors.append(str(error))
        raise AssertionError(f"{where}: none of {errors}")
    elif "enum" in schema:
        assert document in schema["enum"], where
    elif schema.get("type") == "object":
        assert isinstance(document, dict), where
        properties = schema.get("properties")
        if properties is None:
            for name, value in document.items():
                fits(value, schema.get("additionalProperties", {}), f"{where}.{name}")
        else:
            assert set(document) == set(properties), where
            for name, value in document.items():
                fits(value, properties[name], f"{where}.{name}")
    elif schema.get("type") == "array":
        assert isinstance(document, list), where
        for place, value in enumerate(document):
            fits(value, (schema.get("prefixItems") or [schema["items"]] * len(document))[place], f"{where}[{place}]")
    elif "type" in schema:
        kinds = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
        assert isinstance(document, kinds[schema["type"]]), f"{where}: {document!r} is no {schema['type']}"


@pytest.mark.parametrize(("operation", "status"), STATUSES, ids=[f"{each.handler}-{status}" for each, status in STATUSES])
async def test_every_operation_answers_as_described(
    operation: Operation, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "FLATTEN_GRACE_SECONDS", 0.0)
    desk, settings, server_headers = Desk(tmp_path), dict[str, Any](), dict[str, str]()
    if status in (401, 403):
        asked: dict[str, Any] = {"name": "page.js"} if "{name}" in operation.path else {}
        if status == 403:
            server_headers = {"Host": "evil.example"}
        if operation.handler == "log_in":
            asked["json"] = {"token": "x"}
        settings = {"token": SecretStr(TOKEN)} if status == 401 else {}
        prepare: Prepare | None = None
    elif status == 101:
        async with port_of(desk) as (_, session), session.ws_connect(operation.path) as stream:
            async with asyncio.timeout(20):
                for _ in range(3):
                    text = await stream.receive_str()
                    msgspec.json.decode(text, type=StreamMessage)
                    described = DESCRIPTION["paths"][operation.path]["get"]["responses"]["101"]
                    fits(json.loads(text), described["content"]["application/json"]["schema"])
        return
    else:
        asked, prepare = CASES[operation.handler, status]
        settings = {"token": SecretStr(TOKEN)} if operation.handler in ("log_in", "log_out") else {}
        server_headers = {"Authorization": f"Bearer {TOKEN}"} if settings else {}
    if prepare is not None:
        prepare(desk, monkeypatch)
    asked = dict(asked)
    path = operation.path.replace("{name}", asked.pop("name", ""))
    headers = {**server_headers, **asked.pop("headers", {})}
    async with port_of(desk, **settings) as (_, session):
        response = await session.request(operation.method, path, headers=headers, **asked)
        body = await response.read()
    assert response.status == status
    described = DESCRIPTION["paths"][operation.path][operation.method.lower()]["responses"][str(status)]
    if "content" not in described:
        assert body == b""
        return
    ((media_type, content),) = described["content"].items()
    assert response.content_type == media_type
    if media_type == "application/json":
        fits(json.loads(body), content["schema"])


def test_every_status_has_a_case() -> None:
    own = {(operation.handler, status) for operation in OPERATIONS for status in operation.answers}
    assert set(CASES) == own - {("stream", 101)}


async def test_the_server_has_no_other_routes(tmp_path: Path) -> None:
    async with port_of(Desk(tmp_path)) as (server, session):
        assert server._runner is not None
        routes = {(route.method, route.resource.canonical) for route in server._runner.app.router.routes() if route.resource}
        assert {route for route in routes if route[0] != "HEAD"} == {(each.method, each.path) for each in OPERATIONS}
        async with session.get("/no-such-thing") as response:
            assert response.status == 404


def test_every_reference_of_the_description_leads_somewhere() -> None:
    names = set(DESCRIPTION["components"]["schemas"])
    used = {part.partition('"')[0] for part in openapi_json().split("#/components/schemas/")[1:]}
    assert used <= names
    assert json.loads(openapi_json()) == json.loads(json.dumps(DESCRIPTION))
