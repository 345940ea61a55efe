"""The control port's operations: one table that the server's routes and the published description are both made from."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from mmd import __version__
from mmd.daemon.control_documents import (
    FlattenAnswer,
    HaltAnswer,
    Health,
    PageAccess,
    Readiness,
    Refusal,
    ResumeAnswer,
    SignalsAnswer,
)
from mmd.daemon.network_switch import NetworksDocument
from mmd.daemon.page.feed import EventsMessage, FailedMessage, HistoryMessage, StateMessage
from mmd.daemon.state_document import StateDocument
from mmd.market.signals import MAX_LIFE_SECONDS, RANGES

StreamMessage = HistoryMessage | EventsMessage | StateMessage | FailedMessage
TEXT = "text/plain"
HTML = "text/html"
JSON = "application/json"
REFERENCE = "#/components/schemas/{name}"


class Field(msgspec.Struct, frozen=True):
    """One thing that a request may say, in JSON, as a form or in the query. `schema` is JSON Schema."""

    meaning: str
    schema: dict[str, Any]
    required: bool = False


class Answer(msgspec.Struct, frozen=True):
    """One status that an operation answers with, and the document, its type or, for other than JSON, its media type."""

    meaning: str
    document: Any = None
    media_type: str = JSON


class Operation(msgspec.Struct, frozen=True):
    """One method and path. `handler` is the server's method; `open` ones need no token."""

    method: str
    path: str
    handler: str
    summary: str
    answers: dict[int, Answer]
    fields: dict[str, Field] = {}
    more: str = ""
    open: bool = False

    @property
    def refusals(self) -> dict[int, Answer]:
        """What the port itself answers before the operation is asked."""
        refused: dict[int, Answer] = {}
        if self.path != "/healthz":
            refused[403] = Answer("The host is not this machine's, or another site's page asks.", Refusal)
        if not self.open:
            refused[401] = Answer("A token is set, and neither it nor a browser's session came with the request.", Refusal)
        return refused

    @property
    def all_answers(self) -> dict[int, Answer]:
        """By status."""
        return dict(sorted({**self.refusals, **self.answers}.items()))


