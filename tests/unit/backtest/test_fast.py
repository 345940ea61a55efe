"""The fast speed against the exact one: every command, fill, sample and account of a quote; what it refuses, and keeps on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmd.backtest.errors import BacktestError
from mmd.backtest.fast import market_pass
from mmd.backtest.fast.dense import evaluated, taken_apart
from mmd.backtest.fast.entry import entry
from mmd.backtest.fast.kept import Kept
from mmd.backtest.fast.layout import COMMANDS
from mmd.backtest.options import parse_options
from mmd.backtest.runner import Networks, Options, Run, run_backtest
from mmd.daemon.bundles import find_bundle, load_networks
from mmd.inference.bundle import load_bundle, weighed
from mmd.inference.golden import OUTPUT_NAMES
from mmd.inference.heads import HeadWeights
from mmd.inference.runtime import load_runtime
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.types.orders import AmendOrder, CancelOrder, PlaceOrder, ReplaceOrder
from tests.unit.backtest.synthetic import SECOND, write_simulated
from tests.unit.backtest.test_faulty_data import book, trades, write

pytestmark = pytest.mark.timeout(300)
"""Whoever comes first compiles the fast speed, which takes a minute on a busy machine."""

Line = tuple[int, str, int, int, int, int]
"""Time, command, side, price, lots, number of the order."""
TRACKED = ("times", "mids_x2", "positions", "cash", "bids", "asks", "limits", "fills", "fill_mids_x2", "attributions", "funding")
EXACT = tuple(name for name in TRACKED if name != "attributions")
NetworksOf = Callable[[Sequence[str]], Networks]
LIFTED = ("risk.max_daily_loss=1000000", "risk.max_drawdown=1000000", "risk.max_pauses_per_hour=10000")
RAW = ("binance_raw", "usdm__ethusdt_20240718.gz")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_simulated(tmp_path_factory.mktemp("simulated"), 60.0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns of the test alone; the machine code is compiled by now and stays where it is."""
    assert entry.address
    monkeypatch.setenv("MMD_CACHE_DIR", str(tmp_path / "cache"))
    market_pass.forget()


def exact_lines(places: Sequence[Path], options: Options, networks: NetworksOf | None = None) -> tuple[Run, list[Line]]:
    """A run, and its commands about orders."""
    lines: list[Line] = []
    orders: dict[str, tuple[int, int]] = {}

    def write_down(command: Any) -> None:
        name, at = type(command).__name__, command.decided_ns
        if isinstance(command, PlaceOrder | ReplaceOrder):
            orders[command.client_order_id] = (command.side.sign, command.price_ticks)
            lines.append((at, name, command.side.sign, command.price_ticks, command.lots, _number(command.client_order_id)))
        elif isinstance(command, CancelOrder):
            lines.append((at, name, *orders[command.client_order_id], 0, _number(command.client_order_id)))
        elif isinstance(command, AmendOrder):
            order = orders[command.new_client_order_id] = orders[command.client_order_id]
            lines.append((at, name, *order, command.lots, _number(command.client_order_id)))

    return run_backtest(places, [], options, networks, on_command=write_down), lines


def _number(client_order_id: str) -> int:
    return int(client_order_id.rpartition("-")[2], 36)


def fast_lines(places: Sequence[Path], options: Options, networks: NetworksOf | None = None) -> tuple[Run, list[Line]]:
    run = run_backtest(places, [], replace(options, speed="fast", logging=True), networks)
    rows = (tuple(int(each) for each in row) for row in run.log)
    return run, [(at, COMMANDS[kind], side, price, lots, number) for at, kind, side, price, lots, number in rows]


def recorded(name: tuple[str, ...]) -> Path:
    place = Path(os.environ.get("MMD_DATA_DIR", "../shared/data")).joinpath(*name)
    if not place.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{place} is missing: set MMD_DATA_DIR")
        pytest.skip(f"{place} is not there: set MMD_DATA_DIR to the folder of the real data")
    return place


