"""What segmentation networks of mmseg are made of, and TopFormer in that style."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvModule(nn.Module):
    """Convolution, batch norm and activation, by name, in the order of the names."""

    def __init__(
        self, inp, out, kernel_size, stride=1, padding=0, groups=1, dilation=1,
        norm=True, act=True, order=("conv", "norm", "act"),
    ):  # fmt: skip
        super().__init__()
        self.order = order
        self.with_norm, self.with_activation = norm, act
        self.conv = nn.Conv2d(
            inp, out, kernel_size, stride, padding, dilation, groups, bias=not norm
        )
        if norm:
            self.norm_name = "bn"
            self.add_module("bn", nn.BatchNorm2d(out))
        if act:
            self.activate = nn.ReLU(inplace=True)

    @property
    def norm(self) -> nn.Module | None:
        return getattr(self, self.norm_name) if self.with_norm else None

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        for layer in self.order:
            if layer == "conv":
                x = self.conv(x)
            elif layer == "norm" and norm and self.with_norm:
                x = self.norm(x)
            elif layer == "act" and activate and self.with_activation:
                x = self.activate(x)
        return x


def resize(x: Tensor, size, align_corners: bool = False) -> Tensor:
    """Bilinear, with half-pixel centres unless told."""
    return F.interpolate(x, tuple(size), None, "bilinear", align_corners)


class BaseDecodeHead(nn.Module):
    """The classifier behind a dropout."""

    def __init__(self, channels, num_classes, dropout=0.1, in_index=-1):
        super().__init__()
        self.in_index = in_index
        self.align_corners = False
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        self.dropout = nn.Dropout2d(dropout) if dropout > 0 else None

    def _transform_inputs(self, inputs):
        if isinstance(self.in_index, list | tuple):
            return [inputs[i] for i in self.in_index]
        return inputs[self.in_index]

    def cls_seg(self, feat: Tensor) -> Tensor:
        if self.dropout is not None:
            feat = self.dropout(feat)
        return self.conv_seg(feat)


class EncoderDecoder(nn.Module):
    """A backbone and a head; `simple_test` gives labels."""

    def __init__(self, backbone, decode_head):
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def extract_feat(self, img: Tensor):
        return self.backbone(img)

    def forward(self, img: Tensor) -> Tensor:
        return self.decode_head(self.extract_feat(img))

    def simple_test(self, img: Tensor) -> Tensor:
        """Labels [B, H, W], int64, of images [B, 3, H, W]."""
        out = resize(self(img), img.shape[2:], self.decode_head.align_corners)
        return F.softmax(out, dim=1).argmax(dim=1)


class Labels(nn.Module):
    """A segmentation network to labels, as scripts write it: resize, then argmax."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        out = self.model(x)
        out = F.interpolate(out, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return out.argmax(dim=1)


class h_sigmoid(nn.Module):
    def __init__(self, inplace=True):
        super().__init__()
        self.relu = nn.ReLU6(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + 3) / 6


class Conv2d_BN(nn.Sequential):
    """A convolution `c` and a batch norm `bn`."""

    def __init__(self, a, b, ks=1, stride=1, pad=0, dilation=1, groups=1, bn_weight_init=1):
        super().__init__()
        self.inp_channel, self.out_channel = a, b
        self.add_module("c", nn.Conv2d(a, b, ks, stride, pad, dilation, groups, bias=False))
        bn = nn.BatchNorm2d(b)
        nn.init.constant_(bn.weight, bn_weight_init)
        self.add_module("bn", bn)


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, ks, stride, expand_ratio, activations=nn.ReLU):
        super().__init__()
        self.stride, self.expand_ratio = stride, expand_ratio
        hidden_dim = round(inp * expand_ratio)
        self.use_res_connect = self.stride == 1 and inp == oup
        layers = []
        if expand_ratio != 1:
            layers += [Conv2d_BN(inp, hidden_dim, ks=1), activations()]
        layers += [
            Conv2d_BN(hidden_dim, hidden_dim, ks, stride, pad=ks // 2, groups=hidden_dim),
            activations(),
            Conv2d_BN(hidden_dim, oup, ks=1),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MLP(nn.Module):
    """Pointwise, depthwise with bias, activation, pointwise; without dropout as with it at 0."""

    def __init__(self, in_features, hidden_features, act_layer=nn.ReLU6, drop=0.0):
        super().__init__()
        self.fc1 = Conv2d_BN(in_features, hidden_features)
        self.dwconv = nn.Conv2d(
            hidden_features, hidden_features, 3, 1, 1, bias=True, groups=hidden_features
        )
        self.act = act_layer()
        self.fc2 = Conv2d_BN(hidden_features, in_features)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        x = self.dwconv(x)
        x = self.act(x)
        x = self.drop(x)
        x = self.fc2(x)
        x = self.drop(x)
        return x


class BasicLayer(nn.Module):
    """Some transformer blocks of one class, which drop more of their paths the later they are."""

    def __init__(self, block, block_num, dim, key_dim, num_heads, mlp_ratio, attn_ratio, drop_path):
        super().__init__()
        self.block_num = block_num
        self.transformer_blocks = nn.ModuleList()
        for i in range(block_num):
            rate = drop_path * i / max(block_num - 1, 1)
            self.transformer_blocks.append(
                block(dim, key_dim, num_heads, mlp_ratio, attn_ratio, rate, nn.ReLU6)
            )

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.block_num):
            x = self.transformer_blocks[i](x)
        return x
