"""Where the venue is, who we are there, and how patient we are with it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Profile = Literal["mock", "testnet", "demo", "live"]

PROFILE_URLS: dict[str, dict[str, str]] = {
    "mock": {
        "rest_url": "http://127.0.0.1:9080",
        "stream_url": "ws://127.0.0.1:9080",
        "websocket_api_url": "ws://127.0.0.1:9080/ws-api/v3",
    },
    "testnet": {
        "rest_url": "https://testnet.binance.vision",
        "stream_url": "wss://stream.testnet.binance.vision",
        "websocket_api_url": "wss://ws-api.testnet.binance.vision/ws-api/v3",
    },
    "demo": {
        "rest_url": "https://demo-api.binance.com",
        "stream_url": "wss://demo-stream.binance.com",
        "websocket_api_url": "wss://demo-ws-api.binance.com/ws-api/v3",
    },
    "live": {
        "rest_url": "https://api.binance.com",
        "stream_url": "wss://stream.binance.com:9443",
        "websocket_api_url": "wss://ws-api.binance.com:443/ws-api/v3",
    },
}


class BinanceSettings(BaseModel):
    """Binance Spot. URLs left out are those of the profile; secrets come from the environment or secret files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Profile = Field(
        default="mock", description="which venue: our mock exchange, Spot Testnet, Demo Mode or the live market"
    )
    rest_url: str = Field(default="", description="base of the REST API, without /api (default: the profile's)")
    stream_url: str = Field(default="", description="base of the market streams, without /stream (default: the profile's)")
    websocket_api_url: str = Field(default="", description="the WebSocket API, whole (default: the profile's)")
    api_key: str = Field(default="", description="API key; needed for order entry")
    api_secret: SecretStr = Field(default=SecretStr(""), description="HMAC secret of that key")
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

    @model_validator(mode="before")
    @classmethod
    def _profile_urls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, url in PROFILE_URLS.get(filled.get("profile", "mock"), {}).items():
            if not filled.get(name):
                filled[name] = url
        return filled

    @property
    def subscribes_announcements(self) -> bool:
        """Whether the stream `mmd@announcement` is asked for."""
        return self.profile == "mock" if self.announcements is None else self.announcements

    @property
    def uses_ed25519(self) -> bool:
        """Whether requests are authorised by an Ed25519 session rather than by HMAC each."""
        return self.ed25519_private_key is not None
