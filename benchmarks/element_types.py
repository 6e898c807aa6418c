"""The element types that the suites of ops and blocks were asked for."""

from __future__ import annotations

import pytest
import torch

from seaformer_kernels.ops._element import ELEMENTS, name_of


def chosen(config: pytest.Config) -> list[torch.dtype]:
    """Those of --dtype, or float32."""
    names = config.getoption("dtype") or [name_of(ELEMENTS[0])]
    return [getattr(torch, name) for name in names]
