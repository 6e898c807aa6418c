#!/usr/bin/env bash
# Fuzzes the model-file reader and the C API's arguments under sanitizers (`make fuzz`).
#
# FUZZ_SECONDS for each of the two (default 60); CLANGXX names the compiler, which needs libFuzzer.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compiler=${CLANGXX:-$(command -v clang++-19 || command -v clang++ || true)}
seconds=${FUZZ_SECONDS:-60}
if [[ -z $compiler ]]; then
  echo "fuzz: clang++ with libFuzzer is missing (Debian packages clang-19, libclang-rt-19-dev)" >&2
  exit 1
fi
"${CMAKE:-cmake}" -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" \
  -DSEAFORMER_SANITIZE=ON -DSEAFORMER_FUZZ=ON >/dev/null
"${CMAKE:-cmake}" --build build/fuzz --target fuzz_model_file fuzz_calls
for target in fuzz_model_file fuzz_calls; do
  mkdir -p "build/fuzz/corpus/$target"
  # 32 KB hold the plans that fuzzing starts from; a run of 10 s would be a hang.
  "build/fuzz/$target" -max_total_time="$seconds" -max_len=32768 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$target-" -print_final_stats=1 "build/fuzz/corpus/$target"
done
