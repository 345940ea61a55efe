"""The operator's page in a real Chromium, on a real daemon that trades on the mock exchange.

With MMD_SCREENSHOTS=FOLDER (`make screenshots`) the pictures of the documentation are taken on the way.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import World, wait_until, world

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup-dev")

WAIT_MS = 60_000
TOKEN = "0123456789abcdef0123"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1360, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
PICTURES = os.environ.get("MMD_SCREENSHOTS", "")
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
"""What a browser writes of its own accord while a daemon is away."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        word = "no chromium: run `make setup-system`"
        if os.environ.get("CI"):
            pytest.fail(word)
        pytest.skip(word)
    # Chromium's own sandbox wants a user who is not root.
    arguments = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with playwright_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=arguments, timeout=WAIT_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("page")) as made:
        made.start_mock("--symbols", "BTCUSDT,ETHUSDT", keep_state=False)
        made.start_daemon(MMD_SYMBOLS="BTCUSDT,ETHUSDT", MMD_QUOTING__STRATEGY="neural")
        wait_until("orders of ours", lambda: made.report()["open_orders"], 60)
        yield made


@contextmanager
def page_of(browser: Any, daemon: World, *, charts: bool = False, expected: tuple[str, ...] = (), **device: Any) -> Iterator[Any]:
    """The page, open; afterwards: nothing was asked of anybody else, and the console holds no complaint."""
    own = f"http://127.0.0.1:{daemon.control_port}"
    context = browser.new_context(**(device or DESKTOP))
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    foreign: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    page.on("websocket", lambda stream: None if stream.url == f"ws{own[4:]}/stream" else foreign.append(stream.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    if not charts:
        # As on a machine without the library: it is four megabytes to read for each page of these tests.
        page.route("**/session", without_charts)
    try:
        page.goto(f"{own}/")
        yield page
        assert foreign == []
        assert [text for text in complaints if not any(part in text for part in expected)] == []
    finally:
        page.unroute_all(behavior="ignoreErrors")
        context.close()


def without_charts(route: Any) -> None:
    try:
        answer = route.fetch()
    except playwright_api.Error:
        # The daemon is gone; the page is told so as it would be without us.
        route.abort("connectionrefused")
        return
    route.fulfill(response=answer, json={**answer.json(), "charts": None})


def expect(page: Any, selector: str) -> Any:
    return playwright_api.expect(page.locator(selector))


def shows_status(page: Any, status: str) -> None:
    expect(page, f'#status[data-status="{status}"]').to_be_visible(timeout=WAIT_MS)


def shows_work(page: Any) -> None:
    """Quoting, or one of the pauses that a busy machine brings and that clear themselves."""
    expect(page, '#status:is([data-status="quoting"], [data-status="paused"], [data-status="warming"])').to_be_visible(
        timeout=WAIT_MS
    )


def rows(page: Any, table: str) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(
        "name => [...document.querySelector(`#${name} tbody`).rows].map(row => [...row.cells].map(cell => cell.textContent))", table
    )
    return found


def pairs(page: Any, place: str) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(
        "name => Object.fromEntries([...document.querySelectorAll(`#${name} dt`)]"
        ".map(term => [term.textContent, term.nextElementSibling.textContent]))",
        place,
    )
    return found


def halted(daemon: World) -> bool:
    return bool(daemon.report()["halt"]["halted"])


@pytest.fixture
def trading(daemon: World) -> World:
    """Not halted, whatever the test before left."""
    if halted(daemon):
        wait_until("the orders to be gone", lambda: not daemon.report()["open_orders"])
        daemon.control("POST", "/resume", {"reason": "the next test"})
    wait_until("orders of ours", lambda: daemon.report()["open_orders"], 60)
    return daemon


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / name, timeout=WAIT_MS)


def test_everything_is_shown_as_state_has_it(browser: Any, trading: World) -> None:
    with page_of(browser, trading) as page:
        shows_work(page)
        wait_until("a quote and its parts", lambda: len(rows(page, "attribution")) > 3)
        state = trading.control("GET", "/state")
        trader, line = state["trader"], state["trader"]["symbols"][0]
        expect(page, "#mode").to_have_text(trader["mode"])
        assert page.locator("#symbols button").all_text_contents() == ["BTCUSDT", "ETHUSDT"]
        expect(page, "#ladder tbody tr").to_have_count(20)
        assert [row[0] for row in rows(page, "limits")] == [name.replace("_", " ") for name in trader["limits_used"]]
        parts = {row[0].strip("()") for row in rows(page, "attribution")}
        assert parts == {name.replace("_", " ") for name in line["quote"]["attribution_ticks"] if name != "mid"}
        assert {row[0] for row in rows(page, "outputs")} == {name.replace("_", " ") for name in line["predictions"]}
        stages = {row[0] for row in rows(page, "latency")}
        assert {"tick to quote", "inference", "risk", "event loop late by"} <= stages
        assert pairs(page, "process")["version, pid"] == f"{state['process']['version']}, {state['process']['pid']}"
        assert state["networks"]["current"]["name"] in pairs(page, "networks")["serving"]
        events = " ".join(page.locator("#events li").all_text_contents())
        assert "bundle loaded" in events
        assert "started" in events
        # It moves by itself.
        before = page.locator("#mid").text_content()
        wait_until("the price to move", lambda: page.locator("#mid").text_content() != before)
        page.get_by_role("button", name="ETHUSDT").click()
        expect(page, "#price-line").to_contain_text("ETHUSDT mid")
        expect(page, '#symbols [aria-pressed="true"]').to_have_text("ETHUSDT")
        # Nothing moves money once halted: then every figure must be the one of /state.
        trading.control("POST", "/halt", {"reason": "to compare"})
        shows_status(page, "halted")
        wait_until("the orders to be gone", lambda: not trading.report()["open_orders"])
        line = trading.report()["symbols"][1]

        def the_same() -> bool:
            shown, money = pairs(page, "inventory"), pairs(page, "money")
            position, fees = (float(text.replace(",", "")) for text in (shown["position"], money["fees"]))
            realised = float(money["realised"].replace(",", ""))
            return (position, realised, fees) == (round(line["position"], 6), round(line["realised"], 4), round(line["fees"], 4))

        wait_until("the figures of /state", the_same)
        fills = [row for row in rows(page, "fills") if len(row) > 1]
        newest = line["recent_fills"][-12:][::-1]
        assert [(row[1].split()[0], float(row[2].replace(",", "")), float(row[3])) for row in fills] == [
            (fill["side"], fill["price"], float(f"{fill['quantity']:.6g}")) for fill in newest
        ]


def test_a_halt_asks_once_and_a_resume_wants_a_reason(browser: Any, trading: World) -> None:
    with page_of(browser, trading) as page:
        shows_work(page)
        page.get_by_role("button", name="Halt …").click()
        expect(page, "#halt-dialog").to_be_visible()
        page.get_by_role("button", name="Do not halt").click()
        expect(page, "#halt-dialog").to_be_hidden()
        assert not halted(trading)
        page.get_by_role("button", name="Halt …").click()
        page.get_by_label("Reason (kept in the latch)").fill("the spread looks <b>wrong</b>")
        page.get_by_role("button", name="Halt now").click()
        shows_status(page, "halted")
        expect(page, "#halt-dialog").to_be_hidden()
        expect(page, "#banner").to_contain_text("Halted by page")
        expect(page, "#banner").to_contain_text("the spread looks <b>wrong</b>")
        wait_until("the orders to be gone", lambda: not trading.report()["open_orders"])
        assert trading.open_orders() == []
        record = trading.report()["halt"]
        assert (record["actor"], record["reason"]) == ("page", "the spread looks <b>wrong</b>")

        page.reload()
        shows_status(page, "halted")
        expect(page, "#halt").to_be_hidden()
        page.get_by_role("button", name="Resume …").click()
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page, "#resume-dialog").to_be_visible()
        assert halted(trading)
        page.locator("#resume-reason").fill("looked at it, it was right")
        page.get_by_role("button", name="Resume", exact=True).click()
        shows_work(page)
        expect(page, "#banner").to_be_hidden()
        assert trading.report()["halt"]["reason"] == "looked at it, it was right"
        wait_until("orders of ours", lambda: trading.report()["open_orders"], 60)


