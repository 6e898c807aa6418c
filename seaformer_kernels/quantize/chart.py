"""The errors of a quantized model as a chart."""

from __future__ import annotations

import math
from pathlib import Path

from seaformer_kernels.quantize.report import Int8Entry, QuantizationReport

NEEDS_MATPLOTLIB = "A chart of errors needs matplotlib: pip install 'seaformer-kernels[train]'"
FORMATS = (".png", ".svg", ".pdf")


def draw_errors(report: QuantizationReport, path: Path, suffix: str = "png") -> None:
    """Draws signal to noise of each block, in the order in which they were met.

    Of each there are two bars, of its own output and of the model's, when it alone is int8; blocks
    that stayed float are pale, with what they would have. A line is the whole model's.

    Args:
        report: of `quantize`.
        path: the file.
        suffix: its kind, such as png, svg or pdf.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: errors were not measured, as of a model that was trained.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(NEEDS_MATPLOTLIB) from None
    entries = [entry for entry in report.entries if isinstance(entry, Int8Entry)]
    if not entries:
        raise ValueError("Expected a report with errors of blocks, got one without any.")
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(entries)), layout="constrained")
    axes = figure.add_subplot()
    series = (
        ("its own output", "signal_to_noise", -0.2, "tab:blue"),
        ("the model's output", "output_signal_to_noise", 0.2, "tab:orange"),
    )
    for label, name, offset, color in series:
        values = [_number(getattr(entry, name)) for entry in entries]
        rows = [row + offset for row in range(len(entries))]
        bars = axes.barh(rows, values, 0.4, color=color, label=label)
        for bar, entry in zip(bars, entries, strict=True):
            bar.set_alpha(0.3 if entry.stays else 1.0)
    if math.isfinite(report.signal_to_noise):
        text = f"all in int8: {report.signal_to_noise:.1f} dB"
        axes.axvline(report.signal_to_noise, color="black", linestyle=":", label=text)
    names = [
        f"{entry.path or 'the model'}{f' ({entry.dtype})' if entry.stays else ''}"
        for entry in entries
    ]
    axes.set_yticks(range(len(entries)), [name.replace("$", r"\$") for name in names], fontsize=8)
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set(xlabel="signal to noise, dB", title="One block in int8")
    axes.legend(fontsize=8)
    figure.savefig(path, format=suffix, metadata={"Date": None} if suffix == "svg" else {})


def _number(value: float) -> float:
    """Of a bar, which has none where the error is 0 or was not measured."""
    return value if math.isfinite(value) else 0.0
