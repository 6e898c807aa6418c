"""What config.json says of a model that trains as the int8 model it will be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Quantization:
    """How `prepare_qat` made a model of a plain one; as `quantization` an attribute of it.

    Attributes:
        skip: names of parts that were left as they are.
    """

    skip: tuple[str, ...] = ()

    def of(self, plain: nn.Module) -> nn.Module:
        """A plain model made such; its ranges are in its state dict."""
        (prepare,) = PREPARE
        return prepare(plain, self.skip)


def quantization_of(model: nn.Module) -> Quantization | None:
    """How a model was prepared; None for one that was not."""
    found = getattr(model, "quantization", None)
    return found if isinstance(found, Quantization) else None


# Of a model and what is to be left; the layer above, which knows how, puts it here.
PREPARE: list[Callable[[nn.Module, tuple[str, ...]], nn.Module]] = []
