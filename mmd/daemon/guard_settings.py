"""What a person may set of the guard, the process that clears the market when the daemon falls silent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from mmd.exchanges.settings import ExchangeSettings


class GuardSettings(BaseModel):
    """The guard, and whether the daemon insists on one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    required: bool | None = Field(
        None, description="Quote only while a guard's heartbeat is fresh (pause `guard_lost`); left out: in mode live."
    )
    timeout_seconds: float = Field(
        3.0,
        ge=0.5,
        le=60,
        description="Silence of a heartbeat, the daemon's or the guard's, after which it counts as lost, seconds.",
    )
    interval_seconds: float = Field(
        0.25,
        ge=0.05,
        le=5,
        description="Between two looks of the guard at the daemon's heartbeat, and two beats of its own, seconds.",
    )
    patrol_seconds: float = Field(
        5.0,
        ge=0.5,
        le=300,
        description="Between two looks at the venue once the market is clear, while the daemon stays lost, seconds.",
    )
    host: str = Field("127.0.0.1", description="Address of the guard's /healthz, /state and /metrics. It takes no command.")
    port: int = Field(8781, ge=0, le=65535, description="Its TCP port; 0 takes a free one.")
    api_key: str = Field("", description="API key of the guard's own; needed in every mode but mock.")
    api_secret: SecretStr = Field(SecretStr(""), description="HMAC secret of that key.")
    ed25519_private_key: SecretStr | None = Field(
        None, description="PEM text of an Ed25519 private key, used instead of the HMAC secret."
    )

    @model_validator(mode="after")
    def _alive_in_time(self) -> GuardSettings:
        if self.interval_seconds * 2 > self.timeout_seconds:
            raise ValueError(
                f"interval_seconds ({self.interval_seconds:g}) must be at most half of timeout_seconds ({self.timeout_seconds:g}): "
                "one late beat would count as a lost one"
            )
        return self

    def exchange(self, daemon: ExchangeSettings) -> ExchangeSettings:
        """The venue with the guard's key. Raises `ValueError` where it has none and needs one: a shared key is a shared fate."""
        if self.api_key:
            return daemon.model_copy(
                update={
                    "api_key": self.api_key,
                    "api_secret": self.api_secret,
                    "ed25519_private_key": self.ed25519_private_key,
                }
            )
        if daemon.profile != "mock":
            raise ValueError(
                "the guard needs a key of its own (a key that is revoked or banned with the daemon's could cancel nothing): set "
                "guard.api_key and guard.api_secret (MMD_GUARD__API_KEY, MMD_GUARD__API_SECRET_FILE)"
            )
        return daemon
