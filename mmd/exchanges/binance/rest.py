"""REST requests: signed where needed, counted, timed out, and silent while the venue bids us wait."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.decoding import UNREADABLE
from mmd.types.orders import RateLimited

_DEFAULT_WAIT_SECONDS = 60.0
_SHOWN_BYTES = 200


class VenueError(Exception):
    """The venue answered with an error, or could not be reached (status 0)."""

    def __init__(self, path: str, status: int, code: int, message: str) -> None:
        super().__init__(f"{path}: {status} {code} {message}")
        self.status = status
        self.code = code


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _ServerTime(msgspec.Struct):
    serverTime: int


_ERROR = msgspec.json.Decoder(_Error)
_SERVER_TIME = msgspec.json.Decoder(_ServerTime)


class RestClient:
    """Requests to the REST API. Everything it raises is a `VenueError`. `time_path` is where the venue tells its clock."""

    def __init__(self, settings: ExchangeSettings, surroundings: Surroundings, *, time_path: str = "/api/v3/time") -> None:
        self._base = settings.rest_url.rstrip("/")
        self._time_path = time_path
        self._api_key = settings.api_key
        self._recv_window_ms = settings.recv_window_ms
        self._timeout = aiohttp.ClientTimeout(total=settings.rest_timeout_seconds)
        self._surroundings = surroundings
        self._session: aiohttp.ClientSession | None = None
        self._silent_until_ns = 0

    def now_ns(self) -> int:
        """Our clock."""
        return self._surroundings.clock_ns()

    @property
    def silent_seconds(self) -> float:
        """For how long the venue bids us send nothing, s; 0 when it does not."""
        return max(0.0, (self._silent_until_ns - self._surroundings.clock_ns()) / 1e9)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """A public request; returns the body."""
        return await self._request("GET", path, urlencode(parameters or {}, safe="[]"), {})

    async def send_keyed(self, method: str, path: str) -> bytes:
        """A request that needs the API key alone."""
        return await self._request(method, path, "", {"X-MBX-APIKEY": self._api_key})

    async def get_signed(self, path: str, parameters: Mapping[str, str], signer: Signer, timestamp_ms: int) -> bytes:
        """A request about the account, stamped with the venue's time."""
        return await self.send_signed("GET", path, parameters, signer, timestamp_ms)

    async def send_signed(self, method: str, path: str, parameters: Mapping[str, str], signer: Signer, timestamp_ms: int) -> bytes:
        """The same with another HTTP method; its parameters travel in the query all the same."""
        full = {**parameters, "recvWindow": str(self._recv_window_ms), "timestamp": str(timestamp_ms)}
        query = urlencode(full)
        signature = quote(signer.sign(query.encode()), safe="")
        return await self._request(method, path, f"{query}&signature={signature}", {"X-MBX-APIKEY": self._api_key})

    async def server_time(self) -> tuple[int, int, int]:
        """Our clock before (ns), the venue's time (ms), our clock after (ns)."""
        sent_ns = self._surroundings.clock_ns()
        body = await self.get(self._time_path)
        received_ns = self._surroundings.clock_ns()
        try:
            return sent_ns, _SERVER_TIME.decode(body).serverTime, received_ns
        except UNREADABLE as error:
            raise VenueError(self._time_path, 200, 0, f"{error}: {body[:_SHOWN_BYTES]!r}") from error

    async def _request(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> bytes:
        self._check_silence(path)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        counters = self._surroundings.counters
        counters.rest_requests += 1
        url = URL(f"{self._base}{path}?{query}" if query else f"{self._base}{path}", encoded=True)
        try:
            async with self._session.request(method, url, headers=headers) as response:
                body = await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            counters.rest_errors += 1
            raise VenueError(path, 0, 0, f"unreachable: {type(error).__name__} {error}") from error
        if status == 200:
            return body
        counters.rest_errors += 1
        raise self._refusal(path, status, body, retry_after)

    def _check_silence(self, path: str) -> None:
        remaining_ns = self._silent_until_ns - self._surroundings.clock_ns()
        if remaining_ns > 0:
            raise VenueError(path, 429, -1003, f"not sent: the venue bade us wait another {remaining_ns / 1e9:.1f} s")

    def _refusal(self, path: str, status: int, body: bytes, retry_after: str) -> VenueError:
        try:
            error = _ERROR.decode(body)
        except UNREADABLE:
            error = _Error(0, repr(body[:_SHOWN_BYTES]))
        if status in (418, 429):
            self._hold_still(retry_after, f"{path}: {status} {error.msg}")
        return VenueError(path, status, error.code, error.msg)

    def _hold_still(self, retry_after: str, detail: str) -> None:
        try:
            seconds = float(retry_after)
        except ValueError:
            seconds = _DEFAULT_WAIT_SECONDS
        now_ns = self._surroundings.clock_ns()
        self._silent_until_ns = now_ns + int(seconds * 1e9)
        self._surroundings.counters.rate_limited += 1
        self._surroundings.outlet.batch([RateLimited(now_ns, self._silent_until_ns, detail)], now_ns)
