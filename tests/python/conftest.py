"""Fixtures of several test files."""

from __future__ import annotations

import pytest
from isas import ISAS, force


@pytest.fixture(params=ISAS)
def isa(request):
    """Runs the test on every instruction set this machine has; its value is the name."""
    with force(request.param):
        yield request.param
