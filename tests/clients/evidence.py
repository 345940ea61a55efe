"""The page that says which steps which third-party client passed on the mock exchange."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.clients.sessions.steps import STEPS

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "third-party-clients.md"

NOT_HAD = {
    "hummingbot": "not run: the package index has no wheel of it for Python 3.11 (some for 3.10 and 3.12 alone), and the newer of "
    "its source releases ask for pandas-ta, which needs Python 3.12.",
}
"""Clients that should be here and are not, and why."""

_HEAD = """# Third-party clients on the mock exchange

Each column is a client as its authors published it, in the version that `requirements/clients.txt` locks; only its base URLs were
changed. Each row is a step of one session that trades on `mmd mock` (`tests/clients/sessions/scenario.py`): the account `K1:S1` by
the client, `K2:S2` on the other side of its fills, and the simulated market around them. The book is watched on a second mock
exchange whose market runs twenty times as fast.

Clients that still ask for listen keys (nautilus, cryptofeed) trade on `mmd mock --legacy-listen-keys`; one that takes no other
addresses than secure ones (cryptofeed) on `mmd mock --tls`.

`make test-clients` runs the sessions. It fails where a step does not pass that is marked here, and where this page differs from
what the run showed; `WRITE_TABLE=1 make test-clients` writes the page.

"""


class Outcome(NamedTuple):
    """How a step went: `passed`, `failed` or `unsupported` (by the client, with the reason as detail)."""

    outcome: str
    detail: str


class Session(NamedTuple):
    """One client's record."""

    client: str
    version: str
    outcomes: Mapping[str, Outcome]


def render(sessions: list[Session]) -> str:
    """The page in Markdown."""
    marks = {"passed": "✓", "unsupported": "–", "failed": "✗"}
    lines = [
        "| step | " + " | ".join(f"{session.client}<br>{session.version}" for session in sessions) + " |",
        "|---|" + ":-:|" * len(sessions),
    ]
    for step, heading in STEPS.items():
        cells = (marks[session.outcomes[step].outcome] for session in sessions)
        lines.append(f"| {heading} | " + " | ".join(cells) + " |")
    lines += ["", "✓ passed; – the client cannot do it, for the reason below.", ""]
    for session in sessions:
        lines += [f"## {session.client} {session.version}", ""]
        for step, heading in STEPS.items():
            outcome, detail = session.outcomes[step]
            if detail or outcome != "passed":
                lines.append(f"- {heading}: {outcome}" + (f" ({detail})" if detail else ""))
        lines.append("")
    lines += ["## Clients that are not here", "", *(f"- {client}: {reason}" for client, reason in NOT_HAD.items()), ""]
    return _HEAD + "\n".join(lines)
