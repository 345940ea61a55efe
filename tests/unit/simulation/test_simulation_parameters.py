from __future__ import annotations

import pytest
from pydantic import ValidationError

from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters, SymbolParameters


def test_defaults_name_both_symbols() -> None:
    assert [each.symbol for each in SimulationParameters().symbols] == ["BTCUSDT", "ETHUSDT"]


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(ValidationError, match="extra"):
        SimulationParameters.model_validate({"spread": 1})


def test_an_explosive_order_flow_is_refused() -> None:
    rows = tuple(tuple(1.2 if i == j else 0.0 for j in range(6)) for i in range(6))
    with pytest.raises(ValidationError, match="spectral radius"):
        SimulationParameters(children=rows)


def test_a_misshapen_order_flow_is_refused() -> None:
    with pytest.raises(ValidationError, match="6 rows of 6"):
        SimulationParameters(children=((0.1, 0.1), (0.1, 0.1)))


def test_rungs_must_rise() -> None:
    maker = SimulationParameters().makers[0].model_dump() | {"rungs": (0, 2, 2)}
    with pytest.raises(ValidationError, match="rungs"):
        SimulationParameters.model_validate({"makers": [maker]})


def test_a_symbol_may_appear_once() -> None:
    twice = (SimulationParameters().symbols[0],) * 2
    with pytest.raises(ValidationError, match="each may appear once"):
        SimulationParameters(symbols=twice)


def test_a_symbol_that_the_engine_lacks_is_named() -> None:
    symbol = SimulationParameters().symbols[0].model_dump() | {"symbol": "DOGEUSDT"}
    parameters = SimulationParameters(symbols=(SymbolParameters.model_validate(symbol),))
    with pytest.raises(ValueError, match="lists no DOGEUSDT"):
        SimulatedMarket(MatchingEngine(listed(["BTCUSDT"])), parameters, seed=1, start_ns=0)
