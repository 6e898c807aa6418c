"""SeaFormer (ICLR 2023) with the classes and names of its release, for mmseg and classification.

Written from the description of the network; the names and shapes of all tensors are those of the
released checkpoints.
"""

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
from zoo.topformer import DropPath

# Widths; rows of kernel, expansion, width, stride by stage; depths, key widths, heads, MLP ratios;
# widths of the head's fusions.
VARIANTS = {
    "tiny": (
        [[(3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1)], [(5, 3, 32, 2), (5, 3, 32, 1)],
         [(3, 3, 64, 2), (3, 3, 64, 1)], [(5, 3, 128, 2)], [(3, 6, 160, 2)]],
        [16, 16, 32, 64, 128, 160], [2, 2], [16, 24], 4, [2, 4], [64, 96],
    ),
    "small": (
        [[(3, 1, 16, 1), (3, 4, 24, 2), (3, 3, 24, 1)], [(5, 3, 48, 2), (5, 3, 48, 1)],
         [(3, 3, 96, 2), (3, 3, 96, 1)], [(5, 4, 160, 2)], [(3, 6, 192, 2)]],
        [16, 24, 48, 96, 160, 192], [3, 3], [16, 24], 6, [2, 4], [96, 128],
    ),
    "base": (
        [[(3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1)], [(5, 3, 64, 2), (5, 3, 64, 1)],
         [(3, 3, 128, 2), (3, 3, 128, 1)], [(5, 4, 192, 2)], [(3, 6, 256, 2)]],
        [16, 32, 64, 128, 192, 256], [4, 4], [16, 24], 8, [2, 4], [128, 160],
    ),
    "large": (
        [[(3, 3, 32, 1), (3, 4, 64, 2), (3, 4, 64, 1)], [(5, 4, 128, 2), (5, 4, 128, 1)],
         [(3, 4, 192, 2), (3, 4, 192, 1)], [(5, 4, 256, 2)], [(3, 6, 320, 2)]],
        [32, 64, 128, 192, 256, 320], [3, 3, 3], [16, 20, 24], 8, [2, 4, 6], [128, 160, 192],
    ),
}  # fmt: skip


class StackedMV2Block(nn.Module):
    def __init__(self, cfgs, stem, inp_channel=16, activation=nn.ReLU):
        super().__init__()
        self.stem = stem
        if stem:
            self.stem_block = nn.Sequential(Conv2d_BN(3, inp_channel, 3, 2, 1), activation())
        self.cfgs, self.layers = cfgs, []
        for i, (k, t, c, s) in enumerate(cfgs):
            layer_name = f"layer{i + 1}"
            self.add_module(layer_name, InvertedResidual(inp_channel, c, k, s, t, activation))
            inp_channel = c
            self.layers.append(layer_name)

    def forward(self, x: Tensor) -> Tensor:
        if self.stem:
            x = self.stem_block(x)
        for layer_name in self.layers:
            x = getattr(self, layer_name)(x)
        return x


class SqueezeAxialPositionalEmbedding(nn.Module):
    def __init__(self, dim, shape):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn([1, dim, shape]))

    def forward(self, x: Tensor) -> Tensor:
        _, _, n = x.shape
        return x + F.interpolate(self.pos_embed, size=(n), mode="linear", align_corners=False)


class Sea_Attention(nn.Module):
    def __init__(self, dim, key_dim, num_heads, attn_ratio, activation):
        super().__init__()
        self.num_heads = num_heads
        self.scale = key_dim**-0.5
        self.key_dim = key_dim
        self.nh_kd = nh_kd = key_dim * num_heads
        self.d = int(attn_ratio * key_dim)
        self.dh = dh = self.d * num_heads
        self.attn_ratio = attn_ratio

        self.to_q = Conv2d_BN(dim, nh_kd, 1)
        self.to_k = Conv2d_BN(dim, nh_kd, 1)
        self.to_v = Conv2d_BN(dim, dh, 1)

        self.proj = nn.Sequential(activation(), Conv2d_BN(dh, dim, bn_weight_init=0))
        self.proj_encode_row = nn.Sequential(activation(), Conv2d_BN(dh, dh, bn_weight_init=0))
        self.pos_emb_rowq = SqueezeAxialPositionalEmbedding(nh_kd, 16)
        self.pos_emb_rowk = SqueezeAxialPositionalEmbedding(nh_kd, 16)
        self.proj_encode_column = nn.Sequential(activation(), Conv2d_BN(dh, dh, bn_weight_init=0))
        self.pos_emb_columnq = SqueezeAxialPositionalEmbedding(nh_kd, 16)
        self.pos_emb_columnk = SqueezeAxialPositionalEmbedding(nh_kd, 16)

        width = 2 * nh_kd + dh
        self.dwconv = Conv2d_BN(width, width, ks=3, stride=1, pad=1, groups=width)
        self.act = activation()
        self.pwconv = Conv2d_BN(width, dim, ks=1)
        self.sigmoid = h_sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)

        # Detail enhancement.
        qkv = torch.cat([q, k, v], dim=1)
        qkv = self.act(self.dwconv(qkv))
        qkv = self.pwconv(qkv)

        # Squeeze the rows.
        qrow = self.pos_emb_rowq(q.mean(-1)).reshape(b, self.num_heads, -1, h).permute(0, 1, 3, 2)
        krow = self.pos_emb_rowk(k.mean(-1)).reshape(b, self.num_heads, -1, h)
        vrow = v.mean(-1).reshape(b, self.num_heads, -1, h).permute(0, 1, 3, 2)
        attn_row = (torch.matmul(qrow, krow) * self.scale).softmax(dim=-1)
        xx_row = torch.matmul(attn_row, vrow)
        xx_row = self.proj_encode_row(xx_row.permute(0, 1, 3, 2).reshape(b, self.dh, h, 1))

        # Squeeze the columns.
        qcol = self.pos_emb_columnq(q.mean(-2)).reshape(b, self.num_heads, -1, w)
        kcol = self.pos_emb_columnk(k.mean(-2)).reshape(b, self.num_heads, -1, w)
        vcol = torch.mean(v, -2).reshape(b, self.num_heads, -1, w).permute(0, 1, 3, 2)
        attn_col = (torch.matmul(qcol.permute(0, 1, 3, 2), kcol) * self.scale).softmax(dim=-1)
        xx_column = torch.matmul(attn_col, vcol)
        xx_column = self.proj_encode_column(xx_column.permute(0, 1, 3, 2).reshape(b, self.dh, 1, w))

        xx = v.add(xx_row.add(xx_column))
        xx = self.proj(xx)
        return self.sigmoid(xx) * qkv


