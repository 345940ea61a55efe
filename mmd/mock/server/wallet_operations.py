"""Stand-ins for the wallet's and the margin desk's endpoints (/sapi) that clients call when they start."""

from __future__ import annotations

import msgspec

from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue
from mmd.types.instrument import atoms_text

_NO_AMOUNT = "0"


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """The one network on which an asset would move, closed for both ways."""

    network: str
    coin: str
    name: str
    isDefault: bool = True
    depositEnable: bool = False
    withdrawEnable: bool = False
    withdrawFee: str = _NO_AMOUNT
    withdrawMin: str = _NO_AMOUNT
    withdrawMax: str = _NO_AMOUNT
    withdrawIntegerMultiple: str = "0.00000001"
    withdrawInternalMin: str = _NO_AMOUNT
    depositDust: str = _NO_AMOUNT
    addressRegex: str = ""
    memoRegex: str = ""
    specialTips: str = ""
    depositDesc: str = "the mock exchange takes no deposits here"
    withdrawDesc: str = "the mock exchange pays nothing out"
    minConfirm: int = 1
    unLockConfirm: int = 0
    estimatedArrivalTime: int = 1
    sameAddress: bool = False
    busy: bool = False
    resetAddressStatus: bool = False


class Coin(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of the account."""

    coin: str
    name: str
    free: str
    locked: str
    freeze: str = _NO_AMOUNT
    ipoable: str = _NO_AMOUNT
    ipoing: str = _NO_AMOUNT
    storage: str = _NO_AMOUNT
    withdrawing: str = _NO_AMOUNT
    depositAllEnable: bool = False
    withdrawAllEnable: bool = False
    isLegalMoney: bool = False
    trading: bool = True
    networkList: list[Network]


class TradeFee(msgspec.Struct, frozen=True):
    """Fees of one symbol."""

    symbol: str
    makerCommission: str
    takerCommission: str


def _coins(venue: Venue, caller: Caller, parameters: Parameters) -> list[Coin]:
    return [
        Coin(
            coin=balance.asset,
            name=balance.asset,
            free=atoms_text(balance.free_atoms),
            locked=atoms_text(balance.locked_atoms),
            networkList=[Network(network=balance.asset, coin=balance.asset, name=balance.asset)],
        )
        for balance in venue.engine.balances(caller.account)
    ]


def _no_pairs(venue: Venue, caller: Caller, parameters: Parameters) -> list[object]:
    return []


def _trade_fees(venue: Venue, caller: Caller, parameters: Parameters) -> list[TradeFee]:
    rates = venue.commission_rates()
    symbols = [venue.symbol(parameters.symbol_text())] if "symbol" in parameters else list(venue.texts)
    return [TradeFee(symbol, rates["maker"], rates["taker"]) for symbol in symbols]


WALLET_OPERATIONS = (
    Operation(
        handler=_coins,
        summary="assets of the account; none can be deposited or withdrawn",
        rest=("GET", "/sapi/v1/capital/config/getall"),
        security=Security.SIGNED,
        weight=10,
    ),
    Operation(
        handler=_no_pairs,
        summary="margin pairs: none",
        rest=("GET", "/sapi/v1/margin/allPairs"),
        security=Security.KEY,
        parameters=names("symbol"),
    ),
    Operation(
        handler=_no_pairs,
        summary="isolated margin pairs: none",
        rest=("GET", "/sapi/v1/margin/isolated/allPairs"),
        security=Security.KEY,
        parameters=names("symbol"),
    ),
    Operation(
        handler=_trade_fees,
        summary="fees of one symbol, or of all",
        rest=("GET", "/sapi/v1/asset/tradeFee"),
        security=Security.SIGNED,
        parameters=names("symbol"),
    ),
)