def test_a_resume_that_is_refused_says_why(browser: Any, trading: World) -> None:
    file = trading.state / "HALT"
    file.touch()
    wait_until("the halt", lambda: halted(trading) and not trading.report()["open_orders"])
    # The browser itself notes an answer of that kind in its console.
    with page_of(browser, trading, expected=("409",)) as page:
        shows_status(page, "halted")
        page.get_by_role("button", name="Resume …").click()
        page.locator("#resume-reason").fill("too early")
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page, "#resume-dialog .error").to_contain_text("remove the file")
        file.unlink()
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page, "#resume-dialog").to_be_hidden()
        shows_work(page)


def test_by_keyboard_alone(browser: Any, trading: World) -> None:
    with page_of(browser, trading) as page:
        shows_work(page)
        expect(page, "#halt").to_be_enabled()
        names = []
        for _ in range(8):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.textContent.trim()"))
            if names[-1] == "Halt …":
                break
        assert names[0] == "Skip to the numbers"
        assert names[-1] == "Halt …", names
        page.keyboard.press("Enter")
        expect(page, "#halt-reason").to_be_focused()
        page.keyboard.press("Escape")
        expect(page, "#halt-dialog").to_be_hidden()
        expect(page, "#halt").to_be_focused()
        assert not halted(trading)
        page.keyboard.press("Enter")
        page.keyboard.type("by keyboard")
        page.keyboard.press("Enter")
        shows_status(page, "halted")
        assert trading.report()["halt"]["reason"] == "by keyboard"


