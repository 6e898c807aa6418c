"""What became of each block of a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from seaformer_kernels import cpu


@dataclass(frozen=True)
class Entry:
    """One block.

    Attributes:
        path: its name in the model; "" for the model itself.
        kind: the class of ours it is of. A ConvBN counts where it is not part of a fused block.
        reason: why it stayed plain, as the end of a sentence about it; None if it did not.
        dtype: the type of its maps and weights.
    """

    path: str
    kind: str
    reason: str | None = None
    dtype: str = "float32"

    @property
    def kernel(self) -> str | None:
        """The instruction set of the kernel that does most of its work, as chosen now.

        "pytorch" without the native extension, and None where plain PyTorch does it all.
        """
        if not self.fused or self.kind == "ConvBN":
            return None
        if self.dtype == "int8":  # whose stem is a 1x1 convolution, too
            return cpu.chosen("int8_pointwise", self.dtype)
        return cpu.chosen("stem" if self.kind == "Stem" else "pointwise", self.dtype)

    @property
    def fused(self) -> bool:
        """Whether a fused op does its work or, for a ConvBN, its batch norm is folded."""
        return self.reason is None


@dataclass(frozen=True)
class Comparison:
    """Outputs of a fused model beside those of the plain one, on the same inputs.

    Attributes:
        max_error: the largest difference of a number; 0 if there are no floating-point outputs.
        largest: the largest number of the plain model.
        equal_labels: the part of equal integers, such as labels; 1 if there are none.
    """

    max_error: float
    largest: float
    equal_labels: float

    def __str__(self) -> str:
        return (
            f"On the example: differs by {self.max_error:.3g} at most, from outputs up to "
            f"{self.largest:.3g}; {self.equal_labels:.4%} of the labels are equal."
        )


@dataclass(frozen=True)
class Report:
    """What `optimize` did; `str()` gives it as readable lines.

    Attributes:
        entries: one for each block of ours; a shared one is named once.
        input_size: height and width of the image that the share is of, if one was given.
        fused_share: the part of the multiply-adds of convolutions and matrix products that fused
            ops do, from 0 to 1; those of a folded ConvBN are not fused.
        comparison: of the outputs on `example_inputs`, if some were given.
    """

    entries: tuple[Entry, ...]
    input_size: tuple[int, int] | None = None
    fused_share: float | None = None
    comparison: Comparison | None = None

    @property
    def plain(self) -> tuple[Entry, ...]:
        """The blocks that stayed plain."""
        return tuple(entry for entry in self.entries if not entry.fused)

    def __str__(self) -> str:
        counts = Counter(entry.kind for entry in self.entries if entry.fused)
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
        lines = [f"Fused or folded: {kinds}."]
        by = Counter((entry.dtype, entry.kernel) for entry in self.entries if entry.kernel)
        lines += [f"In {dtype}, by {kernel}: {count}." for (dtype, kernel), count in by.items()]
        if self.fused_share is not None:
            height, width = self.input_size
            lines.append(
                f"In fused ops: {self.fused_share:.1%} of the multiply-adds for an image of "
                f"{height}x{width}."
            )
        if self.comparison is not None:
            lines.append(str(self.comparison))
        groups: dict[tuple[str, str | None], list[str]] = {}
        for entry in self.plain:
            groups.setdefault((entry.kind, entry.reason), []).append(entry.path)
        for (kind, reason), paths in groups.items():
            lines.append(f"Plain: {len(paths)} {kind}; each {reason}:")
            lines += [f"  {path or 'the model itself'}" for path in paths]
        return "\n".join(lines)
