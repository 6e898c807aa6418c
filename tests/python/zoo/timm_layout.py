"""Mobile networks with the names and structure that timm gives them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.mobile_rows import Mobile, Row
from zoo.torchvision_layout import ACTS


class Conv2dSame(nn.Conv2d):
    """TensorFlow's "same" padding: as much as the input's size asks for, more of it behind."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride, dilation in zip(
            x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True
        ):
            covered = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
            pad = max(covered - size, 0)
            pads = [pad // 2, pad - pad // 2, *pads]
        if any(pads):
            x = F.pad(x, pads)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class BatchNormAct2d(nn.BatchNorm2d):
    """Batch norm, then `drop`, then `act`; calls the functional batch norm itself."""

    def __init__(self, num_features, eps=1e-5, act=None):
        super().__init__(num_features, eps=eps)
        self.drop = nn.Identity()
        self.act = nn.Identity() if act is None else act(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        x = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, self.momentum, self.eps,
        )  # fmt: skip
        x = self.drop(x)
        return self.act(x)


class DropPath(nn.Module):
    def __init__(self, drop_prob=0.0, scale_by_keep=True):
        super().__init__()
        self.drop_prob = drop_prob
        self.scale_by_keep = scale_by_keep

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.drop_prob, self.training, self.scale_by_keep)


def drop_path(x: Tensor, drop_prob: float, training: bool, scale_by_keep: bool) -> Tensor:
    if drop_prob == 0.0 or not training:
        return x
    keep = 1 - drop_prob
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
    return x * (mask / keep if scale_by_keep else mask)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed, act_layer, gate_layer):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act1 = act_layer(inplace=True)
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate_layer()

    def forward(self, x: Tensor) -> Tensor:
        x_se = x.mean((2, 3), keepdim=True)
        x_se = self.conv_reduce(x_se)
        x_se = self.act1(x_se)
        x_se = self.conv_expand(x_se)
        return x * self.gate(x_se)


class DepthwiseSeparableConv(nn.Module):
    def __init__(self, inp, row: Row, conv, norm, se, drop):
        super().__init__()
        act = ACTS[row.act]
        self.has_skip = row.stride == 1 and inp == row.out
        self.conv_dw = conv(inp, inp, row.kernel, row.stride, groups=inp)
        self.bn1 = norm(inp, act=act)
        self.aa = nn.Identity()
        self.se = se(inp, row.squeezed, act) if row.squeezed else nn.Identity()
        self.conv_pw = conv(inp, row.out, 1)
        self.bn2 = norm(row.out)
        self.drop_path = DropPath(drop) if drop else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_dw(x)
        x = self.bn1(x)
        x = self.aa(x)
        x = self.se(x)
        x = self.conv_pw(x)
        x = self.bn2(x)
        if self.has_skip:
            x = self.drop_path(x) + shortcut
        return x


class InvertedResidual(nn.Module):
    def __init__(self, inp, row: Row, conv, norm, se, drop):
        super().__init__()
        act, mid = ACTS[row.act], row.expanded
        self.has_skip = row.stride == 1 and inp == row.out
        self.conv_pw = conv(inp, mid, 1)
        self.bn1 = norm(mid, act=act)
        self.conv_dw = conv(mid, mid, row.kernel, row.stride, groups=mid)
        self.bn2 = norm(mid, act=act)
        self.aa = nn.Identity()
        self.se = se(mid, row.squeezed, act) if row.squeezed else nn.Identity()
        self.conv_pwl = conv(mid, row.out, 1)
        self.bn3 = norm(row.out)
        self.drop_path = DropPath(drop) if drop else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_pw(x)
        x = self.bn1(x)
        x = self.conv_dw(x)
        x = self.bn2(x)
        x = self.aa(x)
        x = self.se(x)
        x = self.conv_pwl(x)
        x = self.bn3(x)
        if self.has_skip:
            x = self.drop_path(x) + shortcut
        return x


class SelectAdaptivePool2d(nn.Module):
    """The average over the map, flattened or not."""

    def __init__(self, flatten: bool):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1) if flatten else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.pool(x))


