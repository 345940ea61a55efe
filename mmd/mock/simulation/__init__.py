"""The simulated market: seeded participants on virtual time who trade through the matching engine like anybody else."""

from mmd.mock.simulation.market import SimulatedMarket
from mmd.mock.simulation.parameters import (
    STRONGLY_INFORMED,
    InformedParameters,
    MakerParameters,
    SimulationParameters,
    SymbolParameters,
)
from mmd.mock.simulation.symbols import symbol_parameters

__all__ = [
    "STRONGLY_INFORMED",
    "InformedParameters",
    "MakerParameters",
    "SimulatedMarket",
    "SimulationParameters",
    "SymbolParameters",
    "symbol_parameters",
]
