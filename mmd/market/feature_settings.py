"""What fixes the meaning of a feature row: windows, half-lives, the rule of a step. A bundle is trained for one such set and
carries its hash; a bundle whose hash differs from the running code's is not used.
"""

from __future__ import annotations

import hashlib

import msgspec

from mmd.market.feature_table import FEATURES, INVENTORY_NAMES, MARKET_NAMES, NOTATION

FEATURE_SCHEMA_VERSION = 2
"""Raised with every change of the numbers. A test holds the rows of each version to what they were."""
FIRST_SCHEMA_NAMES = MARKET_NAMES[:20]
"""Version 1 had these, made as today: a row of version 2 begins with one of version 1, and bundles of both are served from it."""

STEP_RULE = "touch price or size change, or public trade; at least step_min_interval_ns of receive time after the step before"


class FeatureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frozen settings of steps and features. Raises `ValueError` for a window, half-life or bound that makes no sense."""

    step_min_interval_ns: int = 0
    """Least receive time between two steps, ns; 0 makes every change a step."""
    window_steps: int = 20
    """Window of the rolling sums (returns, traded volume, VWAP, order flow), steps."""
    spread_window_steps: int = 10
    """Window of the average spread, steps; at most `window_steps`."""
    average_half_life_steps: float = 200.0
    """Half-life of the averages that count in steps (squared return, volume), steps; at most 10,000."""
    half_lives_seconds: tuple[float, float, float, float] = (2.0, 15.0, 120.0, 1200.0)
    """Half-lives of what decays with receive time, ascending: short, medium, long, baseline, seconds."""
    recent_half_lives_seconds: tuple[float, float, float] = (0.1, 0.3, 3.0)
    """Half-lives of what has just happened at the touch, ascending, seconds."""
    reference_seconds: float = 10.0
    """Horizon over which volatility is the unit of spread and microprice, seconds."""
    sigma_sample_seconds: float = 1.0
    """Least receive time between the samples of the mid from which volatility is measured, seconds."""
    sigma_half_life_seconds: float = 60.0
    """Half-life of that measurement, seconds."""
    sigma_floor_ticks: float = 0.5
    """Least volatility that `sigma_ticks` gives for any horizon, ticks; half a tick is the mid's smallest move."""
    sigma_floor_spreads: float = 0.1
    """Volatility as a unit of features is never below this share of the average spread."""
    limit: float = 10.0
    """Bound of every market feature, its own unit; at least 10."""
    warm_steps: int = 100
    """Steps before a row is worth anything, count."""
    warm_seconds: float = 15.0
    """Receive time before a row is worth anything, seconds."""
    ring_steps: int = 60
    """Rows that a ring keeps for the networks, steps."""

    def __post_init__(self) -> None:
        if self.step_min_interval_ns < 0:
            raise ValueError(f"step_min_interval_ns is {self.step_min_interval_ns}: it must not be below 0")
        if not 2 <= self.spread_window_steps <= self.window_steps:
            words = f"spread_window_steps {self.spread_window_steps}, window_steps {self.window_steps}"
            raise ValueError(f"{words}: the first must be at least 2 and at most the second")
        if list(self.half_lives_seconds) != sorted(set(self.half_lives_seconds)) or not self.half_lives_seconds[0] >= 0.001:
            raise ValueError(f"half_lives_seconds {self.half_lives_seconds}: they must be at least 0.001 and ascend")
        recent = self.recent_half_lives_seconds
        if list(recent) != sorted(set(recent)) or not recent[0] >= 0.001:
            raise ValueError(f"recent_half_lives_seconds {recent}: they must be at least 0.001 and ascend")
        for name in ("average_half_life_steps", "reference_seconds", "sigma_floor_ticks", "sigma_floor_spreads"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0 and finite")
        if self.average_half_life_steps > 10_000 or not 10 <= self.limit < float("inf"):
            words = f"average_half_life_steps {self.average_half_life_steps}, limit {self.limit}"
            raise ValueError(f"{words}: at most 10,000 steps, so that a volume stays within a limit of at least 10")
        if not 0.001 <= self.sigma_sample_seconds <= self.sigma_half_life_seconds <= 1e6:
            words = f"sigma_sample_seconds {self.sigma_sample_seconds}, sigma_half_life_seconds {self.sigma_half_life_seconds}"
            raise ValueError(f"{words}: from 0.001 up to 1e6, the first at most the second")
        if self.warm_steps < self.window_steps or self.warm_seconds < 0 or self.ring_steps < 1:
            raise ValueError("warm_steps must cover window_steps, warm_seconds must not be below 0, ring_steps must be at least 1")


def schema_hash(settings: FeatureSettings) -> str:
    """SHA-256 (hex) of everything that gives the numbers of a row their meaning: version, names, formulas, step rule, settings."""
    return _hash(
        {
            "version": FEATURE_SCHEMA_VERSION,
            "names": MARKET_NAMES,
            "formulas": [(row.formula, row.unit) for row in FEATURES],
            "notation": NOTATION,
            "inventory_names": INVENTORY_NAMES,
            "step_rule": STEP_RULE,
            "settings": settings,
        }
    )


def first_schema_hash(settings: FeatureSettings) -> str:
    """Of version 1, whose hash knew names and settings only, and those that there were."""
    known = msgspec.to_builtins(settings)
    del known["recent_half_lives_seconds"]
    return _hash(
        {
            "version": 1,
            "names": FIRST_SCHEMA_NAMES,
            "inventory_names": INVENTORY_NAMES,
            "step_rule": STEP_RULE,
            "settings": msgspec.Raw(msgspec.json.encode(known)),
        }
    )


def served_schemas(settings: FeatureSettings) -> tuple[str, ...]:
    """Hashes of the schemas whose bundles the running code serves, newest first: each one's names begin a row."""
    return schema_hash(settings), first_schema_hash(settings)


def _hash(meaning: dict[str, object]) -> str:
    return hashlib.sha256(msgspec.json.encode(meaning, order="deterministic")).hexdigest()
