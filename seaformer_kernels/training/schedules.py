"""The learning rate as a function of the step, so that there is no state to keep."""

from __future__ import annotations

import math

from seaformer_kernels.training.recipe import ScheduleRecipe


def lr_factor(schedule: ScheduleRecipe, step: int, steps: int) -> float:
    """What the learning rate is multiplied by in a step, counted from 0, of so many.

    The decay runs from the first step on, and the warm-up is a factor on it, as in the recipes
    of SeaFormer.
    """
    done = step / steps
    if schedule.name == "poly":
        factor = (1 - done) ** schedule.power
    elif schedule.name == "cosine":
        factor = (1 + math.cos(math.pi * done)) / 2
    else:
        factor = 0.1 ** sum(done >= share for share in schedule.drops)
    if step < schedule.warmup_steps:
        share = step / schedule.warmup_steps
        factor *= schedule.warmup_ratio + (1 - schedule.warmup_ratio) * share
    return factor
