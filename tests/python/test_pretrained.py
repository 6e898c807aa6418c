"""save_pretrained and from_pretrained: what is saved comes back, and what is wrong is told."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from test_optimize import MINI, noise, trained
from torch import nn
from torch.optim.swa_utils import AveragedModel

import seaformer_kernels as sk
from seaformer_kernels.data import CAMVID, PEOPLE
from seaformer_kernels.models import ModelFacts, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.models.pretrained import packaged

safetensors = pytest.importorskip("safetensors.torch")

FACTS = ModelFacts.of(
    PEOPLE, mean=(1.0, 2.0, 300.0), input_longer_side=416, other={"license": "apache-2.0"}
)


def mini(classes: int = 8, kind: type = SeaFormerSegmenter) -> nn.Module:
    return trained(kind(MINI, classes)).eval()


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(noise(1, 3, 64, 64))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    mini().save_pretrained(folder, facts=FACTS)
    return folder


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    """A folder to spoil."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(folder: Path, **values: object) -> None:
    """Replaces values of config.json; None takes one out."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


# What comes back


@pytest.mark.parametrize("kind", [SeaFormerSegmenter, SeaFormerClassifier])
def test_a_model_comes_back_the_same(tmp_path, kind):
    model = mini(kind=kind)
    model.train()
    sk.save_pretrained(model, tmp_path / "new" / "folder", facts=FACTS)
    assert model.training
    assert files_in(tmp_path / "new" / "folder") == ["config.json", "model.safetensors"]
    state = torch.random.get_rng_state()
    back = sk.from_pretrained(tmp_path / "new" / "folder")
    assert torch.equal(state, torch.random.get_rng_state())
    assert type(back) is kind and not back.training and back.config == MINI
    assert back.facts == FACTS
    assert torch.equal(logits(back), logits(model.eval()))
    assert all(parameter.requires_grad for parameter in back.parameters())
    assert {tensor.device.type for tensor in back.state_dict().values()} == {"cpu"}
    fast = sk.optimize(back, back.facts.mean, back.facts.std)
    torch.testing.assert_close(
        fast(noise(1, 3, 64, 64)), sk.optimize(model, FACTS.mean, FACTS.std)(noise(1, 3, 64, 64))
    )


def test_a_model_that_upsamples_comes_back_as_one(tmp_path):
    model = trained(SeaFormerSegmenter(MINI, num_classes=8, upsample=True))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["upsample"] is True
    back = sk.from_pretrained(tmp_path)
    assert back.upsample and torch.equal(logits(back), logits(model))


@pytest.mark.parametrize("name", FAMILY)
def test_a_member_of_the_family_is_saved_by_its_name(tmp_path, name, monkeypatch):
    monkeypatch.setitem(FAMILY, name, MINI)  # spares the time of a large one
    monkeypatch.setattr("seaformer_kernels.models.pretrained.config.FAMILY", {name: MINI})
    sk.create_model(name, num_classes=3).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert (content["architecture"], content["num_classes"]) == (name, 3)
    assert "id2label" not in content and "colors" not in content
    assert sk.from_pretrained(tmp_path).facts == ModelFacts()


def test_the_layout_is_that_of_the_hub(saved):
    content = json.loads((saved / "config.json").read_text())
    assert content["architectures"] == ["SeaFormerSegmenter"]
    assert content["model_type"] == "seaformer"
    assert content["id2label"] == {str(i): name for i, name in enumerate(PEOPLE.classes)}
    assert content["label2id"] == {name: i for i, name in enumerate(PEOPLE.classes)}
    assert content["torch_dtype"] == "float32" and content["license"] == "apache-2.0"
    assert content["architecture"]["stem_channels"] == MINI.stem_channels
    tensors = safetensors.load_file(saved / "model.safetensors")
    assert tensors.keys() == mini().state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path, saved, dtype):
    model = mini()
    model.save_pretrained(tmp_path, dtype=dtype)
    kept = safetensors.load_file(tmp_path / "model.safetensors")
    assert {t.dtype for t in kept.values() if t.is_floating_point()} == {dtype}
    assert model.decode_head.conv_seg.weight.dtype == torch.float32
    whole, half = (
        sum(tensor.nbytes for tensor in safetensors.load_file(f / "model.safetensors").values())
        for f in (saved, tmp_path)
    )
    assert half < 0.6 * whole
    back = sk.from_pretrained(tmp_path)
    assert {parameter.dtype for parameter in back.parameters()} == {torch.float32}
    for name, tensor in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor.to(kept[name].dtype).to(tensor.dtype))
    again = sk.from_pretrained(tmp_path, dtype=dtype)
    assert {parameter.dtype for parameter in again.parameters()} == {dtype}
    again.save_pretrained(tmp_path)  # in the type that it has
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == str(dtype)[6:]


def test_what_a_model_was_loaded_with_is_saved_again(saved, tmp_path):
    change(copied := _copied(saved, tmp_path), **{"training": {"steps": 3}})
    model = sk.from_pretrained(copied)
    assert model.facts.other == {"license": "apache-2.0", "training": {"steps": 3}}
    model.save_pretrained(tmp_path / "again")
    first, again = (f / "config.json" for f in (copied, tmp_path / "again"))
    assert json.loads(first.read_text()) == json.loads(again.read_text())


def _copied(saved: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copied"
    folder.mkdir()
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_facts_are_those_of_a_data_set_too(tmp_path):
    mini(11).save_pretrained(tmp_path, facts=CAMVID)
    facts = sk.from_pretrained(tmp_path).facts
    assert facts == ModelFacts.of(CAMVID)
    assert facts.classes == CAMVID.classes and facts.colors == CAMVID.colors


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, AveragedModel, lambda m: torch.compile(m, backend="eager")]
)
def test_the_model_in_a_wrapper_is_saved(tmp_path, wrap):
    model = mini()
    sk.save_pretrained(wrap(model), tmp_path, facts=PEOPLE)
    assert torch.equal(logits(sk.from_pretrained(tmp_path)), logits(model))


def test_a_path_may_begin_at_home_and_links_are_followed(saved, tmp_path, monkeypatch):
    # The hub's cache holds links to files that lie elsewhere.
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    for file in saved.iterdir():
        (tmp_path / "model" / file.name).symlink_to(file)
    assert sk.from_pretrained("~/model").facts == FACTS


# Names


@pytest.fixture
def weights(saved, tmp_path, monkeypatch) -> Path:
    """A package that comes with weights of the name people-mini."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "people-mini").symlink_to(saved)
    (folder / "README.md").write_text("not weights")
    monkeypatch.setattr(packaged, "FOLDER", folder)
    return folder


