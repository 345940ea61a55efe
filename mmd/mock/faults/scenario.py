"""Scenario files: which fault begins when. TOML; whatever is wrong in one is told with its line and with what is allowed there.

seed = 7
clock = "market"            # or "wall": what seconds are counted in

[[fault]]
at = 10.0
kind = "delay_frames"
milliseconds = 250
seconds = 5.0

[random]
every = 3.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from mmd.mock.faults.kinds import Fault, FaultError, parse_fault
from mmd.mock.faults.random_faults import RandomFaults

_ROOT_NAMES = ("seed", "clock", "fault", "random")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"']+)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+|\"[^\"]*\"|'[^']*')\s*(?:=|\.)")


class ScenarioError(ValueError):
    """The file is no scenario: file, line, what is wrong, what is allowed."""


class TimedFault(NamedTuple):
    """A fault and when it begins, s after the start."""

    at: float
    fault: Fault


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: int = 1
    clock: Literal["wall", "market"] = "wall"


class Scenario(NamedTuple):
    """A whole file. Seconds are of `clock`."""

    seed: int = 1
    clock: Literal["wall", "market"] = "wall"
    faults: tuple[TimedFault, ...] = ()
    random: RandomFaults | None = None


def load_scenario(path: Path) -> Scenario:
    """Read a file. Raises `ScenarioError`, also where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, name: str = "scenario") -> Scenario:
    """Read a text; `name` is what errors call it. Raises `ScenarioError`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: {error}") from error
    return _Reading(text, name).scenario(document)


class _Reading:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = _lines_of(text)

    def scenario(self, document: dict[str, Any]) -> Scenario:
        for key in document:
            if key not in _ROOT_NAMES:
                raise self._error("", 0, key, f"there is no {key!r} here; there are {', '.join(_ROOT_NAMES)}")
        try:
            head = _Head.model_validate({key: document[key] for key in ("seed", "clock") if key in document})
        except ValidationError as error:
            problem = error.errors()[0]
            key = str(problem["loc"][0])
            raise self._error("", 0, key, f"{key}: {problem['msg']}") from error
        tables = document.get("fault", [])
        if not isinstance(tables, list):
            raise self._error("", 0, "fault", "a fault is written as a table of its own, under [[fault]]")
        faults = tuple(self._fault(number, table) for number, table in enumerate(tables))
        return Scenario(head.seed, head.clock, faults, self._random(document.get("random")))

    def _fault(self, number: int, table: Any) -> TimedFault:
        if not isinstance(table, Mapping):
            raise self._error("fault", number, "", "a fault is written as a table of its own, under [[fault]]")
        values = dict(table)
        at = values.pop("at", None)
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < float("inf"):
            raise self._error("fault", number, "at", f"at: when it begins, s after the start, not {at!r}")
        try:
            return TimedFault(float(at), parse_fault(values))
        except FaultError as error:
            text = str(error).replace("; it has kind, ", "; it has at, kind, ")
            raise self._error("fault", number, error.parameter, text) from error

    def _random(self, table: Any) -> RandomFaults | None:
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise self._error("", 0, "random", "random is a table of its own, under [random]")
        for key in table:
            if key not in RandomFaults.model_fields:
                allowed = ", ".join(RandomFaults.model_fields)
                raise self._error("random", 0, str(key), f"random has no {key!r}; it has {allowed}")
        try:
            return RandomFaults.model_validate(dict(table))
        except ValidationError as error:
            problem = error.errors()[0]
            key = str(problem["loc"][0])
            raise self._error("random", 0, key, f"random: {key}: {problem['msg']}") from error

    def _error(self, section: str, number: int, key: str, text: str) -> ScenarioError:
        line = self._lines.get((section, number, key)) or self._lines.get((section, number, ""))
        place = f"{self._name}, line {line}" if line else self._name
        return ScenarioError(f"{place}: {text}")


def _lines_of(text: str) -> dict[tuple[str, int, str], int]:
    """The line (from 1) of each table's header, under the key "", and of each key in it. Arrays of tables are counted from 0."""
    lines: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    section, number = "", 0
    for position, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            section = header.group(2).strip("\"'")
            number = counts.get(section, 0)
            counts[section] = number + 1
            lines.setdefault((section, number, ""), position)
            # An unknown table is an unknown key of the root.
            lines.setdefault(("", 0, section), position)
            continue
        key = _KEY.match(line)
        if key is not None:
            lines.setdefault((section, number, key.group(1).strip("\"'")), position)
    return lines
