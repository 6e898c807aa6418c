"""Training: the loop, its state, and that a stop or more processes change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning_fabric")
pytest.importorskip("yaml")

import made_up_training
from made_up_training import make_trainer

from seaformer_kernels.training import Stopped
from seaformer_kernels.training.metrics_log import read_metrics
from seaformer_kernels.training.state import load_state

PROGRAM = Path(__file__).with_name("made_up_training.py")


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in read_metrics(folder / "metrics.csv") if row["loss"]]


def tensors(value, name="") -> dict[str, torch.Tensor]:
    """All tensors in nested data, by where they are."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = enumerate(value) if isinstance(value, list) else getattr(value, "items", tuple)()
    return {k: t for key, v in items for k, t in tensors(v, f"{name}.{key}").items()}


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    left, right = (load_state(folder / "last.pt") for folder in (one, other))
    assert tensors(left).keys() == tensors(right).keys()
    for name, tensor in tensors(left).items():
        assert torch.equal(tensor, tensors(right)[name]), name
    for key in ("step", "best", "validated", "recipe"):
        assert left[key] == right[key]
    assert (one / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """A run that nothing stopped."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    make_trainer(folder)[0].train()
    torch.set_num_threads(before)
    return folder


def test_a_step_has_a_row_and_a_validation_one_of_its_own(unbroken):
    rows = read_metrics(unbroken / "metrics.csv")
    assert [row["step"] for row in rows if row["loss"]] == [str(i) for i in range(1, 9)]
    assert [row["step"] for row in rows if row["miou"]] == ["2", "4", "6", "8"]
    assert {p.name for p in (unbroken / "overlays").iterdir()} == {
        f"step_{i:06}.png" for i in (2, 4, 6, 8)
    }


@pytest.mark.children
@pytest.mark.parametrize("after", [4, 7])
def test_a_killed_run_goes_on_to_the_same_curve(unbroken, tmp_path, one_thread, after):
    folder = tmp_path / "run"
    child = subprocess.Popen([sys.executable, PROGRAM, folder])
    while child.poll() is None and not (
        (folder / "metrics.csv").exists() and len(losses(folder)) >= after
    ):
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    trainer, state = make_trainer(folder, resume=True)
    assert 0 < state["step"] < 8
    trainer.train(state)
    assert_same_run(unbroken, folder)


@pytest.mark.parametrize("at", [1, 4])
def test_ctrl_c_saves_and_the_run_goes_on(unbroken, tmp_path, one_thread, at):
    folder = tmp_path / "run"
    trainer, _ = make_trainer(folder)

    def interrupt(row):
        if row["step"] == at:
            os.kill(os.getpid(), signal.SIGINT)

    trainer.observer.step = interrupt
    with pytest.raises(Stopped, match=f"after step {at + 1} of 8; all is saved"):
        trainer.train()
    trainer, state = make_trainer(folder, resume=True)
    assert state["step"] == at + 1
    trainer.train(state)
    assert_same_run(unbroken, folder)


def test_ctrl_c_in_a_validation(unbroken, tmp_path, one_thread):
    folder = tmp_path / "run"
    trainer, _ = make_trainer(folder)
    trainer.observer.validates = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Stopped, match="after step 2"):
        trainer.train()
    trainer, state = make_trainer(folder, resume=True)
    assert (state["step"], state["validated"]) == (2, 0)
    trainer.train(state)
    assert_same_run(unbroken, folder)


@pytest.mark.children
def test_two_processes_follow_the_curve_of_one(tmp_path):
    # In double precision little but a fault can tell them apart, at any step.
    try:
        made_up_training.main(tmp_path / "one", "--double")
    finally:
        torch.set_default_dtype(torch.float32)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([sys.executable, *command, PROGRAM, tmp_path / "two", "--double"], check=True)
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    for one, two in zip(*rows, strict=True):
        for name, value in one.items():
            assert float(two[name] or 0) == pytest.approx(float(value or 0), rel=1e-9), name
    states = [
        tensors(load_state(tmp_path / name / "last.pt")["average"]) for name in ("one", "two")
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-8, atol=1e-9, msg=name)
