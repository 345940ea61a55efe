"""The bundle that serves where none is named."""

from __future__ import annotations

from pathlib import Path

DEFAULT_BUNDLE = Path("models/quote-v3")
