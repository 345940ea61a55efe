"""The split in time, its purge and embargo, and the hash of a data set."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.learning.dataset import PARTS, TEST, TRAIN, VALIDATION, SplitSettings, build_dataset, cut
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.sources import simulated_sources
from tests.unit.learning.made_sessions import drawn_session

LABELS = LabelSettings(horizon_seconds=1.0, settle_seconds=0.0)
SPLIT = SplitSettings(validation_share=0.2, test_share=0.2, embargo_seconds=3.0)


def test_no_horizon_reaches_over_a_cut_and_an_embargo_follows_it() -> None:
    session = drawn_session(1_000)
    spans = cut(session, LABELS, SPLIT)
    seconds = (session.receive_ns - session.receive_ns[0]) / 1e9
    end = seconds[-1]
    validation_from, test_from = end * 0.6, end * 0.8
    times = {name: seconds[start:stop] for name, (start, stop) in spans.items()}
    assert times[TRAIN][0] == 0.0
    assert times[TRAIN][-1] + 1.0 < validation_from
    assert times[VALIDATION][0] >= validation_from + 3.0
    assert times[VALIDATION][-1] + 1.0 < test_from
    assert times[TEST][0] >= test_from + 3.0
    assert times[TEST][-1] + 1.0 < end
    assert sum(len(each) for each in times.values()) == pytest.approx(1_000 - 3 * 10 - 2 * 30, abs=4)


def test_what_comes_after_a_cut_moves_no_label_before_it() -> None:
    session = drawn_session(1_000)
    spans = cut(session, LABELS, SPLIT)
    labels = make_labels(session, LABELS)
    for name in (TRAIN, VALIDATION):
        start, stop = spans[name]
        following = spans[VALIDATION if name == TRAIN else TEST][0] - 30
        other = session.bid_ticks.copy()
        other[following:] += 1_000
        changed = make_labels(
            type(session)(**{**session.__dict__, "bid_ticks": other, "ask_ticks": session.ask_ticks + (other - session.bid_ticks)}),
            LABELS,
        )
        assert np.array_equal(changed.price_change[start:stop], labels.price_change[start:stop])


def test_a_session_too_short_for_its_parts_leaves_them_empty() -> None:
    for start, stop in cut(drawn_session(20), LABELS, SPLIT).values():
        assert stop >= start


def test_the_same_seed_gives_the_same_hash_and_another_seed_another() -> None:
    def built(seed: int, labels: LabelSettings = LABELS) -> str:
        return build_dataset(simulated_sources(seed, 45.0, ("BTCUSDT",)), labels, SPLIT).sha256

    assert built(1) == built(1)
    assert built(1) != built(2)
    assert built(1) != built(1, LABELS.model_copy(update={"horizon_seconds": 2.0}))


def test_the_manifest_says_what_the_data_was_and_how_it_was_cut() -> None:
    dataset = build_dataset(simulated_sources(1, 45.0), LABELS, SPLIT)
    manifest = dataset.manifest()
    assert manifest["sim BTCUSDT"] == "simulated market, seed 1, 45 s"
    assert manifest["sha256"] == dataset.sha256
    assert "purged 1 s, embargo 3 s" in manifest["split"]
    assert [manifest[f"rows.{part}"] for part in PARTS] == [str(dataset.rows(part)) for part in PARTS]
    assert all(dataset.rows(part) > 0 for part in PARTS)


def test_data_without_rows_for_a_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows for train"):
        build_dataset(simulated_sources(1, 10.0, ("BTCUSDT",)), LABELS, SPLIT)
