#!/usr/bin/env bash
# Cross-builds everything for aarch64, and makes build/arm/site: the package as installed on ARM.
#
# Makes the root (make_root.sh) first where it is missing. PYTHON and CMAKE name other programs than
# python3 and cmake; SEAFORMER_ARM_ROOT names another root than build/arm/root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
root=$(realpath -m "${SEAFORMER_ARM_ROOT:-$repo/build/arm/root}")
site=$repo/build/arm/site
build=$repo/build/aarch64
python=${PYTHON:-python3}
cmake=${CMAKE:-cmake}
suffix=.cpython-311-aarch64-linux-gnu.so

"$here/make_root.sh"

cd "$repo"
"$cmake" --preset aarch64 --fresh \
  "-DSEAFORMER_TORCH_DIR=$root/usr/local/lib/python3.11/dist-packages/torch" \
  "-DPython_INCLUDE_DIR=$root/usr/include/python3.11" \
  "-DPYTHON_MODULE_EXT_SUFFIX=$suffix" \
  "-Dpybind11_DIR=$("$python" -m pybind11 --cmakedir)"
"$cmake" --build --preset aarch64

rm -rf "$site"
mkdir -p "$site"
cp -r seaformer_kernels "$site/"
find "$site" \( -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
cp "$build/libseaformer_ops.so" "$build/_C$suffix" "$site/seaformer_kernels/"