def networks(names: Sequence[str]) -> Networks:
    return load_networks(DEFAULT_BUNDLE, names, "auto")


def every_head(names: Sequence[str]) -> Networks:
    """The same with a word in every quote, which the card does not leave them all."""
    bundle, predictors = networks(names)
    return weighed(bundle, HeadWeights(spread=0.7)), predictors


def agree(places: Sequence[Path], options: Options) -> list[Line]:
    """Both speeds do the same, to the last bit. Returns the commands."""
    (exact, wanted), (fast, found) = exact_lines(places, options), fast_lines(places, options)
    assert found == wanted
    for symbol, track in exact.recorder.tracks.items():
        for name in TRACKED:
            assert getattr(fast.recorder.tracks[symbol], name) == getattr(track, name), name
    assert (fast.venue.sent, fast.venue.placed, fast.venue.refused) == (exact.venue.sent, exact.venue.placed, exact.venue.refused)
    assert (fast.events, fast.halt) == (exact.events, exact.halt)
    assert (fast.recorder.begin_ns, fast.recorder.end_ns) == (exact.recorder.begin_ns, exact.recorder.end_ns)
    assert [source.repairs for source in fast.sources] == [source.repairs for source in exact.sources]
    return wanted


@pytest.mark.parametrize(
    ("strategy", "latency", "queue", "settings"),
    [
        ("fixed", "1ms", "risk-averse", ()),
        ("fixed", "2500ms", "risk-averse", ()),
        ("avellaneda-stoikov", "20ms", "probability", ()),
        ("glft", "350ms", "risk-averse", ()),
        ("glft", "5ms", "probability", ("risk.max_position_notional=1500", "quoting.max_skew_half_spreads=4")),
        ("fixed", "3ms", "risk-averse", ("risk.max_orders_per_10s=6", "risk.max_open_orders=3", "risk.max_orders_per_day=40")),
        ("fixed", "1ms", "risk-averse", ("risk.max_daily_loss=0.02",)),
    ],
)
def test_the_simulated_market(simulated: Path, strategy: str, latency: str, queue: str, settings: tuple[str, ...]) -> None:
    options = parse_options(
        strategy=strategy, latency=latency, queue=queue, maker_fee="-0.5bps", assignments=settings, calibrated=strategy == "glft"
    )
    assert agree([simulated], options)


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("fixed", LIFTED),
        ("glft", LIFTED),
        ("avellaneda-stoikov", LIFTED),
        # A loss that shrinks the size: amends that are still in flight when another order is answered.
        ("fixed", ("risk.max_daily_loss=0.2", "quoting.fixed_half_spread_bps=0.02")),
    ],
)
def test_a_real_recording(strategy: str, settings: tuple[str, ...]) -> None:
    assert len(agree([recorded(RAW)], parse_options(strategy=strategy, assignments=settings))) > 20


@pytest.mark.parametrize(
    ("strategy", "load", "factor"), [("recorded", networks, 1.0), ("recorded", every_head, 1.0), ("simulated", every_head, 0.15)]
)
def test_networks(simulated: Path, strategy: str, load: Callable[[Sequence[str]], Networks], factor: float) -> None:
    """At least 999 of 1,000 commands are the same, and every other one is told, whose price or size lay on the edge of rounding.

    Spread and position head end in functions that agree with the runtime's in all bits but the last.
    """
    place = recorded(RAW) if strategy == "recorded" else simulated
    settings = (*LIFTED, f"quoting.network_half_spread_factor={factor}")
    options = parse_options(strategy="neural", latency="2ms", assignments=settings)
    (exact, wanted), (fast, found) = exact_lines([place], options, load), fast_lines([place], options, load)
    differing = [(one, other) for one, other in zip_longest(wanted, found) if one != other]
    assert len(wanted) > 150
    assert len(differing) <= len(wanted) // 1_000, f"rounding edges: {differing[:20]}"
    (track,), (other,) = exact.recorder.tracks.values(), fast.recorder.tracks.values()
    assert len(track.fills) >= 5
    assert len({fill.side for fill in track.fills}) == 2
    for one, another in zip(track.attributions, other.attributions, strict=True):
        assert another == pytest.approx(one, rel=1e-5, abs=5e-5)
    if not differing:
        assert [getattr(other, name) for name in EXACT] == [getattr(track, name) for name in EXACT]


