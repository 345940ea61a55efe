"""Who may speak to the control port: programs by the token, browsers by a session that the token opened, nobody from another site.

A session is a random cookie of the browser, so that the token itself is kept nowhere in it. The cookie is HttpOnly and
SameSite=Strict; since cookies do not tell ports apart, a request by it must also say that it comes from this very origin.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from mmd.daemon.settings import ControlSettings, is_loopback

log = structlog.get_logger(__name__)

SESSION_SECONDS = 12 * 3600.0
MOST_SESSIONS = 16
OPEN_TO_ALL = frozenset({"/healthz", "/", "/session", "/login"})
"""What holds nothing of ours: the page without its data, and the way in."""
ASSETS = "/page/"


class BrowserSessions:
    """At most `MOST_SESSIONS`, each for `SESSION_SECONDS`; the oldest makes room. A restart ends them all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def open(self) -> str:
        """A new session's secret name."""
        while len(self._ends) >= MOST_SESSIONS:
            del self._ends[next(iter(self._ends))]
        name = secrets.token_urlsafe(32)
        self._ends[name] = self._clock() + SESSION_SECONDS
        return name

    def holds(self, name: str) -> bool:
        """Whether it is open."""
        end = self._ends.get(name)
        if end is not None and self._clock() >= end:
            del self._ends[name]
            end = None
        return end is not None

    def end(self, name: str) -> None:
        """It opens nothing any more."""
        self._ends.pop(name, None)


class ControlAccess:
    """Judges requests. `url` tells where the port listens, `clock` monotonic seconds."""

    def __init__(self, settings: ControlSettings, url: Callable[[], str], clock: Callable[[], float]) -> None:
        self._settings = settings
        self._url = url
        self._secure = settings.tls_certificate is not None
        # The prefix has browsers refuse the cookie from anywhere but this host, over TLS.
        self._cookie = "__Host-mmd_session" if self._secure else "mmd_session"
        self.sessions = BrowserSessions(clock)

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Status and reason, or None for a request that may pass."""
        if request.path == "/healthz":
            return None
        by_cookie = False
        if self._settings.token is None:
            if not self._is_our_name(request.host):
                return 403, f"host {request.host!r} is not this machine's loopback name: use {self._url()}"
        elif not (request.path in OPEN_TO_ALL or request.path.startswith(ASSETS)):
            by_cookie = not self.has_token(request)
            if by_cookie and not self.has_session(request):
                return 401, "a token is set: send it as 'Authorization: Bearer TOKEN'"
        changes = request.method == "POST" or request.headers.get("Upgrade", "").lower() == "websocket"
        if changes and not same_site(request, must_say=by_cookie):
            return 403, "a web page of another site may not control the daemon"
        return None

    def has_token(self, request: web.Request) -> bool:
        """Whether it carries the token as programs do."""
        return self.is_token(request.headers.get("Authorization", ""), "Bearer ")

    def is_token(self, given: str, before: str = "") -> bool:
        """Compared in constant time. False where no token is set."""
        token = self._settings.token
        return token is not None and hmac.compare_digest(given.encode(), f"{before}{token.get_secret_value()}".encode())

    def has_session(self, request: web.Request) -> bool:
        """Whether it comes from a browser that has logged in."""
        return self.sessions.holds(request.cookies.get(self._cookie, ""))

    def still_allowed(self, request: web.Request) -> bool:
        """Whether a connection that was let in may go on: its session has neither ended nor been ended."""
        return self._settings.token is None or self.has_token(request) or self.has_session(request)

    @property
    def token_set(self) -> bool:
        """Whether a browser must log in."""
        return self._settings.token is not None

    def log_in(self, response: web.StreamResponse) -> None:
        """Give the browser a session."""
        response.set_cookie(
            self._cookie,
            self.sessions.open(),
            max_age=int(SESSION_SECONDS),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )

    def log_out(self, request: web.Request, response: web.StreamResponse) -> None:
        """End the browser's session."""
        self.sessions.end(request.cookies.get(self._cookie, ""))
        response.del_cookie(self._cookie, path="/", httponly=True, samesite="Strict", secure=self._secure)

    def _is_our_name(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or name == self._settings.host


def same_site(request: web.Request, *, must_say: bool = False) -> bool:
    """Browsers say where a request comes from; other programs say nothing, and are let in unless they `must_say`."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None and site is None:
        return not must_say
    if site not in (None, "same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == request.host
