from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mmd.daemon.settings import Settings
from mmd.daemon.settings_sources import SettingsError, known_fields, load_control_settings, load_settings


def load(directory: Path, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    return load_settings(environment=environment or {}, overrides=overrides, directory=directory)


def problems(directory: Path, environment: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(environment=environment or {}, overrides=overrides or {}, directory=directory)
    return str(raised.value)


def test_the_defaults_are_settings(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.mode == "mock"
    assert settings.control.host == "127.0.0.1"
    assert settings.control.port == 8780
    assert settings.symbols == ("BTCUSDT",)


def test_later_sources_win_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "mmd.toml").write_text(
        'symbols = ["BTCUSDT", "ETHUSDT"]\n'
        "[risk]\nmax_daily_loss = 10\nmax_drawdown = 20\nmax_open_orders = 4\n"
        "[control]\nport = 1111\n"
    )
    (tmp_path / ".env").write_text("MMD_RISK__MAX_DRAWDOWN=30\nMMD_CONTROL__PORT=2222\nOTHER=1\n")
    settings = load_settings(
        environment={"MMD_CONTROL__PORT": "3333", "PATH": "/bin"},
        overrides={"risk.max_open_orders": "6"},
        directory=tmp_path,
    )
    assert settings.risk.max_daily_loss == Decimal(10)
    assert settings.risk.max_drawdown == Decimal(30)
    assert settings.control.port == 3333
    assert settings.risk.max_open_orders == 6
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")


def test_the_file_may_be_named_by_a_variable_or_an_option(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("[control]\nport = 1111\n")
    two.write_text("[control]\nport = 2222\n")
    assert load(tmp_path, {"MMD_CONFIG": str(one)}).control.port == 1111
    assert load_settings(two, environment={"MMD_CONFIG": str(one)}, directory=tmp_path).control.port == 2222


def test_symbols_are_split_at_commas(tmp_path: Path) -> None:
    assert load(tmp_path, {"MMD_SYMBOLS": "BTCUSDT, ETHUSDT"}).symbols == ("BTCUSDT", "ETHUSDT")
    assert "upper case" in problems(tmp_path, {"MMD_SYMBOLS": "btcusdt"})
    assert "named twice" in problems(tmp_path, {"MMD_SYMBOLS": "BTCUSDT,BTCUSDT"})


def test_an_unknown_variable_names_itself_its_source_and_the_nearest_key(tmp_path: Path) -> None:
    text = problems(tmp_path, {"MMD_RISK__MAX_DALY_LOSS": "5"})
    assert text == "environment: unknown setting MMD_RISK__MAX_DALY_LOSS: did you mean MMD_RISK__MAX_DAILY_LOSS?"


def test_an_unknown_key_in_each_other_source_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "mmd.toml").write_text("[risk]\nmax_open_order = 5\n")
    (tmp_path / ".env").write_text("MMD_CONTROL__PROT=1\n")
    text = problems(tmp_path, overrides={"quoting.order_notinal": "5"})
    assert "mmd.toml: unknown setting risk.max_open_order: did you mean risk.max_open_orders?" in text
    assert ".env: unknown setting MMD_CONTROL__PROT: did you mean MMD_CONTROL__PORT?" in text
    assert "command line: unknown setting quoting.order_notinal: did you mean quoting.order_notional?" in text


def test_a_group_is_no_setting(tmp_path: Path) -> None:
    assert "it is a group" in problems(tmp_path, {"MMD_RISK": "{}"})


def test_a_wrong_value_names_its_source_and_shows_itself(tmp_path: Path) -> None:
    text = problems(tmp_path, {"MMD_RISK__MAX_OPEN_ORDERS": "0"})
    assert text.startswith("environment: MMD_RISK__MAX_OPEN_ORDERS: ")
    assert "greater than 0" in text
    assert "(it is '0')" in text


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mmd.toml").write_text("[risk\n")
    assert "is no TOML" in problems(tmp_path)
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot be read"):
        load_settings(tmp_path / "absent.toml", environment={}, directory=tmp_path)


def test_secrets_come_from_files_and_never_appear_in_errors(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very-secret-value\n")
    settings = load(tmp_path, {"MMD_EXCHANGE__API_SECRET_FILE": str(secret)})
    assert settings.exchange.api_secret.get_secret_value() == "very-secret-value"
    assert "very-secret-value" in settings.secrets()
    assert "very-secret-value" not in repr(settings)
    both = {"MMD_EXCHANGE__API_SECRET_FILE": str(secret), "MMD_EXCHANGE__API_SECRET": "other"}
    assert "keep one" in problems(tmp_path, both)
    assert "cannot be read" in problems(tmp_path, {"MMD_EXCHANGE__API_SECRET_FILE": str(tmp_path / "absent")})
    short = problems(tmp_path, {"MMD_CONTROL__TOKEN": "tiny-token"})
    assert "too short" in short
    assert "tiny-token" not in short


def test_only_secrets_may_come_from_files(tmp_path: Path) -> None:
    assert "unknown setting MMD_CONTROL__PORT_FILE" in problems(tmp_path, {"MMD_CONTROL__PORT_FILE": "/etc/hostname"})


def test_a_host_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    assert "set token as well" in problems(tmp_path, {"MMD_CONTROL__HOST": "0.0.0.0"})
    token = {"MMD_CONTROL__HOST": "0.0.0.0", "MMD_CONTROL__TOKEN": "0123456789abcdef"}
    assert "in the clear" in problems(tmp_path, token)
    settings = load(tmp_path, {**token, "MMD_CONTROL__PLAIN_HTTP": "true"})
    assert settings.control.host == "0.0.0.0"
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load(tmp_path, {"MMD_CONTROL__HOST": host}).control.host == host


def test_a_halt_by_the_guard_is_heard_before_an_order_leaves(tmp_path: Path) -> None:
    assert "must be below guard.timeout_seconds" in problems(
        tmp_path, {"MMD_RISK__MAX_TIMER_SILENCE_SECONDS": "3", "MMD_GUARD__TIMEOUT_SECONDS": "3"}
    )


def test_receive_windows_agree(tmp_path: Path) -> None:
    assert "must not pass" in problems(tmp_path, {"MMD_EXECUTION__RECEIVE_WINDOW_MS": "1000"})


def test_a_mistake_elsewhere_does_not_keep_the_control_port_from_being_found(tmp_path: Path) -> None:
    environment = {"MMD_RISK__NONSENSE": "1", "MMD_CONTROL__PORT": "4444", "MMD_RISK": "x"}
    assert load_control_settings(environment=environment, directory=tmp_path).port == 4444
    with pytest.raises(SettingsError, match="MMD_CONTROL__PRT"):
        load_control_settings(environment={"MMD_CONTROL__PRT": "1"}, directory=tmp_path)
    with pytest.raises(SettingsError, match="MMD_CONTROL__PORT"):
        load_control_settings(environment={"MMD_CONTROL__PORT": "x"}, directory=tmp_path)


def test_what_was_read_is_plain_settings_that_no_variable_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = load(tmp_path, {"MMD_CONTROL__PORT": "4444"})
    assert type(read) is Settings
    monkeypatch.setenv("MMD_CONTROL__PORT", "5555")
    assert read == Settings.model_validate(read.model_dump()) == load(tmp_path, {"MMD_CONTROL__PORT": "4444"})
    assert load_settings(directory=tmp_path).control.port == 5555


def test_a_secret_file_counts_as_its_source(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-the-file\n")
    (tmp_path / ".env").write_text(f"MMD_EXCHANGE__API_SECRET_FILE={secret}\nMMD_EXCHANGE__API_KEY=K\n")
    assert load(tmp_path).exchange.api_secret.get_secret_value() == "from-the-file"
    nearer = load(tmp_path, {"MMD_EXCHANGE__API_SECRET": "nearer"})
    assert (nearer.exchange.api_secret.get_secret_value(), nearer.exchange.api_key) == ("nearer", "K")


def test_keys_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    assert "unknown setting MMD_NONSENSE" in problems(tmp_path, {"MMD_NONSENSE": "1"})
    assert "unknown setting MMD_MODE__MORE: did you mean MMD_MODE?" in problems(tmp_path, {"MMD_MODE__MORE": "1"})
    assert "did you mean MMD_CONTROL__PORT?" in problems(tmp_path, {"MMD_CONTROL_PORT": "1"})
    assert "unknown setting _env_file" in problems(tmp_path, overrides={"_env_file": "x"})
    both = problems(tmp_path, overrides={"risk.max_open_orders": "5", "risk": "x"})
    assert "command line: unknown setting risk: it is a group" in both
    (tmp_path / "mmd.toml").write_text("Mode = 'mock'\n[nonsense]\n[risk]\n[control.port]\n")
    text = problems(tmp_path)
    assert "mmd.toml: unknown setting Mode: did you mean mode?" in text
    assert "mmd.toml: unknown setting nonsense" in text
    assert "unknown setting risk" not in text


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MMD_MODE=\xff\n")
    assert ".env: cannot be read" in problems(tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path, environment={}, directory=tmp_path)
    (tmp_path / "mmd.toml").write_text("[broken")
    assert load_control_settings(environment={"MMD_CONTROL__PORT": "4444"}, directory=tmp_path).port == 4444


def test_every_setting_is_described() -> None:
    assert [".".join(key) for key, field in known_fields() if not field.description] == []
