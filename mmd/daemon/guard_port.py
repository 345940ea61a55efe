"""The guard's port: /healthz, /state and /metrics, to look at and be scraped. It takes no command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mmd.daemon.control import ControlError
from mmd.daemon.guard_settings import GuardSettings
from mmd.daemon.heartbeat_watch import Health

if TYPE_CHECKING:
    from mmd.daemon.guard import GuardState


class GuardPort:
    """Serves one guard's state. `url` is known after `start`."""

    def __init__(self, settings: GuardSettings, state: GuardState) -> None:
        self._settings = settings
        self._state = state
        self._runner: web.AppRunner | None = None
        self._port = settings.port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._settings.host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises `ControlError` when the port cannot be had."""
        application = web.Application()
        application.add_routes(
            [web.get("/healthz", self._healthz), web.get("/state", self._show_state), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await self.stop()
            raise ControlError(
                f"the guard's port {self._settings.host}:{self._settings.port} cannot be opened ({error.strerror or error}): "
                "is another guard running? Set guard.port (MMD_GUARD__PORT), 0 takes a free one"
            ) from error
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close it."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _show_state(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._state), content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=guard_metrics(self._state), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def guard_metrics(state: GuardState) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(name, text, registry=registry).set(value)

    health = Gauge(
        "mmd_guard_daemon", "What the guard knows of the daemon: 1 for the state that holds.", ["state"], registry=registry
    )
    for each in Health:
        health.labels(each.value).set(each.value == state.daemon)
    gauge("mmd_guard_heartbeat_silence_seconds", "Time since the daemon's heartbeat last changed.", state.silent_seconds)
    gauge("mmd_guard_rescues", "Times the daemon was lost since the guard's start.", state.rescues)
    gauge("mmd_guard_market_clear", "0 while a rescue has not cleared the market yet.", state.market_clear is not False)
    gauge("mmd_guard_sweep_rounds", "Times the venue was asked to cancel our orders.", state.sweep.rounds)
    gauge("mmd_guard_sweep_orders", "Orders that were listed and asked to go in them.", state.sweep.orders)
    gauge("mmd_guard_sweep_failures", "Such rounds that failed and were tried again.", state.sweep.failures)
    return generate_latest(registry)
