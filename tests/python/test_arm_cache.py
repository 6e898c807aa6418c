"""benchmarks/arm/cache_plugin.cpp on access patterns whose misses are known; loops.py on text."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ARM = Path(__file__).resolve().parents[2] / "benchmarks" / "arm"
sys.path.insert(0, str(ARM))
import count  # noqa: E402
import loops  # noqa: E402

sys.path.remove(str(ARM))

CROSS_GCC = "aarch64-linux-gnu-g++"
emulated = pytest.mark.skipif(
    not all(map(shutil.which, [CROSS_GCC, "qemu-aarch64", "g++"])),
    reason="needs the Debian packages g++, g++-aarch64-linux-gnu and qemu-user",
)
# Two sets of two ways above eight lines of 64 bytes in one set.
SMALL = {"line": 64, "l1": 256, "l1_ways": 2, "l2": 512, "l2_ways": 8}


def accesses(tmp_path: Path, body: str, **options: int) -> dict:
    """What the model tells of instructions; x1 points to 64 KB that are aligned to 4096."""
    source, program = tmp_path / "program.s", tmp_path / "program"
    source.write_text(f"""
        .global _start
    _start:
        adrp x1, memory
        add x1, x1, :lo12:memory
        ldr x3, [x1, #8192]   // before the window: it leaves nothing in the caches
        hint #112
        {body}
        hint #113
        mov x0, #0
        mov x8, #93  // exit
        svc #0
        .bss
        .balign 4096
    memory:
        .zero 65536
    """)
    command = [CROSS_GCC, "-nostdlib", "-static", "-o", str(program), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (window,) = count.count(program, plugin=count.CACHE, options=SMALL | options)
    return {key: value for key, value in window.items() if value and key != "window"}


def load(*offsets: int) -> str:
    return "\n".join(f"ldr w3, [x1, #{offset}]" for offset in offsets)


@emulated
@pytest.mark.parametrize(
    ("offsets", "l1_misses", "l2_misses"),
    [
        ((0, 4, 60, 0), 1, 1),  # one line
        ((0, 64, 0, 64), 2, 2),  # two sets
        ((0, 128, 0, 128), 2, 2),  # two ways of a set
        ((0, 128, 256, 0), 4, 3),  # three lines for two ways: the oldest goes, to the next cache
        ((0, 128, 0, 256, 0), 3, 3),  # used again, the first is not the oldest
        ((*tuple(range(0, 9 * 128, 128)), 0), 10, 10),  # nine lines for eight ways
    ],
)
def test_loads_miss_as_in_least_recently_used_sets(tmp_path, offsets, l1_misses, l2_misses):
    assert accesses(tmp_path, load(*offsets)) == {
        "load_bytes": 4 * len(offsets),
        "l1_accesses": len(offsets),
        "l1_misses": l1_misses,
        "l2_misses": l2_misses,
        "l2_bytes": 64 * l1_misses,
        "memory_bytes": 64 * l2_misses,
    }


@emulated
def test_a_line_written_to_goes_back_when_it_is_evicted(tmp_path):
    found = accesses(tmp_path, f"str w3, [x1]\n{load(128, 256)}")
    # Three lines come and one goes; the second cache holds it, so that memory sees no write.
    assert (found["l1_misses"], found["l2_bytes"], found["memory_bytes"]) == (3, 4 * 64, 3 * 64)
    assert (found["load_bytes"], found["store_bytes"]) == (8, 4)
    found = accesses(tmp_path, f"str w3, [x1]\n{load(*range(128, 11 * 128, 128))}")
    assert found["memory_bytes"] == (11 + 1) * 64


@emulated
def test_an_access_across_lines_takes_both(tmp_path):
    found = accesses(tmp_path, "ldr w3, [x1, #62]".replace("ldr", "ldur"))
    assert (found["l1_accesses"], found["l1_misses"]) == (2, 2)


@emulated
@pytest.mark.parametrize(
    ("options", "message"),
    [({"l1": 300}, "a power of two for l1, got 300"), ({"l1": 64}, "at least one line a way")],
)
def test_impossible_caches_are_refused(tmp_path, options, message):
    with pytest.raises(count.CountError, match=message):
        accesses(tmp_path, load(0), **options)


DISASSEMBLY = """
0000000000001000 <void kernel<4>(float*)>:
    1000:\tmov\tx3, #0x8
    1004:\tldr\tq0, [x1], #16
    1008:\tcbz\tx4, 1010 <void kernel<4>(float*)+0x10>
    100c:\tfmla\tv2.4s, v0.4s, v1.s[0]
    1010:\tsubs\tx3, x3, #0x1
    1014:\tb.ne\t1004 <void kernel<4>(float*)+0x4>  // b.any
    1018:\tb\t1000 <void kernel<4>(float*)>
"""


def test_innermost_loops_are_found_and_read_by_llvm_mca():
    (loop,) = loops.innermost(DISASSEMBLY)
    assert (loop.head, loop.fmas, len(loop.body)) == (0x1004, 1, 5)
    assert loops.assembly(loop).splitlines()[1::3] == ["cbz x4, #0", "b.ne #0"]
    blocks = [[0x1004, 2, 10], [0x100C, 3, 9], [0x2000, 7, 99]]
    assert loops.executed([loop], blocks) == {0x1004: (47, 47 / 5)}


def test_shares_are_of_what_a_core_multiplies(monkeypatch, capsys):
    monkeypatch.setattr(loops, "disassemble", lambda program: DISASSEMBLY)
    monkeypatch.setattr(loops, "cycles", lambda loop, core: 4)
    monkeypatch.setattr(sys, "argv", ["loops.py", "program", "--match", "kernel", "--fmas", "1"])
    assert loops.main() == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:-1] == [
        "1",
        "5",
        "0.125",
        "0.125",
        "0.062",
    ]


@pytest.mark.skipif(shutil.which("llvm-mca-19") is None, reason="needs the Debian package llvm-19")
@pytest.mark.parametrize("core", loops.CORES)
def test_cycles_are_bound_by_the_slowest_chain(core):
    (loop,) = loops.innermost(DISASSEMBLY)  # its multiply-adds wait for one another
    assert 2 <= loops.cycles(loop, core) <= 8
