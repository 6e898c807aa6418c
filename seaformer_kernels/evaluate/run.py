"""Working through a data set: many engines, many processes, and again after a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from seaformer_kernels.evaluate import sharding
from seaformer_kernels.evaluate.engines import Engine
from seaformer_kernels.evaluate.state import StateFile, Tally

Result = TypeVar("Result", covariant=True)

_LISTED = 3  # failures, in an error


class Images(Protocol):
    """What is evaluated on: images and their truth, as `data` reads them."""

    samples: Sequence[Any]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Any]: ...


class Metrics(Protocol[Result]):
    """Counts that add up, such as `SegmentationMetrics`, or rows, such as `DetectionMetrics`."""

    counts: Tensor

    def compute(self) -> Result: ...


class Task(Protocol[Result]):
    """What is asked of the engines.

    Attributes:
        rows: whether counts are rows that are put behind each other; else they are added.
    """

    rows: bool

    def metrics(self) -> Metrics[Result]:
        """Empty metrics."""

    def predict(self, engine: Any, image: Tensor) -> Any:
        """What an engine finds in an image."""

    def count(self, found: Any, truth: Any) -> Tensor:
        """What that adds to the counts; ValueError if the truth is none."""

    def score(self, counts: Tensor) -> float:
        """How right an image with these counts is, 0..1; NaN if there is nothing to tell."""

    def differing(self, found: Any, first: Any) -> int:
        """How many labels two engines do not agree on; of objects, those that only `first` has."""

    def size(self, found: Any) -> int:
        """How many labels an image gets, or how many objects were found in it."""


@dataclass(frozen=True)
class Evaluation(Generic[Result]):
    """What an evaluation found.

    Attributes:
        results: by engine.
        differing: by engine, how many labels are not the first engine's.
        compared: how many labels there are: pixels, images in classification, or objects that the
            first engine found.
        scores: of each image by name, the first engine's: the mIoU of the image; 1 where its class
            is the likeliest, else 0; or F1 of objects. NaN where there is nothing to tell.
        failures: why images failed, by name; they count for nothing.
    """

    results: dict[str, Result]
    differing: dict[str, int]
    compared: int
    scores: dict[str, float]
    failures: dict[str, str]

    def check(self) -> None:
        """Raises ValueError if images failed."""
        if self.failures:
            listed = [f"{name}: {why}" for name, why in self.failures.items()]
            more = f"; and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
            raise ValueError(
                f"Expected images that can be evaluated, but {len(listed)} failed: "
                f"{'; '.join(listed[:_LISTED])}{more}"
            )


def run(
    task: Task[Result],
    engines: Sequence[Engine],
    images: Images,
    state: StateFile | None = None,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Evaluation[Result]:
    """Evaluates engines on images.

    In a group of processes (torch.distributed) each takes every n-th image; all return the same.

    Args:
        task: what is asked.
        engines: those that are compared, each with a name of its own.
        images: the data set; its samples have names.
        state: has what an earlier run did, and is kept up to date.
        track: goes through indices of images, such as with a progress bar.

    Raises:
        StateError, OSError: the state is of another evaluation, or cannot be read or written.
    """
    tally = _empty(task, engines)
    if state:
        sharding.first_does(lambda: state.load(tally))
    done = sharding.first_does(lambda: set(tally.scores))
    todo = [i for i, sample in enumerate(images.samples) if sample.name not in done]
    failures: dict[str, str] = {}
    try:
        for index in track(todo[sharding.rank() :: sharding.world_size()]):
            name = images.samples[index].name
            try:
                tally.add(_one(task, engines, name, *images[index]))
            except (ValueError, RuntimeError, OSError, MemoryError) as error:
                failures[name] = str(error) or type(error).__name__
            else:
                if state:
                    state.save(tally)
    finally:
        if state:
            state.save(tally, now=True)
    total = _empty(task, engines)
    for part, failed in sharding.gather((tally, failures)):
        total.add(part)
        failures |= failed
    if state:
        sharding.first_does(lambda: state.finish(total))
    results = {}
    for name, counts in total.counts.items():
        metrics = task.metrics()
        metrics.counts = counts
        results[name] = metrics.compute()
    order = [sample.name for sample in images.samples]
    return Evaluation(
        results,
        total.differing,
        total.compared,
        {name: total.scores[name] for name in order if name in total.scores},
        {name: failures[name] for name in order if name in failures},
    )


def _empty(task: Task, engines: Sequence[Engine]) -> Tally:
    names = [engine.name for engine in engines]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"Expected engines, each once, got {', '.join(names) or 'none'}.")
    return Tally(
        {name: task.metrics().counts for name in names}, dict.fromkeys(names, 0), rows=task.rows
    )


def _one(task: Task, engines: Sequence[Engine], name: str, image: Tensor, truth: Any) -> Tally:
    """What one image adds."""
    found = {engine.name: task.predict(engine, image) for engine in engines}
    counts = {engine: task.count(each, truth) for engine, each in found.items()}
    first = engines[0].name
    differing = {engine: task.differing(each, found[first]) for engine, each in found.items()}
    size, score = task.size(found[first]), task.score(counts[first])
    return Tally(counts, differing, size, {name: score}, task.rows)
