"""Blocks found by structure: what is recognised, how it is put in place, and what is left alone."""

from __future__ import annotations

import copy
import importlib.metadata
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels.graph import Untraceable, trace
from seaformer_kernels.optimize.backend import seaformer
from seaformer_kernels.optimize.structure.read import Values, is_leaf
from seaformer_kernels.optimize.structure.same_padding import padding_of, same_padding


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def kinds(fast: nn.Module) -> list[str]:
    return [entry.kind for entry in fast.report().entries if entry.fused]


@torch.no_grad()
def assert_same(model: nn.Module, fast: nn.Module, *inputs: torch.Tensor) -> None:
    expected, got = model(*inputs), fast(*inputs)
    assert got.dtype == expected.dtype
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


class Code(nn.Module):
    """A forward that is given, over layers that have names."""

    def __init__(self, forward, **layers: nn.Module):
        super().__init__()
        self.code = forward
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.eval()

    def forward(self, x):
        return self.code(self, x)


# Activations, as modules, functions and written by hand.
ACTIVATIONS = {
    "relu": [nn.ReLU(), F.relu, torch.relu, lambda x: x.clamp(min=0)],
    "relu6": [nn.ReLU6(), F.relu6, nn.Hardtanh(0, 6), lambda x: torch.clamp(x, 0, 6)],
    "hardswish": [
        nn.Hardswish(),
        F.hardswish,
        lambda x: x * F.relu6(x + 3) / 6,
        lambda x: x * (F.relu6(x + 3) / 6),
        lambda x: F.hardsigmoid(x) * x,
    ],
    "silu": [nn.SiLU(), F.silu, lambda x: x * torch.sigmoid(x), lambda x: x.sigmoid().mul(x)],
    "hardsigmoid": [nn.Hardsigmoid(), F.hardsigmoid, lambda x: F.relu6(3 + x) * (1 / 6)],
    "sigmoid": [nn.Sigmoid(), torch.sigmoid],
    "gelu": [nn.GELU(), F.gelu],
    "gelu_tanh": [nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")],
    "leaky_relu(0.125)": [
        nn.LeakyReLU(0.125),
        nn.LeakyReLU(0.125, inplace=True),
        lambda x: F.leaky_relu(x, 0.125),
        lambda x: F.leaky_relu_(x, negative_slope=0.125),
    ],
}
FORMS = [(name, i) for name, forms in ACTIVATIONS.items() for i in range(len(forms))]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_activations_are_part_of_the_convolution(name, form):
    act = ACTIVATIONS[name][form]
    if isinstance(act, nn.Module):
        model = nn.Sequential(nn.Conv2d(5, 7, 1), act)
    else:
        model = Code(lambda m, x: act(m.conv(x)), conv=nn.Conv2d(5, 7, 1))
    fast = sk.optimize(model)
    assert kinds(fast) == ["Pointwise"]
    (block,) = [m for m in fast.modules() if isinstance(m, sk.fused.FusedPointwise)]
    assert block._facts["packed"]["expand_activation"] == name
    assert_same(model, fast, 3 * noise(2, 5, 6, 7))


@pytest.mark.parametrize(
    "act",
    [
        lambda x: torch.clamp(x, 0, 5),
        lambda x: x * F.relu6(x + 2) / 6,
        lambda x: x * F.relu6(x + 3) / 5,
        nn.LeakyReLU(-0.1),
        nn.LeakyReLU(0.0),
        nn.LeakyReLU(math.inf),
        nn.Hardtanh(0, 4),
    ],
)
def test_what_looks_like_an_activation_is_none(act):
    model = Code(lambda m, x: act(m.conv(x)), conv=nn.Conv2d(5, 7, 1))
    assert_same(model, sk.optimize(model), 3 * noise(2, 5, 6, 7))


def squeeze_by_convolutions(m, x):
    scale = F.adaptive_avg_pool2d(x, 1)
    return x * F.hardsigmoid(m.fc2(F.relu(m.fc1(scale))))


def squeeze_by_mean(m, x):
    return x * torch.sigmoid(m.fc2(F.silu(m.fc1(x.mean((2, 3), keepdim=True)))))


def squeeze_by_linear_layers(m, x):
    b, c, _, _ = x.size()
    y = F.adaptive_avg_pool2d(x, 1).view(b, c)
    return x * torch.sigmoid(m.linear2(F.relu(m.linear1(y)))).view(b, c, 1, 1)


def squeeze_by_axes(m, x):
    y = x.mean(dim=[2, 3])
    return x * F.hardsigmoid(m.linear2(F.relu(m.linear1(y))))[:, :, None, None]


@pytest.mark.parametrize(
    "squeeze",
    [squeeze_by_convolutions, squeeze_by_mean, squeeze_by_linear_layers, squeeze_by_axes],
)
@pytest.mark.parametrize("residual", [False, True])
def test_squeeze_and_excite_is_part_of_the_inverted_residual(squeeze, residual):
    def forward(m, x):
        y = F.hardswish(m.norm(m.depthwise(F.hardswish(m.expand(x)))))
        y = m.project(squeeze(m, y))
        return x + y if residual else y

    model = Code(
        forward,
        expand=nn.Conv2d(8, 24, 1),
        depthwise=nn.Conv2d(24, 24, 5, padding=2, groups=24, bias=False),
        norm=nn.BatchNorm2d(24),
        fc1=nn.Conv2d(24, 6, 1),
        fc2=nn.Conv2d(6, 24, 1),
        linear1=nn.Linear(24, 6),
        linear2=nn.Linear(6, 24),
        project=nn.Conv2d(24, 8, 1),
    )
    fast = sk.optimize(model)
    assert "InvertedResidual" in kinds(fast)
    (block,) = [m for m in fast.modules() if isinstance(m, sk.fused.FusedInvertedResidual)]
    assert block.residual == residual and block._facts["packed"]["heads"] == 6
    assert_same(model, fast, noise(2, 8, 11, 9))


class ConvBNReLU(nn.Sequential):
    def __init__(self, inp, out, kernel=1, groups=1):
        super().__init__(
            nn.Conv2d(inp, out, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )


def test_modules_that_do_one_thing_together_become_one():
    model = nn.Sequential(
        ConvBNReLU(8, 8, 3, groups=8), ConvBNReLU(8, 12), nn.MaxPool2d(2), ConvBNReLU(12, 6)
    ).eval()
    fast = sk.optimize(model)
    assert kinds(fast) == ["InvertedResidual", "Pointwise"]
    assert len(fast.module) == 4
    assert [type(m) for m in fast.module[1:3]] == [nn.Identity, nn.MaxPool2d]
    assert_same(model, fast, noise(2, 8, 10, 12))


def test_a_shared_activation_stays():
    model = Code(
        lambda m, x: m.conv2(m.act(m.conv1(m.act(x) * 1.5))),
        act=nn.ReLU(),
        conv1=nn.Conv2d(6, 6, 1),
        conv2=nn.Conv2d(6, 6, 1),
    )
    fast = sk.optimize(model)
    assert kinds(fast) == ["Pointwise", "Pointwise"]
    assert type(fast.module.act) is nn.ReLU
    assert_same(model, fast, noise(1, 6, 5, 5))


class Basic(nn.Module):
    """As in ResNet, in functional style, with an attribute and a method."""

    width = 8

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.note = {"a": 1}

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)

    def twice(self, x):
        return self(self(x))


def basic_blocks() -> nn.Module:
    return nn.Sequential(Basic(), Basic()).eval()


def test_a_forward_that_is_code_is_written_anew():
    model = basic_blocks()
    fast = sk.optimize(model)
    assert kinds(fast) == ["Convolution"] * 4
    block = fast.module[0]
    assert isinstance(block, Basic) and type(block).__name__ == "Basic"
    assert block.width == 8 and block.note == {"a": 1}
    x = noise(1, 8, 9, 7)
    assert_same(model, fast, x)
    with torch.no_grad():
        torch.testing.assert_close(block.twice(x), model[0].twice(x), rtol=1e-4, atol=1e-4)


def test_weights_lie_twice_only_for_other_methods():
    class Alone(Basic12):
        pass

    class WithMethod(Basic12):
        def features(self, x):
            return self.conv(x)

    x = noise(1, 12, 5, 6)
    for kind, kept in (Alone, 0), (WithMethod, 1):
        model = kind().eval()
        fast = sk.optimize(model)
        assert sum(isinstance(m, nn.Conv2d) for m in fast.modules()) == kept
        assert_same(model, fast, x)
    assert torch.equal(fast.features(x), model.features(x))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_what_is_written_anew_copies(how):
    fast = sk.optimize(basic_blocks())
    x = noise(1, 8, 9, 7)
    other = how(fast)
    with torch.no_grad():
        assert torch.equal(other(x), fast(x))
    other.load_state_dict(fast.state_dict())


class Optional(Basic):
    def forward(self, x, scale=None):
        y = F.relu(self.bn1(self.conv1(x)))
        return y if scale is None else y * scale


def test_further_arguments_reach_the_old_forward():
    model = Code(
        lambda m, x: m.block(x) + m.block(x, 2.0) + m.block(x, scale=0.5), block=Optional()
    )
    fast = sk.optimize(model)
    assert_same(model, fast, noise(1, 8, 5, 6))


def test_residuals_around_blocks_join_them():
    reference = pytest.importorskip("zoo.reference_seaformer")
    layer = nn.Sequential(reference.Block(24, 4, 3, 2, 2, 0.1, nn.ReLU6)).eval()
    fast = sk.optimize(layer)
    assert sorted(kinds(fast))[:1] == ["InvertedResidual"]
    blocks = [m for m in fast.modules() if hasattr(m, "residual")]
    assert len(blocks) == 2 and all(block.residual for block in blocks)
    assert_same(layer, fast, noise(1, 24, 7, 6))


# Labels.

LABELS = {
    "argmax": lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").argmax(1),
    "aligned": lambda y, x: F.interpolate(
        y, size=x.shape[-2:], mode="bilinear", align_corners=True
    ).argmax(dim=1),
    "softmax": lambda y, x: torch.argmax(
        F.softmax(F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False), dim=1), 1
    ),
    "max": lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").max(1)[1],
    "indices": lambda y, x: torch.max(F.interpolate(y, (40, 44), mode="bilinear"), dim=1).indices,
    "scale": lambda y, x: F.interpolate(y, scale_factor=4, mode="bilinear").argmax(1),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_resized_logits(name):
    torch.manual_seed(0)  # one model in a thousand has a level pixel, whose label may be either
    labels = LABELS[name]
    model = Code(lambda m, x: labels(m.conv(x), x), conv=nn.Conv2d(3, 9, 3, stride=4, padding=1))
    fast = sk.optimize(model)
    assert "Labels" in kinds(fast)
    for size in (40, 44), (33, 64):
        x = noise(2, 3, *size)
        got, expected = fast(x), model(x)
        assert got.dtype == torch.int64 and got.shape == expected.shape
        assert (got != expected).float().mean() < 1e-3


@pytest.mark.parametrize(
    "labels",
    [
        lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").argmax(1, keepdim=True),
        lambda y, x: F.interpolate(y, x.shape[2:]).argmax(1),
        lambda y, x: F.interpolate(y, scale_factor=1.7, mode="bilinear").argmax(1),
        lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").argmax(2),
        lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").argmin(1),
        lambda y, x: F.interpolate(y, x.shape[2:], mode="bilinear").max(1)[0],
    ],
)
def test_what_is_no_label(labels):
    model = Code(lambda m, x: labels(m.conv(x), x), conv=nn.Conv2d(3, 9, 3, stride=4, padding=1))
    fast = sk.optimize(model)
    assert "Labels" not in kinds(fast)
    x = noise(1, 3, 20, 24)
    assert_same(model, fast, x)


# Padding.


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_makes_a_pixel_for_each_stride(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_a_class_that_pads_by_itself_is_tried():
    class Same(nn.Conv2d):
        def forward(self, x):
            sides = zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
            (top, bottom), (left, right) = (same_padding(*side) for side in sides)
            return self._conv_forward(F.pad(x, (left, right, top, bottom)), self.weight, self.bias)

    class Standardised(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    assert padding_of(Same(4, 4, 3, 2)) == "same"
    assert padding_of(Standardised(4, 4, 3, 2)) is None
    assert padding_of(nn.Conv2d(4, 4, (5, 3), padding="same")) == (2, 1)
    assert padding_of(nn.Conv2d(4, 4, (4, 3), padding="same")) is None
    assert padding_of(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")) is None


# What cannot be looked into.


def branches(m, x):
    return m.conv(x) if x.sum() > 0 else x


def asks_for_gradients(m, x):
    return m.conv(x) if torch.is_grad_enabled() else m.conv(x) * 2


def counts(m, x):
    m.count = getattr(m, "count", 0) + 1
    return m.conv(x)


def appends(m, x):
    m.seen.append(1)
    return m.conv(x)


def draws(m, x):
    return m.conv(x) + torch.rand(1)


def makes(m, x):
    return m.conv(x) + torch.ones(1)


def changes(m, x):
    y = m.conv(x)
    z = y.relu_()
    return z + y


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (branches, "cannot be traced"),
        (asks_for_gradients, "does something else where gradients are wanted"),
        (counts, "keeps something"),
        (appends, "keeps something"),
        (draws, "draws random numbers"),
        (makes, "makes tensors"),
        (changes, "changes a map in place"),
    ],
)
def test_what_cannot_be_looked_into_says_why_and_is_as_it_was(forward, reason):
    model = Code(forward, conv=nn.Conv2d(4, 4, 1))
    model.seen = []
    with pytest.raises(Untraceable, match=reason):
        Values(trace(model, is_leaf), model)
    assert not model.seen and not hasattr(model, "count")


def test_a_hook_is_seen():
    model = nn.Sequential(ConvBNReLU(4, 4), ConvBNReLU(4, 4)).eval()
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(Untraceable, match=r"has a hook \(ConvBNReLU\)"):
        trace(model, is_leaf)
    model[1][0].register_forward_hook(lambda module, args, y: y + 1)
    fast = sk.optimize(model)
    assert_same(model, fast, noise(1, 4, 5, 5))
    reasons = {entry.path: entry.reason for entry in fast.report().plain}
    assert "has a hook (Conv2d)" in reasons["1.0"]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(8, 8, 3, groups=2), "has 2 groups of several channels"),
        (nn.Conv2d(4, 8, 3, groups=4), "makes several outputs of each channel"),
        (nn.ConvTranspose2d(4, 4, 2), "is a transposed convolution"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), "pads with circular values"),
        (nn.Conv2d(4, 4, 9), "is part of no block that there is a kernel for"),
    ],
)
def test_reasons_of_layers_that_stay_plain(layer, reason):
    model = nn.Sequential(nn.Conv2d(layer.in_channels, layer.in_channels, 1), layer).eval()
    fast = sk.optimize(model)
    (entry,) = fast.report().plain
    assert (entry.path, entry.reason) == ("1", reason)
    assert reason in str(fast.report())
    assert_same(model, fast, noise(1, layer.in_channels, 12, 13))


