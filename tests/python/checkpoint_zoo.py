"""A collection of files that people give as checkpoints, and what has to become of each.

Classes of other libraries are imitated: each exists while its file is written, and cannot be
imported any more when it is read.
"""

from __future__ import annotations

import argparse
import bz2
import collections
import dataclasses
import datetime
import enum
import functools
import gzip
import io
import json
import lzma
import pathlib
import pickle
import struct
import sys
import tarfile
import types
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from seaformer_kernels.modules import ConvBN

State = dict[str, Tensor]


class Toy(nn.Module):
    """The smallest model with the names of ours."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(ConvBN(3, 4))
        self.decode_head = nn.ModuleDict({"conv_seg": nn.Conv2d(4, 2, 1)})


def random_state(model: nn.Module, seed: int = 0) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(t.shape, generator=generator) if t.is_floating_point() else t + 7
        for name, t in model.state_dict().items()
    }


class Specimen(NamedTuple):
    """One file.

    Attributes:
        make: its bytes, given the toy's state.
        refused: pattern of the error; "" if it loads.
        options: of load_checkpoint.
        source, prefix, skipped, ignored: what the report has to say; of the skipped, their names.
    """

    make: Callable[[State], bytes]
    refused: str = ""
    options: dict[str, object] = {}  # noqa: RUF012
    source: str = ""
    prefix: str = ""
    skipped: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def saved(content: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


@contextmanager
def foreign(name: str, *bases: type, **members: object) -> Iterator[type]:
    """A class of another library, which is gone afterwards."""
    module, _, short = name.rpartition(".")
    parts = module.split(".")
    packages = [".".join(parts[: end + 1]) for end in range(len(parts))]
    before = {package: sys.modules.get(package) for package in packages}
    for package in packages:
        sys.modules[package] = types.ModuleType(package)
    made = type(short, bases, {**members, "__module__": module})
    setattr(sys.modules[module], short, made)
    try:
        yield made
    finally:
        for package, old in before.items():
            if old is None:
                del sys.modules[package]
            else:
                sys.modules[package] = old


def with_meta(make: Callable[[], object], **options: object) -> Callable[[State], bytes]:
    """As trainers save: the weights, and something else beside them."""
    return lambda state: saved({"meta": make(), "state_dict": state, "iter": 7}, **options)


def with_foreign(
    name: str, fill: Callable[[type], object], *bases: type, **members: object
) -> Callable[[State], bytes]:
    def make(state: State) -> bytes:
        with foreign(name, *bases, **members) as kind:
            return saved({"meta": fill(kind), "state_dict": state})

    return make


def instance(kind: type, **attributes: object) -> object:
    made = kind.__new__(kind)
    made.__dict__.update(attributes)
    return made


# Metadata


def mmengine(state: State) -> bytes:
    with foreign("mmengine.logging.history_buffer.HistoryBuffer") as buffer:
        history = np.arange(6.0).reshape(3, 2)
        hub = {
            "log_scalars": {
                name: instance(buffer, max_length=10, _log_history=history, _count_history=history)
                for name in ("train/lr", "train/loss")
            },
            "runtime_info": {"cfg": "model = dict()", "seed": np.int64(3)},
            "resumed_keys": {"loss": True},
        }
        meta = {"mmengine_version": "0.10.4", "dataset_meta": {"classes": ("wall", "sky")}}
        return saved({"meta": meta, "state_dict": state, "message_hub": hub, "optimizer": {}})


def omegaconf(state: State) -> bytes:
    with (
        foreign("omegaconf.listconfig.ListConfig") as lists,
        foreign("omegaconf.dictconfig.DictConfig") as dicts,
        foreign("omegaconf.base.Metadata") as metadata,
    ):
        note = instance(metadata, ref_type=lists, object_type=list, key="sizes")
        config = instance(dicts, _metadata=note, _content={}, _parent=None)
        config._content["sizes"] = instance(lists, _metadata=note, _content=[1], _parent=config)
        return saved({"hyper_parameters": config, "state_dict": prefixed("model.", state)})


def lightning(state: State) -> bytes:
    with (
        foreign("lightning.fabric.utilities.data.AttributeDict", dict) as attributes,
        foreign("lightning.pytorch.callbacks.ModelCheckpoint") as callback,
    ):
        content = {
            "pytorch-lightning_version": "2.4.0",
            "hyper_parameters": attributes(lr=0.1, net="tiny"),
            "callbacks": {
                "ModelCheckpoint{'mode': 'min'}": instance(callback, best_model_path="a.ckpt")
            },
            "state_dict": prefixed("net.model.", state) | {"loss_fn.weight": torch.ones(2)},
        }
        return saved(content)


def whole_module(state: State) -> bytes:
    with foreign("research.nets.Segmenter", nn.Module) as kind:
        return saved(kind())


def whole_module_as_ema(state: State) -> bytes:
    with foreign("ultralytics.nn.tasks.Model", nn.Module) as kind:
        return saved({"epoch": 3, "model": None, "ema": kind()})


def tensor_subclass(state: State) -> bytes:
    with foreign("fastai.torch_core.TensorBase", Tensor) as kind:
        return saved({name: tensor.as_subclass(kind) for name, tensor in state.items()})


def enumeration(state: State, by_name: bool = False) -> bytes:
    """Versions of Python differ in how members are pickled."""

    def reduced(member: enum.Enum, protocol: int) -> tuple:
        return (getattr, (mode, member.name)) if by_name else (mode, (member.value,))

    with foreign("research.modes.Holder"):
        mode = enum.Enum("Mode", "EVAL TRAIN", module="research.modes")
        mode.__reduce_ex__ = reduced
        sys.modules["research.modes"].Mode = mode
        return saved({"mode": mode.TRAIN, "state_dict": state})


def data_class(state: State) -> bytes:
    with foreign("research.config.Config", lr=0.1, __annotations__={"lr": float}) as kind:
        return saved({"config": dataclasses.dataclass(kind)(lr=0.2), "state_dict": state})


def namespace() -> argparse.Namespace:
    return argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath("/runs/1"), crop=None)


def optimizer(state: State) -> bytes:
    """As AdamW's state dict, which takes seconds of imports to make."""
    moments = {"exp_avg": torch.ones(4, 3), "exp_avg_sq": torch.ones(4, 3)}
    content = {
        "state": {0: {"step": torch.tensor(1.0), **moments}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "fused": None}],
    }
    return saved({"model": state, "optimizer": content, "scaler": {"scale": 2.0}})


