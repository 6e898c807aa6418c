"""Networks whose parallel branches become one convolution by a method of their own."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def deployed(model: nn.Module) -> nn.Module:
    """A copy whose branches are joined by the method that its blocks have for it."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for method in ("reparameterize", "switch_to_deploy"):
            if hasattr(module, method):
                getattr(module, method)()
    return model


def folded(branch: nn.Module, channels: int, groups: int, kernel: int) -> tuple[Tensor, Tensor]:
    """Weight [channels, channels / groups, kernel, kernel] and bias of a branch."""
    if isinstance(branch, nn.BatchNorm2d):
        weight, bn = torch.zeros(channels, channels // groups, 1, 1), branch
        weight[range(channels), [i % (channels // groups) for i in range(channels)]] = 1
    else:
        weight, bn = branch.conv.weight, branch.bn
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    pad = (kernel - weight.shape[-1]) // 2
    weight = F.pad(weight, [pad] * 4) * scale.reshape(-1, 1, 1, 1)
    return weight, bn.bias - bn.running_mean * scale


def _conv_bn(inp, out, kernel, stride, groups):
    branch = nn.Sequential()
    conv = nn.Conv2d(inp, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    branch.add_module("conv", conv)
    branch.add_module("bn", nn.BatchNorm2d(out))
    return branch


class MobileOneBlock(nn.Module):
    """MobileOne's (CVPR 2023): some convolutions, a 1x1 one and the input, summed."""

    def __init__(self, inp, out, kernel, stride=1, groups=1, branches=1):
        super().__init__()
        self.in_channels, self.out_channels = inp, out
        self.kernel_size, self.stride, self.groups = kernel, stride, groups
        self.inference_mode = False
        self.activation = nn.ReLU()
        self.rbr_skip = nn.BatchNorm2d(inp) if inp == out and stride == 1 else None
        self.rbr_conv = nn.ModuleList(
            _conv_bn(inp, out, kernel, stride, groups) for _ in range(branches)
        )
        self.rbr_scale = _conv_bn(inp, out, 1, stride, groups) if kernel > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.inference_mode:
            return self.activation(self.reparam_conv(x))
        identity = 0 if self.rbr_skip is None else self.rbr_skip(x)
        out = identity if self.rbr_scale is None else self.rbr_scale(x) + identity
        for branch in self.rbr_conv:
            out = branch(x) + out
        return self.activation(out)

    def reparameterize(self) -> None:
        """One convolution in place of the branches."""
        if self.inference_mode:
            return
        branches = [*self.rbr_conv, *filter(None, (self.rbr_scale, self.rbr_skip))]
        made = [folded(b, self.out_channels, self.groups, self.kernel_size) for b in branches]
        self.reparam_conv = nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel_size, self.stride,
            self.kernel_size // 2, groups=self.groups,
        )  # fmt: skip
        self.reparam_conv.weight.data = sum(weight for weight, _ in made).detach()
        self.reparam_conv.bias.data = sum(bias for _, bias in made).detach()
        del self.rbr_skip, self.rbr_conv, self.rbr_scale
        self.inference_mode = True


class MobileOne(nn.Module):
    """MobileOne-S0, with fewer blocks in its longest stages."""

    def __init__(self, num_classes=1000, branches=4):
        super().__init__()
        self.stage0 = MobileOneBlock(3, 48, 3, 2)
        inp = 48
        plan = ((48, 2), (128, 4), (256, 4), (1024, 1))
        for stage, (width, depth) in enumerate(plan, 1):
            blocks = []
            for i in range(depth):
                stride = 1 if i else 2
                blocks.append(MobileOneBlock(inp, inp, 3, stride, inp, branches))
                blocks.append(MobileOneBlock(inp, width, 1, branches=branches))
                inp = width
            setattr(self, f"stage{stage}", nn.Sequential(*blocks))
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(inp, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage0(x)
        x = self.stage1(x)
        x = self.stage2(x)
        x = self.stage3(x)
        x = self.stage4(x)
        x = self.gap(x)
        x = x.view(x.size(0), -1)
        return self.linear(x)


class RepVGGBlock(nn.Module):
    """RepVGG's (CVPR 2021): a 3x3 and a 1x1 convolution and the input, summed."""

    def __init__(self, inp, out, stride):
        super().__init__()
        self.in_channels, self.out_channels, self.stride = inp, out, stride
        self.nonlinearity = nn.ReLU()
        self.rbr_identity = nn.BatchNorm2d(inp) if inp == out and stride == 1 else None
        self.rbr_dense = _conv_bn(inp, out, 3, stride, 1)
        self.rbr_1x1 = _conv_bn(inp, out, 1, stride, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        if hasattr(self, "rbr_reparam"):
            return self.nonlinearity(self.rbr_reparam(inputs))
        id_out = 0 if self.rbr_identity is None else self.rbr_identity(inputs)
        return self.nonlinearity(self.rbr_dense(inputs) + self.rbr_1x1(inputs) + id_out)

    def switch_to_deploy(self) -> None:
        """One convolution in place of the branches."""
        if hasattr(self, "rbr_reparam"):
            return
        branches = [self.rbr_dense, self.rbr_1x1]
        branches += [] if self.rbr_identity is None else [self.rbr_identity]
        made = [folded(branch, self.out_channels, 1, 3) for branch in branches]
        conv = nn.Conv2d(self.in_channels, self.out_channels, 3, self.stride, 1)
        conv.weight.data = sum(weight for weight, _ in made).detach()
        conv.bias.data = sum(bias for _, bias in made).detach()
        self.rbr_reparam = conv
        del self.rbr_dense, self.rbr_1x1, self.rbr_identity


class RepVGG(nn.Module):
    """RepVGG-A0, with fewer blocks in its longest stage and a narrower last one."""

    def __init__(self, num_classes=1000):
        super().__init__()
        self.stage0 = RepVGGBlock(3, 48, 2)
        inp = 48
        for stage, (width, depth) in enumerate(((48, 2), (96, 4), (192, 4), (640, 1)), 1):
            blocks = []
            for i in range(depth):
                blocks.append(RepVGGBlock(inp, width, 1 if i else 2))
                inp = width
            setattr(self, f"stage{stage}", nn.ModuleList(blocks))
        self.gap = nn.AdaptiveAvgPool2d(output_size=1)
        self.linear = nn.Linear(inp, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.stage0(x)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            for block in stage:
                out = block(out)
        out = self.gap(out)
        out = out.view(out.size(0), -1)
        return self.linear(out)
