"""The adapter of docs/how-to/write-an-adapter.md, as it stands there, through the conformance suite."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler
from mmd.testing.conformance import STEPS, Step
from mmd.testing.mock_venue import OURS, MockVenue

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-an-adapter.md"


def example() -> dict[str, Any]:
    """What the page's one Python block defines."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, str(PAGE), "exec"), defined)
    return defined


EXAMPLE = example()


class ExampleVenue(MockVenue):
    name = "example"

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        settings = EXAMPLE["BinanceUsSettings"](
            rest_url=f"http://127.0.0.1:{self.rest_wire.port}",
            stream_url=f"ws://127.0.0.1:{self.market_wire.port}",
            websocket_api_url=f"ws://127.0.0.1:{self.order_wire.port}/ws-api/v3",
            api_key=OURS[0],
            api_secret=SecretStr(OURS[1]),
            announcements=False,
            request_timeout_seconds=0.4,
            backoff_first_seconds=0.02,
        )
        adapter: ExchangeAdapter = EXAMPLE["BinanceUsAdapter"](
            settings, (self.symbol,), clock_ns=clock_ns, on_failure=on_failure, random=Random(1)
        )
        return adapter


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_the_example_conforms(step: Step) -> None:
    result = await step.run(ExampleVenue())
    assert (result == "passed") is (step.name not in ("amend", "replace", "modify"))
