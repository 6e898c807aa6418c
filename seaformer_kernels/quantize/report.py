"""What became of each block of a quantized model, and how exact it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from seaformer_kernels.optimize.report import Entry, Report


@dataclass(frozen=True)
class MapRange:
    """A map of a block.

    Attributes:
        name: "input", "expanded", "hidden" (behind the depthwise convolution) or "output".
        activation: behind which it is.
        peak: the largest magnitude seen.
        range: the largest that it holds; what is beyond is clipped.
        scale: the step between its numbers.
    """

    name: str
    activation: str
    peak: float
    range: float
    scale: float


@dataclass(frozen=True)
class Int8Entry(Entry):
    """One block that has an int8 form.

    Attributes:
        maps: its maps, as they were calibrated.
        signal_to_noise: of its output, in decibels, when it alone is int8.
        output_signal_to_noise: of the model's output, likewise.
        stays: why it is of another type, as the end of a sentence; None if it is int8.
    """

    maps: tuple[MapRange, ...] = ()
    signal_to_noise: float = float("nan")
    output_signal_to_noise: float = float("nan")
    stays: str | None = None


@dataclass(frozen=True)
class QuantizationReport(Report):
    """What `quantize` did; `str()` gives it as readable lines.

    Attributes:
        samples: images it was calibrated on; 0 of one that was trained.
        signal_to_noise: of the model's output, in decibels.
        evaluated: what `evaluate` said: of the float32 model, then of each int8 one that was tried,
            with how many blocks of it stayed float.
    """

    samples: int = 0
    signal_to_noise: float = float("nan")
    evaluated: tuple[tuple[int | None, float], ...] = ()

    @property
    def int8(self) -> tuple[Entry, ...]:
        """The blocks of int8."""
        return tuple(entry for entry in self.entries if entry.dtype == "int8")

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.samples:
            lines.append(f"Calibrated on {self.samples} images.")
            lines.append(f"Output, signal to noise: {self.signal_to_noise:.1f} dB.")
        for count, value in self.evaluated:
            of = "float32" if count is None else f"int8, {count} blocks kept out"
            lines.append(f"Evaluated, {of}: {value:g}.")
        for entry in self.entries:
            if not isinstance(entry, Int8Entry):
                continue
            stays = f"; {entry.dtype}, as it {entry.stays}" if entry.stays else ""
            lines.append(
                f"{entry.path or 'the model itself'}: {entry.signal_to_noise:.1f} dB, "
                f"{entry.output_signal_to_noise:.1f} dB at the output{stays}"
            )
            for each in entry.maps:
                behind = "" if each.activation == "none" else f" ({each.activation})"
                lines.append(
                    f"  {each.name}{behind}: up to {each.peak:.4g}, holds {each.range:.4g}"
                )
        other = Counter(
            (entry.dtype, entry.kind)
            for entry in self.entries
            if entry.fused and entry.dtype != "int8" and not isinstance(entry, Int8Entry)
        )
        for (dtype, kind), count in other.items():
            lines.append(f"In {dtype}, without an int8 form: {count} {kind}.")
        return "\n".join(lines)
