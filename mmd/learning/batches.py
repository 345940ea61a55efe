"""The batches of training: many segments side by side, a chunk of rows at a time, the state carried from chunk to chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmd.learning.dataset import Part
from mmd.learning.inventory_paths import COLUMNS, inventory_path
from mmd.learning.labels import LabelSettings, position_target
from mmd.learning.sessions import Rows


@dataclass(frozen=True)
class Chunk:
    """[lanes, steps, …] float32. `keep` [lanes, 1] is 0 where a lane begins a new segment: its state is zeroed first."""

    market: Rows
    inventory: Rows
    price_change: Rows
    price_weight: Rows
    spread: Rows
    spread_weight: Rows
    position: Rows
    position_weight: Rows
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


@dataclass(frozen=True)
class _PartRows:
    """One part's rows with the inventory of one epoch."""

    market: Rows
    inventory: Rows
    targets: npt.NDArray[np.float32]
    """[n, 5]: price change, its weight, spread, its weight, position."""


class Walk:
    """One pass over parts: `lanes` segments side by side, `chunk_steps` rows at a time; iterate once.

    With `shuffle`, segments come in an order and with cuts that `seed` gives. The first `warm_steps` rows of a segment weigh 0:
    live, the state is warmed as well before an answer is used. Lanes that ran out are padded with weight 0. Raises `ValueError`
    where no part is as long as one chunk.
    """

    def __init__(self, parts: Sequence[Part], labels: LabelSettings, sizes: WalkSizes, *, seed: int, shuffle: bool) -> None:
        rng = np.random.default_rng(seed)
        self._rows = [_rows_of(part, labels, rng) for part in parts]
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
            yield _chunk([queue[turn] if turn < len(queue) else None for queue in self._queues], self._rows, self._sizes)


def _rows_of(part: Part, settings: LabelSettings, rng: np.random.Generator) -> _PartRows:
    session, labels, span = part.session, part.labels, part.span
    inventory = inventory_path(rng, session.receive_ns[span], session.mid_ticks[span], session.sigma_ticks[span])
    price = labels.price_change[span]
    position = position_target(price, inventory, settings)
    columns = [price, labels.price_weight[span], labels.spread[span], labels.spread_weight[span], position]
    return _PartRows(session.market[span], inventory, np.stack(columns, axis=1))


def _segments(lengths: Sequence[int], sizes: WalkSizes, rng: np.random.Generator | None) -> list[tuple[int, int, int]]:
    """(part, start, stop) of each; with `rng` in random order and with cuts at random places."""
    segment_steps, chunk_steps = sizes.segment_steps, sizes.chunk_steps
    segments = []
    for part, length in enumerate(lengths):
        first = int(rng.integers(segment_steps)) if rng is not None and length > segment_steps else 0
        bounds = sorted({0, *range(first, length, segment_steps), length})
        segments += [(part, start, stop) for start, stop in pairwise(bounds) if stop - start >= chunk_steps]
    if rng is not None:
        rng.shuffle(segments)
    if not segments:
        raise ValueError(f"no part is as long as one chunk of {chunk_steps} rows: more data, or shorter chunks")
    return segments


def _deal(segments: list[tuple[int, int, int]], sizes: WalkSizes) -> list[list[tuple[int, int, int, bool]]]:
    """Per lane its chunks (part, start, stop, first of its segment); a segment goes to the lane with the least to do."""
    queues: list[list[tuple[int, int, int, bool]]] = [[] for _ in range(sizes.lanes)]
    for part, start, stop in segments:
        queue = min(queues, key=len)
        queue += [(part, at, min(at + sizes.chunk_steps, stop), at == start) for at in range(start, stop, sizes.chunk_steps)]
    return queues


def _chunk(cells: Sequence[tuple[int, int, int, bool] | None], rows: Sequence[_PartRows], sizes: WalkSizes) -> Chunk:
    lanes, chunk_steps = sizes.lanes, sizes.chunk_steps
    market = np.zeros((lanes, chunk_steps, rows[0].market.shape[1]), dtype=np.float32)
    inventory = np.zeros((lanes, chunk_steps, COLUMNS), dtype=np.float32)
    targets = np.zeros((lanes, chunk_steps, 5), dtype=np.float32)
    used = np.zeros((lanes, chunk_steps), dtype=np.float32)
    keep = np.zeros((lanes, 1), dtype=np.float32)
    for lane, cell in enumerate(cells):
        if cell is None:
            continue
        part, start, stop, first = cell
        count = stop - start
        market[lane, :count] = rows[part].market[start:stop]
        inventory[lane, :count] = rows[part].inventory[start:stop]
        targets[lane, :count] = rows[part].targets[start:stop]
        used[lane, sizes.warm_steps if first else 0 : count] = 1.0
        keep[lane, 0] = 0.0 if first else 1.0
    return Chunk(
        market=market,
        inventory=inventory,
        price_change=targets[..., 0],
        price_weight=targets[..., 1] * used,
        spread=targets[..., 2],
        spread_weight=targets[..., 3] * used,
        position=targets[..., 4],
        position_weight=targets[..., 1] * used,
        keep=keep,
    )
