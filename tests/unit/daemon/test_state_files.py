from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mmd.daemon.checkpoint import CheckpointError, CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.state_lock import StateLock, StateLockError
from mmd.types.control import HaltRecord

RECORD = HaltRecord(halted=True, reason="drill", actor="http", time_ns=5, realised_atoms=-3, unrealised_atoms=4)


def test_the_latch_comes_back_as_it_was_written(tmp_path: Path) -> None:
    HaltFile(tmp_path).write(RECORD)
    assert HaltFile(tmp_path).read(9) == RECORD
    assert not list(tmp_path.glob(".*"))


def test_no_latch_file_means_never_halted(tmp_path: Path) -> None:
    assert HaltFile(tmp_path).read(9) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b'{"version":1}',
        b'{"version":2,"record":{"halted":false,"reason":"","actor":"","time_ns":0}}',
        b"\xff\xfe",
        b'{"version":1,"record":{"halted":true,"reason":"\xff","actor":"","time_ns":0}}',
        b'{"x":' * 5_000,
    ],
)
def test_a_latch_that_cannot_be_understood_is_halted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "halt.json").write_bytes(content)
    record = HaltFile(tmp_path).read(9)
    assert record is not None
    assert record.halted
    assert "halt.json" in record.reason
    assert record.time_ns == 9


def test_a_latch_that_may_not_be_read_is_halted(tmp_path: Path) -> None:
    (tmp_path / "halt.json").mkdir()
    record = HaltFile(tmp_path).read(9)
    assert record is not None
    assert record.halted


def test_latching_keeps_the_first_cause(tmp_path: Path) -> None:
    store = HaltFile(tmp_path)
    assert store.latch(RECORD) == RECORD
    later = HaltRecord(halted=True, reason="later", actor="watchdog", time_ns=6)
    assert store.latch(later) == RECORD
    assert store.read(9) == RECORD
    store.write(HaltRecord(halted=False, reason="mended", actor="cli", time_ns=7))
    assert store.latch(later) == later


def test_threads_may_latch_at_once(tmp_path: Path) -> None:
    store = HaltFile(tmp_path)
    records = [HaltRecord(halted=True, reason=f"cause {number}", actor="core", time_ns=number) for number in range(8)]
    standing: list[HaltRecord] = []
    threads = [threading.Thread(target=lambda record=record: standing.append(store.latch(record))) for record in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.reason for record in standing}) == 1
    assert store.read(9) == standing[0]


def test_the_operators_file_asks_for_a_halt(tmp_path: Path) -> None:
    store = HaltFile(tmp_path)
    assert store.operator_request() is None
    (tmp_path / "HALT").touch()
    assert "HALT" in (store.operator_request() or "")
    (tmp_path / "HALT").write_text("maintenance\n" + "x" * 10_000)
    reason = store.operator_request()
    assert reason is not None
    assert reason.startswith("file HALT: maintenance")
    assert len(reason) < 600


def test_the_checkpoint_comes_back_and_the_one_before_is_kept(tmp_path: Path) -> None:
    store = CheckpointFile(tmp_path, "binance/mock")
    assert store.read() is None
    store.write(b'{"n":1}')
    store.write(b'{"n":2}')
    assert CheckpointFile(tmp_path, "binance/mock").read() == {"n": 2}
    assert b'"n":1' in store.previous_path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.json", "ledger.json.previous"]


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-10], lambda b: b.replace(b'"n":2', b'"n":3'), lambda b: b"", lambda b: b"[]", lambda b: b"\xff" + b],
)
def test_a_damaged_checkpoint_refuses_to_start(tmp_path: Path, damage: object) -> None:
    store = CheckpointFile(tmp_path, "binance/mock")
    store.write(b'{"n":1}')
    store.write(b'{"n":2}')
    store.path.write_bytes(damage(store.path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=r"ledger\.json.*Restore it from") as raised:
        store.read()
    assert "ledger.json.previous" in str(raised.value)


def test_a_checkpoint_that_vanished_refuses_to_start(tmp_path: Path) -> None:
    store = CheckpointFile(tmp_path, "binance/mock")
    store.write(b'{"n":1}')
    store.write(b'{"n":2}')
    store.path.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        store.read()


def test_another_accounts_checkpoint_is_refused(tmp_path: Path) -> None:
    CheckpointFile(tmp_path, "binance/mock").write(b"{}")
    with pytest.raises(CheckpointError, match="belongs to account binance/mock, this daemon trades binance/live"):
        CheckpointFile(tmp_path, "binance/live").read()


def test_another_version_is_refused(tmp_path: Path) -> None:
    store = CheckpointFile(tmp_path, "binance/mock")
    store.write(b"{}")
    store.path.write_bytes(store.path.read_bytes().replace(b'"version":1', b'"version":7'))
    with pytest.raises(CheckpointError, match="version 7"):
        store.read()


def test_two_daemons_never_share_a_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with StateLock(state), pytest.raises(StateLockError, match=f"in use by process {os.getpid()}"), StateLock(state):
        pass
    with StateLock(state):
        pass


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    holder = (
        "import sys, pathlib\nfrom mmd.daemon.state_lock import StateLock\n"
        "lock = StateLock(pathlib.Path(sys.argv[1])).__enter__()\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "held"
    with pytest.raises(StateLockError, match=str(child.pid)), StateLock(tmp_path):
        pass
    child.kill()
    child.communicate()
    with StateLock(tmp_path):
        pass
