"""benchmarks/arm: the counts of programs whose instructions are known."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ARM = Path(__file__).resolve().parents[2] / "benchmarks" / "arm"
CROSS_GCC = "aarch64-linux-gnu-g++"

for tool, package in (
    (CROSS_GCC, "g++-aarch64-linux-gnu"),
    ("qemu-aarch64", "qemu-user"),
    ("g++", "g++"),
):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing (Debian package {package})", allow_module_level=True)

spec = importlib.util.spec_from_file_location("arm_count", ARM / "count.py")
arm_count = importlib.util.module_from_spec(spec)
spec.loader.exec_module(arm_count)

BEGIN, END = "hint #112", "hint #113"
# One of each encoding that the plugin tells apart. x1 points to memory, x2 is 1.
INSTRUCTIONS = {
    "vec_fma": """
        fmla v0.4s, v1.4s, v2.4s
        fmls v0.4s, v1.4s, v2.4s
        fmla v0.2d, v1.2d, v2.2d
        fmla v0.8h, v1.8h, v2.8h
        fmls v0.4h, v1.4h, v2.4h
        fmla v0.4s, v1.4s, v31.s[3]
        fmls v0.2s, v1.2s, v2.s[0]
        fmla v0.2d, v1.2d, v2.d[1]
        fmla v0.8h, v1.8h, v2.h[7]
        fmls v0.8h, v1.8h, v2.h[1]
        fmlal v0.4s, v1.4h, v2.4h
        fmlal2 v0.4s, v1.4h, v2.4h
        fmlsl v0.4s, v1.4h, v2.4h
        fmlal v0.4s, v1.4h, v2.h[5]
        fmlsl2 v0.4s, v1.4h, v2.h[5]
        bfmlalb v0.4s, v1.8h, v2.8h
        bfmlalt v0.4s, v1.8h, v2.h[3]""",
    "dot": """
        sdot v0.4s, v1.16b, v2.16b
        udot v0.2s, v1.8b, v2.8b
        sdot v0.4s, v1.16b, v2.4b[3]
        usdot v0.4s, v1.16b, v2.16b
        usdot v0.4s, v1.16b, v2.4b[1]
        sudot v0.4s, v1.16b, v2.4b[1]
        smmla v0.4s, v1.16b, v2.16b
        ummla v0.4s, v1.16b, v2.16b
        usmmla v0.4s, v1.16b, v2.16b
        bfdot v0.4s, v1.8h, v2.8h
        bfdot v0.4s, v1.8h, v2.2h[1]
        bfmmla v0.4s, v1.8h, v2.8h""",
    "vec_other": """
        fmul v0.4s, v1.4s, v2.4s
        fmul v0.4s, v1.4s, v2.s[1]
        fadd v0.4s, v1.4s, v2.4s
        fmax v0.4s, v1.4s, v2.4s
        mla v0.4s, v1.4s, v2.4s
        mul v0.8h, v1.8h, v2.8h
        smlal v0.4s, v1.4h, v2.4h
        fmulx v0.4s, v1.4s, v2.4s
        fcmgt v0.4s, v1.4s, v2.4s
        bsl v0.16b, v1.16b, v2.16b
        dup v0.4s, w2
        umov w3, v0.s[1]
        tbl v0.16b, {v1.16b}, v2.16b
        zip1 v0.4s, v1.4s, v2.4s
        ext v0.16b, v1.16b, v2.16b, #4
        movi v0.4s, #0
        fmov s0, w2
        fadd s0, s1, s2
        fmul d0, d1, d2
        fcmp s0, s1
        scvtf v0.4s, v1.4s""",
    "scalar_fma": """
        fmadd s0, s1, s2, s3
        fmsub d0, d1, d2, d3
        fnmadd s0, s1, s2, s3
        fmadd h0, h1, h2, h3
        fmla s0, s1, v2.s[1]
        fmls d0, d1, v2.d[0]
        fmla h0, h1, v2.h[2]""",
    "vec_load": """
        ldr q0, [x1]
        ldr d0, [x1, #8]
        ldr s0, [x1, x2, lsl #2]
        ldr b0, [x1]
        ldur q0, [x1, #1]
        ldr q0, memory
        ldp q0, q1, [x1]
        ldp s0, s1, [x1]
        ldnp q0, q1, [x1]
        ld1 {v0.4s}, [x1]
        ld1 {v0.4s-v3.4s}, [x1]
        ld1 {v0.s}[2], [x1]
        ld1r {v0.4s}, [x1]
        ld4 {v0.4s-v3.4s}, [x1]""",
    "vec_store": """
        str q0, [x1]
        str s0, [x1, #4]
        str d0, [x1, x2, lsl #3]
        stur q0, [x1, #1]
        stp q0, q1, [x1]
        stnp d0, d1, [x1]
        st1 {v0.4s}, [x1]
        st1 {v0.4s-v3.4s}, [x1]
        st1 {v0.s}[2], [x1]
        st4 {v0.4s-v3.4s}, [x1]""",
    "int_load": """
        ldr x3, [x1]
        ldr w3, [x1, #4]
        ldr x3, [x1, x2, lsl #3]
        ldr x3, memory
        ldrsw x3, memory
        ldrb w3, [x1]
        ldrh w3, [x1]
        ldrsb x3, [x1]
        ldrsb w3, [x1]
        ldrsw x3, [x1]
        ldursw x3, [x1, #1]
        ldp x3, x4, [x1]
        ldpsw x3, x4, [x1]
        ldxr x3, [x1]
        ldar x3, [x1]""",
    "int_store": """
        str x3, [x1]
        str wzr, [x1, #4]
        strb w3, [x1]
        sturh w3, [x1, #1]
        stp x3, x4, [x1]
        stxr w5, x3, [x1]
        stlr x3, [x1]
        ldadd x2, x3, [x1]
        ldaddal w2, w3, [x1]
        swp x2, x3, [x1]""",
    "prefetch": """
        prfm pldl1keep, [x1]
        prfm pldl2strm, [x1, x2]
        prfum pldl1keep, [x1, #1]
        prfm pldl1keep, memory""",
    "branch": """
        b 1f
    1:  b.eq 1f
    1:  cbz x2, 1f
    1:  cbnz x2, 1f
    1:  tbz x2, #0, 1f
    1:  tbnz x2, #40, 1f
    1:  adr x3, 1f
        br x3
    1:  bl function""",  # with the `ret` of function, and one adr of class other
    "sve": """
        ptrue p0.s
        fmla z0.s, p0/m, z1.s, z2.s
        ld1w {z0.s}, p0/z, [x1]
        st1w {z0.s}, p0, [x1]
        cntw x3""",
    "other": """
        nop
        hint #111
        hint #114
        mov x3, #5
        add x3, x3, x2
        madd x3, x3, x2, x3
        lsl x3, x3, #2
        cmp x3, #7
        csel x3, x2, x3, eq
        adr x3, memory
        dmb ish
        mrs x3, fpcr""",
}


def build(tmp_path: Path, source: str, name: str, *flags: str) -> Path:
    path = tmp_path / name
    path.write_text(source)
    exe = path.with_suffix("")
    command = [CROSS_GCC, *flags, f"-I{ARM}", "-o", str(exe), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return exe


def assemble(tmp_path: Path, body: str) -> Path:
    """A program of `body` alone: x1 points to memory, x2 is 1, the exit code is 0."""
    source = f"""
        .arch armv8.6-a+sve+fp16fml
        .global _start
    _start:
        adr x1, memory
        mov x2, #1
        {body}
        mov x0, #0
        mov x8, #93  // exit
        svc #0
    function:
        ret
        .data
        .balign 64
    memory:
        .zero 4096
    """
    # adr and literal loads reach the data only if it lies near: in the text segment, made writable.
    return build(tmp_path, source, "program.s", "-nostdlib", "-static", "-Wl,-N")


def lines(text: str) -> int:
    return len(text.strip().splitlines())


@pytest.mark.parametrize("cls", INSTRUCTIONS)
def test_every_instruction_is_in_its_class(tmp_path, cls):
    exe = assemble(tmp_path, f"{BEGIN}\n{INSTRUCTIONS[cls]}\n{END}")
    (window,) = arm_count.count(exe, cpu="max")
    expected = dict.fromkeys(INSTRUCTIONS, 0) | {cls: lines(INSTRUCTIONS[cls])}
    if cls == "branch":
        expected["other"] = 1
    total = sum(expected.values())
    assert window == {"window": 0, "total": total} | expected


def test_windows_are_exact_and_repeatable(tmp_path):
    loop = """
        mov x3, #1000
    2:  ldp q0, q1, [x1]
        fmla v2.4s, v0.4s, v1.s[0]
        fmla v3.4s, v0.4s, v1.s[1]
        subs x3, x3, #1
        b.ne 2b"""
    exe = assemble(
        tmp_path,
        f"{loop}\n{BEGIN}\n{loop}\n{END}\n{loop}\n{BEGIN}\n{END}\n{BEGIN}\nbl function\n{END}",
    )
    windows = arm_count.count(exe)
    assert windows == arm_count.count(exe)
    counts = [{k: v for k, v in w.items() if v and k != "window"} for w in windows]
    looped = {"vec_fma": 2000, "vec_load": 1000, "branch": 1000, "other": 1001, "total": 5001}
    assert counts == [looped, {}, {"branch": 2, "total": 2}]
    assert [w["window"] for w in windows] == [0, 1, 2]
    assert arm_count.table(windows).splitlines()[1].split()[:2] == ["0", "5,001"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"{BEGIN}\nnop", "ended inside"),
        (END, "without a beginning"),
        (f"{BEGIN}\n{BEGIN}\n{END}", "begins again"),
    ],
)
def test_unpaired_markers_are_errors(tmp_path, body, message):
    with pytest.raises(arm_count.CountError, match=message):
        arm_count.count(assemble(tmp_path, body))


def test_failing_program_is_an_error(tmp_path):
    exe = build(tmp_path, "int main() { return 3; }", "failing.cpp")
    with pytest.raises(arm_count.CountError, match="failed with 3"):
        arm_count.count(exe)


THREADS = """
    #include <atomic>
    #include <thread>
    #include "markers.h"
    int main() {{
      std::thread([] {{}}).join();
      std::atomic<int> state = 0;
      std::thread waits([&] {{ state = 1; state.notify_all(); state.wait(1); }});
      state.wait(0);
      for (volatile int i = 0; i < 100000000; ++i) {{}}  // until it sleeps
      region_begin();
      {inside}
      region_end();
      state = 2;
      state.notify_all();
      waits.join();
    }}"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inside", "threads"),
    [
        ("", 1),  # one has ended, one sleeps
        ("std::thread([] {}).join();", 2),
        ("state = 2; state.notify_all(); while (state != 3) {}", 2),
    ],
)
def test_only_one_thread_may_run_in_a_window(tmp_path, inside, threads):
    source = THREADS.format(inside=inside).replace("state.wait(1);", "state.wait(1); state = 3;")
    exe = build(tmp_path, source, "threads.cpp", "-O2", "-pthread", "-std=c++20")
    if threads == 1:
        assert len(arm_count.count(exe)) == 1
        return
    with pytest.raises(arm_count.CountError, match="expected one thread to run in window 0, got 2"):
        arm_count.count(exe)


@pytest.mark.parametrize("level", ["-O2", "-O3"])
def test_compiler_keeps_memory_accesses_between_markers(tmp_path, level):
    # All is inline, the compiler knows every value it needs, and before and after the windows
    # stand loops that it could merge with those inside.
    source = """
        #include "markers.h"
        static float x[4096], y[4096];
        static inline void scale(float* to, const float* from) {
          for (int i = 0; i < 4096; ++i) to[i] = from[i] * 3.0f;
        }
        int main() {
          scale(x, y);
          region_begin();
          scale(y, x);
          region_end();
          scale(x, y);
          region_begin();
          region_end();
          return x[5] + y[6] != 0.0f;
        }"""
    scaled, empty = arm_count.count(build(tmp_path, source, "kept.cpp", level))
    assert empty["total"] == 0
    assert scaled["vec_store"] == scaled["vec_load"] == 4096 // 4
