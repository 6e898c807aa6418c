"""config.json: what a folder's model is, and the facts that go with it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seaformer_kernels.models.checkpoint.error import CheckpointError, shorten
from seaformer_kernels.models.config import FAMILY, BlockConfig, SeaFormerConfig, SeaStageConfig
from seaformer_kernels.models.create import TASKS
from seaformer_kernels.models.pretrained.facts import ModelFacts
from seaformer_kernels.models.pretrained.quantization import Quantization
from seaformer_kernels.modules.retina_head import HEADS

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT_VERSION = 2  # written of what version 1 does not know, quantization
DTYPES = {str(d).removeprefix("torch."): d for d in (torch.float32, torch.float16, torch.bfloat16)}

_LARGEST_FILE = 1 << 24  # bytes
_MOST_CLASSES = 1 << 16
_MOST_CHANNELS = 1 << 14
_MOST_LAYERS = 64
_LIBRARY, _MODEL_TYPE = "seaformer_kernels", "seaformer"
_CLASS_OF = {task: kind.__name__ for task, kind in TASKS.items()}


@dataclass(frozen=True, kw_only=True)
class PretrainedConfig:
    """What config.json says.

    Attributes:
        config: which member of the family.
        task: "segmentation", "classification" or "detection".
        num_classes: number of classes.
        dropout: probability of dropping a feature before the classifier, in training only; None of
            detection, which has none.
        dtype: of the weights in the file.
        facts: what users need beside the weights.
        upsample: of segmentation, whether the head lifts its map to twice the size.
        head: of detection, which head.
        quantization: how `prepare_qat` made the model; None of a plain one.
    """

    config: SeaFormerConfig
    task: str
    num_classes: int
    dropout: float | None
    dtype: str
    facts: ModelFacts
    upsample: bool = False
    head: str | None = None
    quantization: Quantization | None = None

    @property
    def name(self) -> str | None:
        """The name in the family; None for a member of one's own."""
        return next((name for name, config in FAMILY.items() if config == self.config), None)

    def build(self) -> nn.Module:
        """The model on the meta device, where its parameters take no memory; or of zeros, if it is
        one of `prepare_qat`, which runs it once.
        """
        given = {"dropout": self.dropout, "upsample": self.upsample or None, "head": self.head}
        options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        with torch.device("meta"):
            model = TASKS[self.task](self.config, self.num_classes, **options)
        if self.quantization is None:
            return model
        model.to_empty(device="cpu")
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.detach().zero_()
        model.facts = self.facts
        return self.quantization.of(model)

    def to_json(self) -> str:
        """The text of the file."""
        facts = self.facts
        names = facts.classes
        content = {
            "architectures": [_CLASS_OF[self.task]],
            "model_type": _MODEL_TYPE,
            "library_name": _LIBRARY,
            "format_version": 1 if self.quantization is None else FORMAT_VERSION,
            "architecture": self.name or _fields_of(self.config),
            "task": self.task,
            "num_classes": self.num_classes,
            "dropout": self.dropout,
            "upsample": self.upsample or None,
            "head": self.head,
            "quantization": self.quantization
            and {"type": "int8", "skip": list(self.quantization.skip)},
            "id2label": names and {str(label): name for label, name in enumerate(names)},
            # Of classes of one name the first.
            "label2id": names and {name: names.index(name) for name in names},
            "colors": facts.colors,
            "ignore_label": facts.ignore_label,
            "mean": facts.mean,
            "std": facts.std,
            "input_longer_side": facts.input_longer_side,
            "dataset": facts.dataset,
            "torch_dtype": self.dtype,
        }
        known = {key: value for key, value in content.items() if value is not None}
        other = {key: value for key, value in facts.other.items() if key not in content}
        return json.dumps({**known, **other}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_config(folder: Path) -> PretrainedConfig:
    """What the config.json of a folder says.

    Raises:
        CheckpointError: it is missing, cannot be read, or is not as `save_pretrained` writes it.
    """
    path = folder / CONFIG
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise CheckpointError(
            f"Expected {folder} to hold {CONFIG} and {WEIGHTS} as save_pretrained writes them, but "
            f"{CONFIG} cannot be read: {error.strerror or error}."
        ) from None
    try:
        if len(text) > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE:,} bytes")
        content = json.loads(text.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"Expected {path} to be JSON, but {shorten(str(error))}.") from None
    try:
        return _parse(content)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number")


