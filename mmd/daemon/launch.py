"""From settings to exit code: logs, view, event loop, and the summary at the end. What `mmd run` and `mmd demo` share."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console

from mmd.daemon.checkpoint import CheckpointError
from mmd.daemon.control import ControlError
from mmd.daemon.logs import configure_logging
from mmd.daemon.mock_child import MockChild
from mmd.daemon.process import ReportListener, run_daemon
from mmd.daemon.settings import ControlSettings, LoggingSettings, Settings
from mmd.daemon.settings_sources import load_settings
from mmd.daemon.state_lock import StateLockError
from mmd.daemon.view import LiveView, summary_table
from mmd.exchanges.adapter import AdapterError, CredentialsError
from mmd.inference.errors import BundleError, RuntimeUnavailable
from mmd.ledger.store import LedgerError
from mmd.mock.replay import Recording, RecordingError
from mmd.recording.instruments import InstrumentsFileError

CANNOT_START = (
    StateLockError,
    CheckpointError,
    LedgerError,
    AdapterError,
    ControlError,
    BundleError,
    RuntimeUnavailable,
    InstrumentsFileError,
    OSError,
)
DEMO_KEY, DEMO_SECRET = "K1", "S1"
DEMO_SECONDS = 60.0
DEMO_QUOTING: dict[str, Any] = {
    "networks.bundle": "models/simulated-v1",
    "quoting.skew_factor": 1.0,
    "quoting.min_half_spread_ticks": 1.0,
}
"""On the simulated market: networks that were weighed on it, and quotes near the touch, so that a minute shows fills. The default
stands where a market trades about once a minute, and watches for a minute first how far that is."""
FUTURES_VENUE = "binance-usdm"


class LaunchError(RuntimeError):
    """The daemon could not start. The text says why and how to mend it."""


class Output(msgspec.Struct, frozen=True):
    """How a run is shown. `view` None: where standard output is a terminal."""

    title: str
    json: bool
    view: bool | None

    @property
    def live(self) -> bool:
        """Whether the live table is drawn."""
        return not self.json and (sys.stdout.isatty() if self.view is None else self.view)


class DemoOptions(msgspec.Struct, frozen=True):
    """What `mmd demo` is given beside `--set`. `symbols` is separated by commas; without `seconds` a simulation runs a minute."""

    directory: Path
    seconds: float | None
    symbols: str
    seed: int
    speed: float
    replay: tuple[Path, ...] = ()
    """Recordings to play; the symbols are theirs, and their end ends the demo."""


THREAD_SWITCH_SECONDS = 0.0005
"""As long may a thread that writes journal, ledger or a scrape keep the event loop waiting (Python's own default: 5 ms)."""


def launch(settings: Settings, output: Output, seconds: float | None, *, leave_at_recording_end: bool = False) -> int:
    """Trade, print the summary, return the exit code. Raises `LaunchError`."""
    # A core dump would hold every secret.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    logging = _logging(settings, output)
    console = Console()
    try:
        configure_logging(logging, settings.secrets(), console=not output.live)
        with _shown(console if output.live else None, output.title, seconds) as show:
            summary = uvloop.run(
                run_daemon(settings, seconds=seconds, on_report=show, leave_at_recording_end=leave_at_recording_end)
            )
    except CredentialsError as error:
        remedy = "set MMD_EXCHANGE__API_KEY, and MMD_EXCHANGE__API_SECRET_FILE or MMD_EXCHANGE__ED25519_PRIVATE_KEY_FILE"
        raise LaunchError(f"cannot start: {error} ({remedy})") from error
    except CANNOT_START as error:
        raise LaunchError(f"cannot start: {error}") from error
    if output.json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        sys.stdout.flush()
    else:
        console.print(summary_table(summary))
    return summary.exit_code


def launch_demo(options: DemoOptions, output: Output, assigned: Mapping[str, str]) -> int:
    """The same on a mock exchange of its own. Raises `LaunchError`, `MockChildError`, `SettingsError`."""
    seconds = options.seconds
    if seconds is None and not options.replay:
        seconds = DEMO_SECONDS
    with demo_venue(options, assigned) as settings:
        return launch(settings, output, seconds, leave_at_recording_end=bool(options.replay))


@contextmanager
def demo_venue(options: DemoOptions, assigned: Mapping[str, str]) -> Iterator[Settings]:
    """A mock exchange in a process of its own, and settings to trade on it. Raises as `launch_demo`."""
    options.directory.mkdir(parents=True, exist_ok=True)
    symbols = options.symbols
    arguments = ["--seed", str(options.seed), "--speed", str(options.speed)]
    if options.replay:
        symbols = ",".join(_recorded_symbols(options.replay))
        arguments += ["--replay", ",".join(str(path.absolute()) for path in options.replay)]
    else:
        arguments += ["--symbols", symbols]
    futures = assigned.get("venue") == FUTURES_VENUE
    if futures:
        arguments += ["--futures"]
    arguments += ["--account", f"{DEMO_KEY}:{DEMO_SECRET}"]
    prefix = "futures_" if futures else ""
    with MockChild(arguments, log_file=options.directory / "mock.log") as child:
        overrides: dict[str, Any] = {
            "symbols": symbols,
            "state_dir": str(options.directory),
            "control.port": free_control_port(),
            **({} if options.replay else DEMO_QUOTING),
            **assigned,
            "mode": "mock",
            "exchange.api_key": DEMO_KEY,
            "exchange.api_secret": DEMO_SECRET,
            "exchange.rest_url": child.urls["rest"],
            **{f"exchange.{name}_url": child.urls[f"{prefix}{name}"] for name in ("stream", "websocket_api")},
        }
        # A demo must not pick up the keys or limits of a live daemon that happens to be configured here.
        yield load_settings(overrides=overrides, environment={}, directory=options.directory)


def _recorded_symbols(paths: tuple[Path, ...]) -> list[str]:
    try:
        return list(Recording(paths).instruments)
    except RecordingError as error:
        raise LaunchError(f"cannot replay: {error}") from error


def free_control_port() -> int:
    """The usual control port, or 0 (any free one) while another daemon has it."""
    usual = ControlSettings()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((usual.host, usual.port))
        except OSError:
            return 0
    return usual.port


@contextmanager
def _shown(console: Console | None, title: str, seconds: float | None) -> Iterator[ReportListener | None]:
    if console is None:
        yield None
        return
    with LiveView(console, title, seconds) as live:
        yield live.show


def _logging(settings: Settings, output: Output) -> LoggingSettings:
    logging = settings.logging
    if output.live and logging.file is None:
        # The table has the terminal to itself.
        return logging.model_copy(update={"file": settings.state_dir / "mmd.log"})
    if output.json and logging.level == "info":
        return logging.model_copy(update={"level": "warning"})
    return logging
