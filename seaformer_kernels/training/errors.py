"""What stops a training, told in a sentence."""

from __future__ import annotations


class RecipeError(ValueError):
    """A recipe that is not one; the message names the file, the key, and what was expected."""


class TrainingError(RuntimeError):
    """A training that cannot begin or go on; the message says why, and what to do."""


class Stopped(TrainingError):
    """A training that was asked to stop, and has saved its state."""
