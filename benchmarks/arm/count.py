"""Counts the instructions that an aarch64 program executes between its markers (markers.h).

    python benchmarks/arm/count.py build/aarch64/kernel_bench [ARGUMENT...]

Runs the program under qemu-aarch64 with a plugin that is built when needed, and prints a line a
window. Needs qemu-user (version 4.2 to 8.1) and g++; the libraries of the program come from
Debian's g++-aarch64-linux-gnu. Let the program use one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "arm"
COUNT, CACHE = "insn_count_plugin", "cache_plugin"
ARM_LIBRARIES = "/usr/aarch64-linux-gnu"


class CountError(RuntimeError):
    """The program could not be counted."""


def reason(error: Exception) -> str:
    """The first line of its message."""
    return str(error).strip().splitlines()[0]


def build_plugin(name: str) -> Path:
    """Compiles a plugin, unless it is newer than its sources."""
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"]
    return build(BUILD / f"{name}.so", HERE / f"{name}.cpp", ["g++", *flags])


def build(target: Path, source: Path, compiler: list[str]) -> Path:
    """Compiles a file of this folder, unless the target is newer than it and the headers."""
    built = target.stat().st_mtime if target.exists() else 0.0
    if built > max(path.stat().st_mtime for path in (source, *HERE.glob("*.h"))):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when complete: another process may load the target at the same time.
    unfinished = target.with_suffix(f".{os.getpid()}.so")
    run([*compiler, "-o", str(unfinished), str(source)])
    unfinished.replace(target)
    return target


def run(command: list[str], text: str | None = None) -> str:
    """What the command prints, given a text to read."""
    if shutil.which(command[0]) is None:
        raise CountError(f"{command[0]} was not found on PATH")
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, input=text
    )
    if done.returncode != 0:
        raise CountError(f"`{' '.join(command)}` failed with {done.returncode}: {done.stdout}")
    return done.stdout


def emulator(cpu: str = "cortex-a76") -> list[str]:
    """The command that runs an aarch64 program as `cpu`."""
    return ["qemu-aarch64", "-cpu", cpu, "-L", ARM_LIBRARIES]


def count(
    exe: str | Path,
    args: list[str] | None = None,
    cpu: str = "cortex-a76",
    plugin: str = COUNT,
    options: dict[str, int] | None = None,
) -> list[dict]:
    """Runs `exe args` as `cpu`; returns what a plugin tells of each window, in order of their ends.

    The keys are "window", and for COUNT "total" and a class of instructions each, "vec_fma" for
    one. `options` are those of the plugin.
    """
    if not Path(exe).is_file():
        raise CountError(f"{exe}: no such program")
    windows, _ = count_command(
        lambda value: [*emulator(cpu), "-plugin", value, str(exe), *(args or [])],
        str(exe),
        plugin,
        options,
    )
    return windows


def count_command(
    command: Callable[[str], list[str]],
    name: str,
    plugin: str = COUNT,
    options: dict[str, int] | None = None,
) -> tuple[list[dict], str]:
    """As `count`, for any command that runs the emulator.

    Args:
        command: makes the command from the value of the emulator's option -plugin.
        name: what errors call the program.
        plugin, options: as for `count`.

    Returns:
        The windows, and what the program printed.
    """
    library = build_plugin(plugin)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "windows.jsonl"
        values = "".join(f",{key}={value}" for key, value in (options or {}).items())
        printed = run(command(f"{library},out={out}{values}"))
        windows = [json.loads(line) for line in out.read_text().splitlines()]
    for window in windows:
        if "error" in window:
            raise CountError(f"{name}: {window['error']}")
        threads = window.pop("threads")
        if threads != 1:
            raise CountError(
                f"{name}: expected one thread to run in window {window['window']}, got {threads}: "
                "counts are exact with one only"
            )
    return windows, printed


def table(windows: list[dict]) -> str:
    """The windows as text, without the classes that none of them has."""
    always = ("window", "total")
    columns = [key for key in windows[0] if key in always or any(w[key] for w in windows)]
    rows = [columns, *([f"{window[key]:,}" for key in columns] for window in windows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", default="cortex-a76", help="a name of `qemu-aarch64 -cpu help`")
    parser.add_argument("--json", action="store_true", help="print one JSON object a window")
    parser.add_argument("exe", help="aarch64 program")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args()
    try:
        windows = count(options.exe, options.args, options.cpu)
    except CountError as error:
        print(f"count.py: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(*(json.dumps(window) for window in windows), sep="\n")
    elif windows:
        print(table(windows))
    else:
        print("count.py: the program executed no markers (markers.h)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