# The whole model.


def test_outputs_are_compared_on_an_example():
    model = basic_blocks()
    report = sk.optimize(model, example_inputs=(noise(1, 8, 9, 7),)).report()
    assert 0 < report.comparison.max_error < 1e-4 and report.comparison.equal_labels == 1
    assert "On the example: differs by" in str(report)
    with pytest.raises(ValueError, match="expected example_inputs that the model takes"):
        sk.optimize(model, example_inputs=(noise(1, 5, 9, 7),))


def test_half_types_and_parts_that_stay_float32():
    model = nn.Sequential(ConvBNReLU(8, 8, 3, groups=8), ConvBNReLU(8, 12), Basic12()).eval()
    fast = sk.optimize(model, dtype=torch.float16, keep_float32=["0"])
    assert {e.dtype for e in fast.report().entries if e.path == "0"} == {"float32"}
    assert {e.dtype for e in fast.report().entries if e.path != "0"} == {"float16"}
    with torch.no_grad():
        x = noise(1, 8, 9, 9)
        torch.testing.assert_close(fast(x).float(), model(x), rtol=2e-2, atol=2e-2)


class Basic12(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, x):
        return F.relu(self.conv(x))


def test_two_sizes_and_the_model_stays():
    model = basic_blocks()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = sk.optimize(model)
    for size in (5, 6), (17, 9):
        assert_same(model, fast, noise(1, 8, *size))
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert type(model[0]) is Basic