def test_the_compiled_network_is_the_runtimes() -> None:
    bundle = load_bundle(find_bundle(DEFAULT_BUNDLE), feature_schema_hash=None)
    for model in bundle.models.values():
        session = load_runtime().load(model)
        dense = taken_apart(session)
        rng = np.random.default_rng(5)
        rows, inventory = rng.normal(0, 2, (400, session.inputs["market"].size)), rng.normal(0, 1, (400, 5))
        _, found = evaluated(dense, rows.astype(np.float32), inventory.astype(np.float32))
        for row, told, said in zip(rows, inventory, found, strict=True):
            session.inputs["market"][0], session.inputs["inventory"][0] = row, told
            session.invoke()
            assert said.tolist() == pytest.approx([session.outputs[name].item() for name in OUTPUT_NAMES], abs=3e-7)


def test_what_the_networks_make_of_the_market_is_worked_out_once(simulated: Path) -> None:
    options = parse_options(strategy="neural", speed="fast")
    first = run_backtest([simulated], [], options, networks)
    market_pass.forget()
    second = run_backtest([simulated], [], options, networks)
    assert first.cache is not None
    assert second.cache is not None
    assert (first.cache.found, second.cache.found, second.cache.seconds) == (0, 2, 0.0)
    assert first.recorder.tracks == second.recorder.tracks


def test_networks_with_a_state_that_sees_inventory_are_refused(simulated: Path) -> None:
    with pytest.raises(BacktestError, match=r"cannot take these networks apart \(they carry a state.*--speed exact"):
        run_backtest(
            [simulated],
            [],
            parse_options(strategy="neural", speed="fast"),
            lambda names: load_networks(Path("models/quote-v1"), names, "auto"),
        )


def test_a_seeded_exact_run_sends_what_it_always_sent(simulated: Path) -> None:
    """Trimming the shell must move no order: the hash is of every command's time, kind, side, price, quantity and number."""
    _, lines = exact_lines([simulated], parse_options(strategy="avellaneda-stoikov", latency="2ms", calibrated=False))
    assert hashlib.sha256(repr(lines).encode()).hexdigest() == "cd091d433259618b22cd3948141c19466e75ad8d40d5b45f358768341bf9bb25"


def test_a_gap_and_other_faults_of_the_data(tmp_path: Path) -> None:
    table = book()
    crossed = pl.when(pl.int_range(pl.len()).is_in([50, 51])).then(pl.lit(100.5)).otherwise(pl.col("bid_px_1")).alias("bid_px_1")
    late = table[200:].with_columns(pl.col("ts_ns") + 3_600 * SECOND)
    parts = [table[:100].with_columns(crossed), table[101:103], table[100:101], table[103:200], late, late[199:200]]
    path = write(tmp_path, pl.concat(parts), trades())
    options = parse_options(strategy="fixed", calibration_share=0.0, assignments=LIFTED)
    assert agree([path], options)
    repairs = run_backtest([path], [], replace(options, speed="fast")).sources[0].repairs
    assert repairs == {
        "crossed rows, passed over": 2,
        "rows out of order, sorted": 1,
        "repeated rows, left out": 1,
        "gaps, each the end of a session": 1,
    }


