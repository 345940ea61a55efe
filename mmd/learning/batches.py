"""The batches of training: many segments side by side, a chunk of rows at a time, the state carried from chunk to chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmd.learning.dataset import Part
from mmd.learning.inventory_paths import COLUMNS, inventory_path
from mmd.learning.labels import LabelSettings, position_target
from mmd.learning.sessions import Integers, Rows
from mmd.market.feature_table import INVENTORY_NAMES, MARKET_NAMES

MIRRORED = frozenset(
    (
        "trade_imbalance",
        "mid_return",
        "return_mean_20",
        "vwap_deviation_20",
        "touch_imbalance",
        "depth_imbalance_5",
        "microprice_deviation",
        "order_flow_20",
        "signed_volume",
        "trend",
        "signed_flow_300ms",
        "last_trade_offset",
        "average_trade_offset",
        "imbalance_change_300ms",
        "imbalance_change_3s",
        "order_flow_100ms",
        "order_flow_300ms",
        "move_100ms",
        "move_300ms",
        "depletion",
        "position",
    )
)
"""Inputs that change their sign when buyers and sellers change places; the others stay as they are."""
MARKET_SIGNS: Rows = np.array([-1.0 if name in MIRRORED else 1.0 for name in MARKET_NAMES], dtype=np.float32)
"""Of rows that hold the first features only, the first signs."""
INVENTORY_SIGNS: Rows = np.array([-1.0 if name in MIRRORED else 1.0 for name in INVENTORY_NAMES], dtype=np.float32)
LONGEST_STAND_NS = 100_000_000
"""A row that stands longer weighs no more. Measured on walk-forward days of stocks, 0.1 s foretold moves counted by time better
than 1 s or 10 s did: what stands long says little, and its noise drowns the rest."""
LEAST_STAND = 0.02
"""Weight of a row that stands no time at all, as a share of the mean of the others'."""
SCARCITY = 0.3
"""Power of the number of a series' rows by which each of them weighs less."""
TARGET_SIGNS: Rows = np.array([-1.0, 1.0, -1.0], dtype=np.float32)
HEADS = 3
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Chunk:
    """[lanes, steps, …] float32. `keep` [lanes, 1] is 0 where a lane begins a new segment: its state is zeroed first."""

    market: Rows
    inventory: Rows
    targets: Rows
    """[…, 3]: price change, place of the spread, position."""
    weights: Rows
    """Likewise; 0 where a row says nothing about a head."""
    keep: Rows


class WalkSizes(BaseModel):
    """How rows are walked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lanes: int = Field(default=48, description="Segments side by side, count.", gt=0)
    chunk_steps: int = Field(default=100, description="Rows of truncated back-propagation, steps.", gt=0)
    segment_steps: int = Field(default=4_000, description="Rows of a segment; each begins with a zero state, steps.", gt=0)
    warm_steps: int = Field(default=60, description="First rows of a segment that do not count, steps.", ge=0)

    @model_validator(mode="after")
    def _fit(self) -> WalkSizes:
        if not self.warm_steps <= self.chunk_steps <= self.segment_steps:
            raise ValueError("expected warm_steps <= chunk_steps <= segment_steps")
        return self


Segment = tuple[int, int, int, bool]
"""Part, first row, last row plus one, whether buyers and sellers change places in it."""
Cell = tuple[int, int, int, bool, bool]
"""What a lane holds in one chunk: part, rows, whether it begins a segment, whether it is mirrored."""


@dataclass(frozen=True)
class _PartRows:
    """One part's rows with the inventory of one epoch."""

    market: Rows
    inventory: Rows
    targets: Rows
    weights: Rows