# torch.compile


def test_torch_compile_finds_the_backend_by_its_name():
    (found,) = importlib.metadata.entry_points(group="torch_dynamo_backends", name="seaformer")
    assert found.load() is seaformer


@pytest.mark.compile
@pytest.mark.parametrize("rest", ["eager", "inductor"])
def test_the_backend_of_torch_compile(rest):
    if rest == "inductor":
        pytest.importorskip("torch._inductor")
    model = nn.Sequential(ConvBNReLU(3, 8, 3), ConvBNReLU(8, 8, 3, groups=8), ConvBNReLU(8, 6))
    model = model.eval()
    x = noise(1, 3, 10, 12)
    compiled = torch.compile(model, backend=seaformer, options={"rest": rest})
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)
        model[0][0].weight.mul_(2)  # what was packed is of no use any more
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)
    compiled(x).sum().backward()
    assert model[0][0].weight.grad is not None


class Branches(nn.Module):
    """A 3x3 and a 1x1 convolution, summed, that become one by a method."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.eval()

    def forward(self, x):
        return F.relu(self.wide(x) + self.narrow(x) if hasattr(self, "narrow") else self.wide(x))

    def joined(self, factor: float = 1.0):
        self.wide.weight.data += factor * F.pad(self.narrow.weight, [1, 1, 1, 1])
        self.wide.bias.data += self.narrow.bias
        del self.narrow


class Joining(Branches):
    def switch_to_deploy(self):
        self.joined()


class JoiningWrongly(Branches):
    def reparameterize(self):
        self.joined(0.5)


class JoiningWithArguments(Branches):
    def fuse(self, factor):
        self.joined(factor)


class JoiningNever(Branches):
    def merge_kernel(self):
        raise RuntimeError("no")


class JoiningByForward(Branches):
    def fuse(self):
        self.joined()
        self.forward = lambda x: F.relu(self.wide(x))


def test_branches_are_joined_by_the_models_own_method():
    block = Joining()
    model = nn.Sequential(block, nn.Sequential(block), Joining())
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    fast = sk.optimize(model)
    assert_same(model, fast, noise(2, 6, 9, 8))
    assert set(kinds(fast)) == {"Convolution"}
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "kind", [JoiningWrongly, JoiningWithArguments, JoiningNever, JoiningByForward]
)
def test_branches_that_cannot_be_joined_stay(kind):
    model = nn.Sequential(kind())
    fast = sk.optimize(model)
    assert_same(model, fast, noise(2, 6, 9, 8))
    assert sorted(kinds(fast)) == ["Convolution", "Pointwise"]


def test_branches_with_hooks_stay():
    block, called = Joining(), []
    block.narrow.register_forward_hook(lambda *_: called.append(1))
    sk.optimize(nn.Sequential(block))
    assert not called
