"""Names of submodules."""

from __future__ import annotations


def join(path: str, name: str) -> str:
    """The name of a submodule's submodule."""
    return f"{path}.{name}" if path and name else path or name


def is_part(path: str, name: str) -> bool:
    """Whether the module at a path is of that name or inside of it; all are inside of ""."""
    return not name or path == name or path.startswith(f"{name}.")
