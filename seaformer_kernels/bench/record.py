"""The record of a run, as JSON: its version, and what it has to hold.

benchmarks/README.md describes the fields. A reader takes records of its own version only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMA = "seaformer-bench/3"

NUMBER = (int, float)
MAYBE_NUMBER = (int, float, type(None))
# A dict gives the fields and what they are; [x] is a list of x; {str: x} is a dict of x by name.
IMPLEMENTATION = {
    "name": str,
    "ours": bool,
    "convert_s": MAYBE_NUMBER,
    "load_s": NUMBER,
    "first_call_s": NUMBER,
    "extra_bytes": MAYBE_NUMBER,
    "weights_bytes": MAYBE_NUMBER,
    "arena_bytes": MAYBE_NUMBER,
    "calls_a_round": int,
    "seconds": [NUMBER],
    "median_s": NUMBER,
    "p95_s": NUMBER,
    "min_s": NUMBER,
    "times_faster": {str: [NUMBER]},
}
CASE = {
    "model": str,
    "height": int,
    "width": int,
    "threads": int,
    "output": str,
    "dtype": str,
    "implementations": [IMPLEMENTATION],
    "split": {"isa": str, "seconds": {str: [NUMBER]}},
    "calibration_s": {str: [NUMBER]},
    "alone_s": {str: [NUMBER]},
    "work": {str: {"macs": int, "bytes": int}},
    "failed": {str: str},
    "not_in_type": {str: str},
}
RECORD = {
    "schema": str,
    "machine": dict,
    "conditions": dict,
    "versions": {str: str},
    "settings": dict,
    "limits": [{"isa": str, "threads": int, "macs_per_s": NUMBER, "copy_bytes_per_s": NUMBER}],
    "absent": {str: str},
    "cases": [CASE],
    "skipped": {str: str},
}


def check(record: Any) -> None:
    """Raises ValueError, with the first field that is wrong, unless this is a record."""
    if isinstance(record, dict) and record.get("schema") != SCHEMA:
        raise ValueError(f"expected a record of schema {SCHEMA!r}, got {record.get('schema')!r}")
    fault = _fault(record, RECORD, "the record")
    if fault:
        raise ValueError(fault)


def _fault(value: Any, expected: Any, path: str) -> str | None:
    if isinstance(expected, list):
        if not isinstance(value, list | tuple):
            return f"expected a list in {path}, got {type(value).__name__}"
        inner = ((item, expected[0], f"{path}[{i}]") for i, item in enumerate(value))
    elif isinstance(expected, dict):
        if not isinstance(value, dict):
            return f"expected an object in {path}, got {type(value).__name__}"
        if str in expected:
            inner = ((item, expected[str], f"{path}.{name}") for name, item in value.items())
        else:
            missing = [name for name in expected if name not in value]
            if missing:
                return f"expected the field {missing[0]!r} in {path}, which has none"
            inner = ((value[name], kind, f"{path}.{name}") for name, kind in expected.items())
    else:
        kinds = expected if isinstance(expected, tuple) else (expected,)
        if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
            return None
        names = " or ".join(kind.__name__ for kind in kinds)
        return f"expected {names} in {path}, got {type(value).__name__}"
    return next(filter(None, (_fault(*item) for item in inner)), None)


def save(record: dict, path: Path) -> None:
    """Writes a record, once it is known to be one."""
    check(record)
    path.write_text(json.dumps(record, indent=1) + "\n")


def load(path: Path) -> dict:
    """Reads a record.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    record = json.loads(path.read_text())
    check(record)
    return record
