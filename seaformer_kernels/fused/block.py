"""What all fused blocks are, and the checks that a plain block can become one."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from seaformer_kernels.fused.loading import SelfDescribing
from seaformer_kernels.ops._element import ELEMENTS


class Unservable(Exception):
    """Why a block has to stay plain, as the end of a sentence about it."""


class FusedBlock(SelfDescribing):
    """An op and its packed weights; they are constant, so its mode does not matter.

    Attributes:
        packed: uint8 buffer, the same for every instruction set; an op may have several.
        dtype: of the maps it writes and, but for images, reads.
        holds_packed_weights: tells `load_checkpoint`, which cannot fill it.
        makes_map: whether it gives maps of four axes only, as `graph.trace` asks.
    """

    packed: Tensor
    holds_packed_weights = True
    makes_map = True
    dtype = torch.float32  # of those that were pickled before there were others

    def __init__(self, **buffers: Tensor):
        super().__init__(**buffers)
        (name,) = {facts["dtype"] for facts in self._facts.values()}
        self.dtype = getattr(torch, name)

    @property
    def kind(self) -> str:
        """Its name in reports."""
        return type(self).__name__.removeprefix("Fused")

    def with_residual(self) -> "FusedBlock | None":
        """The same with its input added to its output, with the same buffers; None if it cannot."""
        return None

    def in_dtype(self, x: Tensor) -> Tensor:
        """A map in the block's type; what can be no map is left for the op to refuse."""
        if x.dtype == self.dtype or x.dtype not in ELEMENTS or x.dim() != 4:
            return x
        # As dense rows of pixels, or torch.export would ask how the strides of an axis compare.
        return x.permute(0, 2, 3, 1).to(self.dtype).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{name}={value}"
            for name, value in vars(self).items()
            if isinstance(value, int | torch.dtype)
            and name != "training"
            and not name.startswith("_")
        )


class FusedLayer(FusedBlock):
    """A block in the place of one layer of PyTorch's, which takes an image by itself, too."""

    makes_map = False

    def forward(self, input: Tensor) -> Tensor:  # as a plain layer's argument is called
        if input.dim() == 3:
            return self(input[None])[0]
        return self._run(self.in_dtype(input))

    def _run(self, x: Tensor) -> Tensor:
        """The op on a batch of maps in the block's type."""
        raise NotImplementedError


def check_forward(module: nn.Module, block: type[nn.Module]) -> None:
    """Raises Unservable unless calling module runs the forward of block and nothing else."""
    if not isinstance(module, block):
        raise Unservable(f"has {type(module).__name__} where {block.__name__} is expected")
    if type(module).forward is not block.forward:
        raise Unservable(f"has a forward of its own ({type(module).__name__})")
    _check_call(module)


def check_forwards(module: nn.Module, block: type[nn.Module]) -> None:
    """As `check_forward`, and checks that nothing inside is called in another way than usual."""
    check_forward(module, block)
    for child in module.modules():
        _check_call(child)


def layers(sequence: nn.Module, *types: type[nn.Module]) -> list[nn.Module]:
    """The layers of a sequence; raises Unservable unless they are of just these types."""
    check_forward(sequence, nn.Sequential)
    got = [type(layer) for layer in sequence]
    if got != list(types):
        names = ", ".join(kind.__name__ for kind in got)
        raise Unservable(f"has the layers {names}, not {', '.join(t.__name__ for t in types)}")
    return list(sequence)


def check_type(module: nn.Module, *types: type[nn.Module]) -> None:
    """Raises Unservable unless module is of one of these types, and not of a subclass."""
    if type(module) not in types:
        raise Unservable(f"has {type(module).__name__} where {types[0].__name__} is expected")


def _check_call(module: nn.Module) -> None:
    name = type(module).__name__
    if "forward" in vars(module):
        raise Unservable(f"has a forward of its own ({name})")
    if module._forward_hooks or module._forward_pre_hooks:
        raise Unservable(f"has a forward hook ({name})")
    if is_parametrized(module):
        raise Unservable(f"has parametrizations ({name})")
