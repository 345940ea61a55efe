"""`userDataStream` of the REST API: listen keys, for clients of the time when Binance Spot had them."""

from __future__ import annotations

import msgspec

from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue

_ROUTE = "/api/v3/userDataStream"
_WEIGHT = 2


class ListenKeyReply(msgspec.Struct, frozen=True):
    """POST `userDataStream`."""

    listenKey: str


def _create(venue: Venue, caller: Caller, parameters: Parameters) -> ListenKeyReply:
    return ListenKeyReply(venue.listen_keys.open(caller.account))


def _keep_alive(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    venue.listen_keys.extend(caller.account, parameters.required("listenKey"))
    return {}


def _close(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    venue.listen_keys.close(caller.account, parameters.required("listenKey"))
    return {}


LISTEN_KEY_OPERATIONS = (
    Operation(
        handler=_create,
        summary="a listen key of the account, good for an hour",
        rest=("POST", _ROUTE),
        security=Security.KEY,
        weight=_WEIGHT,
    ),
    Operation(
        handler=_keep_alive,
        summary="keep a listen key for another hour",
        rest=("PUT", _ROUTE),
        security=Security.KEY,
        parameters=names("listenKey"),
        weight=_WEIGHT,
    ),
    Operation(
        handler=_close,
        summary="end a listen key",
        rest=("DELETE", _ROUTE),
        security=Security.KEY,
        parameters=names("listenKey"),
        weight=_WEIGHT,
    ),
)