def test_packaged_weights_have_names(weights, monkeypatch, tmp_path):
    assert sk.list_pretrained() == ["people-mini"]
    assert sk.from_pretrained("people-mini").facts == FACTS
    monkeypatch.chdir(tmp_path)
    mini(5).save_pretrained("people-mini")
    assert sk.from_pretrained("people-mini").num_classes == 5  # the folder that is there


@pytest.mark.parametrize("name", sk.list_pretrained())
def test_what_is_packaged_loads_and_has_its_notice(name):
    model = sk.from_pretrained(name)
    assert model.facts.classes and model.facts.colors
    assert (packaged.FOLDER / name / "NOTICE").read_text().strip()
    model.predict(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("people-mimi", "(people-mini), got 'people-mimi'. Nothing is fetched"),
        ("owner/repository", "`hf download owner/repository --local-dir FOLDER`"),
        ("x/../people-mini", "'x/../people-mini'. Nothing is fetched"),
        ("https://example.org/model", "Nothing is fetched"),
        ("a\0b", "Nothing is fetched"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_another_name_is_told_and_nothing_is_fetched(weights, monkeypatch, name, message):
    monkeypatch.setattr("socket.socket.connect", None)
    (weights.parent / "here").mkdir()
    monkeypatch.chdir(weights.parent / "here")
    with pytest.raises(sk.CheckpointError, match=re.escape(message)) as error:
        sk.from_pretrained(name)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_a_file_is_told_from_a_folder(saved):
    with pytest.raises(sk.CheckpointError, match="which is a file: name the folder"):
        sk.from_pretrained(saved / "model.safetensors")


@pytest.mark.parametrize("name", [None, 3, mini])
def test_a_name_is_a_path(name):
    with pytest.raises(TypeError, match="a folder or a name, got"):
        sk.from_pretrained(name)


def test_the_dtype_is_a_floating_one(saved):
    with pytest.raises(TypeError, match=r"floating-point type of torch, got torch\.int8"):
        sk.from_pretrained(saved, dtype=torch.int8)


# Folders that are not right


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    with pytest.raises(sk.CheckpointError, match=f"to hold .*{re.escape(file)}"):
        sk.from_pretrained(copy)


@pytest.mark.parametrize(
    "text",
    [b"", b"nonsense", b"\xff\xfe", b"[]", b"3", b"{", b"[" * 100_000, b'{"mean": NaN}',
     b'{"num_classes": ' + b"9" * 5000 + b"}", b" " * (1 << 24) + b"{}"],
)  # fmt: skip
def test_what_is_no_json_object_is_told(copy, text):
    (copy / "config.json").write_bytes(text)
    with pytest.raises(sk.CheckpointError, match=r"config\.json"):
        sk.from_pretrained(copy)


BLOCK = {"kernel_size": 3, "expansion": 1, "out_channels": 8, "stride": 2}
SEA = {"after_stage": 1, "depth": 1, "key_dim": 4, "mlp_ratio": 1}


def architecture(**values: object) -> dict[str, object]:
    good = {
        "stem_channels": 8, "stages": [[BLOCK], [BLOCK]], "sea_stages": [SEA], "num_heads": 1,
        "fusion_channels": [8],
    }  # fmt: skip
    return {"architecture": {**good, **values}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bert"}, "model_type 'seaformer', got 'bert'"),
        ({"model_type": ["seaformer"]}, "model_type 'seaformer'"),
        ({"quantization": {"type": "int4", "skip": []}}, "type of quantization among int8, got"),
        ({"quantization": {"type": "int8", "skip": 3}}, "skip of quantization as a list of names"),
        ({"quantization": {"type": "int8", "skip": ["x"]}}, "to name parts of the model, got 'x'"),
        ({"format_version": 3}, "format_version up to 2, got 3"),
        ({"format_version": True}, "format_version up to 2, got True"),
        ({"architecture": "seaformer_giant"}, "seaformer_large, got 'seaformer_giant'"),
        ({"architecture": ["seaformer_tiny"]}, "one of seaformer_tiny"),
        ({"architecture": None}, "got nothing"),
        ({"architecture": {}}, "an object of stem_channels"),
        ({"architectures": ["BertModel"]}, "['SeaFormerSegmenter'] for segmentation"),
        ({"task": "pose"}, "task among segmentation, classification, detection, got 'pose'"),
        ({"task": {}}, "task among"),
        ({"upsample": 1}, "upsample as true or false, and true for segmentation only, got 1"),
        ({"num_classes": 7}, "names of 7 classes, as the model has, got 8"),
        ({"num_classes": 0, "id2label": None, "label2id": None}, "num_classes as an integer"),
        ({"num_classes": "8"}, "names of 8 classes|num_classes as an integer"),
        ({"num_classes": 8.0}, "num_classes as an integer"),
        ({"num_classes": True, "id2label": None, "label2id": None}, "num_classes as an integer"),
        ({"id2label": ["a"] * 8}, "id2label as an object"),
        ({"id2label": {"1": "a"}, "label2id": None}, "the labels 0 to 0 as the keys"),
        ({"id2label": {str(i): 3 for i in range(8)}}, "name of class 0 as printable text, got 3"),
        ({"id2label": {str(i): "\x1b[2J" for i in range(8)}}, "as printable text"),
        ({"id2label": {str(i): "x" * 201 for i in range(8)}}, "at most 200 characters"),
        ({"id2label": None}, "id2label beside label2id"),
        ({"label2id": {"hair": 1}}, "label2id to say the same"),
        ({"label2id": {n: 0 for n in PEOPLE.classes}}, "label2id to say the same"),
        ({"label2id": {n: [] for n in PEOPLE.classes}}, "label2id to say the same"),
        ({"colors": [[0, 0, 0]] * 7}, "colours of 8 classes, as the model has, got 7"),
        ({"colors": [[0, 0, 256]] * 8}, "colour of class 0 as three integers"),
        ({"colors": [[0, 0, 0.5]] * 8}, "colour of class 0 as three integers"),
        ({"colors": "black"}, "colors as a list"),
        ({"mean": [1, 2]}, "mean as three numbers of at most 1e+06"),
        ({"mean": [1, 2, "3"]}, "mean as three numbers of at most 1e+06"),
        ({"mean": [1, 2, 10**400]}, "mean as three numbers of at most 1e+06"),
        ({"std": [1, 2, 0]}, "std as three positive numbers"),
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, "which are of 0..1"),
        ({"ignore_label": 256}, "ignore_label as an integer 0..255"),
        ({"input_longer_side": 31}, "input_longer_side as an integer 32"),
        ({"input_longer_side": 10**9}, "input_longer_side as an integer 32"),
        ({"dataset": "\r"}, "dataset as printable text"),
        ({"dropout": 1}, "dropout as a number"),
        ({"torch_dtype": "int8"}, "torch_dtype among float32"),
        (architecture(stem_channels=10**9), "stem_channels as an integer 1..16384"),
        (architecture(stages=[[BLOCK]]), "at least two stages"),
        (architecture(stages=[[BLOCK]] * 1000), "stages as a list of 1 to 16"),
        (architecture(stages=[[BLOCK] * 1000] * 2), "each as a list of 1 to 64"),
        (architecture(stages=[[BLOCK | {"stride": 3}]] * 2), "stride of a block of stage 1"),
        (architecture(stages=[[BLOCK | {"kernel_size": 4}]] * 2), "an odd kernel_size"),
        (architecture(stages=[[BLOCK | {"path": "/etc"}]] * 2), "an object of kernel_size"),
        (architecture(stages=[[[3, 1, 8, 2]]] * 2), "an object of kernel_size"),
        (architecture(sea_stages=[SEA, SEA]), "SEA stages in their order"),
        (architecture(sea_stages=[SEA | {"after_stage": 3}]), "up to 2, got one after 3"),
        (architecture(sea_stages=[]), "sea_stages as a list of 1 to 2"),
        (architecture(fusion_channels=[8, 8]), "as many fusion_channels"),
        (architecture(num_heads=-1), "num_heads as an integer"),
        # Right for itself, and not what the weights are.
        (architecture(), "to hold the model's tensors"),
        (architecture(stem_channels=16384), "to hold the model's tensors"),
        ({"architecture": "seaformer_large"}, "to hold the model's tensors"),
        ({"task": "classification", "architectures": None}, "model.safetensors"),
        (dict.fromkeys(("id2label", "label2id", "colors")) | {"num_classes": 9}, "it lacks deco"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_told_in_a_sentence(copy, values, message):
    change(copy, **values)
    with pytest.raises(sk.CheckpointError) as error:
        sk.from_pretrained(copy)
    assert re.search("|".join(map(re.escape, message.split("|"))), str(error.value))
    assert "\n" not in str(error.value) and len(str(error.value)) < 800
    assert str(copy) in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x80\x02}q\x00.", b"\x08\0\0\0\0\0\0\0{}" + b" " * 6]
)
def test_weights_that_cannot_be_read_are_told(copy, content):
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(sk.CheckpointError, match=r"model\.safetensors"):
        sk.from_pretrained(copy)


def test_weights_cut_off_are_told(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(sk.CheckpointError, match="cannot be read"):
        sk.from_pretrained(copy)


def test_a_config_names_no_files_and_runs_nothing(copy, tmp_path):
    marker = tmp_path / "ran"
    change(
        copy,
        auto_map={"AutoModel": "evil.Model"},
        weights_file="../../other.safetensors",
        _name_or_path=f"touch {marker}",
    )
    assert sk.from_pretrained(copy).facts.other.keys() >= {"auto_map", "weights_file"}
    assert not marker.exists()


# What is not saved


def test_an_optimised_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a plain model, got an optimised one"):
        sk.save_pretrained(sk.optimize(mini()), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def changed_blocks() -> nn.Module:
    model = mini()
    model.decode_head.linear_fuse = nn.Identity()
    return model


class Own(SeaFormerSegmenter):
    pass


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (None, {}, TypeError, "a model, got NoneType"),
        (nn.Linear(1, 1), {}, ValueError, "of create_model, .* got Linear"),
        (Own(MINI, 8), {}, ValueError, "got Own"),
        (changed_blocks(), {}, ValueError, r"were changed: decode_head\.linear_fuse"),
        (mini().to("meta"), {}, ValueError, "on the meta device"),
        (mini(), {"facts": CAMVID}, ValueError, "names of 8 classes, .* got 11"),
        (mini(), {"facts": "people"}, TypeError, "ModelFacts or a Dataset, got str"),
        (mini(), {"dtype": torch.int8}, TypeError, r"got torch\.int8"),
        (mini(), {"dtype": "float16"}, TypeError, "got 'float16'"),
        (mini(), {"facts": ModelFacts(other={"x": {1}})}, TypeError, "set is not JSON"),
    ],
)
def test_what_cannot_come_back_is_refused_before_anything_is_written(
    tmp_path, model, options, error, message
):
    with pytest.raises(error, match=message):
        sk.save_pretrained(model, tmp_path / "no", **options)
    assert not (tmp_path / "no").exists()


def test_weights_that_float16_cannot_hold_are_refused(tmp_path):
    model = mini()
    with torch.no_grad():
        model.decode_head.conv_seg.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"got up to 1e\+06 in decode_head.conv_seg.bias; .*bfl"):
        model.save_pretrained(tmp_path / "no", dtype=torch.float16)
    model.save_pretrained(tmp_path / "yes", dtype=torch.bfloat16)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(tmp_path, saved, monkeypatch, error):
    folder = _copied(saved, tmp_path)
    (folder / "README.md").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Path, "write_text", fail)  # config.json, after the weights
    for target in folder, tmp_path / "new" / "folder":
        with pytest.raises(type(error)):
            mini(3).save_pretrained(target)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    mini(3).save_pretrained(folder)
    assert sk.from_pretrained(folder).num_classes == 3
    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_others_may_read_what_the_umask_lets_them(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        mini().save_pretrained(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"config.json": mode, "model.safetensors": mode}


def test_safetensors_is_asked_for(tmp_path, saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for use in lambda: mini().save_pretrained(tmp_path / "no"), lambda: sk.from_pretrained(saved):
        with pytest.raises(ImportError, match=r"pip install '?seaformer-kernels\[cli\]"):
            use()
    assert not (tmp_path / "no").exists()


def test_facts_are_checked_where_they_are_made():
    with pytest.raises(ValueError, match="classes as a list of names, got 'people'"):
        ModelFacts(classes="people")
    with pytest.raises(ValueError, match="other as a mapping"):
        ModelFacts(other=[1])
    assert dataclasses.replace(FACTS, classes=["a"]).classes == ("a",)
