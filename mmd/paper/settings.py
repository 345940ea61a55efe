"""The paper account: what it begins with, what trading costs, and how long an order takes."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class PaperSettings(BaseModel):
    """Paper trading, of a spot account."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    balances: dict[str, Decimal] = Field(
        default={"USDT": Decimal(10_000), "BTC": Decimal("0.1"), "ETH": Decimal(3), "BNB": Decimal(10)},
        description="What the account holds when it is opened, units by asset, as `paper.balances.USDT`. Setting one replaces all.",
    )
    maker_fee: Decimal = Field(
        default=Decimal("0.001"), gt=-1, lt=1, description="Fee of the maker, fraction of what it receives; below zero a rebate."
    )
    taker_fee: Decimal = Field(default=Decimal("0.001"), gt=-1, lt=1, description="Fee of the taker, fraction of what it receives.")
    order_latency_ms: float = Field(
        default=10.0, gt=0, le=10_000, description="From our decision until the order is in the queue of the market, ms."
    )
    response_latency_ms: float = Field(
        default=10.0, gt=0, le=10_000, description="From what happens to an order until we hear of it, ms."
    )

    @field_validator("balances", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        """Environment variables come in lower case."""
        return {str(asset).upper(): amount for asset, amount in value.items()} if isinstance(value, dict) else value

    @field_validator("balances")
    @classmethod
    def _not_negative(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for asset, amount in value.items():
            if amount < 0:
                raise ValueError(f"balance of {asset} is {amount}: it must not be below zero")
            if amount != round(amount, 8):
                raise ValueError(f"balance of {asset} is {amount}: more than eight decimals")
        return value
