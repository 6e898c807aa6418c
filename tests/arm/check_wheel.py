"""Tells what an aarch64 wheel holds and needs, and fails if it is not for every such Linux.

    python tests/arm/check_wheel.py dist/seaformer_kernels-*_aarch64.whl

It must hold the weights that come with the package, each with its NOTICE. Its libraries must be for
ARMv8.0-A (no LSE atomics), loadable by kernels with 64K pages, and need no symbol that
manylinux_2_28 lacks. Reads them with aarch64-linux-gnu-readelf and -objdump, and with auditwheel.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

NEWEST_GLIBC = (2, 28)
PAGE = 64 * 1024
WEIGHTS = Path(__file__).parents[2] / "seaformer_kernels" / "weights"
LIBRARIES = {"_C.cpython-311-aarch64-linux-gnu.so", "libseaformer_ops.so"}
# Beside what auditwheel knows to be on every Linux: torch's library, and our own.
FOREIGN = {"libtorch_cpu.so", "libseaformer_ops.so"}

# The load-store atomics of ARMv8.1: operation, ordering and size.
LSE = re.compile(r"(casp?|swp|(ld|st)(add|clr|eor|set|[su]max|[su]min))(a|l|al)?[bh]?")


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def readelf(option: str, library: Path) -> str:
    return output_of("aarch64-linux-gnu-readelf", option, "-W", library)


def lse_instructions(disassembly: str) -> Iterator[tuple[str, str]]:
    """(function, instruction) of each LSE atomic in what objdump -d printed."""
    function = "?"
    for line in disassembly.splitlines():
        if start := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            function = start[1]
            continue
        fields = line.split("\t")  # address, code, mnemonic, operands
        if len(fields) > 2 and LSE.fullmatch(fields[2]):
            yield function, fields[2]


def library_faults(library: Path) -> Iterator[str]:
    machine = re.search(r"Machine: +(.+)", readelf("-h", library))[1]
    if machine != "AArch64":
        yield f"{library.name}: expected a library for AArch64, got one for {machine}"
        return
    for line in readelf("-l", library).splitlines():
        fields = line.split()
        if fields[:1] == ["LOAD"] and int(fields[-1], 16) < PAGE:
            yield f"{library.name}: expected segments aligned to {PAGE:#x}, got {fields[-1]}"
    disassembly = output_of("aarch64-linux-gnu-objdump", "-d", "--demangle", library)
    for function, instruction in lse_instructions(disassembly):
        yield f"{library.name}: {function} has {instruction}, which ARMv8.0-A lacks"


def newest(versions: list[str]) -> str:
    """The last of names such as GLIBC_2.17, by number."""
    return max(versions, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def symbol_faults(wheel: Path) -> Iterator[str]:
    """Prints the floor of each system library; yields what is beyond manylinux_2_28."""
    found = json.loads(output_of(sys.executable, "-m", "auditwheel", "show", "--json", wheel))
    for library, versions in sorted(found["versioned_symbols"].items()):
        families = {version.split("_")[0] for version in versions}
        for family in sorted(families):
            floor = newest([v for v in versions if v.split("_")[0] == family])
            print(f"  needs {floor} of {library}")
    print(f"  symbols satisfy {found['sym_tag']}")
    glibc = re.fullmatch(r"manylinux_(\d+)_(\d+)_aarch64", found["sym_tag"])
    if glibc is None or tuple(map(int, glibc.groups())) > NEWEST_GLIBC:
        expected = "manylinux_{}_{}_aarch64".format(*NEWEST_GLIBC)
        yield f"expected symbols that {expected} has, got {found['sym_tag']}"
    for library in sorted(found["external_libs"].keys() - FOREIGN):
        yield f"expected no other libraries than {sorted(FOREIGN)}, got {library}"


def weights_faults(names: set[str]) -> Iterator[str]:
    """What a wheel of these files lacks of the weights in the source tree."""
    for folder in sorted(WEIGHTS.glob("*/")):
        for file in ("config.json", "model.safetensors", "NOTICE"):
            name = f"seaformer_kernels/weights/{folder.name}/{file}"
            if name not in names:
                yield f"expected {name}, got a wheel without it"


def main(wheel: Path) -> int:
    print(f"{wheel.name}, {wheel.stat().st_size:,} bytes:")
    faults = []
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as contents:
        for entry in contents.infolist():
            print(f"  {entry.file_size:9,} {entry.filename}")
        faults.extend(weights_faults({entry.filename for entry in contents.infolist()}))
        contents.extractall(folder)
        libraries = sorted(Path(folder).rglob("*.so*"))
        names = {library.name for library in libraries}
        if names != LIBRARIES:
            faults.append(f"expected the libraries {sorted(LIBRARIES)}, got {sorted(names)}")
        for library in libraries:
            faults.extend(library_faults(library))
    faults.extend(symbol_faults(wheel))
    for fault in faults:
        print(f"check_wheel: {fault}", file=sys.stderr)
    if not faults:
        print("  no LSE atomics, segments for 64K pages")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_wheel.py WHEEL")
    sys.exit(main(Path(sys.argv[1])))
