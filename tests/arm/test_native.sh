#!/usr/bin/env bash
# Runs the tests of the program seaformer-native with the one for ARM, on an emulated CPU.
#
#   tests/arm/test_native.sh [CPU...]        cortex-a53 if none is named
#
# Its labels are compared with those of Python on this machine. PYTHON and CMAKE name other programs
# than python3 and cmake.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
cpus=("$@")
if ((${#cpus[@]} == 0)); then
  cpus=(cortex-a53)
fi
"${CMAKE:-cmake}" --preset aarch64 >/dev/null
"${CMAKE:-cmake}" --build --preset aarch64 --target seaformer_native
for cpu in "${cpus[@]}"; do
  echo "test-native: $cpu"
  SEAFORMER_NATIVE="qemu-aarch64 -cpu $cpu $repo/build/aarch64/seaformer-native" \
    "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests/python/test_native.py
done
