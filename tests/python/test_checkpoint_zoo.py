"""Every file of the collection loads, or is refused with its sentence."""

import io
import warnings

import pytest
import torch
from canary import watched
from checkpoint_zoo import ZOO, Toy, as_tar, random_state

from seaformer_kernels.models import CheckpointError, load_checkpoint

# Some of torch's old formats warn when they are written.
pytestmark = pytest.mark.filterwarnings("ignore")


def same(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[name], state[name].to(own[name].dtype)) for name in own)


def test_the_collection_is_big():
    assert len(ZOO) >= 100
    assert sum(not specimen.refused for specimen in ZOO.values()) >= 40


@pytest.mark.parametrize("name", ZOO)
def test_specimen(tmp_path, name):
    specimen = ZOO[name]
    state = random_state(Toy())
    path = tmp_path / name
    path.write_bytes(specimen.make(state))
    model = Toy()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    if specimen.refused:
        with pytest.raises(CheckpointError, match=specimen.refused) as caught:
            load_checkpoint(model, path, **specimen.options)
        text = str(caught.value)
        assert text.startswith("Expected ") and ", got " in text and text.endswith(".")
        assert text.isprintable() and len(text) < 1000 and str(path) in text
        assert same(model, before)
        return
    report = load_checkpoint(model, path, **specimen.options)
    values = {n: t.half().float() for n, t in state.items()} if name == "half.pth" else state
    if name.startswith("bfloat16"):
        values = {n: t.bfloat16() for n, t in state.items()}
    assert same(model, values)
    assert (report.path, report.loaded, report.fresh) == (path, len(state), ())
    assert (report.source, report.prefix) == (specimen.source, specimen.prefix)
    assert set(report.ignored) == set(specimen.ignored)
    assert set(specimen.skipped) <= report.skipped.keys()
    assert specimen.skipped or not report.skipped
    for part in (*specimen.ignored[:1], specimen.source, specimen.prefix):
        assert part in str(report)
    assert ("Skipped objects: " in str(report)) == bool(specimen.skipped)


def test_nothing_runs_and_nothing_is_opened():
    state = random_state(Toy())
    files = {name: specimen.make(state) for name, specimen in ZOO.items()}

    def load_all():
        for name, content in files.items():
            try:
                load_checkpoint(Toy(), io.BytesIO(content), **ZOO[name].options)
            except CheckpointError as error:
                assert ZOO[name].refused, error

    load_all()  # Python and torch import on first use
    with watched() as events:
        load_all()
    assert events == []


def test_the_old_tar_files_are_such(tmp_path):
    state = random_state(Toy())
    (tmp_path / "tar.pth").write_bytes(as_tar(state))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = torch.load(tmp_path / "tar.pth", weights_only=False)
    assert all(torch.equal(content[name], state[name]) for name in state)
