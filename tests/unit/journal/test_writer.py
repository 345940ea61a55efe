"""The writer's thread on a real disk: nothing is lost in silence, whatever the disk says."""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from mmd.journal.errors import JournalError
from mmd.journal.reader import SessionJournal, find_session, session_summaries
from mmd.journal.records import Gap, SessionBegin, SessionEnd
from mmd.journal.settings import JournalSettings
from mmd.journal.writer import JournalWriter
from tests.unit.journal.journals import ROOMY, a_beginning, touches, wait_for, write


def with_settings(**changes: object) -> JournalSettings:
    return ROOMY.model_copy(update=changes)


def test_everything_comes_back_in_order_with_a_beginning_and_an_end(tmp_path: Path) -> None:
    records = touches(1_000)
    status = write(tmp_path, records)
    assert (status.lost, status.waiting, status.failure) == (0, 0, "")
    begin, *between, end = SessionJournal(tmp_path / "session").records()
    assert isinstance(begin, SessionBegin)
    assert between == records
    assert isinstance(end, SessionEnd)
    assert (end.records, end.detail) == (1_001, "over")
    assert SessionJournal(tmp_path / "session").end() == end


def test_a_session_goes_over_many_files_and_a_missing_one_is_told(tmp_path: Path) -> None:
    status = write(tmp_path, touches(60_000), with_settings(segment_bytes=20_000))
    assert status.segments > 3
    assert list(SessionJournal(tmp_path / "session").records())[1:-1] == touches(60_000)
    (tmp_path / "session" / "000002.journal").unlink()
    with pytest.raises(JournalError, match="a file of the session is missing"):
        list(SessionJournal(tmp_path / "session").records())


def test_a_session_without_its_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write(tmp_path, touches(40_000))
    path = tmp_path / "session" / "000000.journal"
    path.write_bytes(path.read_bytes()[:-100])
    journal = SessionJournal(tmp_path / "session")
    kept = list(journal.records())[1:]
    assert kept == touches(len(kept))
    assert len(kept) > 1_000
    assert journal.torn is not None
    assert journal.end() is None


def test_a_disk_that_refuses_is_told_and_nothing_is_lost_once_it_takes_again(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "root", "session", with_settings(segment_bytes=10_000, retry_seconds=0.05))
    writer.begin(a_beginning())
    for record in touches(5_000):
        writer.append(record)
    wait_for("the first records to be written", lambda: writer.status().records > 5_000)
    folder = tmp_path / "root" / "session"
    folder.rename(tmp_path / "away")
    for record in touches(20_000, 5_000):
        writer.append(record)
    wait_for("a failure", lambda: "cannot be written" in writer.check())
    (tmp_path / "away").rename(folder)
    wait_for("the disk to be tried again", lambda: writer.check() == "")
    status = writer.close("over", 0)
    assert (status.lost, status.waiting, status.failure) == (0, 0, "")
    assert status.failures >= 1
    assert list(SessionJournal(folder).records())[1:-1] == touches(25_000)


def test_a_flush_that_takes_its_time_keeps_no_record_waiting_and_one_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_disk, over, real = threading.Event(), threading.Event(), os.fsync

    def slow_and_bad(descriptor: int) -> None:
        if threading.current_thread().name != "journal flush" or over.is_set():
            real(descriptor)
            return
        at_disk.set()
        over.wait()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", slow_and_bad)
    writer = JournalWriter(tmp_path / "root", "session", with_settings(sync_seconds=0.01, retry_seconds=0.05))
    writer.begin(a_beginning())
    writer.extend(touches(3_000))
    assert at_disk.wait(30)
    writer.extend(touches(3_000))
    wait_for("records to be written while the disk is busy", lambda: writer.status().records > 6_000)
    assert writer.check() == ""
    over.set()
    wait_for("the failure to be told", lambda: writer.status().failures == 1)
    wait_for("the journal to go on in a new file", lambda: not writer.check())
    writer.extend(touches(10))
    status = writer.close("over", 1)
    assert (status.lost, status.waiting, status.segments) == (0, 0, 2)
    assert len(list(SessionJournal(tmp_path / "root" / "session").records())) == 6_012


