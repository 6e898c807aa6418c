"""optimize(whole_graph=True): bit for bit the op-by-op form, in one op."""

from __future__ import annotations

import copy
import io
import os
import pickle
import struct
import threading
import zlib
from pathlib import Path

import pytest
import torch
from golden import CASE_PARAMS, GoldenCase, parse, state_dict
from test_optimize import MEAN, MINI, SMALL, STD, noise, trained
from torch import nn
from torch._dynamo.testing import CompileCounter

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.modules import SegmentationHead

pytestmark = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="a whole network in one op needs the extension"
)


def segmenter(classes: int = 5) -> SeaFormerSegmenter:
    return trained(SeaFormerSegmenter(MINI, num_classes=classes))


def classifier() -> SeaFormerClassifier:
    return trained(SeaFormerClassifier(MINI, num_classes=7))


def upsampler(classes: int = 5) -> SeaFormerSegmenter:
    return trained(SeaFormerSegmenter(MINI, num_classes=classes, upsample=True))


def pair(model: nn.Module, raw: bool = True) -> tuple[nn.Module, nn.Module]:
    """The op-by-op form of a model, and the whole graph."""
    mean, std = (MEAN, STD) if raw else (None, None)
    return sk.optimize(model, mean, std), sk.optimize(model, mean, std, whole_graph=True)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


LAYOUTS = {
    "planar": lambda x: x,
    "interleaved": lambda x: x.contiguous(memory_format=torch.channels_last),
    "float": lambda x: x.float(),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "cropped": lambda x: nn.functional.pad(x, (3, 2, 1, 4))[..., 1:-4, 3:-2],
}


@pytest.mark.parametrize("make", [segmenter, classifier, upsampler])
@pytest.mark.parametrize("size", [(32, 32), (65, 97), (40, 130)])
@torch.inference_mode()
def test_same_bits_as_op_by_op(isa, make, size):
    plain, whole = pair(make())
    x = images(2, 3, *size)
    for name, layout in LAYOUTS.items():
        assert torch.equal(whole(layout(x)), plain(layout(x))), name
        assert whole(layout(x)).stride() == plain(layout(x)).stride(), name
        assert torch.equal(whole.predict(layout(x)), plain.predict(layout(x))), name
    assert torch.equal(whole(x[:0]), plain(x[:0]))
    assert torch.equal(whole.predict(x[:0]), plain.predict(x[:0]))


@pytest.mark.parametrize("case", CASE_PARAMS)
@torch.inference_mode()
def test_golden_cases(case):
    golden = GoldenCase.load(case)
    name, task = parse(golden.model_key)
    model = sk.create_model(name, task)
    model.load_state_dict(state_dict(golden.model_key))
    plain, whole = pair(model, raw=False)
    x = golden.input()
    assert torch.equal(whole(x), plain(x))
    assert torch.equal(whole.predict(x), plain.predict(x))


@pytest.mark.parametrize("make", [segmenter, upsampler])
@pytest.mark.parametrize("classes", [1, 19, 300])
@torch.inference_mode()
def test_labels(make, classes):
    plain, whole = pair(make(classes))
    x = images(2, 3, 40, 50)
    for size in None, (1, 1), (77, 31):
        labels = whole.predict(x, size)
        assert torch.equal(labels, plain.predict(x, size))
        assert labels.dtype == (torch.uint8 if classes <= 256 else torch.int32)


