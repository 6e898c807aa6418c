"""What a comparison of its own leaves: a report, and the record that it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from seaformer_kernels._files import write_whole
from seaformer_kernels.bench import machine
from seaformer_kernels.bench.tables import in_words


def publish(
    file: Path,
    report: str,
    cases: Sequence[dict],
    *,
    threads: int,
    facts: Mapping[str, object],
    versions: Mapping[str, object],
) -> None:
    """Prints a report behind the facts of the machine, and writes both, and the record.

    Args:
        file: without suffix, of `.md` and `.json`; its folder is made if need be.
        report: of the cases, in Markdown.
        cases: what each measured.
        threads: that were timed.
        facts, versions: of the machine and of the peers.
    """
    lines = "\n".join(f"- {line}" for line in machine.text({**facts, **versions}).splitlines())
    text = f"{lines}\n\n{report}"
    print(f"\n{in_words(threads)}:\n\n{text}", end="")
    content = json.dumps({"machine": facts, "versions": versions, "cases": cases}, indent=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(
        {
            file.with_suffix(".json"): lambda path: path.write_text(content),
            file.with_suffix(".md"): lambda path: path.write_text(text),
        }
    )
