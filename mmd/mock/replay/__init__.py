"""Recorded markets, played again: reading recordings, their books, matching our orders in their queues, and the mock's market."""

from mmd.mock.replay.market import ReplayMarket
from mmd.mock.replay.matcher import QueueMatcher
from mmd.recording.recording import Recording, RecordingError

__all__ = ["QueueMatcher", "Recording", "RecordingError", "ReplayMarket"]
