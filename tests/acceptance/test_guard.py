"""The guard in real processes: a daemon that is killed, stopped, or dies at its start; a guard that dies itself."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from mmd.daemon.guard_command import EXIT_ORDERS_LEFT
from mmd.daemon.heartbeat import DAEMON_NAME, GUARD_NAME, Heartbeat, Life, read_heartbeat
from tests.acceptance.processes import World, wait_until, world

pytestmark = pytest.mark.timeout(180)

QUICK = {"MMD_GUARD__TIMEOUT_SECONDS": "2"}


def clear(system: World) -> bool:
    return system.guard_state()["market_clear"] is True


def guard_lost(system: World) -> bool:
    return any("guard_lost" in pause for pause in system.report()["pauses"])


def newest_order(system: World) -> int:
    """The highest order id of our account, as the exchange tells it."""
    return max(order["orderId"] for order in system.venue("allOrders", "K1", "S1", symbol="BTCUSDT"))


def resume(system: World) -> None:
    """As soon as it is allowed: a daemon that has just started may still be comparing its books."""
    wait_until("a resume", lambda: system.command("resume", "--reason", "looked at").returncode == 0)


def test_kill_9_of_the_daemon_leaves_no_order_and_a_latched_halt(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.start_mock("--account", "K1:S1", "--account", "G1:G1S", "--key-account", "G1:K1")
        guard = system.start_guard(MMD_GUARD__API_KEY="G1", MMD_GUARD__API_SECRET="G1S", **QUICK)
        daemon = system.start_daemon()
        wait_until("two-sided quotes", system.quoting)
        wait_until("the guard to see it", lambda: system.guard_state()["daemon"] == "alive")
        daemon.kill()
        wait_until("a clear market", lambda: clear(system))
        assert system.open_orders() == []
        state = system.guard_state()
        assert (state["daemon"], state["rescues"], state["latched_on_disk"]) == ("lost", 1, True)
        assert state["sweep"]["orders"] >= 1, "of two, one may just have been under way"
        daemon = system.start_daemon()
        halt = system.report()["halt"]
        assert halt["halted"] is True
        assert halt["actor"] == "guard"
        assert "no heartbeat" in halt["reason"]
        wait_until("the guard to see it", lambda: system.guard_state()["daemon"] == "alive")
        assert system.report()["orders_sent"] == 0
        resume(system)
        wait_until("quotes after resume", system.quoting)
        # Now both die, and the guard comes back too late to have seen it happen.
        guard.kill()
        daemon.kill()
        assert system.open_orders()
        system.start_guard(MMD_GUARD__API_KEY="G1", MMD_GUARD__API_SECRET="G1S", **QUICK)
        wait_until("a clear market", lambda: clear(system))
        assert system.open_orders() == []


def test_a_stopped_daemon_goes_on_halted_and_one_that_leaves_clean_disarms_the_guard(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.start_mock()
        guard = system.start_guard(**QUICK)
        daemon = system.start_daemon()
        wait_until("two-sided quotes", system.quoting)
        daemon.child.send_signal(signal.SIGSTOP)
        wait_until("a clear market", lambda: clear(system))
        assert system.open_orders() == []
        newest = newest_order(system)
        daemon.child.send_signal(signal.SIGCONT)
        halted = wait_until("the halt in the daemon", lambda: (report := system.report())["halt"]["halted"] and report)
        assert halted["halt"]["actor"] in ("guard", "watchdog")
        wait_until("market data after it", lambda: system.report()["ticks"] > halted["ticks"] + 20)
        assert system.open_orders() == []
        assert newest_order(system) == newest, "what was asked for before it was stopped, nothing after"

        resume(system)
        wait_until("two-sided quotes", system.quoting)
        rescues = system.guard_state()["rescues"]
        assert daemon.terminate() == 0
        wait_until("the guard to see it", lambda: system.guard_state()["daemon"] == "left_clean")
        assert system.guard_state()["rescues"] == rescues
        assert guard.terminate() == 0
        system.start_daemon()
        wait_until("quotes: nothing was latched", system.quoting)


def test_a_guard_is_required_leaves_others_orders_alone_and_asks_a_venue_that_is_down_until_it_is_back(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        mock = system.start_mock()
        daemon = system.start_daemon(MMD_GUARD__REQUIRED="true", **QUICK)
        wait_until("the pause", lambda: guard_lost(system))
        assert system.open_orders() == []
        guard = system.start_guard(**QUICK)
        wait_until("two-sided quotes", system.quoting)
        guard.kill()
        wait_until("the pause", lambda: guard_lost(system))
        wait_until("no order of ours", lambda: system.open_orders() == [])
        system.start_guard(**QUICK)
        wait_until("two-sided quotes again", system.quoting)
        assert system.report()["halt"]["halted"] is False

        bid = float(system.venue("ticker/bookTicker", symbol="BTCUSDT")["bidPrice"])
        system.venue_post(
            "order",
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.001",
            price=f"{bid * 0.8:.2f}",
            newClientOrderId="somebody-1",
        )
        mock.kill()
        daemon.kill()
        wait_until("a failed round", lambda: system.guard_state()["sweep"]["failures"] > 0)
        assert system.guard_state()["market_clear"] is False
        system.start_mock()
        wait_until("a clear market", lambda: clear(system), 60)
        assert [order["clientOrderId"] for order in system.open_orders()] == ["somebody-1"]


def test_a_guard_that_is_told_to_end_before_the_market_is_clear_says_so_and_there_is_but_one(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.state.mkdir(0o700)
        # What a daemon leaves that was killed; and no venue answers.
        Heartbeat(system.state / DAEMON_NAME).beat(time.time_ns())
        guard = system.start_guard(**QUICK)
        second = system.start_guard(wait=False)
        assert second.child.wait(60) == 1
        assert "in use" in second.tail()
        wait_until("a failed round", lambda: system.guard_state()["sweep"]["failures"] > 0)
        assert guard.terminate() == EXIT_ORDERS_LEFT
        assert "before the market was clear" in guard.tail()
        last = read_heartbeat(system.state / GUARD_NAME)
        assert last is not None
        assert last.life is Life.LEFT


def test_flatten_sells_what_it_holds_while_everything_else_stays_halted(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.start_mock("--speed", "3")
        system.start_daemon(MMD_QUOTING__FIXED_HALF_SPREAD_BPS="0.5")

        def holds_something() -> bool:
            (symbol,) = system.report()["symbols"]
            return abs(float(symbol["position"])) * float(symbol["mid"]) > 10

        wait_until("a position worth flattening", holds_something, 90)
        flat = system.command("flatten", "--seconds", "20", "--reason", "drill")
        assert flat.returncode == 0, flat.stdout + flat.stderr
        assert flat.stdout.splitlines()[-1].startswith("flat")
        (symbol,) = system.report()["symbols"]
        assert abs(float(symbol["position"])) * float(symbol["mid"]) < 6, "less than the venue takes"
        assert system.report()["halt"]["halted"] is True
        assert "flatten: drill" in system.report()["halt"]["reason"]
        assert system.open_orders() == []
