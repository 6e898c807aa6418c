"""Networks of any steps as one plan, against the same in plain PyTorch layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from op_cases import ACTIVATIONS, Random, padded
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels import _extension, ops
from seaformer_kernels.ops import Step, Task
from seaformer_kernels.ops._element import ELEMENTS, name_of
from seaformer_kernels.ops._facts import plan_facts
from seaformer_kernels.ops.network import scale_of

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
needs_extension = pytest.mark.skipif(
    _extension.module is None, reason="the native extension is not built"
)


class Network:
    """Steps of a plan, and the layers that they stand for; map 0 is the image."""

    def __init__(self, dtype: torch.dtype = torch.float32):
        self.dtype = dtype
        self.random = Random(0, dtype)
        self.steps: list[Step] = []
        self.layers: list[Callable[..., Tensor]] = []

    def add(self, packed: Tensor, layer: Callable[..., Tensor], *inputs: int) -> int:
        self.steps.append(Step(packed, inputs))
        self.layers.append(layer)
        return len(self.steps)

    def convolution(
        self,
        map_: int,
        channels: int,
        out: int,
        k: int = 1,
        stride: int = 1,
        act: str = "none",
        padding: tuple = (),
    ) -> int:
        weights = self.random.weights(out, channels, k, k)
        packed = ops.pack_convolution(
            weights, stride=stride, padding=padding or "same", activation=act, dtype=self.dtype
        )

        def layer(x: Tensor) -> Tensor:
            x = padded(x, (k, k), stride, padding, 1)
            return ACTIVATIONS[act](F.conv2d(x, *(w.to(x.dtype) for w in weights), stride))

        return self.add(packed, layer, map_)

    def pointwise(self, map_: int, channels: int, out: int, act: str = "none") -> int:
        weights = self.random.weights(out, channels, 1, 1)
        packed = ops.pack_pointwise(weights, activation=act, dtype=self.dtype)
        return self.add(
            packed,
            lambda x: ACTIVATIONS[act](F.conv2d(x, *(w.to(x.dtype) for w in weights))),
            map_,
        )

    def inverted_residual(
        self, map_: int, channels: int, hidden: int, out: int, k: int, stride: int, act: str
    ) -> int:
        expand = self.random.weights(hidden, channels, 1, 1)
        depthwise = self.random.weights(hidden, 1, k, k)
        project = self.random.weights(out, hidden, 1, 1)
        packed = ops.pack_inverted_residual(
            expand,
            depthwise,
            project,
            stride=stride,
            expand_activation=act,
            depthwise_activation=act,
            padding="same",
            dtype=self.dtype,
        )

        def layer(x: Tensor) -> Tensor:
            first, second, third = (
                [w.to(x.dtype) for w in weights] for weights in (expand, depthwise, project)
            )
            y = padded(ACTIVATIONS[act](F.conv2d(x, *first)), (k, k), stride, (), 1)
            y = F.conv2d(y, *second, stride, groups=hidden)
            return F.conv2d(ACTIVATIONS[act](y), *third)

        return self.add(packed, layer, map_)

    def depthwise(self, map_: int, channels: int, k: int, stride: int) -> int:
        weights = self.random.weights(channels, 1, k, k)
        packed = ops.pack_depthwise(weights, stride=stride, activation="relu", dtype=self.dtype)
        return self.add(
            packed,
            lambda x: F.relu(
                F.conv2d(
                    x,
                    *(w.to(x.dtype) for w in weights),
                    stride,
                    padding=k // 2,
                    groups=channels,
                )
            ),
            map_,
        )

    def plan(self, task: Task, classes: int, *, normalizes: bool = True) -> Tensor:
        numbers = {"mean": MEAN, "std": STD} if normalizes else {}
        return ops.pack_plan(task, classes, normalizes, self.steps, **numbers)

    def run(self, image: Tensor, dtype: torch.dtype, *, normalizes: bool = True) -> Tensor:
        """The layers in a type; what is stored between them is rounded to the plan's."""
        x = image.to(dtype)
        if normalizes:
            x = (x - x.new_tensor(MEAN).view(3, 1, 1)) / x.new_tensor(STD).view(3, 1, 1)
        maps = [x]
        for step, layer in zip(self.steps, self.layers, strict=True):
            maps.append(layer(*(maps[i] for i in step.inputs)))
        return maps[-1]


def classifier(dtype: torch.dtype = torch.float32) -> Network:
    """As MobileNetV3 is built."""
    net = Network(dtype)
    x = net.convolution(0, 3, 16, 3, 2, "hardswish")
    x = net.inverted_residual(x, 16, 40, 24, 5, 2, "hardswish")
    wide = net.pointwise(x, 24, 48, "hardswish")
    mean = net.add(
        ops.pack_global_pool(48, dtype=dtype), lambda x: x.mean((2, 3), keepdim=True), wide
    )
    gate = net.pointwise(net.pointwise(mean, 48, 12, "relu"), 12, 48, "hardsigmoid")
    x = net.add(ops.pack_scale(48, dtype=dtype), torch.mul, wide, gate)
    x = net.add(ops.pack_global_pool(48, dtype=dtype), lambda x: x.mean((2, 3), keepdim=True), x)
    net.pointwise(net.pointwise(x, 48, 64, "hardswish"), 64, 10)
    return net


