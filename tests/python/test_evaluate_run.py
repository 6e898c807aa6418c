"""Evaluations that fail in part, stop and go on, and are shared by processes."""

import functools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evaluate_cases import FACTS, MemoryData, segmenter

from seaformer_kernels.evaluate import Views, evaluate_segmentation
from seaformer_kernels.evaluate.engines import TorchEngine
from seaformer_kernels.evaluate.run import Evaluation, run
from seaformer_kernels.evaluate.segmentation import Segmentation
from seaformer_kernels.evaluate.state import StateError, StateFile, digest_of

pytestmark = pytest.mark.usefixtures("one_thread")

ABOUT = {"weights": "a", "sizes and views": {"flip": False}, "engines": ("one", "two")}


def evaluate(data: MemoryData, state: StateFile | None = None) -> Evaluation:
    model = segmenter()
    engines = [TorchEngine(name, model, FACTS.mean, FACTS.std) for name in ("one", "two")]
    return run(Segmentation(FACTS, Views()), engines, data, state)


def state_at(path: Path, every: float = 0.0, **about) -> StateFile:
    return StateFile(path, {**ABOUT, **about}, every)


def assert_same(a: Evaluation, b: Evaluation) -> None:
    for name in ("one", "two"):
        assert a.results[name].confusion.equal(b.results[name].confusion)
    assert (a.differing, a.compared, a.failures) == (b.differing, b.compared, b.failures)
    assert list(a.scores.items()) == list(b.scores.items())


@functools.cache
def evaluate_whole() -> Evaluation:
    return evaluate(MemoryData())


@pytest.fixture
def whole(one_thread) -> Evaluation:
    return evaluate_whole()


def test_a_failed_image_is_named_and_counts_for_nothing(whole):
    found = evaluate(MemoryData(broken="beach/1"))
    assert found.failures == {"beach/1": "Expected a mask of 64x64, got 3x3."}
    assert list(found.scores) == ["beach/0", "beach/2", "beach/3", "beach/4"]
    assert found.compared == whole.compared - 45 * 80
    message = "but 1 failed: beach/1: Expected a mask of 64x64, got 3x3."
    with pytest.raises(ValueError, match=message):
        evaluate_segmentation(segmenter(), MemoryData(broken="beach/1"), progress=False)


def test_labels_out_of_range_fail():
    class Wrong(MemoryData):
        def __getitem__(self, index):
            image, mask = super().__getitem__(index)
            return image, mask.clamp(max=9 if index == 3 else 255)

    found = evaluate(Wrong())
    assert list(found.failures) == ["beach/3"]
    assert "mask from 0 to 4, or 255 (ignored), got 9" in found.failures["beach/3"]
    assert all(result.confusion.shape == (5, 5) for result in found.results.values())


def test_scores_of_images(whole):
    data = MemoryData()
    for index, (name, score) in enumerate(whole.scores.items()):
        alone = evaluate(MemoryData(data.sizes[: index + 1], broken="")).scores[name]
        assert score == alone
    one = evaluate(MemoryData(data.sizes[:1]))
    assert one.scores["beach/0"] == one.results["one"].miou


def test_nothing_to_tell_of_an_image_that_is_ignored():
    class Ignored(MemoryData):
        def __getitem__(self, index):
            image, mask = super().__getitem__(index)
            return image, mask.fill_(255)

    assert all(map(math.isnan, evaluate(Ignored()).scores.values()))


def test_stopped_and_gone_on(whole, tmp_path):
    path = tmp_path / "state.json"
    with pytest.raises(KeyboardInterrupt):
        evaluate(MemoryData(stop="beach/3"), state_at(path, every=3600))
    data = MemoryData(broken="beach/4")
    failed = evaluate(data, state_at(path))
    assert data.read == ["beach/3", "beach/4"] and list(failed.failures) == ["beach/4"]
    data = MemoryData()
    assert_same(evaluate(data, state_at(path)), whole)
    assert data.read == ["beach/4"], "what failed is tried again"
    data = MemoryData()
    assert_same(evaluate(data, state_at(path)), whole)
    assert data.read == [] and os.listdir(tmp_path) == ["state.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from test_evaluate_run import MemoryData, evaluate, state_at
class Killing(MemoryData):
    def __getitem__(self, index):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)
