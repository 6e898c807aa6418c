"""optimize folds batch norm of every class that training and deployment leave behind."""

from __future__ import annotations

import copy

import pytest
import torch
from test_optimize import MINI, assert_same, noise, trained
from torch import nn
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerSegmenter
from seaformer_kernels.modules import ConvBN, InvertedResidual


class Frozen(nn.Module):
    """Constant statistics in buffers; how they are applied is for classes below."""

    def __init__(self, bn: nn.BatchNorm2d):
        super().__init__()
        self.eps = bn.eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(bn, name).detach().clone())


class FrozenByHand(Frozen):
    def forward(self, x):
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


class FrozenByFunction(Frozen):
    def forward(self, x):
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


class FrozenWithConstantEps(FrozenByHand):
    def __init__(self, bn):
        super().__init__(bn)
        del self.eps

    def forward(self, x):
        scale = self.weight / (self.running_var + 1e-5).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class FrozenWithoutAffine(nn.Module):
    def __init__(self, bn):
        super().__init__()
        self.eps = bn.eps
        self.register_buffer("running_mean", bn.running_mean - bn.bias.detach())
        self.register_buffer("running_var", bn.running_var.clone())

    def forward(self, x):
        mean, deviation = self.running_mean, (self.running_var + self.eps).sqrt()
        return (x - mean[:, None, None]) / deviation[:, None, None]


class OwnBatchNorm(nn.BatchNorm2d):
    """A subclass that does the same; frameworks have several."""

    def forward(self, x):
        return super().forward(x)


def own_batch_norm(bn):
    own = OwnBatchNorm(bn.num_features)
    own.load_state_dict(bn.state_dict())
    return own.eval()


def without_affine(bn):
    other = nn.BatchNorm2d(bn.num_features, affine=False)
    other.running_mean, other.running_var = bn.running_mean.clone(), bn.running_var.clone()
    return other.eval()


def replace_norms(model: nn.Module, make) -> nn.Module:
    """The model with what `make` makes of each batch norm."""
    for module in model.modules():
        if isinstance(module, ConvBN):
            module.bn = make(module.bn)
    return model


def fold_norms(model: nn.Module) -> nn.Module:
    """The model with folded batch norms, as tools for deployment write it."""
    for module in model.modules():
        if isinstance(module, ConvBN):
            (name, conv), _ = module.named_children()
            setattr(module, name, nn.utils.fuse_conv_bn_eval(conv, module.bn))
            module.bn = nn.Identity()
    return model


KINDS = {
    "BatchNorm2d": lambda model: model,
    "SyncBatchNorm": nn.SyncBatchNorm.convert_sync_batchnorm,
    "affine=False": lambda model: replace_norms(model, without_affine),
    "folded": fold_norms,
    "own subclass": lambda model: replace_norms(model, own_batch_norm),
    **{
        kind.__name__: lambda model, kind=kind: replace_norms(model, kind)
        for kind in (FrozenByHand, FrozenByFunction, FrozenWithConstantEps, FrozenWithoutAffine)
    },
}


@pytest.fixture(scope="module")
def mini() -> nn.Module:
    return trained(SeaFormerSegmenter(MINI, num_classes=5))


@pytest.mark.parametrize("kind", KINDS)
def test_all_blocks_of_a_model_are_fused(mini, kind):
    model = KINDS[kind](copy.deepcopy(mini))
    fast = sk.optimize(model)
    assert not fast.report().plain
    assert len(fast.report().entries) == 16
    x = noise(1, 3, 64, 64)
    assert_same(model, fast, x)
    if sk.cpu.info().extension_loaded:
        with torch.inference_mode():
            assert torch.equal(sk.optimize(model, whole_graph=True)(x), fast(x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_convolution_outside_of_fused_blocks_is_folded(kind):
    block = ConvBN(4, 4, 3, groups=2)
    model = KINDS[kind](trained(nn.Sequential(block, nn.ReLU())))
    fast = sk.optimize(model)
    assert type(fast.module[0]) is nn.Conv2d
    assert_same(model, fast, noise(2, 4, 9, 7))


class Activated(FrozenByHand):
    def forward(self, x):
        return F.leaky_relu(super().forward(x), 0.01)


class AbsoluteWeight(FrozenByHand):
    def __init__(self, bn):
        super().__init__(bn)
        self.weight[0] = -0.5

    def forward(self, x):
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight.abs(), self.bias, eps=self.eps
        )


class OfTheBatch(Frozen):
    def forward(self, x):
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)


class OtherEps(Frozen):
    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)

    def __init__(self, bn):
        super().__init__(bn)
        self.eps = 1e-3


class OnlyTheMiddle(FrozenByHand):
    def forward(self, x):
        y = super().forward(x)
        y[..., :1, :1] = 0
        return y


class Smaller(FrozenByHand):
    def forward(self, x):
        return super().forward(x)[..., :1]


class Pair(FrozenByHand):
    def forward(self, x):
        return super().forward(x), x


class Fails(FrozenByHand):
    def forward(self, x):
        raise RuntimeError("no maps today")


class WideStatistics(FrozenByHand):
    def __init__(self, bn):
        super().__init__(bn)
        self.running_mean = self.running_mean.reshape(1, -1, 1, 1)


class NoStatistics(nn.Module):
    def forward(self, x):
        return x


def batch_statistics(bn):
    return nn.BatchNorm2d(bn.num_features, track_running_stats=False)


def batch_statistics_of_all(bn):
    return nn.SyncBatchNorm(bn.num_features, track_running_stats=False)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (batch_statistics, "has a batch norm without running statistics"),
        (batch_statistics_of_all, "has a batch norm without running statistics"),
        (NoStatistics, "has NoStatistics where BatchNorm2d is expected"),
        (WideStatistics, "has WideStatistics whose statistics are not one number for each channel"),
        (Fails, r"has Fails, which fails on a map (RuntimeError: no maps today)"),
        *(
            (kind, f"has {kind.__name__}, which does not normalise by its running statistics")
            for kind in (
                Activated, AbsoluteWeight, OfTheBatch, OtherEps, OnlyTheMiddle, Smaller, Pair
            )
        ),
    ],
)  # fmt: skip
def test_other_norms_stay_plain_or_are_looked_into(make, reason):
    block = trained(InvertedResidual(8, 8))
    bn = block.conv[2].bn
    block.conv[2].bn = make(bn) if make is not NoStatistics else NoStatistics()
    fast = sk.optimize(block.eval())
    plain = [(e.path, e.reason) for e in fast.report().plain]
    assert plain in ([("", reason), ("conv.2", reason)], [])
    if plain:  # the other two are served
        assert sum(e.fused for e in fast.report().entries) in (2, 3)
    if make not in (Fails, Pair, WideStatistics):  # whose models run
        assert_same(block, fast, noise(2, 8, 9, 7))


def test_trying_a_norm_out_leaves_no_trace():
    class Counting(FrozenByHand):
        def forward(self, x):
            self.weight += 1
            return super().forward(x)

    model = replace_norms(trained(nn.Sequential(ConvBN(3, 4))), Counting)
    random = torch.get_rng_state()
    fast = sk.optimize(model)
    assert fast.report().plain
    assert torch.equal(fast.module[0].bn.weight, model[0].bn.weight)
    assert torch.equal(torch.get_rng_state(), random)
