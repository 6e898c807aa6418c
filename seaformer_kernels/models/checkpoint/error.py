"""What a checkpoint that does not load raises, and text from files made fit for messages."""

from collections.abc import Collection
from itertools import islice


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not fit the model."""


def summarize(items: Collection[object], limit: int = 3) -> str:
    """The first few items, each fit for a message, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(shorten(item) for item in islice(items, limit)) + more


def shorten(item: object) -> str:
    """Text from a file, made printable and not too long."""
    text = item if isinstance(item, str) and item.isprintable() else ascii(item)
    return text if len(text) <= 160 else f"{text[:157]}..."
