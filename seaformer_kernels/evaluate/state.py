"""What an evaluation has counted, in a file that it can go on from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seaformer_kernels._files import write_whole
from seaformer_kernels.evaluate import sharding
from seaformer_kernels.evaluate.row_list import RowList

_FORMAT = "seaformer evaluate, 1"


class StateError(ValueError):
    """A file that is not the state of this evaluation."""


class Tally:
    """What was counted so far.

    Args:
        counts: by engine, those of its metrics.

    Attributes:
        differing: by engine, how many labels are not the first engine's.
        compared: how many labels there are.
        scores: of the images that are done, by name; the first engine's.
        rows: whether counts are rows, of which more images have more; else they are added.
    """

    def __init__(
        self,
        counts: Mapping[str, Tensor],
        differing: dict[str, int],
        compared: int = 0,
        scores: dict[str, float] | None = None,
        rows: bool = False,
    ):
        self._counts = {name: RowList(own) for name, own in counts.items()}
        self.differing = differing
        self.compared = compared
        self.scores = {} if scores is None else scores
        self.rows = rows

    @property
    def counts(self) -> dict[str, Tensor]:
        """By engine, those of its metrics."""
        return {name: own.joined() for name, own in self._counts.items()}

    def add(self, other: Tally) -> None:
        """Adds what was counted on other images, by the same engines."""
        for name, counts in other.counts.items():
            if self.rows:
                self._counts[name].append(counts)
            else:
                self._counts[name] = RowList(self._counts[name].joined() + counts)
            self.differing[name] += other.differing[name]
        self.compared += other.compared
        self.scores |= other.scores


class StateFile:
    """A tally in a JSON file, which is there whole or not at all.

    Of several processes the first has the file; each other has one beside it, with its number
    behind the name, until they are joined. A later run may have another number of processes.

    Args:
        path: the file.
        of: what is evaluated and how, as JSON values by what they are called; only a state that
            has the same is gone on from.
        every: seconds between two writings.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], every: float = 10.0):
        self.path = path
        self.of = json.loads(json.dumps(of))  # as it will be read
        self.every = every
        self._written = time.monotonic()

    def load(self, tally: Tally) -> None:
        """Adds what earlier runs counted to an empty tally, and joins the files of their processes.

        Raises:
            StateError: a file is no state, or that of another evaluation.
            OSError: a file cannot be read or written.
        """
        for path in (self.path, *self._parts()):
            if not path.exists():
                continue
            found = self._read(path, tally)
            # One whose images are there was joined by a run that ended before it was removed.
            if not found.scores.keys() <= tally.scores.keys():
                tally.add(found)
        self.finish(tally)

    def save(self, tally: Tally, now: bool = False) -> None:
        """Writes what this process counted, unless it was written a short while ago."""
        if now or time.monotonic() - self._written >= self.every:
            number = sharding.rank()
            self._write(self._part(number) if number else self.path, tally)
            self._written = time.monotonic()

    def finish(self, tally: Tally) -> None:
        """Writes what all processes counted, in one file."""
        self._write(self.path, tally)
        for part in self._parts():
            part.unlink(missing_ok=True)

    def _part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _parts(self) -> list[Path]:
        beside = self.path.parent.glob(f"{self.path.name}.*")
        return sorted(path for path in beside if path.name[len(self.path.name) + 1 :].isdigit())

    def _write(self, path: Path, tally: Tally) -> None:
        content = {
            "format": _FORMAT,
            "of": self.of,
            "counts": {name: counts.tolist() for name, counts in tally.counts.items()},
            "differing": tally.differing,
            "compared": tally.compared,
            "scores": tally.scores,
        }
        text = json.dumps(content)
        write_whole({path: lambda file: file.write_text(text)}, alone=True)

    def _read(self, path: Path, like: Tally) -> Tally:
        try:
            content = json.loads(path.read_text())
            if content["format"] != _FORMAT:
                raise ValueError(content["format"])
            of = dict(content["of"])
            tally = Tally(
                {name: _tensor(counts, like, name) for name, counts in content["counts"].items()},
                {name: int(count) for name, count in content["differing"].items()},
                int(content["compared"]),
                {name: float(score) for name, score in content["scores"].items()},
                like.rows,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StateError(
                f"Expected a state of `seaformer evaluate`, got {path}, which is none."
            ) from None
        other = [key for key in self.of | of if self.of.get(key) != of.get(key)]
        if other:
            raise StateError(
                f"Expected a state of this evaluation, got {path}, which is of one with other "
                f"{', '.join(other)}."
            )
        shapes = (
            {name: counts.shape[like.rows :] for name, counts in each.counts.items()}
            for each in (tally, like)
        )
        if next(shapes) != next(shapes) or tally.differing.keys() != like.differing.keys():
            raise StateError(f"Expected a whole state, got {path}, which is damaged.")
        return tally


def _tensor(counts: Any, like: Tally, name: str) -> Tensor:
    """Counts that were read, of the type and, without a row, the shape of empty ones."""
    empty = like.counts[name]
    read = torch.tensor(counts, dtype=empty.dtype)
    return read if len(read) or not like.rows else empty[:0]


def digest_of(model: nn.Module) -> str:
    """A hash of all parameters and buffers of a model, with their names."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
