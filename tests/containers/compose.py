"""The services of docker-compose.yml on a real engine, under a project name and on ports of their own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(os.environ.get("CONTAINER_ENGINE", ROOT.parent / "shared" / "tools" / "container-engine"))
PORTS = ("MOCK_PORT", "MMD_PORT", "GUARD_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
IMAGE_LIMIT_BYTES = 200_000_000
BASE = "python:3.11-slim-bookworm"

T = TypeVar("T")


def require_engine() -> None:
    """An engine that answers; one is started where it can be. Fails in CI where there is none, elsewhere skips with the reason."""
    if _answers():
        return
    if ENGINE.is_file():
        done = subprocess.run([ENGINE, "up"], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        if _answers():
            return
        why = f"{ENGINE} up did not bring one: {done.stderr[-500:]}"
    else:
        why = f"docker does not answer, and there is no {ENGINE} (set CONTAINER_ENGINE)"
    if os.environ.get("CI"):
        pytest.fail(f"no container engine: {why}")
    pytest.skip(f"no container engine: {why}")


def _answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Stack:
    """One set of services. `folder` holds the Alertmanager configuration and a compose file of the test's own."""

    def __init__(self, project: str, folder: Path, alertmanager: str, environment: dict[str, str]) -> None:
        config = folder / "alertmanager.yml"
        config.write_text(alertmanager, encoding="utf-8")
        config.chmod(0o644)
        own = folder / "own.yml"
        own.write_text(json.dumps({"services": {"mmd": {"environment": environment}}}), encoding="utf-8")
        self._base = ["docker", "compose", "-p", project, "-f", str(ROOT / "docker-compose.yml"), "-f", str(own)]
        self._environment = {**os.environ, **dict.fromkeys(PORTS, "0"), "ALERTMANAGER_CONFIG": str(config)}
        self.transcript: list[str] = []

    def run(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        """`docker compose …`; what it printed."""
        done = subprocess.run(
            [*self._base, *arguments], cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def tell(self, text: str) -> None:
        """For the transcript."""
        self.transcript.append(text)
        print(text, flush=True)

    def url(self, service: str, port: int) -> str:
        """Where this machine reaches it."""
        return "http://" + self.run("port", service, str(port)).strip()

    def container(self, service: str) -> str:
        """Its id, also when it has ended."""
        return self.run("ps", "-a", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of it."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container(service)))
        return found[0]

    def token(self) -> str:
        """Of the control port."""
        return self.run("exec", "-T", "mmd", "cat", "/run/mmd/token").strip()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query of the real Prometheus."""
        address = self.url("prometheus", 9090) + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        found: list[dict[str, Any]] = fetch(address)["data"]["result"]
        return found

    def down(self) -> None:
        """Remove everything, volumes too."""
        self.run("down", "-v", "--timeout", "10", check=False)


def docker(*arguments: str, timeout: float = 600) -> str:
    """`docker …`; what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-4000:]}"
    return done.stdout


def build_image() -> None:
    """Build the image as anybody would."""
    docker("build", "-q", "-t", "mmd", str(ROOT), timeout=1200)


def image_size(name: str) -> int:
    """Bytes."""
    return int(docker("image", "inspect", "-f", "{{.Size}}", name))


def fetch(address: str, *, token: str = "", data: dict[str, str] | None = None) -> Any:
    """JSON of an answer, whatever its status."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = None if data is None else urllib.parse.urlencode(data).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data=body, headers=headers), timeout=20) as answer:
            return json.loads(answer.read())
    except HTTPError as error:
        return json.loads(error.read())


def wait_for(what: str, look: Callable[[], T], seconds: float = 120.0) -> T:
    """What `look` gives once it is something. It may fail to reach who is not there yet."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            found = look()
        except (OSError, AssertionError, KeyError, ValueError) as error:
            last = str(error)
        else:
            if found:
                return found
            last = repr(found)
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:g} s (last: {last[-1000:]})")
