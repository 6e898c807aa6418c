#!/usr/bin/env bash
# Makes a folder with an aarch64 Python 3.11, PyTorch and pytest for run.sh to run under emulation.
#
# The folder is build/arm/root, or what SEAFORMER_ARM_ROOT names. Nothing is done if it was made by
# this version of the script.
#
# Packages are only unpacked: nothing of the guest runs, no privileges are needed and the host's
# package databases are left alone. The folder also serves the cross build:
#   ROOT/usr/include/python3.11                              Python's headers
#   ROOT/usr/local/lib/python3.11/dist-packages/torch        torch's include/ and lib/
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${SEAFORMER_ARM_ROOT:-$here/../../build/arm/root}
python=${PYTHON:-python3}

# What the interpreter, its standard library and torch link to, and Python's headers.
debian_packages=(
  libc6 libgcc-s1 libstdc++6 libgomp1
  python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3.11-dev
  libbz2-1.0 libcrypt1 libexpat1 libffi8 liblzma5 libreadline8 libsqlite3-0
  libssl3 libtinfo6 libuuid1 zlib1g
)
# Complete: pip is told not to follow dependencies, so that nothing unpinned comes in.
python_packages=(
  torch==2.10.0 filelock==4.2.11 fsspec==2026.9.0 jinja2==3.1.6 markupsafe==3.0.4 mpmath==1.3.0
  networkx==3.6.1 sympy==1.14.0 typing_extensions==4.16.0
  numpy==2.4.6
  pytest==9.2.0 iniconfig==2.3.1 packaging==26.3 pluggy==1.7.0 pygments==2.21.0
  hypothesis==6.170.15 sortedcontainers==2.4.0
)
# pip takes each tag literally: an older tag is not implied by a newer one.
platforms=(manylinux_2_28_aarch64 manylinux_2_27_aarch64 manylinux_2_17_aarch64 manylinux2014_aarch64)

die() {
  echo "make_root.sh: $*" >&2
  exit 1
}

mkdir -p "$(dirname "$root")"
root=$(realpath -m "$root")
stamp=$(sha256sum <"${BASH_SOURCE[0]}")
exec 9>"$root.lock"
flock 9 # a second caller waits here, then finds the root made
if [[ $(cat "$root/.stamp" 2>/dev/null) == "$stamp" ]]; then
  exit 0
fi
if [[ -e $root && ! -e $root/.stamp ]]; then
  die "$root exists and was not made by this script: name another folder, or remove it"
fi

rm -rf "$root".new.* # left by a run that was killed
work=$(mktemp -d "$root.new.XXXXXX") # beside the root, so that the last step is one rename
trap 'rm -rf "$work"' EXIT
new=$work/root

echo "make_root.sh: Debian packages"
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs} "$new"/usr/{lib,bin} "$new/etc"
touch "$work/status"
cat >"$work/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Dir::State::Lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
EOF
export APT_CONFIG=$work/apt.conf
apt-get -qq update || die "apt-get update failed for architecture arm64"
(cd "$work/debs" && apt-get -qq download "${debian_packages[@]}") ||
  die "apt-get could not download the packages above for arm64 (they are Debian 12's)"

ln -s usr/lib "$new/lib"
for deb in "$work"/debs/*.deb; do
  # Not dpkg-deb -x, which would replace the link lib -> usr/lib by a folder.
  dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --keep-directory-symlink -C "$new"
done
# The guest sees the host's files where the root has none: hide the host's list of libraries.
: >"$new/etc/ld.so.cache"
# Likewise its processor, of which ONNX Runtime makes no sense and crashes. A Cortex-A76, as many
# cores as the host has.
mkdir "$new/proc"
for ((core = 0; core < $(nproc --all); core++)); do
  cat <<EOF
processor	: $core
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1

EOF
done >"$new/proc/cpuinfo"
# Debian's pyconfig.h leads to this one by a path that only Debian's own compiler searches.
cp "$new/usr/include/aarch64-linux-gnu/python3.11/pyconfig.h" "$new/usr/include/python3.11/"

echo "make_root.sh: Python packages"
site=$new/usr/local/lib/python3.11/dist-packages
"$python" -m pip install -qq --root-user-action ignore --target "$site" \
  --python-version 3.11 --implementation cp --only-binary :all: "${platforms[@]/#/--platform=}" \
  --no-deps --no-compile "${python_packages[@]}" ||
  die "pip ($python) could not install the aarch64 packages"

# Compiled here, where it takes seconds; the guest would need minutes. -s and -p make the stored
# paths those of the finished root.
if command -v python3.11 >/dev/null; then
  env -u PYTHONDONTWRITEBYTECODE -u PYTHONPYCACHEPREFIX python3.11 -m compileall -q -s "$new" -p "$root" \
    "$new/usr/lib/python3.11" "$site" >/dev/null || true # some packages ship files that do not parse
fi

echo "$stamp" >"$new/.stamp"
if [[ -e $root ]]; then
  mv -T "$root" "$work/old"
fi
mv -T "$new" "$root"
echo "make_root.sh: made $root, $(du -sh "$root" | cut -f1)"
