"""The table of what the exchange can do: one entry per operation, which the REST API and the WebSocket API both serve.

To add an operation, write its handler and list it in one of the tables (`general_operations`, `order_operations`,
`account_operations`); both shells find it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue

API_PREFIX = "/api/v3/"
SIGNING_PARAMETERS = frozenset({"timestamp", "recvWindow", "signature"})


class Security(Enum):
    """What a request must bring."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `account` is empty for operations that need no signature."""

    account: str = ""


Handler = Callable[[Venue, Caller, Parameters], object]
"""Does the operation and returns a JSON-able struct. Raises WireError, or the engine's Refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing the exchange can do.

    `rest` is (method, path below /api/v3/, or the whole path with its slash), `websocket` the method's name there. `weight` is
    charged before; operations on orders (`free_on_success`) get it back when they succeed. `counts_orders`: replies tell the
    account's count of unfilled orders. `weight_note` says in words what a weight that depends on the parameters is.
    """

    handler: Handler
    summary: str
    rest: tuple[str, str] | None = None
    websocket: str | None = None
    security: Security = Security.NONE
    parameters: frozenset[str] = frozenset()
    weight: int | Callable[[Parameters], int] = 1
    weight_note: str = ""
    free_on_success: bool = False
    counts_orders: bool = False

    @property
    def name(self) -> str:
        """What faults and logs call it: the WebSocket API's name, or else REST's method and path."""
        return self.websocket or (" ".join(self.rest) if self.rest else "")

    @property
    def changes_orders(self) -> bool:
        """Whether it places, changes or cancels."""
        return self.free_on_success

    @property
    def weight_text(self) -> str:
        """The weight in words."""
        text = self.weight_note or str(self.weight)
        return f"{text}, 0 if it succeeds" if self.free_on_success else text

    def weight_of(self, parameters: Parameters) -> int:
        """Request weight of this call."""
        return self.weight if isinstance(self.weight, int) else self.weight(parameters)

    @property
    def known_parameters(self) -> frozenset[str]:
        """Everything the REST API accepts here. (Clients sign some requests that need a key alone.)"""
        return self.parameters if self.security is Security.NONE else self.parameters | SIGNING_PARAMETERS


class OperationTable:
    """Operations by REST route (the whole path) and by WebSocket API method."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.by_route: dict[tuple[str, str], Operation] = {}
        self.by_method: dict[str, Operation] = {}
        for operation in operations:
            if operation.rest is not None:
                method, path = operation.rest
                self.by_route[method, path if path.startswith("/") else API_PREFIX + path] = operation
            if operation.websocket is not None:
                self.by_method[operation.websocket] = operation


def names(*parameters: str) -> frozenset[str]:
    """The set of parameter names of an operation."""
    return frozenset(parameters)
