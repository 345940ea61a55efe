"""What the stream behind the operator's page counts, for the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PageCounters:
    """Connections now, and those that were cut off since they read too slowly."""

    clients: int = 0
    dropped: int = 0
