#!/usr/bin/env bash
# Fuzzes the model-file reader, the C API's arguments and those of the torch ops, all under
# AddressSanitizer and UndefinedBehaviorSanitizer (`make fuzz`).
#
# FUZZ_SECONDS for each of the three (default 60), FUZZ_SEED for the last; CLANGXX names the compiler
# of the first two, which needs libFuzzer; PYTHON has torch, pybind11 and pytest.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compiler=${CLANGXX:-$(command -v clang++-19 || command -v clang++ || true)}
cmake=${CMAKE:-cmake}
python=${PYTHON:-python3}
seconds=${FUZZ_SECONDS:-60}
if [[ -z $compiler ]]; then
  echo "fuzz: clang++ with libFuzzer is missing (Debian packages clang-19, libclang-rt-19-dev)" >&2
  exit 1
fi
options=(-G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1"
  -DSEAFORMER_SANITIZE=ON)

"$cmake" -S . -B build/fuzz "${options[@]}" -DCMAKE_CXX_COMPILER="$compiler" -DSEAFORMER_FUZZ=ON >/dev/null
"$cmake" --build build/fuzz --target fuzz_model_file fuzz_calls
for target in fuzz_model_file fuzz_calls; do
  mkdir -p "build/fuzz/corpus/$target"
  # 32 KB hold the plans that fuzzing starts from; a run of 10 s would be a hang.
  "build/fuzz/$target" -max_total_time="$seconds" -max_len=32768 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$target-" -print_final_stats=1 "build/fuzz/corpus/$target"
done

# A copy of the package, with an extension that the system's compiler instruments.
site=$PWD/build/fuzz/site
torch=$("$python" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
"$cmake" -S . -B build/fuzz/extension "${options[@]}" -DSEAFORMER_BUILD_TESTS=OFF \
  -DSEAFORMER_TORCH_DIR="$torch" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" \
  -DPython_EXECUTABLE="$(command -v "$python")" -DPython_INCLUDE_DIR="$include" >/dev/null
"$cmake" --build build/fuzz/extension
rm -rf "$site"
mkdir -p "$site"
find seaformer_kernels -name '*.py' -exec cp --parents -t "$site" {} +
"$cmake" --install build/fuzz/extension --prefix "$site/seaformer_kernels" --component extension >/dev/null
# Both libraries have to be there before Python's; Python itself leaks by design, and sizes beyond all
# memory are an error of torch's.
preload="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"
env LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
  PYTHONPATH="$site" OMP_NUM_THREADS=2 \
  "$python" tests/fuzz/fuzz_ops.py --seconds "$seconds" --seed "${FUZZ_SEED:-0}"
