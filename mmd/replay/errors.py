"""What can keep a session from being replayed."""

from __future__ import annotations


class ReplayError(RuntimeError):
    """The core of that session cannot be built here; the text says what is missing and where to get it."""


class Diverged(RuntimeError):
    """The core asked a network where the session did not, or got another answer from it."""
