"""What this processor offers, and which instruction set (ISA) the kernels use.

The widest supported ISA is chosen by itself. The environment variable ``SEAFORMER_FORCE_ISA`` names
another for a whole process; :func:`force_isa` does so for a while.
"""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Iterator

import torch

from seaformer_kernels import _extension
from seaformer_kernels._version import __version__


@dataclasses.dataclass(frozen=True)
class IsaInfo:
    """One instruction set: whether kernels may use it here, and if not, why."""

    name: str
    supported: bool
    reason: str


@dataclasses.dataclass(frozen=True)
class KernelInfo:
    """One kernel for maps of a type: the variants compiled in, widest first, and the one in use.

    ``chosen`` is ``"pytorch"`` where the native extension is missing.
    """

    name: str
    variants: tuple[str, ...]
    chosen: str
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class CpuInfo:
    """What :func:`info` found; ``str()`` gives it as readable lines."""

    version: str
    torch_version: str
    machine: str
    extension_loaded: bool
    extension_reason: str | None
    features: tuple[str, ...]
    isas: tuple[IsaInfo, ...]
    active_isa: str
    kernels: tuple[KernelInfo, ...]
    threads: int

    def to_dict(self) -> dict:
        """The same as plain dicts, lists, strings and numbers."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        extension = "loaded" if self.extension_loaded else f"missing: {self.extension_reason}"
        lines = [
            f"seaformer-kernels {self.version}, torch {self.torch_version}, {self.machine}, "
            f"{self.threads} threads",
            f"native extension: {extension}",
            f"processor features: {', '.join(self.features) or 'not known without the extension'}",
            f"instruction set in use: {self.active_isa}",
        ]
        lines += [f"  {i.name}: {'available' if i.supported else i.reason}" for i in self.isas]
        for kernel in self.kernels:
            compiled = ", ".join(kernel.variants) or "none"
            of = "" if kernel.dtype == "float32" else f" of {kernel.dtype}"
            lines.append(f"kernel {kernel.name}{of}: {kernel.chosen} (compiled: {compiled})")
        return "\n".join(lines)


def info() -> CpuInfo:
    """What this core has, which ISA each kernel chose, and why others were not.

    Raises:
        ValueError: ``SEAFORMER_FORCE_ISA`` names an ISA that is unknown or missing here.
    """
    native = _extension.module
    return CpuInfo(
        version=__version__,
        torch_version=torch.__version__,
        machine=platform.machine(),
        extension_loaded=native is not None,
        extension_reason=_extension.reason,
        features=tuple(native.features()) if native else (),
        isas=tuple(IsaInfo(*isa) for isa in native.isas()) if native else (),
        active_isa=native.active_isa() if native else "pytorch",
        kernels=tuple(
            KernelInfo(name, tuple(variants), chosen, dtype)
            for name, variants, chosen, dtype in native.kernels()
        )
        if native
        else tuple(KernelInfo(name, (), "pytorch") for name in sorted(_extension.plain_ops)),
        threads=torch.get_num_threads(),
    )


def chosen(kernel: str, dtype: str) -> str:
    """The variant of a kernel that is in use for a type; one for all types where there is no other.

    Raises:
        ValueError: as `info`.
    """
    variants = {k.dtype: k.chosen for k in info().kernels if k.name == kernel}
    return variants.get(dtype) or variants.get("float32", "pytorch")


def supported_isas() -> list[str]:
    """Names of the ISAs that kernels may use here, widest first; empty without the extension."""
    if _extension.module is None:
        return []
    return [name for name, supported, _ in _extension.module.isas() if supported]


@contextlib.contextmanager
def force_isa(name: str) -> Iterator[None]:
    """Makes every kernel in this process use the ISA ``name``, or its widest variant below it.

    Args:
        name: one of :func:`supported_isas`.

    Raises:
        ValueError: the name is unknown, or not supported here; the message lists what there is.
        RuntimeError: the native extension is missing, so that there are no kernels to choose from.
    """
    if _extension.module is None:
        raise RuntimeError(
            f"force_isa({name!r}) needs the native extension, but {_extension.reason}"
        )
    if not isinstance(name, str):
        raise TypeError(f"force_isa expected the name of an ISA, got {type(name).__name__}")
    before = _extension.module.force_isa(name)
    try:
        yield
    finally:
        _extension.module.force_isa(before)