evaluate(Killing(), state_at(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.children
def test_killed_and_gone_on(whole, tmp_path):
    path = tmp_path / "state.json"
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=Path(__file__).parent)
    assert done.returncode == -signal.SIGKILL
    data = MemoryData()
    assert_same(evaluate(data, state_at(path)), whole)
    assert data.read == ["beach/3", "beach/4"]


def test_files_of_several_processes_are_joined(whole, tmp_path, monkeypatch):
    from seaformer_kernels.evaluate import sharding

    path = tmp_path / "state.json"
    monkeypatch.setattr(sharding, "world_size", lambda: 3)
    for rank in (0, 2):  # process 1 did not come far enough to write
        monkeypatch.setattr(sharding, "rank", lambda rank=rank: rank)
        state = state_at(path)
        monkeypatch.setattr(state, "load", lambda tally: None)
        monkeypatch.setattr(state, "finish", lambda tally: None)
        evaluate(MemoryData(), state)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ["state.json", "state.json.2"]
    second = (tmp_path / "state.json.2").read_text()
    data = MemoryData()
    assert_same(evaluate(data, state_at(path)), whole)
    assert data.read == ["beach/1", "beach/4"]
    # Killed after it had joined the files and before it removed them.
    (tmp_path / "state.json.2").write_text(second)
    assert_same(evaluate(MemoryData(), state_at(path)), whole)
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "b"}, "of one with other weights"),
        ({"weights": "b", "sizes and views": {"flip": True}}, "other weights, sizes and views"),
        ({"split": "test"}, "with other split"),
    ],
)
def test_the_state_of_another_evaluation(tmp_path, change, message):
    path = tmp_path / "state.json"
    evaluate(MemoryData(), state_at(path))
    before = path.read_text()
    with pytest.raises(StateError, match=message):
        evaluate(MemoryData(), state_at(path, **change))
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "{}", '{"format": "other"}', "null"])
def test_what_is_no_state(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StateError, match="which is none"):
        evaluate(MemoryData(), state_at(path))
    assert path.read_text() == text


@pytest.mark.parametrize("key", ["counts", "differing"])
def test_a_damaged_state(tmp_path, key):
    path = tmp_path / "state.json"
    evaluate(MemoryData(), state_at(path))
    content = json.loads(path.read_text())
    content[key].popitem()
    path.write_text(json.dumps(content))
    with pytest.raises(StateError, match="which is damaged"):
        evaluate(MemoryData(), state_at(path))


def test_a_state_that_cannot_be_written(tmp_path):
    path = tmp_path / "none" / "state.json"
    with pytest.raises(FileNotFoundError):
        evaluate(MemoryData(), state_at(path))


def test_digests():
    model = segmenter()
    before = digest_of(model)
    assert digest_of(segmenter()) == before
    with torch.no_grad():
        model.decode_head.conv_seg.bias[0] += 1
    assert digest_of(model) != before


TOGETHER = """
import json, sys
from pathlib import Path
from test_evaluate_run import FACTS, MemoryData, Views, evaluate, evaluate_segmentation, segmenter
from test_evaluate_run import state_at
from seaformer_kernels.evaluate import sharding
with sharding.joined():
    data = MemoryData(broken="beach/1")
    found = evaluate(data, state_at(Path(sys.argv[1], "state.json")))
    result = evaluate_segmentation(segmenter(), MemoryData(), progress=False)
    try:
        evaluate(MemoryData(), state_at(Path(sys.argv[1], "state.json"), weights="b"))
    except ValueError as error:
        refused = str(error)
    told = {
        "read": data.read, "scores": found.scores, "failures": found.failures,
        "confusion": found.results["two"].confusion.tolist(), "miou": result.miou,
        "refused": refused,
    }
    Path(sys.argv[1], f"{sharding.rank()}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.children
def test_two_processes_equal_one(whole, tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launcher, "--nproc-per-node", "2", script, tmp_path], env=environment, check=True
    )
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first.pop("read") == ["beach/0", "beach/2", "beach/4"]
    assert second.pop("read") == ["beach/1", "beach/3"]
    assert first == second, "all processes know all"
    expected = evaluate(MemoryData(broken="beach/1"))
    assert first["confusion"] == expected.results["two"].confusion.tolist()
    assert first["scores"] == expected.scores and first["failures"] == expected.failures
    assert first["miou"] == whole.results["one"].miou
    assert "with other weights" in first["refused"]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"state.json", "0.json", "1.json", "together.py"}


@pytest.mark.children
def test_importing_needs_torch_only():
    code = """
import sys
import torch
with_torch = {name.partition(".")[0] for name in sys.modules}
import seaformer_kernels
assert "seaformer_kernels.evaluate" not in sys.modules
import seaformer_kernels.evaluate
extra = {"PIL", "matplotlib", "rich", "click", "torchmetrics", "kornia", "lightning_fabric"}
print(sorted(({name.partition(".")[0] for name in sys.modules} - with_torch) & extra))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
