"""What must hold, by name, and how a breach of it is told."""

from __future__ import annotations

INVARIANTS: dict[str, str] = {
    "core": "the core never raises, whatever it is told",
    "start": "the process starts from whatever a crash or a loss of power left on the disk",
    "halt": "nothing that adds risk is sent while halted or leaving, and a halt outlives every restart until somebody resumes",
    "pause": "nothing that adds risk is sent while feed or order line are down, before ledgers were compared, or during a ban",
    "book": "a book that claims to be valid is the exchange's own at its update id, and no quote leaves on any other",
    "standing": "no quote stands, not being cancelled, on a book that is invalid, too old or too late, or while halted or paused",
    "exposure": "position and everything that may still trade, unknown orders too, stay within the limit on either side",
    "gross": "the worst cases of all symbols together stay within their limit",
    "order": "orders are within filters, price collar and the largest order, and meet none of ours that is not surely dead",
    "rate": "orders in any 10 s and orders open at once stay within their limits, over restarts too",
    "loss": "a loss or drawdown that has reached its limit has halted, whatever was restarted or resumed",
    "identity": "no client id is used twice, and every one is told from others'",
    "strangers": "orders of others are never touched, whatever they are called",
    "ledger": "every fill that was heard of is booked once: the position is theirs, to the atom",
    "agreement": "once quiet, ledger and exchange agree, or it is halted; a change that no trade explains halts",
    "alive": "no order of ours is alive after a halt, an exit, or the guard, and none is unknown to us while we run",
    "unknown": "no order stays unknown once the lines are whole again",
    "bounds": "every collection stays within its bound",
    "secrets": "no secret leaves the process: not in logs, nor in what lies on the disk",
}
"""Every invariant and what it says."""


class Violation(BaseException):
    """An invariant was broken. `name` is its name. Nothing that guards itself against faults may catch it: no `Exception`."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


def require(holds: bool, name: str, text: str) -> None:
    """Raises `Violation` unless it holds. For texts that cost nothing; others are made by whoever found the breach."""
    if not holds:
        raise Violation(name, text)
