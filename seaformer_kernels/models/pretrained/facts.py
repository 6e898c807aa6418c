"""What users of a trained model need beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD, Dataset

Color = tuple[int, int, int]

_LONGEST_NAME = 200
_LARGEST_SIDE = 1 << 14
_LARGEST = 1e6


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What users of a trained model need beside its weights.

    Attributes:
        classes: names, in the order of the labels; None if they are not known.
        colors: red, green and blue of the classes, 0..255; None if there are none.
        ignore_label: label of pixels that counted for nothing in training.
        mean, std: of R, G and B in the range 0..255, for `optimize`.
        input_longer_side: pixels of the longer side to which images are best scaled; None for any.
        dataset: name of the data set that it was trained on.
        other: what else `config.json` says, such as a licence, kept as it is.

    Raises:
        ValueError: a value is not what it should be.
    """

    classes: tuple[str, ...] | None = None
    colors: tuple[Color, ...] | None = None
    ignore_label: int = 255
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    input_longer_side: int | None = None
    dataset: str | None = None
    other: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", _names(self.classes))
        if self.colors is not None:
            object.__setattr__(self, "colors", _colors(self.colors))
        for name in "mean", "std":
            object.__setattr__(self, name, _three(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise ValueError(f"Expected std as three positive numbers, got {list(self.std)}.")
        if max(map(abs, self.mean)) <= 1 and max(self.std) < 1:
            raise ValueError(
                "Expected mean and std of values in the range 0..255, got "
                f"{list(self.mean)} and {list(self.std)}, which are of 0..1."
            )
        _integer("ignore_label", self.ignore_label, 0, 255)
        if self.input_longer_side is not None:
            _integer("input_longer_side", self.input_longer_side, 32, _LARGEST_SIDE)
        if self.dataset is not None:
            _text("dataset", self.dataset)
        if not isinstance(self.other, Mapping) or not all(isinstance(k, str) for k in self.other):
            raise ValueError(f"Expected other as a mapping with names as keys, got {self.other!r}.")

    @classmethod
    def of(cls, data: Dataset, **more: object) -> ModelFacts:
        """Those of a data set, and `more` as fields that it does not have."""
        facts = {
            "classes": data.classes,
            "colors": data.colors,
            "ignore_label": data.ignore_label,
            "mean": data.mean,
            "std": data.std,
            "dataset": data.name,
        }
        return cls(**{**facts, **more})

    def check_count(self, num_classes: int) -> None:
        """Raises ValueError unless names and colours are as many as the classes."""
        for name, values in ("names", self.classes), ("colours", self.colors):
            if values is not None and len(values) != num_classes:
                raise ValueError(
                    f"Expected {name} of {num_classes} classes, as the model has, "
                    f"got {len(values)}."
                )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"Expected classes as a list of names, got {names!r:.80}.")
    return tuple(_text(f"the name of class {label}", name) for label, name in enumerate(names))


def _text(what: str, text: object) -> str:
    # Names are shown on terminals, where other characters could do anything.
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ValueError(f"Expected {what} as printable text, got {text!r:.80}.")
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"Expected {what} of at most {_LONGEST_NAME} characters, got {len(text)}.")
    return text


def _colors(colors: Sequence[Sequence[int]]) -> tuple[Color, ...]:
    if isinstance(colors, str) or not isinstance(colors, Sequence):
        raise ValueError(f"Expected colors as a list, got {colors!r:.80}.")
    return tuple(_color(label, color) for label, color in enumerate(colors))


def _color(label: int, color: Sequence[int]) -> Color:
    if (
        not isinstance(color, list | tuple)
        or len(color) != 3
        or not all(type(value) is int and 0 <= value <= 255 for value in color)
    ):
        raise ValueError(
            f"Expected the colour of class {label} as three integers 0..255, got {color!r:.80}."
        )
    return color[0], color[1], color[2]


def _three(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    if (
        not isinstance(values, list | tuple)
        or len(values) != 3
        or not all(type(v) in (int, float) and abs(v) <= _LARGEST for v in values)
    ):
        raise ValueError(
            f"Expected {name} as three numbers of at most {_LARGEST:g}, got {values!r:.80}."
        )
    return float(values[0]), float(values[1]), float(values[2])


def _integer(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"Expected {name} as an integer {least}..{most}, got {value!r:.80}.")
