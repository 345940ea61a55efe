"""The card of a bundle: what was trained on what, how good it is, how its outputs are read, the hash of every file beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from mmd.inference.companion import CompanionCard
from mmd.inference.cross_asset import CrossAssetCard
from mmd.inference.drift import Bins
from mmd.inference.errors import BundleError
from mmd.inference.heads import HeadWeights
from mmd.types.decoding import UNREADABLE

CARD_FILE = "card.json"
Stage = Literal["none", "backtest", "paper", "live"]
STAGES: tuple[Stage, ...] = ("none", "backtest", "paper", "live")
"""In the order of promotion."""


def _finite(name: str, values: Iterable[float]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{name} holds a number that is not finite")


def _same_length(**named: tuple[object, ...]) -> None:
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("these must be of one length: " + ", ".join(f"{name} has {length}" for name, length in lengths.items()))


class Normalisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mean and standard deviation of each input over the training part. Applied inside the graph: inputs are given raw."""

    market_mean: tuple[float, ...]
    market_std: tuple[float, ...]
    inventory_mean: tuple[float, ...]
    inventory_std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where a standard deviation is not above zero or a number is not finite."""
        _finite("normalisation", self.market_mean + self.inventory_mean + self.market_std + self.inventory_std)
        if not all(value > 0 for value in self.market_std + self.inventory_std):
            raise ValueError("normalisation: every standard deviation must be above zero (a constant input takes 1)")


class TrainingRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The 0.1 and 99.9 percentiles of each raw input over the training part: outside of them the networks are guessing."""

    market_low: tuple[float, ...]
    market_high: tuple[float, ...]
    inventory_low: tuple[float, ...]
    inventory_high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where a range is empty or a number is not finite."""
        low, high = self.market_low + self.inventory_low, self.market_high + self.inventory_high
        _finite("training_range", low + high)
        if any(bottom > top for bottom, top in zip(low, high, strict=False)):
            raise ValueError("training_range: a low percentile lies above its high one")


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form of the same one-step graph."""

    name: str
    """Of the form, such as `int8`, `int8_per_tensor` or `float32`."""
    file: str
    tolerance: float
    """How far a runtime's answers to the golden inputs may lie from those recorded for this variant when it was built (relative
    above 1): room for another processor's or runtime's rounding, not for a wrong kernel."""
    reference_tolerance: float
    """The bound on what this form may cost against the float network, on the golden inputs. A bundle beyond it is not written."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a bundle reached a stage."""

    stage: Stage
    report: str
    sha256: str
    created_utc: str


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything about a bundle that is not weights. An unknown field is an error."""

    name: str
    version: str
    created_utc: str
    network: Literal["quote"] = "quote"
    feature_schema_hash: str
    """Of the feature code it was trained with (`MarketFeatures.schema_hash()`): names, windows, half-lives, step rule."""
    feature_names: tuple[str, ...]
    inventory_names: tuple[str, ...]
    steps: int
    """Steps to warm the recurrent state with before an answer is used."""
    horizon_seconds: float
    """H: price change and spread are about this horizon."""
    spread_min: float
    spread_max: float
    """Full spread in multiples of the trailing mid volatility over H: log(spread) = log(min) + s * log(max / min)."""
    normalisation: Normalisation
    training_range: TrainingRange
    drift_reference: tuple[Bins, ...] = ()
    """Of each market input over the training part, what drift is measured against; none in old cards."""
    variants: tuple[Variant, ...]
    preference: dict[str, tuple[str, ...]] = {}
    """Runtime name to variant names, best first. A runtime that is not named takes the variants in their own order."""
    fair_weights: dict[str, float]
    """Weight of each candidate for E (`microprice`, `price_head`, `order_flow`), fitted together on the validation part;
    0 for one that does not beat its baseline."""
    pull_threshold: float
    """|E| in half-spreads at which the side about to be run over is withheld."""
    spread_multiplier: float = 1.0
    inventory_multiplier: float = 1.0
    """Both without unit, 1 at their validation medians."""
    max_shift: float
    """Bound of |E| in sigma over H."""
    max_target: float = 0.25
    """Bound of the target inventory as a share of the position limit; 0 where it showed no gain."""
    head_weights: HeadWeights = HeadWeights()
    """What backtests left of each head: `evidence` of the report that says so is in `head_evidence`."""
    head_evidence: dict[str, str] = {}
    """`report` and `sha256` of the ablation that `head_weights` rest on; empty where none was made."""
    metrics: dict[str, dict[str, float]] = {}
    """Instrument to measure (`price_change.ic`, ...) to value, on the part that nothing was fitted on."""
    quantization_loss: dict[str, float] = {}
    """What each variant cost against the float network; keys such as `int8.price_change.ic`."""
    data_manifest: dict[str, str] = {}
    built_with: dict[str, str] = {}
    """Package to version."""
    companion: CompanionCard | None = None
    """The networks of order flow, adverse selection and risk, where the bundle has them."""
    cross_asset: CrossAssetCard | None = None
    """The network that looks at other assets too, where the bundle has it."""
    stage: Stage = "none"
    evidence: tuple[Evidence, ...] = ()
    files: dict[str, str] = {}
    """File name to its SHA-256, for every file of the bundle but the card."""

    def __post_init__(self) -> None:
        """Raises ValueError (msgspec turns it into a ValidationError when it decodes) where fields contradict each other."""
        normalisation, inside = self.normalisation, self.training_range
        _same_length(
            feature_names=self.feature_names,
            market_mean=normalisation.market_mean,
            market_std=normalisation.market_std,
            market_low=inside.market_low,
            market_high=inside.market_high,
        )
        _same_length(
            inventory_names=self.inventory_names,
            inventory_mean=normalisation.inventory_mean,
            inventory_std=normalisation.inventory_std,
            inventory_low=inside.inventory_low,
            inventory_high=inside.inventory_high,
        )
        if self.drift_reference:
            _same_length(feature_names=self.feature_names, drift_reference=self.drift_reference)
        if not 0 < self.spread_min < self.spread_max < math.inf:
            raise ValueError(f"expected 0 < spread_min < spread_max, got {self.spread_min} and {self.spread_max}")
        if not (0 < self.horizon_seconds < math.inf and self.steps > 0):
            raise ValueError("horizon_seconds and steps must be above zero")
        scalars = {
            "pull_threshold": self.pull_threshold,
            "spread_multiplier": self.spread_multiplier,
            "inventory_multiplier": self.inventory_multiplier,
            "max_shift": self.max_shift,
            "max_target": self.max_target,
            **{f"fair_weights[{name}]": weight for name, weight in self.fair_weights.items()},
        }
        for name, value in scalars.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number that is not negative, got {value}")
        self._check_variants()

    def _check_variants(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"variants need names of their own and at least one, got {names}")
        for runtime, preferred in self.preference.items():
            for name in preferred:
                if name not in names:
                    raise ValueError(f"preference of {runtime} names the variant {name!r}, which is not there: {', '.join(names)}")
        for variant in self.variants:
            if not 0 < variant.tolerance < math.inf or not 0 < variant.reference_tolerance < math.inf:
                raise ValueError(f"variant {variant.name}: tolerances must be above zero")
        for file in [*self.files, *(variant.file for variant in self.variants)]:
            if not file or "/" in file or "\\" in file or file.startswith(".") or file == CARD_FILE:
                raise ValueError(f"{file!r} is no name of a file inside the bundle's folder")

    def variant(self, name: str) -> Variant:
        """By name. Raises KeyError."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)

    def preferred(self, runtime_name: str) -> tuple[Variant, ...]:
        """The variants that a runtime should try, best first."""
        names = self.preference.get(runtime_name)
        return self.variants if names is None else tuple(self.variant(name) for name in names)


def decode_card(data: bytes, where: str) -> Card:
    """Raises BundleError, naming `where`, on anything but a valid card; an unknown field is an error."""
    try:
        return msgspec.json.decode(data, type=Card)
    except UNREADABLE as error:
        raise BundleError(f"{where}: not a valid card: {error}. Build the bundle again with this version of mmd.") from error


def encode_card(card: Card) -> bytes:
    """Indented JSON, fields in the order of `Card`, one newline at the end."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
