"""Metrics of what is kept on record: the market's frames, the journal, the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from mmd.daemon.market_recording import MarketRecording
from mmd.daemon.metric import Metric
from mmd.journal.writer import JournalWriter
from mmd.ledger.writer import LedgerWriter

RECORD_METRICS: tuple[Metric, ...] = (
    Metric("mmd_recording_frames_total", "counter", "Market frames written to the recording."),
    Metric("mmd_recording_bytes_total", "counter", "Compressed bytes of the recording."),
    Metric("mmd_recording_buffer_bytes", "gauge", "Bytes of frames that wait to be written."),
    Metric("mmd_recording_lost_frames_total", "counter", "Frames that are missing in the recording, by cause.", ("cause",)),
    Metric("mmd_recording_failed", "gauge", "1 while the recording cannot be written."),
    Metric("mmd_journal_records_total", "counter", "Records of the journal with the operating system."),
    Metric("mmd_journal_bytes_total", "counter", "Compressed bytes of the journal."),
    Metric("mmd_journal_waiting_records", "gauge", "Records that wait to be written; the bound is `journal.max_waiting_records`."),
    Metric("mmd_journal_lost_records_total", "counter", "Records that are missing in the journal."),
    Metric("mmd_journal_dropped_segments_total", "counter", "Files of journals removed to make room."),
    Metric("mmd_journal_failed", "gauge", "1 while the journal cannot be kept: the daemon halts."),
    Metric("mmd_ledger_booked_total", "counter", "Records booked in the ledger's file."),
    Metric("mmd_ledger_waiting_records", "gauge", "Records that wait to be booked; the bound is `ledger.max_waiting_records`."),
    Metric("mmd_ledger_lost_records_total", "counter", "Records that are not booked before the next start."),
    Metric("mmd_ledger_failed", "gauge", "1 while the ledger cannot be written: the daemon halts."),
)

Sample = tuple[str, float, tuple[str, ...]]
"""Metric, value, values of its labels."""


def record_samples(
    recording: MarketRecording | None, journal: JournalWriter | None, ledger: LedgerWriter | None
) -> Iterator[Sample]:
    """Of those that are kept."""
    status = recording.status() if recording is not None else None
    if status is not None:
        yield "mmd_recording_frames_total", status.frames, ()
        yield "mmd_recording_bytes_total", status.bytes_written, ()
        yield "mmd_recording_buffer_bytes", status.bytes_buffered, ()
        for cause, count in (("buffer full", status.dropped), ("disk", status.lost), ("malformed", status.malformed)):
            yield "mmd_recording_lost_frames_total", count, (cause,)
        yield "mmd_recording_failed", bool(status.failure), ()
    if journal is not None:
        written = journal.status()
        yield "mmd_journal_records_total", written.records, ()
        yield "mmd_journal_bytes_total", written.bytes_written, ()
        yield "mmd_journal_waiting_records", written.waiting, ()
        yield "mmd_journal_lost_records_total", written.lost, ()
        yield "mmd_journal_dropped_segments_total", written.dropped_segments, ()
        yield "mmd_journal_failed", bool(written.failure), ()
    if ledger is not None:
        booked = ledger.status()
        yield "mmd_ledger_booked_total", booked.booked, ()
        yield "mmd_ledger_waiting_records", booked.waiting, ()
        yield "mmd_ledger_lost_records_total", booked.lost, ()
        yield "mmd_ledger_failed", bool(booked.failure), ()
