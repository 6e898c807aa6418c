"""Checkpoints: what the reference releases is read, and nothing else touches the model."""

import argparse
import io
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import seaformer_kernels as sk
from seaformer_kernels.models import CheckpointError, create_model, load_checkpoint
from seaformer_kernels.modules import ConvBN

MMSEG_META = {
    "mmseg_version": "0.20",
    "CLASSES": ("wall", "sky"),
    "PALETTE": [[1, 2, 3]],
    "iter": 4,
}
TIMM_EXTRAS = {
    "epoch": 3,
    "arch": "seaformer",
    "args": argparse.Namespace(lr=0.064, opt="rmsproptf", crop=None),
    "metric": np.float64(76.4),
    "history": np.arange(3.0),
    "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": np.float32(0.1)}]},
}


def random_state(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(t.shape, generator=generator) if t.is_floating_point() else t + 7
        for name, t in model.state_dict().items()
    }


def holds(model: nn.Module, state: dict[str, Tensor]) -> bool:
    """Whether the model's tensors are exactly these."""
    own = model.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in own)


@pytest.fixture
def segmenter() -> nn.Module:
    return create_model("seaformer_tiny", num_classes=4)


@pytest.fixture
def classifier() -> nn.Module:
    return create_model("seaformer_tiny", "classification", num_classes=4)


@pytest.fixture
def toy() -> nn.Module:
    """Any module will do where the model does not matter, and a small file is quick."""
    return nn.Sequential(ConvBN(3, 4))


def refuse(model: nn.Module, path: Path, message: str, **options) -> str:
    """Loading raises a one-sentence CheckpointError and leaves the model as it was."""
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(model, path, **options)
    assert holds(model, before)
    text = str(caught.value)
    assert text.startswith("Expected ") and ", got " in text and text.endswith(".")
    assert "\n" not in text and "weights_only" not in text
    return text


# What is read


@pytest.mark.parametrize("legacy", [False, True], ids=["zipped", "legacy"])
@pytest.mark.parametrize(
    "wrap, source",
    [
        (lambda state: state, ""),
        (lambda state: {f"module.{name}": t for name, t in state.items()}, ""),
        (lambda state: {"meta": MMSEG_META, "state_dict": state, "optimizer": {}}, "state_dict"),
        (lambda state: {"model": state, "epoch": 3}, "model"),
        (lambda state: {**TIMM_EXTRAS, "state_dict": OrderedDict(state)}, "state_dict"),
        (lambda state: {"state_dict": {}, "state_dict_ema": state}, "state_dict_ema"),
    ],
    ids=["bare", "module", "mmseg", "model", "timm", "ema"],
)
def test_torch_files(segmenter, tmp_path, wrap, source, legacy):
    state = random_state(segmenter)
    path = tmp_path / "seaformer.pth.tar"
    torch.save(wrap(state), path, _use_new_zipfile_serialization=not legacy)
    report = load_checkpoint(segmenter, path)
    assert holds(segmenter, state)
    assert (report.path, report.source, report.loaded) == (path, source, len(state))
    assert report.fresh == report.ignored == ()


def test_safetensors(segmenter, tmp_path):
    state = random_state(segmenter)
    path = str(tmp_path / "seaformer.safetensors")
    safetensors.torch.save_file(state, path)
    assert load_checkpoint(segmenter, path).loaded == len(state)
    assert holds(segmenter, state)


