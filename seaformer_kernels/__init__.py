"""SeaFormer with fused kernels for ARM and x86 processors behind torch custom ops."""

from seaformer_kernels import cpu, models, modules, ops
from seaformer_kernels._version import __version__
from seaformer_kernels.models import (
    CheckpointError,
    CheckpointReport,
    create_model,
    list_models,
    load_checkpoint,
)

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "__version__",
    "cpu",
    "create_model",
    "list_models",
    "load_checkpoint",
    "models",
    "modules",
    "ops",
]
