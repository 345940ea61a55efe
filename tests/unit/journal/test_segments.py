"""What a crash tears off is found and told, wherever it strikes; damage that no crash explains is an error with its position."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmd.journal.errors import JournalError
from mmd.journal.segments import HEAD_BYTES, SegmentFile, SegmentReader, block

CHUNKS = (b"first chunk" * 9, b"second")


def written(folder: Path, blocks: int = 3) -> tuple[Path, list[int]]:
    """A file with so many blocks of two records each, and where each of them ends."""
    file = SegmentFile(folder, 0, "session", 0)
    ends = []
    for number in range(blocks):
        file.write(block(CHUNKS, 2, 2 * number, 1))
        ends.append(file.size)
    file.close()
    return file.path, ends


def test_blocks_come_back_in_order(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    reader = SegmentReader(path)
    found = list(reader.blocks())
    assert [(one.first_record, one.count, one.chunks) for one in found] == [(0, 2, CHUNKS), (2, 2, CHUNKS), (4, 2, CHUNKS)]
    assert reader.torn is None
    assert reader.bytes_read == path.stat().st_size


def test_a_file_cut_anywhere_keeps_every_whole_block_and_says_what_is_ignored(tmp_path: Path) -> None:
    path, ends = written(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        reader = SegmentReader(path)
        kept = len(list(reader.blocks()))
        assert kept == sum(end <= size for end in ends)
        at_an_end = size in ends or size == HEAD_BYTES
        assert (reader.torn is None) == at_an_end
        if reader.torn is not None:
            assert reader.torn.position + reader.torn.bytes_ignored == size


@pytest.mark.parametrize("tail", [b"\0" * 100, b"BLK\x01" + b"\0" * 10])
def test_a_tail_that_the_machine_did_not_finish_is_torn_off(tmp_path: Path, tail: bytes) -> None:
    path, _ = written(tmp_path)
    path.write_bytes(path.read_bytes() + tail)
    reader = SegmentReader(path)
    assert len(list(reader.blocks())) == 3
    assert reader.torn is not None
    assert reader.torn.bytes_ignored == len(tail)


def test_a_changed_byte_before_the_last_block_is_an_error_that_names_file_and_place(tmp_path: Path) -> None:
    path, ends = written(tmp_path)
    whole = path.read_bytes()
    for place in range(ends[1]):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(JournalError, match=f"{path} is damaged at byte"):
            list(SegmentReader(path).blocks())


def test_the_last_block_changed_is_taken_for_torn(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    reader = SegmentReader(path)
    assert len(list(reader.blocks())) == 2
    assert reader.torn is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None)
@given(content=st.binary(max_size=300), head=st.booleans())
def test_no_bytes_at_all_make_it_raise_anything_else(tmp_path: Path, content: bytes, head: bool) -> None:
    path = tmp_path / "x.journal"
    if head:
        good, _ = written(tmp_path, 1) if not (tmp_path / "000000.journal").exists() else (tmp_path / "000000.journal", [])
        content = good.read_bytes()[:HEAD_BYTES] + content
    path.write_bytes(content)
    with contextlib.suppress(JournalError):
        list(SegmentReader(path).blocks())


def test_another_files_bytes_are_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    path.write_bytes(b"something else altogether" * 10)
    with pytest.raises(JournalError, match="no journal of this format"):
        list(SegmentReader(path).blocks())
