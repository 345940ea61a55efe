"""Records to bytes and back: MessagePack, each record beside its code, so that an unknown kind is told, not guessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mmd.journal.errors import JournalError
from mmd.journal.networks import networks_in_use
from mmd.journal.records import CODES, COMMANDS, REQUEST, NetworksChallenged, NetworksSwapped, Prediction, Record, Unreadable
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.decoding import UNREADABLE

_UNSIGNED = re.compile(rb',"signature":"[^"]*"|"apiKey":"[^"]*",|,"apiKey":"[^"]*"')
_UNREADABLE_TEXT = 2_000
_TYPES: dict[int, Any] = {code: kind for kind, code in CODES.items()} | {CODES[tuple]: Prediction}


class RecordEncoder:
    """Of one session. Keeps the hash of what went out: commands as they are encoded here, requests without signature and key."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self.outbound = OutboundHash()

    def encode(self, records: Sequence[Record]) -> bytes:
        """A chunk of the journal. What has no code is written as text."""
        coded: list[tuple[int, Record]] = []
        for record in records:
            code = CODES.get(type(record))
            if code is None:
                record = _stand_in(record)
                code = CODES[type(record)]
            elif code == REQUEST:
                record = without_signature(record)
                self.outbound.request(record)
            elif type(record) in COMMANDS:
                self.outbound.command(record)
            coded.append((code, record))
        return self._encoder.encode(coded)


class OutboundHash:
    """SHA-256 over commands and requests in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._encoder = msgspec.msgpack.Encoder()
        self.commands = 0
        self.requests = 0

    def command(self, command: Any) -> None:
        """A command that the core gave."""
        self.commands += 1
        self._add(b"%d " % CODES[type(command)] + self._encoder.encode(command))

    def request(self, request: bytes) -> None:
        """A request that was written, as `without_signature` leaves it."""
        self.requests += 1
        self._add(request)

    def _add(self, content: bytes) -> None:
        self._hash.update(b"%d:" % len(content))
        self._hash.update(content)

    def hexdigest(self) -> str:
        """Of all so far."""
        return self._hash.hexdigest()


class RecordDecoder:
    """Raises `JournalError` for what is none."""

    def __init__(self) -> None:
        self._chunk = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
        self._decoders = {code: msgspec.msgpack.Decoder(kind) for code, kind in _TYPES.items()}

    def decode(self, chunk: bytes) -> list[Record]:
        """The records of a chunk."""
        records: list[Record] = []
        try:
            for code, raw in self._chunk.decode(chunk):
                decoder = self._decoders.get(code)
                if decoder is None:
                    raise JournalError(f"a record of kind {code}, unknown to this program: use the one that wrote it")
                records.append(decoder.decode(raw))
        except UNREADABLE as error:
            raise JournalError(f"a record that makes no sense: {error}") from error
        return records


def without_signature(request: bytes) -> bytes:
    """A request of the WebSocket API without signature and key, which no journal may hold."""
    return _UNSIGNED.sub(b"", request)


def _stand_in(record: Any) -> Record:
    """What is written for an object that has no code of its own."""
    if isinstance(record, SwapNetworks):
        return NetworksSwapped(record.receive_ns, networks_in_use(record.bundle, record.predictors))
    if isinstance(record, ChallengeNetworks):
        networks = None if record.bundle is None else networks_in_use(record.bundle, record.predictors)
        return NetworksChallenged(record.receive_ns, networks)
    return Unreadable(type(record).__name__, repr(record)[:_UNREADABLE_TEXT])
