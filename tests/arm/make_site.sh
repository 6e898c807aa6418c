#!/usr/bin/env bash
# Makes build/arm/site: the wheel of make_wheel.sh, installed as pip on ARM would.
#
# PYTHON names another program than python3; SEAFORMER_ARM_ROOT names another root than
# build/arm/root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
site=$repo/build/arm/site

"$here/make_wheel.sh"

rm -rf "$site"
"${PYTHON:-python3}" -m pip install --quiet --root-user-action ignore --target "$site" \
  --platform manylinux_2_28_aarch64 --python-version 3.11 --implementation cp \
  --only-binary :all: --no-deps --no-compile "$repo"/dist/*_aarch64.whl
