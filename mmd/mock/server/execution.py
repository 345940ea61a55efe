"""One request from weight to reply, the same for the REST and the WebSocket API."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mmd.mock.engine import Refusal
from mmd.mock.server.errors import WireError
from mmd.mock.server.operations import Caller, Operation, Security
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.signatures import ApiKey, check_clock
from mmd.mock.server.venue import Venue


class Request(NamedTuple):
    """What a shell has read. `session_key` is the key a WebSocket API session logged on with: it stands in for a signature."""

    address: str
    parameters: Parameters
    key_name: str | None
    signed_payload: Callable[[], bytes]
    session_key: ApiKey | None = None


class Outcome(NamedTuple):
    """What an operation gave, and for which account."""

    result: object
    account: str


def execute(venue: Venue, operation: Operation, request: Request) -> Outcome:
    """Charge, authenticate and do it. Raises `WireError`."""
    weight = operation.weight_of(request.parameters)
    venue.limiter.charge(request.address, weight, venue.server_ms())
    caller = Caller() if operation.security is Security.NONE else Caller(authenticate(venue, operation.security, request).account)
    try:
        result = operation.handler(venue, caller, request.parameters)
    except Refusal as refusal:
        error = WireError(refusal.code, refusal.message)
        error.account = caller.account
        raise error from refusal
    except WireError as error:
        error.account = caller.account
        raise
    if operation.free_on_success:
        venue.limiter.refund(request.address, weight, venue.server_ms())
    return Outcome(result, caller.account)


def authenticate(venue: Venue, security: Security, request: Request) -> ApiKey:
    """The key that vouches for the request. Raises -2014, -2015, -1102, -1021, -1022."""
    if request.session_key is not None and request.key_name in (None, request.session_key.name):
        if security is Security.SIGNED and "signature" not in request.parameters:
            check_clock(request.parameters, venue.server_ms())
            return request.session_key
        if security is Security.KEY:
            return request.session_key
    key = venue.keys.find(request.key_name)
    if security is Security.SIGNED:
        signature = request.parameters.required("signature")
        check_clock(request.parameters, venue.server_ms())
        key.verify(request.signed_payload(), signature)
    return key
