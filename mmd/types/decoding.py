"""What reading JSON or MessagePack that others have written may raise."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""msgspec's own errors, and what it lets through: texts that are no UTF-8, and brackets within brackets without end."""
