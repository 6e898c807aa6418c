"""SeaFormer with fused kernels for ARM and x86 processors behind torch custom ops."""

from seaformer_kernels import cpu, data, models, modules, ops
from seaformer_kernels._version import __version__
from seaformer_kernels.models import (
    CheckpointError,
    CheckpointReport,
    create_model,
    list_models,
    load_checkpoint,
)
from seaformer_kernels.optimize import OptimizedModel, optimize
from seaformer_kernels.optimize.export_native import NativeFile, export_native

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "NativeFile",
    "OptimizedModel",
    "__version__",
    "cpu",
    "create_model",
    "data",
    "export_native",
    "list_models",
    "load_checkpoint",
    "models",
    "modules",
    "ops",
    "optimize",
]
