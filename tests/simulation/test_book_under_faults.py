"""A book kept by our adapter under every fault equals the exchange's own whenever it claims to be valid; in virtual time.

Prices and quantities are compared: the touch after every event, and at each new update id every level the book claims to know (a
level outside of the snapshot is unknown until it changes), with every level up to its horizon having to be there.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mmd.mock.faults.kinds import KINDS
from tests.simulation.faulty_market import FaultyMarket

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "book-under-faults.md"
HOUR_SECONDS = 3600.0
PAGE = """# A book under every fault

`python -m pytest -m long tests/simulation/test_book_under_faults.py` writes this page. An hour of the simulated market for each
column, in virtual time, BTCUSDT and ETHUSDT, every kind of fault switched on at random for up to 5 s: the server's frames
through the server's faults into the adapter's decoder and books. After each event that left a book valid its touch was compared
with the exchange's own at the same update id, and at each new update id of the diffs every level the book claims to know,
prices and quantities; one difference ends the test. Snapshots were cut off at 20 levels and up to two seconds old.

{session}
How often each fault struck (frames, requests, orders, or times switched on):

{struck}
What finds which fault:

| on the wire | what the client does |
|---|---|
| a diff is dropped, skipped, or overtaken by a later one | `U > id + 1` is a gap: the book is invalid until a new snapshot |
| a diff or touch comes twice, or after a newer one | no newer than the book: ignored and counted |
| a touch is dropped or late | the next touch, or the diff that passes its id, shows the true one |
| a damaged frame | refused and counted, the connection is begun anew, every book with it |
| silence | the connection is begun anew; until then the age of the data keeps quotes away |
| an update id that ran away upwards | found out after `max_depth_silence_seconds`: the book is begun anew |

Not among the corruptions: a changed digit. It makes a valid frame of another number, which no client can tell from a true one;
TCP and TLS keep it from happening on the way. What the sequence rules can find of it they do: a crossed book is built anew, and
so is one whose update id ran away.
"""


@pytest.mark.parametrize("seed", range(1, 4))
def test_minutes_of_random_faults(seed: int) -> None:
    market = FaultyMarket(seed)
    market.run(80)
    assert market.books_compared > 200
    assert market.touches_compared > 1_000
    assert all(book.resyncs for book in market.books.values())


def test_without_faults_the_book_is_valid_throughout_and_never_resynced() -> None:
    market = FaultyMarket(1, every=1e9, whole=True)
    market.run(30)
    assert market.switched_on == 0
    for symbol, book in market.books.items():
        assert market.valid_ns[symbol] > 29e9
        assert (book.gaps, market.counters.malformed, market.counters.reconnects) == (0, 0, 0)


def test_the_same_seed_is_the_same_session() -> None:
    runs = []
    for _ in range(2):
        market = FaultyMarket(9)
        market.run(30)
        runs.append((dict(market.board.injected), market.touches_compared, market.counters, market.valid_ns))
    assert runs[0] == runs[1]


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_an_hour_with_every_fault() -> None:
    """Writes the table of docs/evidence."""
    with ProcessPoolExecutor(2) as pool:
        columns = list(pool.map(hour, (101, 102), (2.0, 10.0)))
    for session, struck in columns:
        assert all(struck.values())
        assert session["whole books compared"] > 5_000
    EVIDENCE.write_text(page(columns))


def hour(seed: int, every: float) -> tuple[dict[str, Any], dict[str, int]]:
    """One column: what happened, and how often each fault struck. A difference is an `AssertionError`."""
    market = FaultyMarket(seed, every=every)
    market.run(HOUR_SECONDS)
    books, counters = list(market.books.values()), market.counters
    session = {
        "a fault every, s (mean)": every,
        "seed": seed,
        "frames that arrived": counters.frames,
        "faults switched on": market.switched_on,
        "times without any connection": counters.reconnects,
        "frames refused as malformed": counters.malformed,
        "gaps found": sum(book.gaps for book in books),
        "books built anew": sum(book.resyncs for book in books),
        "snapshots refused as too old": sum(book.snapshots_refused for book in books),
        "events ignored as old": sum(book.ignored for book in books),
        "share of the time a book was valid": f"{sum(market.valid_ns.values()) / len(books) / HOUR_SECONDS / 1e9:.1%}",
        "touches compared": market.touches_compared,
        "whole books compared": market.books_compared,
        "differences": len(market.failures),
    }
    return session, {kind: market.board.injected[kind] for kind in KINDS}


def page(columns: list[tuple[dict[str, Any], dict[str, int]]]) -> str:
    """The evidence, in words and tables."""
    session = {name: [_text(column[name]) for column, _ in columns] for name in columns[0][0]}
    struck = {f"`{kind}`": [_text(column[kind]) for _, column in columns] for kind in KINDS}
    return PAGE.format(session=_table("", session), struck=_table("fault", struck))


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def _table(corner: str, rows: dict[str, list[str]]) -> str:
    width = len(next(iter(rows.values())))
    lines = [f"| {corner} |" + " |" * width, "|---|" + "---:|" * width]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())]) + "\n"
