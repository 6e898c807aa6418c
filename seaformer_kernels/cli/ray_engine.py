"""Segmenting by Ray: several processes, on one machine or many, each with a model of its own.

Ray Data hands blocks of images to the workers, and gives those of a worker that died to another, as
often as it takes. So that an image that takes its worker with it each time ends some day, and not
the others of its block with it, a tally counts how often each was begun.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from seaformer_kernels.cli import outputs
from seaformer_kernels.cli.classes import shares_of
from seaformer_kernels.cli.errors import ImageError, reason
from seaformer_kernels.cli.inputs import Input
from seaformer_kernels.cli.options import SegmentationOptions
from seaformer_kernels.cli.params import weights_in
from seaformer_kernels.cli.segmenting import Done, Segmenting
from seaformer_kernels.cli.times import Times
from seaformer_kernels.cli.weights import load_model

_LARGEST_BLOCK, _MOST_BLOCKS = 8, 20_000
_TRIES = 3  # of an image whose worker died
_STORE = 128 << 20  # bytes for objects in flight, which are file names and shares


@dataclass(frozen=True)
class Pool:
    """Workers of a cluster.

    Attributes:
        address: of the cluster; None for one on this machine that ends with the command.
        workers: how many; None for as many as the processors have cores for.
    """

    address: str | None
    workers: int | None


def is_done(file: Input, out: Path) -> bool:
    """Whether the results of an image are there."""
    return all(path.is_file() for path in outputs.outputs_of(file.name, out))


def segment(
    files: Sequence[Input],
    options: SegmentationOptions,
    out: Path,
    eager: bool,
    overwrite: bool,
    pool: Pool,
) -> Iterator[tuple[Input, Done | ImageError]]:
    """The results of images in the order in which they are done.

    Raises:
        click.ClickException: Ray is missing, or no cluster can be reached or started.
        click.UsageError: it has fewer cores than the workers need.
    """
    ray = _ray()
    if not files:
        return
    load_model(options)  # what is wrong with the weights is told before anything starts
    _start(ray, pool.address)
    try:
        workers, threads = _shares_of_cores(ray, pool.workers, options.threads)
        absolute = dataclasses.replace(options, threads=threads, weights=_absolute(options))
        make = (absolute, out.absolute(), eager, overwrite)
        yield from _results(ray, files, make, workers, threads)
    finally:
        ray.shutdown()


def _ray() -> Any:
    # Before the import, which reads them.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise click.ClickException(
            f"--engine ray needs {(error.name or 'ray').partition('.')[0]}: "
            "pip install 'seaformer-kernels[ray]'."
        ) from None
    return ray


def _start(ray: Any, address: str | None) -> None:
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    local = {"object_store_memory": _STORE, "include_dashboard": False}
    try:
        if machine := re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address):
            # Ray itself would try for minutes.
            socket.create_connection((machine[1], int(machine[2])), timeout=10).close()
        ray.init(
            address=address,
            logging_level=logging.CRITICAL,
            log_to_driver=False,
            **(local if address == "local" else {}),
        )
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        raise click.ClickException(
            f"Ray cannot be started or reached (address {address}): {reason(error)}"
        ) from None
    for name in "ray", "ray.data":
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _shares_of_cores(ray: Any, workers: int | None, threads: int | None) -> tuple[int, int]:
    """How many workers, and the threads of each."""
    cores = int(ray.cluster_resources().get("CPU", 1))
    if workers is None:
        threads = threads or 1  # the images are many: cores do more apart than together
        workers = max(1, cores // threads)
    threads = threads or max(1, cores // workers)
    if workers * threads > cores:
        raise click.UsageError(
            f"Expected workers that {cores} cores are enough for, got {workers} of {threads} "
            f"thread{'s' if threads > 1 else ''} each; --workers and --threads say how many."
        )
    return workers, threads


def _absolute(options: SegmentationOptions) -> Any:
    """The weights as workers, which may run in another folder, find them."""
    weights = options.weights
    return weights and dataclasses.replace(weights, path=weights.path.absolute())


def _block(images: int, workers: int) -> int:
    """How many images to hand out together: few, so that workers end at the same time."""
    few = min(_LARGEST_BLOCK, images // (4 * workers))
    return max(1, few, -(-images // _MOST_BLOCKS))


def _results(
    ray: Any, files: Sequence[Input], make: tuple[Any, ...], workers: int, threads: int
) -> Iterator[tuple[Input, Done | ImageError]]:
    rows = [
        {"number": n, "path": os.fsencode(f.path.absolute()), "name": os.fsencode(f.name)}
        for n, f in enumerate(files)
    ]
    tally = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Tally).remote()
    blocks = -(-len(rows) // _block(len(rows), workers))
    found = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Worker,
        fn_constructor_args=(tally, *make),
        batch_size=None,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
        num_cpus=threads,
    )
    try:
        for row in found.iter_rows():
            yield files[int(row["number"])], pickle.loads(row["found"])
    except ray.exceptions.RayError as error:
        raise click.ClickException(f"Ray's workers failed: {reason(error)}") from None


class _Tally:
    """What became of each image, whichever worker had it; lives in one process for all."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.ended: dict[int, ImageError | None] = {}

    def begin(self, number: int) -> tuple[int, bool, ImageError | None]:
        """How often an image was begun, whether it is done with, and how it failed if it did."""
        self.begun[number] += 1
        return self.begun[number], number in self.ended, self.ended.get(number)

    def end(self, number: int, error: ImageError | None) -> None:
        self.ended[number] = error


class _Worker:
    """One model, which Ray keeps in a process of its own."""

    def __init__(
        self, tally: Any, options: SegmentationOptions, out: Path, eager: bool, overwrite: bool
    ):
        import ray

        self.begin = lambda number: ray.get(tally.begin.remote(number))
        self.end = tally.end.remote
        self.overwrite = overwrite
        weights = options.weights
        if weights and weights.config and not weights.path.is_dir():
            # The package lies elsewhere on this machine.
            options = dataclasses.replace(options, weights=weights_in(weights.given))
        self.segmenting = Segmenting(load_model(options), options, out, eager)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        rows = zip(batch["number"], batch["path"], batch["name"], strict=True)
        found = [self._found(int(number), Input(_path(p), _path(n))) for number, p, n in rows]
        return {"number": batch["number"], "found": [pickle.dumps(each) for each in found]}

    def _found(self, number: int, file: Input) -> Done | ImageError:
        tries, ended, error = self.begin(number)
        if not ended and tries > _TRIES:
            error = ImageError(f"each of the {_TRIES} workers that began it died")
        if error:
            return error
        try:
            if ended or (not self.overwrite and is_done(file, self.segmenting.out)):
                return _written(file, self.segmenting.out)
            found = self.segmenting(file)
        except ImageError as why:
            error = why
        except Exception as why:  # one image more or less must not end the others
            error = ImageError(f"{type(why).__name__}: {reason(why)}")
        self.end(number, error)
        return error or found


def _path(text: bytes) -> Path:
    return Path(os.fsdecode(bytes(text)))


def _written(file: Input, out: Path) -> Done:
    """What a worker wrote and did not live to tell."""
    with Image.open(outputs.outputs_of(file.name, out).labels) as labels:
        return Done(labels.size, None, Times(), shares_of(np.asarray(labels)))
