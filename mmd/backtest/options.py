"""What a person types, as a run's options: fees, times, calendar, settings. Every mistake says what would be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmd.backtest.errors import BacktestError
from mmd.backtest.fills import FILL_SOURCES, parse_fill_model
from mmd.backtest.latency import parse_latency
from mmd.backtest.matching import QUEUE_MODELS
from mmd.backtest.runner import SPEEDS, Options
from mmd.backtest.statistics import Calendar
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits

MOST_FEE = 0.05
MOST_FUNDING = Decimal("0.03")
Model = TypeVar("Model", bound=BaseModel)
_CALENDAR = re.compile(r"^(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)$")


def parse_options(
    *,
    strategy: str,
    latency: str = "",
    queue: str = "risk-averse",
    maker_fee: str = "0",
    taker_fee: str = "0",
    begin: str = "",
    end: str = "",
    calibration_share: float = 0.3,
    calibrated: bool = True,
    assignments: Sequence[str] = (),
    fills: str = "auto",
    fill_model: str = "",
    fill_seed: int = 1,
    funding_rate: str = "",
    speed: str = "exact",
) -> Options:
    """Raises `BacktestError`."""
    if queue not in QUEUE_MODELS:
        raise BacktestError(f"no queue model {queue!r}; there are {', '.join(QUEUE_MODELS)}")
    source = next((each for each in FILL_SOURCES if each == fills), None)
    if source is None:
        raise BacktestError(f"no fills {fills!r}; there are {', '.join(FILL_SOURCES)}")
    chosen = next((each for each in SPEEDS if each == speed), None)
    if chosen is None:
        raise BacktestError(f"no speed {speed!r}; there are {', '.join(SPEEDS)}")
    begin_ns, end_ns = parse_time(begin), parse_time(end)
    if begin_ns and end_ns and begin_ns >= end_ns:
        raise BacktestError(f"--from {begin} is not before --to {end}")
    groups = _groups(assignments)
    return Options(
        strategy=strategy,
        latency=parse_latency(latency) if latency else None,
        queue="risk-averse" if queue == "risk-averse" else "probability",
        maker_fee=parse_fee(maker_fee),
        taker_fee=parse_fee(taker_fee),
        begin_ns=begin_ns,
        end_ns=end_ns,
        calibration_share=calibration_share,
        calibrated=calibrated and not {"arrival_rate", "arrival_decay"} & groups["quoting"].keys(),
        quoting=_validated(QuotingSettings, "quoting", groups["quoting"]),
        risk=_validated(RiskLimits, "risk", groups["risk"]),
        fills=source,
        fill_model=parse_fill_model(fill_model, fill_seed),
        funding_rate=_funding_rate(funding_rate),
        speed=chosen,
    )


def parse_fee(text: str) -> float:
    """`0.0002` or `2bps`, below zero a rebate. Raises `BacktestError`."""
    try:
        fee = float(text.removesuffix("bps")) * (1e-4 if text.endswith("bps") else 1.0)
    except ValueError as error:
        raise BacktestError(f"fee {text!r}: write a fraction such as 0.0002, or 2bps; below zero is a rebate") from error
    if not abs(fee) <= MOST_FEE:
        raise BacktestError(f"fee {text!r} is {fee:.2%} of the notional: beyond {MOST_FEE:.0%} it is a slip")
    return fee


def _funding_rate(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        rate = Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except InvalidOperation as error:
        raise BacktestError(f"funding rate {text!r}: write a fraction of the position such as 0.0001, or 0.01%") from error
    if not rate.is_finite() or not abs(rate) <= MOST_FUNDING:
        raise BacktestError(f"funding rate {text!r}: beyond {MOST_FUNDING:%} a settlement it is a slip")
    return rate


def parse_time(text: str) -> int:
    """UTC ns of an ISO 8601 time without an offset or with one; 0 of nothing. Raises `BacktestError`."""
    if not text:
        return 0
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise BacktestError(f"time {text!r}: write it as 2024-07-19T00:02:30") from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return round(time.timestamp() * 1_000_000) * 1_000


def parse_calendar(text: str) -> Calendar:
    """`365x24` or `252x6.5`. Raises `BacktestError`."""
    match = _CALENDAR.match(text)
    if match is None or not 0 < float(match[1]) <= 366 or not 0 < float(match[2]) <= 24:
        raise BacktestError(f"calendar {text!r}: write trading days a year x hours a day, such as 365x24 or 252x6.5")
    return Calendar(float(match[1]), float(match[2]))


def _groups(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {"quoting": {}, "risk": {}}
    for assignment in assignments:
        key, found, value = assignment.partition("=")
        group, _, name = key.partition(".")
        if not found or group not in groups or not name:
            raise BacktestError(f"--set {assignment}: write quoting.NAME=VALUE or risk.NAME=VALUE")
        groups[group][name] = value
    return groups


def _validated(model: type[Model], group: str, values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BacktestError(f"{group}.{name}: {first['msg']}") from error
