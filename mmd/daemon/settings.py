"""Everything a person may set, composed of the rooms' own settings. How it is read and merged is in `settings_sources`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from mmd.daemon.guard_settings import GuardSettings
from mmd.daemon.signal_feed import SignalSettings
from mmd.daemon.trading_modes import DEFAULT_MODE, check_mode, with_mode_and_profile
from mmd.exchanges.adapter import AdapterError, settings_class_of
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.settings import ExchangeSettings, specialised
from mmd.execution.settings import ExecutionSettings
from mmd.inference.settings import GateSettings
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.journal.settings import JournalSettings
from mmd.ledger.settings import LedgerSettings
from mmd.paper.settings import PaperSettings
from mmd.quoting.settings import QuotingSettings
from mmd.recording.settings import RecordingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader.settings import Mode, ReconciliationSettings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ControlSettings(BaseModel):
    """The HTTP port of /halt, /resume, /state, /metrics, /healthz and /readyz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but a loopback address needs a token.")
    port: int = Field(8780, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    token: SecretStr | None = Field(None, description="Bearer token that every request but /healthz must then carry.")
    tls_certificate: Path | None = Field(
        None, description="Certificate chain in PEM: the port then speaks HTTPS, and `mmd halt` and the like trust this file."
    )
    tls_key: Path | None = Field(None, description="Private key of that certificate, PEM.")
    plain_http: bool = Field(
        False,
        description="Let others reach it without TLS: a proxy or a network of its own sees to that.",
    )
    halt_wait_seconds: float = Field(
        3.0, ge=0, le=30, allow_inf_nan=False, description="Longest time /halt waits for its orders to be confirmed gone, seconds."
    )

    @model_validator(mode="after")
    def _guarded(self) -> ControlSettings:
        if self.token is not None and len(self.token.get_secret_value()) < 16:
            raise ValueError("token is too short to guard anything: use at least 16 characters")
        if self.token is None and not is_loopback(self.host):
            raise ValueError(f"host {self.host!r} can be reached from other machines: set token as well, or use 127.0.0.1")
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or neither")
        if not (self.tls_certificate or self.plain_http or is_loopback(self.host)):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines, and the token would travel in the clear: set "
                "tls_certificate and tls_key, or plain_http=true where a proxy or a network of its own sees to it"
            )
        return self


