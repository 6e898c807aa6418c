"""Training: the loop, its state, and that a stop or more processes change nothing."""

from __future__ import annotations

import dataclasses
import os
import pickle
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

from seaformer_kernels.training import Stopped, TrainingError
from seaformer_kernels.training.metrics_log import MetricsLog, read_metrics
from seaformer_kernels.training.samples import Batches, seed_of
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
    for name in "config.json", "model.safetensors":
        assert (one / "best" / name).read_bytes() == (other / "best" / name).read_bytes()


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_nan_names_the_files_and_keeps_the_good_state(unbroken, tmp_path, one_thread):
    folder = tmp_path / "run"
    trainer, _ = make_trainer(folder, clip=None)
    trainer.task = dataclasses.replace(trainer.task, augment=nan_from_epoch_3(trainer))
    with pytest.raises(TrainingError, match=r"The loss became nan in step \d: lower") as caught:
        trainer.train()
    assert "image_5.png" in str(caught.value)
    assert str(caught.value).count(".png") == 4
    state = load_state(folder / "last.pt")
    assert state["step"] == 4
    assert all(t.isfinite().all() for t in tensors(state).values() if t.is_floating_point())
    assert len(losses(folder)) == trainer.step


def nan_from_epoch_3(trainer):
    """The augmentation, which from the third epoch on spoils the image 5."""
    bad = {seed_of(0, epoch, 5) for epoch in (2, 3)}

    def augment(image, mask, seed, of_batch):
        x, y = made_up_training.augment(image, mask, seed, of_batch)
        return (x * float("nan"), y) if seed in bad else (x, y)

    return augment


def test_a_gradient_that_is_no_number_stops_it(tmp_path, one_thread):
    trainer, _ = make_trainer(tmp_path / "run")
    trainer.network.decode_head.conv_seg.bias.register_hook(lambda g: g * float("inf"))
    with pytest.raises(TrainingError, match=r"gradient became inf in step 1.*nothing was saved"):
        trainer.train()
    assert not (tmp_path / "run/last.pt").exists()


def test_out_of_memory_says_what_to_lower(tmp_path):
    trainer, _ = make_trainer(tmp_path / "run")

    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to")

    trainer.objective.forward = fail
    with pytest.raises(TrainingError, match=r"Memory ran out at a batch of 4 .*lower batch"):
        trainer.train()


def test_another_recipe_is_refused(unbroken):
    with pytest.raises(TrainingError, match=r"another recipe, which differs in batch, clip: res"):
        make_trainer(unbroken, resume=True, batch=2, clip=1.0)


def test_a_folder_with_a_run_is_refused(unbroken):
    before = (unbroken / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match="is there and not empty: --resume goes on with it"):
        make_trainer(unbroken)
    assert (unbroken / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "nothing to resume: .*last.pt is not there"),
        (b"", "cannot be read as the state of a training"),
        (b"PK no zip", "cannot be read as the state of a training"),
        (pickle.dumps({"format": os.getpid}), "cannot be read as the state of a training"),
    ],
)
def test_a_state_that_is_none(tmp_path, content, message):
    if content is not None:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        load_state(tmp_path / "last.pt")


def test_more_images_in_a_batch_than_there_are(tmp_path):
    with pytest.raises(TrainingError, match="at least as many training images as a batch has, 9"):
        make_trainer(tmp_path / "run", batch=9)


def test_rows_of_a_log_that_was_cut_off(tmp_path):
    file = tmp_path / "metrics.csv"
    log = MetricsLog(file, 0, 0, ("miou",), None)
    for step in (1, 2, 3):
        log.write({"step": step, "epoch": 1, "lr": 0.1, "loss": 1 / 3, "gradient_norm": 1.0})
    log.write({"step": 2, "epoch": 1, "miou": 0.5})
    log.close()
    whole = file.read_text()
    file.write_text(whole + "4,1,0.1")  # killed while it wrote
    MetricsLog(file, 3, 0, ("miou",), None).close()
    assert [row["step"] for row in read_metrics(file)] == ["1", "2", "3"]
    assert float(read_metrics(file)[0]["loss"]) == 1 / 3
    file.write_text(whole)
    MetricsLog(file, 2, 2, ("miou",), None).close()
    assert [row["step"] for row in read_metrics(file)] == ["1", "2", "2"]


def test_batches_are_functions_of_the_step():
    def keys(rank=0, world=1, first=0, last=9):
        return list(Batches(10, 4, 7, rank, world, first, last))

    whole = keys()
    assert [len(batch) for batch in whole] == [4] * 9
    for epoch in range(4):
        seen = [index for batch in whole[2 * epoch :][:2] for e, _, index in batch if e == epoch]
        assert len(set(seen)) == 8  # two of ten fill no batch
    assert whole[0] != whole[2]
    assert keys(first=5) == whole[5:]
    shares = zip(keys(0, 2), keys(1, 2), strict=True)
    assert [one + two for one, two in shares] == whole


@pytest.mark.slow
@pytest.mark.children
def test_two_processes_follow_the_curve_of_one(tmp_path):
    # In double precision: rounding, about 1e-16 in the first steps, grows tenfold with each step.
    try:
        made_up_training.main(tmp_path / "one", "--double")
    finally:
        torch.set_default_dtype(torch.float32)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([sys.executable, *command, PROGRAM, tmp_path / "two", "--double"], check=True)
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    for one, two in zip(*rows, strict=True):
        near = {"loss": 1e-7, "gradient_norm": 1e-8 if int(one["step"]) < 4 else 1e-4}
        for name, value in one.items():
            expected = pytest.approx(float(value or 0), rel=near.get(name, 1e-6))
            assert float(two[name] or 0) == expected, (one["step"], name)
    states = [
        tensors(load_state(tmp_path / name / "last.pt")["average"]) for name in ("one", "two")
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
def test_it_learns_eight_images_by_heart(tmp_path, one_thread):
    changes = {"batch": 8, "epochs": 200, "validate_every": 50, "dropout": 0, "clip": None}
    trainer, _ = make_trainer(tmp_path / "run", **changes, save_every=1000)
    trainer.task.validation.data = trainer.task.data
    assert trainer.train() > 0.95
