#!/usr/bin/env bash
# Cross-builds for aarch64 and runs the C++ and Python tests on emulated CPUs (`make test-arm`);
# Python takes the wheel that make_wheel.sh makes.
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

# On the oldest there is, ARMv8.0, every code path of its runs, and on everything the emulator knows
# those that calculate in half types and int8. On a big ARMv8.2 and one with 512-bit SVE only the choice is
# tested. Of what is not NEON the kernels run alone: blocks over them do so natively.
kernel_cpu=cortex-a53
kernel_isa=neon
kernel_parts=2 # as many processes
plain_isa=scalar
plain_tests=(convert_ pointwise_ depthwise_ bilinear_ axial_ stem_kernel_ int8_gate_ upsample_argmax_)
half_cpu=max
half_isas=neon_fp16,neon_bf16,neon_dot,neon_i8mm
half_tests=(half_ convert_ pointwise_ depthwise_ bilinear_ axial_ stem_kernel_ int8_)
dispatch_cpus=(cortex-a76 a64fx max)
dispatch_tests=(isa_ kernels_choose)
# PyTorch needs LSE atomics, so nothing older than ARMv8.1. Two processes, of about the same time.
python_cpu=cortex-a76
python_tests_1=(test_fused_ops.py)
python_half_cpu=max # golden cases of Tiny, since large models take minutes to make there
python_tests_2=(test_upsample_argmax.py test_dropin_ops.py test_optimize.py)
# Dot products have kernels of int8 alone, FP16 has those of float16, and the other tests have none of
# it. The scalar ones are the same C++ as natively.
python_isas=neon,neon_fp16
python_cases="not neon_fp16 or (float16 and not bfloat16)"
python_int8_tests=(test_int8_ops.py test_int8_gated_ops.py)
python_int8_isas=neon,neon_dot
cmake=${CMAKE:-cmake}

missing=()
need() { # COMMAND PACKAGE: both for the message
  command -v "$1" >/dev/null || missing+=("$1 ($2)")
}
need aarch64-linux-gnu-g++ "Debian package g++-aarch64-linux-gnu"
need qemu-aarch64 "Debian package qemu-user"
need apt-get "Debian package apt"
need dpkg-deb "Debian package dpkg"
need "$cmake" "Debian package cmake"
need ninja "Debian package ninja-build"
need "$python" "Debian package python3"
for module in auditwheel pip pybind11 wheel; do
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
    return 1
  fi
}

build_kernel_tests() (
  cd "$repo" && "$cmake" --preset aarch64 --fresh && "$cmake" --build --preset aarch64 \
    --target kernel_tests seaformer_native
)

# Run from a folder of our own, where hypothesis leaves its files.
run_python_tests() ( # CPU ISAS MARKERS FILE...: with `-` for ISAS on all of them
  cd "$arm" && "$here/run.sh" "$1" "PYTHONPATH=$site" "SEAFORMER_TEST_ISAS=${2#-}" \
    python -m pytest -q -p no:cacheprovider -m "$3" "${@:4}"
)

stages=()
beside() { # NAME COMMAND...: a stage beside the ones after it
  stage "$@" &
  stages+=($!)
}
join() { # waits for them
  for pid in "${stages[@]}"; do
    wait "$pid" || failed=1
  done
  stages=()
}

mkdir -p "$arm/logs"
stage "root" "$here/make_root.sh" || exit 1
stage "cross build" build_kernel_tests || exit 1
stage "wheel" "$here/make_site.sh" || exit 1
for ((part = 1; part <= kernel_parts; part++)); do
  beside "kernel tests $part, $kernel_cpu" \
    "$here/run.sh" $kernel_cpu "$build/kernel_tests" --isa $kernel_isa $part/$kernel_parts
done
beside "plain kernels, $kernel_cpu" \
  "$here/run.sh" $kernel_cpu "$build/kernel_tests" --isa $plain_isa "${plain_tests[@]}"
join
beside "half types, $half_cpu" "$here/run.sh" $half_cpu "$build/kernel_tests" --isa $half_isas \
  "${half_tests[@]}"
for cpu in "${dispatch_cpus[@]}"; do
  beside "choice of kernels, $cpu" "$here/run.sh" "$cpu" "$build/kernel_tests" "${dispatch_tests[@]}"
done
beside "native program" "$here/test_native.sh"
join
folder=$repo/tests/python
# Those that run kernels: what else the tests check of an op hangs on no processor. Without `slow`,
# which takes minutes there.
kernels="isas and not slow"
beside "python tests 1, $python_cpu" \
  run_python_tests $python_cpu $python_isas "$kernels" -k "$python_cases" \
    "${python_tests_1[@]/#/$folder/}"
beside "python tests 2, $python_cpu" \
  run_python_tests $python_cpu $python_isas "$kernels" -k "$python_cases" \
    "${python_tests_2[@]/#/$folder/}"
beside "python tests of int8, $python_cpu" \
  run_python_tests $python_cpu $python_int8_isas "$kernels" "${python_int8_tests[@]/#/$folder/}"
beside "choice of kernels and half types in python, $python_half_cpu" \
  run_python_tests $python_half_cpu - "not children" -k "test_cpu or tiny_128" "$folder/test_cpu.py" \
  "$folder/test_half_models.py::test_golden_cases"
join

if ((failed)); then
  echo "test-arm: FAILED"
  exit 1
fi
echo "test-arm: all passed"