def test_on_a_phone(browser: Any, trading: World) -> None:
    with page_of(browser, trading, **PHONE) as page:
        shows_work(page)
        wait_until("tables to be filled", lambda: len(rows(page, "ladder")) == 20)
        width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], "the page must not scroll sideways"
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter(one => one.offsetParent && one.offsetHeight < 44)"
            ".map(one => one.textContent)"
        )
        assert small == [], "too small to be hit by a thumb"
        page.locator("#halt").tap()
        page.locator("#halt-confirm").tap()
        shows_status(page, "halted")
        expect(page, "#resume").to_be_visible()


def test_dark_and_light(browser: Any, trading: World) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with page_of(browser, trading, **DESKTOP, color_scheme="dark") as page:
        shows_work(page)
        dark = page.evaluate(ground)
        page.emulate_media(color_scheme="light")
        light = page.evaluate(ground)
        assert dark != light
        page.locator("#theme").click()
        expect(page, "#theme").to_have_text("Theme: dark")
        assert page.evaluate(ground) == dark
        page.reload()
        expect(page, "#theme").to_have_text("Theme: dark")
        assert page.evaluate(ground) == dark


def test_charts_are_drawn_where_the_library_is_and_missed_aloud_where_it_is_not(browser: Any, trading: World) -> None:
    with page_of(browser, trading, charts=True) as page:
        for chart in ("price", "inventory", "money"):
            expect(page, f"#{chart}-chart .main-svg").not_to_have_count(0, timeout=WAIT_MS)
        expect(page, "#no-charts").to_be_hidden()
        widths = "['#price-chart .main-svg', '#price-chart'].map(one => document.querySelector(one).clientWidth)"
        drawn, room = page.evaluate(widths)
        assert 0.95 * room <= drawn <= room
        assert "BTCUSDT: mid" in (page.locator("#price-chart").get_attribute("aria-label") or "")
    with page_of(browser, trading) as page:
        shows_work(page)
        expect(page, "#no-charts").to_contain_text("pip install 'mmd[page]'")
        expect(page, "#ladder tbody tr").to_have_count(20)


