"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

from seaformer_kernels.models.pretrained.config import CONFIG

FOLDER = Path(__file__).parents[2] / "weights"


def list_pretrained() -> list[str]:
    """The names of the weights that come with the package, for `from_pretrained`."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CONFIG}"))