@pytest.mark.parametrize("rate", ["", "0.01%", "-1%"])
def test_funding(simulated: Path, tmp_path: Path, rate: str) -> None:
    """The simulated minute as a perpetual's, with a settlement in its middle."""
    begin_ns = pl.read_parquet(simulated)["ts_ns"][0]
    settled = -(-begin_ns // (28_800 * SECOND)) * 28_800 * SECOND
    for kind in ("book", "trades"):
        table = pl.read_parquet(simulated.with_name(simulated.name.replace("book", kind)))
        moved = [pl.col(name) + (settled - begin_ns - 30 * SECOND) for name in table.columns if name.endswith("ts_ns")]
        table.with_columns(*moved, symbol=pl.lit("SIMUSDT")).write_parquet(tmp_path / f"SIMUSDT-usdm-20240101.{kind}.parquet")
    path = tmp_path / "SIMUSDT-usdm-20240101.book.parquet"
    options = parse_options(
        strategy="fixed", calibration_share=0.0, funding_rate=rate, assignments=(*LIFTED, "quoting.fixed_half_spread_bps=0.02")
    )
    assert agree([path], options)
    run = run_backtest([path], [], replace(options, speed="fast"))
    assert run.sources[0].instrument.perpetual
    assert bool(run.recorder.tracks["SIMUSDT"].funding) is bool(rate)


def test_what_it_cannot_do_as_the_live_path_does_is_refused(simulated: Path, tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match=r"no neural quotes without networks.*--speed exact"):
        run_backtest([simulated], [], parse_options(strategy="neural", speed="fast"))
    other = write(tmp_path, book(), trades())
    with pytest.raises(BacktestError, match=r"one symbol at a time.*--symbols"):
        run_backtest([simulated, other], [], parse_options(strategy="fixed", speed="fast"))
    large = parse_options(strategy="fixed", speed="fast", assignments=("risk.max_position_notional=1000000000000",))
    with pytest.raises(BacktestError, match=r"too large.*--speed exact"):
        run_backtest([simulated], [], large)
    with pytest.raises(BacktestError, match="no speed 'quick'; there are exact, fast"):
        parse_options(strategy="fixed", speed="quick")


def test_the_market_is_worked_out_once_and_a_damaged_file_is_made_anew(simulated: Path) -> None:
    options = parse_options(strategy="fixed", speed="fast", calibrated=False)
    first = run_backtest([simulated], [], options)
    assert first.cache is not None
    assert (first.cache.found, first.cache.corrupt) == (0, 0)
    assert first.cache.seconds > 0
    market_pass.forget()
    second = run_backtest([simulated], [], options)
    assert second.cache is not None
    assert (second.cache.found, second.cache.seconds) == (1, 0.0)
    (kept,) = (Path(os.environ["MMD_CACHE_DIR"]) / "columns").iterdir()
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    market_pass.forget()
    third = run_backtest([simulated], [], options)
    assert third.cache is not None
    assert (third.cache.found, third.cache.corrupt) == (0, 1)
    tracks = [run.recorder.tracks["BTCUSDT"] for run in (first, second, third)]
    assert tracks[0] == tracks[1] == tracks[2]


def test_other_data_is_another_market(simulated: Path) -> None:
    options = parse_options(strategy="fixed", speed="fast")
    run_backtest([simulated], [], options)
    market_pass.forget()
    again = run_backtest([simulated], [], replace(options, latency=None, end_ns=int(2e18)))
    assert again.cache is not None
    assert again.cache.found == 0


def test_the_cache_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    kept = Kept(tmp_path, limit=3_000)
    for number in range(4):
        kept.write(f"key {number}", {"number": number}, {"numbers": np.arange(125)})
        path = max(tmp_path.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        os.utime(path, (number, number))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_500
    assert kept.read("key 0") is None
    found = kept.read("key 3")
    assert found is not None
    assert found[0] == {"number": 3}
    assert found[1]["numbers"].tolist() == list(range(125))
    kept.write("too large", {}, {"numbers": np.arange(1_000)})
    assert kept.read("too large") is None