_TEXT = {"type": "string"}
_REASON = Field("Why; kept in the latch, at most 500 characters.", {"type": "string", "maxLength": 500})
_ACTOR = Field("Who asks.", {"type": "string", "enum": ["http", "cli", "page"], "default": "http"})

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "/halt",
        "halt",
        "Stop trading: latch, and cancel everything of ours.",
        {
            200: Answer("Halted, every order of ours confirmed gone.", HaltAnswer),
            202: Answer("Halted; some orders are not confirmed gone yet, and it goes on cancelling.", HaltAnswer),
        },
        {
            "reason": _REASON,
            "actor": _ACTOR,
            "wait": Field(
                "Seconds to wait for the orders to be confirmed gone (default: `control.halt_wait_seconds`).",
                {"type": "number", "minimum": 0, "maximum": 30},
            ),
        },
        "Never refused over a formality: a body that makes no sense halts all the same.",
    ),
    Operation(
        "POST",
        "/flatten",
        "flatten",
        "Halt, then work towards no position with reduce-only orders; answers when that is over.",
        {
            200: Answer("Flat.", FlattenAnswer),
            202: Answer("Halted, but something is left.", FlattenAnswer),
            409: Answer("The core failed and the process is leaving.", Refusal),
        },
        {
            "reason": _REASON,
            "actor": _ACTOR,
            "seconds": Field("The deadline, from now.", {"type": "number", "minimum": 0, "maximum": 3600, "default": 60}),
        },
    ),
    Operation(
        "POST",
        "/resume",
        "resume",
        "Lift the halt.",
        {
            200: Answer("Not halted any more.", ResumeAnswer),
            400: Answer("No reason was given.", Refusal),
            409: Answer("Not halted, or something must be mended first; the text says what.", Refusal),
        },
        {"reason": Field("What was found and mended.", {"type": "string", "maxLength": 500}, required=True), "actor": _ACTOR},
    ),
    Operation(
        "POST",
        "/signals",
        "take_signals",
        "Tell of news or macro risk.",
        {200: Answer("Taken in.", SignalsAnswer), 400: Answer("None was taken in; the text says why.", Refusal)},
        {
            **{
                name: Field("The signal's value; 0 is neutral.", {"type": "number", "minimum": low, "maximum": high})
                for name, (low, high) in RANGES.items()
            },
            "life_seconds": Field(
                "After so long the values are neutral again.",
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_LIFE_SECONDS},
            ),
        },
    ),
    Operation(
        "POST",
        "/models",
        "use_networks",
        "Quote with other networks, roll back, or watch others in shadow.",
        {
            200: Answer("Done; what serves now.", NetworksDocument),
            400: Answer("Not exactly one of the three was asked.", Refusal),
            409: Answer("The bundle cannot or may not serve; the old one goes on.", Refusal),
        },
        {
            "use": Field("Name or folder of the bundle to serve, as the daemon sees it.", _TEXT),
            "rollback": Field("Return to what served before the last swap.", {"type": "boolean"}),
            "challenger": Field("Name or folder of the bundle to watch; `none` ends it.", _TEXT),
        },
    ),
    Operation("GET", "/models", "networks", "Which networks serve.", {200: Answer("As they are.", NetworksDocument)}),
    Operation("GET", "/state", "state", "Everything there is to say.", {200: Answer("As it is now.", StateDocument)}),
    Operation(
        "GET",
        "/stream",
        "stream",
        "The same over a websocket, a few times a second.",
        {
            101: Answer("The websocket's messages, each of one of four kinds.", StreamMessage),
            400: Answer("The request does not ask for a websocket.", Refusal),
            503: Answer("Too many are connected.", Refusal),
        },
        more="First `history`, then `events` whenever something happened, `state` four times a second, and `failed` once the core "
        "has failed. Whoever reads too slowly is cut off.",
    ),
    Operation("GET", "/healthz", "healthz", "Does the process answer?", {200: Answer("Yes.", Health)}, open=True),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "Can quotes stand now?",
        {200: Answer("Yes.", Readiness), 503: Answer("No, and why.", Readiness)},
    ),
    Operation("GET", "/metrics", "metrics", "Prometheus metrics.", {200: Answer("Text format 0.0.4.", None, TEXT)}),
    Operation("GET", "/", "index", "The operator's page, without data.", {200: Answer("HTML.", None, HTML)}, open=True),
    Operation(
        "GET",
        "/page/{name}",
        "page_file",
        "Styles, scripts and the charts' library of the page.",
        {200: Answer("The file.", None, "text/javascript"), 404: Answer("There is no such file.", Refusal)},
        open=True,
    ),
    Operation(
        "GET", "/session", "session", "What the page must know before it logs in.", {200: Answer("It.", PageAccess)}, open=True
    ),
    Operation(
        "POST",
        "/login",
        "log_in",
        "A browser's session (a cookie) for whoever knows the token.",
        {204: Answer("The cookie is set.", None), 401: Answer("Not the token, or none is set.", Refusal)},
        {"token": Field("The token.", _TEXT, required=True)},
        open=True,
    ),
    Operation("POST", "/logout", "log_out", "End the browser's session.", {204: Answer("It is ended.", None)}),
)


def openapi() -> dict[str, Any]:
    """The description of the control port as an OpenAPI 3.1 document."""
    types = {answer.document for operation in OPERATIONS for answer in operation.all_answers.values() if answer.document}
    ordered = sorted(types - {StreamMessage}, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components([StreamMessage, *ordered], ref_template=REFERENCE)
    by_type = dict(zip([StreamMessage, *ordered], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mmd control port",
            "version": __version__,
            "description": "Halt, resume, look. Loopback without a token; anywhere else with one.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8780"}],
        "security": [{}, {"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "mmd_session"},
            },
        },
    }


def openapi_json() -> str:
    """As a file holds it."""
    return json.dumps(openapi(), indent=1, sort_keys=False) + "\n"


def _described(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.handler, "summary": operation.summary}
    if operation.more:
        described["description"] = operation.more
    if operation.open:
        described["security"] = []
    names = re.findall(r"{(\w+)}", operation.path)
    if names:
        described["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
    if operation.fields:
        body = {
            "type": "object",
            "properties": {name: {"description": field.meaning, **field.schema} for name, field in operation.fields.items()},
        }
        required = [name for name, field in operation.fields.items() if field.required]
        if required:
            body["required"] = required
        kinds = (JSON, "application/x-www-form-urlencoded")
        described["requestBody"] = {"required": bool(required), "content": {kind: {"schema": body} for kind in kinds}}
    described["responses"] = {str(status): _response(answer, schemas) for status, answer in operation.all_answers.items()}
    return described


def _response(answer: Answer, schemas: dict[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.meaning}
    if answer.document is not None:
        response["content"] = {JSON: {"schema": schemas[answer.document]}}
    elif answer.media_type != JSON:
        response["content"] = {answer.media_type: {"schema": _TEXT}}
    return response