# Files


def as_safetensors(state: State) -> bytes:
    return safetensors.torch.save(state, metadata={"format": "pt"})


def as_tar(state: State) -> bytes:
    """As torch saved before 0.1.10, and still reads."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> str | None:
            names = [name for name, tensor in state.items() if tensor is value]
            return str(list(state).index(names[0])) if names else None

    storages, tensors, content = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pickle.dump(len(state) + 1, storages, 2)
    kinds = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}
    for key, tensor in enumerate(state.values()):
        pickle.dump((key, "cpu", kinds[tensor.dtype]), storages, 2)
        storages.write(struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes())
    # Another storage and a view into it, which the first tensor uses.
    first = next(iter(state.values()))
    pickle.dump((100, "cpu", kinds[first.dtype]), storages, 2)
    storages.write(struct.pack("<q", first.numel() + 2) + bytes(8) + first.numpy().tobytes())
    pickle.dump([(101, 100, 2, first.numel())], storages, 2)
    pickle.dump(len(state), tensors, 2)
    for key, tensor in enumerate(state.values()):
        pickle.dump((key, key or 101, kinds[tensor.dtype]), tensors, 2)
        numbers = (*tensor.shape, *tensor.stride(), 0)
        tensors.write(struct.pack(f"<ii{len(numbers)}q", tensor.dim(), 0, *numbers))
    Pickler(content, 2).dump(state)
    members = {"sys_info": pickle.dumps({}, 2), "pickle": content.getvalue()}
    return tarred(members | {"tensors": tensors.getvalue(), "storages": storages.getvalue()})


def tarred(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def packed_again(state: State) -> bytes:
    """Unpacked by hand and packed again, which compresses."""
    with zipfile.ZipFile(io.BytesIO(saved(state))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members, zipfile.ZIP_DEFLATED)


def without_checksums(state: State) -> bytes:
    torch.serialization.set_crc32_options(False)
    try:
        return saved(state)
    finally:
        torch.serialization.set_crc32_options(True)


def big_endian(state: State) -> bytes:
    with zipfile.ZipFile(io.BytesIO(saved(state))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members | {"archive/byteorder": b"big"})


def torchscript(state: State) -> bytes:
    """As torch.jit.save, whose tracer takes seconds to start."""
    names = ("data.pkl", "code/__torch__/net.py", "constants.pkl", "version")
    return zipped({f"net/{name}": b"" for name in names})


def spliced(state: State, fragment: bytes) -> bytes:
    """A zipped checkpoint whose entry "meta" is what a piece of a pickle leaves on the stack."""
    with zipfile.ZipFile(io.BytesIO(saved({"meta": "MARK", "state_dict": state}))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    marker = b"X\x04\0\0\0MARK"
    assert members["archive/data.pkl"].count(marker) == 1
    members["archive/data.pkl"] = members["archive/data.pkl"].replace(marker, fragment)
    return zipped(members)


def npz(state: State) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    return file.getvalue()


def npy(state: State) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def views(state: State) -> State:
    """The same values, as rows of one storage, transposed and with gaps."""
    flat = torch.cat([tensor.flatten().float() for tensor in state.values()])
    parts = flat.split([tensor.numel() for tensor in state.values()])
    shaped = {
        name: part.view(tensor.shape)
        for (name, tensor), part in zip(state.items(), parts, strict=True)
    }
    name = "backbone.0.c.weight"
    gaps = torch.zeros(3, 4, 1, 1, dtype=torch.float64).transpose(0, 1)
    gaps.copy_(state[name])
    return shaped | {name: gaps}


def claims(state: State) -> bytes:
    entry = {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]}
    header = json.dumps({"backbone.0.c.weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header


def text(content: str) -> Callable[[State], bytes]:
    return lambda state: content.encode()


def raw(content: bytes) -> Callable[[State], bytes]:
    return lambda state: content + bytes(600)


def around(pack: Callable[[bytes], bytes]) -> Callable[[State], bytes]:
    return lambda state: pack(saved(state))


ZOO: dict[str, Specimen] = {
    # Bare state dicts, in all formats and under all names.
    "zip.pth": Specimen(saved),
    "zip_protocol4.pt": Specimen(lambda s: saved(s, pickle_protocol=4)),
    "zip.ckpt": Specimen(saved),
    "pytorch_model.bin": Specimen(saved),
    "zip.pth.tar": Specimen(saved),
    "zip.tar": Specimen(saved),
    "zip.zip": Specimen(saved),
    "weights": Specimen(saved),
    "zip.safetensors": Specimen(saved),
    "packed_again.pth": Specimen(packed_again),
    "without_checksums.pth": Specimen(without_checksums),
    "legacy.pth": Specimen(lambda s: saved(s, _use_new_zipfile_serialization=False)),
    "legacy.pkl": Specimen(lambda s: saved(s, _use_new_zipfile_serialization=False)),
    "tar.pth": Specimen(as_tar),
    "safetensors.safetensors": Specimen(as_safetensors),
    "safetensors.bin": Specimen(as_safetensors),
    "pickle0.pkl": Specimen(lambda s: pickle.dumps(s, 0)),
    "pickle2.pkl": Specimen(lambda s: pickle.dumps(s, 2)),
    "pickle5.pkl": Specimen(lambda s: pickle.dumps(s, 5)),
    "ordered.pth": Specimen(lambda s: saved(collections.OrderedDict(s))),
    "metadata_attribute.pth": Specimen(lambda s: saved(Toy().state_dict() | s)),
    "parameters.pth": Specimen(
        lambda s: saved({n: nn.Parameter(t, t.is_floating_point()) for n, t in s.items()})
    ),
    "subclass.pth": Specimen(tensor_subclass),
    "views.pth": Specimen(lambda s: saved(views(s))),
    "views_legacy.pth": Specimen(
        lambda s: saved(views(s), _use_new_zipfile_serialization=False),
    ),
    "half.pth": Specimen(lambda s: saved({n: t.half() for n, t in s.items()})),
    "bfloat16.safetensors": Specimen(
        lambda s: as_safetensors({n: t.bfloat16() for n, t in s.items()})
    ),
    # What trainers keep beside the weights.
    "mmengine.pth": Specimen(
        mmengine,
        source="state_dict",
        skipped=("mmengine.logging.history_buffer.HistoryBuffer", "numpy.ndarray"),
    ),
    "omegaconf.ckpt": Specimen(
        omegaconf,
        source="state_dict",
        prefix="model.",
        skipped=("omegaconf.listconfig.ListConfig", "omegaconf.dictconfig.DictConfig"),
    ),
    "lightning.ckpt": Specimen(
        lightning,
        options={"strict": False},
        source="state_dict",
        prefix="net.model.",
        skipped=(
            "lightning.fabric.utilities.data.AttributeDict",
            "lightning.pytorch.callbacks.ModelCheckpoint",
        ),
        ignored=("loss_fn.weight",),
    ),
    "config_dict.pth": Specimen(
        with_foreign("mmcv.utils.config.ConfigDict", lambda k: k(type="SeaFormer"), dict),
        source="state_dict",
        skipped=("mmcv.utils.config.ConfigDict",),
    ),
    "easydict.pth": Specimen(
        with_foreign("easydict.EasyDict", lambda k: k(lr=0.1, sub=k(a=1)), dict),
        source="state_dict",
        skipped=("easydict.EasyDict",),
    ),
    "foreign_list.pth": Specimen(
        with_foreign("ruamel.yaml.comments.CommentedSeq", lambda k: k([1, 2]), list),
        source="state_dict",
        skipped=("ruamel.yaml.comments.CommentedSeq",),
    ),
    "setstate.pth": Specimen(
        with_foreign(
            "research.state.Stateful",
            lambda k: instance(k, a=1),
            __setstate__=lambda self, state: 1 / 0,
            __getstate__=lambda self: {"a": 1},
        ),
        source="state_dict",
        skipped=("research.state.Stateful",),
    ),
    "enum.pth": Specimen(enumeration, source="state_dict", skipped=("research.modes.Mode",)),
    "enum_by_name.pth": Specimen(
        functools.partial(enumeration, by_name=True),
        source="state_dict",
        skipped=("builtins.getattr",),
    ),
    "dataclass.pth": Specimen(data_class, source="state_dict", skipped=("research.config.Config",)),
    "path.pth": Specimen(
        with_meta(lambda: pathlib.PosixPath("/runs/1")),
        source="state_dict",
        skipped=(type(pathlib.PosixPath()).__module__ + ".PosixPath",),
    ),
    "namespace.pth": Specimen(
        with_meta(namespace), source="state_dict", skipped=("argparse.Namespace",)
    ),
    "namespace_legacy.pth": Specimen(
        with_meta(namespace, _use_new_zipfile_serialization=False),
        source="state_dict",
        skipped=("argparse.Namespace",),
    ),
    "datetime.pth": Specimen(
        with_meta(lambda: [datetime.datetime(2024, 1, 1), datetime.timedelta(1)]),
        source="state_dict",
        skipped=("datetime.datetime", "datetime.timedelta"),
    ),
    "collections.pth": Specimen(
        with_meta(
            lambda: [
                collections.defaultdict(list, a=[1]),
                collections.deque([1, 2], maxlen=9),
                collections.Counter("aab"),
                {frozenset("a"), (1, (2, 3))},
                {(1, 2): "tuple", 3.5: "float", None: "none"},
                bytearray(b"bytes"),
                b"bytes",
            ]
        ),
        source="state_dict",
    ),
    "partial.pth": Specimen(
        with_meta(lambda: functools.partial(max, 1)),
        source="state_dict",
        skipped=("functools.partial",),
    ),
    "numpy_generator.pth": Specimen(
        with_meta(lambda: [np.random.default_rng(0), np.random.RandomState(0)]),
        source="state_dict",
        skipped=("numpy.random._pickle.__generator_ctor",),
    ),
    "numpy.pth": Specimen(
        with_meta(lambda: [np.float64(1.5), np.arange(3), np.array(["a", None], object)]),
        source="state_dict",
        skipped=("numpy.ndarray", "numpy.dtype"),
    ),
    "numbers.pth": Specimen(
        with_meta(lambda: [uuid.UUID(int=1), 1j, range(3), slice(1), 10**40, float("nan")]),
        source="state_dict",
        skipped=("uuid.UUID", "builtins.complex"),
    ),
    "torch_values.pth": Specimen(
        with_meta(
            lambda: [torch.Size([1, 2]), torch.device("cuda", 1), torch.float16, torch.strided]
        ),
        source="state_dict",
    ),
    "odd_tensors_beside.pth": Specimen(
        with_meta(
            lambda: [
                torch.eye(2).to_sparse(),
                torch.eye(2).to_sparse_csr(),
                torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
                torch.ones(2, device="meta"),
                torch.ones(2, dtype=torch.complex64).conj(),
                torch.ones(2, dtype=torch.float8_e4m3fn),
            ]
        ),
        source="state_dict",
    ),
    "optimizer.pth": Specimen(optimizer, source="model"),
    # Keys of wrappers.
    "model_state_dict.pth": Specimen(
        lambda s: saved({"model_state_dict": s, "epoch": 1}), source="model_state_dict"
    ),
    "net.pth": Specimen(lambda s: saved({"net": s, "acc": 0.9}), source="net"),
    "params.pth": Specimen(lambda s: saved({"params": s}), source="params"),
    "params_ema.pth": Specimen(
        lambda s: saved({"params": random_state(Toy(), 1), "params_ema": s}), source="params_ema"
    ),
    "timm_ema.pth": Specimen(
        lambda s: saved({"state_dict": random_state(Toy(), 1), "state_dict_ema": s}),
        source="state_dict_ema",
    ),
    "last.pth": Specimen(
        lambda s: saved({"model": s, "model_ema": random_state(Toy(), 1)}),
        options={"ema": False},
        source="model",
    ),
    "ema_module.pth": Specimen(
        lambda s: saved({"model": random_state(Toy(), 1), "ema": {"module": s, "updates": 3}}),
        source="ema.module",
    ),
    "ema_decay.pth": Specimen(lambda s: saved({"model": s, "ema": 0.999}), source="model"),
    "mmengine_ema.pth": Specimen(
        # The averaging hook swaps the two when it saves.
        lambda s: saved(
            {
                "state_dict": s,
                "ema_state_dict": prefixed("module.", random_state(Toy(), 1))
                | {"steps": torch.tensor(3)},
            }
        ),
        source="state_dict",
    ),
    "nested.pth": Specimen(
        lambda s: saved({"state_dict": {"model": s, "epoch": 3}}), source="state_dict.model"
    ),
    "deepspeed.pt": Specimen(lambda s: saved({"module": s, "ds_version": "1"}), source="module"),
    # Prefixes.
    "ddp.pth": Specimen(lambda s: saved(prefixed("module.", s)), prefix="module."),
    "compiled_ddp.pth": Specimen(
        lambda s: saved(prefixed("module._orig_mod.", s)), prefix="module._orig_mod."
    ),
    "compiled_backbone.pth": Specimen(
        lambda s: saved({n.replace("backbone.", "backbone._orig_mod."): t for n, t in s.items()})
    ),
    "student.pth": Specimen(
        lambda s: saved({"model": prefixed("student.", s) | {"teacher.fc": torch.ones(1)}}),
        options={"strict": False},
        source="model",
        prefix="student.",
        ignored=("teacher.fc",),
    ),
    "two_models.pth": Specimen(
        lambda s: saved(prefixed("student.", s) | prefixed("teacher.", random_state(Toy(), 1))),
        options={"prefix": "student"},
        prefix="student.",
        ignored=tuple(prefixed("teacher.", Toy().state_dict())),
    ),
    "any_prefix.safetensors": Specimen(
        lambda s: as_safetensors(prefixed("a.b.c.", s)), prefix="a.b.c."
    ),
    "averaged_model.pth": Specimen(
        lambda s: saved(prefixed("module.", s) | {"n_averaged": torch.tensor(3)}),
        options={"strict": False},
        prefix="module.",
        ignored=("n_averaged",),
    ),
    # What training adds.
    "auxiliary.pth": Specimen(
        lambda s: saved(s | {"auxiliary_head.w": torch.ones(1), "log_vars": torch.ones(2)}),
        options={"strict": False},
        ignored=("auxiliary_head.w", "log_vars"),
    ),
    "flops.pth": Specimen(
        lambda s: saved(
            s | {"total_ops": torch.ones(1).double(), "backbone.0.total_params": torch.ones(1)}
        ),
        options={"strict": False},
        ignored=("backbone.0.total_params", "total_ops"),
    ),
    # Checkpoints that are refused.
    "auxiliary_strict.pth": Specimen(
        lambda s: saved(s | {"auxiliary_head.w": torch.ones(1)}),
        r"1 surplus \(auxiliary_head\.w\), which strict=False would ignore",
    ),
    "missing.pth": Specimen(
        lambda s: saved({n: t for n, t in s.items() if n != "backbone.0.c.weight"}),
        r"1 missing \(backbone\.0\.c\.weight\)",
        {"strict": False},
    ),
    "several.pth": Specimen(
        lambda s: saved(prefixed("student.", s) | prefixed("teacher.", s)),
        r"several, under the prefixes student\., teacher\.: choose by prefix=",
    ),
    "no_such_prefix.pth": Specimen(
        lambda s: saved(prefixed("module.", s)), "begin with 'student.'", {"prefix": "student."}
    ),
    "whole_module.pth": Specimen(
        whole_module, r"a whole pickled module \(research\.nets\.Segmenter\).*module\.state_dict"
    ),
    "whole_module_legacy.pth": Specimen(
        lambda s: saved(nn.Linear(1, 1), _use_new_zipfile_serialization=False),
        r"a whole pickled module \(torch\.nn\.modules\.linear\.Linear\)",
    ),
    "whole_module_inside.pth": Specimen(
        lambda s: saved({"epoch": 1, "model": nn.Linear(1, 1)}), "a whole pickled module"
    ),
    "whole_module_ema.pt": Specimen(
        whole_module_as_ema, r"a whole pickled module \(ultralytics\.nn\.tasks\.Model\)"
    ),
    "optimizer_only.pth": Specimen(
        lambda s: saved({"state": {}, "param_groups": []}), "bare or under one of .*the keys state"
    ),
    "list.pth": Specimen(lambda s: saved(list(s.values())), "dictionary of tensors, got list"),
    "storage.pth": Specimen(
        lambda s: saved(torch.ones(2).untyped_storage()), "dictionary of tensors, got a bare"
    ),
    "sparse.pth": Specimen(
        lambda s: saved(s | {"backbone.0.c.weight": torch.ones(4, 3, 1, 1).to_sparse()}),
        r"1 of a wrong type .*torch\.sparse_coo",
    ),
    "arrays.pkl": Specimen(
        lambda s: pickle.dumps({n: t.numpy() for n, t in s.items()}, 2),
        r"bare or under one of .*, got the keys backbone",
    ),
    "arrays_inside.pkl": Specimen(
        lambda s: pickle.dumps({"model": {n: t.numpy() for n, t in s.items()}}, 2),
        r"other entries: 'backbone\.0\.c\.weight' \(an object of numpy\.ndarray\)",
    ),
    "big_endian.pth": Specimen(big_endian, "cannot be read.*big-endian"),
    "cut_zip.pth": Specimen(lambda s: saved(s)[:-100], "cannot be read: its zip archive is damag"),
    "cut_legacy.pth": Specimen(
        lambda s: saved(s, _use_new_zipfile_serialization=False)[:-100], "it ends too early"
    ),
    "cut_safetensors.safetensors": Specimen(lambda s: as_safetensors(s)[:-9], "cannot be read"),
    "flipped_bit.pth": Specimen(
        lambda s: saved(s).replace(
            s["backbone.0.c.weight"].numpy().tobytes(), bytes(s["backbone.0.c.weight"].nbytes)
        ),
        r"the checksum of archive/data/0 does not match",
    ),
    # What is no checkpoint.
    "empty.pth": Specimen(lambda s: b"", "which is empty"),
    "lfs.pth": Specimen(
        text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
        "a Git LFS pointer.*git lfs pull",
    ),
    "page.pth": Specimen(text("\n<!DOCTYPE html>\n<html><body>404</body></html>"), "a web page"),
    "denied.pth": Specimen(
        text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "an XML document"
    ),
    "readme.pth": Specimen(text("# Weights\n\nGrößer ist besser.\n" * 300), "a text file"),
    "config.json": Specimen(text('{"lr": 0.1}'), "a JSON file"),
    "index.json": Specimen(
        text('{"metadata": {}, "weight_map": {"a": "1.bin"}}'), "the index of a checkpoint in parts"
    ),
    "weights.pth.gz": Specimen(around(gzip.compress), "a gzip archive: unpack it"),
    "weights.pth.xz": Specimen(around(lzma.compress), "an xz archive"),
    "weights.pth.bz2": Specimen(around(bz2.compress), "a bzip2 archive"),
    "weights.7z": Specimen(raw(b"7z\xbc\xaf\x27\x1c\x00\x04"), "a 7z archive"),
    "weights.pth.zst": Specimen(raw(b"\x28\xb5\x2f\xfd\x04"), "a zstd archive"),
    "weights.rar": Specimen(raw(b"Rar!\x1a\x07\x01"), "a RAR archive"),
    "around.zip": Specimen(
        around(lambda b: zipped({"seaformer/tiny.pth": b, "README": b"x"})),
        r"a zip archive around a checkpoint: unpack it .*\(seaformer/tiny\.pth\)",
    ),
    "around.tar": Specimen(
        around(lambda b: tarred({"tiny.pth": b})), r"a tar archive: unpack it .*\(tiny\.pth\)"
    ),
    "sources.zip": Specimen(
        lambda s: zipped({"main.py": b"", "a.txt": b""}), r"zip archive of other.*\(main\.py, a"
    ),
    "nothing.zip": Specimen(lambda s: zipped({}), "an empty or divided zip archive"),
    "script.pt": Specimen(torchscript, r"a TorchScript archive: load it by torch\.jit\.load"),
    "exported.pt2": Specimen(
        lambda s: zipped({"m/archive_format": b"pt2", "m/models/model.json": b"{}"}),
        r"an archive of torch\.export",
    ),
    "package.pt": Specimen(
        lambda s: zipped({"p/.data/python_version": b"3.11", "p/model/model.pkl": b""}),
        r"a torch\.package archive",
    ),
    "arrays.npz": Specimen(npz, "an archive of NumPy arrays"),
    "array.npy": Specimen(npy, "a NumPy array"),
    "model.h5": Specimen(raw(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    "model.keras": Specimen(
        lambda s: zipped({"config.json": b"{}", "model.weights.h5": b""}), "a Keras model"
    ),
    "model.onnx": Specimen(raw(b"\x08\x08\x12\x07pytorch\x1a\x032.1"), "an ONNX model"),
    "saved_model.pb": Specimen(raw(b"\x08\x01\x12\xf0\x10"), "a TensorFlow SavedModel"),
    "model.tflite": Specimen(raw(b"\x1c\x00\x00\x00TFL3"), "a TensorFlow Lite model"),
    "model.gguf": Specimen(raw(b"GGUF\x03\x00"), "a GGUF file"),
    "model.param": Specimen(text("7767517\n3 3\n"), "an ncnn model"),
    "photo.png": Specimen(raw(b"\x89PNG\r\n\x1a\n"), "an image"),
    "paper.pdf": Specimen(raw(b"%PDF-1.5\n"), "a PDF document"),
    "program": Specimen(raw(b"\x7fELF\x02"), "a program"),
    "noise.pth": Specimen(
        lambda s: np.random.RandomState(0).bytes(5000), "cannot be read, as it is damaged, incompl"
    ),
    "zeros.pth": Specimen(raw(b""), "cannot be read"),
    "claims.safetensors": Specimen(claims, "cannot be read"),
}
