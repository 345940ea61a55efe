from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from mmd.daemon.settings import Settings
from mmd.daemon.settings_sources import SettingsError, load_settings
from mmd.daemon.trading_modes import STAGE_OF_MODE, PromotionRefused, check_promotion
from mmd.exchanges.settings import LIVE_CONFIRMATION
from mmd.inference.card import STAGES, Card, Stage, decode_card
from mmd.trader.settings import Mode

CONFIRMED = {"MMD_EXCHANGE__LIVE_CONFIRMATION": LIVE_CONFIRMATION}


def load(directory: Path, environment: Mapping[str, str]) -> Settings:
    return load_settings(environment=environment, directory=directory)


def problems(directory: Path, environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(environment=environment, overrides=overrides or {}, directory=directory)
    return str(raised.value)


# ---- mode and profile


@pytest.mark.parametrize(
    ("profile", "rest_url"),
    [
        ("mock", "http://127.0.0.1:9080"),
        ("testnet", "https://testnet.binance.vision"),
        ("demo", "https://demo-api.binance.com"),
        ("live", "https://api.binance.com"),
    ],
)
def test_either_of_mode_and_profile_is_enough(tmp_path: Path, profile: str, rest_url: str) -> None:
    for variable in ("MMD_MODE", "MMD_EXCHANGE__PROFILE"):
        settings = load(tmp_path, {variable: profile, **CONFIRMED})
        assert (settings.mode, settings.exchange.profile, settings.exchange.rest_url) == (profile, profile, rest_url)
        assert settings.account == f"binance/{profile}"


def test_mode_and_profile_never_disagree(tmp_path: Path) -> None:
    for mode in ("mock", "testnet", "demo"):
        assert "elsewhere than the mode says" in problems(tmp_path, {"MMD_MODE": mode, "MMD_EXCHANGE__PROFILE": "live"})
    assert "elsewhere than the mode says" in problems(tmp_path, {"MMD_MODE": "live", "MMD_EXCHANGE__PROFILE": "mock", **CONFIRMED})


def test_the_real_venue_is_not_reached_by_its_address_under_another_mode(tmp_path: Path) -> None:
    for mode in ("mock", "testnet", "demo"):
        for url in ("wss://ws-api.binance.com:443/ws-api/v3", "wss://WS-API.Binance.com./ws-api/v3", "wss://api.binance.us"):
            text = problems(tmp_path, {"MMD_MODE": mode, "MMD_EXCHANGE__WEBSOCKET_API_URL": url})
            assert "exchange.websocket_api_url is the real venue" in text
    own = {"MMD_MODE": "demo", "MMD_EXCHANGE__REST_URL": "https://demo-api.binance.com"}
    assert load(tmp_path, own).exchange.profile == "demo"
    assert "real venue" in problems(tmp_path, {**own, "MMD_MODE": "testnet"})
    assert "real venue" in problems(tmp_path, {**own, **CONFIRMED, "MMD_MODE": "live"})
    proxied = {"MMD_MODE": "testnet", "MMD_EXCHANGE__REST_URL": "http://127.0.0.1:9999"}
    assert load(tmp_path, proxied).exchange.rest_url == "http://127.0.0.1:9999"
    other_host = {"MMD_MODE": "live", "MMD_EXCHANGE__REST_URL": "https://api1.binance.com", **CONFIRMED}
    assert load(tmp_path, other_host).exchange.rest_url == "https://api1.binance.com"


def test_an_unknown_mode_or_profile_names_those_there_are(tmp_path: Path) -> None:
    assert "MMD_MODE" in problems(tmp_path, {"MMD_MODE": "real"})
    assert "MMD_EXCHANGE__PROFILE" in problems(tmp_path, {"MMD_EXCHANGE__PROFILE": "real"})


# ---- real money


@pytest.mark.parametrize("variable", ["MMD_MODE", "MMD_EXCHANGE__PROFILE"])
def test_live_needs_its_second_setting_on_every_path(tmp_path: Path, variable: str) -> None:
    text = problems(tmp_path, {variable: "live"})
    assert "trades real money" in text
    assert f'MMD_EXCHANGE__LIVE_CONFIRMATION) must say "{LIVE_CONFIRMATION}", and it is not set' in text
    assert "use mode paper, testnet or demo" in text
    assert "it says something else" in problems(tmp_path, {variable: "live", "MMD_EXCHANGE__LIVE_CONFIRMATION": "yes"})
    assert "trades real money" in problems(tmp_path, {}, {"mode": "live"})
    (tmp_path / "mmd.toml").write_text('mode = "live"\n')
    assert "trades real money" in problems(tmp_path, {})
    with pytest.raises(ValidationError, match="trades real money"):
        Settings.model_validate({"mode": "live"})
    with pytest.raises(ValidationError, match="trades real money"):
        Settings.model_validate({"exchange": {"profile": "live"}})


def test_the_confirmation_alone_changes_nothing(tmp_path: Path) -> None:
    settings = load(tmp_path, CONFIRMED)
    assert (settings.mode, settings.exchange.profile) == ("mock", "mock")


# ---- paper


def test_paper_takes_the_market_of_any_profile_and_a_state_of_its_own(tmp_path: Path) -> None:
    assert load(tmp_path, {"MMD_MODE": "paper"}).exchange.profile == "live"
    for profile in ("mock", "testnet", "demo", "live"):
        settings = load(tmp_path, {"MMD_MODE": "paper", "MMD_EXCHANGE__PROFILE": profile})
        assert (settings.mode, settings.exchange.profile) == ("paper", profile)
        assert settings.account == f"binance/{profile}/paper"


# ---- venues and their options


def test_a_venue_that_is_not_installed_names_those_that_are(tmp_path: Path) -> None:
    text = problems(tmp_path, {"MMD_VENUE": "binanse"})
    assert "MMD_VENUE: no exchange adapter is called 'binanse' (installed: binance" in text


def test_an_option_that_the_adapter_has_not_is_refused(tmp_path: Path) -> None:
    text = problems(tmp_path, {"MMD_EXCHANGE__OPTIONS__EXCHANGE_ID": "kraken"})
    assert "options.exchange_id is no option of this venue's adapter (it has none)" in text
    (tmp_path / "mmd.toml").write_text("[exchange.options]\nnonsense = '1'\n")
    assert "options.nonsense is no option" in problems(tmp_path, {})


def test_a_key_is_of_one_kind(tmp_path: Path) -> None:
    both = {"MMD_EXCHANGE__API_SECRET": "s", "MMD_EXCHANGE__ED25519_PRIVATE_KEY": "PEM"}
    assert "keep that one" in problems(tmp_path, both)


def test_an_ed25519_key_comes_from_a_file(tmp_path: Path) -> None:
    pem = tmp_path / "key.pem"
    pem.write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
    settings = load(tmp_path, {"MMD_EXCHANGE__ED25519_PRIVATE_KEY_FILE": str(pem)})
    assert settings.exchange.uses_ed25519
    assert settings.exchange.ed25519_private_key is not None
    assert settings.exchange.ed25519_private_key.get_secret_value().startswith("-----BEGIN PRIVATE KEY-----\nabc")


# ---- promotion


def card(stage: Stage) -> Card:
    shipped = Path("models/quote-v1/card.json")
    return msgspec.structs.replace(decode_card(shipped.read_bytes(), str(shipped)), stage=stage)


@pytest.mark.parametrize("mode", list(STAGE_OF_MODE))
@pytest.mark.parametrize("stage", STAGES)
def test_a_bundle_below_the_modes_stage_is_refused_unless_named(mode: Mode, stage: Stage) -> None:
    if STAGES.index(stage) >= STAGES.index(STAGE_OF_MODE[mode]):
        assert check_promotion(mode, "neural", card(stage), "") == ""
        return
    for accepted in ("", "neural", "quote-v2"):
        with pytest.raises(PromotionRefused) as refused:
            check_promotion(mode, "neural", card(stage), accepted)
        text = str(refused.value)
        assert f"is at stage {stage}, but mode {mode} asks for stage {STAGE_OF_MODE[mode]}" in text
        assert "mmd promote" in text
        assert "networks.accept_unpromoted=quote-v1" in text
    assert "TRADING AN UNPROMOTED BUNDLE: quote-v1" in check_promotion(mode, "neural", card(stage), "quote-v1")


def test_live_asks_more_than_every_other_mode() -> None:
    assert STAGE_OF_MODE["live"] == "live"
    assert [mode for mode, stage in STAGE_OF_MODE.items() if stage == "none"] == ["mock"]


def test_a_strategy_without_networks_trades_live_only_when_named() -> None:
    for mode in STAGE_OF_MODE:
        if mode != "live":
            assert check_promotion(mode, "avellaneda-stoikov", None, "") == ""
    with pytest.raises(PromotionRefused, match="accept_unpromoted=avellaneda-stoikov"):
        check_promotion("live", "avellaneda-stoikov", None, "quote-v1")
    assert "WITHOUT A PROMOTED BUNDLE" in check_promotion("live", "avellaneda-stoikov", None, "avellaneda-stoikov")
