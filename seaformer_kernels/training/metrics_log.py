"""The curve of a training: a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seaformer_kernels._files import write_whole

STEP_COLUMNS = ("step", "epoch", "lr", "loss", "gradient_norm")


class MetricsLog:
    """Writes a row for each step, and one for each validation, in columns of its own.

    Args:
        file: the CSV file; rows behind these steps are dropped, as the run goes on from there.
        step: steps that are done.
        validated: the step of the last validation that is done.
        metrics: names of the columns that validation fills.
        tensorboard: folder of TensorBoard's events; None for none.
    """

    def __init__(
        self,
        file: Path,
        step: int,
        validated: int,
        metrics: tuple[str, ...],
        tensorboard: Path | None,
    ):
        self.columns = (*STEP_COLUMNS, *metrics)
        rows = [
            row
            for row in read_metrics(file)
            if int(row["step"]) <= (step if row["loss"] else validated)
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        whole = text.getvalue().encode()
        write_whole({file: lambda path: path.write_bytes(whole)}, flush=True, alone=True)
        self._file = open(file, "a", newline="", buffering=1)  # noqa: SIM115  # for the whole run
        self._writer = csv.DictWriter(self._file, self.columns, lineterminator="\n")
        self._board = _summary_writer(tensorboard, step) if tensorboard else None

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row; numbers are written so that they read back bit for bit."""
        self._writer.writerow(row)
        if self._board:
            for name, value in row.items():
                if name not in ("step", "epoch"):
                    self._board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        if self._board:
            self._board.close()


def read_metrics(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file of metrics, without a last one that was cut off."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if row["step"].isdigit()]


def _summary_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
