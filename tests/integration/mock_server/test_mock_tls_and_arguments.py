"""TLS on one port for REST and websockets, and the command line's short texts."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from decimal import Decimal

import aiohttp
import pytest
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from mmd.mock.server import MockConfig, MockExchange, RateLimits, arguments
from mmd.mock.server.tls import CertificateError


def _pem(private_key) -> str:
    return (
        private_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    )


async def test_tls_serves_rest_and_websockets_with_a_certificate_of_its_own(quiet_config, tmp_path):
    config = quiet_config.model_copy(update={"tls": True, "state_dir": tmp_path})
    async with MockExchange(config) as exchange:
        assert exchange.rest_url.startswith("https://")
        assert exchange.certificate is not None
        trusting = ssl.create_default_context(cafile=str(exchange.certificate))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            async with session.get(f"{exchange.rest_url}/api/v3/time") as response:
                assert "serverTime" in await response.json()
            port = exchange.rest_url.rpartition(":")[2]
            async with session.get(f"https://localhost:{port}/api/v3/ping") as response:
                assert await response.json() == {}
        async with websockets.connect(exchange.websocket_api_url, ssl=trusting) as socket:
            await socket.send('{"id":1,"method":"ping"}')
            assert json.loads(await socket.recv())["result"] == {}
        async with websockets.connect(f"{exchange.stream_url}/ws", ssl=trusting) as socket:
            await socket.send('{"id":1,"method":"LIST_SUBSCRIPTIONS"}')
            assert json.loads(await socket.recv())["result"] == []
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(f"{exchange.rest_url}/api/v3/time")
        first = exchange.certificate.read_bytes()
        assert (tmp_path / "tls-key.pem").stat().st_mode & 0o077 == 0
    async with MockExchange(config) as exchange:
        assert exchange.certificate.read_bytes() == first  # kept over a restart
    given = config.model_copy(
        update={"state_dir": None, "tls_certificate": tmp_path / "tls-certificate.pem", "tls_key": tmp_path / "tls-key.pem"}
    )
    async with MockExchange(given) as exchange:
        assert exchange.certificate == tmp_path / "tls-certificate.pem"
    (tmp_path / "tls-key.pem").write_text("nonsense")
    exchange = MockExchange(given)
    with pytest.raises(CertificateError, match="--tls-cert"):
        await exchange.start()


def test_texts_of_the_command_line(tmp_path):
    assert arguments.fees("0.001,0.0005") == (Decimal("0.001"), Decimal("0.0005"))
    assert arguments.fees("-0.5bps, 5bps") == (Decimal("-0.00005"), Decimal("0.0005"))
    assert arguments.rate_limits("default") == RateLimits()
    assert arguments.rate_limits("strict,orders_per_10_seconds=7").orders_per_10_seconds == 7
    assert arguments.rate_limits("weight_per_minute=9") == RateLimits(weight_per_minute=9)
    assert arguments.rate_limits("off").weight_per_minute > 10**8
    ed25519, rsa = _pem(Ed25519PrivateKey.generate()), _pem(generate_private_key(65537, 2048))
    (tmp_path / "public.pem").write_text(ed25519)
    assert arguments.public_key(f"E1:{tmp_path / 'public.pem'}", "Ed25519") == ("E1", ed25519)
    assert arguments.public_key(f"R1:{rsa}", "RSA") == ("R1", rsa)
    assert arguments.pairs(["BTC=2", "USDT = 5"], "balance", "=") == {"BTC": "2", "USDT": "5"}
    for wrong, message in (
        (lambda: arguments.fees("0.1"), "MAKER,TAKER"),
        (lambda: arguments.fees("a,b"), "is no number"),
        (lambda: arguments.rate_limits("loose"), "expected default, strict, off"),
        (lambda: arguments.rate_limits("colour=3"), "colour=3"),
        (lambda: arguments.public_key("E1", "Ed25519"), "KEY:FILE"),
        (lambda: arguments.public_key("E1:/no/such/file", "Ed25519"), "cannot be read"),
        (lambda: arguments.public_key(f"E1:{rsa}", "Ed25519"), "another kind"),
        (lambda: arguments.public_key("E1:-----BEGIN nonsense", "RSA"), "no public key"),
        (lambda: arguments.pairs(["BTC"], "balance", "="), "NAME=VALUE"),
        (lambda: MockConfig(tls=True, tls_key=tmp_path), "goes with its key"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_the_command_says_what_is_wrong_with_its_options():
    for options, message in (
        (["--fees", "free"], "MAKER,TAKER"),
        (["--symbols", "BTC-USDT"], "a base asset followed by one of"),
        (["--rate-limits", "loose"], "expected default, strict, off"),
        (["--balance", "BTC=-1"], "must be finite and not below zero"),
    ):
        run = subprocess.run([sys.executable, "-m", "mmd.cli", "mock", "--port", "0", *options], capture_output=True, text=True)
        assert (run.returncode, message in run.stderr) == (1, True), run.stderr
