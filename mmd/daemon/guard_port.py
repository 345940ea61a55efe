"""The guard's port: /healthz, /state and /metrics, to look at and be scraped. It takes no command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mmd.daemon.control import ControlError
from mmd.daemon.guard_settings import GuardSettings
from mmd.daemon.heartbeat_watch import Health
from mmd.daemon.metric import Metric

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


GUARD_METRICS: tuple[Metric, ...] = (
    Metric("mmd_guard_daemon", "gauge", "What the guard knows of the daemon: 1 for the state that holds.", ("state",)),
    Metric("mmd_guard_heartbeat_silence_seconds", "gauge", "Time since the daemon's heartbeat last changed."),
    Metric("mmd_guard_rescues_total", "counter", "Times the daemon was lost."),
    Metric("mmd_guard_market_clear", "gauge", "0 while a rescue has not cleared the market yet."),
    Metric("mmd_guard_sweep_rounds_total", "counter", "Times the venue was asked to cancel our orders."),
    Metric("mmd_guard_sweep_orders_total", "counter", "Orders that were listed and asked to go in them."),
    Metric("mmd_guard_sweep_failures_total", "counter", "Such rounds that failed and were tried again."),
)
"""Every metric of the guard."""


class GuardCollector(Collector):
    """Yields every metric of `GUARD_METRICS`."""

    def __init__(self, state: GuardState) -> None:
        self._state = state

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """One scrape."""
        state, sweep = self._state, self._state.sweep
        values = {
            "mmd_guard_heartbeat_silence_seconds": state.silent_seconds,
            "mmd_guard_rescues_total": state.rescues,
            "mmd_guard_market_clear": state.market_clear is not False,
            "mmd_guard_sweep_rounds_total": sweep.rounds,
            "mmd_guard_sweep_orders_total": sweep.orders,
            "mmd_guard_sweep_failures_total": sweep.failures,
        }
        for metric in GUARD_METRICS:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            if metric.labels:
                for each in Health:
                    family.add_metric((each.value,), each.value == state.daemon)
            else:
                family.add_metric((), values[metric.name])
            yield family


def guard_metrics(state: GuardState) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(GuardCollector(state))
    return generate_latest(registry)