def test_safetensors_library_missing(toy, tmp_path, monkeypatch):
    path = tmp_path / "toy.safetensors"
    safetensors.torch.save_file(random_state(toy), path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install seaformer-kernels\[cli\]"):
        load_checkpoint(toy, path)


@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_numpy_scalars_of_either_numpy(toy, tmp_path, module):
    state = random_state(toy)
    path = tmp_path / "toy.pth"
    content = {"metric": np.float64(76.4), "state_dict": state}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    own = np.float64.__reduce__(np.float64(1))[0].__module__.encode()
    path.write_bytes(path.read_bytes().replace(own, f"{module}.multiarray".encode()))
    load_checkpoint(toy, path)
    assert holds(toy, state)


@pytest.mark.parametrize(
    "ema, source", [(None, "state_dict_ema"), (True, "state_dict_ema"), (False, "state_dict")]
)
def test_average_or_last_weights(toy, tmp_path, ema, source):
    content = {"state_dict": random_state(toy, 1), "state_dict_ema": random_state(toy, 2)}
    torch.save(content, tmp_path / "toy.pth")
    assert load_checkpoint(toy, tmp_path / "toy.pth", ema=ema).source == source
    assert holds(toy, content[source])


def test_average_that_is_not_there(toy, tmp_path):
    for name, content in {
        "bare": random_state(toy),
        "last": {"state_dict": random_state(toy)},
    }.items():
        torch.save(content, tmp_path / f"{name}.pth")
        refuse(
            toy, tmp_path / f"{name}.pth", "averaged weights under one of state_dict_ema", ema=True
        )
    torch.save({"state_dict_ema": random_state(toy)}, tmp_path / "average.pth")
    refuse(toy, tmp_path / "average.pth", "got the keys state_dict_ema", ema=False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_converted_to_the_dtype_of_the_model(toy, tmp_path, dtype):
    state = {name: t.to(dtype) for name, t in random_state(toy).items()}
    torch.save(state, tmp_path / "toy.pth")
    load_checkpoint(toy, tmp_path / "toy.pth")
    assert all(toy.state_dict()[name].dtype != dtype for name in state)
    assert holds(toy, {name: t.to(toy.state_dict()[name].dtype) for name, t in state.items()})


def test_batch_counters_may_be_missing(toy, tmp_path):
    state = random_state(toy)
    counter = state.pop("0.bn.num_batches_tracked")
    torch.save(state, tmp_path / "toy.pth")
    report = load_checkpoint(toy, tmp_path / "toy.pth")
    assert report.loaded == len(state) and report.fresh == ()
    assert holds(toy, {**state, "0.bn.num_batches_tracked": torch.zeros_like(counter)})


# Where the file lies, and what it is loaded into


def test_open_files(toy, tmp_path):
    state = random_state(toy)
    file = io.BytesIO()
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"BytesIO at its end: call seek\(0\) first\.$"):
        load_checkpoint(toy, file)
    file.seek(0)
    report = load_checkpoint(toy, file)
    assert holds(toy, state) and report.path is None and "from an open file" in str(report)

    later = random_state(toy, 1)
    (tmp_path / "toy.pth").write_bytes(b"header")
    with (tmp_path / "toy.pth").open("ab") as file:
        torch.save(later, file)
    with (tmp_path / "toy.pth").open("rb") as file:
        file.seek(6)
        assert load_checkpoint(toy, file).path == tmp_path / "toy.pth"
    assert holds(toy, later)

    class Stream:  # as of a socket
        def __init__(self, content: bytes):
            self.read = io.BytesIO(content).read

    torch.save(state, tmp_path / "toy.pth")
    load_checkpoint(toy, Stream((tmp_path / "toy.pth").read_bytes()))
    assert holds(toy, state)


def test_what_is_no_file(toy, tmp_path):
    (tmp_path / "toy.pth").write_text("x")
    with (
        (tmp_path / "toy.pth").open() as file,
        pytest.raises(TypeError, match=r'Expected a file opened with "rb", got .*toy\.pth'),
    ):
        load_checkpoint(toy, file)
    with pytest.raises(TypeError, match="Expected a path or an open binary file, got dict"):
        load_checkpoint(toy, random_state(toy))


@pytest.mark.parametrize("scheme", ["http", "https", "s3", "hf", "gs", "file"])
def test_addresses_are_not_fetched(toy, scheme):
    message = rf"on this machine, got the address {scheme}:/+host/a\.pth: download it first"
    refuse(toy, f"{scheme}://host/a.pth", message)
    refuse(toy, Path(f"{scheme}://host/a.pth"), message)


def test_home_folder(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    state = random_state(toy)
    torch.save(state, tmp_path / "toy.pth")
    assert load_checkpoint(toy, "~/toy.pth").path == tmp_path / "toy.pth"
    assert load_checkpoint(toy, Path("~") / "toy.pth").path == tmp_path / "toy.pth"
    with pytest.raises(FileNotFoundError, match=r"~nobody\.at\.all"):
        load_checkpoint(toy, "~nobody.at.all/toy.pth")


def test_folders_of_other_libraries(toy, tmp_path):
    for name, message in {".metadata": "dcp_to_torch_save", "saved_model.pb": "TensorFlow"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        refuse(toy, tmp_path / name, message)


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel])
def test_wrapped_models_are_filled_inside(toy, tmp_path, wrap):
    state = random_state(toy)
    torch.save({f"module.{name}": t for name, t in state.items()}, tmp_path / "toy.pth")
    wrapped = wrap(wrap(toy))
    assert load_checkpoint(wrapped, tmp_path / "toy.pth").prefix == "module."
    assert holds(wrapped.module.module, state)


class Compiled(nn.Module):
    """As torch.compile wraps, which takes seconds to start."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self._orig_mod = model


def test_compiled_models_are_filled_inside(toy, tmp_path):
    state = random_state(toy)
    torch.save({f"_orig_mod.{name}": t for name, t in state.items()}, tmp_path / "toy.pth")
    assert load_checkpoint(Compiled(toy), tmp_path / "toy.pth").prefix == "_orig_mod."
    assert holds(toy, state)


@pytest.mark.parametrize("whole_graph", [False, True])
def test_optimised_models_are_refused(segmenter, tmp_path, whole_graph):
    torch.save(segmenter.state_dict(), tmp_path / "seaformer.pth")
    fast = sk.optimize(segmenter, whole_graph=whole_graph)
    for model in (fast, nn.DataParallel(fast)):
        with pytest.raises(ValueError, match="load the checkpoint first, then optimise"):
            load_checkpoint(model, tmp_path / "seaformer.pth")


# Names


@pytest.mark.parametrize(
    "prefix",
    ["model.", "net.", "student.", "module.", "_orig_mod.", "module.module.", "model.net.x."],
)
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_prefixes_are_found(segmenter, classifier, tmp_path, prefix, task):
    state = random_state({"segmentation": segmenter, "classification": classifier}[task])
    torch.save({prefix + name: t for name, t in state.items()}, tmp_path / "odd.pth")
    for model, own in ((segmenter, "segmentation"), (classifier, "classification")):
        report = load_checkpoint(model, tmp_path / "odd.pth")
        assert report.prefix == prefix and f"begin with {prefix}" in str(report)
        assert bool(report.fresh) == bool(report.ignored) == (own != task)


def test_prefix_of_a_backbone(segmenter, tmp_path):
    state = random_state(segmenter)
    names = [name for name in state if name.startswith("backbone.")]
    torch.save({f"model.{name}": state[name] for name in names}, tmp_path / "odd.pth")
    for model in (segmenter, segmenter.backbone):
        report = load_checkpoint(model, tmp_path / "odd.pth")
        assert (report.loaded, report.prefix) == (len(names), "model.")
    assert load_checkpoint(segmenter, tmp_path / "odd.pth", prefix="model.backbone").loaded == len(
        names
    )


def test_a_foreign_network_is_not_matched_by_its_few_equal_names(toy, tmp_path):
    names = ("encoder.0.c.weight", "decoder.0.c.weight")
    torch.save({name: torch.zeros(1) for name in names}, tmp_path / "odd.pth")
    text = refuse(toy, tmp_path / "odd.pth", "5 missing")
    assert "2 surplus" in text


def test_lenient_loading_still_wants_all_weights(toy, tmp_path):
    state = random_state(toy)
    torch.save(state | {"extra": torch.ones(1)}, tmp_path / "toy.pth")
    report = load_checkpoint(toy, tmp_path / "toy.pth", strict=False)
    assert holds(toy, state) and report.ignored == ("extra",)
    del state["0.c.weight"]
    torch.save(state, tmp_path / "toy.pth")
    refuse(toy, tmp_path / "toy.pth", r"1 missing \(0\.c\.weight\)\.$", strict=False)


# Heads that differ


def test_classification_checkpoint_fills_a_backbone(segmenter, classifier, tmp_path):
    state = random_state(classifier)
    torch.save(state, tmp_path / "classifier.pth")
    before = {name: t.clone() for name, t in segmenter.state_dict().items()}
    report = load_checkpoint(segmenter, tmp_path / "classifier.pth")
    backbone = {f"backbone.{n}": t for n, t in state.items() if not n.startswith("linear.")}
    assert holds(segmenter, before | backbone)
    assert report.loaded == len(backbone)
    assert report.ignored == ("linear.weight", "linear.bias")
    head = {name for name in before if name.startswith("decode_head.")}
    assert set(report.fresh) == {name for name in head if not name.endswith("num_batches_tracked")}
    assert "decode_head.linear_fuse.conv.weight" in str(report)
    assert "Ignored: linear.weight, linear.bias." in str(report)


def test_segmentation_checkpoint_fills_a_classifier(segmenter, classifier, tmp_path):
    state = random_state(segmenter)
    torch.save(state, tmp_path / "segmenter.pth")
    before = {name: t.clone() for name, t in classifier.state_dict().items()}
    report = load_checkpoint(classifier, tmp_path / "segmenter.pth")
    backbone = {
        n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")
    }
    assert holds(classifier, before | backbone)
    assert report.fresh == ("linear.weight", "linear.bias")
    assert set(report.ignored) == {name for name in state if name.startswith("decode_head.")}


@pytest.mark.parametrize(
    "task, layer", [("segmentation", "decode_head.conv_seg"), ("classification", "linear")]
)
def test_other_class_count_leaves_the_classifier_fresh(tmp_path, task, layer):
    state = random_state(create_model("seaformer_tiny", task, num_classes=6))
    torch.save(state, tmp_path / "six.pth")
    model = create_model("seaformer_tiny", task, num_classes=4)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    report = load_checkpoint(model, tmp_path / "six.pth")
    names = (f"{layer}.weight", f"{layer}.bias")
    assert report.fresh == report.ignored == names
    assert report.loaded == len(state) - 2
    assert holds(model, state | {name: before[name] for name in names})


def test_a_checkpoint_without_an_upsampler_fills_the_rest_if_not_strict(segmenter, tmp_path):
    state = random_state(segmenter)
    torch.save(state, tmp_path / "teacher.pth")
    student = create_model("seaformer_tiny", num_classes=segmenter.num_classes, upsample=True)
    before = {name: t.clone() for name, t in student.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"missing .*strict=False would leave the upsampler"):
        load_checkpoint(student, tmp_path / "teacher.pth")
    assert holds(student, before)
    report = load_checkpoint(student, tmp_path / "teacher.pth", strict=False)
    assert holds(student, before | state) and report.loaded == len(state)
    assert report.fresh and all(n.startswith("decode_head.upsampler.") for n in report.fresh)

    # One that lost a part is damaged, and a model without says what it has no use for.
    torch.save(student.state_dict(), tmp_path / "student.pth")
    lost = without(student.state_dict(), report.fresh[0])
    torch.save(lost, tmp_path / "lost.pth")
    with pytest.raises(CheckpointError, match=r"1 missing \(decode_head\.upsampler\.narrow"):
        load_checkpoint(student, tmp_path / "lost.pth", strict=False)
    with pytest.raises(CheckpointError, match=r"surplus .*upsampler.*which strict=False"):
        load_checkpoint(segmenter, tmp_path / "student.pth")
    assert load_checkpoint(segmenter, tmp_path / "student.pth", strict=False).ignored


# What does not fit


def change(state: dict, name: str, value: object) -> dict:
    return {**state, name: value}


def without(state: dict, *names: str) -> dict:
    return {name: t for name, t in state.items() if name not in names}


WEIGHT = "backbone.smb1.stem_block.0.c.weight"


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda s: without(s, WEIGHT), rf"1 missing \({WEIGHT}\)\.$"),
        (
            lambda s: without(s, "decode_head.conv_seg.bias"),
            r"1 missing \(decode_head\.conv_seg\.bias\)",
        ),
        (
            lambda s: change(s, "extra.weight", torch.zeros(1)),
            r"1 surplus \(extra\.weight\), ",
        ),
        (
            lambda s: change(s, WEIGHT.removeprefix("backbone."), s[WEIGHT]),
            "1 given with and without backbone",
        ),
        (
            lambda s: change(s, WEIGHT, torch.zeros(16, 3, 5, 5)),
            r"1 mis-shaped \(.*: expected \[16, 3, 3, 3\], got \[16, 3, 5, 5\]\)",
        ),
        (
            lambda s: change(s, "decode_head.conv_seg.weight", torch.zeros(6, 96, 1, 1)),
            r"1 mis-shaped \(decode_head\.conv_seg\.weight",
        ),
        (
            lambda s: (
                s
                | {
                    "decode_head.conv_seg.weight": torch.zeros(6, 97, 1, 1),
                    "decode_head.conv_seg.bias": torch.zeros(6),
                }
            ),
            "2 mis-shaped",
        ),
        (lambda s: change(s, WEIGHT, torch.zeros(1).expand(2**20, 2**20)), "1 mis-shaped"),
        (lambda s: change(s, WEIGHT, s[WEIGHT].long()), r"torch\.float32, got torch\.int64"),
        (lambda s: change(s, WEIGHT, s[WEIGHT].cfloat()), r"torch\.float32, got torch\.complex64"),
        (lambda s: change(s, WEIGHT, s[WEIGHT].to_sparse()), r"torch\.sparse_coo"),
        (lambda s: change(s, WEIGHT, s[WEIGHT].to("meta")), "on the meta device"),
        (lambda s: change(s, WEIGHT, 3), rf"other entries: '{WEIGHT}' \(int\)\.$"),
        (lambda s: change(s, 7, torch.zeros(1)), r"other entries: 7 \(Tensor\)\.$"),
        (lambda s: {"epoch": 1, "weights": s}, "bare or under .*, got the keys epoch, weights"),
        (lambda s: {"state_dict": {}}, r"\d+ missing \(backbone\..* more\)\.$"),
        (lambda s: {}, r"got the keys \(none\)"),
        (lambda s: list(s.values()), "dictionary of tensors, got list"),
        (lambda s: s[WEIGHT], "dictionary of tensors, got Tensor"),
    ],
)
def test_misfits_are_named_and_refused(segmenter, tmp_path, edit, message):
    torch.save(edit(random_state(segmenter)), tmp_path / "odd.pth")
    refuse(segmenter, tmp_path / "odd.pth", message)


def test_one_error_names_the_first_few_of_every_problem(segmenter, tmp_path):
    torch.save(random_state(nn.Linear(2, 2)) | {WEIGHT: torch.zeros(1)}, tmp_path / "odd.pth")
    text = refuse(segmenter, tmp_path / "odd.pth", "missing")
    assert "2 surplus (weight, bias)" in text
    assert "1 mis-shaped" in text
    assert "more)" in text and len(text) < 1000


def test_hostile_names_do_not_flood_the_message(toy, tmp_path):
    names = {"x" * 10**6: torch.zeros(1), "\x1b[2J\n": torch.zeros(1)}
    torch.save(random_state(toy) | names, tmp_path / "odd.pth")
    text = refuse(toy, tmp_path / "odd.pth", "2 surplus")
    assert len(text) < 1000 and text.isprintable()


def test_model_without_storage_is_refused(tmp_path):
    with torch.device("meta"):
        model = nn.Sequential(ConvBN(3, 4))
    with pytest.raises(ValueError, match="meta device"):
        load_checkpoint(model, tmp_path / "any.pth")


# Files that are no checkpoints


def test_missing_file(toy, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        load_checkpoint(toy, tmp_path / "nowhere.pth")


def test_directory_and_empty_file(toy, tmp_path):
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "folder.pth" / "inner.pth").touch()
    refuse(toy, tmp_path / "folder.pth", r"a directory: name the file in it \(inner\.pth\)")
    (tmp_path / "empty.pth").touch()
    refuse(toy, tmp_path / "empty.pth", "empty")


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x80\x02}", b"\0" * 4096, b"\xff\xfe"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_garbage(toy, tmp_path, content, suffix):
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    refuse(toy, path, "cannot be read")


def toy_file(folder: Path, kind: str) -> Path:
    state = random_state(nn.Sequential(ConvBN(3, 4)))
    if kind == "safetensors":
        safetensors.torch.save_file(state, folder / "toy.safetensors")
        return folder / "toy.safetensors"
    torch.save(state, folder / "toy.pth", _use_new_zipfile_serialization=kind == "zipped")
    return folder / "toy.pth"


@pytest.mark.parametrize("kind", ["zipped", "legacy", "safetensors"])
def test_truncated_files(toy, tmp_path, kind):
    path = toy_file(tmp_path, kind)
    content = path.read_bytes()
    for length in range(1, len(content), 37):
        path.write_bytes(content[:length])
        refuse(toy, path, "cannot be read|is a text file" if length == 1 else "cannot be read")


@pytest.fixture(scope="module", params=["zipped", "legacy", "safetensors"])
def intact(request, tmp_path_factory) -> tuple[Path, bytes]:
    path = toy_file(tmp_path_factory.mktemp("intact"), request.param)
    return path, path.read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(data=st.data())
def test_damaged_files_never_half_fill_a_model(intact, data):
    path, content = intact
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    model = nn.Sequential(ConvBN(3, 4))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    try:
        load_checkpoint(model, path)
    except CheckpointError:
        assert holds(model, before)