class Block(nn.Module):
    def __init__(self, dim, key_dim, num_heads, mlp_ratio, attn_ratio, drop_path, act_layer):
        super().__init__()
        self.dim, self.num_heads, self.mlp_ratio = dim, num_heads, mlp_ratio
        self.attn = Sea_Attention(dim, key_dim, num_heads, attn_ratio, act_layer)
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()
        self.mlp = MLP(dim, int(dim * mlp_ratio), act_layer)

    def forward(self, x1: Tensor) -> Tensor:
        x2 = self.attn(x1)
        x = x1 + self.drop_path(x2)
        x2 = self.mlp(x)
        return x + self.drop_path(x2)


class SeaFormer(nn.Module):
    """The backbone; with `cls`, average pool and linear layer behind its last map."""

    def __init__(
        self, cfgs, channels, depths, key_dims, num_heads, mlp_ratios, attn_ratio=2,
        drop_path_rate=0.1, cls=False, num_classes=1000,
    ):  # fmt: skip
        super().__init__()
        self.channels, self.depths, self.cfgs = channels, depths, cfgs
        self.cls = cls
        for i, rows in enumerate(cfgs):
            smb = StackedMV2Block(rows, stem=i == 0, inp_channel=channels[i])
            setattr(self, f"smb{i + 1}", smb)
        for i, depth in enumerate(depths):
            dim = channels[len(channels) - len(depths) + i]
            trans = BasicLayer(
                Block, depth, dim, key_dims[i], num_heads, mlp_ratios[i], attn_ratio, drop_path_rate
            )
            setattr(self, f"trans{i + 1}", trans)
        if cls:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.dropout = nn.Dropout(0.2)
            self.linear = nn.Linear(channels[-1], num_classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        outputs = []
        num_smb_stage, num_trans_stage = len(self.cfgs), len(self.depths)
        for i in range(num_smb_stage):
            x = getattr(self, f"smb{i + 1}")(x)
            if i == 1:  # the detail that the head wants
                outputs.append(x)
            if num_trans_stage + i >= num_smb_stage:
                x = getattr(self, f"trans{i + num_trans_stage - num_smb_stage + 1}")(x)
                outputs.append(x)
        return outputs

    def forward(self, x: Tensor):
        outputs = self.maps(x)
        if not self.cls:
            return outputs
        out = self.avgpool(outputs[-1]).view(-1, outputs[-1].shape[1])
        return self.linear(self.dropout(out))


class Fusion_block(nn.Module):
    def __init__(self, inp, out_inp, oup):
        super().__init__()
        self.local_embedding = ConvModule(inp, oup, 1, act=False)
        self.global_act = ConvModule(out_inp, oup, 1, act=False)
        self.act = h_sigmoid()

    def forward(self, x_l: Tensor, x_g: Tensor) -> Tensor:
        _, _, h, w = x_l.shape
        local_feat = self.local_embedding(x_l)
        global_act = self.global_act(x_g)
        sig_act = resize(self.act(global_act), (h, w))
        return local_feat * sig_act


class Light_Head(BaseDecodeHead):
    def __init__(self, in_channels, embed_dims, num_classes):
        channels = embed_dims[-1]
        super().__init__(channels, num_classes, in_index=list(range(len(in_channels))))
        self.embed_dims = embed_dims
        self.linear_fuse = ConvModule(channels, channels, 1, groups=channels)
        for i, dim in enumerate(embed_dims):
            inp = in_channels[0] if i == 0 else embed_dims[i - 1]
            setattr(self, f"fuse{i + 1}", Fusion_block(inp, in_channels[i + 1], dim))

    def forward(self, inputs: list[Tensor]) -> Tensor:
        xx = self._transform_inputs(inputs)
        x_detail = xx[0]
        for i in range(len(self.embed_dims)):
            fuse = getattr(self, f"fuse{i + 1}")
            x_detail = fuse(x_detail, xx[i + 1])
        _c = self.linear_fuse(x_detail)
        return self.cls_seg(_c)


def seaformer_segmenter(variant: str, num_classes: int = 150) -> EncoderDecoder:
    """The reference's SeaFormer for segmentation, logits at 1/8 of the image's size."""
    *options, embed_dims = VARIANTS[variant]
    backbone = SeaFormer(*options)
    channels, count = options[1], len(embed_dims)
    head = Light_Head([channels[2], *channels[-count:]], embed_dims, num_classes)
    return EncoderDecoder(backbone, head)


def seaformer_classifier(variant: str, num_classes: int = 1000) -> SeaFormer:
    """The reference's SeaFormer for classification."""
    *options, _ = VARIANTS[variant]
    return SeaFormer(*options, cls=True, num_classes=num_classes)
