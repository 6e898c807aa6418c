"""Models of int8: calibrated after training, or trained as such."""

from seaformer_kernels.quantize.after_training import quantize
from seaformer_kernels.quantize.report import Int8Entry, MapRange, QuantizationReport
from seaformer_kernels.quantize.training import convert, prepare_qat

__all__ = [
    "Int8Entry",
    "MapRange",
    "QuantizationReport",
    "convert",
    "prepare_qat",
    "quantize",
]
