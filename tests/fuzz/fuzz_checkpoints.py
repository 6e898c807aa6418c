"""Fuzzes the reader of checkpoints: any file loads or is refused, and runs nothing.

    python tests/fuzz/fuzz_checkpoints.py [COUNT] [--seed N] [--first N]

Each file starts from one that loads and has some of its bytes changed, or some opcodes of its
pickles, with pieces that would run code put between. `COUNT` files (default 1000) are read in this
process; a crash of it shows, as do an audit event of anything that reading has no need of, an
exception other than CheckpointError, a model that is filled in part, memory beyond 1 GB and files
that take more than 30 s. `--seed` and `--first` repeat one.
"""

from __future__ import annotations

import argparse
import io
import pickletools
import random
import resource
import signal
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from seaformer_kernels import CheckpointError, load_checkpoint

TESTS = Path(__file__).resolve().parents[1] / "python"
sys.path.insert(0, str(TESTS))
import canary  # noqa: E402
import checkpoint_zoo as zoo  # noqa: E402
import test_checkpoint_hostile as hostile  # noqa: E402

MEMORY = 2**30  # bytes, beyond what the process has at the start
SECONDS = 30  # for one file
FILES_A_LINE = 1000  # written to standard error
PIECES = [
    *hostile.CODE.values(),
    b"N",
    b"]",
    b"}",
    b")",
    b"(",
    b"0",
    b"2",
    b"t",
    b"R",
    b"b",
    b"\x81",
    b"\x92",
    b"\x93",
    b"Q",
    b"s",
    b"u",
    b"a",
    b"e",
    b"\x85",
    b"\x94",
    b"h\x00",
    b"q\x01",
    b".",
    b"L18446744073709551616L\n",
    b"L-1L\n",
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"X\xff\xff\xff\xff",
]

Mutation = Callable[[random.Random, bytes], bytes]


def seeds(state: zoo.State) -> dict[str, bytes]:
    """Files that load, by name: all formats, and objects of many classes."""
    names = (
        "zip.pth",
        "zip_protocol4.pt",
        "legacy.pth",
        "tar.pth",
        "packed_again.pth",
        "safetensors.safetensors",
        "pickle0.pkl",
        "pickle2.pkl",
        "pickle5.pkl",
        "views_legacy.pth",
        "mmengine.pth",
        "omegaconf.ckpt",
        "lightning.ckpt",
        "namespace_legacy.pth",
        "numpy.pth",
        "collections.pth",
        "odd_tensors_beside.pth",
        "subclass.pth",
        "parameters.pth",
        "compiled_ddp.pth",
    )
    return {name: zoo.ZOO[name].make(state) for name in names}


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bytes set, swapped, cut out or doubled."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(changed) or 1)
        match rng.randrange(6):
            case 0 | 1:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 2:
                changed[place : place + 1] = bytes([changed[place] ^ 1 << rng.randrange(8)])
            case 3:
                del changed[place : place + rng.choice((1, 2, 8, 100))]
            case 4:
                changed[place:place] = changed[place : place + rng.choice((1, 8, 100))]
            case 5:
                width = rng.choice((4, 8))
                changed[place : place + width] = rng.choice((b"\xff", b"\x7f", b"\0")) * width
    return bytes(changed)


def change_opcodes(rng: random.Random, data: bytes) -> bytes:
    """Some opcodes of a pickle dropped, doubled, swapped, given another's argument or put in."""
    places = [place for *_, place in pickletools.genops(data)]
    parts = [data[a:b] for a, b in zip(places, [*places[1:], places[-1] + 1], strict=True)]
    rest = data[places[-1] + 1 :]
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                del parts[place : place + rng.choice((1, 1, 2, 5))]
            case 1:
                parts.insert(place, rng.choice(parts))
            case 2:
                other = rng.randrange(len(parts))
                parts[place], parts[other] = parts[other], parts[place]
            case 3:
                parts[place] = parts[place][:1] + rng.choice(parts)[1:]
            case 4:
                parts.insert(place, rng.choice(PIECES))
            case 5:
                parts[place] = rng.choice(PIECES)
        if not parts:
            break
    return b"".join(parts) + rest


def change_pickle(rng: random.Random, data: bytes) -> bytes:
    """The pickle of a zipped file, or a random one of a stream, by opcode or byte."""
    change = rng.choice((change_opcodes, change_opcodes, change_bytes))
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = next(name for name in members if name.endswith("data.pkl"))
        members[name] = change(rng, members[name])
        return zoo.zipped(members)
    starts = [0]
    try:
        while len(starts) < 6:
            *_, (_, _, last) = pickletools.genops(data[starts[-1] :])
            starts.append(starts[-1] + last + 1)
    except Exception:  # numbers or the end follow
        pass
    if len(starts) == 1:
        return change_bytes(rng, data)
    start = rng.choice(starts[:-1])
    return data[:start] + change(rng, data[start:])


def limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))


class TookTooLong(BaseException):
    """Not an Exception, so that no reader takes it for a damaged file."""


def take_too_long(*_: object) -> None:
    raise TookTooLong


def fuzz(count: int, seed: int, first: int) -> Counter[str]:
    """Reads files `first` to `first + count` of a seed; how many of them had which outcome.

    Raises:
        AssertionError: something ran, or was neither loaded nor refused properly.
    """
    state = zoo.random_state(zoo.Toy())
    files = seeds(state)
    model = zoo.Toy()
    for content in files.values():  # Python and torch import on first use
        load_checkpoint(model, io.BytesIO(content), strict=False)
    before = zoo.random_state(model, 1)
    model.load_state_dict(before)
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, take_too_long)
    for number in range(first, first + count):
        rng = random.Random(f"{seed} {number}")
        name = rng.choice(list(files))
        change: Mutation = rng.choice((change_bytes, change_pickle, change_pickle))
        content = change(rng, files[name])
        where = f"--seed {seed} --first {number} ({name}, {change.__name__})"
        signal.alarm(SECONDS)
        try:
            with canary.watched() as events:
                report = load_checkpoint(model, io.BytesIO(content), strict=rng.random() < 0.5)
            outcomes["loaded" if report.loaded >= len(state) - 2 else "loaded less"] += 1
            model.load_state_dict(before)
        except CheckpointError as error:
            outcomes["refused"] += 1
            message = str(error)
            assert message.isprintable() and message.endswith(".") and len(message) < 2000, where
            assert "MemoryError" not in message and "RecursionError" not in message, where
            same = all(torch.equal(before[n], t) for n, t in model.state_dict().items())
            assert same, f"{where}: refused and filled"
        except (Exception, TookTooLong) as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
        assert not events, f"{where}: {events}"
        assert not hostile.Trap.sprung, where
        if (number - first + 1) % FILES_A_LINE == 0:
            print(f"--first {number}: {dict(outcomes)}", file=sys.stderr, flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    limit_memory()
    outcomes = fuzz(arguments.count, arguments.seed, arguments.first)
    found = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"{sum(outcomes.values())} files: {found}; nothing ran")


if __name__ == "__main__":
    main()
