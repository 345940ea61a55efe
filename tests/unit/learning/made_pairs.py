"""Two markets received together, of which one follows the other: a data set for the cross-asset network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmd.learning.cross_asset_rows import AssetHistory
from mmd.learning.dataset import Dataset, Part, cut
from mmd.learning.labels import make_labels
from mmd.learning.sessions import Session
from tests.unit.learning.made_sessions import SECOND_NS, drawn_session
from tests.unit.learning.small_network import LABELS, SPLIT

DELAY_ROWS = 10
"""A follower's mid is where the leader's was a second ago, besides noise of its own."""


def leader_and_follower(rows: int, seed: int, follows: bool = True) -> tuple[Session, Session]:
    """Neither's own features tell anything."""
    rng = np.random.default_rng(seed)
    leader = drawn_session(rows, seed, f"leader {seed}", strength=0.0)
    other = drawn_session(rows, seed + 500, "noise", strength=0.0)
    mid = (leader.bid_ticks + leader.ask_ticks) // 2
    delayed = np.concatenate([np.full(DELAY_ROWS, mid[0]), mid[:-DELAY_ROWS]])
    path = delayed + np.round(rng.normal(size=rows)).astype(np.int64) if follows else (other.bid_ticks + other.ask_ticks) // 2
    follower = replace(
        other,
        series=f"follower {seed}",
        bid_ticks=path - 1,
        ask_ticks=path + 1,
        receive_ns=leader.receive_ns + SECOND_NS // 50,
    )
    return leader, follower


def paired_dataset(rows: int = 3_000, seeds: tuple[int, ...] = (1, 2), follows: bool = True) -> Dataset:
    """Pairs, each a group of its own."""
    parts: dict[str, list[Part]] = {"train": [], "validation": [], "test": []}
    histories = []
    for seed in seeds:
        for session in leader_and_follower(rows, seed, follows):
            histories.append(AssetHistory(session.series, session.series, [session], f"pair {seed}"))
            labels = make_labels(session, LABELS)
            for name, (start, stop) in cut(session, LABELS, SPLIT).items():
                parts[name].append(Part(session, labels, start, stop))
    described = {history.series: "made" for history in histories}
    return Dataset(parts, LABELS, SPLIT, f"made {rows} {seeds} {follows}", described, tuple(histories))