@torch.inference_mode()
def test_threads_do_not_matter():
    _, whole = pair(segmenter())
    x = images(1, 3, 64, 80)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in 1, 2, 5:
            torch.set_num_threads(threads)
            results.append(whole(x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results)


def test_many_threads_at_once():
    plain, whole = pair(segmenter())
    inputs = [images(1 + i % 2, 3, 32 + 9 * i, 100 - 8 * i, seed=i) for i in range(8)]
    with torch.inference_mode():
        expected = [(plain(x), plain.predict(x)) for x in inputs]
    wrong = []

    def work(i: int) -> None:
        for _ in range(10):
            with torch.inference_mode():
                got = whole(inputs[i]), whole.predict(inputs[i])
            if not all(map(torch.equal, got, expected[i])):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@torch.inference_mode()
def test_memory_is_kept_and_released():
    _, whole = pair(segmenter())
    x = images(1, 3, 64, 64)
    sk.ops.release_memory()
    whole(x)
    assert 64 * 64 * 4 < sk.ops.release_memory() < 16 << 20
    assert sk.ops.release_memory() == 0
    whole(x)


STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="only Linux tells a process's resident memory so")
@torch.inference_mode()
def test_released_memory_leaves_the_process():
    _, whole = pair(segmenter())
    sk.ops.release_memory()
    for _ in range(3):  # malloc would keep such blocks once it has seen them come and go
        for side in (160, 320, 640):
            threads = [
                threading.Thread(target=whole.predict, args=(images(1, 3, side, side),))
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        before = resident_bytes()
        released = sk.ops.release_memory()
        assert released > 4 << 20
        assert before - resident_bytes() > released / 2


@pytest.mark.parametrize("make", [segmenter, classifier, upsampler])
@torch.inference_mode()
def test_copies_pickles_and_loads(make):
    _, whole = pair(make())
    x = images(1, 3, 40, 48)
    expected = whole(x)
    assert torch.equal(copy.deepcopy(whole)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(whole))(x), expected)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    other = sk.optimize(trained(make(), seed=1), MEAN, STD, whole_graph=True)
    assert not torch.equal(other(x), expected)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), expected)


def test_attributes():
    model = segmenter()
    plain, whole = pair(model)
    assert whole.report() == plain.report()
    assert whole.num_classes == 5 and whole.config is not None
    assert not whole.train().training
    assert [name for name, _ in whole.named_buffers()] == ["module.plan"]
    with pytest.raises(AttributeError):
        _ = whole.backbone


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (90, 64)])
@torch.inference_mode()
def test_a_head_that_upsamples_gives_labels_of_the_plain_model(isa, size):
    model = upsampler()
    _, whole = pair(model)
    x = images(2, 3, *size)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    logits = model((x - mean) / std)
    assert whole.upsample and not pair(segmenter())[1].upsample
    assert whole(x).shape == logits.shape == (2, 5, *(2 * -(-side // 8) for side in size))
    torch.testing.assert_close(whole(x), logits, rtol=1e-4, atol=1e-4)
    twice = tuple(2 * side for side in size)
    top = nn.functional.interpolate(logits, twice, mode="bilinear").topk(2, 1)
    clear = top.values[:, 0] - top.values[:, 1] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(whole.predict(x, twice)[clear].long(), top.indices[:, 0][clear])


def test_plans_of_either_head_do_not_load_into_each_other():
    for make, other in (segmenter, upsampler), (upsampler, segmenter):
        _, whole = pair(make())
        with pytest.raises(RuntimeError, match="expected weights with"):
            pair(other())[1].load_state_dict(whole.state_dict())


def test_a_pickle_from_before_there_were_heads_that_upsample():
    _, whole = pair(segmenter())
    del whole.module.__dict__["scale"]
    x = images(1, 3, 40, 48)
    assert torch.equal(pickle.loads(pickle.dumps(whole))(x), whole(x))
    assert whole(x).shape[2:] == (5, 6)


@torch.inference_mode()
def test_a_trace_of_labels_keeps_the_size_of_a_head_that_upsamples():
    _, whole = pair(upsampler(), raw=False)

    class Labels(nn.Module):
        def forward(self, x):
            return sk.ops.network_labels(x, whole.plan, 5, x.shape[2:])

    x = noise(1, 3, 40, 48)
    traced = torch.jit.trace(Labels(), (x,), check_trace=False)
    other = noise(1, 3, 64, 70)
    assert (traced(other) == whole.predict(other)).float().mean() > 0.99


def test_refuses_gradients_and_wrong_images():
    _, whole = pair(segmenter(), raw=False)
    with pytest.raises(RuntimeError, match="require no gradient"):
        whole(noise(1, 3, 32, 32).requires_grad_())
    with pytest.raises(TypeError, match="floating-point tensor"):
        whole(images(1, 3, 32, 32))
    with pytest.raises(ValueError, match="at least 32x32"):
        whole(noise(1, 3, 31, 32))
    assert not whole.predict(noise(1, 3, 32, 32).requires_grad_()).requires_grad


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: m.backbone.smb3.layer1.register_forward_hook(print), "smb3.layer1, which has"),
        (lambda m: m.backbone.register_forward_hook(print), "backbone has a forward hook"),
        (lambda m: m.register_forward_hook(print), "the model has a forward hook"),
        (
            lambda m: m.backbone.trans1.transformer_blocks.register_forward_hook(print),
            "backbone.trans1.transformer_blocks has a forward hook",
        ),
        (lambda m: m.backbone.smb2.append(nn.Tanh()), "backbone.smb2.2 has Tanh where"),
    ],
)
def test_refuses_models_that_do_something_else(change, error):
    model = segmenter()
    change(model)
    with pytest.raises(ValueError, match=error):
        sk.optimize(model, whole_graph=True)