class Walk:
    """One pass over parts: `lanes` segments side by side, `chunk_steps` rows at a time; iterate once.

    With `shuffle`, segments come in an order and with cuts that `seed` gives, and about half of them mirrored: buyers and sellers
    change places, which is a market as good as the first, so that no drift of the recordings is learnt. The first `warm_steps`
    rows of a segment weigh 0: live, the state is warmed as well before an answer is used. Lanes that ran out are padded with
    weight 0. `series_weights` multiply the weights of a series' rows; `signs` are what mirroring does to the columns of rows other
    than the market features. Raises `ValueError` where no part is as long as one chunk.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        labels: LabelSettings,
        sizes: WalkSizes,
        *,
        seed: int,
        shuffle: bool,
        series_weights: Mapping[str, float] | None = None,
        signs: Rows = MARKET_SIGNS,
    ) -> None:
        rng = np.random.default_rng(seed)
        weights = series_weights or {}
        self._signs = signs
        self._rows = [_rows_of(part, labels, rng, weights.get(part.session.series, 1.0)) for part in parts]
        self._sizes = sizes
        lengths = [len(each.market) for each in self._rows]
        segments = _segments(lengths, sizes, rng if shuffle else None)
        self._queues = _deal(segments, sizes)

    def inventory(self) -> Rows:
        """The inventory inputs of all parts, [rows, 5]."""
        return np.concatenate([each.inventory for each in self._rows])

    def __len__(self) -> int:
        return max(len(queue) for queue in self._queues)

    def __iter__(self) -> Iterator[Chunk]:
        for turn in range(len(self)):
            cells = [queue[turn] if turn < len(queue) else None for queue in self._queues]
            yield _chunk(cells, self._rows, self._sizes, self._signs)


class RowWalk:
    """One pass over parts for a network that carries no state: single rows in an order that `seed` gives, in chunks as large as
    those of a `Walk`, about half of them mirrored with `shuffle`; iterate once. What is left of the last chunk has weight 0.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        labels: LabelSettings,
        sizes: WalkSizes,
        *,
        seed: int,
        shuffle: bool,
        series_weights: Mapping[str, float] | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        weights = series_weights or {}
        rows = [_rows_of(part, labels, rng, weights.get(part.session.series, 1.0)) for part in parts]
        self._rows = _PartRows(*(np.concatenate([getattr(each, field.name) for each in rows]) for field in fields(_PartRows)))
        count = len(self._rows.market)
        self._order = rng.permutation(count) if shuffle else np.arange(count)
        self._mirrored = rng.random(count) < 0.5 if shuffle else np.zeros(count, dtype=np.bool_)
        self._sizes = sizes

    def __len__(self) -> int:
        return -(-len(self._order) // (self._sizes.lanes * self._sizes.chunk_steps))

    def __iter__(self) -> Iterator[Chunk]:
        shape = self._sizes.lanes, self._sizes.chunk_steps
        size = shape[0] * shape[1]
        for start in range(0, len(self._order), size):
            index = np.sort(self._order[start : start + size])
            mirrored = self._mirrored[index][:, None]

            def whole(array: Rows, signs: Rows | None, index: Integers = index, mirrored: Mask = mirrored) -> Rows:
                taken = array[index] if signs is None else np.where(mirrored, array[index] * signs, array[index])
                padded = np.zeros((size, array.shape[1]), dtype=np.float32)
                padded[: len(index)] = taken
                return padded.reshape(*shape, -1)

            yield Chunk(
                market=whole(self._rows.market, MARKET_SIGNS[: self._rows.market.shape[1]]),
                inventory=whole(self._rows.inventory, INVENTORY_SIGNS),
                targets=whole(self._rows.targets, TARGET_SIGNS),
                weights=whole(self._rows.weights, None),
                keep=np.ones((shape[0], 1), dtype=np.float32),
            )


def series_weights(parts: Sequence[Part]) -> dict[str, float]:
    """Weights of rows by how few their series has, 1 in the mean over rows: ample series do not drown the scarce."""
    rows: dict[str, int] = {}
    for part in parts:
        rows[part.session.series] = rows.get(part.session.series, 0) + part.rows
    total = sum(rows.values())
    scale = total / sum(count ** (1.0 - SCARCITY) for count in rows.values())
    return {series: scale / count**SCARCITY for series, count in rows.items()}


def standing_weights(receive_ns: Integers) -> Rows:
    """The root of how long a row stands until the next one, 1 in the mean: rows come in bursts, quotes stand between them.

    The root lies between moments that weigh alike and rows that do. Measured with boosted trees on stocks, the first day for the
    second, mean IC by row of the file, by 0.1 s and by time: time itself 0.365, 0.255, 0.193; its root 0.383, 0.257, 0.192; rows
    alike 0.389, 0.249, 0.162.
    """
    stands = np.minimum(np.diff(receive_ns, append=receive_ns[-1]), LONGEST_STAND_NS).astype(np.float64)
    roots = np.sqrt(stands)
    mean = float(roots.mean()) or 1.0
    return np.asarray((LEAST_STAND + roots / mean) / (LEAST_STAND + 1.0), dtype=np.float32)


def _rows_of(part: Part, settings: LabelSettings, rng: np.random.Generator, weight: float) -> _PartRows:
    session, labels, span = part.session, part.labels, part.span
    inventory = inventory_path(rng, session.receive_ns[span], session.mid_ticks[span], session.sigma_ticks[span])
    price = labels.price_change[span]
    targets = np.stack([price, labels.spread[span], position_target(price, inventory, settings)], axis=1)
    if part.teacher is not None:
        targets[:, 0] += part.teacher_share * (part.teacher - price)
    known = labels.price_weight[span] * standing_weights(session.receive_ns[span])
    weights = np.stack([known, labels.spread_weight[span], known], axis=1) * np.float32(weight)
    return _PartRows(session.market[span], inventory, targets, weights)


def _segments(lengths: Sequence[int], sizes: WalkSizes, rng: np.random.Generator | None) -> list[Segment]:
    """With `rng` in random order, with cuts at random places, and mirrored or not."""
    segment_steps, chunk_steps = sizes.segment_steps, sizes.chunk_steps
    segments: list[Segment] = []
    for part, length in enumerate(lengths):
        first = int(rng.integers(segment_steps)) if rng is not None and length > segment_steps else 0
        bounds = sorted({0, *range(first, length, segment_steps), length})
        for start, stop in pairwise(bounds):
            if stop - start >= chunk_steps:
                segments.append((part, start, stop, rng is not None and bool(rng.random() < 0.5)))
    if not segments:
        raise ValueError(f"no part is as long as one chunk of {chunk_steps} rows: more data, or shorter chunks")
    return segments if rng is None else [segments[index] for index in rng.permutation(len(segments))]


def _deal(segments: list[Segment], sizes: WalkSizes) -> list[list[Cell]]:
    """The cells of each lane; a segment goes to the lane with the least to do."""
    queues: list[list[Cell]] = [[] for _ in range(sizes.lanes)]
    for part, start, stop, mirrored in segments:
        queue = min(queues, key=len)
        for at in range(start, stop, sizes.chunk_steps):
            queue.append((part, at, min(at + sizes.chunk_steps, stop), at == start, mirrored))
    return queues


def _chunk(cells: Sequence[Cell | None], rows: Sequence[_PartRows], sizes: WalkSizes, signs: Rows) -> Chunk:
    shape = sizes.lanes, sizes.chunk_steps
    signs = signs[: rows[0].market.shape[1]]
    chunk = Chunk(
        market=np.zeros((*shape, len(signs)), dtype=np.float32),
        inventory=np.zeros((*shape, COLUMNS), dtype=np.float32),
        targets=np.zeros((*shape, HEADS), dtype=np.float32),
        weights=np.zeros((*shape, HEADS), dtype=np.float32),
        keep=np.zeros((sizes.lanes, 1), dtype=np.float32),
    )
    for lane, cell in enumerate(cells):
        if cell is None:
            continue
        part, start, stop, first, mirrored = cell
        count, source = stop - start, rows[part]
        chunk.market[lane, :count] = source.market[start:stop] * (signs if mirrored else 1.0)
        chunk.inventory[lane, :count] = source.inventory[start:stop] * (INVENTORY_SIGNS if mirrored else 1.0)
        chunk.targets[lane, :count] = source.targets[start:stop] * (TARGET_SIGNS if mirrored else 1.0)
        warm = sizes.warm_steps if first else 0
        chunk.weights[lane, warm:count] = source.weights[start + warm : stop]
        chunk.keep[lane, 0] = 0.0 if first else 1.0
    return chunk
