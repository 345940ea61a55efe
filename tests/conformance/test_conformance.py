"""Each adapter of ours through the conformance suite, step by step, on a venue of its own over real sockets."""

from __future__ import annotations

import pytest

from mmd.testing.conformance import STEPS, Step
from mmd.testing.mock_venue import MockVenue
from tests.conformance.harnesses import HARNESSES


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.name)
async def test_conformance(harness: type[MockVenue], step: Step) -> None:
    await step.run(harness())