class MobileNet(nn.Module):
    """EfficientNet's class, or with `late_head` MobileNetV3's, whose head is behind the pool.

    Args:
        same: TensorFlow's padding, as in the tf_ models; a 1x1 convolution never needs it.
        drop: drop path's rate at the last block.
    """

    def __init__(self, net: Mobile, num_classes=1000, same=False, drop=0.0, late_head=0):
        super().__init__()
        conv = partial(_conv, same=same)
        norm = partial(BatchNormAct2d, eps=net.eps)
        se = partial(_squeeze, net=net)
        self.conv_stem = conv(3, net.stem, 3, 2)
        self.bn1 = norm(net.stem, act=ACTS[net.act])
        inp, count, blocks, stages = net.stem, 0, sum(map(len, net.stages)), []
        for rows in net.stages:
            stage = []
            for row in rows:
                kind = DepthwiseSeparableConv if row.expanded == inp else InvertedResidual
                stage.append(kind(inp, row, conv, norm, se, drop * count / blocks))
                inp, count = row.out, count + 1
            stages.append(nn.Sequential(*stage))
        self.late_head = bool(late_head)
        if late_head:  # timm counts MobileNetV3's last 1x1 convolution among the blocks
            last = nn.Sequential(_ConvBnAct(inp, net.head, norm, ACTS[net.act]))
            stages.append(nn.Sequential(last))
            self.global_pool = SelectAdaptivePool2d(flatten=False)
            self.conv_head = nn.Conv2d(net.head, late_head, 1)
            self.act2 = ACTS[net.act](inplace=True)
            self.flatten = nn.Flatten(1)
        else:
            self.conv_head = conv(inp, net.head, 1)
            self.bn2 = norm(net.head, act=ACTS[net.act])
            self.global_pool = SelectAdaptivePool2d(flatten=True)
        self.blocks = nn.Sequential(*stages)
        self.num_features = late_head or net.head
        self.drop_rate = 0.2
        self.classifier = nn.Linear(self.num_features, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.conv_stem(x)
        x = self.bn1(x)
        x = self.blocks(x)
        if not self.late_head:
            x = self.conv_head(x)
            x = self.bn2(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)
        if self.late_head:
            x = self.conv_head(x)
            x = self.act2(x)
            x = self.flatten(x)
        if self.drop_rate > 0.0:
            x = F.dropout(x, p=self.drop_rate, training=self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.forward_features(x)
        return self.forward_head(x)


class _ConvBnAct(nn.Module):
    def __init__(self, inp, out, norm, act):
        super().__init__()
        self.conv = _conv(inp, out, 1)
        self.bn1 = norm(out, act=act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.bn1(x)


def _conv(inp, out, kernel, stride=1, groups=1, same=False):
    if same and stride > 1:
        return Conv2dSame(inp, out, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inp, out, kernel, stride, kernel // 2, groups=groups, bias=False)


def _squeeze(channels, squeezed, act, net: Mobile):
    act = nn.ReLU if net.gate == "hardsigmoid" else act
    return SqueezeExcite(channels, squeezed, act, ACTS[net.gate])


class PatchEmbed(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)
        self.norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return self.norm(x)


class Attention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.drop1 = nn.Dropout(0.0)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.drop1(self.act(self.fc1(x))))


class EncoderBlock(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads)
        self.drop_path1 = DropPath(0.1)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path2 = DropPath(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """ViT-Tiny/16 (ICLR 2021) for images of any multiple of 16, positions resized."""

    def __init__(self, dim=192, depth=12, num_heads=3, grid=14, num_classes=1000):
        super().__init__()
        self.patch_embed = PatchEmbed(16, dim)
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + grid * grid, dim))
        nn.init.uniform_(self.pos_embed, -0.03, 0.03)
        self.blocks = nn.Sequential(*(EncoderBlock(dim, num_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        pos = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        pos = F.interpolate(pos, size=x.shape[-2:], mode="bicubic", antialias=True)
        x = (x + pos).flatten(2).transpose(1, 2)
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x], 1)
        x = self.norm(self.blocks(x))
        return self.head(x[:, 0])


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of a map [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = nn.Parameter(torch.full((dim,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_dw(x)
        x = x.permute(0, 2, 3, 1)
        x = self.mlp(self.norm(x))
        x = x.permute(0, 3, 1, 2)
        x = x.mul(self.gamma.reshape(1, -1, 1, 1))
        return x + shortcut


class ConvNeXt(nn.Module):
    """ConvNeXt (CVPR 2022) with the widths of Atto."""

    def __init__(self, dims=(40, 80, 160, 320), depths=(2, 2, 6, 2), num_classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), LayerNorm2d(dims[0], eps=1e-6))
        stages, inp = [], dims[0]
        for dim, depth in zip(dims, depths, strict=True):
            down = nn.Identity()
            if dim != inp:
                down = nn.Sequential(LayerNorm2d(inp, eps=1e-6), nn.Conv2d(inp, dim, 2, 2))
            stages.append(nn.Sequential(down, *(ConvNeXtBlock(dim) for _ in range(depth))))
            inp = dim
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(inp, eps=1e-6)
        self.head = nn.Linear(inp, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(self.norm(x.mean((2, 3))))
