from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from mmd.daemon.guard_presence import LOOK_NS, GuardPresence
from mmd.daemon.guard_settings import GuardSettings
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import GUARD_NAME, Beat, Heartbeat, HeartbeatError, Life, read_heartbeat
from mmd.daemon.heartbeat_watch import Health, HeartbeatWatch
from mmd.daemon.sweep import Sweeper
from mmd.exchanges.adapter import AuditError, VenueOrder
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.types.control import HaltRecord

SECOND = 1_000_000_000


def test_a_heartbeat_is_read_as_it_was_written_and_says_how_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    assert read_heartbeat(path) is None
    heart = Heartbeat(path)
    assert read_heartbeat(path) is None, "opened, and not yet written"
    heart.beat(5)
    heart.beat(9)
    beat = read_heartbeat(path)
    assert beat is not None
    assert (beat.life, beat.count, beat.time_ns) == (Life.RUNNING, 2, 9)
    heart.close(Life.LEFT_CLEAN, 12)
    last = read_heartbeat(path)
    assert last is not None
    assert (last.life, last.count) == (Life.LEFT_CLEAN, 3)


@given(st.binary(min_size=1, max_size=64))
def test_no_bytes_pass_for_a_heartbeat(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("beats") / "heartbeat"
    path.write_bytes(content)
    with pytest.raises(HeartbeatError):
        read_heartbeat(path)


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    Heartbeat(path).beat(7)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 4]) + good[position + 1 :])
        with pytest.raises(HeartbeatError):
            read_heartbeat(path)


def beat(count: int, life: Life = Life.RUNNING, process: int = 1) -> Beat:
    return Beat(life, process, count, 0)


def test_the_watch_goes_by_change_and_not_by_any_clock_in_the_record() -> None:
    watch = HeartbeatWatch(3.0)
    assert watch.look(None, 0).health is Health.AWAITED
    assert watch.look(None, 100 * SECOND).health is Health.AWAITED
    assert watch.look(beat(1), 101 * SECOND).health is Health.ALIVE
    assert watch.look(beat(1), 104 * SECOND).health is Health.ALIVE
    assert watch.look(beat(1), 104 * SECOND + 1).health is Health.LOST
    assert watch.look(None, 105 * SECOND).health is Health.LOST, "a file that went away brings nobody back"
    assert watch.look(beat(2), 106 * SECOND).health is Health.ALIVE
    assert watch.look(beat(1, process=2), 108 * SECOND).health is Health.ALIVE, "a new process counts from one again"


@pytest.mark.parametrize(
    ("life", "health"),
    [(Life.LEFT_CLEAN, Health.LEFT_CLEAN), (Life.LEFT, Health.LOST), (Life.NEVER_TRADED, Health.NEVER_TRADED)],
)
def test_what_a_process_said_at_its_end_holds(life: Life, health: Health) -> None:
    watch = HeartbeatWatch(3.0)
    watch.look(beat(1), 0)
    assert watch.look(beat(2, life), 1).health is health
    assert watch.look(beat(2, life), 100 * SECOND).health is health


def test_a_daemon_that_is_cut_off_for_the_time_out_is_told_from_one_that_reconnects() -> None:
    watch = HeartbeatWatch(3.0)
    watch.look(beat(1), 0)
    assert watch.look(beat(2, Life.CUT_OFF), SECOND).health is Health.ALIVE
    assert watch.look(beat(3), 2 * SECOND).health is Health.ALIVE
    assert watch.look(beat(4, Life.CUT_OFF), 3 * SECOND).health is Health.ALIVE
    assert watch.look(beat(5, Life.CUT_OFF), 6 * SECOND).health is Health.ALIVE
    assert watch.look(beat(6, Life.CUT_OFF), 7 * SECOND).health is Health.CUT_OFF
    assert watch.look(beat(7), 8 * SECOND).health is Health.ALIVE
    assert watch.look(beat(8, Life.CUT_OFF), 20 * SECOND).health is Health.ALIVE, "timed from its own beginning"


def test_a_guard_counts_only_once_it_beats_before_our_eyes(tmp_path: Path) -> None:
    now = 0
    presence = GuardPresence(tmp_path, 3.0, lambda: now)
    first = presence.change(1)
    assert first is not None
    assert not first.alive
    old = Heartbeat(tmp_path / GUARD_NAME)
    old.beat(1)
    now += LOOK_NS
    assert presence.change(2) is None, "it may have been left by one that is dead"
    old.beat(2)
    assert presence.change(3) is None, "looked at a few times a second only"
    now += LOOK_NS
    second = presence.change(4)
    assert second is not None
    assert second.alive
    now += 3 * SECOND + 1
    third = presence.change(5)
    assert third is not None
    assert not third.alive


