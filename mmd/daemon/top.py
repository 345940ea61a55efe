"""`mmd top`: what a running daemon does, live in a terminal, over its control port; and the key that halts it."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from mmd.daemon.control_api import StreamMessage
from mmd.daemon.control_client import NoDaemon, base_url, trusted_context
from mmd.daemon.control_documents import HaltAnswer
from mmd.daemon.page.feed import FailedMessage, StateMessage
from mmd.daemon.percentiles import StagePercentiles
from mmd.daemon.settings import ControlSettings
from mmd.daemon.state_document import StateDocument
from mmd.daemon.view import Dashboard

RETRY_SECONDS = 1.0
CONNECT_SECONDS = 10.0
HALT_SECONDS = 40.0
REASON = "operator at mmd top"
KEYS = "h  halt    q  leave"
QUESTION = "Halt trading? Every order of ours is cancelled.  y  yes    any other key  no"
FOOTER_LINES = 1


class TopScreen:
    """The dashboard and the line below it, whatever console draws them."""

    def __init__(self, keys: bool) -> None:
        self._dashboard = Dashboard("mmd top", reserved_lines=FOOTER_LINES)
        self._keys = keys
        self.asking = False
        self.message = ""
        """What the last key came to, or what is wrong."""

    def show(self, state: StateDocument) -> None:
        """What to draw next."""
        self._dashboard.show(state.trader, StagePercentiles(state.tick_to_quote_us, state.stage_us))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._dashboard
        if self.asking:
            footer = Text(QUESTION, style="bold white on red")
        else:
            shown = "    ".join(part for part in (KEYS if self._keys else "", self.message) if part)
            footer = Text(shown, style="bold yellow" if self.message else "dim")
        footer.truncate(options.max_width, overflow="ellipsis")
        yield footer


class Top:
    """One session. `run` ends when somebody presses q. Raises `NoDaemon` where none answers at the start."""

    def __init__(self, settings: ControlSettings, console: Console, keyboard: int | None) -> None:
        self._settings = settings
        self._keyboard = keyboard
        self._screen = TopScreen(keyboard is not None)
        self._live = Live(self._screen, console=console, screen=True, auto_refresh=False)
        self._session: aiohttp.ClientSession
        self._leave = asyncio.Event()
        self._halting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until somebody leaves."""
        token = self._settings.token
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        connector = aiohttp.TCPConnector(ssl=trusted_context(self._settings) or True)
        async with aiohttp.ClientSession(base_url(self._settings), headers=headers, connector=connector) as self._session:
            stream = await self._connect()
            with keys_of(self._keyboard, self._on_key), self._live:
                watching = asyncio.create_task(self._watch(stream))
                leaving = asyncio.create_task(self._leave.wait())
                await asyncio.wait((watching, leaving), return_when=asyncio.FIRST_COMPLETED)
                for task in (watching, leaving, self._halting):
                    if task is not None:
                        task.cancel()
            if watching.done() and not watching.cancelled():
                watching.result()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._session.ws_connect("/stream", max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            raise NoDaemon(f"{base_url(self._settings)} refused: {_refusal(error)}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoDaemon(
                f"no daemon answers on {base_url(self._settings)} ({error or 'no answer'}): is it running? "
                "Is control.port (MMD_CONTROL__PORT) the one it was started with?"
            ) from error

    async def _watch(self, stream: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            async for frame in stream:
                self._take(frame.data)
            self._say("no connection: what is shown is old")
            stream = await self._connect_again()
            self._say("")

    async def _connect_again(self) -> aiohttp.ClientWebSocketResponse:
        while True:
            try:
                return await self._connect()
            except NoDaemon:
                await asyncio.sleep(RETRY_SECONDS)

    def _take(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=StreamMessage)
        except msgspec.ValidationError as error:
            raise NoDaemon(f"{base_url(self._settings)} is of another version than this program: {error}") from error
        if isinstance(message, FailedMessage):
            self._say(f"the core failed: {message.failure}")
        elif isinstance(message, StateMessage):
            self._screen.show(message.state)
            self._live.refresh()

    def _say(self, text: str) -> None:
        self._screen.message = text
        self._live.refresh()

    def _on_key(self, key: str) -> None:
        screen = self._screen
        if screen.asking:
            screen.asking = False
            if key in ("y", "Y"):
                self._say("halting …")
                self._halting = asyncio.create_task(self._halt())
            else:
                self._say("not halted")
        elif key in ("q", "Q", "\x04"):
            self._leave.set()
        elif key in ("h", "H"):
            screen.asking = True
            self._live.refresh()

    async def _halt(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=HALT_SECONDS)
            async with self._session.post("/halt", json={"reason": REASON, "actor": "cli"}, timeout=timeout) as response:
                body = await response.read()
                if response.status not in (200, 202):
                    self._say(f"NOT halted: {body.decode(errors='replace')}")
                    return
                answer = msgspec.json.decode(body, type=HaltAnswer)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.ValidationError) as error:
            self._say(f"NOT known to be halted ({error or 'no answer'}): a file HALT in the daemon's state folder halts it too")
            return
        gone = "all orders gone" if answer.confirmed_gone else f"{answer.still_open} orders not known gone"
        self._say(f"halted, {gone}; mmd resume lifts it")


@contextmanager
def keys_of(keyboard: int | None, hear: Callable[[str], None]) -> Iterator[None]:
    """Single keys of a terminal, unechoed, while it lasts."""
    if keyboard is None:
        yield
        return
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def read() -> None:
        typed = os.read(keyboard, 64).decode(errors="replace")
        for key in typed or "\x04":
            hear(key)

    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def watch(settings: ControlSettings, console: Console) -> None:
    """Run until somebody leaves. Raises `NoDaemon`."""

    async def session() -> None:
        await Top(settings, console, sys.stdin.fileno() if sys.stdin.isatty() else None).run()

    asyncio.run(session())


def _refusal(error: aiohttp.WSServerHandshakeError) -> str:
    return {401: "it wants a token: set control.token (MMD_CONTROL__TOKEN)", 503: "too many look at it already"}.get(
        error.status, f"{error.status} {error.message}"
    )
