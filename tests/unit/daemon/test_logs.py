from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from mmd.daemon.logs import Redactor, configure_logging
from mmd.daemon.settings import LoggingSettings

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "logs" / "mmd.log"
    yield path
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.WARNING)


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_known_secrets_are_masked_wherever_they_stand(log_file: Path) -> None:
    configure_logging(LoggingSettings(file=log_file), [SECRET], console=False)
    log = structlog.get_logger("test")
    log.info(f"text with {SECRET}", url=f"https://x/?k={SECRET}", nested={"list": [SECRET, 1]}, raw=SECRET.encode())
    logging.getLogger("other").warning("plain logging of %s", SECRET)
    try:
        raise ValueError(f"bad key {SECRET}")
    except ValueError as error:
        log.error("failed", exc_info=error)
    text = log_file.read_text()
    assert SECRET not in text
    assert text.count("***") >= 5
    assert "ValueError: bad key ***" in text


def test_what_is_called_a_secret_is_masked(log_file: Path) -> None:
    configure_logging(LoggingSettings(file=log_file), [], console=False)
    structlog.get_logger("test").info(
        "x",
        api_key="abc",
        secret="abc",
        token="abc",
        signature="abc",
        Authorization="abc",
        headers={"X-MBX-APIKEY": "v", "api-key": "abc"},
    )
    (entry,) = entries(log_file)
    for name in ("api_key", "secret", "token", "signature", "Authorization"):
        assert entry[name] == "***"
    assert entry["headers"]["api-key"] == "***"  # type: ignore[index]


def test_signatures_in_addresses_are_masked() -> None:
    redactor = Redactor([])
    assert redactor.text("GET /order?a=1&signature=abc123&b=2") == "GET /order?a=1&signature=***&b=2"
    assert redactor.text('{"signature":"YWJj+/=="}') == '{"signature":"***"}'
    assert redactor.text("Authorization: Bearer abc.def") == "Authorization: Bearer ***"


def test_a_short_secret_leaves_ordinary_words_alone() -> None:
    assert Redactor(["S1"]).text("S1 in S1S1 and FUS10N") == "*** in S1S1 and FUS10N"


def test_ordinary_values_pass(log_file: Path) -> None:
    configure_logging(LoggingSettings(file=log_file), [SECRET], console=False)
    structlog.get_logger("test").info("x", client_order_id="mmd-a-1", count=3, share=0.5, nothing=None, on=True)
    (entry,) = entries(log_file)
    assert (entry["client_order_id"], entry["count"], entry["share"], entry["nothing"], entry["on"]) == (
        "mmd-a-1",
        3,
        0.5,
        None,
        True,
    )
    assert entry["level"] == "info"


def test_the_file_is_rotated_and_bounded(log_file: Path) -> None:
    configure_logging(LoggingSettings(file=log_file, max_file_bytes=10_000, kept_files=2), [], console=False)
    log = structlog.get_logger("test")
    for number in range(500):
        log.info("line", number=number, padding="x" * 100)
    files = sorted(path.name for path in log_file.parent.iterdir())
    assert files == ["mmd.log", "mmd.log.1", "mmd.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in log_file.parent.iterdir())


def test_the_level_holds(log_file: Path) -> None:
    configure_logging(LoggingSettings(file=log_file, level="warning"), [], console=False)
    structlog.get_logger("test").info("quiet")
    structlog.get_logger("test").warning("loud")
    assert [entry["event"] for entry in entries(log_file)] == ["loud"]


def test_console_lines_are_json_when_asked(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging(LoggingSettings(format="json"), [SECRET])
    structlog.get_logger("test").info("x", detail=SECRET)
    assert json.loads(stream.getvalue())["detail"] == "***"
