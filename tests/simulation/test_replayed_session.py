"""A recorded session comes out again as it went out; and whatever was changed in it is found, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmd.journal.reader import SessionJournal
from mmd.journal.records import CoreFailed, Gap
from mmd.replay.errors import ReplayError
from mmd.replay.session import ReplayedSession
from mmd.replay.verification import Verdict, Verification
from mmd.types.control import Timer
from mmd.types.market import TouchUpdate
from mmd.types.orders import PlaceOrder, ReplaceOrder, RequestDepthSnapshot
from tests.simulation.journaled_world import record_session, rewrite, write_without_end

Change = Callable[[int, Any], list[Any]]


def verify(folder: Path, **how: Any) -> Verdict:
    journal = SessionJournal(folder)
    return Verification(journal, ReplayedSession(journal.begin, **how)).run()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    record_session(root, 20)
    return root / "s"


@pytest.fixture(scope="module")
def with_networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    record_session(root, 25, strategy="neural")
    return root / "s"


def test_a_session_matches_to_its_end(recorded: Path) -> None:
    verdict = verify(recorded)
    assert verdict.matches, verdict.difference
    assert verdict.incomplete == ""
    assert verdict.requests > 20
    # Some commands were never written: they are in the journal, their requests are not.
    assert verdict.commands > verdict.requests
    assert verdict.end is not None
    assert verdict.outbound_sha256 == verdict.end.outbound_sha256


def test_another_session_has_another_hash(recorded: Path, tmp_path: Path) -> None:
    record_session(tmp_path, 20, seed=4)
    other = verify(tmp_path / "s")
    assert other.matches
    assert other.outbound_sha256 != verify(recorded).outbound_sha256


@pytest.mark.parametrize("predictions", ["recomputed", "recorded"])
def test_a_session_with_networks_matches_evaluated_again_or_from_the_record(with_networks: Path, predictions: str) -> None:
    verdict = verify(with_networks, predictions=predictions)
    assert verdict.matches, verdict.difference
    assert verdict.predictions == predictions
    assert verdict.evaluations > 500
    assert verdict.requests > 0
    assert (verdict.why_recorded == "asked for") == (predictions == "recorded")


def changing(kind: type, nth: int, change: Callable[[Any], list[Any]]) -> Change:
    """Of records of this type the `nth` (from 0) becomes what `change` makes of it."""
    seen = 0

    def changed(_number: int, record: Any) -> list[Any]:
        nonlocal seen
        if type(record) is kind:
            seen += 1
            if seen == nth + 1:
                return change(record)
        return [record]

    return changed


def replaced(**fields: Any) -> Callable[[Any], list[Any]]:
    return lambda record: [msgspec.structs.replace(record, **fields)]


CHANGES: dict[str, tuple[Change, str]] = {
    "a command's price": (changing(PlaceOrder, 3, replaced(price_ticks=1)), "they differ in price_ticks"),
    "a command left out": (changing(RequestDepthSnapshot, 1, lambda record: []), "1 more than the session had"),
    "a command more": (changing(RequestDepthSnapshot, 1, lambda record: [record, record]), "the session had 1 more"),
    "a request's bytes": (
        changing(bytes, 9, lambda record: [record.replace(b'"quantity":"', b'"quantity":"1')]),
        "the session wrote",
    ),
    "a request more": (changing(bytes, 9, lambda record: [record, record]), "no command of this turn is left"),
    "an event's price": (
        changing(TouchUpdate, 40, lambda record: [msgspec.structs.replace(record, bid_ticks=record.bid_ticks - 900)]),
        "",
    ),
    "a core that raised": (changing(Timer, 9, lambda record: [record, CoreFailed("KeyError: 1")]), "then it raised KeyError: 1"),
    "an inference that was not": (changing(Timer, 9, lambda record: [record, 35_000]), "evaluated networks 1 times more"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_was_changed_is_found_and_told_where(recorded: Path, tmp_path: Path, name: str) -> None:
    change, told = CHANGES[name]
    verdict = verify(rewrite(recorded, tmp_path, change))
    assert not verdict.matches
    assert verdict.difference.startswith("at record ")
    assert told in verdict.difference
    assert len(verdict.context) == 5


def test_one_bit_of_a_prediction_is_found_when_evaluated_again_only(with_networks: Path, tmp_path: Path) -> None:
    nudge = changing(tuple, 600, lambda said: [(said[0], said[1] + 1e-7, *said[2:])])
    folder = rewrite(with_networks, tmp_path, nudge)
    verdict = verify(folder, predictions="recomputed")
    assert "says" in verdict.difference
    assert "the session had" in verdict.difference
    assert not verdict.matches


def test_a_time_beyond_the_budget_changes_what_the_gate_lets_through(with_networks: Path, tmp_path: Path) -> None:
    folder = rewrite(with_networks, tmp_path, lambda _, record: [10**9] if type(record) is int else [record])
    verdict = verify(folder)
    assert not verdict.matches
    assert "they differ in" in verdict.difference


def test_a_journal_torn_off_anywhere_matches_as_far_as_it_goes(recorded: Path, tmp_path: Path) -> None:
    whole = (recorded / "000000.journal").read_bytes()
    session = tmp_path / "s"
    session.mkdir()
    for size in range(len(whole) - 1, len(whole) // 2, -len(whole) // 12):
        (session / "000000.journal").write_bytes(whole[:size])
        verdict = verify(session)
        assert verdict.matches, verdict.difference
        assert "no end, as after a crash" in verdict.incomplete
        assert verdict.events > 0


def test_a_turn_that_was_cut_off_counts_as_far_as_it_was_written(recorded: Path, tmp_path: Path) -> None:
    records = list(SessionJournal(recorded).records())
    cuts = [place for place, record in enumerate(records) if isinstance(record, ReplaceOrder)][3:6]
    for place in cuts:
        verdict = verify(write_without_end(tmp_path / f"cut{place}", records[:place]))
        assert verdict.matches, verdict.difference
        assert verdict.incomplete


def test_nothing_is_claimed_beyond_a_gap(recorded: Path, tmp_path: Path) -> None:
    folder = rewrite(recorded, tmp_path, changing(Timer, 100, lambda record: [record, Gap(12)]))
    verdict = verify(folder)
    assert verdict.matches
    assert "12 records are missing" in verdict.incomplete


def test_networks_that_are_not_those_of_the_session_are_refused(with_networks: Path, tmp_path: Path) -> None:
    begin = SessionJournal(with_networks).begin
    with pytest.raises(ReplayError, match="--bundle"):
        ReplayedSession(begin, bundle=tmp_path / "nowhere")
    other = Path(__file__).parents[2] / "models" / "quote-v1"
    with pytest.raises(ReplayError, match="another than that of the session"):
        ReplayedSession(begin, bundle=other, predictions="recorded")


def test_on_another_processor_what_the_networks_said_is_taken_from_the_record(with_networks: Path) -> None:
    journal = SessionJournal(with_networks)
    begin = msgspec.structs.replace(
        journal.begin, machine=msgspec.structs.replace(journal.begin.machine, processor="Another Processor 3000")
    )
    replayed = ReplayedSession(begin)
    assert replayed.predictions == "recorded"
    assert "Another Processor 3000" in replayed.why_recorded
    assert Verification(journal, replayed).run().matches
