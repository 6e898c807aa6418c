"""TopFormer (CVPR 2022) in the layout of its release for mmseg."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.mmseg_layout import (
    MLP,
    BaseDecodeHead,
    BasicLayer,
    Conv2d_BN,
    ConvModule,
    EncoderDecoder,
    InvertedResidual,
    h_sigmoid,
    resize,
)
from zoo.timm_layout import drop_path

# Rows are kernel, expansion, width, stride; then which layers' maps become tokens.
VARIANTS = {
    "tiny": (
        [(3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1), (5, 3, 32, 2), (5, 3, 32, 1),
         (3, 3, 64, 2), (3, 3, 64, 1), (5, 6, 96, 2), (5, 6, 96, 1)],
        (2, 4, 6, 8), 4, 128,
    ),
    "base": (
        [(3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1), (5, 3, 64, 2), (5, 3, 64, 1),
         (3, 3, 128, 2), (3, 3, 128, 1), (5, 6, 160, 2), (5, 6, 160, 1), (3, 6, 160, 1)],
        (2, 4, 6, 9), 8, 256,
    ),
}  # fmt: skip


class DropPath(nn.Module):
    def __init__(self, drop_prob=None):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.drop_prob, self.training, True)


class TokenPyramidModule(nn.Module):
    """Inverted residuals; the maps behind some of them."""

    def __init__(self, cfgs, out_indices, inp_channel=16):
        super().__init__()
        self.out_indices = out_indices
        self.stem = nn.Sequential(Conv2d_BN(3, inp_channel, 3, 2, 1), nn.ReLU())
        self.cfgs, self.layers = cfgs, []
        for i, (k, t, c, s) in enumerate(cfgs):
            layer_name = f"layer{i + 1}"
            self.add_module(layer_name, InvertedResidual(inp_channel, c, k, s, t))
            inp_channel = c
            self.layers.append(layer_name)

    def forward(self, x: Tensor) -> list[Tensor]:
        outs = []
        x = self.stem(x)
        for i, layer_name in enumerate(self.layers):
            layer = getattr(self, layer_name)
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return outs


class PyramidPoolAgg(nn.Module):
    """The maps averaged to half the coarsest one's size, then side by side."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, inputs: list[Tensor]) -> Tensor:
        _, _, h, w = inputs[-1].shape
        h, w = (h - 1) // self.stride + 1, (w - 1) // self.stride + 1
        return torch.cat([F.adaptive_avg_pool2d(inp, (h, w)) for inp in inputs], dim=1)


class Attention(nn.Module):
    """Attention of all places, with 1x1 convolutions and batch norms for q, k and v."""

    def __init__(self, dim, key_dim, num_heads, attn_ratio, activation):
        super().__init__()
        self.num_heads = num_heads
        self.scale = key_dim**-0.5
        self.key_dim = key_dim
        self.d = int(attn_ratio * key_dim)
        self.dh = self.d * num_heads
        self.to_q = Conv2d_BN(dim, key_dim * num_heads, 1)
        self.to_k = Conv2d_BN(dim, key_dim * num_heads, 1)
        self.to_v = Conv2d_BN(dim, self.dh, 1)
        self.proj = nn.Sequential(activation(), Conv2d_BN(self.dh, dim, bn_weight_init=0))

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q = self.to_q(x).reshape(b, self.num_heads, self.key_dim, h * w).permute(0, 1, 3, 2)
        k = self.to_k(x).reshape(b, self.num_heads, self.key_dim, h * w)
        v = self.to_v(x).reshape(b, self.num_heads, self.d, h * w).permute(0, 1, 3, 2)
        attn = torch.matmul(q, k) * self.scale
        out = torch.matmul(attn.softmax(dim=-1), v)
        return self.proj(out.permute(0, 1, 3, 2).reshape(b, self.dh, h, w))


class Block(nn.Module):
    def __init__(self, dim, key_dim, num_heads, mlp_ratio, attn_ratio, drop_path, act_layer):
        super().__init__()
        self.attn = Attention(dim, key_dim, num_heads, attn_ratio, act_layer)
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()
        self.mlp = MLP(dim, int(dim * mlp_ratio), act_layer)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(x))
        x = x + self.drop_path(self.mlp(x))
        return x


class InjectionMultiSum(nn.Module):
    """local * resize(h_sigmoid(global)) + resize(global)."""

    def __init__(self, inp, oup):
        super().__init__()
        self.local_embedding = ConvModule(inp, oup, 1, act=False)
        self.global_embedding = ConvModule(inp, oup, 1, act=False)
        self.global_act = ConvModule(inp, oup, 1, act=False)
        self.act = h_sigmoid()

    def forward(self, x_l: Tensor, x_g: Tensor) -> Tensor:
        _, _, h, w = x_l.shape
        local_feat = self.local_embedding(x_l)
        global_act = self.global_act(x_g)
        sig_act = resize(self.act(global_act), (h, w))
        global_feat = resize(self.global_embedding(x_g), (h, w))
        return local_feat * sig_act + global_feat


class Topformer(nn.Module):
    def __init__(self, cfgs, embed_out_indice, num_heads, out_channels):
        super().__init__()
        self.channels = [cfgs[i][2] for i in embed_out_indice]
        self.decode_out_indices = [1, 2, 3]
        self.tpm = TokenPyramidModule(cfgs, embed_out_indice)
        self.ppa = PyramidPoolAgg(stride=2)
        self.trans = BasicLayer(Block, 4, sum(self.channels), 16, num_heads, 2, 2, drop_path=0.1)
        self.SIM = nn.ModuleList(
            InjectionMultiSum(width, out_channels)
            if i in self.decode_out_indices
            else nn.Identity()
            for i, width in enumerate(self.channels)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = self.tpm(x)
        out = self.ppa(outputs)
        out = self.trans(out)
        parts = out.split(self.channels, dim=1)
        results = []
        for i in range(len(self.channels)):
            if i in self.decode_out_indices:
                results.append(self.SIM[i](outputs[i], parts[i]))
        return results


class SimpleHead(BaseDecodeHead):
    """All maps resized to the finest one and summed, then a 1x1 convolution."""

    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes, in_index=[0, 1, 2])
        self.linear_fuse = ConvModule(channels, channels, 1)

    def agg_res(self, preds: list[Tensor]) -> Tensor:
        outs = preds[0]
        for pred in preds[1:]:
            outs += resize(pred, outs.size()[2:], self.align_corners)
        return outs

    def forward(self, inputs: list[Tensor]) -> Tensor:
        x = self.agg_res(self._transform_inputs(inputs))
        return self.cls_seg(self.linear_fuse(x))


def topformer(variant: str, num_classes: int = 150) -> EncoderDecoder:
    """TopFormer with logits at 1/8 of the image's size."""
    cfgs, indices, num_heads, width = VARIANTS[variant]
    backbone = Topformer(cfgs, indices, num_heads, width)
    return EncoderDecoder(backbone, SimpleHead(width, num_classes))
