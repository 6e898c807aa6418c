#!/usr/bin/env bash
# Cross-builds dist/seaformer_kernels-*-cp311-cp311-manylinux_2_28_aarch64.whl (`make wheel-arm`).
#
# Makes the root (make_root.sh), whose headers it needs, where it is missing. PYTHON names another
# program than python3; SEAFORMER_ARM_ROOT names another root than build/arm/root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
root=$(realpath -m "${SEAFORMER_ARM_ROOT:-$repo/build/arm/root}")
work=$repo/build/arm/wheel
python=${PYTHON:-python3}

"$here/make_root.sh"

cd "$repo"
rm -rf "$work" build/lib.linux-aarch64-* build/bdist.linux-aarch64 dist/*_aarch64.whl
mkdir -p "$work" dist
# What a Python on ARM would tell setuptools, and where CMake finds that Python and its torch.
export _PYTHON_HOST_PLATFORM=linux-aarch64
export SETUPTOOLS_EXT_SUFFIX=.cpython-311-aarch64-linux-gnu.so
export CMAKE_TOOLCHAIN_FILE=$repo/cmake/aarch64-linux-gnu.cmake
export SEAFORMER_BUILD_DIR=$repo/build/aarch64 # also of the preset aarch64: the core is built once
export CMAKE_ARGS="-DSEAFORMER_MANYLINUX=ON
  '-DSEAFORMER_TORCH_DIR=$root/usr/local/lib/python3.11/dist-packages/torch'
  '-DPython_INCLUDE_DIR=$root/usr/include/python3.11'
  -DPYBIND11_USE_CROSSCOMPILING=ON"
SEAFORMER_BUILD_EXTENSION=1 "$python" -m pip wheel --quiet --no-build-isolation --no-deps \
  --wheel-dir "$work" .
"$python" -m wheel tags --remove --python-tag cp311 --abi-tag cp311 \
  --platform-tag manylinux_2_28_aarch64 "$work"/*.whl
mv "$work"/*.whl dist/
rmdir "$work"
"$python" "$here/check_wheel.py" dist/*_aarch64.whl
