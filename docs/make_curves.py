"""Draws the curves of trainings: loss over epochs, and the metric that chose the best weights.

python docs/make_curves.py NAME=FOLDER_OF_A_RUN ... [--out docs/images/curves.svg]
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from seaformer_kernels.bench.charts import save
from seaformer_kernels.training.metrics_log import STEP_COLUMNS, read_metrics


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images" / "curves.svg")
    chosen = parser.parse_args()

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name, _, folder in (run.partition("=") for run in chosen.runs):
        rows = read_metrics(Path(folder) / "metrics.csv")
        if not rows:
            raise SystemExit(f"make_curves.py: {folder} has no curve")
        steps = (row for row in rows if row["loss"])
        means = {
            int(epoch): sum(losses) / len(losses)
            for epoch, of_epoch in groupby(steps, lambda row: row["epoch"])
            if (losses := [float(row["loss"]) for row in of_epoch])
        }
        left.plot([*means], [*means.values()], label=name)
        metric = next(column for column in rows[0] if column not in STEP_COLUMNS)
        found = {int(row["epoch"]): 100 * float(row[metric]) for row in rows if row[metric]}
        right.plot([*found], [*found.values()], marker="o", markersize=3, label=name)
    left.set(xlabel="epoch", ylabel="loss, mean of an epoch")
    right.set(xlabel="epoch", ylabel=f"{metric} on val, %")
    for axes in left, right:
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, chosen.out)


if __name__ == "__main__":
    main()