# What is no fact of `ModelFacts.other`.
_KEYS = (
    "architectures", "model_type", "library_name", "format_version", "architecture", "task",
    "num_classes", "dropout", "upsample", "head", "quantization", "id2label", "label2id", "colors",
    "ignore_label", "mean", "std", "input_longer_side", "dataset", "torch_dtype",
)  # fmt: skip
_FACTS = ("colors", "ignore_label", "mean", "std", "input_longer_side", "dataset")


def _parse(content: object) -> PretrainedConfig:
    if not isinstance(content, dict):
        raise ValueError(f"Expected a JSON object, got {_shown(content)}.")
    known = {key: content.get(key) for key in _KEYS}
    if known["model_type"] != _MODEL_TYPE:
        raise ValueError(
            f"Expected model_type {_MODEL_TYPE!r}, got {_shown(known['model_type'])}: a model of "
            "another library, or of another family."
        )
    version = 1 if known["format_version"] is None else known["format_version"]
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"Expected a format_version up to {FORMAT_VERSION}, got {_shown(version)}; a later "
            "version of seaformer-kernels may read it."
        )
    task = _choice("task", known["task"], list(TASKS))
    if known["architectures"] not in (None, [_CLASS_OF[task]]):
        raise ValueError(
            f"Expected architectures [{_CLASS_OF[task]!r}] for {task}, got "
            f"{_shown(known['architectures'])}."
        )
    names = _class_names(known["id2label"], known["label2id"])
    count = len(names) if known["num_classes"] is None and names else known["num_classes"]
    given = {key: known[key] for key in _FACTS if known[key] is not None}
    other = {key: value for key, value in content.items() if key not in known}
    facts = ModelFacts(classes=names, other=other, **given)
    num_classes = _integer("num_classes", count, 1, _MOST_CLASSES)
    facts.check_count(num_classes)
    return PretrainedConfig(
        config=_architecture(known["architecture"]),
        task=task,
        num_classes=num_classes,
        dropout=_dropout(known["dropout"], task),
        dtype=_choice("torch_dtype", known["torch_dtype"] or "float32", list(DTYPES)),
        facts=facts,
        upsample=_upsample(known["upsample"], task),
        head=_head(known["head"], task),
        quantization=_quantization(known["quantization"]),
    )


def _upsample(value: object, task: str) -> bool:
    wanted = value is None or isinstance(value, bool)
    if not wanted or (value and task != "segmentation"):
        raise ValueError(
            "Expected upsample as true or false, and true for segmentation only, got "
            f"{_shown(value)} for {task}."
        )
    return bool(value)


def _head(value: object, task: str) -> str | None:
    if task == "detection":
        return _choice("head", "retina" if value is None else value, list(HEADS))
    if value is not None:
        raise ValueError(f"Expected head for detection only, got {_shown(value)} for {task}.")
    return None


def _quantization(value: object) -> Quantization | None:
    if value is None:
        return None
    fields = _object("quantization", value, ("type", "skip"))
    skip = fields["skip"]
    if not isinstance(skip, list) or not all(isinstance(name, str) for name in skip):
        raise ValueError(f"Expected skip of quantization as a list of names, got {_shown(skip)}.")
    _choice("type of quantization", fields["type"], ["int8"])
    return Quantization(tuple(skip))


def _dropout(value: object, task: str) -> float | None:
    if task == "detection":
        if value is not None:
            raise ValueError(f"Expected no dropout for detection, got {_shown(value)}.")
        return None
    if value is None:
        return {"segmentation": 0.1, "classification": 0.2}[task]
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise ValueError(f"Expected dropout as a number from 0 to below 1, got {_shown(value)}.")
    return float(value)


