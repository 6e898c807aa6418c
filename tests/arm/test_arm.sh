#!/usr/bin/env bash
# Cross-builds for aarch64 and runs the C++ and Python tests on emulated CPUs (`make test-arm`).
#
# Where a tool is missing it says so and does nothing, or fails if SEAFORMER_REQUIRE_ARM=1.
# PYTHON and CMAKE name other programs than python3 and cmake; SEAFORMER_ARM_ROOT names another
# root than build/arm/root. Logs: build/arm/logs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
arm=$repo/build/arm
root=${SEAFORMER_ARM_ROOT:-$arm/root}
export SEAFORMER_ARM_ROOT=$root
site=$arm/site # make_site.sh
build=$repo/build/aarch64
python=${PYTHON:-python3}

# An in-order ARMv8.0, a big ARMv8.2, one with 512-bit SVE, and everything the emulator knows.
kernel_cpus=(cortex-a53 cortex-a76 a64fx max)
# PyTorch needs LSE atomics, so nothing older than ARMv8.1.
python_cpus=(cortex-a76 max)
python_tests=(
  tests/python/test_upsample_argmax.py
  tests/python/test_fused_ops.py
  tests/python/test_dropin_ops.py
  tests/python/test_optimize.py
  tests/python/test_cpu.py
)
suffix=.cpython-311-aarch64-linux-gnu.so

missing=()
need() { # COMMAND PACKAGE: both for the message
  command -v "$1" >/dev/null || missing+=("$1 ($2)")
}
need aarch64-linux-gnu-g++ "Debian package g++-aarch64-linux-gnu"
need qemu-aarch64 "Debian package qemu-user"
need apt-get "Debian package apt"
need dpkg-deb "Debian package dpkg"
need "${CMAKE:-cmake}" "Debian package cmake"
need ninja "Debian package ninja-build"
need "$python" "Debian package python3"
for module in pip pybind11; do
  "$python" -c "import $module" 2>/dev/null || missing+=("$module of $python (pip install $module)")
done
if ((${#missing[@]})); then
  printf 'test-arm: missing: %s\n' "${missing[@]}"
  if [[ ${SEAFORMER_REQUIRE_ARM:-0} == 1 ]]; then
    echo "test-arm: FAILED, because SEAFORMER_REQUIRE_ARM=1"
    exit 1
  fi
  echo "test-arm: skipped; SEAFORMER_REQUIRE_ARM=1 makes this an error"
  exit 0
fi

failed=0
stage() { # NAME COMMAND...: one line about a command; if it fails, the end of what it printed
  local name=$1 log=${1//,/} start=$SECONDS counts
  log=$arm/logs/${log// /-}.log
  shift
  if "$@" >"$log" 2>&1; then
    # The last line with a count is the test runner's summary; other commands print none.
    counts=$(grep -E '[0-9]+ (passed|tests?|checks?)' "$log" | tail -n 1 || true)
    echo "test-arm: $name: ok, $((SECONDS - start)) s${counts:+ ($counts)}"
  else
    echo "test-arm: $name: FAILED with code $?, $((SECONDS - start)) s; the end of $log:"
    tail -n 40 "$log"
    failed=1
    return 1
  fi
}

# A 64K-page kernel refuses a segment that is aligned to less, which the emulator would not notice.
check_page_alignment() {
  local file align
  for file in "$@"; do
    for align in $(aarch64-linux-gnu-readelf -lW "$file" | awk '$1 == "LOAD" { print $NF }'); do
      if ((align < 65536)); then
        echo "$file: a segment is aligned to $align, expected at least 0x10000"
        return 1
      fi
    done
  done
}

# Without `compile`: inductor needs a compiler, and child processes, in the guest; without `slow`,
# which takes minutes there. Run from a folder of our own, where hypothesis leaves its files.
run_python_tests() ( # CPU
  cd "$arm" && "$here/run.sh" "$1" "PYTHONPATH=$site" python -m pytest -q -p no:cacheprovider \
    -m "not compile and not slow" "${python_tests[@]/#/$repo/}"
)

mkdir -p "$arm/logs"
stage "root" "$here/make_root.sh" || exit 1
stage "cross build" "$here/make_site.sh" || exit 1
stage "page alignment" check_page_alignment "$build/libseaformer_ops.so" "$build/_C$suffix" || true
for cpu in "${kernel_cpus[@]}"; do
  stage "kernel tests, $cpu" "$here/run.sh" "$cpu" "$build/kernel_tests" || true
done
stage "native program" "$here/test_native.sh" || true
for cpu in "${python_cpus[@]}"; do
  stage "python tests, $cpu" run_python_tests "$cpu" || true
done

if ((failed)); then
  echo "test-arm: FAILED"
  exit 1
fi
echo "test-arm: all passed"