def test_a_halt_that_another_process_latched_is_noticed_once(tmp_path: Path) -> None:
    ours, guards = HaltFile(tmp_path), HaltFile(tmp_path)
    assert ours.latched_by_another(1) is None
    ours.write(HaltRecord(halted=False, reason="resumed", actor="cli", time_ns=1))
    assert ours.latched_by_another(1) is None, "our own"
    guards.latch(HaltRecord(halted=True, reason="no heartbeat", actor="guard", time_ns=2))
    seen = ours.latched_by_another(3)
    assert seen is not None
    assert (seen.actor, seen.reason) == ("guard", "no heartbeat")
    assert ours.latched_by_another(3) is None


def test_a_guard_needs_a_key_of_its_own_but_on_the_mock() -> None:
    mock, demo = BinanceSettings(api_key="K1"), BinanceSettings(profile="demo", api_key="K1")
    assert GuardSettings().exchange(mock).api_key == "K1"
    with pytest.raises(ValueError, match="key of its own"):
        GuardSettings().exchange(demo)
    own = GuardSettings(api_key="G1", api_secret=SecretStr("g")).exchange(demo)
    assert (own.api_key, own.api_secret.get_secret_value(), own.profile) == ("G1", "g", "demo")
    with pytest.raises(ValidationError, match="at most half"):
        GuardSettings(timeout_seconds=1.0, interval_seconds=0.6)


class Venue:
    """Answers each round with the next of `rounds`: so many orders, or a refusal."""

    def __init__(self, rounds: list[int | AuditError]) -> None:
        self.rounds = rounds
        self.asked = 0

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        answer = self.rounds[min(self.asked, len(self.rounds) - 1)]
        self.asked += 1
        if isinstance(answer, AuditError):
            raise answer
        return tuple(VenueOrder(f"{client_order_id_prefix}-{n}", "BTCUSDT", "BUY", "1", "1", "0") for n in range(answer))


async def swept(rounds: list[int | AuditError], quiet_seconds: float = 2.5) -> tuple[Sweeper, Venue, float, bool]:
    """On the loop's own clock, which stands still while this test's loop sleeps virtually."""
    venue = Venue(rounds)
    loop = asyncio.get_running_loop()
    sweeper = Sweeper(venue, "mmd", quiet_seconds=quiet_seconds, monotonic=loop.time)
    begun = loop.time()
    cleared = await sweeper.clear()
    return sweeper, venue, loop.time() - begun, cleared


async def test_a_sweep_goes_on_until_the_venue_has_been_quiet_for_long_enough() -> None:
    sweeper, venue, took, cleared = await swept([2, 1, AuditError("down"), 0, 1, 0], quiet_seconds=0.3)
    assert cleared
    assert sweeper.counts.orders == 4
    assert sweeper.counts.failures == 1
    assert venue.asked >= 8, "one order came late: the quiet time began anew"
    assert took >= 0.3


async def test_a_sweep_waits_as_long_as_the_venue_bids_it() -> None:
    sweeper, _, took, cleared = await swept([AuditError("banned", wait_seconds=0.5), 0], quiet_seconds=0.1)
    assert cleared
    assert took >= 0.6
    assert sweeper.counts.last_error == "banned"


async def test_a_sweep_ends_when_it_is_no_longer_wanted() -> None:
    venue = Venue([1])
    sweeper = Sweeper(venue, "mmd", quiet_seconds=9.0, monotonic=asyncio.get_running_loop().time)
    assert not await sweeper.clear(lambda: venue.asked == 3)
    assert venue.asked == 3


async def test_a_sweep_that_the_venue_bids_wait_is_broken_off_as_soon_as_it_is_not_wanted() -> None:
    venue = Venue([AuditError("banned", wait_seconds=3_600.0)])
    sweeper = Sweeper(venue, "mmd", quiet_seconds=9.0, monotonic=asyncio.get_running_loop().time)
    looks_since_told_to_wait = 0

    def give_up() -> bool:
        nonlocal looks_since_told_to_wait
        looks_since_told_to_wait += bool(sweeper.counts.failures)
        return looks_since_told_to_wait > 4

    async with asyncio.timeout(60):
        assert not await sweeper.clear(give_up)
    assert venue.asked == 1


async def test_a_sweep_whose_venue_does_not_answer_is_broken_off_too() -> None:
    asked, dropped = asyncio.Event(), asyncio.Event()

    class Silent:
        async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                dropped.set()
            return ()

    sweeper = Sweeper(Silent(), "mmd", quiet_seconds=9.0, monotonic=asyncio.get_running_loop().time)
    async with asyncio.timeout(60):
        assert not await sweeper.clear(asked.is_set)
    assert dropped.is_set()


async def test_a_market_is_not_called_clear_when_the_daemon_came_back_during_the_last_look() -> None:
    back = asyncio.Event()

    class Returning(Venue):
        async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
            if self.asked:
                back.set()
            return await super().cancel_ours(client_order_id_prefix)

    sweeper = Sweeper(Returning([0]), "mmd", quiet_seconds=0.0, monotonic=iter([0.0, 0.0]).__next__)
    assert await sweeper.clear(), "quiet for long enough, and still wanted"
    sweeper = Sweeper(Returning([0]), "mmd", quiet_seconds=0.01, monotonic=iter([0.0, 60.0]).__next__)
    assert not await sweeper.clear(back.is_set)
