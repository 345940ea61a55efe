"""What can be wrong with a journal."""

from __future__ import annotations


class JournalError(RuntimeError):
    """A journal that cannot be read, or not from where it would have to be; the text says which file, where, and what to do."""
