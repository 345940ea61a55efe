"""Third-party clients, only their base URLs changed, trade whole sessions on `mmd mock`; the evidence page is what they showed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.acceptance.processes import Process, clean_environment, free_port, wait_until
from tests.clients.evidence import PAGE, Outcome, Session, render
from tests.clients.sessions.steps import STEPS

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
SESSIONS = Path(__file__).parent / "sessions"
CLIENTS = ("ccxt", "binance_sdk_spot", "python_binance", "unicorn", "nautilus", "cryptofeed")
LISTEN_KEYS = ("nautilus", "cryptofeed")
"""Clients that still ask for the listen keys which the exchange gave up."""
ONLY_TLS = ("cryptofeed",)
"""Clients that take no other base URLs than secure ones."""
AT_ONCE = 2
SESSION_SECONDS = 400
PATIENCE_SECONDS = 120
WATCHED_SPEED = "20"

PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def write_keys(folder: Path) -> dict[str, tuple[Path, Path]]:
    """An Ed25519 and an RSA key, private and public, in PEM."""
    keys: dict[str, PrivateKey] = {
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    }
    paths = {}
    for kind, key in keys.items():
        private, public = folder / f"{kind}.pem", folder / f"{kind}.public.pem"
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        paths[kind] = (private, public)
    return paths


@contextlib.contextmanager
def mock_exchange(folder: Path, name: str, *extra: str, tls: bool) -> Iterator[dict[str, str]]:
    """`mmd mock` on a free port; where it is. With `tls` its certificate is FOLDER/NAME/tls-certificate.pem."""
    port = free_port()
    secure = ("--tls", "--state", str(folder / name)) if tls else ()
    process = Process(["mock", "--port", str(port), *secure, *extra], clean_environment(), folder, name)
    try:
        wait_until(f"the mock exchange {name}", lambda: "ready" in process.output.read_text(), PATIENCE_SECONDS)
        place, s = f"127.0.0.1:{port}", "s" * tls
        yield {"rest": f"http{s}://{place}", "stream": f"ws{s}://{place}", "websocket_api": f"ws{s}://{place}/ws-api/v3"}
    finally:
        process.terminate(PATIENCE_SECONDS)


def trusting(folder: Path, *names: str) -> dict[str, str]:
    """Settings of a process that trusts these exchanges' certificates."""
    bundle = folder / "certificates.pem"
    bundle.write_text("".join((folder / name / "tls-certificate.pem").read_text() for name in names))
    return {"SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}


def run_session(client: str, folder: Path) -> Session:
    """The client's session in the clients' own environment. Raises AssertionError when it leaves no record."""
    folder.mkdir()
    keys = write_keys(folder)
    legacy = ("--legacy-listen-keys",) if client in LISTEN_KEYS else ()
    public = ("--ed25519", f"E1:{keys['ed25519'][1]}", "--rsa", f"R1:{keys['rsa'][1]}")
    files = {"ed25519": ("E1", str(keys["ed25519"][0])), "rsa": ("R1", str(keys["rsa"][0]))}
    own = {"key": "K1", "secret": "S1", "key_files": files}
    arguments, report = folder / "arguments.json", folder / "report.json"
    tls = client in ONLY_TLS
    with (
        mock_exchange(folder, "watched", "--speed", WATCHED_SPEED, *legacy, tls=tls) as watched,
        mock_exchange(folder, "traded", *public, *legacy, tls=tls) as traded,
    ):
        arguments.write_text(json.dumps({"watched": watched | own, "traded": traded | own}))
        command = [PYTHON, SESSIONS / f"{client}_session.py", arguments, report]
        environment = clean_environment(**(trusting(folder, "watched", "traded") if tls else {}))
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SESSION_SECONDS, check=False
        )
    assert report.exists(), f"{client} left no record:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    record = json.loads(report.read_text())
    return Session(client, record["version"], {step: Outcome(**outcome) for step, outcome in record["outcomes"].items()})


@pytest.fixture(scope="session")
def sessions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Session]]]:
    """The sessions of the clients that the tests of this run ask for, some at a time."""
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make setup-clients`"
    cases = [item for item in request.session.items if item.path == Path(__file__)]
    asked = {item.callspec.params["client"] for item in cases if hasattr(item, "callspec")}
    wanted = CLIENTS if len(asked) < len(cases) else tuple(client for client in CLIENTS if client in asked)
    folder = tmp_path_factory.mktemp("clients")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {client: pool.submit(run_session, client, folder / client) for client in wanted}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_trades_a_whole_session(client: str, sessions: Mapping[str, Future[Session]]) -> None:
    outcomes = sessions[client].result().outcomes
    failed = "\n".join(f"{step}: {detail}" for step, (outcome, detail) in outcomes.items() if outcome == "failed")
    assert not failed, failed
    assert outcomes.keys() == STEPS.keys(), f"left out: {sorted(STEPS.keys() - outcomes.keys())}"


def test_the_page_is_what_the_sessions_showed(sessions: Mapping[str, Future[Session]]) -> None:
    shown = [sessions[client].result() for client in CLIENTS]
    failed = [(each.client, step) for each in shown for step, (outcome, _) in each.outcomes.items() if outcome == "failed"]
    assert not failed, failed
    page = render(shown)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(page)
    assert PAGE.exists(), "run `WRITE_TABLE=1 make test-clients`"
    assert PAGE.read_text() == page, "run `WRITE_TABLE=1 make test-clients` and look at what has changed"
