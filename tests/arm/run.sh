#!/usr/bin/env bash
# Runs an aarch64 program as a given CPU, with the libraries of the root that make_root.sh made.
#
#   tests/arm/run.sh CPU [NAME=VALUE...] PROGRAM [ARGUMENT...]
#
#   tests/arm/run.sh cortex-a53 build/aarch64/kernel_tests
#   tests/arm/run.sh cortex-a76 PYTHONPATH=build/arm/site python -m pytest tests/python
#
# CPU is a name from `qemu-aarch64 -cpu help`. PROGRAM is a path, or `python` for the root's own.
# NAME=VALUE sets a variable of the program, which sees none of the caller's. SEAFORMER_ARM_ROOT
# names another root than build/arm/root. PyTorch 2.10 needs a CPU with LSE atomics (cortex-a76,
# neoverse-n1, a64fx, max) and dies of SIGILL on an older one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(realpath -m "${SEAFORMER_ARM_ROOT:-$here/../../build/arm/root}")

if (($# < 2)); then
  echo "usage: run.sh CPU [NAME=VALUE...] PROGRAM [ARGUMENT...]" >&2
  exit 2
fi
if [[ ! -e $root/.stamp ]]; then
  echo "run.sh: no ARM root in $root: make it with tests/arm/make_root.sh" >&2
  exit 2
fi
cpu=$1
shift
variables=()
while [[ ${1:-} == *=* ]]; do
  variables+=("$1")
  shift
done
qemu=$(command -v qemu-aarch64)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ulimit -c 0 # a crash of the guest should not leave a core file

# The host cannot start the root's Python, but it can start this; named as sys.executable, it lets
# Python programs start themselves again.
cat >"$tmp/python" <<EOF
#!/bin/sh
exec "$qemu" -0 "$tmp/python" "$root/usr/bin/python3.11" "\$@"
EOF
chmod +x "$tmp/python"
if [[ ${1:-} == python ]]; then
  command=("$tmp/python" "${@:2}")
else
  command=("$qemu" "$@")
fi

# QEMU_CPU and QEMU_LD_PREFIX do what -cpu and -L do, and reach child processes too.
# PYTHONHOME, PYTHONNOUSERSITE and PYTHONSAFEPATH leave nothing of the host or of the working
# directory on sys.path; PATH keeps the guest from starting the host's programs.
env -i "PATH=$tmp" "HOME=$tmp" "TMPDIR=$tmp" LC_ALL=C.UTF-8 \
  "PYTHONHOME=$root/usr" PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1 \
  "QEMU_CPU=$cpu" "QEMU_LD_PREFIX=$root" \
  "${variables[@]}" "${command[@]}"
