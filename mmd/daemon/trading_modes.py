"""What each trading mode asks for before an order may leave: the venue's profile, a confirmation, a promoted bundle.

The rules, in one place:

- The mode and `exchange.profile` are the same thing said twice; one may be left out. Paper takes the market of any profile.
- `live` needs `exchange.live_confirmation`, to the letter.
- A strategy on networks needs a bundle whose stage is at least the mode's (`STAGE_OF_MODE`).
- `live` needs a promoted bundle, so that a strategy without one is refused there.
- `networks.accept_unpromoted` lifts the last two, for the one bundle (or the one strategy) that it names; that is logged loudly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mmd.exchanges.settings import LIVE_CONFIRMATION, URL_NAMES, ExchangeSettings
from mmd.inference.card import STAGES, Card, Stage
from mmd.inference.errors import BundleError
from mmd.trader.settings import Mode

DEFAULT_MODE: Mode = "mock"
STAGE_OF_MODE: Mapping[Mode, Stage] = {
    "mock": "none",
    "testnet": "backtest",
    "demo": "backtest",
    "paper": "paper",
    "live": "live",
}
PAPER_PROFILE = "live"
"""Whose market paper mode reads where nothing is said: real prices are its point, and nothing is sent."""

REAL_VENUE_DOMAINS = ("binance.com", "binance.vision", "binance.us", "binancefuture.com")


class PromotionRefused(BundleError):
    """A bundle, or a strategy without one, that has not reached the stage which the trading mode asks for."""


def with_mode_and_profile(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with the one of `mode` and `exchange.profile` that was left out."""
    exchange = values.get("exchange", {})
    if not isinstance(exchange, Mapping):
        return dict(values)
    profile = exchange.get("profile")
    mode = values.get("mode") or profile or DEFAULT_MODE
    if not profile and mode in STAGE_OF_MODE:
        exchange = {**exchange, "profile": PAPER_PROFILE if mode == "paper" else mode}
    return {**values, "mode": mode, "exchange": exchange}


def check_mode(mode: Mode, exchange: ExchangeSettings) -> None:
    """Raises `ValueError` where orders would go elsewhere than the mode says, or real money lacks its confirmation."""
    profile = exchange.profile
    if mode not in ("paper", profile):
        raise ValueError(
            f"mode is {mode!r}, but exchange.profile is {profile!r}: orders would go elsewhere than the mode says. "
            "Leave one of them out"
        )
    if mode == "live" and exchange.live_confirmation != LIVE_CONFIRMATION:
        said = "it says something else" if exchange.live_confirmation else "it is not set"
        raise ValueError(
            "mode is 'live', which trades real money and needs a second setting: exchange.live_confirmation "
            f'(MMD_EXCHANGE__LIVE_CONFIRMATION) must say "{LIVE_CONFIRMATION}", and {said}. '
            "To look without risk use mode paper, testnet or demo"
        )
    if mode != "paper":
        _check_hosts(mode, exchange)


def _check_hosts(mode: Mode, exchange: ExchangeSettings) -> None:
    """A real venue's address under another mode's name would make orders real, or make real ones pretended."""
    own = {urlsplit(url).hostname for url in exchange.profile_urls.get(mode, {}).values()}
    others = {
        urlsplit(url).hostname for profile, urls in exchange.profile_urls.items() if profile != mode for url in urls.values()
    } - own
    for name in URL_NAMES:
        host = (urlsplit(getattr(exchange, name)).hostname or "").rstrip(".")
        real = any(host == domain or host.endswith(f".{domain}") for domain in REAL_VENUE_DOMAINS)
        if real and host not in own and (mode != "live" or host in others):
            raise ValueError(
                f"mode is {mode!r}, but exchange.{name} is the real venue {host}: leave it out, and the one of {mode} is used"
            )


def check_promotion(mode: Mode, strategy: str, card: Card | None, accepted: str) -> str:
    """Whether this may trade in this mode. Returns a warning to log loudly, empty where nothing is unusual.

    `card` is None for a strategy without networks; `accepted` is the setting `networks.accept_unpromoted`.
    Raises `PromotionRefused`.
    """
    needed = STAGE_OF_MODE[mode]
    if card is None:
        if mode != "live":
            return ""
        if accepted == strategy:
            return f"TRADING LIVE WITHOUT A PROMOTED BUNDLE: networks.accept_unpromoted names the strategy {strategy}"
        raise PromotionRefused(
            f"mode live needs a promoted bundle, and strategy {strategy} uses none. Trade a bundle of stage live, or set "
            f"networks.accept_unpromoted={strategy} to say that you trade this one without"
        )
    if STAGES.index(card.stage) >= STAGES.index(needed):
        return ""
    if accepted == card.name:
        return (
            f"TRADING AN UNPROMOTED BUNDLE: {card.name} {card.version} is at stage {card.stage}, mode {mode} asks for {needed}, "
            "and networks.accept_unpromoted names it"
        )
    raise PromotionRefused(
        f"bundle {card.name} {card.version} is at stage {card.stage}, but mode {mode} asks for stage {needed}. Promote it with "
        f"`mmd promote` on evidence, or set networks.accept_unpromoted={card.name} to trade it all the same"
    )
