"""What is live: order state machine, tracker, desired-versus-live diff, position ledger, reconciliation and markouts."""
