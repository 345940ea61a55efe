"""Which networks may serve: those whose stage of promotion the trading mode asks for, or that were accepted by name, loudly."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from mmd.daemon.bundles import PredictorFactory, load_networks
from mmd.daemon.network_switch import NetworkSwitch, SwapRefused
from mmd.daemon.settings import Settings
from mmd.daemon.trading_modes import PromotionRefused, check_promotion
from mmd.inference.bundle import Bundle
from mmd.inference.errors import BundleError
from mmd.inference.predictor import QuotePredictor

log = structlog.get_logger(__name__)


def admitted_networks(
    settings: Settings, symbols: Iterable[str], make: PredictorFactory
) -> tuple[Bundle | None, dict[str, QuotePredictor]]:
    """The bundle that the settings name and its predictors for those of the symbols that are quoted; none where none is asked for.

    Raises `PromotionRefused`, `BundleError`, `RuntimeUnavailable`.
    """
    networks, strategy = settings.networks, settings.quoting.strategy
    if strategy != "neural":
        _warn_loudly(check_promotion(settings.mode, strategy, None, networks.accept_unpromoted))
        return None, {}
    quoted = [symbol for symbol in symbols if symbol in settings.symbols]
    bundle, predictors = load_networks(networks.bundle, quoted, networks.runtime, make)
    _warn_loudly(check_promotion(settings.mode, strategy, bundle.card, networks.accept_unpromoted))
    log.info("bundle loaded", name=bundle.card.name, version=bundle.card.version, digest=bundle.digest)
    return bundle, predictors


def why_not_admitted(settings: Settings, bundle: Bundle) -> str:
    """Empty where it may serve. Networks that come in while the daemon runs obey the same rule as those it starts with."""
    try:
        warning = check_promotion(settings.mode, settings.quoting.strategy, bundle.card, settings.networks.accept_unpromoted)
    except PromotionRefused as error:
        return str(error)
    _warn_loudly(warning)
    return ""


async def begin_challenge(networks: NetworkSwitch, settings: Settings) -> None:
    """Have the bundle that the settings name run in shadow, if they name one. Raises `BundleError`."""
    folder = settings.networks.challenger
    if folder is None:
        return
    try:
        await networks.challenge(folder)
    except SwapRefused as error:
        raise BundleError(f"networks.challenger: {error}") from error


def _warn_loudly(warning: str) -> None:
    if warning:
        log.critical(warning)
