"""Devices, processes and precision, by Lightning Fabric.

Fabric gives DDP, devices and mixed precision and leaves the loop to us, which resuming to the same
curve needs: what happens between two steps, and in which order, is then ours to say.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed", "64-true"]


@dataclass(frozen=True)
class Machine:
    """What a training runs on, which changes its result by no more than rounding.

    Attributes:
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        precision: "32-true", "16-mixed", "bf16-mixed", "64-true", or "auto" for mixed precision on
            CUDA and 32 bits elsewhere.
        workers: processes that read and augment images; 0 for none but the one that trains.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "auto"
    workers: int = 1

    def fabric(self) -> Fabric:
        """Fabric for this machine; under torchrun for each of its processes."""
        cuda = torch.cuda.is_available() if self.device == "auto" else self.device == "cuda"
        precision: Any = self.precision
        if precision == "auto":
            mixed = "bf16-mixed" if cuda and torch.cuda.is_bf16_supported() else "16-mixed"
            precision = mixed if cuda else "32-true"
        several = int(os.environ.get("WORLD_SIZE", 1)) > 1
        return Fabric(
            accelerator="cuda" if cuda else "cpu",
            strategy="ddp" if several else "auto",
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if several else 1,
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)) if several else 1,
            precision=precision,
        )
