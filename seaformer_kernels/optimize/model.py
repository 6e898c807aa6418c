"""The result of optimize."""

from __future__ import annotations

from torch import nn

from seaformer_kernels.optimize.report import Report


class OptimizedModel(nn.Module):
    """A fused model: called like the plain one, with the plain one's public attributes.

    It stays in eval mode: `train()` changes nothing.

    Attributes:
        module: the fused copy of the plain model.
        holds_packed_weights: tells `load_checkpoint`, which cannot fill it.
    """

    holds_packed_weights = True

    def __init__(self, module: nn.Module, report: Report):
        super().__init__()
        self.module = module
        self._report = report
        self.eval()

    def forward(self, *args: object, **kwargs: object) -> object:
        """The same as `module`'s."""
        return self.module(*args, **kwargs)

    def report(self) -> Report:
        """Which blocks are fused, and why others are not."""
        return self._report

    def train(self, mode: bool = True) -> OptimizedModel:
        """Stays in eval mode, whatever the mode asked for."""
        return super().train(False)

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "module" not in self._modules:
                raise
            return getattr(self.module, name)