def segmenter(dtype: torch.dtype = torch.float32) -> Network:
    """Every other kind of step; a head that fuses two scales."""
    net = Network(dtype)
    x = net.convolution(0, 3, 8, 3, 2, "relu", (1, 1))
    fine = net.add(
        ops.pack_pool(8, (3, 3), stride=2, padding=(1, 1), dtype=dtype),
        lambda x: F.max_pool2d(x, 3, 2, 1),
        x,
    )
    coarse = net.depthwise(fine, 8, 7, 2)
    smooth = net.add(
        ops.pack_pool(
            8,
            (3, 3),
            stride=1,
            padding=(1, 1),
            average=True,
            counts_padding=False,
            dtype=dtype,
        ),
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        coarse,
    )
    total = net.add(
        ops.pack_add(8, activation="relu6", dtype=dtype),
        lambda x, y: F.relu6(x + y),
        coarse,
        smooth,
    )
    back = net.add(
        ops.pack_resize(8, 8, align_corners=True, dtype=dtype),
        lambda x, y: F.interpolate(x, y.shape[2:], mode="bilinear", align_corners=True),
        total,
        fine,
    )
    both = net.add(
        ops.pack_concat(8, 8, dtype=dtype), lambda x, y: torch.cat([x, y], 1), back, fine
    )
    near = net.add(
        ops.pack_upsample(16, 2, mode="nearest", dtype=dtype),
        lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        both,
    )
    net.pointwise(near, 16, 5)
    return net


