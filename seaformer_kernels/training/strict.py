"""YAML as frozen dataclasses: each key known, each value of the type that is declared."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from seaformer_kernels.training.errors import RecipeError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML 1.2 where 1.1 surprises: 3e-4 is a number; and a key that stands twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                mark = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML file holds, which is a mapping.

    Raises:
        RecipeError: it cannot be read, or holds something else.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: expected UTF-8 text, got other bytes.") from None
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise RecipeError(f"{path}: expected YAML, but: {why}.") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: expected a mapping of keys, got {_kind(content)}.")
    return content


def parse_value(text: str) -> Any:
    """A value as YAML has it.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise ValueError(f"expected a value as in YAML, got {text!r}") from None


def build(kind: type[T], content: Any, file: str, key: str = "") -> T:
    """A dataclass of a mapping, and what is in it.

    Raises:
        RecipeError: a key is missing, unknown, or of a wrong type.
    """
    where = f"{file}: {key}" if key else file
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where}: expected a mapping of keys, got {_kind(content)}.")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in content:
        if name not in fields:
            raise RecipeError(
                f"{where}: unknown key {name!r}; expected {', '.join(sorted(fields))}."
            )
    for name, f in fields.items():
        optional = f.default is not f.default_factory  # both are MISSING else
        if name not in content and not optional:
            raise RecipeError(f"{where}: the key {name!r} is missing.")
    hints = get_type_hints(kind)
    values = {
        name: _value(hints[name], value, file, f"{key}.{name}" if key else name)
        for name, value in content.items()
    }
    return kind(**values)


def _value(kind: Any, value: Any, file: str, key: str) -> Any:
    for candidate in _alternatives(kind):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            if isinstance(value, Mapping):
                return build(candidate, value, file, key)
            continue
        found = _plain(candidate, value)
        if found is not _NO:
            return found
    raise RecipeError(f"{file}: {key}: expected {_expected(kind)}, got {_kind(value)}.")


_NO = object()


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _plain(kind: Any, value: Any) -> Any:
    """The value as this type, or _NO."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value if isinstance(value, str) and value in args else _NO
    if origin is tuple and isinstance(value, list | tuple):
        kinds = args[:1] * len(value) if args[1:] == (...,) else args
        if len(kinds) != len(value):
            return _NO
        items = [_plain(inner, item) for inner, item in zip(kinds, value, strict=True)]
        return _NO if any(item is _NO for item in items) else tuple(items)
    if origin is dict and isinstance(value, Mapping):
        found = {name: _plain(args[1], item) for name, item in value.items()}
        fine = all(isinstance(n, str) and item is not _NO for n, item in found.items())
        return found if fine and found else _NO
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < float("inf") else _NO  # NaN compares false, too
    if kind in (int, bool, str, type(None)) and type(value) is kind:
        return value
    return _NO


_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def _expected(kind: Any) -> str:
    return " or ".join(_expected_one(k) for k in _alternatives(kind) if k is not type(None))


def _expected_one(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(args)
    if origin is tuple:
        if args[0] is str:
            return "a list of texts"
        many = "a list of numbers" if args[1:] == (...,) else f"a list of {len(args)} numbers"
        return many.replace("numbers", "integers") if args[0] is int else many
    if origin is dict:
        return "a number for each of several names"
    return _NAMES.get(kind, "a mapping of keys")


def _kind(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
