"""Segmentation networks in functional style: U-Net, DeepLabV3+, Fast-SCNN and BiSeNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classic import BasicBlock, ResNet
from zoo.mobile_rows import mobilenet_v2
from zoo.torchvision_layout import MobileNetV2


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU."""

    def __init__(self, inp, out):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inp, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(True),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Up(nn.Module):
    """Resize or transposed convolution, pad to the skipped map's size, concatenate, convolve."""

    def __init__(self, inp, out, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(inp, inp // 2, 2, stride=2)
        self.conv = DoubleConv(inp, out)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    """U-Net (MICCAI 2015) with batch norm and padding, a quarter of the widths."""

    def __init__(self, num_classes=2, bilinear=True, width=16):
        super().__init__()
        factor = 2 if bilinear else 1
        w = [width << i for i in range(5)]
        self.inc = DoubleConv(3, w[0])
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(w[0], w[1]))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(w[1], w[2]))
        self.down3 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(w[2], w[3]))
        self.down4 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(w[3], w[4] // factor))
        self.up1 = Up(w[4], w[3] // factor, bilinear)
        self.up2 = Up(w[3], w[2] // factor, bilinear)
        self.up3 = Up(w[2], w[1] // factor, bilinear)
        self.up4 = Up(w[1], w[0], bilinear)
        self.outc = nn.Conv2d(w[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x5 = self.down4(x4)
        x = self.up1(x5, x4)
        x = self.up2(x, x3)
        x = self.up3(x, x2)
        x = self.up4(x, x1)
        return self.outc(x)


def conv_bn(x: Tensor, conv: nn.Conv2d, bn: nn.BatchNorm2d) -> Tensor:
    """Both as functions, as code does that keeps weights apart from their use."""
    x = F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return F.batch_norm(
        x, bn.running_mean, bn.running_var, bn.weight, bn.bias, bn.training, bn.momentum, bn.eps
    )


class SeparableConv(nn.Module):
    """Depthwise and pointwise convolution, each with batch norm and ReLU, all functional."""

    def __init__(self, inp, out, stride=1, dilation=1):
        super().__init__()
        self.depthwise = nn.Conv2d(inp, inp, 3, stride, dilation, dilation, groups=inp, bias=False)
        self.bn1 = nn.BatchNorm2d(inp)
        self.pointwise = nn.Conv2d(inp, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(conv_bn(x, self.depthwise, self.bn1))
        return F.relu(conv_bn(x, self.pointwise, self.bn2))


class ASPP(nn.Module):
    """DeepLab's parallel atrous convolutions and the pooled map."""

    def __init__(self, inp, out, rates=(6, 12, 18)):
        super().__init__()
        self.project_in = nn.Sequential(
            nn.Conv2d(inp, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
        )
        self.branches = nn.ModuleList(SeparableConv(inp, out, dilation=r) for r in rates)
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inp, out, 1, bias=False), nn.BatchNorm2d(out),
            nn.ReLU(),
        )  # fmt: skip
        self.project = nn.Sequential(
            nn.Conv2d(out * (len(rates) + 2), out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Dropout(0.5),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.project_in(x)] + [branch(x) for branch in self.branches]
        pooled = F.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear")
        return self.project(torch.cat([*maps, pooled], dim=1))


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ (ECCV 2018) on MobileNetV2."""

    def __init__(self, num_classes=21, width=128):
        super().__init__()
        self.backbone = MobileNetV2(mobilenet_v2()).features
        self.aspp = ASPP(1280, width)
        self.low = nn.Conv2d(24, 48, 1, bias=False)
        self.low_bn = nn.BatchNorm2d(48)
        self.decoder = SeparableConv(width + 48, width)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        low = x = self.backbone[:4](x)
        x = self.aspp(self.backbone[4:](x))
        low = F.relu(self.low_bn(self.low(low)))
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        x = self.classifier(self.decoder(torch.cat((x, low), 1)))
        return F.interpolate(x, size, mode="bilinear", align_corners=False)


class ConvBNReLU(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inp, out, kernel=3, stride=1, padding=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inp, out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class LinearBottleneck(nn.Module):
    """MobileNetV2's block in Fast-SCNN."""

    def __init__(self, inp, out, t=6, stride=1):
        super().__init__()
        self.use_shortcut = stride == 1 and inp == out
        self.block = nn.Sequential(
            ConvBNReLU(inp, inp * t, 1, 1, 0),
            ConvBNReLU(inp * t, inp * t, 3, stride, 1, groups=inp * t),
            nn.Conv2d(inp * t, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.block(x)
        if self.use_shortcut:
            out = x + out
        return out


class FastSCNN(nn.Module):
    """Fast-SCNN (BMVC 2019): learning to downsample, global features, fusion, classifier."""

    def __init__(self, num_classes=19):
        super().__init__()
        self.conv = ConvBNReLU(3, 32, 3, 2, 1)
        self.dsconv1 = SeparableConv(32, 48, 2)
        self.dsconv2 = SeparableConv(48, 64, 2)
        blocks, inp = [], 64
        for out, stride in ((64, 2), (64, 1), (64, 1), (96, 2), (96, 1), (128, 1), (128, 1)):
            blocks.append(LinearBottleneck(inp, out, stride=stride))
            inp = out
        self.bottlenecks = nn.Sequential(*blocks)
        self.bins = (1, 2, 3, 6)
        self.ppm = nn.ModuleList(ConvBNReLU(128, 32, 1, 1, 0) for _ in self.bins)
        self.ppm_out = ConvBNReLU(256, 128, 1, 1, 0)
        self.dwconv = ConvBNReLU(128, 128, 3, 1, 1, groups=128)
        self.conv_lower = nn.Sequential(nn.Conv2d(128, 128, 1), nn.BatchNorm2d(128))
        self.conv_higher = nn.Sequential(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128))
        self.classifier = nn.Sequential(
            SeparableConv(128, 128), SeparableConv(128, 128), nn.Dropout(0.1),
            nn.Conv2d(128, num_classes, 1),
        )  # fmt: skip

    def pyramid(self, x: Tensor) -> Tensor:
        size, maps = x.size()[2:], [x]
        for bin_, conv in zip(self.bins, self.ppm, strict=True):
            pooled = conv(F.adaptive_avg_pool2d(x, bin_))
            maps.append(F.interpolate(pooled, size, mode="bilinear", align_corners=True))
        return self.ppm_out(torch.cat(maps, dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        size = x.size()[2:]
        higher = self.dsconv2(self.dsconv1(self.conv(x)))
        lower = self.pyramid(self.bottlenecks(higher))
        lower = F.interpolate(lower, size=higher.size()[2:], mode="bilinear", align_corners=True)
        lower = self.conv_lower(self.dwconv(lower))
        x = self.classifier(F.relu(self.conv_higher(higher) + lower))
        return (F.interpolate(x, size, mode="bilinear", align_corners=True),)


class AttentionRefinement(nn.Module):
    """BiSeNet's: a map times the sigmoid of its pooled self."""

    def __init__(self, inp, out):
        super().__init__()
        self.conv = ConvBNReLU(inp, out)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        feat = self.conv(x)
        atten = torch.mean(feat, dim=(2, 3), keepdim=True)
        atten = self.bn_atten(self.conv_atten(atten)).sigmoid()
        return torch.mul(feat, atten)


class FeatureFusion(nn.Module):
    """BiSeNet's: two maps concatenated, convolved and gated."""

    def __init__(self, inp, out):
        super().__init__()
        self.convblk = ConvBNReLU(inp, out, 1, 1, 0)
        self.conv = nn.Conv2d(out, out, 1, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, fsp: Tensor, fcp: Tensor) -> Tensor:
        feat = self.convblk(torch.cat([fsp, fcp], dim=1))
        atten = F.adaptive_avg_pool2d(feat, 1)
        atten = self.bn(self.conv(atten)).sigmoid()
        feat_atten = feat * atten
        return feat_atten + feat


class BiSeNet(nn.Module):
    """BiSeNet (ECCV 2018) on a ResNet-18; a tuple of three outputs when training, else one."""

    def __init__(self, num_classes=19):
        super().__init__()
        self.resnet = ResNet(BasicBlock, (2, 2, 2, 2))
        del self.resnet.fc
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1, 1, 0)
        self.spatial = nn.Sequential(
            ConvBNReLU(3, 64, 7, 2, 3), ConvBNReLU(64, 64, 3, 2), ConvBNReLU(64, 64, 3, 2),
            ConvBNReLU(64, 128, 1, 1, 0),
        )  # fmt: skip
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = nn.Sequential(ConvBNReLU(256, 256), nn.Conv2d(256, num_classes, 1))
        self.conv_out16 = nn.Sequential(ConvBNReLU(128, 64), nn.Conv2d(64, num_classes, 1))

    def context(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, feat8, feat16, feat32 = self.resnet.maps(x)
        avg = self.conv_avg(torch.mean(feat32, dim=(2, 3), keepdim=True))
        up32 = self.arm32(feat32) + avg
        up32 = self.conv_head32(F.interpolate(up32, feat16.size()[2:], mode="nearest"))
        up16 = self.arm16(feat16) + up32
        return self.conv_head16(F.interpolate(up16, feat8.size()[2:], mode="nearest")), up32

    def forward(self, x: Tensor):
        size = x.size()[2:]
        feat8, feat16 = self.context(x)
        out = self.conv_out(self.ffm(self.spatial(x), feat8))
        out = F.interpolate(out, size, mode="bilinear", align_corners=True)
        if self.training:
            return out, F.interpolate(self.conv_out16(feat16), size, mode="bilinear")
        return out
