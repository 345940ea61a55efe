"""From an ablation's report to the weights of a bundle's heads: evidence about these very networks, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from mmd.inference.bundle import Bundle, networks_digest
from mmd.inference.card import Card
from mmd.inference.heads import HEADS, HeadWeights


class HeadEvidenceError(ValueError):
    """A report that says nothing of this bundle's heads."""


def weighed_card(bundle: Bundle, report: Path) -> Card:
    """The card with the report's weights, its name and SHA-256. Raises `HeadEvidenceError`."""
    try:
        data = report.read_bytes()
        found: Any = msgspec.json.decode(data)
    except OSError as error:
        raise HeadEvidenceError(f"{report}: cannot be read ({error.strerror or error})") from error
    except msgspec.DecodeError as error:
        raise HeadEvidenceError(f"{report}: is no JSON ({error})") from error
    if not isinstance(found, dict) or found.get("report") != "ablation":
        raise HeadEvidenceError(f"{report}: is no report of `mmd evidence ablate`")
    if found.get("networks") != networks_digest(bundle):
        raise HeadEvidenceError(f"{report}: is about {found.get('bundle')}, other networks than these: run `mmd evidence ablate`")
    try:
        weights = HeadWeights(**{name: float(found["heads"][name]["weight"]) for name in HEADS})
    except (KeyError, TypeError, ValueError) as error:
        raise HeadEvidenceError(f"{report}: lacks a weight, or one makes no sense: {error}") from error
    evidence = {"report": report.name, "sha256": hashlib.sha256(data).hexdigest()}
    return msgspec.structs.replace(bundle.card, head_weights=weights, head_evidence=evidence, stage="none", evidence=())
