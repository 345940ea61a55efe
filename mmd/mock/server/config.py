"""Settings of the mock exchange."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from mmd.mock.engine import SelfTradePrevention
from mmd.mock.futures.config import FuturesConfig


class RateLimits(BaseModel):
    """What the venue allows, in calendar-aligned intervals. Weight and requests per address, orders per account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_per_minute: int = Field(default=6000, description="request weight per address and minute", gt=0)
    orders_per_10_seconds: int = Field(default=100, description="unfilled orders per account and 10 s", gt=0)
    orders_per_day: int = Field(default=200_000, description="unfilled orders per account and UTC day", gt=0)
    requests_per_5_minutes: int = Field(default=300_000, description="raw requests per address and 5 min", gt=0)
    refusals_before_ban: int = Field(
        default=20, description="429 answers within one interval after which an address is banned (418)", gt=0
    )
    first_ban_seconds: int = Field(default=120, description="length of the first ban, s; it doubles up to 3 days", gt=0)
    connections_per_5_minutes: int = Field(default=300, description="websocket connection attempts per address and 5 min", gt=0)
    stream_messages_per_second: int = Field(default=5, description="incoming messages per stream connection and second", gt=0)
    streams_per_connection: int = Field(default=1024, description="streams on one connection", gt=0)
    maker_fill_credit: int = Field(default=5, description="unfilled orders forgiven by an order's first fill as a maker", ge=1)


class MockConfig(BaseModel):
    """One mock exchange. The defaults serve a simulated market of two symbols to two funded accounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=0, description="TCP port; 0 takes a free one", ge=0, le=65535)
    tls: bool = Field(default=False, description="HTTPS and WSS instead of HTTP and WS")
    tls_certificate: Path | None = Field(
        default=None, description="certificate in PEM; without one the exchange signs its own, kept in `state_dir`"
    )
    tls_key: Path | None = Field(default=None, description="private key of that certificate, in PEM")
    symbols: tuple[str, ...] = Field(default=("BTCUSDT", "ETHUSDT"), description="symbols served", min_length=1)
    accounts: Mapping[str, str] = Field(
        default={"K1": "S1", "K2": "S2"}, description="HMAC keys: KEY to SECRET; also given as a list of KEY:SECRET texts"
    )
    public_keys: Mapping[str, str] = Field(default={}, description="Ed25519 (or RSA) keys: KEY to the public key in PEM")
    key_accounts: Mapping[str, str] = Field(
        default={}, description="account that a key opens, where it is not one of its own (a guard's key to the trader's account)"
    )
    balances: Mapping[str, Decimal] = Field(
        default={"USDT": Decimal(1_000_000), "BTC": Decimal(20), "ETH": Decimal(300), "BNB": Decimal(100)},
        description="initial balance of every account, in units of each asset; of other assets listed, 1,000,000 dollars' worth",
    )
    maker_fee: Decimal = Field(
        Decimal(0), description="fee of the maker as a fraction of what it receives; negative is a rebate", lt=1, gt=-1
    )
    taker_fee: Decimal = Field(
        default=Decimal("0.0005"), description="fee of the taker as a fraction of what it receives", lt=1, gt=-1
    )
    self_trade_prevention: SelfTradePrevention = Field(
        default=SelfTradePrevention.NONE, description="what happens where an order without a mode of its own meets its own account"
    )
    market: Literal["simulated", "none"] = Field(default="simulated", description="who trades beside the accounts")
    informed: Literal["none", "usual", "strong"] = Field(
        default="usual", description="simulated traders who know what comes: none of them, the calibrated ones, or many"
    )
    min_spread_ticks: int = Field(default=1, description="least spread of the simulated participants, ticks", ge=1)
    replay: tuple[Path, ...] = Field(default=(), description="recordings that are the market; `symbols` are then theirs")
    seed: int = Field(default=1, description="seed of the simulated market")
    speed: float = Field(
        default=1.0, description="market time per wall time; events bear market time, requests are checked against wall time", gt=0
    )
    legacy_listen_keys: bool = Field(
        default=False, description="serve listen keys too, which Binance Spot gave up on 2026-02-20 but older clients still ask for"
    )
    state_dir: Path | None = Field(
        default=None, description="directory in which accounts, orders, trades and ids survive a restart"
    )
    state_interval: float = Field(
        default=0.5, description="a change is in a checkpoint after about so long (in the journal it is at once), s", gt=0
    )
    pump_interval: float = Field(default=0.002, description="time between two advances of the market, s", gt=0)
    pump_slice: float = Field(default=0.05, description="most market time played at once when behind, s", gt=0)
    fast_depth_interval: float = Field(default=0.1, description="interval of the @100ms depth streams, s of market time", gt=0)
    slow_depth_interval: float = Field(default=1.0, description="interval of the other depth streams, s of market time", gt=0)
    ping_interval: float = Field(default=20.0, description="time between pings of the server, s", gt=0)
    pong_timeout: float = Field(default=60.0, description="a peer that has not ponged for so long is dropped, s", gt=0)
    max_connection_age: float = Field(default=86_400.0, description="a connection lives at most so long, s", gt=0)
    max_incoming_bytes: int = Field(
        default=1024 * 1024, description="largest message a client may send on a websocket; a larger one ends the connection", gt=0
    )
    max_send_buffer: int = Field(
        default=4 * 1024 * 1024, description="bytes waiting for one connection beyond which it is closed", gt=0
    )
    close_grace: float = Field(default=1.0, description="time a slow consumer is given to take the close frame, s", gt=0)
    scenario: Path | None = Field(default=None, description="file that says which faults begin when")
    admin_token: SecretStr | None = Field(
        default=None, description="token that opens the admin endpoint; without one it is open to loopback alone"
    )
    futures: FuturesConfig = Field(default=FuturesConfig(), description="USD-M futures beside the spot market")
    rate_limits: RateLimits = Field(default=RateLimits(), description="limits of requests, orders and connections")

    @field_validator("accounts", mode="before")
    @classmethod
    def _split_pairs(cls, value: object) -> object:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        pairs: dict[str, str] = {}
        for text in value:
            key, separator, secret = str(text).partition(":")
            if not separator or not key or not secret:
                raise ValueError(f"account {key!r} is not of the form KEY:SECRET")
            pairs[key] = secret
        return pairs

    @model_validator(mode="after")
    def _check(self) -> MockConfig:
        both = self.accounts.keys() & self.public_keys.keys()
        if both:
            raise ValueError(f"key {min(both)!r} is both an HMAC and a public key: rename one")
        known = self.accounts.keys() | self.public_keys.keys()
        for key in self.key_accounts:
            if key not in known:
                raise ValueError(f"key_accounts names the unknown key {key!r}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("a TLS certificate goes with its key: give both tls_certificate and tls_key, or neither")
        if self.slow_depth_interval < self.fast_depth_interval:
            raise ValueError("slow_depth_interval must not be shorter than fast_depth_interval")
        for asset, amount in self.balances.items():
            if amount < 0 or not amount.is_finite():
                raise ValueError(f"initial balance of {asset} is {amount}: it must be finite and not below zero")
        return self

    def account_of(self, key: str) -> str:
        """The account that an API key opens."""
        return self.key_accounts.get(key, key)

    @property
    def account_names(self) -> tuple[str, ...]:
        """Every account, once, in the order its keys are listed."""
        return tuple(dict.fromkeys(self.account_of(key) for key in (*self.accounts, *self.public_keys)))
