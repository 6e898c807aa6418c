"""MobileViT (ICLR 2022): inverted residuals with SiLU, and attention over unfolded patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.mobile_rows import Mobile, Row
from zoo.timm_layout import EncoderBlock
from zoo.torchvision_layout import InvertedResidual

NORM = nn.BatchNorm2d
NET = Mobile(16, [], 320, "silu")


def conv_bn_silu(inp, out, kernel=1, stride=1):
    return nn.Sequential(
        nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False), NORM(out), nn.SiLU()
    )


class MobileViTBlock(nn.Module):
    """Local convolutions, attention between equal places of all patches, fusion."""

    def __init__(self, channels, dim, depth, patch=2):
        super().__init__()
        self.patch = patch
        self.conv_kxk = conv_bn_silu(channels, channels, 3)
        self.conv_1x1 = nn.Conv2d(channels, dim, 1, bias=False)
        self.transformer = nn.Sequential(*(EncoderBlock(dim, 4) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, eps=1e-5)
        self.conv_proj = conv_bn_silu(dim, channels)
        self.conv_fusion = conv_bn_silu(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_1x1(self.conv_kxk(x))
        b, c, h, w = x.shape
        p = self.patch
        rows, columns = -(-h // p), -(-w // p)
        if (rows * p, columns * p) != (h, w):
            x = F.interpolate(x, size=(rows * p, columns * p), mode="bilinear")
        # [B, C, H, W] to [B * places in a patch, patches, C], and back.
        x = x.reshape(b * c * rows, p, columns, p).transpose(1, 2)
        x = x.reshape(b, c, rows * columns, p * p).transpose(1, 3).reshape(b * p * p, -1, c)
        x = self.norm(self.transformer(x))
        x = x.contiguous().view(b, p * p, rows * columns, c).transpose(1, 3)
        x = x.reshape(b * c * rows, columns, p, p).transpose(1, 2)
        x = x.reshape(b, c, rows * p, columns * p)
        if (rows * p, columns * p) != (h, w):
            x = F.interpolate(x, size=(h, w), mode="bilinear")
        x = self.conv_proj(x)
        return self.conv_fusion(torch.cat((shortcut, x), dim=1))


class MobileViT(nn.Module):
    """MobileViT-XXS."""

    def __init__(self, num_classes=1000):
        super().__init__()

        def mv2(inp, out, stride=1):
            return InvertedResidual(inp, Row(3, 2 * inp, out, 0, "silu", stride), NORM)

        self.stem = conv_bn_silu(3, NET.stem, 3, 2)
        self.stages = nn.Sequential(
            mv2(16, 16),
            nn.Sequential(mv2(16, 24, 2), mv2(24, 24), mv2(24, 24)),
            nn.Sequential(mv2(24, 48, 2), MobileViTBlock(48, 64, 2)),
            nn.Sequential(mv2(48, 64, 2), MobileViTBlock(64, 80, 4)),
            nn.Sequential(mv2(64, 80, 2), MobileViTBlock(80, 96, 3)),
        )
        self.final_conv = conv_bn_silu(80, NET.head)
        self.head = nn.Linear(NET.head, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.final_conv(self.stages(self.stem(x)))
        return self.head(x.mean(dim=[-2, -1]))
