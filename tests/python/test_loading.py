"""State dicts of optimised models: the right one loads, others are refused with the reason."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from test_optimize import MEAN, SMALL, STD, noise, trained
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.models.config import BlockConfig
from seaformer_kernels.modules import InvertedResidual, Mlp

needs_extension = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="a whole network in one op needs the extension"
)
FORMS = [False, pytest.param(True, marks=needs_extension)]
TASKS = {"segmentation": SeaFormerSegmenter, "classification": SeaFormerClassifier}


def optimised(
    whole: bool, raw: bool, classes: int = 17, task: str = "segmentation", seed: int = 0
) -> nn.Module:
    model = trained(TASKS[task](SMALL, classes), seed)
    mean, std = (MEAN, STD) if raw else (None, None)
    return sk.optimize(model, mean, std, whole_graph=whole)


def assert_refused(model: nn.Module, state: dict, message: str, **options: bool) -> None:
    """What the state dict names wrongly stays as it was."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=message) as refusal:
        model.load_state_dict(state, **options)
    refused = [name for name in before if f"{name}: expected" in str(refusal.value)]
    assert refused
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in refused)


@pytest.mark.parametrize("whole", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_mean_and_std(whole, task):
    forms = {raw: optimised(whole, raw, task=task) for raw in (False, True)}
    x = noise(1, 3, 64, 64)
    for saved, into in itertools.product(forms, repeat=2):
        state = forms[saved].state_dict()
        if saved == into:
            other = optimised(whole, into, task=task, seed=1)
            assert not torch.equal(other(x), forms[saved](x))
            other.load_state_dict(state)
            assert torch.equal(other(x), forms[saved](x))
        else:
            want, got = ("yes", "no")[:: 1 if into else -1]
            message = f"expected weights with mean and std: {want}.*, got mean and std: {got}"
            for options in {}, {"strict": False}, {"assign": True}:
                target = copy.deepcopy(forms[into])
                assert_refused(target, state, message, **options)
                stem = target.module.plan if whole else _stem(target)
                assert torch.equal(stem, forms[into].module.plan if whole else _stem(forms[into]))


def _stem(model: nn.Module) -> torch.Tensor:
    return next(b for n, b in model.named_buffers() if n.endswith("stem_block.stem"))


@pytest.mark.parametrize("whole", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_class_counts_that_fill_as_many_panels(whole, task):
    state = optimised(whole, False, 18, task).state_dict()
    assert_refused(optimised(whole, False, 17, task), state, "17.*, got .*18")


@needs_extension
def test_the_other_task():
    state = optimised(True, False, task="classification").state_dict()
    assert_refused(
        optimised(True, False), state, "expected weights with task: segm.*, got task: class"
    )


@needs_extension
def test_a_plan_of_other_residuals_and_blocks():
    def whole(*last: BlockConfig) -> nn.Module:
        config = dataclasses.replace(SMALL, stages=(*SMALL.stages[:4], last))
        return sk.optimize(trained(SeaFormerSegmenter(config, 5)), whole_graph=True)

    config = BlockConfig(3, 2, 12, 2), BlockConfig(3, 2, 12, 1)
    expected = whole(*config)
    state = expected.state_dict()
    expected.load_state_dict(state)
    plan = state["module.plan"].clone()
    for number in range(3):
        plan[64 * (number + 1) + 12] ^= 1  # the flag of a residual
    assert_refused(expected, {"module.plan": plan}, "residual of step 0: no.*, got residual")
    assert_refused(expected, {"module.plan": plan[:100]}, "other or damaged bytes")
    assert_refused(expected, {"module.plan": plan.float()}, "one-dimensional uint8 tensor")


def test_activations_and_strides():
    plain, mlp = InvertedResidual(8, 8, expansion=2), Mlp(8, 16)
    state = sk.optimize(trained(mlp)).state_dict()
    assert_refused(
        sk.optimize(trained(plain)), state, "expand_activation: relu, .*, got expand_activation: no"
    )
    state = sk.optimize(trained(InvertedResidual(8, 8, expansion=2, stride=2))).state_dict()
    assert_refused(sk.optimize(trained(plain)), state, "stride: 1, got weights|stride: 1, got")
    state["module.packed"][0] ^= 1
    assert_refused(sk.optimize(trained(plain)), state, "magic number")
    assert_refused(
        sk.optimize(trained(plain)), {"module.packed": torch.zeros(9)}, "one-dimensional uint8"
    )


def test_weights_saved_before_the_header_told_of_a_mean():
    fast = optimised(False, True)
    state = {name: tensor.clone() for name, tensor in fast.state_dict().items()}
    x = noise(1, 3, 64, 64)
    key = next(name for name in state if name.endswith("stem_block.stem"))
    prefix = key.removesuffix("stem")
    state[key][:64].view(torch.int32)[10] = 0
    state[f"{prefix}packed"] = torch.cat([state.pop(key), state.pop(f"{prefix}block")])
    other = optimised(False, True, seed=1)
    other.load_state_dict(state)
    assert torch.equal(other(x), fast(x))
    assert_refused(optimised(False, False), state, "mean and std: no, got mean and std: yes")


def test_a_model_on_the_meta_device_knows_what_it_is_for():
    state = optimised(False, True).state_dict()
    right, wrong = (optimised(False, raw, seed=1).to("meta") for raw in (True, False))
    right.load_state_dict(state, assign=True)
    x = noise(1, 3, 64, 64)
    assert torch.equal(right(x), optimised(False, True)(x))
    with pytest.raises(RuntimeError, match="mean and std: no, got mean and std: yes"):
        wrong.load_state_dict(state, assign=True)
