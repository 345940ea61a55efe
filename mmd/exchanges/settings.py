"""What every adapter is told: where its venue is, who we are there, how patient we are. An adapter may add options of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

Profile = Literal["mock", "testnet", "demo", "live"]
S = TypeVar("S", bound="ExchangeSettings")
URL_NAMES = ("rest_url", "stream_url", "websocket_api_url")

LIVE_CONFIRMATION = "I accept that this trades real money"
"""What `live_confirmation` must say, to the letter, before an order goes to the live venue."""


class AdapterOptions(BaseModel):
    """Settings that only one adapter has; a subclass of an adapter's own. An unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExchangeSettings(BaseModel):
    """Common to all adapters. An adapter's subclass names the URLs of its profiles and the class of its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile_urls: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """By profile: the URLs that are used where none is set."""
    options_class: ClassVar[type[AdapterOptions]] = AdapterOptions

    profile: Profile = Field(
        default="mock", description="which venue: our mock exchange, the venue's test network, its demo mode, or the live market"
    )
    live_confirmation: str = Field(
        default="", description=f'the second setting without which nothing trades live; it must say "{LIVE_CONFIRMATION}"'
    )
    rest_url: str = Field(default="", description="base of the REST API, without /api (default: the profile's)")
    stream_url: str = Field(default="", description="base of the market streams, without /stream (default: the profile's)")
    websocket_api_url: str = Field(default="", description="the WebSocket API, whole (default: the profile's)")
    api_key: str = Field(default="", description="API key; needed for order entry")
    api_secret: SecretStr = Field(default=SecretStr(""), description="HMAC secret of that key")
    api_passphrase: SecretStr = Field(
        default=SecretStr(""), description="passphrase of that key, where the venue has one (through ccxt: OKX, KuCoin and others)"
    )
    ed25519_private_key: SecretStr | None = Field(
        default=None, description="PEM text of an Ed25519 private key, used instead of the HMAC secret"
    )
    recv_window_ms: int = Field(
        default=1500, gt=0, le=2000, description="ms after its timestamp within which the venue may still accept a request"
    )
    announcements: bool | None = Field(
        default=None, description="subscribe to a replaying mock's announcements (default: with the mock profile only)"
    )
    market_data_idle_seconds: float = Field(
        default=10.0, gt=0, description="s without a market message after which the stream is reconnected"
    )
    order_entry_idle_seconds: float = Field(
        default=10.0, gt=0, description="s of silence on order entry after which we ping, and as long again to wait for the pong"
    )
    connect_timeout_seconds: float = Field(
        default=10.0, gt=0, description="s for a connection with its handshake and subscription to stand"
    )
    request_timeout_seconds: float = Field(
        default=3.0, gt=0, description="s without a reply after which an order request's outcome is unknown"
    )
    rest_timeout_seconds: float = Field(default=5.0, gt=0, description="s for one REST request")
    max_requests_in_flight: int = Field(default=500, gt=0, description="order requests that may await a reply at once")
    max_connection_age_seconds: float = Field(
        default=23.5 * 3600, gt=0, description="s after which a connection is renewed (the venue ends them at 24 h)"
    )
    renewal_overlap_seconds: float = Field(
        default=1.0, gt=0, description="s for which an old connection is kept beside its successor"
    )
    backoff_first_seconds: float = Field(
        default=0.25, gt=0, description="s of the first wait before a connection is tried again; doubles each time"
    )
    backoff_cap_seconds: float = Field(default=30.0, gt=0, description="s of the longest such wait")
    backoff_reset_seconds: float = Field(
        default=60.0, gt=0, description="s a connection must have stood for the wait to begin anew"
    )
    clock_refresh_seconds: float = Field(default=60.0, gt=0, description="s between measurements of the venue's clock")
    clock_probes: int = Field(
        default=5, gt=0, le=20, description="requests per measurement; the one with the shortest round trip counts"
    )
    options: dict[str, str] = Field(
        default={}, description="what only this venue's adapter can be told, as `exchange.options.NAME` (see docs/how-to/venues.md)"
    )

    @model_validator(mode="before")
    @classmethod
    def _profile_urls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, url in cls.profile_urls.get(filled.get("profile", "mock"), {}).items():
            if not filled.get(name):
                filled[name] = url
        return filled

    @model_validator(mode="after")
    def _one_key(self) -> ExchangeSettings:
        if self.ed25519_private_key is not None and self.api_secret.get_secret_value():
            raise ValueError("both api_secret and ed25519_private_key are set: an API key has one or the other; keep that one")
        return self

    @property
    def adapter_options(self) -> AdapterOptions:
        """The options as the adapter's own class. Raises `ValueError` naming the option and those there are."""
        known = self.options_class.model_fields
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"options.{unknown[0]} is no option of this venue's adapter ({there})")
        try:
            return self.options_class.model_validate(self.options)
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            raise ValueError(f"options.{'.'.join(map(str, found['loc']))}: {found['msg']}") from error

    @property
    def account_name(self) -> str:
        """What tells one account's state from another's, beside venue and profile; empty where nothing more is needed."""
        return ""

    @property
    def subscribes_announcements(self) -> bool:
        """Whether the stream `mmd@announcement` is asked for."""
        return self.profile == "mock" if self.announcements is None else self.announcements

    @property
    def uses_ed25519(self) -> bool:
        """Whether requests are authorised by an Ed25519 session rather than by HMAC each."""
        return self.ed25519_private_key is not None


def specialised(adapter_class: type[S], settings: ExchangeSettings) -> S:
    """The same settings as an adapter's own class, with the URLs of its profile. Raises `ValueError` for options it has not."""
    if isinstance(settings, adapter_class) and type(settings) is not ExchangeSettings:
        return settings
    own = adapter_class.model_validate(settings.model_dump(exclude_unset=True))
    _ = own.adapter_options
    return own