class LoggingSettings(BaseModel):
    """Where the log goes. Nothing is logged on the way of a tick."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is logged.")
    format: Literal["console", "json"] = Field(
        "console", description="Lines for people, or one JSON object a line (standard error)."
    )
    file: Path | None = Field(None, description="Log into this file too, always as JSON.")
    max_file_bytes: int = Field(10_000_000, ge=10_000, le=10**10, description="Size at which the file is rotated, bytes.")
    kept_files: int = Field(5, ge=1, le=1000, description="Rotated files that are kept, count.")


class NetworkSettings(BaseModel):
    """The networks' bundle, and when their word is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bundle: Path = Field(
        DEFAULT_BUNDLE,
        description="Folder of the bundle. A relative one is looked for here, beside the source, and at the root of an image.",
    )
    challenger: Path | None = Field(
        None, description="Folder of a bundle that is watched in shadow, on the same ticks, without quoting; none by default."
    )
    runtime: Literal["auto", "ai-edge-litert", "tflite-runtime"] = Field(
        "auto", description="Which TensorFlow Lite runtime; `auto` takes the first that is installed."
    )
    accept_unpromoted: str = Field(
        "",
        description="Name of the one bundle (or of the one strategy without networks) that may trade although it has not reached "
        "the stage which the mode asks for.",
    )
    session_gap_seconds: float = Field(
        5.0, gt=0, le=3600, description="Silence of the market data after which features and recurrent state begin anew, seconds."
    )
    cross_asset_symbols: tuple[str, ...] = Field(
        (),
        description="Symbols at whose markets the cross-asset network looks beside a quoted one's, the first as many as it has "
        "places for. Empty: all of `symbols` and `reference_symbols`, in that order.",
    )
    gate: GateSettings = Field(GateSettings(), description="The gate before the networks.")

    @field_validator("cross_asset_symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class ProcessSettings(BaseModel):
    """The event loop and its supervision."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    timer_interval_ms: int = Field(50, ge=5, le=1000, description="Time between two timer events of the core, ms.")
    shutdown_deadline_seconds: float = Field(
        5.0, gt=0, le=300, description="Longest wait for every order to be confirmed gone when leaving, seconds."
    )
    stall_seconds: float = Field(
        10.0, gt=0, le=300, description="An event loop that has not turned for so long is halted by the watchdog, seconds."
    )
    shadow_tick_ms: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Silence of the market data after which a made-up tick keeps the path of real ones warm, again and again, ms; "
        "0: never. It costs a tenth of a core or two and about halves the latency of a quiet market.",
    )
    busy_poll: bool = Field(
        False,
        description="Never let the event loop sleep: it takes a whole core, and about halves the time from a tick to its orders. "
        "For a machine with a core to spare.",
    )
    collect_interval_seconds: float = Field(
        10.0, gt=0, le=3600, description="Time between two garbage collections, made when the market is quiet, seconds."
    )


class Settings(BaseModel):
    """The daemon's whole configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(
        DEFAULT_MODE,
        description="Where orders go: our mock exchange, the venue's test network or demo mode, nowhere (paper: matched here, on "
        "the venue's market), or the live market, which is real money. Left out, it is `exchange.profile`.",
    )
    venue: str = Field("binance", min_length=1, description="Exchange adapter, by its entry point in `mmd.exchanges`.")
    symbols: tuple[str, ...] = Field(("BTCUSDT",), min_length=1, description="Symbols to quote, separated by commas.")
    reference_symbols: tuple[str, ...] = Field(
        (), description="Symbols whose market is followed but never quoted, separated by commas: they tell of the quoted ones."
    )
    state_dir: Path = Field(Path("state"), description="Directory of latch, checkpoint and lock. Each account needs its own.")
    client_order_id_prefix: str = Field(
        "mmd", pattern=r"^[A-Za-z0-9_]{1,12}$", description="Begins every client order id: by it our orders are told from others'."
    )
    exchange: ExchangeSettings = Field(BinanceSettings(), description="The venue.")
    paper: PaperSettings = Field(PaperSettings(), description="The account of paper mode.")
    quoting: QuotingSettings = Field(QuotingSettings(), description="What we want to show.")
    execution: ExecutionSettings = Field(ExecutionSettings(), description="How orders are watched.")
    risk: RiskLimits = Field(RiskLimits(), description="What we may do.")
    reconciliation: ReconciliationSettings = Field(ReconciliationSettings(), description="Comparison with the venue's books.")
    networks: NetworkSettings = Field(NetworkSettings(), description="The networks.")
    signals: SignalSettings = Field(SignalSettings(), description="External signals.")
    recording: RecordingSettings = Field(RecordingSettings(), description="Recording of the market data.")
    journal: JournalSettings = Field(JournalSettings(), description="The journal: every input and command of a session.")
    ledger: LedgerSettings = Field(LedgerSettings(), description="The ledger of orders, fills, positions and halts.")
    control: ControlSettings = Field(ControlSettings(), description="The control port.")
    guard: GuardSettings = Field(GuardSettings(), description="The guard.")
    logging: LoggingSettings = Field(LoggingSettings(), description="The log.")
    process: ProcessSettings = Field(ProcessSettings(), description="The event loop.")

    @model_validator(mode="before")
    @classmethod
    def _mode_and_profile(cls, values: Any) -> Any:
        return with_mode_and_profile(values) if isinstance(values, dict) else values

    @field_validator("venue")
    @classmethod
    def _installed(cls, value: str) -> str:
        try:
            if value == "paper":
                raise AdapterError("paper is a mode, not a venue: set mode=paper, and venue to the one whose market it reads")
            settings_class_of(value)
        except AdapterError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("exchange")
    @classmethod
    def _of_the_venue(cls, value: ExchangeSettings, info: ValidationInfo) -> ExchangeSettings:
        """Each adapter has its own class of these settings: its URLs, its options."""
        return specialised(settings_class_of(info.data["venue"]), value) if "venue" in info.data else value

    @field_validator("symbols", "reference_symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("symbols", "reference_symbols")
    @classmethod
    def _plausible(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in value:
            if not symbol.isalnum() or symbol != symbol.upper():
                raise ValueError(f"symbol {symbol!r} must be letters and digits in upper case, as BTCUSDT")
        if len(set(value)) != len(value):
            raise ValueError("a symbol is named twice")
        return value

    @model_validator(mode="after")
    def _quoted_or_watched(self) -> Settings:
        both = sorted(set(self.symbols) & set(self.reference_symbols))
        if both:
            raise ValueError(f"{', '.join(both)}: in symbols and in reference_symbols; a symbol is quoted or only watched")
        return self

    @model_validator(mode="after")
    def _looked_at_are_there(self) -> Settings:
        missing = sorted(set(self.networks.cross_asset_symbols) - {*self.symbols, *self.reference_symbols})
        if missing:
            raise ValueError(
                f"networks.cross_asset_symbols: {', '.join(missing)} neither in symbols nor in reference_symbols; add it to one"
            )
        return self

    @model_validator(mode="after")
    def _mode_fits_venue(self) -> Settings:
        check_mode(self.mode, self.exchange)
        return self

    @model_validator(mode="after")
    def _guard_is_heard(self) -> Settings:
        """Whoever stood still for so long that the guard halted it must look at the latch before it sends an order."""
        silence, timeout = self.risk.max_timer_silence_seconds, self.guard.timeout_seconds
        if silence >= timeout:
            raise ValueError(
                f"risk.max_timer_silence_seconds ({silence:g}) must be below guard.timeout_seconds ({timeout:g}): "
                "an order could leave between the guard's halt and our hearing of it"
            )
        return self

    @model_validator(mode="after")
    def _windows_agree(self) -> Settings:
        if self.exchange.recv_window_ms > self.execution.receive_window_ms:
            raise ValueError(
                f"exchange.recv_window_ms ({self.exchange.recv_window_ms}) must not pass execution.receive_window_ms "
                f"({self.execution.receive_window_ms}): an unknown order would be given up while it can still arrive"
            )
        return self

    def secrets(self) -> tuple[str, ...]:
        """Every secret in here, in the clear: what a log must mask."""
        found = [value.get_secret_value() for _, value in _leaves(self) if isinstance(value, SecretStr)]
        found.append(self.exchange.api_key)
        return tuple(secret for secret in found if secret)

    @property
    def guard_required(self) -> bool:
        """Whether nothing may be quoted without a guard: as set, else where real money is at stake."""
        return self.mode == "live" if self.guard.required is None else self.guard.required

    @property
    def account(self) -> str:
        """Whose checkpoint this is: venue and profile, so that a mock's or a paper account's is never taken for a live one's."""
        parts = (self.venue, self.exchange.account_name, self.exchange.profile, "paper" if self.mode == "paper" else "")
        return "/".join(part for part in parts if part)


def _leaves(model: BaseModel) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            leaves.extend((f"{name}.{inner}", leaf) for inner, leaf in _leaves(value))
        else:
            leaves.append((name, value))
    return leaves
