"""What `mmd doctor` looks at on this machine: state folder, latch, checkpoint, recording, runtime, bundle, control port."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from mmd import CORE
from mmd.compiled import Core
from mmd.daemon.bundles import load_networks
from mmd.daemon.checkpoint import CheckpointError, CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.settings import Settings
from mmd.daemon.state_lock import StateLock, StateLockError
from mmd.daemon.trading_modes import PromotionRefused, check_promotion
from mmd.inference.errors import BundleError, RuntimeUnavailable
from mmd.inference.runtime import load_runtime

Status = Literal["ok", "warn", "fail"]

MB = 1_000_000
LITTLE_ROOM_BYTES = 1_000 * MB
NO_ROOM_BYTES = 100 * MB


class Finding(msgspec.Struct, frozen=True):
    """One line. `remedy` is empty where nothing is to be done."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


def local_findings(settings: Settings) -> Iterator[Finding]:
    """Everything that needs no venue."""
    yield Finding("settings", "ok", f"mode {settings.mode}, venue {settings.venue}, {', '.join(settings.symbols)}")
    yield from _state_folder(settings)
    yield from _latch(settings)
    yield _checkpoint(settings)
    if settings.recording.folder is not None:
        yield _recording_folder(settings.recording.folder, settings.recording.min_free_bytes)
    yield _control_port(settings)
    yield from _networks(settings)
    yield _core(CORE)


def _state_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.state_dir
    problem = _unwritable(folder)
    if problem:
        yield Finding(
            "state folder", "fail", f"{folder}: {problem}", "make it writable for this user, or set state_dir to a folder that is"
        )
        return
    try:
        with StateLock(folder):
            yield Finding("state folder", "ok", f"{folder.absolute()} can be written, no daemon works in it")
    except StateLockError as error:
        yield Finding("state folder", "ok", f"a daemon is at work: {error}")
    except OSError as error:
        yield Finding("state folder", "fail", f"{folder}: {error}", "make it writable for this user")
    yield _room("disk", folder, NO_ROOM_BYTES)


def _unwritable(folder: Path) -> str:
    """Why nothing can be put on disk there; empty where it can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return str(error.strerror or error)
    return ""


def _room(check: str, folder: Path, least: int) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / MB:,.0f} MB free at {folder}"
    if free < least:
        return Finding(check, "fail", text, f"make room: at least {least / MB:,.0f} MB are needed")
    if free < max(LITTLE_ROOM_BYTES, least):
        return Finding(check, "warn", text, "make room before it runs out: without a checkpoint nothing is quoted")
    return Finding(check, "ok", text)


def _latch(settings: Settings) -> Iterator[Finding]:
    file = HaltFile(settings.state_dir)
    try:
        asked = file.operator_request()
        record = file.read(time.time_ns())
    except OSError as error:
        yield Finding("halt latch", "fail", str(error), "make the state folder readable")
        return
    if asked is not None:
        yield Finding("halt latch", "warn", f"the file {file.operator_file} bids halt", "remove it when trading may go on")
    if record is not None and record.halted:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.time_ns // 10**9))
        detail = f"halted since {since} UTC by {record.actor}: {record.reason}"
        yield Finding("halt latch", "warn", detail, "find the cause, then: mmd resume --reason WHY (of a running daemon)")
    elif asked is None:
        yield Finding("halt latch", "ok", "not halted")


def _checkpoint(settings: Settings) -> Finding:
    try:
        document = CheckpointFile(settings.state_dir, settings.account).read()
    except CheckpointError as error:
        return Finding("checkpoint", "fail", str(error), "see there; never delete it while the account holds a position of ours")
    return Finding("checkpoint", "ok", "none yet: the first start" if document is None else f"sound, of {settings.account}")


def _recording_folder(folder: Path, least: int) -> Finding:
    problem = _unwritable(folder)
    if problem:
        return Finding("recording", "fail", f"{folder}: {problem}", "make it writable, or set recording.folder to one that is")
    return _room("recording", folder, least)


def _control_port(settings: Settings) -> Finding:
    control = settings.control
    with socket.socket(socket.AF_INET6 if ":" in control.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((control.host, control.port))
        except OSError as error:
            detail = f"{control.host}:{control.port}: {error.strerror or error}"
            return Finding("control port", "warn", detail, "fine if that is the daemon; else set control.port to a free one")
    return Finding("control port", "ok", f"{control.host}:{control.port} is free")


def _networks(settings: Settings) -> Iterator[Finding]:
    neural = settings.quoting.strategy == "neural"
    try:
        runtime = load_runtime(settings.networks.runtime)
    except RuntimeUnavailable as error:
        yield Finding(
            "runtime", "fail" if neural else "warn", str(error), "pip install ai-edge-litert, or another quoting.strategy"
        )
        return
    yield Finding("runtime", "ok", f"{runtime.name} {runtime.version}")
    if not neural:
        yield Finding("bundle", "ok", f"none needed: strategy {settings.quoting.strategy}")
        return
    try:
        bundle, _ = load_networks(settings.networks.bundle, (), settings.networks.runtime)
        warning = check_promotion(settings.mode, settings.quoting.strategy, bundle.card, settings.networks.accept_unpromoted)
    except (BundleError, OSError) as error:
        yield Finding("bundle", "fail", str(error), "restore it, or set networks.bundle to a sound one (mmd models check FOLDER)")
    except PromotionRefused as error:
        yield Finding("bundle", "fail", str(error), "promote it on evidence: mmd promote, or trade in a lesser mode")
    else:
        detail = f"{bundle.card.name} {bundle.card.version} reproduces its golden vectors, digest {bundle.digest[:12]}"
        yield Finding("bundle", "warn", f"{detail}; {warning}", "see there") if warning else Finding("bundle", "ok", detail)


def _core(core: Core) -> Finding:
    """Compiled or pure; a build that was passed over is a warning, for whoever made it wanted it used."""
    if core.stale:
        return Finding("core", "warn", str(core), "compile it again: make compile")
    return Finding("core", "ok", str(core))