def test_refuses_other_models():
    class Other(SeaFormerSegmenter):
        pass

    for model in Other(MINI, 5), SegmentationHead([8, 12], [20], 19):
        with pytest.raises(ValueError, match="needs a model that is wholly steps of a plan, but"):
            sk.optimize(model, whole_graph=True)


def test_a_module_that_stands_twice_runs_twice():
    model = segmenter()
    model.backbone.smb2.add_module("again", model.backbone.smb2[-1])
    op_by_op, whole = pair(model, raw=False)
    x = noise(1, 3, 64, 64)
    assert torch.equal(whole(x), op_by_op(x))
    torch.testing.assert_close(whole(x), model(x), rtol=1e-4, atol=1e-4)


def test_refuses_a_backbone_with_features_of_its_own():
    class Shallow(SeaFormerBackbone):
        def features(self, x):
            return [2 * map_ for map_ in super().features(x)]

    model = segmenter()
    model.backbone.__class__ = Shallow
    with pytest.raises(ValueError, match="backbone has features of its own"):
        sk.optimize(model, whole_graph=True)


def test_needs_the_extension(monkeypatch):
    monkeypatch.setattr(_extension, "module", None)
    monkeypatch.setattr(_extension, "reason", "it was not built")
    with pytest.raises(RuntimeError, match="needs the native extension, but it was not built"):
        sk.optimize(segmenter(), whole_graph=True)