def test_a_write_that_the_disk_takes_in_part_is_made_again_in_a_new_file(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "session", with_settings(retry_seconds=0.05))
    writer.begin(a_beginning())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        for record in touches(60_000):
            writer.append(record)
        wait_for("a failure", lambda: writer.status().failures > 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    status = writer.close("over", 0)
    assert (status.lost, status.waiting, status.failure) == (0, 0, "")
    assert status.segments > 1
    assert list(SessionJournal(tmp_path / "session").records())[1:-1] == touches(60_000)


def test_more_than_may_wait_is_told_at_once_and_what_is_lost_is_counted_and_on_record(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "root", "session", with_settings(max_waiting_records=1_000, retry_seconds=0.05))
    writer.begin(a_beginning())
    wait_for("the beginning to be written", lambda: writer.status().records == 1)
    folder = tmp_path / "root" / "session"
    writer._settings = writer._settings.model_copy(update={"segment_bytes": 1})
    folder.rename(tmp_path / "away")
    writer.append(touches(1)[0])
    wait_for("a failure", lambda: writer.check())
    for record in touches(1_001, 1):
        writer.append(record)
    assert writer.crowded
    assert "max_waiting_records" in writer.check()
    writer.append(touches(1)[0])
    writer.extend(list(touches(6)))
    assert writer.status().lost == 7
    (tmp_path / "away").rename(folder)
    wait_for("the disk to be tried again", lambda: writer.check() == "")
    writer.append(touches(1, 5_000)[0])
    writer.close("over", 0)
    records = list(SessionJournal(folder).records())
    assert records[1:-3] == touches(1_002)
    assert records[-3:-1] == [Gap(7), *touches(1, 5_000)]


def test_a_folder_at_its_bound_gives_up_the_oldest_sessions_first(tmp_path: Path) -> None:
    sizes = with_settings(segment_bytes=10_000)
    for name in ("a", "b"):
        write(tmp_path, touches(20_000), sizes, name)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.journal"))
    status = write(tmp_path, touches(20_000), with_settings(segment_bytes=10_000, max_total_bytes=size + 20_000), "c")
    assert status.dropped_segments > 0
    assert list(SessionJournal(tmp_path / "c").records())[1:-1] == touches(20_000)
    assert not (tmp_path / "a" / "000000.journal").exists()
    assert (tmp_path / "b" / "000000.journal").exists()
    total = sum(path.stat().st_size for path in tmp_path.rglob("*.journal"))
    assert total <= size + 20_000


def test_a_session_that_lost_its_first_files_says_so(tmp_path: Path) -> None:
    status = write(tmp_path, touches(60_000), with_settings(segment_bytes=10_000, max_total_bytes=100_000))
    assert status.dropped_segments > 0
    with pytest.raises(JournalError, match="removed to make room"):
        SessionJournal(tmp_path / "session")


def test_a_folder_at_its_bound_can_be_a_failure_instead(tmp_path: Path) -> None:
    settings = with_settings(max_total_bytes=100_000, when_full="halt")
    writer = JournalWriter(tmp_path, "session", settings)
    writer.begin(a_beginning())
    for record in touches(150_000):
        writer.append(record)
    wait_for("a failure", lambda: "max_total_bytes" in writer.check())
    status = writer.close("over", 0)
    assert status.waiting > 0
    assert status.dropped_segments == 0


def test_a_disk_without_room_is_refused_at_the_start(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "session", with_settings(min_free_bytes=10**13))
    with pytest.raises(OSError, match="min_free_bytes"):
        writer.begin(a_beginning())


def test_sessions_are_listed_and_found(tmp_path: Path) -> None:
    write(tmp_path, touches(10), session="a")
    write(tmp_path, touches(20), session="b")
    (tmp_path / "b" / "000000.journal").write_bytes(b"junk" * 100)
    first, second = session_summaries(tmp_path)
    assert first.end is not None
    assert first.end.records == 11
    assert "no journal of this format" in second.problem
    assert find_session(tmp_path, "a").begin.symbols == ("BTCUSDT",)
    assert find_session(tmp_path, str(tmp_path / "a")).folder == tmp_path / "a"
    with pytest.raises(JournalError, match="the newest are: a, b"):
        find_session(tmp_path, "c")
    with pytest.raises(JournalError, match="no session has kept a journal"):
        session_summaries(tmp_path / "absent")


def test_a_failure_that_is_no_error_of_the_disk_is_told_too(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "session", ROOMY)
    writer.begin(a_beginning())
    writer.append(touches(1)[0])
    # A number that no journal can hold.
    writer.append(2**70)
    wait_for("the thread's death to be told", lambda: "thread died" in writer.check())
