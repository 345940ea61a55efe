"""What a browser asks for: the page, its files, the library that draws the charts, and a session by the token."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog
from aiohttp import web

from mmd import __version__
from mmd.daemon.control_access import ControlAccess
from mmd.daemon.control_documents import PageAccess

log = structlog.get_logger(__name__)

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
INDEX = "index.html"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CHARTS_STYLES = " 'unsafe-inline'"
"""The library styles what it draws by attributes and by a style element of its own. Scripts stay files of ours."""


class ChartLibrary:
    """plotly's script, as an installed plotly package has it. The package itself is never imported. `path` None: not installed."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.name = ""
        found = find_spec("plotly")
        if found is None or not found.submodule_search_locations:
            return
        path = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
        if path.is_file():
            self.path, self.name = path, f"plotly-{_installed_version()}.min.js"


def _installed_version() -> str:
    try:
        return version("plotly")
    except PackageNotFoundError:
        return "unknown"


class PageRoutes:
    """Everything of the page that does not tell of the daemon."""

    def __init__(self, access: ControlAccess) -> None:
        self._access = access
        self._library = ChartLibrary()
        # Few and small: read once, so that no request ever waits for the disk on the event loop.
        self._files = {
            file.name: (file.read_bytes(), KINDS[Path(file.name).suffix])
            for file in (resources.files(__package__) / "assets").iterdir()
            if Path(file.name).suffix in KINDS
        }
        self._headers = {
            "Content-Security-Policy": POLICY.format(styles=CHARTS_STYLES if self._library.path else ""),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page itself; it holds no data."""
        return self._file(INDEX)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A style or a script of the page, or the library."""
        name = request.match_info["name"]
        if self._library.path is not None and name == self._library.name:
            # Its name changes with its version.
            kept = {**self._headers, "Cache-Control": "public, max-age=31536000, immutable", "Content-Type": KINDS[".js"]}
            return web.FileResponse(self._library.path, headers=kept)
        if name not in self._files:
            return web.json_response({"error": f"the page has no file {name!r}"}, status=404)
        return self._file(name)

    async def session(self, request: web.Request) -> web.StreamResponse:
        """What the page must know first."""
        charts = f"/page/{self._library.name}" if self._library.path else None
        logged_in = self._access.has_session(request)
        return self._json(PageAccess(self._access.token_set and not logged_in, logged_in, charts, __version__))

    async def log_in(self, request: web.Request, token: str) -> web.StreamResponse:
        """A session for whoever knows the token."""
        if not self._access.is_token(token):
            log.warning("a browser gave a wrong token", remote=request.remote)
            return web.json_response({"error": "this is not the token that the daemon was started with"}, status=401)
        log.info("a browser logged in", remote=request.remote)
        response = web.Response(status=204, headers=self._headers)
        self._access.log_in(response)
        return response

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """The end of the browser's session."""
        response = web.Response(status=204, headers=self._headers)
        self._access.log_out(request, response)
        return response

    def _file(self, name: str) -> web.Response:
        body, kind = self._files[name]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=self._headers)

    def _json(self, document: PageAccess) -> web.Response:
        return web.Response(body=msgspec.json.encode(document), content_type="application/json", headers=self._headers)
