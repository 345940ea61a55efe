"""Does a session come out again as it went out? Every command and every request, compared one by one and hashed together."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mmd.exchanges.adapter import AdapterError, WritesRequests, adapter_factory
from mmd.journal.codec import OutboundHash
from mmd.journal.reader import SessionJournal
from mmd.journal.records import SessionBegin, SessionEnd
from mmd.replay.errors import Diverged
from mmd.replay.session import Predictions, ReplayedSession
from mmd.replay.turns import Turn, turns
from mmd.types.market import BatchEnd
from mmd.types.orders import AmendOrder, CancelOrder, ClockSync, ModifyOrder, PlaceOrder, QueryOrder, ReplaceOrder

WRITTEN = (PlaceOrder, ReplaceOrder, ModifyOrder, CancelOrder, AmendOrder, QueryOrder)
"""Commands that become requests, unless the connection is down."""
CONTEXT_TURNS = 5
_REQUEST_ID = re.compile(rb'"id":\s*(\d+)')
_NS_PER_MS = 1_000_000
_MOST_TEXT = 600


class Verdict(msgspec.Struct, frozen=True):
    """What came of it. `difference` is empty where all that was compared is the same."""

    session: str
    matches: bool
    outbound_sha256: str
    """Of what the replayed core sends, as far as it was compared."""
    events: int
    commands: int
    requests: int
    evaluations: int
    predictions: Predictions
    why_recorded: str
    difference: str
    context: tuple[str, ...]
    """The turns before the difference, oldest first."""
    incomplete: str
    """Why the journal was not compared to an orderly end, where that is so."""
    end: SessionEnd | None


class Verification:
    """Of one session; `run` once. Raises `JournalError`, `ReplayError`."""

    def __init__(self, journal: SessionJournal, replayed: ReplayedSession) -> None:
        self._journal = journal
        self._replayed = replayed
        self._encode = request_encoder(journal.begin)
        self._hash = OutboundHash()
        self._offset_ns = 0
        self._events = 0
        self._context: deque[str] = deque(maxlen=CONTEXT_TURNS)

    def run(self, on_progress: Callable[[int], None] | None = None) -> Verdict:
        """Compare until the end, or the first difference."""
        difference = incomplete = ""
        end: SessionEnd | None = None
        for turn in turns(self._journal, on_progress):
            difference = self._compare(turn)
            incomplete, end = turn.broken, turn.end
            if difference:
                incomplete = ""
                difference = f"at record {turn.number:,}, {self._when(turn)}, on {_short(turn.event)}:\n{difference}"
                break
            self._context.append(f"record {turn.number:,}: {_short(turn.event)} -> {_short(turn.commands)}")
        digest = self._hash.hexdigest()
        if not difference and end is not None and digest != end.outbound_sha256:
            difference = f"all is the same, but the session's own hash was {end.outbound_sha256}: its journal was changed"
        return Verdict(
            session=self._journal.begin.session,
            matches=not difference,
            outbound_sha256=digest,
            events=self._events,
            commands=self._hash.commands,
            requests=self._hash.requests,
            evaluations=self._replayed.inferences.evaluations,
            predictions=self._replayed.predictions,
            why_recorded=self._replayed.why_recorded,
            difference=difference,
            context=tuple(self._context) if difference else (),
            incomplete=incomplete,
            end=end,
        )

    def _compare(self, turn: Turn) -> str:
        """The difference, empty if there is none."""
        if turn.event is None:
            return ""
        self._events += 1
        if type(turn.event) is ClockSync:
            self._offset_ns = turn.event.offset_ns
        try:
            commands = self._replayed.live_through(turn)
        except Diverged as error:
            # The end of a crashed session's journal may lack what its last turn brought.
            return "" if turn.broken else str(error)
        except Exception as error:  # noqa: BLE001 (a core that raised must raise again)
            text = f"{type(error).__name__}: {error}"
            return "" if text == turn.failure else f"the core raised {text}; then it {_raised(turn.failure)}"
        if turn.failure:
            return f"the core raised nothing; then it {_raised(turn.failure)}"
        return self._compare_commands(turn, commands) or self._compare_requests(turn, commands)

    def _compare_commands(self, turn: Turn, commands: Sequence[Any]) -> str:
        for place, (found, recorded) in enumerate(zip(commands, turn.commands, strict=False)):
            if found != recorded:
                return f"command {place + 1} is\n  {_text(found)}\nthe session had\n  {_text(recorded)}\n{_fields(found, recorded)}"
            self._hash.command(found)
        more = commands[len(turn.commands) :]
        if more and not turn.broken:
            return f"{len(more)} more than the session had, the first\n  {_text(more[0])}"
        if len(turn.commands) > len(commands):
            return f"the session had {len(turn.commands) - len(commands)} more, the first\n  {_text(turn.commands[len(commands)])}"
        return ""

    def _compare_requests(self, turn: Turn, commands: Sequence[Any]) -> str:
        if self._encode is None:
            return "" if not turn.requests else f"requests are on record that {self._journal.begin.venue} cannot encode"
        written = iter([command for command in (*commands, *turn.shell_commands) if isinstance(command, WRITTEN)])
        for recorded in turn.requests:
            found = self._next_request(recorded, written)
            if found != recorded:
                return f"a request would be\n  {found.decode()}\nthe session wrote\n  {recorded.decode(errors='replace')}"
            self._hash.request(found)
        return ""

    def _next_request(self, recorded: bytes, written: Any) -> bytes:
        """The recorded request, encoded again from its command; commands that were not written lie between."""
        match = _REQUEST_ID.search(recorded)
        request_id = int(match.group(1)) if match else 0
        nearest = b"nothing: no command of this turn is left"
        for command in written:
            assert self._encode is not None
            found = self._encode(command, request_id, (command.decided_ns + self._offset_ns) // _NS_PER_MS)
            if found == recorded:
                return found
            if command.client_order_id.encode() in recorded:
                nearest = found
        return nearest

    def _when(self, turn: Turn) -> str:
        receive_ns = getattr(turn.event, "receive_ns", None)
        if receive_ns is None:
            return "at no known time"
        return f"{(receive_ns - self._journal.begin.started_ns) / 1e9:.3f} s after the start"


def request_encoder(begin: SessionBegin) -> Callable[[Any, int, int], bytes] | None:
    """Encodes as the session's adapter did, without key; None where the adapter cannot."""
    if begin.mode == "paper":
        return None
    try:
        adapter = adapter_factory(begin.venue)
    except AdapterError:
        return None
    if not isinstance(adapter, type) or not issubclass(adapter, WritesRequests):
        return None
    recv_window_ms: int = msgspec.json.decode(begin.exchange)["recv_window_ms"]
    instruments = {instrument.symbol: instrument for instrument in begin.instruments}
    return adapter.unsigned_encoder(instruments, recv_window_ms)


def _raised(failure: str) -> str:
    return f"raised {failure}" if failure else "raised nothing"


def _text(command: Any) -> str:
    text = repr(command)
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " …"


def _short(what: Any) -> str:
    if isinstance(what, BatchEnd):
        return "BatchEnd"
    text = repr(what)
    return text if len(text) <= 160 else text[:160] + " …"


def _fields(found: Any, recorded: Any) -> str:
    """Which fields differ."""
    if type(found) is not type(recorded):
        return "another kind of command"
    names = [name for name in type(found).__struct_fields__ if getattr(found, name) != getattr(recorded, name)]
    return "they differ in " + ", ".join(names)
