"""What training puts around a model: parallel, compiled and averaged ones."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel, torch.compile's module and
    AveragedModel, in whatever order they lie around each other; any other module itself.
    """
    while True:
        if isinstance(model, _WRAPPERS):
            model = model.module
        # By its child's name: importing its class, torch._dynamo's, takes seconds.
        elif (inner := dict(model.named_children()).get("_orig_mod")) is not None:
            model = inner
        else:
            return model
