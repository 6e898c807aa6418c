"""What models can do to be shared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from seaformer_kernels.data import Dataset
    from seaformer_kernels.models.pretrained.facts import ModelFacts


class Shareable(nn.Module):
    """A model that can be written as a folder for others.

    Attributes:
        facts: what users need beside the weights, such as the names of the classes;
            `from_pretrained` sets it, and `save_pretrained` writes it.
    """

    facts: ModelFacts | None = None

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        facts: ModelFacts | Dataset | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Writes `config.json` and `model.safetensors`: `seaformer_kernels.save_pretrained`."""
        # It knows the models.
        from seaformer_kernels.models.pretrained.save import save_pretrained

        save_pretrained(self, folder, facts=facts, dtype=dtype)
