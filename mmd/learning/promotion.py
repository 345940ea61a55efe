"""Stages of a bundle: one step up at a time, each on a report about these very networks; down at any time.

`none` → `backtest` (an evaluation or a backtest) → `paper` (a backtest) → `live` (a paper session). The report is JSON and says
itself what it is (`report`) and about which networks (`bundle_content`); its hash goes into the card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mmd.inference.bundle import Bundle, content_digest
from mmd.inference.card import STAGES, Card, Evidence, Stage
from mmd.types.decoding import UNREADABLE

REPORTS: Mapping[Stage, tuple[str, ...]] = {"backtest": ("evaluation", "backtest"), "paper": ("backtest",), "live": ("paper",)}
"""What each stage asks for."""
MADE_BY = {
    "evaluation": "mmd evaluate BUNDLE --data … --json",
    "backtest": "mmd backtest --bundle BUNDLE --json",
    "paper": "mmd run --json in paper mode",
}
MOST_REPORT_BYTES = 64 * 1024 * 1024


class PromotionError(ValueError):
    """A bundle that may not be moved to that stage: why, and what would do."""


def promoted(bundle: Bundle, to: Stage, report: Path | None, created_utc: str) -> Card:
    """The card with its new stage. Going down drops the evidence of what lies above and asks for no report.

    Raises `PromotionError` where a stage would be skipped, or the report is missing, of another kind or about other networks.
    """
    card, place, present = bundle.card, STAGES.index(to), STAGES.index(bundle.card.stage)
    if place == present:
        raise PromotionError(f"{bundle.folder}: is at stage {to} already")
    kept = tuple(one for one in card.evidence if STAGES.index(one.stage) <= min(place, present))
    if place < present:
        return msgspec.structs.replace(card, stage=to, evidence=kept)
    following = STAGES[present + 1]
    if to != following:
        raise PromotionError(f"{bundle.folder}: is at stage {card.stage}; the next is {following}, and none is skipped")
    if report is None:
        raise PromotionError(f"stage {to} asks for evidence: give --evidence REPORT, made by {_commands(to)}")
    contents = _read(report)
    _check(bundle, to, report, contents)
    evidence = Evidence(stage=to, report=report.name, sha256=hashlib.sha256(contents).hexdigest(), created_utc=created_utc)
    return msgspec.structs.replace(card, stage=to, evidence=(*kept, evidence))


def _read(report: Path) -> bytes:
    try:
        if report.stat().st_size > MOST_REPORT_BYTES:
            raise PromotionError(f"{report}: over {MOST_REPORT_BYTES} bytes is no report of ours")
        return report.read_bytes()
    except OSError as error:
        raise PromotionError(f"{report}: cannot be read ({error.strerror or error})") from error


def _check(bundle: Bundle, to: Stage, report: Path, contents: bytes) -> None:
    try:
        document: Any = msgspec.json.decode(contents)
    except UNREADABLE as error:
        raise PromotionError(f"{report}: not JSON ({error}): give what {_commands(to)} writes") from error
    fields = document if isinstance(document, dict) else {}
    kind, about = fields.get("report"), fields.get("bundle_content")
    if kind not in REPORTS[to]:
        raise PromotionError(
            f"{report}: is {f'a report of {kind!r}' if kind else 'no report'}; stage {to} asks for {_commands(to)}"
        )
    own = content_digest(bundle.card)
    if about != own:
        raise PromotionError(
            f"{report}: is about networks {str(about)[:12]}…, but those of {bundle.folder} are {own[:12]}…: "
            "make a report of this bundle"
        )


def _commands(stage: Stage) -> str:
    return " or ".join(MADE_BY[kind] for kind in REPORTS[stage])
