"""Logs: structured, bounded, and without secrets. Nothing on the way of a tick logs."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from mmd.daemon.event_tail import TailHandler, keep_event
from mmd.daemon.settings import LoggingSettings

MASK = "***"
SHORT_SECRET = 8
"""A secret shorter than this is masked only where it stands alone: it would else punch holes into ordinary words."""

_SECRET_KEY = re.compile(r"(^|[_-])(key|secret|token|signature|authorization|password)$", re.IGNORECASE)
_SIGNATURE = re.compile(r"(signature[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9%+/=]+", re.IGNORECASE)
_BEARER = re.compile(r"(bearer\s+)\S+", re.IGNORECASE)


class Redactor:
    """A structlog processor that masks known secrets wherever they stand, and whatever stands under a secret's name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        patterns = [
            re.escape(secret) if len(secret) >= SHORT_SECRET else rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"
            for secret in longest_first
        ]
        self._known = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Mask one log entry."""
        return {key: self._value(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """Mask one text."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _BEARER.sub(rf"\1{MASK}", _SIGNATURE.sub(rf"\1{MASK}", text))

    def _value(self, key: str, value: Any) -> Any:
        if _SECRET_KEY.search(key):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {inner: self._value(str(inner), one) for inner, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", one) for one in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


def configure_logging(settings: LoggingSettings, secrets: Iterable[str], *, console: bool = True) -> None:
    """Send structlog and the standard library's loggers to standard error (`console`) and the file, if one is set.

    Raises `OSError` when the file cannot be opened.
    """
    redactor = Redactor(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor,
    ]
    handlers: list[logging.Handler] = []
    if console:
        shown = structlog.processors.JSONRenderer() if settings.format == "json" else _console_renderer()
        handlers.append(_handler(logging.StreamHandler(sys.stderr), shown, shared, redactor))
    if settings.file is not None:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            settings.file, maxBytes=settings.max_file_bytes, backupCount=settings.kept_files, encoding="utf-8"
        )
        handlers.append(_handler(rotating, structlog.processors.JSONRenderer(), shared, redactor))
    handlers.append(_handler(TailHandler(logging.INFO), keep_event, shared, redactor))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(settings.level.upper())
    # picows tells at length of connections that the adapter tells of too.
    logging.getLogger("picows").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _console_renderer() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _handler(handler: logging.Handler, renderer: Processor, shared: list[Processor], redactor: Redactor) -> logging.Handler:
    # The redactor runs once more at the very end, where entries of the standard library have their final text.
    chain: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, redactor, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=chain))
    return handler