def test_what_moves_has_a_name_for_those_who_do_not_see(browser: Any, trading: World) -> None:
    with page_of(browser, trading) as page:
        shows_work(page)
        wait_until("limits", lambda: len(rows(page, "limits")) > 3)
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, input, meter, table, section, dialog, [role=img]')]"
            ".filter(one => !one.textContent.trim() && !one.labels?.length && !one.ariaLabel)"
            ".filter(one => !one.getAttribute('aria-labelledby'))"
            ".map(one => one.outerHTML)"
        )
        assert nameless == []
        assert page.locator("#status").get_attribute("aria-live") == "polite"
        assert page.locator("#banner").get_attribute("role") == "alert"


def test_a_token_is_asked_for_and_a_daemon_that_is_gone_is_missed(browser: Any, tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.start_mock(keep_state=False)
        process = made._start(["run"], made._environment({"MMD_CONTROL__TOKEN": TOKEN}), "daemon", None)
        wait_until("the control port", lambda: made.control("GET", "/healthz"))
        with page_of(browser, made, expected=(*AWAY, "401")) as page:
            expect(page, "#login-dialog").to_be_visible()
            page.keyboard.press("Escape")
            expect(page, "#login-dialog").to_be_visible()
            page.locator("#login-token").fill(f"{TOKEN}x")
            page.get_by_role("button", name="Log in").click()
            expect(page, "#login-dialog .error").to_contain_text("not the token")
            page.locator("#login-token").fill(TOKEN)
            page.get_by_role("button", name="Log in").click()
            expect(page, "#login-dialog").to_be_hidden()
            shows_work(page)
            page.reload()
            shows_work(page)
            assert TOKEN not in json.dumps(page.context.storage_state())
            page.get_by_role("button", name="Halt …").click()
            page.get_by_role("button", name="Halt now").click()
            shows_status(page, "halted")
            page.get_by_role("button", name="Log out").click()
            expect(page, "#login-dialog").to_be_visible()
            page.locator("#login-token").fill(TOKEN)
            page.get_by_role("button", name="Log in").click()
            shows_status(page, "halted")
            process.kill()
            expect(page, "#status").to_contain_text("NO CONNECTION", timeout=WAIT_MS)


@pytest.mark.skipif(not PICTURES, reason="pictures are taken by `make screenshots`")
def test_pictures(browser: Any, trading: World) -> None:
    drawn: Callable[[Any], None] = lambda page: expect(page, "#price-chart .main-svg").not_to_have_count(0, timeout=WAIT_MS)  # noqa: E731
    with (
        page_of(browser, trading, charts=True, **DESKTOP, color_scheme="dark") as desktop,
        page_of(browser, trading, charts=True, **PHONE, color_scheme="light") as phone,
    ):
        for page in (desktop, phone):
            drawn(page)
        wait_until(
            "something to look at", lambda: desktop.evaluate("document.querySelectorAll('#fills tbody tr').length") >= 8, 120
        )
        shows_status(desktop, "quoting")
        picture(desktop, "page-desktop-quoting-dark.png")
        picture(phone, "page-phone-quoting-light.png")
        desktop.emulate_media(color_scheme="light")
        phone.emulate_media(color_scheme="dark")
        desktop.get_by_role("button", name="Halt …").click()
        desktop.get_by_label("Reason (kept in the latch)").fill("spread looks wrong")
        picture(desktop, "page-desktop-question-light.png")
        desktop.get_by_role("button", name="Halt now").click()
        for page in (desktop, phone):
            shows_status(page, "halted")
        picture(desktop, "page-desktop-halted-light.png")
        picture(phone, "page-phone-halted-dark.png")
