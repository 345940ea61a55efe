"""docker compose up on a real engine: it trades, is scraped, halts by HTTP and by an alert, and a kill finds the guard awake."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.compose import (
    BASE,
    IMAGE_LIMIT_BYTES,
    ROOT,
    Stack,
    build_image,
    docker,
    fetch,
    image_size,
    require_engine,
    wait_for,
)

pytestmark = [pytest.mark.system, pytest.mark.compose, pytest.mark.timeout(1500)]

SERVICES = ("mock", "guard", "mmd", "alertmanager", "prometheus")
HALTING = """
route: { receiver: nobody, group_wait: 0s, routes: [{ receiver: halt, matchers: [alertname = "HaltNow"], group_wait: 0s }] }
receivers:
  - name: nobody
  - name: halt
    webhook_configs:
      - url: "http://mmd:8780/halt?reason=alertmanager:+an+alert+that+halts"
        send_resolved: false
        http_config: { authorization: { credentials_file: /run/mmd/token } }
"""
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require_engine()
    build_image()
    folder = tmp_path_factory.mktemp("compose")
    folder.chmod(0o755)
    running = Stack("mmd-test", folder, HALTING, {"MMD_NETWORKS__CHALLENGER": "models/quote-v2"})
    running.down()
    try:
        running.run("up", "-d", "--no-build", *SERVICES)
        running.tell(f"$ docker compose up -d {' '.join(SERVICES)}\n{running.run('ps', '-a')}")
        yield running
    finally:
        print(running.run("logs", "--tail", "40", "mmd", "guard", check=False))
        running.down()


def state(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = fetch(stack.url("mmd", 8780) + "/state", token=stack.token())["trader"]
    return found


def test_the_image_is_small_and_its_core_is_the_compiled_one(stack: Stack) -> None:
    above = image_size("mmd") - image_size(BASE)
    stack.tell(f"the image is {above / 1e6:.0f} MB above its base")
    assert above <= IMAGE_LIMIT_BYTES
    assert "core='compiled (" in wait_for("its start", lambda: "started" in (log := stack.run("logs", "mmd")) and log)


def test_containers_have_no_more_rights_than_they_need(stack: Stack) -> None:
    for service in ("mock", "guard", "mmd"):
        held = stack.inspect(service)
        assert held["HostConfig"]["ReadonlyRootfs"], service
        assert held["HostConfig"]["CapDrop"] == ["ALL"]
        assert held["Config"]["User"] == "65534:65534"
        assert "no-new-privileges:true" in held["HostConfig"]["SecurityOpt"]
        ports = [binding for each in held["NetworkSettings"]["Ports"].values() for binding in each or []]
        assert ports
        assert {binding["HostIp"] for binding in ports} == {"127.0.0.1"}
    assert "tensorflow" not in docker("run", "--rm", "--entrypoint", "ls", "mmd", "/opt/mmd/lib/python3.11/site-packages")


def test_it_trades_and_prometheus_scrapes_it(stack: Stack) -> None:
    wait_for("fills", lambda: state(stack)["fills"] > 0)
    assert "error" in fetch(stack.url("mmd", 8780) + "/state"), "without the token nothing is told"
    up = wait_for("both targets up", lambda: (found := stack.query("up == 1")) and len(found) == 2 and found)
    assert {each["metric"]["instance"] for each in up} == {"mmd", "guard"}
    stack.tell(f"fills: {state(stack)['fills']}; targets up: {sorted(each['metric']['instance'] for each in up)}")


def panels() -> list[tuple[str, str, str]]:
    return [
        (path.stem, panel["title"], target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]


def test_every_panel_has_data(stack: Stack) -> None:
    asked = panels()
    assert len(asked) > 60
    for board, title, expression in asked:
        filled = expression.replace("$instance", ".+").replace("$__rate_interval", "30s")
        found = wait_for(f"data for {board}: {title}", lambda filled=filled: stack.query(filled), 300)
        assert all(each["value"][1] is not None for each in found)
    stack.tell(f"{len(asked)} queries of {len(DASHBOARDS)} dashboards: each returned data")


def test_every_rule_is_evaluated_without_error(stack: Stack) -> None:
    groups = fetch(stack.url("prometheus", 9090) + "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert [rule["name"] for rule in rules if rule["health"] not in ("ok", "unknown")] == []


def resume(stack: Stack) -> None:
    url, token = stack.url("mmd", 8780), stack.token()
    wait_for("the resume", lambda: not fetch(url + "/resume", token=token, data={"reason": "test"}).get("halted", True))
    wait_for("orders again", lambda: state(stack)["open_orders"])


def test_a_halt_by_http_leaves_nothing_and_is_seen(stack: Stack) -> None:
    wait_for("orders", lambda: state(stack)["open_orders"])
    answer = fetch(stack.url("mmd", 8780) + "/halt", token=stack.token(), data={"reason": "by hand 42", "wait": "20"})
    assert answer["halted"]
    assert answer["confirmed_gone"]
    assert answer["still_open"] == 0
    [halted] = wait_for("the halt in Prometheus", lambda: stack.query("mmd_halt_info == 1"))
    assert halted["metric"]["reason"] == "by hand N"
    wait_for("the alert", lambda: stack.query('ALERTS{alertname="Halted", alertstate="firing"}'))
    stack.tell(f"halted by HTTP: {answer['open_orders']} orders open before, {answer['still_open']} after; alert Halted fires")
    resume(stack)


def test_an_alert_may_halt(stack: Stack) -> None:
    alerting = stack.run(
        "exec", "-T", "alertmanager", "amtool", "--alertmanager.url=http://127.0.0.1:9093", "alert", "add", "HaltNow"
    )
    assert alerting is not None
    record = wait_for("the halt", lambda: (halt := state(stack)["halt"])["halted"] and halt)
    assert record["reason"] == "alertmanager: an alert that halts"
    stack.tell(f"an alert of Alertmanager's halted the daemon: {record['reason']}")
    resume(stack)


def test_the_guard_acts_when_the_daemon_is_killed(stack: Stack) -> None:
    wait_for("orders", lambda: state(stack)["open_orders"])
    docker("kill", "--signal", "KILL", stack.container("mmd"))
    guard = stack.url("guard", 8781)
    seen = wait_for("the guard's rescue", lambda: (found := fetch(guard + "/state"))["market_clear"] and found)
    assert seen["rescues"] >= 1
    assert seen["latched_on_disk"]
    wait_for("the alert", lambda: stack.query('ALERTS{alertname="DaemonLost", alertstate="firing"}'))
    stack.tell(f"killed: the guard cleared the market in {seen['last_rescue_seconds']:.2f} s; alert DaemonLost fires")
    stack.run("up", "-d", "--no-build", "mmd")
    record = wait_for("the daemon's return", lambda: state(stack)["halt"])
    assert record["halted"]
    assert record["actor"] == "guard"
    resume(stack)


def test_sigterm_leaves_in_time_with_nothing_open(stack: Stack) -> None:
    wait_for("orders", lambda: state(stack)["open_orders"])
    name, begun = stack.container("mmd"), time.monotonic()
    docker("kill", "--signal", "TERM", name)
    code = docker("wait", name).strip()
    taken = time.monotonic() - begun
    assert code == "0", "3: orders were left"
    began, ended = (json.loads(docker("inspect", "-f", "{{json .State}}", name))[key] for key in ("StartedAt", "FinishedAt"))
    assert began < ended
    stack.tell(f"SIGTERM: left with code {code} after {taken:.1f} s, nothing open")
    (Path(ROOT) / "build").mkdir(exist_ok=True)
    (Path(ROOT) / "build" / "compose-transcript.txt").write_text("\n".join(stack.transcript) + "\n", encoding="utf-8")
