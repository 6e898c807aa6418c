"""optimize on modules that are not what they seem: right or left plain, never silently other."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import zoo
from torch import nn
from zoo import adversarial
from zoo.closeness import assert_as_exact, doubled
from zoo.optimized import fused

pytestmark = pytest.mark.usefixtures("one_thread")


class Inside(nn.Module):
    """A module as a part of another."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


@torch.no_grad()
def made(make: Callable[[], nn.Module], around: Callable = lambda module: module) -> nn.Module:
    torch.manual_seed(0)
    return zoo.trained(around(make()))


MODES = [torch.no_grad, torch.inference_mode, torch.enable_grad]
AROUND = pytest.mark.parametrize("around", [lambda module: module, Inside], ids=["alone", "inside"])


@AROUND
@pytest.mark.parametrize("name", adversarial.CASES)
def test_adversarial(name, around):
    """Calls in turn, each on clones of its arguments, which are compared afterwards too."""
    case = adversarial.CASES[name]
    plain = made(case.make, around)
    fast, exact = fused(plain), doubled(plain)
    for one in (exact, plain):
        one.requires_grad_(False)
    for layout in case.layouts:
        for mode in MODES:
            for args in case.inputs():
                args = laid_out(args, layout)
                calls = [(exact, doubled(args)), (plain, copy.deepcopy(args)), (fast, args)]
                with mode():
                    outputs = [module(*given) for module, given in calls]
                assert_as_exact(*outputs)
                assert_as_exact(*(given for _, given in calls))


def laid_out(args, layout):
    return tuple(
        arg.contiguous(memory_format=layout)
        if isinstance(arg, torch.Tensor) and arg.dim() == 4 and arg.is_contiguous()
        else arg
        for arg in args
    )


SIDE_EFFECTS = {
    "StoresAFeature": ["feature"],
    "Counts": ["calls", "number", "seen"],
    "LazyBuffer": ["positions"],
    "MovingAverage": ["mean"],
}


@pytest.mark.parametrize("name", SIDE_EFFECTS)
@AROUND
def test_side_effects(name, around):
    case = adversarial.CASES[name]
    plain = made(case.make, around)
    fast, exact = fused(plain), doubled(plain)
    with torch.no_grad():
        for args in case.inputs():
            exact(*doubled(args)), plain(*args), fast(*args)
            for attribute in SIDE_EFFECTS[name]:
                assert_as_exact(*(
                    getattr(one if around is not Inside else one.get_submodule("module"), attribute)
                    for one in (exact, plain, fast.module)
                ))  # fmt: skip


def test_recording_hooks_are_called():
    calls = []
    plain = made(adversarial.OneBlock)
    names = {module: name for name, module in plain.named_modules()}
    for module in plain.modules():
        module.register_forward_hook(lambda module, args, y: calls.append(type(module)))
    fast = fused(plain)
    x = zoo.noise(*adversarial.SHAPE)
    expected = []
    with torch.no_grad():
        for model in (plain, fast):
            calls.clear()
            model(x)
            expected.append(list(calls))
    assert expected[1] == expected[0] and len(expected[0]) == len(names) - 1  # no `pointwise`


def test_hooks_registered_later():
    """On a part that is there still, they are called; else there is no such part."""
    plain = nn.Sequential(made(adversarial.OneBlock))
    fast = fused(plain)
    x = zoo.noise(*adversarial.SHAPE)
    for name, _ in plain.named_modules():
        try:
            part = fast.module.get_submodule(name)
        except AttributeError:
            continue
        if name == "0.pointwise":
            continue
        calls = []
        handle = part.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        with torch.no_grad():
            fast(x)
        handle.remove()
        assert calls, name


@AROUND
def test_an_attribute_flipped_later(around):
    plain = made(adversarial.Flagged, around)
    fast, exact = fused(plain), doubled(plain)
    x = zoo.noise(*adversarial.SHAPE)
    for flag in (True, False):
        for one in (exact, plain, fast.module):
            (one if around is not Inside else one.get_submodule("module")).flag = flag
        with torch.no_grad():
            assert_as_exact(exact(x.double()), plain(x), fast(x))


def test_an_attribute_set_on_the_result():
    """It is the copy's own, as reading it is, and not the plain model's."""
    plain = made(adversarial.Flagged)
    fast, exact = fused(plain), doubled(plain)
    x = zoo.noise(*adversarial.SHAPE)
    for flag in (True, False):
        fast.flag = flag
        assert fast.module.flag is fast.flag is flag and plain.flag is False
        exact.flag = flag
        expected = copy.deepcopy(plain)
        expected.flag = flag
        with torch.no_grad():
            assert_as_exact(exact(x.double()), expected(x), fast(x))
    fast.note = "mine"
    assert fast.note == "mine" and not hasattr(fast.module, "note")


@pytest.mark.parametrize("kind", [adversarial.DropoutForever, adversarial.DropoutModuleForever])
def test_dropout_forever(kind):
    plain = made(kind)
    fast = fused(plain)
    x = zoo.noise(4, adversarial.WIDTH, 32, 32)
    with torch.no_grad():
        whole = 2 * plain.undropped(x)
        one, other = fast(x), fast(x)
        assert not torch.equal(one, other)
        for y in (one, other):
            kept = y != 0
            torch.testing.assert_close(y[kept], whole[kept], rtol=1e-4, atol=1e-4)
            assert 0.45 < float(kept[whole != 0].float().mean()) < 0.55


@pytest.mark.parametrize(
    "args",
    [
        {"skip": zoo.noise(*adversarial.SHAPE, seed=4)},
        {"relu": False},
        {"scale": 0.5, "skip": zoo.noise(1, 8, 1, 1, seed=4)},
        {"scale": torch.tensor(2.0)},
    ],
)
def test_keyword_arguments(args):
    plain = made(adversarial.SeveralInputs)
    fast, exact = fused(plain), doubled(plain)
    x = zoo.noise(*adversarial.SHAPE)
    with torch.no_grad():
        assert_as_exact(exact(x.double(), **doubled(args)), plain(x, **args), fast(x, **args))
    with pytest.raises(TypeError, match="unknown"):
        fast(x, unknown=1)


def test_the_input_itself():
    fast = fused(made(adversarial.ReturnsItsInput))
    x = zoo.noise(*adversarial.SHAPE)
    assert fast(x) is x


@pytest.mark.parametrize("make", [adversarial.OneBlock, adversarial.AddsInPlace])
def test_inputs_that_require_gradients(make):
    """Raises, or the gradient is right."""
    plain = made(make)
    fast, exact = fused(plain), doubled(plain)
    gradients = []
    for model, dtype in ((exact, torch.float64), (plain, torch.float32), (fast, torch.float32)):
        x = zoo.noise(*adversarial.SHAPE).to(dtype).requires_grad_()
        try:
            model(x).square().sum().backward()
        except RuntimeError as error:
            assert model is fast and "no gradient" in str(error)
            return
        gradients.append(x.grad)
    assert_as_exact(*gradients)
