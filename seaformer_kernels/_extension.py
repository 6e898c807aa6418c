"""Loads the native extension, or remembers why it cannot be."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch  # noqa: F401  (first: the extension's library needs torch's in the process)

# What ops do in plain PyTorch, by name; `ops` fills it in.
plain_ops: dict[str, Callable[..., object]] = {}

_BUILD_FAILURE = Path(__file__).with_name("_build_failure.txt")

module: ModuleType | None = None
reason: str | None = None  # why module is None
try:
    module = importlib.import_module("seaformer_kernels._C")
except ImportError as error:
    if _BUILD_FAILURE.exists():
        reason = f"it was not built: {_BUILD_FAILURE.read_text().strip()}"
    elif isinstance(error, ModuleNotFoundError):
        reason = "it was not built: this copy of the package holds Python files only"
    else:
        reason = f"it could not be loaded: {error}"