def _class_names(by_label: object, by_name: object) -> tuple[str, ...] | None:
    if by_label is None:
        if by_name is not None:
            raise ValueError("Expected id2label beside label2id, got label2id only.")
        return None
    if not isinstance(by_label, dict) or not by_label:
        raise ValueError(f"Expected id2label as an object of names, got {_shown(by_label)}.")
    labels = [str(label) for label in range(len(by_label))]
    if set(labels) != by_label.keys():
        raise ValueError(
            f"Expected the labels 0 to {len(labels) - 1} as the keys of id2label, got "
            f"{_shown(list(by_label))}."
        )
    names = ModelFacts(classes=tuple(by_label[label] for label in labels)).classes
    if by_name is not None and (
        not isinstance(by_name, dict)
        or by_name.keys() != set(names)
        or not all(
            type(label) is int and 0 <= label < len(names) and names[label] == name
            for name, label in by_name.items()
        )
    ):
        raise ValueError("Expected label2id to say the same as id2label, got other pairs.")
    return names


def _architecture(value: object) -> SeaFormerConfig:
    """A member of the family by its name, or one's own by its fields."""
    if isinstance(value, str):
        return FAMILY[_choice("architecture", value, list(FAMILY))]
    fields = _object("architecture", value, SeaFormerConfig.__annotations__)
    stages = tuple(
        tuple(_row(f"a block of stage {number}", block, BlockConfig) for block in stage)
        for number, stage in enumerate(_lists("stages", fields["stages"]), 1)
    )
    sea_stages = tuple(
        _row("a SEA stage", sea, SeaStageConfig)
        for sea in _list("sea_stages", fields["sea_stages"], len(stages))
    )
    fusions = _list("fusion_channels", fields["fusion_channels"], len(stages))
    config = SeaFormerConfig(
        stem_channels=_integer("stem_channels", fields["stem_channels"], 1, _MOST_CHANNELS),
        stages=stages,
        sea_stages=sea_stages,
        num_heads=_integer("num_heads", fields["num_heads"], 1, _MOST_CHANNELS),
        fusion_channels=tuple(_integer("fusion_channels", c, 1, _MOST_CHANNELS) for c in fusions),
    )
    after = [sea.after_stage for sea in sea_stages]
    if len(stages) < 2 or len(fusions) != len(after) or after != sorted(set(after)):
        raise ValueError(
            "Expected an architecture of at least two stages, SEA stages in their order and as "
            f"many fusion_channels, got {len(stages)} stages, SEA stages after {after} and "
            f"{len(fusions)} fusion_channels."
        )
    if after[-1] > len(stages):
        raise ValueError(
            f"Expected SEA stages after stages up to {len(stages)}, got one after {after[-1]}."
        )
    return config


def _fields_of(config: SeaFormerConfig) -> dict[str, object]:
    return {
        "stem_channels": config.stem_channels,
        "stages": [[block._asdict() for block in blocks] for blocks in config.stages],
        "sea_stages": [sea._asdict() for sea in config.sea_stages],
        "num_heads": config.num_heads,
        "fusion_channels": list(config.fusion_channels),
    }


_LIMITS = {
    "kernel_size": 31,
    "expansion": 64,
    "stride": 2,
    "depth": _MOST_LAYERS,
    "mlp_ratio": 64,
    "after_stage": _MOST_LAYERS,
}


def _row(what: str, value: object, kind: type) -> Any:
    fields = _object(what, value, kind.__annotations__)
    found = {
        name: _integer(f"{name} of {what}", number, 1, _LIMITS.get(name, _MOST_CHANNELS))
        for name, number in fields.items()
    }
    if found.get("kernel_size", 1) % 2 == 0:
        raise ValueError(f"Expected an odd kernel_size of {what}, got {found['kernel_size']}.")
    return kind(**found)


def _object(what: str, value: object, names: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        expected = f" one of {', '.join(FAMILY)}, or" if what == "architecture" else ""
        raise ValueError(
            f"Expected {what} as{expected} an object of {', '.join(names)}, got {_shown(value)}."
        )
    return value


def _list(what: str, value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ValueError(f"Expected {what} as a list of 1 to {most} entries, got {_shown(value)}.")
    return value


def _lists(what: str, value: object) -> list[list[Any]]:
    return [_list(f"{what}, each", stage, _MOST_LAYERS) for stage in _list(what, value, 16)]


def _choice(what: str, value: object, choices: list[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"Expected {what} among {', '.join(choices)}, got {_shown(value)}.")
    return value


def _integer(what: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"Expected {what} as an integer {least}..{most}, got {_shown(value)}.")
    return value


def _shown(value: object) -> str:
    return "nothing" if value is None else shorten(ascii(value)[:200])
