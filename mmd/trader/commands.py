"""What the core may give out, and the list it collects during one event."""

from __future__ import annotations

from mmd.types.control import Exit, PersistHalt, PersistLedger
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    ModifyOrder,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)

OrderCommand = PlaceOrder | ReplaceOrder | ModifyOrder | CancelOrder | AmendOrder | QueryOrder
Rising = PlaceOrder | ReplaceOrder | ModifyOrder
"""What may add to what is at risk."""
AfterCheckpoint = PlaceOrder | ReplaceOrder | ModifyOrder | Exit
"""What leaves only once the checkpoint of its event is on disk."""
Command = OrderCommand | RequestDepthSnapshot | RequestReconciliation | PersistHalt | PersistLedger | Exit

NOTHING: tuple[Command, ...] = ()


class Outbox:
    """Commands of the event at hand, in the order in which the shell must carry them out."""

    __slots__ = ("_commands",)

    def __init__(self) -> None:
        self._commands: list[Command] = []

    def put(self, command: Command) -> None:
        """Append."""
        self._commands.append(command)

    def put_checkpoint(self, checkpoint: PersistLedger) -> None:
        """Ahead of what it must precede: any order, and the end. Cancels decided upon before do not wait for the disk.

        One for each event, made when everything of it is decided: of two, the older would be written over the newer.
        """
        for place, command in enumerate(self._commands):
            if isinstance(command, AfterCheckpoint):
                self._commands.insert(place, checkpoint)
                return
        self._commands.append(checkpoint)

    def put_halt(self, latch: PersistHalt) -> list[Rising]:
        """The latch goes ahead of everything this event has already decided; what would add risk is taken out and returned."""
        dropped = [command for command in self._commands if isinstance(command, Rising)]
        self._commands = [latch, *(command for command in self._commands if not isinstance(command, Rising))]
        return dropped

    def take(self) -> list[Command] | tuple[Command, ...]:
        """Everything collected; the box is empty afterwards."""
        if not self._commands:
            return NOTHING
        taken, self._commands = self._commands, []
        return taken
