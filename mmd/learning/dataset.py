"""Sessions, labels and their split in time into training, validation and test.

Each series is cut in time: its last day is the test, the part before it validation; where it is shorter than days, the last parts
of each session are. Rows whose horizon reaches over a cut are purged, and after each cut an embargo is left out. The networks'
state is zeroed at the start of every segment, so segments never join: neither sessions, nor the parts of one session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmd.learning.cross_asset_rows import AssetHistory
from mmd.learning.data import Source, load_rows
from mmd.learning.labels import Labels, LabelSettings, make_labels
from mmd.learning.sessions import Rows, Session, feature_schema_hash
from mmd.learning.sources import SECOND_NS
from mmd.market.feature_settings import FeatureSettings

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
DAYS_FROM_HOURS = 36.0
"""A longer series is one of days."""
DAY_NS = 86_400 * SECOND_NS


class SplitSettings(BaseModel):
    """Where sessions are cut."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    validation_share: float = Field(default=0.15, description="Share of a session's time for validation.", gt=0, lt=0.5)
    test_share: float = Field(default=0.15, description="Share of a session's time, its last, for the test.", gt=0, lt=0.5)
    embargo_seconds: float = Field(default=5.0, description="Left out after each cut, besides the purged horizon, seconds.", ge=0)
    most_train_rows: int = Field(
        default=250_000,
        description="Rows of a series to train on at most, its newest; a market with millions of rows would drown the others.",
        gt=0,
    )


