"""`seaformer segment --engine ray`: every result once, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import MODEL, files_in, labels_in, photo, run, segment

from seaformer_kernels.cli import ray_engine
from seaformer_kernels.cli.errors import ImageError
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.segmenting import Segmenting

WORKER = b"ray::MapWorker"
PICTURES = 30
LONG = 600  # seconds: on a machine that is busy with other things, an image takes some


def test_without_ray_it_says_what_to_install(picture, monkeypatch, in_tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = segment(picture, "--engine", "ray")
    assert result.exit_code == 1
    assert "--engine ray needs ray: pip install 'seaformer-kernels[ray]'." in result.stderr
    assert files_in(Path("out")) == []


@pytest.mark.parametrize("option", [["--workers", "2"], ["--address", "auto"]])
def test_options_of_ray_need_ray(picture, in_tmp_path, option):
    result = segment(picture, *option)
    assert result.exit_code == 2 and "with --engine ray only" in result.stderr


@pytest.mark.parametrize(
    ("images", "workers", "block"), [(1, 8, 1), (64, 2, 8), (40, 2, 5), (10**6, 2, 50)]
)
def test_blocks_are_small_and_not_too_many(images, workers, block):
    assert ray_engine._block(images, workers) == block


class Cluster:
    """As much of Ray as says how many cores there are."""

    @staticmethod
    def cluster_resources():
        return {"CPU": 8.0}


@pytest.mark.parametrize(
    ("workers", "threads", "expected"),
    [(None, None, (8, 1)), (2, None, (2, 4)), (None, 3, (2, 3)), (8, 1, (8, 1)), (3, None, (3, 2))],
)
def test_workers_share_the_cores(workers, threads, expected):
    assert ray_engine._shares_of_cores(Cluster, workers, threads) == expected


@pytest.mark.parametrize(("workers", "threads"), [(9, None), (3, 3), (None, 9)])
def test_more_workers_than_cores_are_refused(workers, threads):
    with pytest.raises(Exception, match="8 cores are enough for"):
        ray_engine._shares_of_cores(Cluster, workers, threads)


def test_a_cluster_that_is_not_there_is_told_at_once(picture, in_tmp_path):
    pytest.importorskip("ray")
    pytest.importorskip("pandas")
    result = segment(picture, "--engine", "ray", "--address", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "Ray cannot be started or reached (address 127.0.0.1:1): Conn" in result.stderr


class Tallied(ray_engine._Worker):
    """A worker without Ray and without a model, that dies of some images."""

    def __init__(self, tally, out, deadly=(), overwrite=False):
        self.begin, self.end, self.overwrite = tally.begin, tally.end, overwrite
        self.segmenting = Segmenting.__new__(Segmenting)
        self.segmenting.out = out
        self.deadly = deadly


class Died(BaseException):
    pass


def test_an_image_that_kills_its_workers_ends_and_spares_the_others(tmp_path, monkeypatch):
    made = []

    def work(self, file):
        made.append(file.name.name)
        if file.name.name == "deadly":
            raise Died
        if file.name.name == "broken":
            raise ImageError("not an image")
        return file.name.name

    monkeypatch.setattr(Segmenting, "__call__", work)
    monkeypatch.setattr(ray_engine, "_written", lambda file, out: f"{file.name} as written")
    tally = ray_engine._Tally()
    files = [Input(tmp_path / n, Path(n)) for n in ("first", "broken", "deadly", "last")]
    # As Ray does: the block goes to another worker as often as it takes.
    attempts = 0
    while attempts < 9:
        attempts += 1
        worker = Tallied(tally, tmp_path, overwrite=True)
        try:
            found = [worker._found(number, file) for number, file in enumerate(files)]
            break
        except Died:
            continue
    assert attempts == 4 and [*map(str, found)] == [
        "first as written", "not an image", "each of the 3 workers that began it died", "last"
    ]  # fmt: skip
    assert made == ["first", "broken", *["deadly"] * 3, "last"]


# With Ray


def descendants(of: int) -> list[tuple[int, bytes]]:
    """(pid, command line) of all processes below one."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            lines[int(folder.name)] = (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int(stat[1])
        except OSError:  # it has ended
            continue
    found, level = [], {of}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += [(pid, lines[pid]) for pid in level]
    return found


def wait_for(condition, seconds: float):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


@pytest.fixture
def pictures(in_tmp_path) -> Path:
    folder = Path("pictures")
    folder.mkdir()
    for number in range(PICTURES):
        photo(seed=number).save(folder / f"{number:02}.png")
    (folder / "broken.png").write_bytes(b"nonsense")
    return folder


@pytest.mark.slow
@pytest.mark.children
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_killed_worker_loses_nothing_and_a_restart_skips_what_is_there(pictures):
    pytest.importorskip("ray")
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for name in "00_labels.png", "00_overlay.png":  # as an earlier run left it
        (Path("out") / name).parent.mkdir(exist_ok=True)
        (Path("out") / name).write_bytes(b"from before")
    (Path("out") / "01_labels.png").write_bytes(b"half of a result")
    command = [
        *(sys.executable, "-m", "seaformer_kernels.cli", "segment", pictures, "--model", MODEL),
        *("--engine", "ray", "--workers", "2", "--threads", "1", "--resize", "640"),
        *("--out", "out", "--json", "found.json"),
    ]
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:

            def both_workers():
                assert child.poll() is None, child.communicate()
                found = [pid for pid, line in descendants(child.pid) if line.startswith(WORKER)]
                return found if len(found) == 2 else None

            # Looked for ahead, so that nothing keeps the signal back while images are done.
            first, _ = wait_for(both_workers, LONG)
            wait_for(lambda: child.poll() is not None or len(files_in(Path("out"))) > 6, LONG)
            os.kill(first, signal.SIGKILL)
            done_then = {path: path.stat() for path in Path("out").glob("*_overlay.png")}
            assert len(done_then) < PICTURES - 5
            _, complained = child.communicate(timeout=LONG)
        finally:
            child.kill()
    assert child.returncode == 1, complained
    assert f"1 of {PICTURES + 1} images have their results" in complained
    assert f"1 of {PICTURES} images failed:\npictures/broken.png: not an image" in complained
    names = [f"{n:02}_{kind}.png" for n in range(PICTURES) for kind in ("labels", "overlay")]
    # A worker that is killed while it writes leaves hidden parts.
    assert [name for name in files_in(Path("out")) if name[0] != "."] == sorted(names)
    assert (Path("out") / "00_labels.png").read_bytes() == b"from before"
    told = json.loads(Path("found.json").read_text())
    assert [image["image"] for image in told["failed"]] == ["pictures/broken.png"]
    images = sorted(image["image"] for image in told["images"])
    assert images == [f"pictures/{n:02}.png" for n in range(1, PICTURES)]
    # Written once: what was there when the worker died is the same file still.
    for path, before in done_then.items():
        assert path.stat().st_ino == before.st_ino and path.stat().st_mtime == before.st_mtime
    # And as one process labels it.
    assert run(
        *("segment", pictures / "07.png", "--model", MODEL, "--resize", "640", "--out", "one")
    ).exit_code == 0  # fmt: skip
    assert (labels_in("out/07_labels.png") == labels_in("one/07_labels.png")).all()