def attending(dtype: torch.dtype = torch.float32) -> Network:
    """As TopFormer is built: means of parts, attention of them, sums of what is resized."""
    net = Network(dtype)
    fine = net.convolution(0, 3, 8, 3, 2, "relu", (1, 1))
    coarse = net.depthwise(fine, 8, 3, 2)
    means = net.add(
        ops.pack_adaptive_pool(8, 8, 2, dtype=dtype),
        lambda x, y: F.adaptive_avg_pool2d(x, [(side + 1) // 2 for side in y.shape[2:]]),
        fine,
        coarse,
    )
    made = net.pointwise(means, 8, 36)

    def attend(x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(1, (3, -1)).flatten(3).transpose(2, 3) for part in x.split([9, 9, 18], 1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3)
        return F.relu(mixed.reshape(len(x), 18, *x.shape[2:]))

    mixed = net.add(ops.pack_attention(3, 3, 6, activation="relu", dtype=dtype), attend, made)
    some = net.add(ops.pack_slice(18, 7, 8, dtype=dtype), lambda x: x[:, 7:15], mixed)
    total = net.add(
        ops.pack_resize_add(8, dtype=dtype),
        lambda x, y: F.interpolate(x, y.shape[2:], mode="bilinear") + y,
        some,
        coarse,
    )
    net.pointwise(total, 8, 5)
    return net


def images(batch: int, h: int, w: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, h, w), dtype=torch.uint8, generator=generator)


def assert_near(net: Network, got: Tensor, image: Tensor) -> None:
    exact = net.run(image, torch.float64)
    got = got.double().reshape(exact.shape)
    if net.dtype == torch.float32:
        plain = (net.run(image, torch.float32).double() - exact).abs().max()
        allowed = 2 * plain + 4 * torch.finfo(torch.float32).eps * exact.abs().max()
    else:  # some roundings of what is stored in a row
        allowed = 16 * torch.finfo(net.dtype).eps * exact.abs().max()
    assert (got - exact).abs().max() <= allowed


@needs_extension
@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
def test_a_classifier_of_any_steps(isa, dtype):
    net = classifier(dtype)
    plan = net.plan(Task.CLASSIFICATION, 10)
    assert scale_of(plan) == (0, 1)
    for size in (1, 1, 1), (2, 37, 50):
        image = images(*size)
        got = ops.network_logits(image, plan, 10, *scale_of(plan), dtype)
        assert got.shape == (len(image), 10) and got.dtype == dtype
        assert_near(net, got, image)
        assert torch.equal(got, ops.network_logits(image.float(), plan, 10, 0, 1, dtype))


@needs_extension
@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
def test_a_segmenter_of_any_steps(isa, dtype):
    net = segmenter(dtype)
    for task in Task.SEGMENTATION, Task.MAP:
        plan = net.plan(task, 5)
        assert scale_of(plan) == (4, 2)
        for size in (1, 32, 48), (2, 37, 50):
            image = images(*size)
            got = ops.network_logits(image, plan, 5, *scale_of(plan), dtype)
            assert_near(net, got, image)
            if task == Task.SEGMENTATION:
                labels = ops.network_labels(image, plan, 5, image.shape[2:])
                assert torch.equal(labels, ops.upsample_argmax(got, image.shape[2:]))
            else:
                with pytest.raises(ValueError, match="a network of another task"):
                    ops.network_labels(image, plan, 5, (4, 4))


@needs_extension
@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
def test_a_segmenter_that_attends(isa, dtype):
    net = attending(dtype)
    plan = net.plan(Task.SEGMENTATION, 5)
    assert scale_of(plan) == (4, 1)
    for size in (1, 32, 48), (2, 37, 50):
        image = images(*size)
        got = ops.network_logits(image, plan, 5, *scale_of(plan), dtype)
        assert_near(net, got, image)


@needs_extension
def test_normalised_images(isa):
    net = classifier()
    plan = net.plan(Task.CLASSIFICATION, 10, normalizes=False)
    image = Random(2).tensor(2, 3, 20, 31)
    got = ops.network_logits(image, plan, 10, 0)
    torch.testing.assert_close(got, net.run(image, torch.float32, normalizes=False).flatten(1))
    with pytest.raises(ValueError, match="no mean and std"):
        ops.network_logits(images(1, 8, 8), plan, 10, 0)


@needs_extension
def test_maps_that_do_not_go_together():
    net = Network()
    fine = net.convolution(0, 3, 4, 3, 2)
    coarse = net.convolution(fine, 4, 4, 3, 2)
    net.add(ops.pack_add(4), torch.add, fine, coarse)
    plan = net.plan(Task.MAP, 4)
    ops.network_logits(images(1, 2, 2), plan, 4, 2)
    with pytest.raises(ValueError, match="step 2 reads maps that go together, got maps of 4x4"):
        ops.network_logits(images(1, 8, 8), plan, 4, 2)


@needs_extension
def test_images_that_are_too_small():
    net = Network()
    net.convolution(net.convolution(0, 3, 4, 3, 2), 4, 4, 5, padding=(0, 0))
    plan = net.plan(Task.MAP, 4)
    with pytest.raises(ValueError, match="step 1 writes maps of possible sizes"):
        ops.network_logits(images(1, 8, 8), plan, 4, 2)
    with pytest.raises(ValueError, match="plan: expected logits whose size"):
        scale_of(plan)


@needs_extension
def test_a_classifier_ends_with_one_pixel():
    net = segmenter()
    plan = net.plan(Task.CLASSIFICATION, 5)
    with pytest.raises(ValueError, match="end with one pixel of any image"):
        ops.network_logits(images(1, 8, 8), plan, 5, 0)


def test_plans_say_what_they_are():
    facts = plan_facts(segmenter().plan(Task.MAP, 5))
    assert facts["task"] == "map" and facts["kind of step 5"] == "resize"
    assert facts["stride of step 1"] == "2"


def test_plans_of_old_steps_keep_their_format():
    stem = ops.pack_stem(Random(0).weights(8, 3, 3, 3))
    head = ops.pack_classification_head(Random(0).weights(5, 8))
    plan = ops.pack_plan(Task.CLASSIFICATION, 5, False, [Step(stem, (0,)), Step(head, (1,))])
    assert plan[20:24].view(torch.int32) == 1
    plan = ops.pack_plan(Task.MAP, 5, False, [Step(stem, (0,)), Step(head, (1,))])
    assert plan[20:24].view(torch.int32) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.pack_add(0), "1 to 1048576 channels, got 0"),
        (lambda: ops.pack_add(4, activation="swish"), "an activation among none, relu"),
        (lambda: ops.pack_concat(1, 1 << 20), "channels, got 1048577"),
        (lambda: ops.pack_pool(4, (8, 8), stride=2), "kernel of 1x1 to 7x7, got 8x8"),
        (lambda: ops.pack_pool(4, (3, 3), stride=2, padding=(2, 2)), "half the window"),
        (lambda: ops.pack_pool(4, (3, 3), stride=1, dilation=2, average=True), "dilation 1"),
        (lambda: ops.pack_resize(4, 4, mode="bicubic"), "a mode among bilinear"),
        (lambda: ops.pack_resize(4, 4, mode="nearest", align_corners=True), "a mode among"),
        (lambda: ops.pack_adaptive_pool(4, 4, 17), "a stride of 1 to 16, got 17"),
        (lambda: ops.pack_slice(4, 1, 4), "channels among 4, got 4 from channel 1 on"),
        (lambda: ops.pack_slice(4, -1, 2), "channels among 4, got 2 from channel -1 on"),
        (lambda: ops.pack_attention(2, 0, 4), "heads, keys and values, got 2, 0 and 4"),
        (lambda: ops.pack_attention(2, 4, 4, activation="silu"), "an activation among none, relu"),
        (lambda: ops.pack_resize_add(4, mode="bicubic"), "a mode among bilinear"),
        (lambda: ops.pack_upsample(4, 17), "1 to 16 times the size, got 17"),
        (
            lambda: ops.pack_plan(Task.CLASSIFICATION, 10, True, classifier().steps),
            "expected mean and std, as steps read the image as a map",
        ),
    ],
)
def test_packing_says_what_it_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
