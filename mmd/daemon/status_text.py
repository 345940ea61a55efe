"""What `mmd status` prints: a daemon's state document as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console

from mmd.daemon.view import status_line, symbol_table, totals_line
from mmd.types.report import TraderReport


def print_status(document: Mapping[str, Any]) -> None:
    """The document of `GET /state`, to standard output."""
    report = msgspec.convert(document["trader"], TraderReport)
    console = Console()
    console.print(status_line(report))
    console.print(symbol_table(report))
    console.print(totals_line(report))
    process, latency = document["process"], document["tick_to_quote_us"]
    started = datetime.fromtimestamp(process["started_ns"] / 1e9, UTC)
    console.print(f"mmd {process['version']}, pid {process['pid']}, since {started:%Y-%m-%d %H:%M:%S} UTC")
    console.print(
        f"{process['resident_bytes'] / 1e6:.0f} MB   tick to quote µs: p50 {latency['p50']:.0f}, p99 {latency['p99']:.0f} "
        f"(n {latency['n']})"
    )
    for order in report.open_orders:
        console.print(
            f"  {order.side} {order.quantity:g} {order.symbol} at {order.price:.10g}   {order.state}   {order.client_order_id}"
        )