class TestOps:
    """The registered ops."""

    @pytest.fixture
    def plan(self) -> torch.Tensor:
        return pair(segmenter())[1].plan

    def test_opcheck(self, plan):
        x = images(2, 3, 33, 40)
        torch.library.opcheck(torch.ops.seaformer.network_logits.default, (x, plan, 5, 8))
        torch.library.opcheck(torch.ops.seaformer.network_labels.default, (x, plan, 5, [9, 7]))
        plan = pair(classifier())[1].plan
        torch.library.opcheck(torch.ops.seaformer.network_logits.default, (x, plan, 7, 0))
        plan = pair(upsampler())[1].plan
        torch.library.opcheck(torch.ops.seaformer.network_logits.default, (x, plan, 5, 8, 2))

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (lambda x, p: (x[0], p, 5, 8), "shape .batch, 3, height, width., got .3, 32, 32."),
            (lambda x, p: (x[:, :2], p, 5, 8), "got .1, 2, 32, 32."),
            (lambda x, p: (x[..., :0], p, 5, 8), "at least one channel, row and column"),
            (lambda x, p: (x.int(), p, 5, 8), "float32, float16, bfloat16 or uint8 image"),
            (lambda x, p: (x, p[::2], 5, 8), "contiguous one-dimensional uint8"),
            (lambda x, p: (x, p.float(), 5, 8), "contiguous one-dimensional uint8"),
            (lambda x, p: (x, p, 6, 8), "a plan for 6 classes, got 5"),
            (lambda x, p: (x, p, 5, 4), "which makes 4x4 of 32x32, got 4 and 1"),
            (lambda x, p: (x, p, 5, 8, 2), "which makes 4x4 of 32x32, got 8 and 2"),
            (lambda x, p: (x, p, 5, 8, 0), "upsampling to be positive, got 0|got 8 and 0"),
            (lambda x, p: (x, p, 5, 8, 2**62), "got 8 and 4611686018427387904"),
            (lambda x, p: (x, p, 5, 0), "got 0"),
            (lambda x, p: (x, p, 5, 2**63 - 1), "got 9223372036854775807"),
            (lambda x, p: (x, p[:-64].clone(), 5, 8), "that its header states"),
            (lambda x, p: (x, p[:10].clone(), 5, 8), "at least 64 bytes, got 10"),
            (lambda x, p: (x, p[4:], 5, 8), "aligned to 8 bytes"),
        ],
    )
    def test_errors(self, plan, arguments, error):
        with pytest.raises(ValueError, match=error):
            torch.ops.seaformer.network_logits(*arguments(images(1, 3, 32, 32), plan))

    def test_a_classifier_has_no_labels_or_size(self):
        plan = pair(classifier())[1].plan
        x = images(1, 3, 32, 32)
        with pytest.raises(ValueError, match="expected a segmentation network"):
            sk.ops.network_labels(x, plan, 7, (32, 32))
        with pytest.raises(ValueError, match="downsampling 0 for a classification"):
            sk.ops.network_logits(x, plan, 7, 8)

    def test_argument_types(self, plan):
        x = images(1, 3, 32, 32)
        with pytest.raises(TypeError, match="expected image as a tensor, got list"):
            sk.ops.network_logits([], plan, 5, 8)
        message = r"float32, float16, bfloat16 or uint8 image, got torch\.float64"
        with pytest.raises(TypeError, match=message):
            sk.ops.network_labels(x.double(), plan, 5, (1, 1))
        with pytest.raises(TypeError, match="expected size to be two integers, got 'ab'"):
            sk.ops.network_labels(x, plan, 5, "ab")
        for size in (1,), (0, 4), (4, -1):
            with pytest.raises(ValueError, match=r"size to be \(height, width\)"):
                sk.ops.network_labels(x, plan, 5, size)

    def test_damaged_plans(self, plan):
        damaged = plan.clone()
        damaged[64:68].view(torch.int32)[0] = 99  # kind of the first step
        with pytest.raises(ValueError, match="step 0 of a known kind, got kind 99"):
            sk.ops.network_logits(images(1, 3, 32, 32), damaged, 5, 8)

    def test_checksum_is_that_of_zlib(self, plan):
        data = bytes(plan.tolist())
        (checksum,) = struct.unpack_from("<I", data, 16)
        assert checksum == zlib.crc32(data[20:])


@pytest.mark.compile
@torch.inference_mode()
@pytest.mark.parametrize("upsample", [False, True])
def test_compiles_in_one_graph(upsample):
    model = trained(SeaFormerSegmenter(SMALL, num_classes=5, upsample=upsample))
    plain, whole = pair(model)
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(whole, backend=counter, fullgraph=True, dynamic=True)
    for size in (64, 80), (70, 66), (100, 33):
        x = images(2, 3, *size)
        assert torch.equal(compiled(x), plain(x))
    assert counter.frame_count == 1


@pytest.mark.compile
@torch.inference_mode()
def test_compiles(backend):
    plain, whole = pair(trained(SeaFormerSegmenter(SMALL, num_classes=5)))
    x = images(1, 3, 65, 70)
    assert torch.equal(torch.compile(whole, fullgraph=True, backend=backend)(x), plain(x))


@pytest.mark.parametrize("make", [segmenter, classifier, upsampler])
def test_exports_with_dynamic_sizes(make):
    plain, whole = pair(make())
    sides = {name: torch.export.Dim(name, min=32, max=4096) for name in "hw"}
    dynamic = {0: torch.export.Dim("b", min=1, max=8), 2: sides["h"], 3: sides["w"]}
    program = torch.export.export(whole, (images(2, 3, 64, 96),), dynamic_shapes={"x": dynamic})
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    with torch.inference_mode():
        for shape in (1, 3, 32, 45), (3, 3, 101, 64):
            x = images(*shape)
            assert torch.equal(loaded(x), plain(x))
