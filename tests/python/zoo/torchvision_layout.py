"""Mobile networks and RegNet with the names and structure that torchvision gives them."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.mobile_rows import Mobile, Row, divisible, mobilenet_v3

ACTS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
}


class Conv2dNormActivation(nn.Sequential):
    """Convolution, batch norm, activation (in place), the latter two optional."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        stride=1,
        groups=1,
        norm_layer=nn.BatchNorm2d,
        activation_layer=nn.ReLU,
        dilation=1,
    ):
        padding = (kernel_size - 1) // 2 * dilation
        layers = [
            nn.Conv2d(
                in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                bias=norm_layer is None,
            )
        ]  # fmt: skip
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(inplace=True))
        super().__init__(*layers)
        self.out_channels = out_channels


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeezed, activation=nn.ReLU, scale_activation=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def _scale(self, input: Tensor) -> Tensor:
        scale = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(scale))

    def forward(self, input: Tensor) -> Tensor:
        scale = self._scale(input)
        return scale * input


class StochasticDepth(nn.Module):
    """Drops the residual branch of whole images, in training only."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        kept = torch.rand(len(input), 1, 1, 1) >= self.p
        return input * kept / (1 - self.p)


class InvertedResidual(nn.Module):
    """Of MobileNetV2: `conv`, whose last two layers are a bare convolution and batch norm."""

    def __init__(self, inp, row: Row, norm_layer):
        super().__init__()
        self.stride = row.stride
        self.use_res_connect = row.stride == 1 and inp == row.out
        act, hidden = ACTS[row.act], row.expanded
        block = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=act)
        layers = [] if hidden == inp else [block(inp, hidden, 1)]
        layers += [
            block(hidden, hidden, row.kernel, row.stride, hidden),
            nn.Conv2d(hidden, row.out, 1, bias=False),
            norm_layer(row.out),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = row.out

    def forward(self, x: Tensor) -> Tensor:
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, net: Mobile, num_classes=1000):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=net.eps)
        act = ACTS[net.act]
        features = [Conv2dNormActivation(3, net.stem, 3, 2, 1, norm, act)]
        inp = net.stem
        for row in itertools.chain(*net.stages):
            features.append(InvertedResidual(inp, row, norm))
            inp = row.out
        features.append(Conv2dNormActivation(inp, net.head, 1, 1, 1, norm, act))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(net.head, num_classes))

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        x = torch.flatten(x, 1)
        return self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


class MBConv(nn.Module):
    """Of MobileNetV3 and EfficientNet: `block`, and a residual added in place."""

    def __init__(self, inp, row: Row, norm_layer, net: Mobile, drop=0.0, dilation=1):
        super().__init__()
        stride = 1 if dilation > 1 else row.stride
        self.use_res_connect = row.stride == 1 and inp == row.out
        act, hidden = ACTS[row.act], row.expanded
        block = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=act)
        layers = [] if hidden == inp else [block(inp, hidden, 1)]
        layers.append(block(hidden, hidden, row.kernel, stride, hidden, dilation=dilation))
        if row.squeezed:
            squeeze_act = nn.ReLU if net.gate == "hardsigmoid" else partial(act, inplace=True)
            gate = ACTS[net.gate]
            layers.append(SqueezeExcitation(hidden, row.squeezed, squeeze_act, gate))
        layers.append(block(hidden, row.out, 1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop)
        self.out_channels = row.out

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        if self.use_res_connect:
            result = self.stochastic_depth(result)
            result += input
        return result


class MobileNetV3(nn.Module):
    """Features in a row; with `dilated`, the last stage keeps its input's size."""

    def __init__(self, net: Mobile, last_channel, num_classes=1000, dilated=False):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=net.eps, momentum=0.01)
        layers = [Conv2dNormActivation(3, net.stem, 3, 2, 1, norm, nn.Hardswish)]
        inp = net.stem
        for stage, rows in enumerate(net.stages):
            dilation = 2 if dilated and stage == len(net.stages) - 1 else 1
            for row in rows:
                layers.append(MBConv(inp, row, norm, net, dilation=dilation))
                inp = row.out
        layers.append(Conv2dNormActivation(inp, net.head, 1, 1, 1, norm, nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(net.head, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2, inplace=True),
            nn.Linear(last_channel, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


class EfficientNet(nn.Module):
    """Features in stages, stochastic depth on every residual."""

    def __init__(self, net: Mobile, num_classes=1000):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=net.eps)
        act = ACTS[net.act]
        layers = [Conv2dNormActivation(3, net.stem, 3, 2, 1, norm, act)]
        inp, count, blocks = net.stem, 0, sum(map(len, net.stages))
        for rows in net.stages:
            stage = []
            for row in rows:
                stage.append(MBConv(inp, row, norm, net, drop=0.2 * count / blocks))
                inp, count = row.out, count + 1
            layers.append(nn.Sequential(*stage))
        layers.append(Conv2dNormActivation(inp, net.head, 1, 1, 1, norm, act))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(0.2, inplace=True), nn.Linear(net.head, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


class MnasResidual(nn.Module):
    """Of MnasNet: bare layers in `layers`."""

    def __init__(self, inp, row: Row):
        super().__init__()
        self.apply_residual = row.stride == 1 and inp == row.out
        hidden, padding = row.expanded, row.kernel // 2
        self.layers = nn.Sequential(
            nn.Conv2d(inp, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(
                hidden, hidden, row.kernel, row.stride, padding, groups=hidden, bias=False
            ),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, row.out, 1, bias=False),
            nn.BatchNorm2d(row.out),
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        if self.apply_residual:
            return self.layers(input) + input
        return self.layers(input)


class MNASNet(nn.Module):
    """One flat Sequential: the stem's layers bare, then stacks of blocks."""

    def __init__(self, net: Mobile, num_classes=1000):
        super().__init__()
        inp = net.stages[0][0].out
        layers = [
            nn.Conv2d(3, net.stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(net.stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(net.stem, net.stem, 3, 1, 1, groups=net.stem, bias=False),
            nn.BatchNorm2d(net.stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(net.stem, inp, 1, bias=False),
            nn.BatchNorm2d(inp),
        ]
        for rows in net.stages[1:]:
            stack = []
            for row in rows:
                stack.append(MnasResidual(inp, row))
                inp = row.out
            layers.append(nn.Sequential(*stack))
        layers += [
            nn.Conv2d(inp, net.head, 1, bias=False),
            nn.BatchNorm2d(net.head),
            nn.ReLU(inplace=True),
        ]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(0.2, inplace=True), nn.Linear(net.head, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        x = x.mean([2, 3])
        return self.classifier(x)


class ResBottleneckBlock(nn.Module):
    """Of RegNet: `f` with grouped 3x3 convolution and squeeze-and-excite."""

    def __init__(self, inp, out, stride, group_width, se_ratio):
        super().__init__()
        self.proj = None
        if stride != 1 or inp != out:
            self.proj = Conv2dNormActivation(inp, out, 1, stride, activation_layer=None)
        layers = OrderedDict(
            a=Conv2dNormActivation(inp, out, 1),
            b=Conv2dNormActivation(out, out, 3, stride, out // group_width),
        )
        if se_ratio:
            layers["se"] = SqueezeExcitation(out, round(se_ratio * inp))
        layers["c"] = Conv2dNormActivation(out, out, 1, activation_layer=None)
        self.f = nn.Sequential(layers)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x) + self.f(x) if self.proj is not None else x + self.f(x)
        return self.activation(x)


class RegNet(nn.Module):
    """RegNet (CVPR 2020) of given depths and widths."""

    def __init__(self, depths, widths, group_width, se_ratio=0.0, num_classes=1000):
        super().__init__()
        self.stem = Conv2dNormActivation(3, 32, 3, 2)
        inp, stages = 32, OrderedDict()
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = OrderedDict()
            for i in range(depth):
                block = ResBottleneckBlock(inp, width, 1 if i else 2, group_width, se_ratio)
                blocks[f"block{number}-{i}"] = block
                inp = width
            stages[f"block{number}"] = nn.Sequential(blocks)
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inp, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.trunk_output(x)
        x = self.avgpool(x)
        x = x.flatten(start_dim=1)
        return self.fc(x)


class LayerGetter(nn.ModuleDict):
    """The first layers of a model, and the maps behind some of them, by new names."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]):
        last = list(dict(model.named_children())).index(list(return_layers)[-1])
        super().__init__(list(model.named_children())[: last + 1])
        self.return_layers = return_layers

    def forward(self, x):
        out = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out


class LRASPPHead(nn.Module):
    def __init__(self, low_channels, high_channels, num_classes, inter_channels=128):
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input):
        low, high = input["low"], input["high"]
        x = self.cbr(high)
        s = self.scale(high)
        x = x * s
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


class LRASPP(nn.Module):
    """Lite R-ASPP (MobileNetV3's paper, section 6.4); a dict, like torchvision's."""

    def __init__(self, num_classes=21):
        super().__init__()
        features = MobileNetV3(mobilenet_v3(large=True), 1280, dilated=True).features
        low, high = 4, len(features) - 1
        self.backbone = LayerGetter(features, {str(low): "low", str(high): "high"})
        self.classifier = LRASPPHead(40, features[high].out_channels, num_classes)

    def forward(self, input):
        features = self.backbone(input)
        out = self.classifier(features)
        out = F.interpolate(out, size=input.shape[-2:], mode="bilinear", align_corners=False)
        return OrderedDict(out=out)


class MobileNetV1(nn.Module):
    """MobileNet (2017): depthwise and pointwise convolutions in a row."""

    def __init__(self, width=1.0, num_classes=1000):
        super().__init__()
        plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
        plan += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
        inp = divisible(32 * width)
        layers = [Conv2dNormActivation(3, inp, 3, 2)]
        for channels, stride in plan:
            out = divisible(channels * width)
            layers.append(Conv2dNormActivation(inp, inp, 3, stride, inp))
            layers.append(Conv2dNormActivation(inp, out, 1))
            inp = out
        self.model = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.fc = nn.Linear(inp, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.model(x)
        return self.fc(x.mean((-2, -1)))
