"""SeaFormer with fused kernels for ARM and x86 processors behind torch custom ops."""

from seaformer_kernels import cpu, data, models, modules, ops
from seaformer_kernels._version import __version__
from seaformer_kernels.models import (
    CheckpointError,
    CheckpointReport,
    ModelFacts,
    create_model,
    from_pretrained,
    list_models,
    list_pretrained,
    load_checkpoint,
    save_pretrained,
)
from seaformer_kernels.optimize import OptimizedModel, optimize
from seaformer_kernels.optimize.export_native import NativeFile, export_native
from seaformer_kernels.quantize import convert, prepare_qat, quantize

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "ModelFacts",
    "NativeFile",
    "OptimizedModel",
    "__version__",
    "convert",
    "cpu",
    "create_model",
    "data",
    "export_native",
    "from_pretrained",
    "list_models",
    "list_pretrained",
    "load_checkpoint",
    "models",
    "modules",
    "ops",
    "optimize",
    "prepare_qat",
    "quantize",
    "save_pretrained",
]
