"""Golden cases: what the reference code answers, with the weights and inputs that led there."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

_FOLDER = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(_FOLDER))

import recipe  # noqa: E402

TASKS = {"seg": "segmentation", "cls": "classification"}
MODELS = sorted(path.name.removesuffix(".keys.json") for path in _FOLDER.glob("*.keys.json"))
CASES = sorted(path.stem for path in _FOLDER.glob("*.npz"))
# As parameters of a test.
CASE_PARAMS = [
    pytest.param(case, marks=pytest.mark.slow if re.search("base|large|512", case) else ())
    for case in CASES
]


def parse(key: str) -> tuple[str, str]:
    """("seaformer_tiny", "segmentation") of "seg_tiny" or of a case's name."""
    task, variant = key.split("_")[:2]
    return f"seaformer_{variant}", TASKS[task]


def manifest(key: str) -> dict[str, list[int]]:
    """Name and shape of every tensor of the reference's checkpoint, in its order."""
    return json.loads((_FOLDER / f"{key}.keys.json").read_text())


def state_dict(key: str) -> dict[str, Tensor]:
    """The recipe's checkpoint, float32."""
    state = recipe.make_state(manifest(key))
    return {name: torch.from_numpy(np.asarray(array)) for name, array in state.items()}


@dataclass(frozen=True)
class GoldenCase:
    """One input and the reference's float64 answers to it."""

    name: str
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, name: str) -> "GoldenCase":
        with np.load(_FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
            return cls(name, dict(arrays))

    @property
    def model_key(self) -> str:
        """Which checkpoint, such as "seg_tiny"."""
        return "_".join(self.name.split("_")[:2])

    @property
    def features(self) -> list[str]:
        """Names of the backbone's maps, finest first."""
        return sorted(name for name in self.arrays if name.startswith("feat") and "_" not in name)

    def input(self) -> Tensor:
        shape = tuple(int(n) for n in self.arrays["shape"])
        return torch.from_numpy(recipe.make_input(self.name, shape))

    def relative_error(self, name: str, got: Tensor) -> float:
        """Largest error of an output, relative to the reference's largest absolute value.

        Outputs too large to store are compared at the stored flat indices.
        """
        assert tuple(got.shape) == tuple(self.arrays[f"{name}_shape"])
        expected = torch.from_numpy(self.arrays[name])
        got = got.double()
        if f"{name}_index" in self.arrays:
            got = got.flatten()[torch.from_numpy(self.arrays[f"{name}_index"])]
        return float((got - expected).abs().max() / expected.abs().max())
