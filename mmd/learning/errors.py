"""What can be wrong with data."""

from __future__ import annotations


class SourceError(ValueError):
    """A data source that cannot be read; the text says what, where and how to mend it."""
