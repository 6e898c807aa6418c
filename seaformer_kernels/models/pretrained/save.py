"""save_pretrained."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from seaformer_kernels._files import write_whole
from seaformer_kernels.data import Dataset
from seaformer_kernels.models.checkpoint.error import summarize
from seaformer_kernels.models.create import TASKS
from seaformer_kernels.models.pretrained.config import CONFIG, DTYPES, WEIGHTS, PretrainedConfig
from seaformer_kernels.models.pretrained.facts import ModelFacts
from seaformer_kernels.models.pretrained.quantization import quantization_of
from seaformer_kernels.models.wrappers import unwrapped


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    facts: ModelFacts | Dataset | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes a model as a folder that `from_pretrained` reads and that can be published as it is.

    `config.json` says what the model is, with the names and colours of its classes, mean and std;
    `model.safetensors` holds the weights. Both appear whole or not at all, and replace those that
    are there; other files of the folder stay.

    Args:
        model: from `create_model` or `from_pretrained`, or built with a config of one's own, or
            what `prepare_qat` made of such a one; on any device; in DataParallel,
            DistributedDataParallel, torch.compile or AveragedModel, the model inside.
        folder: made if need be; with ~ for the home folder.
        facts: what users need beside the weights, or the data set that says so; the model's own
            `facts` if None.
        dtype: torch.float16 or torch.bfloat16 to write half as much; float32 if None, or the
            model's own if that is a half type.

    Raises:
        TypeError: model is not a module, or an argument is of another type.
        ValueError: the model is optimised, or not one of `create_model`; or facts are for other
            classes; or a weight is too large for float16; or a half type is asked for a model of
            `prepare_qat`.
        ImportError: safetensors is not installed.
        OSError: a file cannot be written.
    """
    config, state = _describe(model, facts, dtype)
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise ImportError(
            "save_pretrained needs the safetensors library, which "
            "pip install 'seaformer-kernels[cli]' brings."
        ) from error
    text = config.to_json()
    path = Path(os.path.expanduser(os.fspath(folder)))
    made = _missing_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # The description last: it is what makes the folder a model.
        write_whole(
            {
                # Not by save_file, whose files the owner alone may read, whatever the umask.
                path / WEIGHTS: lambda file: file.write_bytes(save(state, {"format": "pt"})),
                path / CONFIG: lambda file: file.write_text(text, "utf-8"),
            },
            flush=True,
        )
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise


def _missing_folders(path: Path) -> list[Path]:
    """The folder and those above it that are not there yet, innermost first."""
    return [each for each in (path, *path.parents) if not each.exists()]


def _describe(
    model: nn.Module, facts: ModelFacts | Dataset | None, dtype: torch.dtype | None
) -> tuple[PretrainedConfig, dict[str, Tensor]]:
    """What config.json is to say, and the tensors to write."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"save_pretrained: expected a model, got {type(model).__name__}.")
    model = unwrapped(model)
    if any(getattr(module, "holds_packed_weights", False) for module in model.modules()):
        raise ValueError(
            "save_pretrained: expected a plain model, got an optimised one, whose weights are "
            "packed: save the model that was given to optimize."
        )
    task = next((task for task, kind in TASKS.items() if type(model) is kind), None)
    if task is None:
        raise ValueError(
            "save_pretrained: expected a model of create_model, as others could not build "
            f"another one, got {type(model).__name__}."
        )
    if isinstance(facts, Dataset):
        facts = ModelFacts.of(facts)
    facts = model.facts if facts is None else facts
    facts = ModelFacts() if facts is None else facts
    if not isinstance(facts, ModelFacts):
        raise TypeError(
            "save_pretrained: expected facts as ModelFacts or a Dataset, got "
            f"{type(facts).__name__}."
        )
    facts.check_count(model.num_classes)
    dtype = _dtype(model, dtype)
    quantization = quantization_of(model)
    if quantization is not None and dtype != torch.float32:
        raise ValueError(
            "save_pretrained: expected float32 for a model of prepare_qat, whose weights int8 "
            f"rounds, got {dtype}."
        )
    config = PretrainedConfig(
        config=model.config,
        task=task,
        num_classes=model.num_classes,
        dropout=_dropout(model),
        dtype=str(dtype).removeprefix("torch."),
        facts=facts,
        upsample=getattr(model, "upsample", False),
        head=getattr(model, "head_name", None),
        quantization=quantization,
    )
    state = model.state_dict()
    _check_layout(config, state)
    return config, {name: _stored(name, tensor, dtype) for name, tensor in state.items()}


def _dropout(model: nn.Module) -> float | None:
    """That of a model that classifies images or pixels."""
    head = getattr(model, "decode_head", None) or getattr(model, "linear", None)
    head = getattr(head, "last", head)  # of one of prepare_qat
    return float(head.dropout.p) if head is not None else None


def _dtype(model: nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None:
        own = {parameter.dtype for parameter in model.parameters()}
        return own.pop() if len(own) == 1 and own <= {*DTYPES.values()} else torch.float32
    if dtype not in DTYPES.values():
        raise TypeError(
            f"save_pretrained: expected dtype among {', '.join(map(str, DTYPES.values()))}, got "
            f"{dtype!r}."
        )
    return dtype


def _check_layout(config: PretrainedConfig, state: dict[str, Tensor]) -> None:
    """Raises ValueError unless a model that is built anew has the same tensors."""
    expected = {name: tensor.shape for name, tensor in config.build().state_dict().items()}
    got = {name: tensor.shape for name, tensor in state.items()}
    if odd := [name for name in {**expected, **got} if expected.get(name) != got.get(name)]:
        raise ValueError(
            "save_pretrained: expected the tensors of a model of create_model, as others could "
            f"not fill another one, got one whose blocks were changed: {summarize(odd)}."
        )
    if empty := [name for name, tensor in state.items() if tensor.is_meta]:
        raise ValueError(
            f"save_pretrained: expected weights, got {summarize(empty)} on the meta device."
        )


def _stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor.contiguous().clone()
    stored = tensor.to(dtype, memory_format=torch.contiguous_format, copy=True)
    if not torch.equal(stored.isfinite(), tensor.isfinite()):
        raise ValueError(
            f"save_pretrained: expected values that {dtype} can hold, got up to "
            f"{tensor.abs().max():.3g} in {name}; torch.bfloat16 has float32's range."
        )
    return stored
