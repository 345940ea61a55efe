"""For tests of adapters, here and elsewhere: a recording sink, a faulty wire, the mock as a venue, and the conformance suite.

Needs pytest. An adapter's author outside of this project parametrises one test with `mmd.testing.conformance.STEPS`.
"""

import pytest

pytest.register_assert_rewrite("mmd.testing.conformance", "mmd.testing.order_steps", "mmd.testing.steps")