@dataclass(frozen=True)
class Part:
    """Rows `start` up to `stop` of a session."""

    session: Session
    labels: Labels
    start: int
    stop: int
    teacher: Rows | None = None
    """[rows] what an ensemble says of the price change, sigma over H; the price head learns a mixture of it and the label."""
    teacher_share: float = 0.0

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start

    @property
    def span(self) -> slice:
        """For indexing the session's arrays."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Dataset:
    """`parts` by the name of the split, in the order of the sources."""

    parts: dict[str, list[Part]]
    label_settings: LabelSettings
    split_settings: SplitSettings
    sha256: str
    """Of every row, label and cut."""
    described: dict[str, str]
    """Series to where its data came from."""
    histories: tuple[AssetHistory, ...] = ()
    """Of each source, its whole sessions: what others may look at."""

    def rows(self, part: str) -> int:
        """Rows of all sessions in a split."""
        return sum(each.rows for each in self.parts[part])

    def narrowed(self, features: int) -> Dataset:
        """The same rows, of which only the first features are shown."""
        sessions: dict[int, Session] = {}

        def shown(part: Part) -> Part:
            session = part.session
            if session.market.shape[1] == features:
                return part
            narrow = sessions.setdefault(id(session), replace(session, market=session.market[:, :features]))
            return replace(part, session=narrow)

        return replace(self, parts={name: [shown(part) for part in parts] for name, parts in self.parts.items()})

    def manifest(self) -> dict[str, str]:
        """For the card: what the data was, how it was cut, and its hash."""
        split = self.split_settings
        cut = (
            f"last day of a series of days, else last {split.test_share:g} of each session's time, is the test, "
            f"{split.validation_share:g} before it validation; "
            f"purged {self.label_settings.horizon_seconds:g} s, embargo {split.embargo_seconds:g} s"
        )
        sizes = {f"rows.{part}": str(self.rows(part)) for part in PARTS}
        labels = {f"labels.{name}": f"{value:g}" for name, value in self.label_settings.model_dump().items()}
        return {"sha256": self.sha256, "split": cut, **sizes, **labels, **self.described}


def build_dataset(
    sources: Sequence[Source],
    label_settings: LabelSettings,
    split_settings: SplitSettings,
    feature_settings: FeatureSettings | None = None,
    on_source: Callable[[Source, int], None] | None = None,
) -> Dataset:
    """Record, label and cut every source; `on_source` hears of each finished source and its rows.

    Raises `ValueError` where a split has no rows at all.
    """
    digest = hashlib.sha256(feature_schema_hash(feature_settings).encode())
    digest.update(label_settings.model_dump_json().encode() + split_settings.model_dump_json().encode())
    parts: dict[str, list[Part]] = {name: [] for name in PARTS}
    described: dict[str, list[str]] = {}
    histories = []
    for source in sources:
        rows = load_rows(source, label_settings.horizon_seconds, feature_settings)
        sessions = rows.sessions
        histories.append(AssetHistory(source.series, rows.symbol, sessions, source.group))
        for session, cuts in zip(sessions, cut_series(sessions, label_settings, split_settings), strict=True):
            session.add_to(digest)
            labels = make_labels(session, label_settings)
            for name, (start, stop) in cuts.items():
                if stop > start:
                    parts[name].append(Part(session, labels, start, stop))
        parts[TRAIN] = _newest(parts[TRAIN], source.series, split_settings.most_train_rows)
        described.setdefault(source.series, []).append(source.describe)
        if on_source is not None:
            on_source(source, sum(session.rows for session in sessions))
    for name, chosen in parts.items():
        digest.update(f"{name}:{[(part.start, part.stop) for part in chosen]}".encode())
        if not chosen:
            raise ValueError(f"the data has no rows for {name}: sessions are too short for the split ({split_settings})")
    return Dataset(
        parts=parts,
        label_settings=label_settings,
        split_settings=split_settings,
        sha256=digest.hexdigest(),
        described={series: "; ".join(texts) for series, texts in described.items()},
        histories=tuple(histories),
    )


def _newest(parts: list[Part], series: str, most_rows: int) -> list[Part]:
    """The parts of a series shortened from its beginning to so many rows; those of others as they are."""
    kept, left = [], most_rows
    for part in reversed(parts):
        if part.session.series != series:
            kept.append(part)
        elif left > 0:
            kept.append(replace(part, start=max(part.start, part.stop - left)))
            left -= kept[-1].rows
    return kept[::-1]


Cuts = dict[str, tuple[int, int]]
"""First and last-plus-one row of each split; equal where a split has none."""


def cut_series(sessions: Sequence[Session], label_settings: LabelSettings, split: SplitSettings) -> list[Cuts]:
    """Walk-forward: where a series is longer than `DAYS_FROM_HOURS`, its last day (UTC) is the test and validation the last share
    of the quoted time before it. In a shorter one each session is cut by itself, see `cut`.
    """
    times = [(int(session.receive_ns[0]), int(session.receive_ns[-1])) for session in sessions]
    if not times or times[-1][1] - times[0][0] <= DAYS_FROM_HOURS * 3_600 * SECOND_NS:
        return [cut(session, label_settings, split) for session in sessions]
    test_ns = times[-1][1] // DAY_NS * DAY_NS
    before = [(begin, min(end, test_ns)) for begin, end in times if begin < test_ns]
    left = sum(end - begin for begin, end in before) * split.validation_share
    validation_ns = test_ns
    for begin, end in reversed(before):
        validation_ns = max(begin, end - round(left))
        left -= end - validation_ns
        if left < 1:
            break
    return [_cut_at(session, validation_ns, test_ns, label_settings, split) for session in sessions]


def cut(session: Session, label_settings: LabelSettings, split: SplitSettings) -> Cuts:
    """The last shares of the session's own time."""
    begin, end = int(session.receive_ns[0]), int(session.receive_ns[-1])
    test_ns = end - round((end - begin) * split.test_share)
    validation_ns = test_ns - round((end - begin) * split.validation_share)
    return _cut_at(session, validation_ns, test_ns, label_settings, split)


def _cut_at(session: Session, validation_ns: int, test_ns: int, label_settings: LabelSettings, split: SplitSettings) -> Cuts:
    times = session.receive_ns
    begin, end = int(times[0]), int(times[-1])
    horizon_ns = round(label_settings.horizon_seconds * SECOND_NS)
    embargo_ns = round(split.embargo_seconds * SECOND_NS)

    def row(time_ns: int) -> int:
        return int(np.searchsorted(times, time_ns, side="left"))

    def span(from_ns: int, until_ns: int) -> tuple[int, int]:
        start = row(from_ns)
        return start, max(start, row(until_ns))

    return {
        TRAIN: span(begin, min(validation_ns, end) - horizon_ns),
        VALIDATION: span(validation_ns + embargo_ns, min(test_ns, end) - horizon_ns),
        TEST: span(test_ns + embargo_ns, end - horizon_ns),
    }
