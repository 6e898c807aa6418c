"""Finding a data set's files: folders, lists, and which image belongs to which mask."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from seaformer_kernels.data.reading import IMAGE_SUFFIXES, DataError, Sample

Files = dict[str, Path]  # by name: the path below some folder, without suffix
MASK_SUFFIXES = frozenset({".png"})
_SHOWN = 3


def some(names: Iterable[object]) -> str:
    """The first few of many, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name) for name in names[:_SHOWN]) + more


def find_folder(root: Path, *choices: str) -> Path:
    """The first of these folders below the root that is there.

    Raises:
        DataError: none is.
    """
    for choice in choices:
        if (root / choice).is_dir():
            return root / choice
    if not root.is_dir():
        raise DataError(f"Expected a folder of data, got {root}, which is none.")
    there = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    raise DataError(
        f"Expected {' or '.join(f'{choice}/' for choice in choices)} in {root}, which holds "
        f"{some(there) if there else 'nothing'}."
    )


def list_files(
    folder: Path, tail: str = "", suffixes: Collection[str] = IMAGE_SUFFIXES, below: bool = True
) -> Files:
    """The files in a folder, and those below it, by name.

    Args:
        folder: where they lie.
        tail: what their names end with before the suffix; it is taken away.
        suffixes: which are listed, in small letters.
        below: whether folders in the folder are looked through as well.

    Raises:
        DataError: two would have the same name.
    """
    found: Files = {}
    for path in sorted(_below(folder) if below else folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if not path.stem.endswith(tail) or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        name = name[: len(name) - len(tail)]
        if name in found:
            raise DataError(
                f"Expected one file a name, got {found[name].name} and {path.name} in "
                f"{path.parent}."
            )
        found[name] = path
    return found


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, those in linked folders as well."""
    for at, folders, names in os.walk(folder, followlinks=True):
        here = Path(at)
        yield from (here / name for name in names)
        above = (here.resolve(), *here.resolve().parents)
        folders[:] = [name for name in folders if (here / name).resolve() not in above]


def read_names(path: Path) -> list[str]:
    """The lines of a text file, without those that are empty.

    Raises:
        DataError: it cannot be read, is empty, or names something twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"Expected a text file with one name a line, got {path} ({why}).") from None
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise DataError(f"Expected names in {path}, one a line, got none.")
    _check_once(names, path)
    return names


def read_splits(path: Path, split: str) -> list[str]:
    """The names of a split from a JSON file, such as {"train": ["a", "b"], "val": ["c"]}.

    Raises:
        DataError: the file is no such thing, has no such split, or has a name twice.
    """
    try:
        splits = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Expected JSON with the names of each split in {path}: {error}.") from None
    if not isinstance(splits, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in splits.values()
    ):
        raise DataError(f"Expected a list of names for each split in {path}, got something else.")
    if split not in splits:
        raise DataError(f"Expected a split among {', '.join(splits)} of {path}, got {split!r}.")
    _check_once([name for names in splits.values() for name in names], path)
    return splits[split]


def select(files: Mapping[str, Path], names: Iterable[str]) -> Files:
    """The files of these names, in this order, but for those that are missing."""
    return {name: files[name] for name in names if name in files}


def pair(images: Mapping[str, Path], masks: Mapping[str, Path], where: Path) -> list[Sample]:
    """Each image with the mask of the same name.

    Raises:
        DataError: there are none, or some have no partner.
    """
    if not images and not masks:
        raise DataError(f"Expected images with masks in {where}, got none.")
    for kind, other, present, partners in (
        ("a mask", "image", images, masks),
        ("an image", "mask", masks, images),
    ):
        if alone := [path for name, path in present.items() if name not in partners]:
            raise DataError(
                f"Expected {kind} of the same name for each {other} in {where}, got none for "
                f"{len(alone)} of {len(present)}: {some(alone)}."
            )
    return [Sample(path, mask=masks[name], name=name) for name, path in images.items()]


def pair_listed(
    images: Mapping[str, Path], masks: Mapping[str, Path], names: Collection[str], listed: Path
) -> list[Sample]:
    """The images and masks of a list of names.

    Raises:
        DataError: the list is empty, or some files are missing.
    """
    if not names:
        raise DataError(f"Expected names in {listed}, got none.")
    for kind, present in (("image", images), ("mask", masks)):
        if missing := [name for name in names if name not in present]:
            raise DataError(
                f"Expected an {kind} for each name in {listed}, got none for {len(missing)} of "
                f"{len(names)}: {some(missing)}.".replace("an mask", "a mask")
            )
    return pair(select(images, names), select(masks, names), listed)


def _check_once(names: list[str], path: Path) -> None:
    seen: set[str] = set()
    if twice := [name for name in names if name in seen or seen.add(name)]:  # type: ignore[func-returns-value]
        raise DataError(f"Expected each name once in {path}, got again: {some(twice)}.")
